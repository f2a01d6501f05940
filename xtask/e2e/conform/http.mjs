// What belongs to one transport: HTTP statuses, long polls, CORS; WebSocket frames and handshake.

import WebSocket from 'ws';
import { check, isError, openClient } from '../lib/client.mjs';
import { ADDRESS } from '../lib/server.mjs';

const BASE = ADDRESS.http;
const send = (path, options = {}) => fetch(`${BASE}${path}`, { redirect: 'manual', ...options });
const post = (path, body, headers) => send(path, { method: 'POST', body: JSON.stringify(body), headers });

/** A handle with one event queued for each of `count` requests. */
async function queued(api, count) {
  const at = await api.attach('echotest');
  for (let round = 0; round < count; round += 1) {
    const reply = await api.message(at, { audio: true });
    check(reply.janus === 'ack', JSON.stringify(reply));
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
  return at;
}

/** What the server answers on a raw WebSocket to `frames`, within half a second. */
async function speak(...frames) {
  const client = await openClient('ws');
  const seen = [];
  client.socket.on('message', (data) => seen.push(JSON.parse(data)));
  for (const [data, options] of frames) client.socket.send(data, options ?? {});
  await new Promise((resolve) => setTimeout(resolve, 500));
  await client.close();
  return seen;
}

const http = [
  {
    name: 'transports_02_03_and_18_post_answers_200_whatever_the_type',
    async run() {
      const made = await post('', { janus: 'create', transaction: 'a' }, { 'content-type': 'text/plain' });
      check(made.status === 200, `status ${made.status}`);
      check(made.headers.get('content-type')?.startsWith('application/json'), 'the answer is not JSON');
      const { data } = await made.json();
      check(Number.isSafeInteger(data?.id), 'create brought no id');
      const lost = await post('/4242', { janus: 'keepalive', transaction: 'b' });
      check(lost.status === 200, `status ${lost.status}`);
      isError(await lost.json(), 458);
    },
  },
  {
    name: 'transports_04_a_poll_of_an_unknown_session_is_404',
    async run() {
      const reply = await send('/4242?maxev=1');
      check(reply.status === 404 && (await reply.text()) === '', `status ${reply.status}`);
    },
  },
  {
    name: 'transports_05_06_and_56_info_and_ping_by_get',
    async run() {
      const info = await (await send('/info')).json();
      check(info.janus === 'server_info' && info.transaction, JSON.stringify(info).slice(0, 100));
      const pong = await (await send('/ping')).json();
      check(pong.janus === 'pong' && pong.transaction, JSON.stringify(pong));
    },
  },
  {
    name: 'transports_07_put_is_not_supported',
    async run() {
      const reply = await send('', { method: 'PUT' });
      check(reply.status === 200, `status ${reply.status}`);
      isError(await reply.json(), 450);
    },
  },
  {
    name: 'transports_08_paths_outside_are_404',
    async run() {
      check((await send('/1/2/3')).status === 404, 'too many components were taken');
      check((await fetch(BASE.replace('/janus', '/other'))).status === 404, '/other was taken');
    },
  },
  {
    name: 'transports_09_polling_a_handle_is_sent_to_its_session',
    async run(api) {
      const { session_id, handle_id } = await api.attach('echotest');
      const reply = await send(`/${session_id}/${handle_id}`);
      check(reply.status === 302, `status ${reply.status}`);
      check(reply.headers.get('location')?.endsWith(`/janus/${session_id}`), `to ${reply.headers.get('location')}`);
    },
  },
  {
    name: 'transports_10_a_poll_is_an_object_or_an_array',
    async run(api) {
      const { session_id } = await queued(api, 2);
      const one = await (await send(`/${session_id}`)).json();
      check(!Array.isArray(one) && one.janus === 'event', JSON.stringify(one));
      const more = await (await send(`/${session_id}?maxev=10`)).json();
      check(Array.isArray(more) && more.length === 1, JSON.stringify(more));
    },
  },
  {
    name: 'transports_13_maxev_bounds_what_a_poll_brings',
    async run(api) {
      const { session_id } = await queued(api, 3);
      const sizes = [];
      for (let round = 0; round < 2; round += 1) {
        sizes.push((await (await send(`/${session_id}?maxev=2`)).json()).length);
      }
      check(sizes.join() === '2,1', `polls brought ${sizes} events`);
    },
  },
  {
    name: 'transports_11_an_idle_poll_answers_keepalive_after_thirty_seconds',
    limit: 40,
    async run(api) {
      const session = await api.session();
      const started = Date.now();
      const reply = await (await send(`/${session}?maxev=5`)).json();
      const seconds = (Date.now() - started) / 1000;
      check(JSON.stringify(reply) === '[{"janus":"keepalive"}]', JSON.stringify(reply));
      check(seconds > 28.5 && seconds < 31.5, `after ${seconds} s`);
    },
  },
  {
    name: 'transports_15_a_poll_with_the_wrong_secret_is_403',
    variant: 'secret',
    async run() {
      const made = await (await post('', { janus: 'create', transaction: 'a', apisecret: 'open sesame' })).json();
      check(made.data?.id, JSON.stringify(made));
      const refused = await send(`/${made.data.id}?apisecret=wrong`);
      check(refused.status === 403, `status ${refused.status}`);
      isError(await (await post(`/${made.data.id}`, { janus: 'keepalive', transaction: 'b' })).json(), 403);
    },
  },
  {
    name: 'transports_16_17_and_57_ids_in_path_and_payload',
    async run(api) {
      const session_id = await api.session();
      const conflict = await (await post(`/${session_id}`, { janus: 'keepalive', transaction: 'c', session_id: 7 })).json();
      isError(conflict, 457);
      check(!('transaction' in conflict) && !('session_id' in conflict), JSON.stringify(conflict));
      const inside = await (await post('', { janus: 'keepalive', transaction: 'd', session_id })).json();
      check(inside.janus === 'ack' && inside.session_id === session_id, JSON.stringify(inside));
    },
  },
  {
    name: 'transports_19_and_61_what_does_not_parse',
    async run() {
      const said = async (body) => (await send('', { method: 'POST', body })).json();
      isError(await said('{"janus":'), 454);
      isError(await said('[]'), 455);
      isError(await said('{"janus":"ping","transaction":"a"}{"janus":"ping","transaction":"b"}'), 454);
    },
  },
  {
    name: 'transports_20_options_mirror_what_was_asked',
    async run() {
      const headers = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-mine', origin: 'http://a' };
      const reply = await send('', { method: 'OPTIONS', headers });
      const got = (name) => reply.headers.get(`access-control-${name}`);
      check(reply.status === 200, `status ${reply.status}`);
      check(got('allow-origin') === '*', `allow-origin ${got('allow-origin')}`);
      check(got('max-age') === '86400', `max-age ${got('max-age')}`);
      check(got('allow-methods') === 'POST' && got('allow-headers') === 'x-mine', 'not mirrored');
    },
  },
];

const ws = [
  {
    name: 'transports_24_the_subprotocol_is_required',
    async run() {
      const outcome = (protocols) =>
        new Promise((resolve) => {
          const socket = new WebSocket(ADDRESS.ws, protocols);
          socket.on('open', () => resolve(`open ${socket.protocol}`) ?? socket.terminate());
          socket.on('error', () => resolve('refused'));
          socket.on('close', () => resolve('closed'));
        });
      check((await outcome(['odd', 'janus-protocol'])) === 'open janus-protocol', 'janus-protocol is not chosen');
      check((await outcome([])) === 'refused', 'no subprotocol was accepted');
    },
  },
  {
    name: 'transports_25_any_path_serves_websockets',
    async run() {
      const pong = await new Promise((resolve, reject) => {
        const socket = new WebSocket(`${ADDRESS.ws}/some/where`, 'janus-protocol');
        socket.on('open', () => socket.send('{"janus":"ping","transaction":"p"}'));
        socket.on('message', (data) => resolve(JSON.parse(data)) ?? socket.terminate());
        socket.on('error', reject);
      });
      check(pong.janus === 'pong' && pong.transaction === 'p', JSON.stringify(pong));
    },
  },
  {
    name: 'transports_27_one_broken_value_spoils_the_message',
    async run() {
      const seen = await speak(['{"janus":"create","transaction":"a"}{"janus":']);
      check(seen.length === 1, `answers: ${JSON.stringify(seen)}`);
      isError(seen[0], 454);
    },
  },
  {
    name: 'transports_28_a_fragmented_request_is_joined',
    async run() {
      const seen = await speak(['{"janus":"pi', { fin: false }], ['ng","transaction":"f"}']);
      check(JSON.stringify(seen) === '[{"janus":"pong","transaction":"f"}]', JSON.stringify(seen));
    },
  },
  {
    name: 'transports_29_and_32_sessions_are_not_bound_to_a_socket',
    async run(api) {
      const sessions = [await api.session(), await api.session()];
      const other = await openClient('ws');
      for (const session_id of sessions) {
        const reply = await other.ask({ janus: 'keepalive', session_id });
        check(reply.janus === 'ack' && reply.session_id === session_id, JSON.stringify(reply));
      }
      await other.close();
    },
  },
  {
    name: 'transports_60_odd_websocket_messages',
    async run() {
      const binary = await speak([Buffer.from('{"janus":"ping","transaction":"b"}'), { binary: true }]);
      check(binary[0]?.janus === 'pong', JSON.stringify(binary));
      isError((await speak(['[]']))[0] ?? {}, 456);
      isError((await speak(['"text"']))[0] ?? {}, 454);
    },
  },
];

export default [
  ...http.map((one) => ({ ...one, only: 'http' })),
  ...ws.map((one) => ({ ...one, only: 'ws' })),
];
