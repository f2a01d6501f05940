// Streaming's checklist, as far as it needs neither a source nor a viewer with media.

import { check } from '../lib/client.mjs';

let nextId = 700_000 + Math.floor(Math.random() * 100_000);

/** Checks a plugin's own error: its shape, its code, and the envelope it came in. */
function refused(data, code, envelope) {
  check(data.streaming === 'event' && data.error_code === code && typeof data.error === 'string',
    `expected ${code}, got ${JSON.stringify(data)}`);
  check(!envelope || data.envelope === envelope, `it came as ${data.envelope}, not ${envelope}`);
}

const say = (api, at, request, fields = {}) => api.plugin(at, { request, ...fields });

const AUDIO = { type: 'audio', mid: 'a1', port: 0, pt: 111, codec: 'opus' };
const VIDEO = { type: 'video', mid: 'v1', port: 0, pt: 96, codec: 'vp8', rtcpport: 0 };

/** A Streaming handle and a mountpoint made with `fields`. */
async function mountpoint(api, fields = {}) {
  const at = await api.attach('streaming');
  const id = (nextId += 1);
  const made = await say(api, at, 'create', { type: 'rtp', id, media: [AUDIO, VIDEO], ...fields });
  check(made.streaming === 'created' && made.stream?.id === id, JSON.stringify(made));
  return { at, id, made };
}

const checks = [
  ['streaming_01_and_03_list_shows_what_was_made', async (api) => {
    const { at, id } = await mountpoint(api, { description: 'Stage' });
    const listing = await say(api, at, 'list');
    check(listing.streaming === 'list' && listing.envelope === 'success', JSON.stringify(listing));
    const one = listing.list.find((item) => item.id === id);
    check(one?.description === 'Stage' && one.enabled === true, JSON.stringify(one));
    check(one.media.map((item) => `${item.mid} ${item.type}`).join() === 'a1 audio,v1 video', JSON.stringify(one));
  }],
  ['streaming_07_and_08_and_10_what_is_wrong_has_its_code', async (api) => {
    const at = await api.attach('streaming');
    refused(await say(api, at, 'info', { id: 5 }), 455, 'success');
    refused(await say(api, at, 'create'), 453);
    refused(await say(api, at, 'create', { type: 'odd' }), 454);
    refused(await say(api, at, 'create', { type: 'rtp', media: [] }), 456);
    refused(await say(api, at, 'juggle'), 452);
  }],
  ['streaming_11_and_12_and_17_ports_and_the_name_are_told', async (api) => {
    const { id, made } = await mountpoint(api);
    const [audio, video] = made.stream.ports;
    check(made.created === `mp-${id}` && audio.port > 0, JSON.stringify(made));
    check(video.port > 0 && video.rtcp_port > 0 && video.mid === 'v1', JSON.stringify(made));
  }],
  ['streaming_22_destroy_answers_with_the_id', async (api) => {
    const { at, id } = await mountpoint(api, { secret: 's' });
    refused(await say(api, at, 'destroy', { id }), 453);
    refused(await say(api, at, 'destroy', { id, secret: 'x' }), 457);
    const done = await say(api, at, 'destroy', { id, secret: 's' });
    check(done.streaming === 'destroyed' && done.destroyed === id, JSON.stringify(done));
    refused(await say(api, at, 'info', { id }), 455);
  }],
  ['streaming_27_and_33_requests_of_viewers_have_an_ack', async (api) => {
    const at = await api.attach('streaming');
    const data = await say(api, at, 'watch', { id: 5 });
    refused(data, 455, 'event');
    check(data.acked, 'there was no ack');
    refused(await say(api, at, 'start'), 455, 'event');
  }],
  ['streaming_28_and_31_watch_is_answered_with_an_offer', async (api) => {
    const { at, id } = await mountpoint(api);
    const other = await mountpoint(api);
    const data = await say(api, at, 'watch', { id });
    check(data.result?.status === 'preparing' && data.jsep?.type === 'offer', JSON.stringify(data));
    check(data.jsep.sdp.match(/a=sendonly/g)?.length === 2, data.jsep.sdp);
    check(/a=mid:a1[\s\S]*a=mid:v1/.test(data.jsep.sdp), data.jsep.sdp);
    refused(await say(api, at, 'watch', { id: other.id }), 460);
  }],
];

export default checks.map(([name, run]) => ({ name, run }));
