// Mountpoints that ffmpeg and GStreamer feed over UDP, as their users do, and a browser watches.

import { check, flows, openLab, pause, shows, up } from '../lib/lab.mjs';
import { FFMPEG, GSTREAMER, sender } from '../lib/senders.mjs';

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
      const feed = sender(artifacts, 'gst-launch-1.0', GSTREAMER(ports.v.port, { keyframes: 1_000_000 }));
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
