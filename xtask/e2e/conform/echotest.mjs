// EchoTest's checklist, as far as it needs no media at the other end.

import { check, isError } from '../lib/client.mjs';
import { PLAIN_OFFER, offer } from './offers.mjs';

const checks = [
  ['echotest_01_to_03_and_12_bad_requests_are_413', async (api) => {
    const at = await api.attach('echotest');
    for (const body of [{}, { audio: 'yes' }, { bitrate: -1 }, { substream: 3 }]) {
      const data = await api.plugin(at, body);
      check(data.error_code === 413 && data.echotest === 'event', `${JSON.stringify(body)}: ${JSON.stringify(data)}`);
    }
  }],
  ['echotest_04_an_ack_with_a_hint', async (api) => {
    const at = await api.attach('echotest');
    const ack = await api.message(at, { audio: true });
    check(ack.janus === 'ack' && typeof ack.hint === 'string', JSON.stringify(ack));
    const event = await api.event((one) => one.janus === 'event', 'event');
    check(event.transaction === ack.transaction && event.plugindata.data.result === 'ok', JSON.stringify(event));
  }],
  ['echotest_05_an_offer_is_answered_both_ways', async (api) => {
    const at = await api.attach('echotest');
    const { result, jsep } = await api.plugin(at, { audio: true, video: true }, PLAIN_OFFER());
    check(result === 'ok' && jsep?.type === 'answer', JSON.stringify({ result, jsep }));
    check(jsep.sdp.match(/a=sendrecv/g)?.length === 2, `not both lines are sendrecv:\n${jsep.sdp}`);
  }],
  ['echotest_11_the_wanted_codec_is_answered', async (api) => {
    const at = await api.attach('echotest');
    const { jsep } = await api.plugin(at, { video: true, videocodec: 'h264' }, offer(['vp8', 'h264']));
    check(jsep?.sdp.includes('H264/90000'), `no H.264 in\n${jsep?.sdp}`);
    check(!jsep.sdp.includes('VP8/90000'), 'VP8 is answered as well');
  }],
  ['echotest_18_garbage_is_the_cores_business', async (api) => {
    const at = await api.attach('echotest');
    isError(await api.message(at, { audio: true }, { type: 'offer', sdp: 'garbage' }), 465);
  }],
  ['echotest_20_e2ee_comes_back', async (api) => {
    const at = await api.attach('echotest');
    const { jsep } = await api.plugin(at, { audio: true }, { ...PLAIN_OFFER(), e2ee: true });
    check(jsep?.e2ee === true, JSON.stringify(jsep));
  }],
];

export default checks.map(([name, run]) => ({ name, run }));
