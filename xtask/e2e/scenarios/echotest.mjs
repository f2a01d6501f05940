// EchoTest: what a browser sends comes back, and the plugin's switches work.

import { HD, check, flows, openLab, silent, up, widens } from '../lib/lab.mjs';

const PLUGIN = 'janus.plugin.echotest';

/** One participant, echoing the browser's own camera and microphone. */
export async function echo({ browser, address }, sends = { audio: true, video: true }, extra = {}, wish = {}) {
  const lab = await openLab(browser);
  await lab.connect({ name: 'ada', server: address });
  await lab.attach({ name: 'ada', session: 'ada', plugin: PLUGIN });
  const jsep = await lab.createOffer({ name: 'ada', send: { ...sends, receive: true }, extra });
  await exchange(lab, jsep, wish);
  await up(lab, 'ada');
  return lab;
}

/** One offer and its answer. */
async function exchange(lab, jsep, wish = {}) {
  const message = { audio: true, video: true, ...wish };
  const reply = await lab.ask({ name: 'ada', message, jsep, like: { echotest: 'event', result: 'ok' } });
  check(reply.jsep?.type === 'answer', 'the plugin sent no answer');
  await lab.handleAnswer({ name: 'ada', jsep: reply.jsep });
}

/** The server says `webrtcup` once a PeerConnection. */
async function upOnce(lab) {
  const ups = (await lab.states({ name: 'ada' })).filter((state) => state === true);
  check(ups.length === 1, `webrtcup came ${ups.length} times`);
}

/** Every layer in turn, then a third of the pictures; says what it saw. */
async function walk(lab, spatial, temporal) {
  const ok = { echotest: 'event', result: 'ok' };
  const ask = (message) => lab.ask({ name: 'ada', message, like: ok });
  const told = (key, layer) =>
    lab.expect({ name: 'ada', like: { echotest: 'event', [key]: layer }, within: 40_000 });
  await ask({ bitrate: 3_000_000 });
  await told(spatial, 2);
  const seen = [await widens(lab, 'ada', HD.width)];
  for (const layer of [0, 1, 2]) {
    await ask({ [spatial]: layer });
    await told(spatial, layer);
    seen.push(await widens(lab, 'ada', HD.width >> (2 - layer)));
  }
  await ask({ [temporal]: 0 });
  await told(temporal, 0);
  const last = (await flows(lab, 'ada', { video: 1, frames: 15 })).in[0];
  check(seen.every((line) => line.ssrc === last.ssrc), 'the SSRC changed');
  check(last.lost === 0, `${last.lost} packets seem lost`);
  return `${last.keyframes} keyframes, ${last.freezes} freezes`;
}

