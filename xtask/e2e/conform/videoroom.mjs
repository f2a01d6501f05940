// VideoRoom's checklist, as far as it needs no media at the other end.

import { check, isError, openClient } from '../lib/client.mjs';
import { PLAIN_OFFER, offer } from './offers.mjs';

let nextRoom = 500_000 + Math.floor(Math.random() * 100_000);

/** Checks a plugin's own error: its shape, its code, and the envelope it came in. */
function refused(data, code, envelope) {
  check(data.videoroom === 'event' && data.error_code === code && typeof data.error === 'string',
    `expected ${code}, got ${JSON.stringify(data)}`);
  check(!envelope || data.envelope === envelope, `it came as ${data.envelope}, not ${envelope}`);
}

const say = (api, at, request, fields = {}) => api.plugin(at, { request, ...fields });

/** A VideoRoom handle and a room made with `fields`. */
async function room(api, fields = {}) {
  const at = await api.attach('videoroom');
  const id = (nextRoom += 1);
  const made = await say(api, at, 'create', { room: id, ...fields });
  check(made.videoroom === 'created' && made.room === id, JSON.stringify(made));
  return { at, id };
}

/** A second handle in the same session. */
const another = (api, at) => api.attach('videoroom', at.session_id);

const join = (api, at, id, fields = {}) => say(api, at, 'join', { ptype: 'publisher', room: id, ...fields });

async function joined(api, at, id, fields) {
  const data = await join(api, at, id, fields);
  check(data.videoroom === 'joined', JSON.stringify(data));
  return data;
}

const listed = async (api, at, id) => (await say(api, at, 'list')).list?.find((one) => one.room === id);

/** The next VideoRoom event of `at` that `fits`. */
const hears = (api, at, fits, what) =>
  api.event((one) => one.janus === 'event' && one.sender === at.handle_id && fits(one.plugindata.data), what);

