// Streaming: a browser watches mountpoints that no UDP port feeds.

import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { check, flows, openLab, pause, shows, up } from '../lib/lab.mjs';

const CAMERA = join(import.meta.dirname, '..', 'clients', 'camera.py');
/** Debian's Python: another one does not know GStreamer. */
const PYTHON = '/usr/bin/python3';

/** Starts GStreamer's RTSP server; resolves with its URL and what ends it. */
async function camera(...options) {
  const child = spawn(PYTHON, [CAMERA, ...options], { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = new Promise((_, reject) => child.on('exit', (code) => reject(new Error(`the camera ended: ${code}`))));
  gone.catch(() => {});
  const said = createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  const { value } = await Promise.race([said, gone]);
  return { url: `rtsp://127.0.0.1:${value.replace('port ', '')}/cam`, stop: () => child.kill('SIGKILL') };
}

/** Three seconds of a tone, as an Ogg Opus file. */
function tone(folder) {
  const file = join(folder, 'tone.opus');
  const line = `audiotestsrc num-buffers=150 samplesperbuffer=960 freq=440 ! audio/x-raw,rate=48000,channels=2
    ! audioconvert ! opusenc ! oggmux ! filesink location=${file}`;
  execFileSync('gst-launch-1.0', ['-q', ...line.split(/\s+/)]);
  return file;
}

/** Opens a session with one Streaming handle and creates a mountpoint. */
async function mount(lab, address, name, create) {
  await lab.connect({ name, server: address });
  await lab.attach({ name, session: name, plugin: 'janus.plugin.streaming' });
  const reply = await lab.send({ name, message: { request: 'create', ...create } });
  check(reply?.streaming === 'created', `create answered ${JSON.stringify(reply)}`);
  return reply.stream.id;
}

/** Watches a mountpoint; the server offers. */
async function watch(lab, name, id) {
  const offered = await lab.ask({ name, message: { request: 'watch', id }, like: { result: { status: 'preparing' } } });
  check(offered.jsep?.type === 'offer', `watch brought ${JSON.stringify(offered)}`);
  const jsep = await lab.createAnswer({ name, jsep: offered.jsep });
  await lab.ask({ name, message: { request: 'start' }, jsep, like: { result: { status: 'starting' } } });
  await up(lab, name);
}

export default [
  {
    name: 'streaming: a camera is watched',
    each: true,
    limit: 90,
    async run({ browser, address }) {
      const source = await camera('--video', 'vp8', '--audio', 'opus', '--pattern', 'red');
      try {
        const lab = await openLab(browser);
        const id = await mount(lab, address, 'viewer', { type: 'rtsp', url: source.url, audio: true, video: true });
        await watch(lab, 'viewer', id);
        await flows(lab, 'viewer', { video: 1, audio: 1 });
        await shows(lab, 'viewer', 'v', 'red');
        await lab.send({ name: 'viewer', message: { request: 'destroy', id } });
      } finally {
        source.stop();
      }
    },
  },
  {
    name: 'streaming: a live file is heard',
    each: true,
    limit: 90,
    async run({ browser, address, artifacts }) {
      const lab = await openLab(browser);
      const filename = tone(artifacts);
      const id = await mount(lab, address, 'listener', { type: 'live', filename, audio: true, audiocodec: 'opus', audiopt: 111 });
      await watch(lab, 'listener', id);
      await lab.unmute({ name: 'listener', mid: '0' });
      // Longer than the file lasts: it begins again.
      await flows(lab, 'listener', { audio: 1, packets: 200 });
      const energy = async () => (await lab.stats({ name: 'listener' })).in[0].energy;
      const before = await energy();
      await pause(1000);
      const gained = (await energy()) - before;
      check(gained > 0.001, `a second of the tone has the energy ${gained}`);
      await lab.send({ name: 'listener', message: { request: 'destroy', id } });
    },
  },
];