export default [
  {
    name: 'echotest',
    async run({ note, ...context }) {
      const lab = await echo(context);
      const seen = await flows(lab, 'ada', { video: 1, audio: 1 });
      check(seen.transport.dtls === 'connected', `DTLS is ${seen.transport.dtls}`);
      check(seen.pair?.state === 'succeeded', `the pair is ${JSON.stringify(seen.pair)}`);
      note(`SRTP ${seen.transport.srtp}`);
      await lab.hangup({ name: 'ada' });
      await lab.expect({ name: 'ada', like: { echotest: 'event', result: 'done' } });
      await lab.destroy({ name: 'ada' });
    },
  },
  {
    name: 'echotest sends messages back',
    servers: ['bifrons'],
    async run({ note, ...context }) {
      const lab = await echo(context, { audio: true, data: true });
      const prefix = 'Janus EchoTest here! You wrote: ';
      const ask = async (kind, size, count) => {
        const came = await lab.echoData({ name: 'ada', kind, size, count });
        for (const one of came) {
          check(one.same && one.kind === kind, `${kind} of ${size}: ${JSON.stringify(one)}`);
          check(one.prefix === (kind === 'text' ? prefix : ''), `the prefix is ${one.prefix}`);
          check(one.label === 'JanusDataChannel', `the label is ${one.label}`);
        }
      };
      await ask('text', 5);
      await ask('binary', 5);
      await ask('text', 0);
      await ask('binary', 0);
      await ask('binary', 1000, 200);
      const largest = context.browser.name === 'chromium' ? 262_144 : 1_048_576;
      const believed = await lab.maxMessage({ name: 'ada' });
      check(believed >= largest, `the browser believes in ${believed} bytes`);
      await ask('binary', largest);
      await ask('text', largest - 32);
      note(`${largest} bytes each way`);
      await flows(lab, 'ada', { audio: 1 });
      await lab.destroy({ name: 'ada' });
    },
  },
  {
    name: 'echotest mutes video and keeps audio',
    async run(context) {
      const lab = await echo(context);
      const seen = await flows(lab, 'ada', { video: 1, audio: 1, frames: 5, packets: 20 });
      const video = seen.in.find((line) => line.kind === 'video').mid;
      const ok = { echotest: 'event', result: 'ok' };
      await lab.ask({ name: 'ada', message: { video: false }, like: ok });
      await silent(lab, 'ada', [video]);
      await flows(lab, 'ada', { audio: 1, packets: 20 });
      await lab.ask({ name: 'ada', message: { video: true }, like: ok });
      await flows(lab, 'ada', { video: 1, audio: 1, frames: 20, packets: 20 });
      await lab.destroy({ name: 'ada' });
    },
  },
  {
    name: 'echotest survives an ICE restart by the client',
    async run(context) {
      const lab = await echo(context);
      await flows(lab, 'ada', { video: 1, audio: 1, frames: 5, packets: 20 });
      const before = await lab.descriptions({ name: 'ada' });
      await exchange(lab, await lab.createOffer({ name: 'ada', options: { iceRestart: true } }));
      const after = await lab.descriptions({ name: 'ada' });
      check(before.localUfrag !== after.localUfrag, 'the browser did not restart');
      check(before.remoteUfrag !== after.remoteUfrag, 'the server kept its credentials');
      await flows(lab, 'ada', { video: 1, audio: 1 });
      await upOnce(lab);
      await lab.destroy({ name: 'ada' });
    },
  },
  {
    name: 'echotest takes video that is added later',
    async run(context) {
      const lab = await echo(context, { audio: true });
      await flows(lab, 'ada', { audio: 1, packets: 20 });
      await exchange(lab, await lab.createOffer({ name: 'ada', send: { video: true, receive: true } }));
      await flows(lab, 'ada', { video: 1, audio: 1 });
      await upOnce(lab);
      await lab.destroy({ name: 'ada' });
    },
  },
  {
    name: 'echotest serves one handle call after call',
    async run(context) {
      const lab = await echo(context);
      await flows(lab, 'ada', { video: 1, audio: 1, frames: 5, packets: 20 });
      await lab.hangup({ name: 'ada' });
      await lab.expect({ name: 'ada', like: { echotest: 'event', result: 'done' } });
      const jsep = await lab.createOffer({ name: 'ada', send: { audio: true, video: true, receive: true } });
      await exchange(lab, jsep);
      await flows(lab, 'ada', { video: 1, audio: 1, frames: 20, packets: 20 });
      await lab.destroy({ name: 'ada' });
    },
  },
  {
    name: 'echotest notices a browser that closes its connection',
    async run(context) {
      const lab = await echo(context);
      await flows(lab, 'ada', { video: 1, audio: 1, frames: 5, packets: 20 });
      await lab.vanish({ name: 'ada' });
      await lab.expect({ name: 'ada', like: { echotest: 'event', result: 'done' } });
      const alert = (who) => window.lab.states({ name: who }).includes('false: DTLS alert');
      await lab.until("the server's hangup", alert, 'ada');
      await lab.destroy({ name: 'ada' });
    },
  },
  {
    name: 'echotest moves between simulcast layers',
    async run({ note, ...context }) {
      const lab = await echo(context, { video: HD }, { simulcast: true });
      note(await walk(lab, 'substream', 'temporal'));
      await lab.destroy({ name: 'ada' });
    },
  },
  ...['vp9', 'av1'].map((videocodec) => ({
    name: `echotest moves between the SVC layers of ${videocodec}`,
    servers: ['bifrons'],
    async run({ note, ...context }) {
      if (context.browser.name !== 'chromium') return note('this browser sends no SVC');
      const lab = await echo(context, { video: HD }, { svc: 'L3T3' }, { videocodec });
      note(await walk(lab, 'spatial_layer', 'temporal_layer'));
      await lab.destroy({ name: 'ada' });
    },
  })),
];
