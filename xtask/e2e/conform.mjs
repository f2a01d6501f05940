#!/usr/bin/env node
// The numbered checklists over the wire, against a server of choice.
//
//   node conform.mjs --against bifrons --binary target/ci/bifrons
//   node conform.mjs --against janus     the stock Janus of the Debian package
//   node conform.mjs --against mute      every check must fail here; one that passes is a fault
//   --only TEXT    checks whose name holds TEXT        --artifacts DIR    server logs
//   --then COMMAND    a program to run beside the plain server, told where it listens

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    against: { type: 'string', default: 'bifrons' },
    binary: { type: 'string' },
    only: { type: 'string', multiple: true },
    artifacts: { type: 'string' },
    then: { type: 'string' },
  },
});
const mute = options.against === 'mute';
if (mute) process.env.BIFRONS_PATIENCE_MS ??= '700';

const network = await import('./lib/network.mjs');
const { openClient } = await import('./lib/client.mjs');
const { startMute } = await import('./lib/mute.mjs');
const { startServer } = await import('./lib/server.mjs');
const parts = ['core', 'core-messages', 'http', 'echotest', 'streaming', 'videoroom', 'cascade'];
const modules = await Promise.all(parts.map((part) => import(`./conform/${part}.mjs`)));

/** What the server is started with, by the name a check asks for. */
const VARIANTS = {
  plain: {},
  secret: { general: 'api_secret = "open sesame"' },
  short: { general: 'session_timeout = 3' },
  reclaim: { general: 'reclaim_session_timeout = 5' },
};

/** How many checks run side by side; each has its own connection and sessions. */
const ABREAST = 6;

function plan() {
  const runs = [];
  for (const one of modules.flatMap((module) => module.default)) {
    for (const kind of one.only ? [one.only] : ['ws', 'http']) {
      runs.push({ ...one, kind, variant: one.variant ?? 'plain', title: `${one.name} over ${kind}` });
    }
  }
  return options.only ? runs.filter((run) => options.only.some((text) => run.title.includes(text))) : runs;
}

/** Runs one check on a fresh client; resolves with what was wrong, or null. */
async function attempt({ kind, run, limit = 20 }) {
  let api = null;
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${limit} s`)), limit * 1000);
  });
  try {
    api = await openClient(kind);
    await Promise.race([run(api), late]);
    return null;
  } catch (error) {
    return error.message ?? String(error);
  } finally {
    clearTimeout(timer);
    await api?.close().catch(() => {});
  }
}

/** Takes runs off `queue` until it is empty. */
async function work(queue, count) {
  for (let run = queue.shift(); run; run = queue.shift()) {
    const fault = await attempt(run);
    const held = mute ? fault !== null : fault === null;
    count[held ? 'passed' : 'failed'] += 1;
    console.log(`${held ? 'ok  ' : 'FAIL'} ${run.title}${held && mute ? ' fails, as it must' : ''}`);
    const why = mute ? fault ?? 'it passed against a server that says nothing' : fault;
    if (why) console.log(`     ${why.slice(0, mute ? 160 : 400)}`);
  }
}

/** Runs the other checks there are, those of the Rust tests, against the same server. */
function runOthers(command) {
  const env = {
    ...process.env,
    BIFRONS_CONFORM_WS: '127.0.0.1:8188',
    BIFRONS_CONFORM_HTTP: '127.0.0.1:8088/janus',
    BIFRONS_CONFORM_ADMIN_WS: '127.0.0.1:7188',
    BIFRONS_CONFORM_ADMIN_HTTP: '127.0.0.1:7088',
    BIFRONS_CONFORM_MEDIA: network.MEDIA_ADDRESS.v4,
  };
  const child = spawn('sh', ['-c', command], { env, stdio: 'inherit' });
  return new Promise((done) => child.on('exit', done));
}

async function main() {
  if (options.against === 'bifrons' && !options.binary) throw new Error('say --binary PATH, or --against janus or mute');
  if (!network.inside()) return process.exit(await network.enter());
  network.furnish();
  const artifacts = options.artifacts ?? mkdtempSync(join(tmpdir(), 'bifrons-conform-'));
  mkdirSync(artifacts, { recursive: true });
  const runs = plan();
  const count = { passed: 0, failed: 0 };
  for (const [variant, settings] of Object.entries(VARIANTS)) {
    const queue = runs.filter((run) => run.variant === variant);
    if (queue.length === 0) continue;
    const server = mute
      ? await startMute()
      : await startServer({
          kind: options.against,
          binary: options.binary && resolve(options.binary),
          artifacts: join(artifacts, variant),
          ...settings,
        });
    await Promise.all(Array.from({ length: ABREAST }, () => work(queue, count)));
    if (variant === 'plain' && options.then) await runOthers(options.then);
    if (!server.alive()) {
      console.log(`FAIL the server ended: ${server.ended()}`);
      count.failed += 1;
    }
    await server.stop();
  }
  console.log(`conform: ${count.passed} passed, ${count.failed} failed`);
  process.exit(count.failed ? 1 : 0);
}

main().catch((error) => {
  console.error(`conform: ${error.message}`);
  process.exit(1);
});
