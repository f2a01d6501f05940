#!/usr/bin/env node
// One publisher, many subscribers, measured by the load generator; two servers in one run.
//
//   node bench.mjs --loadtest PATH --binary PATH [--against janus]
//   --subscribers N (100)  --publishers N (1)  --seconds N (20)  --bitrate N (2000000)
//   --artifacts DIR    server logs and the figures as JSON
//
// Both processes run in one network namespace of their own, so the path is the loopback device:
// the sender pays the receiver's half of the kernel too. Figures of another path are not these.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import * as network from './lib/network.mjs';
import { ADDRESS, startServer } from './lib/server.mjs';

const { values: options } = parseArgs({
  options: {
    loadtest: { type: 'string' },
    binary: { type: 'string' },
    against: { type: 'string' },
    subscribers: { type: 'string', default: '100' },
    publishers: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '20' },
    bitrate: { type: 'string', default: '2000000' },
    artifacts: { type: 'string' },
  },
});

/** Runs the generator against a running server; resolves with its figures. */
async function measure(server) {
  const words = [
    'videoroom', '--url', ADDRESS.ws, '--local-ip', network.MEDIA_ADDRESS.v4, '--json',
    '--server-pid', String(server.pid), '--publishers', options.publishers,
    '--subscribers', options.subscribers, '--seconds', options.seconds, '--bitrate', options.bitrate,
  ];
  const child = spawn(resolve(options.loadtest), words, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (part) => (text += part));
  const code = await new Promise((done) => child.on('exit', done));
  if (code !== 0) throw new Error(`the load generator ended with ${code} against ${server.kind}`);
  return JSON.parse(text);
}

/** The machine the figures belong to, in one line. */
function machine() {
  const model = cpus()[0].model.trim();
  return `${cpus().length} × ${model}, Linux ${release()}, path: loopback`;
}

/** A table of both servers' figures, one a row. */
function table(results) {
  const names = [...new Set(results.flatMap(({ figures }) => Object.keys(figures)))];
  const plain = names.filter((name) => results.some(({ figures }) => typeof figures[name] !== 'object'));
  const nested = names.filter((name) => !plain.includes(name));
  const rows = plain.map((name) => [name, ...results.map(({ figures }) => figures[name] ?? '')]);
  for (const name of nested) {
    const keys = [...new Set(results.flatMap(({ figures }) => Object.keys(figures[name] ?? {})))];
    for (const key of keys) rows.push([`${name}.${key}`, ...results.map(({ figures }) => figures[name]?.[key] ?? '')]);
  }
  const show = (value) => (typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(3) : String(value));
  const head = `| | ${results.map(({ kind }) => kind).join(' | ')} |\n|---|${'---|'.repeat(results.length)}`;
  return `${head}\n${rows.map((row) => `| ${row.map(show).join(' | ')} |`).join('\n')}`;
}

/** The version a server reports about itself. */
async function version() {
  const info = await (await fetch(`${ADDRESS.http}/info`)).json();
  return info.version_string;
}

async function main() {
  if (!options.loadtest || !options.binary) throw new Error('say --loadtest PATH and --binary PATH');
  if (!network.inside()) return process.exit(await network.enter());
  network.furnish();
  const artifacts = options.artifacts ?? mkdtempSync(join(tmpdir(), 'bifrons-bench-'));
  const results = [];
  for (const kind of ['bifrons', ...(options.against ? [options.against] : [])]) {
    const folder = join(artifacts, kind);
    mkdirSync(folder, { recursive: true });
    const server = await startServer({ kind, binary: resolve(options.binary), artifacts: folder });
    try {
      console.log(`measuring ${kind} for ${options.seconds} s …`);
      const label = `${kind} ${await version()}`;
      results.push({ kind: label, figures: await measure(server) });
    } finally {
      await server.stop();
    }
  }
  writeFileSync(join(artifacts, 'figures.json'), JSON.stringify({ machine: machine(), results }, null, 2));
  console.log(`\n${machine()}\n\n${table(results)}\n`);
  process.exit(0);
}

main().catch((error) => {
  console.error(`bench: ${error.message}`);
  process.exit(1);
});
