// The programs that read Janus's events read ours: paStash, which feeds Homer, and a GELF server.

import { spawn } from 'node:child_process';
import { createWriteStream, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { COLOURS, arrive, check, createRoom, flows, openLab, pause, publish, watch } from '../lib/lab.mjs';
import { ADMIN, EVENTS } from '../lib/server.mjs';

const MODULES = new URL('../node_modules', import.meta.url).pathname;

/** Where paStash sends what it made of the events: in production Homer's or Loki's address. */
const HOMER = 18091;

/** Sends an Admin API request of the whole server. */
async function operate(request) {
  const body = JSON.stringify({ transaction: 'events', admin_secret: ADMIN.secret, ...request });
  const reply = await (await fetch(ADMIN.http, { method: 'POST', body })).json();
  check(reply.janus === 'success', `${request.janus}: ${JSON.stringify(reply)}`);
  return reply;
}

/** Changes what a handler of the server under test sends. */
async function tweak(handler, settings) {
  const request = { request: 'tweak', ...settings };
  const { response } = await operate({ janus: 'query_eventhandler', handler, request });
  check(response.result === 200, `tweak: ${JSON.stringify(response)}`);
}

/** A call in a room, from the first session to the last goodbye. */
async function wholeCall(browser, address) {
  const lab = await openLab(browser);
  await arrive(lab, address, 'ada');
  const room = await createRoom(lab, 'ada');
  const own = await publish(lab, 'ada', room, { audio: 'tone', video: COLOURS.red });
  await watch(lab, 'ada', 'bob', room, [own.id], own.privateId);
  await flows(lab, 'bob', { video: 1, audio: 1 });
  await pause(2500);
  await lab.detach({ name: 'bob' });
  await lab.detach({ name: 'ada' });
  await lab.destroy({ name: 'ada' });
}

async function until(sentence, holds, limit = 30_000) {
  const deadline = Date.now() + limit;
  while (!holds()) {
    check(Date.now() < deadline, typeof sentence === 'function' ? sentence() : sentence);
    await pause(100);
  }
}

/** Takes what paStash posts, as Homer or Loki would. */
async function startHomer() {
  const spans = [];
  const metrics = [];
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (part) => (text += part));
    request.on('end', () => {
      const body = JSON.parse(text);
      if (request.url === '/tempo/spans') spans.push(...body);
      else metrics.push(...body.streams);
      response.writeHead(204).end();
    });
  });
  await new Promise((resolve) => server.listen(HOMER, '127.0.0.1', resolve));
  return { spans, metrics, close: () => server.close() };
}

/** Starts paStash with the recipe of Janus's own documentation: events over HTTP, traced. */
async function startPastash(artifacts) {
  const recipe = join(artifacts, 'pastash.conf');
  writeFileSync(
    recipe,
    `input { http { host => "127.0.0.1" port => ${EVENTS.http} } }
filter {
  app_janus_tracer { metrics => true httpSending => true httpHost => "http://127.0.0.1:${HOMER}" bufferSize => 1 }
}
output { file { path => "${join(artifacts, 'pastash.out')}" serializer => "json_logstash" } }
`,
  );
  const program = join(MODULES, '@pastash/pastash/bin/pastash');
  const env = { ...process.env, NODE_PATH: MODULES };
  const child = spawn(process.execPath, [program, `--config_file=${recipe}`], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const log = createWriteStream(join(artifacts, 'pastash.log'));
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.pipe(log);
    stream.on('data', (text) => (said += text));
  }
  const exit = new Promise((resolve) => child.on('exit', resolve));
  await until('paStash does not listen; see pastash.log', () => said.includes('Config loaded'));
  const stop = async () => {
    child.kill('SIGTERM');
    await exit;
  };
  return { stop, said: () => said };
}

/**
 * What the tracer makes of one call. It fails at events of an operator's own, which have no session,
 * and keeps nothing of core events.
 */
const SPANS = [
  'Session', 'Session Created', 'Session destroyed', 'Handle attached', 'Handle detached',
  'JSEP Event - Offer', 'JSEP Event - Answer', 'ICE connecting', 'ICE connected',
  'ICE ready', 'Local Candidate', 'Remote Candidate', 'Selected Candidates', 'DTLS trying',
  'DTLS connected', 'Connection Up', 'Transport connected', 'User joined', 'User configured',
  'User published', 'User subscribing', 'User subscribed', 'User leaving',
];

