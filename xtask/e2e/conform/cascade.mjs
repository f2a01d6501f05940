// VideoRoom's forwarders and remote publishers, as far as they need no media.

import { check } from '../lib/client.mjs';

let nextRoom = 700_000 + Math.floor(Math.random() * 100_000);

const say = (api, at, request, fields = {}) => api.plugin(at, { request, ...fields });

function refused(data, code) {
  check(data.videoroom === 'event' && data.error_code === code && typeof data.error === 'string',
    `expected ${code}, got ${JSON.stringify(data)}`);
}

/** A room with a participant in it, who is told of others. */
async function room(api) {
  const at = await api.attach('videoroom');
  const id = (nextRoom += 1);
  const made = await say(api, at, 'create', { room: id });
  check(made.videoroom === 'created', JSON.stringify(made));
  const who = await say(api, at, 'join', { ptype: 'publisher', room: id });
  check(who.videoroom === 'joined', JSON.stringify(who));
  return { at, id, who: who.id };
}

const AUDIO = { mid: '0', mindex: 0, type: 'audio', codec: 'opus' };
const VIDEO = { mid: '1', mindex: 1, type: 'video', codec: 'vp8' };

const hears = (api, at, fits, what) =>
  api.event((one) => one.janus === 'event' && one.sender === at.handle_id && fits(one.plugindata.data), what);

const checks = [
  ['videoroom_71_a_forwarder_needs_a_port', async (api) => {
    const { at, id, who } = await room(api);
    const forward = (fields) => say(api, at, 'rtp_forward', { room: id, publisher_id: who, host: '127.0.0.1', ...fields });
    refused(await forward({ streams: [{ mid: '0' }] }), 429);
    refused(await forward({ streams: [{ mid: '0', port: 'x' }] }), 430);
    refused(await forward({ host: undefined, streams: [] }), 429);
    refused(await forward({ publisher_id: 1, streams: [{ mid: '0', port: 9 }] }), 428);
    const none = await forward({ streams: [{ mid: 'nope', port: 9 }] });
    check(none.videoroom === 'rtp_forward' && none.forwarders?.length === 0, JSON.stringify(none));
  }],
  ['videoroom_72_an_unknown_forwarder_is_428', async (api) => {
    const { at, id, who } = await room(api);
    refused(await say(api, at, 'stop_rtp_forward', { room: id, publisher_id: who, stream_id: 5 }), 428);
    refused(await say(api, at, 'stop_rtp_forward', { room: id, publisher_id: who }), 429);
    const list = await say(api, at, 'listforwarders', { room: id });
    check(list.videoroom === 'forwarders' && list.publishers?.length === 0, JSON.stringify(list));
  }],
  ['videoroom_75_a_remote_publisher_is_told_at_once', async (api) => {
    const { at, id } = await room(api);
    const data = await say(api, at, 'add_remote_publisher', { room: id, id: 77, display: 'far', streams: [AUDIO, VIDEO] });
    check(data.videoroom === 'success' && data.id === 77 && data.port > 0 && data.rtcp_port > 0, JSON.stringify(data));
    const told = await hears(api, at, (one) => one.publishers, 'publishers event');
    const publisher = told.plugindata.data.publishers[0];
    check(publisher.id === 77 && publisher.display === 'far' && publisher.streams.length === 2, JSON.stringify(publisher));
    refused(await say(api, at, 'add_remote_publisher', { room: id, id: 77, streams: [AUDIO] }), 436);
    refused(await say(api, at, 'add_remote_publisher', { room: id, streams: [] }), 430);
    refused(await say(api, at, 'add_remote_publisher', { room: id, streams: [{ ...AUDIO, codec: undefined }] }), 429);
  }],
  ['videoroom_77_a_remote_id_once_and_no_onward_sending', async (api) => {
    const { at, id, who } = await room(api);
    const send = (fields) =>
      say(api, at, 'publish_remotely', { room: id, publisher_id: who, remote_id: 'r', host: '127.0.0.1', port: 9, ...fields });
    const done = await send();
    check(done.videoroom === 'success' && done.remote_id === 'r', JSON.stringify(done));
    refused(await send(), 436);
    refused(await send({ remote_id: 's', port: 0 }), 430);
    await say(api, at, 'add_remote_publisher', { room: id, id: 77, streams: [AUDIO] });
    refused(await send({ remote_id: 's', publisher_id: 77 }), 430);
  }],
  ['videoroom_78_a_remote_publisher_leaves_once', async (api) => {
    const { at, id } = await room(api);
    await say(api, at, 'add_remote_publisher', { room: id, id: 77, streams: [AUDIO] });
    const done = await say(api, at, 'remove_remote_publisher', { room: id, id: 77 });
    check(done.videoroom === 'success', JSON.stringify(done));
    await hears(api, at, (one) => one.leaving === 77, 'leaving event');
    refused(await say(api, at, 'remove_remote_publisher', { room: id, id: 77 }), 428);
  }],
  ['videoroom_79_listremotes', async (api) => {
    const { at, id, who } = await room(api);
    await say(api, at, 'publish_remotely', { room: id, publisher_id: who, remote_id: 'r', host: '127.0.0.1', port: 9 });
    const data = await say(api, at, 'listremotes', { room: id, publisher_id: who });
    const [one] = data.list ?? [];
    check(data.videoroom === 'success' && one?.remote_id === 'r' && one.port === 9, JSON.stringify(data));
    const end = { room: id, publisher_id: who, remote_id: 'r' };
    check((await say(api, at, 'unpublish_remotely', end)).videoroom === 'success', 'it is not ended');
    refused(await say(api, at, 'unpublish_remotely', end), 428);
  }],
];

export default checks.map(([name, run]) => ({ name, run }));
