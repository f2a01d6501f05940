// Packets that leave as finished frames (`tx = "packet-ring"`), seen by a browser at the other end of
// a wire: the server has a network namespace of its own.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { COLOURS, arrive, check, createRoom, flows, openLab, publish, shows, watch } from '../lib/lab.mjs';
import { ADMIN, startServer } from '../lib/server.mjs';

const SPACE = 'island';
const HOST = '10.79.0.2';

function ip(words) {
  const done = spawnSync('ip', words.split(' '), { encoding: 'utf8' });
  check(done.status === 0, `ip ${words}: ${done.stderr}`);
}

/** A second namespace, one wire away from ours. */
function lay() {
  ip(`netns add ${SPACE}`);
  ip(`link add wa type veth peer name wb netns ${SPACE}`);
  ip('addr add 10.79.0.1/24 dev wa');
  ip('link set wa up');
  ip(`-n ${SPACE} link set lo up`);
  ip(`-n ${SPACE} addr add ${HOST}/24 dev wb`);
  ip(`-n ${SPACE} link set wb up`);
}

/** The counters of the only shard, by name and cause. */
async function counters() {
  const answer = await fetch(`http://${HOST}:7088/metrics`, { headers: { Authorization: `Bearer ${ADMIN.secret}` } });
  const text = await answer.text();
  check(answer.ok, `metrics: ${answer.status} ${text}`);
  const read = (name) => Number(text.match(new RegExp(`^${name} (\\d+)`, 'm'))?.[1] ?? 0);
  const shard = (name) => read(`bifrons_${name}_total\\{shard="0"\\}`);
  const left = (cause) => read(`bifrons_ring_fallbacks_total\\{shard="0",cause="${cause}"\\}`);
  return {
    sent: shard('shard_sent'),
    shed: shard('shard_shed'),
    frames: shard('ring_frames'),
    datagrams: shard('ring_datagrams'),
    full: left('full'),
    unfit: left('unfit'),
    unresolved: left('unresolved'),
  };
}

export default [
  {
    name: 'packet ring: a browser at the other end of a wire watches a room',
    servers: ['bifrons'],
    browsers: ['chromium'],
    limit: 120,
    async run({ browser, binary, artifacts, note }) {
      let server;
      try {
        lay();
        const more = {
          'janus.jcfg': '+datapath: {\n\tshards = 1\n\ttx = "packet-ring"\n}\n',
          'janus.transport.pfunix.jcfg': 'general: {\n\tenabled = false\n}\n',
        };
        const folder = join(artifacts, 'ring');
        server = await startServer({ kind: 'bifrons', binary, artifacts: folder, space: SPACE, host: HOST, more });
        const lab = await openLab(browser);
        const address = `ws://${HOST}:8188`;
        await arrive(lab, address, 'red');
        const room = await createRoom(lab, 'red');
        const own = await publish(lab, 'red', room, { audio: 'tone', video: COLOURS.red });
        await arrive(lab, address, 'eve');
        const streams = await watch(lab, 'eve', 'eve-watches', room, [own.id]);
        await flows(lab, 'eve-watches', { video: 1, audio: 1 });
        const before = await counters();
        const seen = await flows(lab, 'eve-watches', { video: 1, audio: 1, frames: 100, packets: 300 });
        const after = await counters();
        const video = streams.find((stream) => stream.type === 'video');
        await shows(lab, 'eve-watches', video.mid, 'red');
        check(seen.in.every((line) => line.lost === 0), `packets were lost: ${JSON.stringify(seen.in)}`);
        check(seen.pair.remote === HOST, `media come from ${seen.pair.remote}`);
        const by = (key) => after[key] - before[key];
        const told = `${by('datagrams')} of ${by('sent')} datagrams in ${by('frames')} frames`;
        check(by('datagrams') >= 400, `only ${told}: ${JSON.stringify(after)}`);
        check(by('datagrams') >= 0.9 * by('sent'), `only ${told}: ${JSON.stringify(after)}`);
        // What counts as shed are checks towards addresses that this wire does not reach: no way for
        // the ring, and then none for the socket.
        const kept = by('shed') <= by('unfit') && by('full') === 0 && by('unresolved') === 0;
        check(kept, `something was let go: ${JSON.stringify([before, after])}`);
        const log = readFileSync(server.log, 'utf8');
        check(log.includes('packet rings on wb, which cuts trains itself'), 'the log names no ring');
        note(told);
      } finally {
        await server?.stop();
        spawnSync('ip', ['link', 'del', 'wa']);
        spawnSync('ip', ['netns', 'del', SPACE]);
      }
    },
  },
];
