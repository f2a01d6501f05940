#!/usr/bin/env node
// End-to-end runner: real browsers and clients against a running server.
//
//   node run.mjs --binary target/ci/bifrons          our appliance
//   node run.mjs --server janus                      the stock Janus of the Debian package
//   --only TEXT        scenarios whose title holds TEXT (more than once: any of them)
//   --browsers LIST    chromium,firefox     --transports LIST    ws,http
//   --artifacts DIR    logs and pictures of what failed          --list    only print the titles
//   --tries N          how often a scenario may be tried (2): browsers under load miss a deadline
//                      now and then. What passed only later is named at the end, as unsteady.

import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { launch } from './lib/browsers.mjs';
import * as network from './lib/network.mjs';
import { servePages } from './lib/pages.mjs';
import { ADDRESS, startServer } from './lib/server.mjs';
import clients from './scenarios/clients.mjs';
import demos from './scenarios/demos.mjs';
import echotest from './scenarios/echotest.mjs';
import events from './scenarios/events.mjs';
import mixed from './scenarios/mixed.mjs';
import mountpoints from './scenarios/mountpoints.mjs';
import pages from './scenarios/pages.mjs';
import secure from './scenarios/secure.mjs';
import rings from './scenarios/rings.mjs';
import senders from './scenarios/senders.mjs';
import streaming from './scenarios/streaming.mjs';
import videoroom from './scenarios/videoroom.mjs';
import whip from './scenarios/whip.mjs';

const { values: options } = parseArgs({
  options: {
    server: { type: 'string', default: 'bifrons' },
    binary: { type: 'string' },
    demos: { type: 'string' },
    python: { type: 'string' },
    whip: { type: 'string' },
    only: { type: 'string', multiple: true },
    browsers: { type: 'string', default: 'chromium,firefox' },
    transports: { type: 'string', default: 'ws,http' },
    artifacts: { type: 'string' },
    tries: { type: 'string', default: '2' },
    list: { type: 'boolean', default: false },
  },
});

/** One scenario in one browser over one transport, as far as it needs them. */
function plan() {
  const browsers = options.browsers.split(',');
  const transports = options.transports.split(',');
  const runs = [];
  for (const scenario of [...echotest, ...videoroom]) {
    if (scenario.servers && !scenario.servers.includes(options.server)) continue;
    for (const name of browsers) {
      for (const transport of transports) {
        runs.push({ scenario, browsers: [name], transport, title: `${scenario.name}, ${name}, ${transport}` });
      }
    }
  }
  const others = [...secure, ...pages, ...demos, ...mixed, ...senders, ...rings, ...streaming, ...mountpoints, ...clients, ...whip, ...events];
  for (const scenario of others) {
    if (scenario.servers && !scenario.servers.includes(options.server)) continue;
    const variants = scenario.each ? browsers.map((name) => [name]) : [scenario.browsers ?? []];
    for (const names of variants) {
      if (!names.every((name) => browsers.includes(name))) continue;
      const where = scenario.each ? `, ${names[0]}` : '';
      runs.push({ scenario, browsers: names, transport: 'ws', title: `${scenario.name}${where}` });
    }
  }
  return options.only ? runs.filter((run) => options.only.some((text) => run.title.includes(text))) : runs;
}

