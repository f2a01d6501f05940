// Mountpoints that ffmpeg and GStreamer feed over UDP, as their users do, and a browser watches.

import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { check, flows, openLab, pause, shows, up } from '../lib/lab.mjs';

/** Starts a program that sends until it is stopped; its words go to a file among the artifacts. */
function sender(artifacts, program, line) {
  const log = join(artifacts, `${program}-${Date.now()}.log`);
  const child = spawn(program, line.trim().split(/\s+/), { stdio: ['ignore', 'pipe', 'pipe'] });
  const out = createWriteStream(log);
  child.stdout.pipe(out);
  child.stderr.pipe(out);
  let ended = null;
  child.on('error', (error) => (ended = error.message));
  child.on('exit', (code) => (ended ??= `status ${code}`));
  return {
    runs: () => check(ended === null, `${program} ended with ${ended}; see ${log}`),
    stop: () => child.kill('SIGKILL'),
  };
}

/** Red and a tone, as VP8 and Opus, with reports of their own. */
const FFMPEG = (audio, video, rtcp) => `-nostdin -loglevel warning -re
  -f lavfi -i color=c=red:size=320x240:rate=25 -re -f lavfi -i sine=frequency=440:sample_rate=48000
  -map 0:v -c:v libvpx -deadline realtime -cpu-used 8 -b:v 300k -g 50 -threads 1
  -f rtp -payload_type 100 rtp://127.0.0.1:${video}?rtcpport=${rtcp}&pkt_size=1200
  -map 1:a -c:a libopus -b:a 48k -ac 2
  -f rtp -payload_type 111 rtp://127.0.0.1:${audio}?pkt_size=1200`;

/** Green, as VP8 with one keyframe at the start and no other. */
const GSTREAMER = (port) => `-q videotestsrc is-live=true pattern=green
  ! video/x-raw,width=320,height=240,framerate=25/1
  ! vp8enc deadline=1 cpu-used=8 target-bitrate=300000 keyframe-max-dist=1000000 threads=1
  ! rtpvp8pay mtu=1200 pt=98 ! udpsink host=127.0.0.1 port=${port}`;

/** Opens a session with one Streaming handle. */
async function come(lab, address, name) {
  await lab.connect({ name, server: address });
  await lab.attach({ name, session: name, plugin: 'janus.plugin.streaming' });
}

/** Creates a mountpoint of ports; resolves with its id and them, by mid. */
async function mount(lab, name, create) {
  const reply = await lab.send({ name, message: { request: 'create', type: 'rtp', ...create } });
  check(reply?.streaming === 'created', `create answered ${JSON.stringify(reply)}`);
  const ports = Object.fromEntries(reply.stream.ports.map((one) => [one.mid, one]));
  return { id: reply.stream.id, ports };
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
    name: 'senders: what ffmpeg sends is seen and heard, across its restart',
    each: true,
    limit: 120,
    async run({ browser, address, artifacts }) {
      const lab = await openLab(browser);
      await come(lab, address, 'viewer');
      const media = [
        { type: 'audio', mid: 'a', port: 0, pt: 111, codec: 'opus' },
        { type: 'video', mid: 'v', port: 0, rtcpport: 0, pt: 100, codec: 'vp8' },
      ];
      const { id, ports } = await mount(lab, 'viewer', { media });
      const line = FFMPEG(ports.a.port, ports.v.port, ports.v.rtcp_port);
      let feed = sender(artifacts, 'ffmpeg', line);
      try {
        await watch(lab, 'viewer', id);
        await flows(lab, 'viewer', { video: 1, audio: 1 });
        await shows(lab, 'viewer', 'v', 'red');
        feed.runs();
        // Another SSRC, other numbers, another time: the viewer's stream goes on.
        feed.stop();
        await pause(500);
        feed = sender(artifacts, 'ffmpeg', line);
        await flows(lab, 'viewer', { video: 1, audio: 1 });
        const { in: lines } = await lab.stats({ name: 'viewer' });
        check(lines.length === 2, `one stream a line, not ${JSON.stringify(lines)}`);
        feed.runs();
      } finally {
        feed.stop();
      }
      await lab.send({ name: 'viewer', message: { request: 'destroy', id } });
    },
  },
  {
    name: 'senders: who comes between GStreamer\'s keyframes sees a picture from the buffer',
    each: true,
    limit: 90,
    async run({ browser, address, artifacts }) {
      const lab = await openLab(browser);
      await come(lab, address, 'viewer');
      const media = [{ type: 'video', mid: 'v', port: 0, pt: 98, codec: 'vp8' }];
      const { id, ports } = await mount(lab, 'viewer', { media, bufferkf_ms: 60_000 });
      const feed = sender(artifacts, 'gst-launch-1.0', GSTREAMER(ports.v.port));
      try {
        await pause(3000);
        feed.runs();
        await watch(lab, 'viewer', id);
        await flows(lab, 'viewer', { video: 1 });
        await shows(lab, 'viewer', 'v', 'green');
        feed.runs();
      } finally {
        feed.stop();
      }
      await lab.send({ name: 'viewer', message: { request: 'destroy', id } });
    },
  },
];