const rooms = [
  ['videoroom_01_create_picks_an_id', async (api) => {
    const at = await api.attach('videoroom');
    const data = await say(api, at, 'create');
    check(data.videoroom === 'created' && data.room > 0 && data.permanent === false, JSON.stringify(data));
  }],
  ['videoroom_02_a_taken_room_is_427', async (api) => {
    const { at, id } = await room(api);
    refused(await say(api, at, 'create', { room: id }), 427, 'success');
  }],
  ['videoroom_03_and_05_and_09_list_shows_what_was_made', async (api) => {
    const { at, id } = await room(api, { bitrate: 1000 });
    const one = await listed(api, at, id);
    check(one?.bitrate === 64000 && one.max_publishers === 3, JSON.stringify(one));
    for (const key of ['opus_dtx', 'bitrate_cap', 'rec_dir']) check(!(key in one), `${key} is listed`);
    check(one.num_participants === 0 && one.pin_required === false, JSON.stringify(one));
  }],
  ['videoroom_04_an_unknown_codec_is_430', async (api) => {
    const at = await api.attach('videoroom');
    refused(await say(api, at, 'create', { videocodec: 'vp8,foo' }), 430);
  }],
  ['videoroom_07_a_private_room_is_not_listed', async (api) => {
    const { at, id } = await room(api, { is_private: true });
    check((await listed(api, at, id)) === undefined, 'it is listed');
    check((await say(api, at, 'exists', { room: id })).exists === true, 'it does not exist');
  }],
  ['videoroom_10_and_11_edit_wants_the_secret', async (api) => {
    const { at, id } = await room(api, { secret: 's', pin: 'p' });
    refused(await say(api, at, 'edit', { room: id, secret: 'x' }), 433);
    refused(await say(api, at, 'edit', { room: id }), 429);
    const done = await say(api, at, 'edit', { room: id, secret: 's', new_pin: '', new_description: 'new' });
    check(done.videoroom === 'edited' && done.room === id, JSON.stringify(done));
    const one = await listed(api, at, id);
    check(one.pin_required === true && one.description === 'new', JSON.stringify(one));
  }],
  ['videoroom_12_destroy_is_told_to_participants', async (api) => {
    const { at, id } = await room(api);
    await joined(api, at, id);
    const done = await say(api, await another(api, at), 'destroy', { room: id });
    check(done.videoroom === 'destroyed' && done.room === id, JSON.stringify(done));
    await hears(api, at, (data) => data.videoroom === 'destroyed' && data.room === id, 'destroyed event');
  }],
  ['videoroom_13_exists_is_never_an_error', async (api) => {
    const { at, id } = await room(api);
    for (const [number, wanted] of [[id, true], [987_654_321_000, false]]) {
      const data = await say(api, at, 'exists', { room: number });
      check(data.videoroom === 'success' && data.exists === wanted, JSON.stringify(data));
    }
  }],
  ['videoroom_15_string_ids_are_430_here', async (api) => {
    const at = await api.attach('videoroom');
    refused(await say(api, at, 'exists', { room: 'text' }), 430, 'success');
  }],
  ['videoroom_16_and_17_join_first', async (api) => {
    const at = await api.attach('videoroom');
    const data = await say(api, at, 'configure');
    refused(data, 424, 'event');
    check(data.acked, 'there was no ack');
  }],
  ['videoroom_18_an_unknown_request_is_423_at_once', async (api) => {
    const at = await api.attach('videoroom');
    const data = await say(api, at, 'juggle');
    refused(data, 423, 'success');
  }],
  ['videoroom_19_and_20_unknown_rooms_and_pins', async (api) => {
    const { at, id } = await room(api, { pin: '42' });
    refused(await join(api, at, 987_654_321_000), 426, 'event');
    refused(await join(api, at, id, { pin: 'x' }), 433);
    refused(await join(api, at, id), 429);
    await joined(api, at, id, { pin: '42' });
  }],
  ['videoroom_21_one_join_a_handle', async (api) => {
    const { at, id } = await room(api);
    await joined(api, at, id);
    refused(await join(api, at, id), 425);
    const left = await say(api, at, 'leave');
    check(left.leaving === 'ok', JSON.stringify(left));
    refused(await join(api, at, id), 425);
  }],
  ['videoroom_22_a_taken_id_is_436', async (api) => {
    const { at, id } = await room(api);
    check((await joined(api, at, id, { id: 5 })).id === 5, 'the wanted id was not given');
    refused(await join(api, await another(api, at), id, { id: 5 }), 436);
  }],
  ['videoroom_23_and_94_the_allow_list', async (api) => {
    const { at, id } = await room(api, { allowed: ['good'] });
    refused(await join(api, at, id, { token: 'bad' }), 433);
    const listing = await say(api, at, 'allowed', { room: id, action: 'enable', allowed: ['late'] });
    check(listing.allowed?.join() === 'good', JSON.stringify(listing));
    await joined(api, at, id, { token: 'good' });
  }],
  ['videoroom_24_joined_has_a_private_id_and_publishers', async (api) => {
    const { at, id } = await room(api, { description: 'mine' });
    const data = await joined(api, at, id, { display: 'ada' });
    check(Number.isInteger(data.private_id) && data.private_id > 0, JSON.stringify(data));
    check(Array.isArray(data.publishers) && data.publishers.length === 0, JSON.stringify(data));
    check(data.description === 'mine' && data.room === id && !('attendees' in data), JSON.stringify(data));
  }],
  ['videoroom_25_notify_joining', async (api) => {
    const { at, id } = await room(api, { notify_joining: true });
    await joined(api, at, id, { display: 'ada' });
    const second = await joined(api, await another(api, at), id, { display: 'bob' });
    check(second.attendees?.length === 1 && second.attendees[0].display === 'ada', JSON.stringify(second));
    const news = await hears(api, at, (data) => data.joining, 'joining event');
    check(news.plugindata.data.joining.id === second.id, JSON.stringify(news));
    check(news.plugindata.data.joining.display === 'bob' && !('transaction' in news), JSON.stringify(news));
  }],
  ['videoroom_26_a_mere_join_is_silent', async (api) => {
    const { at, id } = await room(api);
    await joined(api, at, id);
    await joined(api, await another(api, at), id);
    const events = await api.quiet((one) => one.janus === 'event' && one.sender === at.handle_id);
    check(events.length === 0, JSON.stringify(events));
    const { participants } = await say(api, at, 'listparticipants', { room: id });
    check(participants?.length === 2, `there are ${JSON.stringify(participants)}`);
  }],
  ['videoroom_27_configure_with_an_offer', async (api) => {
    const { at, id } = await room(api);
    await joined(api, at, id);
    const data = await api.plugin(at, { request: 'configure' }, PLAIN_OFFER());
    check(data.configured === 'ok' && data.jsep?.type === 'answer', JSON.stringify(data));
    check(data.audio_codec === 'opus' && data.video_codec === 'vp8', JSON.stringify(data));
    check(data.streams?.map((one) => one.mid).join() === '0,1', JSON.stringify(data.streams));
    check(data.jsep.sdp.match(/a=recvonly/g)?.length === 2, `not both lines are recvonly:\n${data.jsep.sdp}`);
    check(data.jsep.sdp.includes(`s=VideoRoom ${id}`), 'the session is not named after the room');
  }],
  ['videoroom_28_a_publisher_is_announced_only_when_up', async (api) => {
    const { at, id } = await room(api);
    await joined(api, at, id);
    const second = await another(api, at);
    await joined(api, second, id);
    const data = await api.plugin(second, { request: 'publish' }, PLAIN_OFFER());
    check(data.configured === 'ok', JSON.stringify(data));
    const events = await api.quiet((one) => one.sender === at.handle_id && one.janus === 'event');
    check(events.length === 0, JSON.stringify(events));
  }],
  ['videoroom_33_no_acceptable_codec_disables_the_line', async (api) => {
    const { at, id } = await room(api, { videocodec: 'vp9' });
    await joined(api, at, id);
    const data = await api.plugin(at, { request: 'configure' }, offer(['h264']));
    const video = data.streams?.find((one) => one.type === 'video');
    check(data.configured === 'ok' && video?.disabled === true, JSON.stringify(data.streams));
    check(/m=video[\s\S]*a=inactive/.test(data.jsep?.sdp ?? ''), 'the line is not inactive');
  }],
  ['videoroom_34_a_codec_outside_the_room_is_430', async (api) => {
    const { at, id } = await room(api);
    await joined(api, at, id);
    refused(await api.plugin(at, { request: 'configure', videocodec: 'vp9' }, offer(['vp9'])), 430);
  }],
  ['videoroom_35_e2ee_can_be_required', async (api) => {
    const { at, id } = await room(api, { require_e2ee: true });
    await joined(api, at, id);
    refused(await api.plugin(at, { request: 'configure' }, PLAIN_OFFER()), 433);
  }],
  ['videoroom_36_unpublish_needs_a_connection', async (api) => {
    const { at, id } = await room(api);
    await joined(api, at, id);
    refused(await say(api, at, 'unpublish'), 435);
  }],
  ['videoroom_38_leave_is_told_to_others', async (api) => {
    const { at, id } = await room(api);
    await joined(api, at, id);
    const second = await another(api, at);
    const who = await joined(api, second, id, { display: 'bob' });
    const left = await say(api, second, 'leave');
    check(left.leaving === 'ok' && left.room === id, JSON.stringify(left));
    const news = await hears(api, at, (data) => data.leaving, 'leaving event');
    check(news.plugindata.data.leaving === who.id && news.plugindata.data.display === 'bob', JSON.stringify(news));
  }],
  ['videoroom_37_detach_is_leaving_too', async (api) => {
    const { at, id } = await room(api);
    await joined(api, at, id);
    const second = await another(api, at);
    const who = await joined(api, second, id);
    await api.ask({ janus: 'detach', ...second });
    await hears(api, at, (data) => data.leaving === who.id, 'leaving event');
  }],
  ['videoroom_39_kick_tells_victim_and_others', async (api) => {
    const { at, id } = await room(api, { secret: 's' });
    await joined(api, at, id);
    const second = await another(api, at);
    const who = await joined(api, second, id);
    refused(await say(api, at, 'kick', { room: id, id: who.id, secret: 'x' }), 433);
    const done = await say(api, at, 'kick', { room: id, id: who.id, secret: 's' });
    check(done.videoroom === 'success', JSON.stringify(done));
    await hears(api, second, (data) => data.leaving === 'ok' && data.reason === 'kicked', 'kicked notice');
    await hears(api, at, (data) => data.kicked === who.id, 'kicked event');
    refused(await say(api, at, 'kick', { room: id, id: who.id, secret: 's' }), 428);
  }],
  ['videoroom_42_a_changed_name_is_announced', async (api) => {
    const { at, id } = await room(api);
    await joined(api, at, id);
    const second = await another(api, at);
    const who = await joined(api, second, id);
    await say(api, second, 'configure', { display: 'first' });
    const silence = await api.quiet((one) => one.sender === at.handle_id && one.janus === 'event');
    check(silence.length === 0, `the first name was announced: ${JSON.stringify(silence)}`);
    await say(api, second, 'configure', { display: 'second' });
    const news = await hears(api, at, (data) => data.display === 'second', 'display event');
    check(news.plugindata.data.id === who.id, JSON.stringify(news));
  }],
  ['videoroom_43_an_unknown_mid_is_428', async (api) => {
    const { at, id } = await room(api);
    await joined(api, at, id);
    refused(await say(api, at, 'configure', { streams: [{ mid: 'nope', send: false }] }), 428);
  }],
  ['videoroom_47_and_48_subscriptions_need_a_feed', async (api) => {
    const { at, id } = await room(api);
    const who = await joined(api, at, id);
    const viewer = await another(api, at);
    const watch = (fields) => say(api, viewer, 'join', { ptype: 'subscriber', room: id, ...fields });
    refused(await watch({ streams: [{ feed: 1 }] }), 428);
    refused(await watch({ streams: [{ feed: who.id }] }), 428);
    refused(await watch({}), 429);
    refused(await watch({ feed: 'x' }), 430);
  }],
  ['videoroom_85_the_core_answers_for_broken_messages', async (api) => {
    const at = await api.attach('videoroom');
    isError(await api.ask({ janus: 'message', ...at }), 456);
    isError(await api.message(at, [1]), 467);
    isError(await api.message(at, { request: 'publish' }, { type: 'offer', sdp: 'x' }), 465);
    isError(await api.message(at, { request: 'start' }, { ...PLAIN_OFFER(), type: 'answer' }), 469);
  }],
  ['videoroom_87_joinandconfigure', async (api) => {
    const { at, id } = await room(api);
    const body = { request: 'joinandconfigure', ptype: 'publisher', room: id, display: 'ada' };
    const data = await api.plugin(at, body, PLAIN_OFFER());
    check(data.videoroom === 'joined' && data.jsep?.type === 'answer', JSON.stringify(data));
    check(data.streams?.length === 2 && data.audio_codec === 'opus', JSON.stringify(data));
  }],
  ['videoroom_list_participants_names_everyone', async (api) => {
    const { at, id } = await room(api);
    await joined(api, at, id, { display: 'ada' });
    await joined(api, await another(api, at), id, { display: 'bob' });
    const data = await say(api, at, 'listparticipants', { room: id });
    const names = data.participants?.map((one) => one.display).sort().join();
    check(data.videoroom === 'participants' && names === 'ada,bob', JSON.stringify(data));
    check(data.participants.every((one) => one.publisher === false), JSON.stringify(data));
  }],
  ['videoroom_join_needs_a_role', async (api) => {
    const { at, id } = await room(api);
    refused(await say(api, at, 'join', { room: id }), 429);
    refused(await say(api, at, 'join', { room: id, ptype: 'juggler' }), 430);
    refused(await say(api, at, 'join', { ptype: 'publisher' }), 429);
  }],
  ['videoroom_a_lost_session_leaves_the_room', async (api) => {
    const { at, id } = await room(api);
    await joined(api, at, id);
    const other = await openClient(api.kind);
    const guest = await other.attach('videoroom');
    const who = await joined(other, guest, id);
    await other.ask({ janus: 'destroy', session_id: guest.session_id });
    await hears(api, at, (data) => data.leaving === who.id, 'leaving event');
  }],
];

export default rooms.map(([name, run]) => ({ name, run }));