/** Runs `work`, but at most `seconds`. */
function within(seconds, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

class Runner {
  constructor(artifacts) {
    this.artifacts = artifacts;
    this.launched = new Map();
    this.server = null;
    this.count = { passed: 0, failed: 0 };
    this.unsteady = [];
  }

  /** A running browser; each opened page is remembered, to be closed after the scenario. */
  async browser(name, opened) {
    if (!this.launched.has(name)) this.launched.set(name, await launch(name, this.artifacts));
    const browser = this.launched.get(name);
    const open = async (url) => {
      const page = await browser.open(url);
      opened.push(page);
      return page;
    };
    return { ...browser, open };
  }

  async ensureServer() {
    if (this.server?.alive()) return;
    this.server = await startServer({
      kind: options.server,
      binary: options.binary && resolve(options.binary),
      demos: options.demos && resolve(options.demos),
      artifacts: this.artifacts,
    });
  }

  /** Tries a scenario, with everything fresh each time, until it passes or tries run out. */
  async run(run) {
    const most = Math.max(1, Number(options.tries) || 1);
    for (let count = 1; count <= most; count += 1) {
      const passed = await this.attempt(run, count < most);
      if (passed && count > 1) this.unsteady.push(run.title);
      if (passed) return;
    }
  }

  async attempt({ scenario, browsers, transport, title }, again) {
    const started = Date.now();
    const opened = [];
    const notes = [];
    let fault = null;
    try {
      await this.ensureServer();
      const work = async () => {
        const ready = [];
        for (const name of browsers) ready.push(await this.browser(name, opened));
        await scenario.run({
          browser: ready[0],
          browsers: ready,
          address: ADDRESS[transport],
          artifacts: this.artifacts,
          python: options.python,
          whip: options.whip,
          server: options.server,
          binary: options.binary && resolve(options.binary),
          note: (text) => notes.push(text),
        });
      };
      await within(scenario.limit ?? 60, work());
      if (!this.server.alive()) throw new Error(`the server ended: ${this.server.ended()}`);
    } catch (error) {
      fault = error;
    }
    await this.close(opened, fault && title);
    this.report(title, started, notes, fault, again);
    if (fault) await this.afresh();
    return !fault;
  }

  /** Closes a scenario's pages; of a failed one, keeps what they said and showed. */
  async close(opened, failed) {
    for (const [index, page] of opened.entries()) {
      const name = join(this.artifacts, `${(failed || '').replace(/\W+/g, '-')}-${index}`);
      if (failed) {
        writeFileSync(`${name}.log`, page.words.join('\n'));
        await within(5, page.screenshot(`${name}.png`)).catch(() => {});
      }
      await within(5, page.close()).catch(() => {});
    }
  }

  report(title, started, notes, fault, again) {
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    const extra = notes.length ? ` (${notes.join('; ')})` : '';
    if (!fault || !again) this.count[fault ? 'failed' : 'passed'] += 1;
    const word = fault ? (again ? 'again' : 'FAIL') : 'ok  ';
    console.log(`${word} ${title}: ${seconds} s${extra}`);
    if (fault) console.log(`     ${String(fault.message).split('\n').slice(0, 4).join('\n     ')}`);
  }

  /** After a failure, nothing of it may reach the next scenario. */
  async afresh() {
    for (const browser of this.launched.values()) await within(10, browser.close()).catch(() => {});
    this.launched.clear();
    await this.server?.stop();
  }
}

async function main() {
  const runs = plan();
  if (options.list) return runs.forEach((run) => console.log(run.title));
  if (runs.length === 0) throw new Error('no scenario has such a title; --list prints them all');
  if (options.server === 'bifrons' && !options.binary) throw new Error('say --binary PATH or --server janus');
  if (!network.inside()) return process.exit(await network.enter());
  network.furnish();
  const artifacts = options.artifacts ?? mkdtempSync(join(tmpdir(), 'bifrons-e2e-'));
  mkdirSync(artifacts, { recursive: true });
  const stopPages = await servePages();
  const runner = new Runner(artifacts);
  for (const run of runs) await runner.run(run);
  await runner.afresh();
  stopPages();
  for (const title of runner.unsteady) console.log(`unsteady: ${title} passed only when tried again`);
  if (runner.count.failed) console.log(`logs and pictures: ${artifacts}`);
  console.log(`end to end: ${runner.count.passed} passed, ${runner.count.failed} failed`);
  process.exit(runner.count.failed ? 1 : 0);
}

main().catch((error) => {
  console.error(`end to end: ${error.message}`);
  process.exit(1);
});
