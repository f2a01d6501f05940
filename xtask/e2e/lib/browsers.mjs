// One face for both browsers: Chromium through Playwright, Firefox through WebDriver BiDi.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';

const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  // The server under test has a certificate that nobody signed.
  '--ignore-certificate-errors',
];

const FIREFOX_PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  // The OpenH264 download cannot succeed in here and only delays the first offer.
  'media.gmp-manager.updateEnabled': false,
  'app.update.auto': false,
  'datareporting.policy.dataSubmissionEnabled': false,
};

/** Launches `name`; the result opens pages and closes everything. */
export async function launch(name, artifacts) {
  const home = join(artifacts, `home-${name}`);
  mkdirSync(home, { recursive: true });
  return name === 'chromium' ? launchChromium(home) : launchFirefox(home);
}

async function launchChromium(home) {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: CHROMIUM_FLAGS,
    env: { ...process.env, HOME: home },
  });
  return {
    name: 'chromium',
    version: browser.version(),
    close: () => browser.close(),
    async open(url) {
      const context = await browser.newContext({
        permissions: ['camera', 'microphone'],
        viewport: { width: 1280, height: 860 },
      });
      const page = await context.newPage();
      return wrap(page, url, () => context.close());
    },
  };
}

async function launchFirefox(home) {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: '/usr/bin/firefox-esr',
    headless: true,
    acceptInsecureCerts: true,
    extraPrefsFirefox: FIREFOX_PREFERENCES,
    env: { ...process.env, HOME: home, MOZ_DISABLE_CONTENT_SANDBOX: '1' },
  });
  return {
    name: 'firefox',
    version: (await browser.version()).replace(/^firefox\//i, ''),
    close: () => browser.close(),
    async open(url) {
      const context = await browser.createBrowserContext();
      const page = await context.newPage();
      return wrap(page, url, () => context.close());
    },
  };
}

/** A console message as text, objects written out. */
async function tell(message) {
  const clock = new Date().toISOString().slice(17, 23);
  const say = (value) => (typeof value === 'string' ? value : JSON.stringify(value));
  // Without arguments, or with an Error, the text says more.
  if (message.type() === 'error') return `${clock} error: ${message.text()}`;
  try {
    const values = await Promise.all(message.args().map((one) => one.jsonValue()));
    return `${clock} ${message.type()}: ${values.map(say).join(' ')}`;
  } catch {
    return `${clock} ${message.type()}: ${message.text()}`;
  }
}

/** A page with what the scenarios use; both drivers agree on these calls. */
async function wrap(page, url, close) {
  const words = [];
  const note = (text) => words.push(text) > 2000 && words.shift();
  page.on('console', (message) => tell(message).then(note));
  page.on('pageerror', (error) => note(`page error: ${error.message}`));
  await page.goto(url);
  return {
    close,
    words,
    evaluate: (run, argument) => page.evaluate(run, argument),
    screenshot: (path) => page.screenshot({ path }),
    click: (selector) => page.click(selector),
    type: (selector, text) => page.type(selector, text),
    /** Waits in Node, so that a page that throttles its timers does not matter. */
    async until(what, run, argument, limit = 20_000) {
      const deadline = Date.now() + limit;
      for (;;) {
        const value = await page.evaluate(run, argument);
        if (value) return value;
        if (Date.now() > deadline) throw new Error(`waited ${limit / 1000} s for ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
  };
}
