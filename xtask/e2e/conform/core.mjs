// The numbered checklist of the core API, as far as one client on the wire can see it.
//
// `variant` names the server's settings a check needs; `only` the transport it is about.

import { check, isError, openClient } from '../lib/client.mjs';
import { PLAIN_OFFER } from './offers.mjs';

const SAFE = (id) => Number.isSafeInteger(id) && id >= 1;
const NOWHERE = 4242424242;

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export default [
  {
    name: 'core_api_01_ping_needs_no_credentials',
    variant: 'secret',
    async run(api) {
      const reply = await api.ask({ janus: 'ping', transaction: 'p1' });
      check(same(reply, { janus: 'pong', transaction: 'p1' }), `ping answered ${JSON.stringify(reply)}`);
    },
  },
  {
    name: 'core_api_02_info_lists_modules_without_credentials',
    variant: 'secret',
    async run(api) {
      const reply = await api.ask({ janus: 'info' });
      check(reply.janus === 'server_info', `info answered ${reply.janus}`);
      for (const key of ['transports', 'events', 'loggers', 'plugins']) {
        check(reply[key] !== null && typeof reply[key] === 'object', `info has no object ${key}`);
      }
      check(reply.plugins['janus.plugin.videoroom']?.version_string, 'info does not describe the VideoRoom');
      check(reply.api_secret === true, 'info does not say that a secret is needed');
      check(reply.data_channels === true, 'info does not know of data channels');
    },
  },
  {
    name: 'core_api_03_and_48_create_returns_a_safe_id',
    async run(api) {
      const replies = [await api.ask({ janus: 'create' }), await api.ask({ janus: 'create' })];
      for (const reply of replies) {
        check(SAFE(reply.data?.id), `create answered ${JSON.stringify(reply)}`);
        check(!('session_id' in reply), 'create answered with a session_id');
      }
      const [session_id, second] = replies.map((reply) => reply.data.id);
      check(session_id !== second, `two sessions are called ${second}`);
      const alive = await api.ask({ janus: 'keepalive', session_id });
      check(alive.janus === 'ack', `the session is not there: ${JSON.stringify(alive)}`);
    },
  },
  {
    name: 'core_api_04_a_wanted_id_is_given_once',
    async run(api) {
      const id = 1 + Math.floor(Math.random() * 1e12);
      const first = await api.ask({ janus: 'create', id });
      check(first.data?.id === id, `create answered ${JSON.stringify(first)}`);
      isError(await api.ask({ janus: 'create', id }), 468, 'Session ID already in use');
    },
  },
  {
    name: 'core_api_05_id_zero_means_any',
    async run(api) {
      const ids = [];
      for (let round = 0; round < 2; round += 1) {
        const reply = await api.ask({ janus: 'create', id: 0 });
        check(SAFE(reply.data?.id), `create answered ${JSON.stringify(reply)}`);
        ids.push(reply.data.id);
      }
      check(ids[0] !== ids[1], `both are called ${ids[0]}`);
    },
  },
  {
    name: 'core_api_06_an_id_of_wrong_type_loses_the_transaction',
    async run(api) {
      const reply = await api.ask({ janus: 'create', id: 'x' });
      isError(reply, 467);
      check(!('transaction' in reply), 'the error carries a transaction');
    },
  },
  {
    name: 'core_api_07_an_incomplete_envelope_loses_the_transaction',
    async run(api) {
      for (const text of ['{"janus":"ping"}', '{"transaction":"t7"}']) {
        const reply = await api.raw(text);
        isError(reply, 456);
        check(!('transaction' in reply), `the error to ${text} carries a transaction`);
      }
    },
  },
  {
    name: 'core_api_08_attach_needs_a_session',
    async run(api) {
      const reply = await api.ask({ janus: 'attach', plugin: 'janus.plugin.echotest' });
      isError(reply, 457, "Unhandled request 'attach' at this path");
    },
  },
  {
    name: 'core_api_09_a_session_id_in_quotes_is_none',
    only: 'ws',
    async run(api) {
      const session_id = String(await api.session());
      const reply = await api.ask({ janus: 'attach', plugin: 'janus.plugin.echotest', session_id });
      isError(reply, 457, "Unhandled request 'attach' at this path");
    },
  },
  {
    name: 'core_api_10_an_unknown_session_is_named',
    async run(api) {
      const reply = await api.ask({ janus: 'keepalive', session_id: NOWHERE });
      isError(reply, 458, `No such session ${NOWHERE}`);
      check(reply.session_id === NOWHERE, `session_id is ${reply.session_id}`);
    },
  },
  {
    name: 'core_api_11_the_secret_is_looked_at_before_the_session',
    variant: 'secret',
    async run(api) {
      isError(await api.ask({ janus: 'keepalive', session_id: NOWHERE, apisecret: 'wrong' }), 403);
      isError(await api.ask({ janus: 'create' }), 403);
      const reply = await api.ask({ janus: 'create', apisecret: 'open sesame' });
      check(SAFE(reply.data?.id), `create with the secret answered ${JSON.stringify(reply)}`);
    },
  },
  {
    name: 'core_api_12_unknown_verbs_depend_on_the_level',
    async run(api) {
      const session_id = await api.session();
      isError(await api.ask({ janus: 'juggle', session_id }), 453, 'juggle');
      isError(await api.ask({ janus: 'juggle' }), 457, 'juggle');
    },
  },
  {
    name: 'core_api_13_keepalive_is_acknowledged',
    async run(api) {
      const session_id = await api.session();
      const reply = await api.ask({ janus: 'keepalive', session_id, transaction: 'k' });
      check(reply.janus === 'ack' && reply.session_id === session_id, `keepalive answered ${JSON.stringify(reply)}`);
      check(reply.transaction === 'k', 'the transaction is not echoed');
    },
  },
  {
    name: 'core_api_14_attach_returns_session_and_handle',
    async run(api) {
      const session_id = await api.session();
      const reply = await api.ask({ janus: 'attach', plugin: 'janus.plugin.echotest', session_id });
      check(reply.janus === 'success' && reply.session_id === session_id && SAFE(reply.data?.id), JSON.stringify(reply));
    },
  },
  {
    name: 'core_api_15_attach_at_a_handle_is_refused',
    async run(api) {
      const at = await api.attach('echotest');
      isError(await api.ask({ janus: 'attach', plugin: 'janus.plugin.echotest', ...at }), 457);
    },
  },
  {
    name: 'core_api_16_an_unknown_plugin_is_named',
    async run(api) {
      const session_id = await api.session();
      isError(await api.ask({ janus: 'attach', plugin: 'janus.plugin.nope', session_id }), 460, "'janus.plugin.nope'");
    },
  },
  {
    name: 'core_api_17_detach_is_one_detached_event_and_no_hangup',
    async run(api) {
      const at = await api.attach('echotest');
      const reply = await api.ask({ janus: 'detach', ...at });
      check(reply.janus === 'success' && reply.session_id === at.session_id, JSON.stringify(reply));
      const event = await api.event((one) => one.janus === 'detached', 'detached event');
      check(event.sender === at.handle_id && event.session_id === at.session_id, JSON.stringify(event));
      const more = await api.quiet((one) => ['detached', 'hangup'].includes(one.janus));
      check(more.length === 0, `more events: ${JSON.stringify(more)}`);
      isError(await api.ask({ janus: 'hangup', ...at }), 459);
    },
  },
  {
    name: 'core_api_18_hangup_without_a_peerconnection_is_silent',
    async run(api) {
      const at = await api.attach('echotest');
      const reply = await api.ask({ janus: 'hangup', ...at });
      check(reply.janus === 'success' && reply.session_id === at.session_id, JSON.stringify(reply));
      const events = await api.quiet((one) => one.janus === 'hangup');
      check(events.length === 0, 'a hangup event came');
    },
  },
  {
    name: 'core_api_18_and_19_hangup_ends_a_negotiation_and_the_handle_lives',
    async run(api) {
      const at = await api.attach('echotest');
      for (const round of [1, 2]) {
        const answer = await api.plugin(at, { audio: true }, PLAIN_OFFER());
        check(answer.result === 'ok' && answer.jsep?.type === 'answer', `round ${round}: ${JSON.stringify(answer)}`);
        await api.ask({ janus: 'hangup', ...at });
        const event = await api.event((one) => one.janus === 'hangup', 'hangup event');
        check(event.reason === 'Janus API' && event.sender === at.handle_id, JSON.stringify(event));
      }
    },
  },
  {
    name: 'core_api_20_destroy_is_silent_and_final',
    async run(api) {
      const at = await api.attach('echotest');
      const reply = await api.ask({ janus: 'destroy', session_id: at.session_id });
      check(reply.janus === 'success' && reply.session_id === at.session_id, JSON.stringify(reply));
      const events = await api.quiet((one) => one.janus === 'detached');
      check(events.length === 0, 'a detached event came');
      isError(await api.ask({ janus: 'keepalive', session_id: at.session_id }), 458);
    },
  },
  {
    name: 'core_api_21_claim_moves_events_not_replies',
    only: 'ws',
    async run(api) {
      const at = await api.attach('echotest');
      const other = await openClient('ws');
      const claimed = await other.ask({ janus: 'claim', session_id: at.session_id });
      check(claimed.janus === 'success', JSON.stringify(claimed));
      const reply = await api.message(at, { audio: true });
      check(reply.janus === 'ack', `the requester got ${JSON.stringify(reply)}`);
      const event = await other.event((one) => one.janus === 'event', 'event at the claimer');
      check(event.plugindata.data.result === 'ok', JSON.stringify(event));
      await other.close();
    },
  },
  {
    name: 'core_api_22_and_64_claim_answers_with_the_session',
    async run(api) {
      const at = await api.attach('echotest');
      for (const packet of [{ session_id: at.session_id }, at]) {
        const reply = await api.ask({ janus: 'claim', ...packet });
        check(reply.janus === 'success' && reply.session_id === at.session_id, JSON.stringify(reply));
        check(!('data' in reply), 'claim answered with data');
      }
    },
  },
  {
    name: 'core_api_23_a_closed_socket_takes_its_sessions_along',
    only: 'ws',
    async run(api) {
      const session_id = await api.session();
      const other = await openClient('ws');
      const before = await other.ask({ janus: 'keepalive', session_id });
      check(before.janus === 'ack' && before.session_id === session_id, JSON.stringify(before));
      await api.close();
      await new Promise((resolve) => setTimeout(resolve, 300));
      isError(await other.ask({ janus: 'keepalive', session_id }), 458);
      await other.close();
    },
  },
  {
    name: 'core_api_24_a_session_can_be_reclaimed_in_time',
    variant: 'reclaim',
    only: 'ws',
    async run(api) {
      const session_id = await api.session();
      await api.close();
      await new Promise((resolve) => setTimeout(resolve, 500));
      const other = await openClient('ws');
      const reply = await other.ask({ janus: 'claim', session_id });
      check(reply.janus === 'success' && reply.session_id === session_id, JSON.stringify(reply));
      await other.close();
    },
  },
  {
    name: 'core_api_25_an_idle_session_times_out',
    variant: 'short',
    only: 'ws',
    async run(api) {
      const session_id = await api.session();
      const started = Date.now();
      const event = await api.event((one) => one.janus === 'timeout', 'timeout event', 9000);
      const seconds = (Date.now() - started) / 1000;
      check(event.session_id === session_id && !('sender' in event), JSON.stringify(event));
      // Whole seconds are counted, by a sweep every two.
      check(seconds >= 2.5 && seconds <= 6.3, `it came after ${seconds} s, not 3 to 6`);
      isError(await api.ask({ janus: 'keepalive', session_id }), 458);
    },
  },
  {
    name: 'core_api_26_a_failing_request_counts_as_activity',
    variant: 'short',
    async run(api) {
      const session_id = await api.session();
      for (let round = 0; round < 6; round += 1) {
        await new Promise((resolve) => setTimeout(resolve, 1500));
        isError(await api.ask({ janus: 'hangup', session_id, handle_id: 77 }), 459);
      }
    },
  },
];
