// The rest of the core API's checklist: messages, session descriptions, candidates, envelopes.

import { check, isError, openClient, transaction } from '../lib/client.mjs';
import { PLAIN_OFFER } from './offers.mjs';

const CANDIDATE = {
  candidate: 'candidate:1 1 udp 2122260223 192.0.2.7 50123 typ host',
  sdpMid: '0',
  sdpMLineIndex: 0,
};

/** `trickle` with these fields; resolves with the reply. */
const trickle = (api, at, fields) => api.ask({ janus: 'trickle', ...at, ...fields });

/** Checks a trickle was taken. */
async function taken(api, at, fields) {
  const reply = await trickle(api, at, fields);
  check(reply.janus === 'ack' && reply.session_id === at.session_id, `${JSON.stringify(fields)}: ${JSON.stringify(reply)}`);
}

/** An EchoTest handle with an offer answered, so that candidates are looked at. */
async function negotiated(api) {
  const at = await api.attach('echotest');
  const answer = await api.plugin(at, { audio: true }, PLAIN_OFFER());
  check(answer.jsep?.type === 'answer', JSON.stringify(answer));
  return at;
}

export default [
  {
    name: 'core_api_27_body_has_to_be_an_object',
    async run(api) {
      const at = await api.attach('echotest');
      isError(await api.ask({ janus: 'message', ...at }), 456, 'body');
      isError(await api.message(at, 'x'), 467, 'body');
    },
  },
  {
    name: 'core_api_28_and_29_a_bad_jsep_never_reaches_the_plugin',
    async run(api) {
      const at = await api.attach('echotest');
      const refuse = async (jsep, code, text) =>
        isError(await api.ask({ janus: 'message', ...at, body: { audio: true }, jsep }), code, text);
      await refuse(null, 455, 'Invalid jsep object');
      await refuse({ type: 'pranswer', sdp: 'v=0' }, 464, 'pranswer');
      await refuse({ sdp: 'v=0' }, 456, 'type');
      await refuse({ type: 'offer', sdp: 7 }, 467, 'sdp');
      const events = await api.quiet((one) => one.janus === 'event');
      check(events.length === 0, `the plugin spoke: ${JSON.stringify(events)}`);
    },
  },
  {
    name: 'core_api_30_an_answer_needs_an_offer',
    async run(api) {
      const at = await api.attach('echotest');
      isError(await api.message(at, { audio: true }, { ...PLAIN_OFFER(), type: 'answer' }), 469);
    },
  },
  {
    name: 'core_api_31_32_50_and_52_verdicts_become_replies',
    async run(api) {
      const at = await api.attach('videoroom');
      const list = await api.ask({ janus: 'message', ...at, transaction: 'l', body: { request: 'list' } });
      check(list.janus === 'success' && list.sender === at.handle_id && list.transaction === 'l', JSON.stringify(list));
      check(list.plugindata?.plugin === 'janus.plugin.videoroom', JSON.stringify(list.plugindata));
      check(Array.isArray(list.plugindata.data.list), JSON.stringify(list.plugindata.data));
      const ack = await api.ask({ janus: 'message', ...at, transaction: 'j', body: { request: 'configure' } });
      check(ack.janus === 'ack' && ack.session_id === at.session_id, JSON.stringify(ack));
      const event = await api.event((one) => one.janus === 'event', 'event');
      check(event.transaction === 'j' && event.sender === at.handle_id, JSON.stringify(event));
      check(event.plugindata.data.error_code === 424, JSON.stringify(event.plugindata.data));
    },
  },
  {
    name: 'core_api_33_and_37_early_and_foreign_candidates_are_acknowledged',
    async run(api) {
      const at = await api.attach('echotest');
      await taken(api, at, { candidate: CANDIDATE });
      const answer = await api.plugin(at, { audio: true }, PLAIN_OFFER());
      check(answer.jsep?.type === 'answer', JSON.stringify(answer));
      await taken(api, at, { candidate: { ...CANDIDATE, sdpMid: '1', sdpMLineIndex: 1 } });
    },
  },
  {
    name: 'core_api_34_trickle_takes_one_of_two_fields',
    async run(api) {
      const at = await negotiated(api);
      isError(await trickle(api, at, { candidate: CANDIDATE, candidates: [CANDIDATE] }), 454);
      isError(await trickle(api, at, {}), 456, 'candidate|candidates');
      isError(await trickle(api, at, { candidate: {} }), 456, 'sdpMid or sdpMLineIndex');
      isError(await trickle(api, at, { candidate: { ...CANDIDATE, sdpMid: 5 } }), 467, 'sdpMid');
    },
  },
  {
    name: 'core_api_35_and_36_ends_and_odd_elements_are_acknowledged',
    async run(api) {
      const at = await negotiated(api);
      await taken(api, at, { candidates: [CANDIDATE, 'odd', {}] });
      await taken(api, at, { candidates: [] });
      await taken(api, at, { candidate: { ...CANDIDATE, candidate: '' } });
      await taken(api, at, { candidate: { completed: true } });
      await taken(api, at, { candidate: null });
    },
  },
  {
    name: 'core_api_41_opaque_ids_stay_inside_by_default',
    async run(api) {
      const session_id = await api.session();
      const packet = { janus: 'attach', plugin: 'janus.plugin.videoroom', session_id, opaque_id: 'mine' };
      const { data } = await api.ask(packet);
      const reply = await api.message({ session_id, handle_id: data.id }, { request: 'list' });
      check(reply.sender === data.id && Array.isArray(reply.plugindata?.data.list), JSON.stringify(reply));
      check(!('opaque_id' in reply), 'the reply carries the opaque id');
    },
  },
  {
    name: 'core_api_42_verbs_ignore_case',
    async run(api) {
      const reply = await api.ask({ janus: 'PING', transaction: 'p' });
      check(reply.janus === 'pong' && reply.transaction === 'p', JSON.stringify(reply));
    },
  },
  {
    name: 'core_api_43_a_new_ufrag_brings_a_new_ufrag',
    async run(api) {
      const at = await api.attach('echotest');
      const ufrag = (answer) => answer.jsep?.sdp.match(/a=ice-ufrag:(\S+)/)?.[1];
      const first = ufrag(await api.plugin(at, { audio: true }, PLAIN_OFFER()));
      const second = ufrag(await api.plugin(at, { audio: true }, PLAIN_OFFER()));
      check(first && second && first !== second, `the server's ufrags are ${first} and ${second}`);
    },
  },
  {
    name: 'core_api_44_a_broken_description_is_465',
    async run(api) {
      const at = await api.attach('echotest');
      isError(await api.message(at, { audio: true }, { type: 'offer', sdp: 'garbage' }), 465);
      const offer = PLAIN_OFFER();
      const bare = offer.sdp.replace(/a=ice-(ufrag|pwd):.*\r\n/g, '');
      isError(await api.message(at, { audio: true }, { type: 'offer', sdp: bare }), 465);
    },
  },
  {
    name: 'core_api_46_handle_zero_is_not_found',
    async run(api) {
      const session_id = await api.session();
      const reply = await api.ask({ janus: 'hangup', session_id, handle_id: 0 });
      isError(reply, 459);
    },
    only: 'ws',
  },
  {
    name: 'core_api_47_every_error_in_a_session_names_it',
    async run(api) {
      const session_id = await api.session();
      for (const packet of [{ janus: 'juggle' }, { janus: 'hangup', handle_id: 99 }, { janus: 'attach', plugin: 'x' }]) {
        const reply = await api.ask({ ...packet, session_id });
        check(reply.janus === 'error' && reply.session_id === session_id, JSON.stringify(reply));
        check(reply.transaction, 'the error has no transaction');
      }
    },
  },
  {
    name: 'core_api_54_a_thousand_keepalives',
    only: 'ws',
    async run(api) {
      const session_id = await api.session();
      const asks = Array.from({ length: 1000 }, async () => {
        const started = performance.now();
        const reply = await api.ask({ janus: 'keepalive', session_id });
        check(reply.janus === 'ack', JSON.stringify(reply));
        return performance.now() - started;
      });
      const slowest = Math.max(...(await Promise.all(asks)));
      check(slowest < 1000, `the slowest took ${slowest} ms`);
    },
  },
  {
    name: 'core_api_55_a_negative_session_is_read_unsigned',
    only: 'ws',
    async run(api) {
      const reply = await api.ask({ janus: 'keepalive', session_id: -5 });
      isError(reply, 458, '18446744073709551611');
    },
  },
  {
    name: 'core_api_56_odd_handle_ids',
    only: 'ws',
    async run(api) {
      const session_id = await api.session();
      for (const handle_id of ['12', 1.5]) {
        isError(await api.ask({ janus: 'hangup', session_id, handle_id }), 459);
      }
      const reply = await api.ask({ janus: 'keepalive', session_id, handle_id: null });
      check(reply.janus === 'ack', JSON.stringify(reply));
    },
  },
  {
    // Janus refuses the whole description; refusing the one line serves the caller better.
    name: 'core_api_57_a_line_of_another_kind_is_never_accepted',
    async run(api) {
      const at = await api.attach('echotest');
      const jsep = PLAIN_OFFER();
      jsep.sdp += 'm=text 9 UDP/TLS/RTP/SAVPF 99\r\na=mid:9\r\na=rtpmap:99 t140/1000\r\n';
      const reply = await api.message(at, { audio: true }, jsep);
      if (reply.janus === 'error') return isError(reply, 465, 'Invalid m= line: m=text');
      const event = await api.event((one) => one.janus === 'event', 'event');
      check(/m=text 0 /.test(event.jsep?.sdp ?? ''), `the line is not refused in ${JSON.stringify(event)}`);
    },
  },
  {
    name: 'core_api_59_fifty_requests_at_once',
    async run(api) {
      const at = await api.attach('echotest');
      const names = Array.from({ length: 50 }, transaction);
      const ask = (name) => api.ask({ janus: 'message', ...at, transaction: name, body: { audio: true } });
      const replies = await Promise.all(names.map(ask));
      check(replies.every((one) => one.janus === 'ack'), 'not all were acknowledged');
      for (const name of names) {
        const event = await api.event((one) => one.transaction === name, `event of ${name}`);
        check(event.plugindata?.data.result === 'ok', JSON.stringify(event));
      }
      const more = await api.quiet((one) => one.janus === 'event', 300);
      check(more.length === 0, `${more.length} events too many`);
    },
  },
  {
    name: 'core_api_61_an_offer_without_mids_is_taken',
    async run(api) {
      const at = await api.attach('echotest');
      const offer = PLAIN_OFFER();
      const sdp = offer.sdp.replace(/a=(mid|group):.*\r\n/g, '');
      const answer = await api.plugin(at, { audio: true }, { type: 'offer', sdp });
      check(answer.jsep?.type === 'answer', JSON.stringify(answer));
    },
  },
  {
    name: 'core_api_63_jsep_switches_have_types',
    async run(api) {
      const at = await api.attach('echotest');
      for (const key of ['e2ee', 'trickle', 'rid_order']) {
        const jsep = { ...PLAIN_OFFER(), [key]: 7 };
        isError(await api.message(at, { audio: true }, jsep), 467, key);
      }
      const answer = await api.plugin(at, { audio: true }, { ...PLAIN_OFFER(), svc: 'odd' });
      check(answer.jsep?.type === 'answer', JSON.stringify(answer));
    },
  },
  {
    name: 'core_api_53_each_message_is_one_value',
    only: 'ws',
    async run(api) {
      const other = await openClient('ws');
      const seen = [];
      other.socket.on('message', (data) => seen.push(String(data)));
      other.socket.send('{"janus":"ping","transaction":"a"}{"janus":"ping","transaction":"b"}');
      await new Promise((resolve) => setTimeout(resolve, 500));
      const names = seen.map((text) => JSON.parse(text)).map((one) => `${one.janus} ${one.transaction}`).sort();
      check(names.join() === 'pong a,pong b', `two requests in one message brought ${names.join()}`);
      await other.close();
    },
  },
];