async function pastashTraces({ browser, address, artifacts, note }) {
  const homer = await startHomer();
  const pastash = await startPastash(artifacts);
  try {
    await tweak('janus.eventhandler.sampleevh', { events: 'all' });
    await wholeCall(browser, address);
    const missing = () => SPANS.filter((name) => !homer.spans.some((span) => span.name === name));
    await until(() => `paStash made no span of: ${missing()}`, () => missing().length === 0);
    const call = homer.spans.filter((span) => span.name === 'Session');
    const within = homer.spans.filter((span) => span.traceId === call[0].traceId);
    check(within.some((span) => span.name === 'ICE ready'), 'the call is not in one trace with its session');
    check(homer.spans.every((span) => !JSON.stringify(span.tags).includes('undefined')), 'a span lacks what it is about');
    const kinds = new Set(homer.metrics.map((one) => `${one.stream.mediatype} ${one.stream.metric}`));
    const wanted = ['audio', 'video'].flatMap((media) => ['rtt', 'local_lost_packets', 'remote_lost_packets'].map((name) => `${media} ${name}`));
    check(wanted.every((kind) => kinds.has(kind)), `metrics: ${[...kinds]}`);
    const faults = pastash.said().split('\n').filter((line) => /ERROR|Exception|TypeError/.test(line));
    check(faults.length === 0, `paStash says ${faults[0]}`);
    note(`${homer.spans.length} spans, ${homer.metrics.length} metrics`);
  } finally {
    await tweak('janus.eventhandler.sampleevh', { events: 'none' }).catch(() => {});
    await pastash.stop();
    homer.close();
  }
}

/** One message as GELF 1.1 has it, whole after chunks and compression. */
function checkGelf(message) {
  const event = message.full_message;
  check(message.version === '1.1' && typeof message.host === 'string', `GELF: ${JSON.stringify(message)}`);
  check(event && message.host === event.emitter, `GELF: host ${message.host}`);
  check(Number.isFinite(message.timestamp) && Math.abs(message.timestamp - Date.now() / 1000) < 120, `GELF: timestamp ${message.timestamp}`);
  check(message.level === event.type, `GELF: level ${message.level} of ${event.type}`);
  check(typeof message.short_message === 'string' && message.short_message, 'GELF: no short message');
}

async function graylogReads({ browser, address, note, server: kind }) {
  const { default: Server } = await import('graygelf/server.js');
  const server = new Server();
  const messages = [];
  let chunks = 0;
  let zipped = 0;
  server.on('data', (datagram) => {
    check(datagram.length <= 1024 + 12, `a datagram of ${datagram.length} bytes`);
    if (datagram[0] === 0x1e && datagram[1] === 0x0f) chunks += 1;
    if (datagram[0] === 0x1f && datagram[1] === 0x8b) zipped += 1;
  });
  server.on('message', (message) => messages.push(message));
  server.listen(EVENTS.gelf, '127.0.0.1');
  const where = { protocol: 'udp', backend: '127.0.0.1', port: String(EVENTS.gelf) };
  const handler = 'janus.eventhandler.gelfevh';
  try {
    await tweak(handler, { events: 'all', ...where });
    await wholeCall(browser, address);
    await operate({ janus: 'custom_event', schema: 'e2e', data: { note: 'ünïcode' } });
    const seen = () => new Set(messages.map((message) => message.full_message.type));
    // The stock one tells of itself at its start and end only, not every 15 s.
    const types = [1, 2, 4, 8, 16, 32, 64, 128].concat(kind === 'bifrons' ? 256 : []);
    const missing = () => types.filter((type) => !seen().has(type));
    await until(() => `no message of types ${missing()}`, () => missing().length === 0);
    check(chunks > 0, 'a description fits no datagram, yet nothing came in chunks');
    const own = messages.find((message) => message.full_message.type === 4).full_message;
    check(own.event.data.note === 'ünïcode', `an operator's own: ${JSON.stringify(own)}`);
    const plain = messages.length;
    await tweak(handler, { compress: true, compression: 9, ...where });
    await operate({ janus: 'custom_event', schema: 'e2e', data: { note: 'zipped' } });
    const came = () => messages.slice(plain).some((message) => message.full_message.event?.data?.note === 'zipped');
    await until('nothing came compressed', () => zipped > 0 && came());
    messages.forEach(checkGelf);
    note(`${messages.length} messages, ${chunks} chunks, ${zipped} compressed`);
  } finally {
    await tweak(handler, { events: 'none', compress: false, ...where }).catch(() => {});
    server.close();
  }
}

export default [
  { name: 'paStash traces a call for Homer', browsers: ['chromium'], limit: 120, run: pastashTraces },
  { name: 'a GELF server takes every kind of event', browsers: ['chromium'], limit: 120, run: graylogReads },
];
