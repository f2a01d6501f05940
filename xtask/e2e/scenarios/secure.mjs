// janus.js over HTTPS and WSS.

import { check, flows } from '../lib/lab.mjs';
import { ADDRESS } from '../lib/server.mjs';
import { echo } from './echotest.mjs';

const SECURE = ['https', 'wss'];

export default SECURE.map((transport) => ({
  name: `echotest over ${transport}`,
  each: true,
  async run({ note, ...context }) {
    const lab = await echo({ ...context, address: ADDRESS[transport] });
    const seen = await flows(lab, 'ada', { video: 1, audio: 1 });
    check(seen.transport.dtls === 'connected', `DTLS is ${seen.transport.dtls}`);
    note(`SRTP ${seen.transport.srtp}`);
    await lab.hangup({ name: 'ada' });
    await lab.expect({ name: 'ada', like: { echotest: 'event', result: 'done' } });
    await lab.destroy({ name: 'ada' });
  },
}));
