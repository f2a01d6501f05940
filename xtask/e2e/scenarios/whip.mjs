// Debian's simple-whip-server as a client of ours: it publishes for those who speak WHIP only.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { createWriteStream, mkdirSync, cpSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { COLOURS, arrive, check, createRoom, flows, openLab, pause, shows, watch } from '../lib/lab.mjs';
import { MEDIA_ADDRESS } from '../lib/network.mjs';

const WHIP = 'http://127.0.0.1:7080/whip';
const MODULES = new URL('../node_modules', import.meta.url).pathname;
const TOKEN = 'let me in';

/**
 * Starts the server as its package has it: its program, its own configuration, which names port
 * 8188 on this machine. The package links the one to the other by an absolute path, so below
 * another root the file takes the link's place.
 */
async function startWhipServer(root, artifacts) {
  check(root, 'say --whip FOLDER, where the package simple-whip-server is unpacked');
  const folder = join(artifacts, 'whip');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const installed = join(root, 'usr/share/simple-whip-server');
  for (const name of ['src/server.js', 'src/whip-janus.js', 'web']) {
    cpSync(join(installed, name), join(folder, name), { recursive: true });
  }
  const config = join(root, readlinkSync(join(installed, 'src/config.js')));
  check(readFileSync(config, 'utf8').includes("'ws://127.0.0.1:8188'"), 'the package names another Janus');
  cpSync(config, join(folder, 'src/config.js'));
  const log = createWriteStream(join(artifacts, 'whip.log'));
  const env = { ...process.env, NODE_PATH: MODULES, DEBUG: 'whip:*,janus:*,-janus:vdebug' };
  // Its modules are CommonJS, and the folder may lie below a package that says otherwise.
  const child = spawn(process.execPath, ['src/server.js'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.pipe(log);
  child.stderr.pipe(log);
  let ended = false;
  const exit = new Promise((resolve) => child.on('exit', () => resolve((ended = true))));
  const deadline = Date.now() + 15_000;
  // It listens only once it has a session of ours and has seen the VideoRoom in `info`.
  while (!(await fetch(`${WHIP}/healthcheck`).then((answer) => answer.ok, () => false))) {
    check(!ended, 'the WHIP server ended; see whip.log');
    check(Date.now() < deadline, 'the WHIP server does not answer; see whip.log');
    await pause(100);
  }
  return async () => {
    child.kill('SIGTERM');
    await exit;
  };
}

async function create(endpoint) {
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch(`${WHIP}/create`, { method: 'POST', headers, body: JSON.stringify(endpoint) });
  check(answer.ok, `create: ${answer.status} ${await answer.text()}`);
}

/** Counts RTP packets that arrive at a port of ours, by payload type's kind of stream: its SSRC. */
async function listen() {
  const socket = createSocket('udp4');
  const streams = new Map();
  socket.on('message', (packet) => {
    if (packet.length < 12 || packet[0] >> 6 !== 2 || (packet[1] >= 200 && packet[1] <= 207)) return;
    const ssrc = packet.readUInt32BE(8);
    streams.set(ssrc, (streams.get(ssrc) ?? 0) + 1);
  });
  await new Promise((resolve) => socket.bind(0, MEDIA_ADDRESS.v4, resolve));
  return { port: socket.address().port, streams, close: () => socket.close() };
}

async function publishes(lab, address) {
  await arrive(lab, address, 'viewer');
  const room = await createRoom(lab, 'viewer', { pin: '77', secret: 'keep', notify_joining: false });
  const join = { request: 'join', ptype: 'publisher', room, display: 'viewer', pin: '77' };
  await lab.ask({ name: 'viewer', message: join, like: { videoroom: 'joined' } });
  await create({ id: 'studio', room, pin: '77', label: 'by WHIP', token: TOKEN });
  const url = `${WHIP}/endpoint/studio`;
  const wrong = await lab.whip({ name: 'nobody', url, token: 'wrong', video: COLOURS.red });
  check(wrong.status === 403, `a wrong token: ${JSON.stringify(wrong)}`);
  const sender = { name: 'sender', url, token: TOKEN, video: COLOURS.green };
  const made = await lab.whip(sender);
  check(made.status === 201, `WHIP: ${JSON.stringify(made)}`);
  const heard = await lab.expect({ name: 'viewer', like: { publishers: [{ display: 'by WHIP' }] } });
  const feed = heard.message.publishers[0].id;
  await watch(lab, 'viewer', 'screen', room, [{ feed }], undefined, undefined, { pin: '77' });
  await flows(lab, 'screen', { video: 1, audio: 1 });
  await shows(lab, 'screen', '1', 'green');
  const twice = await lab.whip({ ...sender, name: 'again' });
  check(twice.status === 403, `in use: ${JSON.stringify(twice)}`);
  return { made, feed, room };
}

/** A browser publishes through it, restarts ICE, stops; a subscriber decodes, and hears the end. */
async function throughTheRoom({ browser, address, artifacts, whip }) {
  const stop = await startWhipServer(whip, artifacts);
  try {
    const lab = await openLab(browser);
    const { made, feed } = await publishes(lab, address);
    const before = await lab.descriptions({ name: 'sender' });
    const again = await lab.whipRestart({ name: 'sender', resource: made.resource, token: TOKEN });
    check(again.status === 200 && again.ufrag !== `ice-ufrag:${before.remoteUfrag}`, `restart: ${JSON.stringify(again)}`);
    await flows(lab, 'screen', { video: 1, audio: 1 });
    const headers = { Authorization: `Bearer ${TOKEN}` };
    const ended = await fetch(made.resource, { method: 'DELETE', headers });
    check(ended.status === 200, `DELETE: ${ended.status}`);
    await lab.expect({ name: 'viewer', like: { leaving: feed } });
  } finally {
    await stop();
  }
}

/** When the browser goes without a word, ours tells the WHIP server, which frees the endpoint. */
async function noticesTheEnd({ browser, address, artifacts, whip }) {
  const stop = await startWhipServer(whip, artifacts);
  const sink = await listen();
  try {
    const lab = await openLab(browser);
    await arrive(lab, address, 'viewer');
    const room = await createRoom(lab, 'viewer', { secret: 'keep' });
    const recipient = { host: MEDIA_ADDRESS.v4, audioPort: sink.port, videoPort: sink.port };
    await create({ id: 'relay', room, secret: 'keep', token: TOKEN, recipient });
    const sender = { name: 'sender', url: `${WHIP}/endpoint/relay`, token: TOKEN, video: COLOURS.blue };
    const made = await lab.whip(sender);
    check(made.status === 201, `WHIP: ${JSON.stringify(made)}`);
    const deadline = Date.now() + 20_000;
    while ([...sink.streams.values()].filter((count) => count > 50).length < 2) {
      check(Date.now() < deadline, `forwarded: ${JSON.stringify([...sink.streams])}`);
      await pause(100);
    }
    await lab.vanish({ name: 'sender' });
    const enabled = async () => (await (await fetch(`${WHIP}/endpoints`)).json())[0].enabled;
    while (await enabled()) {
      check(Date.now() < deadline + 30_000, 'the WHIP server was not told of the end');
      await pause(100);
    }
    const anew = await lab.whip(sender);
    check(anew.status === 201, `a second time: ${JSON.stringify(anew)}`);
  } finally {
    sink.close();
    await stop();
  }
}

export default [
  {
    name: 'simple-whip-server publishes a browser into a room',
    browsers: ['chromium'],
    limit: 120,
    run: throughTheRoom,
  },
  {
    name: 'simple-whip-server forwards RTP and hears when its publisher goes',
    browsers: ['chromium'],
    limit: 120,
    run: noticesTheEnd,
  },
];
