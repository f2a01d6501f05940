// EchoTest: what a browser sends comes back, and the plugin's switches work.

import { check, flows, openLab, silent, up } from '../lib/lab.mjs';

const PLUGIN = 'janus.plugin.echotest';

/** One participant, echoing the browser's own camera and microphone. */
async function echo({ browser, address }) {
  const lab = await openLab(browser);
  await lab.connect({ name: 'ada', server: address });
  await lab.attach({ name: 'ada', session: 'ada', plugin: PLUGIN });
  const jsep = await lab.createOffer({ name: 'ada', send: { audio: true, video: true, receive: true } });
  const message = { audio: true, video: true };
  const reply = await lab.ask({ name: 'ada', message, jsep, like: { echotest: 'event', result: 'ok' } });
  check(reply.jsep?.type === 'answer', 'the plugin sent no answer');
  await lab.handleAnswer({ name: 'ada', jsep: reply.jsep });
  await up(lab, 'ada');
  return lab;
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
];
