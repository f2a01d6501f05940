// Whole pages as a person uses them: our demo room, and Debian's Janus demo pages unmodified.

import { join } from 'node:path';
import { check } from '../lib/lab.mjs';
import { ADMIN } from '../lib/server.mjs';
import { PAGES } from '../lib/pages.mjs';

/** Our own page comes from the appliance itself; beside a stock Janus, from the page server. */
function demo(server, host) {
  return server === 'bifrons' ? `http://${host}:8088/demo/` : `${PAGES}/demo/`;
}

/** Waits until every video element that `selector` finds, at least `count`, has played frames. */
export function playing(page, selector, count, limit = 30_000) {
  return page.until(
    `${count} playing videos at ${selector}`,
    ([where, wanted]) => {
      const videos = [...document.querySelectorAll(where)].filter((video) => video.videoWidth > 0);
      const frames = (video) => video.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
      return videos.length >= wanted && videos.every((video) => video.currentTime > 2 || frames(video) > 40);
    },
    [selector, count],
    limit,
  );
}

/** Two tabs join the demo room and see each other; then one mutes, and leaves. */
async function twoTabs({ browser, server, artifacts, note }, host, picture) {
  const url = (name) => `${demo(server, host)}?join&name=${name}&source=picture`;
  const ada = await browser.open(url('ada'));
  await playing(ada, '.tile.own video', 1);
  const bob = await browser.open(url('bob'));
  await playing(bob, '.tile:not(.own) video', 1);
  await playing(ada, '.tile:not(.own) video', 1);
  await ada.until('the live badge', () => document.querySelector('#state').dataset.state === 'live');
  const line = await ada.until('received video in the statistics', () => {
    const text = document.querySelector('#statistics').textContent;
    return /↓ [1-9]/.test(text) && /[1-9]\d* fps/.test(document.querySelector('.tile:not(.own) .line').textContent) && text;
  });
  note(line);
  await ada.screenshot(join(artifacts, picture));
  await ada.click('#microphone');
  const muted = await ada.evaluate(() => document.querySelector('#microphone').getAttribute('aria-pressed'));
  check(muted === 'false', 'the microphone button did not mute');
  await bob.click('#leave');
  await ada.until('the tile to go', () => !document.querySelector('.tile:not(.own)'));
  return line;
}

export default [
  {
    name: 'demo page: two tabs see each other',
    each: true,
    limit: 120,
    run: (context) => twoTabs(context, '127.0.0.1', `demo-${context.browser.name}.png`),
  },
  {
    name: 'demo page: two tabs see each other over IPv6',
    each: true,
    servers: ['bifrons'],
    limit: 120,
    run: (context) => twoTabs(context, '[::1]', `demo-v6-${context.browser.name}.png`),
  },
  {
    name: 'stock EchoTest page, unmodified',
    each: true,
    limit: 90,
    async run({ browser }) {
      const page = await browser.open(`${PAGES}/stock/echotest.html`);
      await begin(page);
      await playing(page, '#videoleft video', 1);
      await playing(page, '#videoright video', 1);
      await page.until('the data channel', () => !document.querySelector('#datasend').disabled);
      await page.evaluate(() => ($('#datasend').val('hello there'), sendData(), null));
      await page.until('the echo', () => document.querySelector('#datarecv').value.endsWith('You wrote: hello there'));
      await page.click('#togglevideo');
      await page.until('the video button to turn', () => /Enable video/.test(document.querySelector('#togglevideo').textContent));
    },
  },
  {
    name: 'stock TextRoom page, unmodified',
    each: true,
    limit: 90,
    async run({ browser }) {
      const ada = await chatter(browser, 'ada');
      const bob = await chatter(browser, 'bob');
      await ada.until('bob in the list', () => document.querySelector('#list').textContent.includes('bob'));
      await ada.evaluate(() => ($('#datasend').val('hello <bob>'), sendData(), null));
      const heard = (name) => document.querySelector('#chatroom').textContent.includes(`${name}: hello <bob>`);
      await bob.until('the message', heard, 'ada');
      await ada.until('its own message', heard, 'ada');
      await bob.evaluate(() => (janus.destroy(), null));
      await ada.until('bob to leave', () => /bob left/.test(document.querySelector('#chatroom').textContent));
    },
  },
  {
    name: 'stock admin page, unmodified',
    browsers: ['chromium'],
    limit: 90,
    run: adminPage,
  },
  {
    name: 'stock VideoRoom page, unmodified',
    each: true,
    limit: 120,
    run: (context) => stockRoom(context, 'videoroomtest.html', '[id^=videoremote] video'),
  },
  {
    name: 'stock multistream VideoRoom page, unmodified',
    each: true,
    limit: 120,
    run: (context) => stockRoom(context, 'mvideoroomtest.html', '[id^=videoremote] video'),
  },
];

/** Somebody on the stock TextRoom page, in its room. */
async function chatter(browser, name) {
  const page = await browser.open(`${PAGES}/stock/textroomtest.html`);
  await begin(page);
  await page.until('the question for a name', () => Boolean(document.querySelector('#username')?.offsetParent));
  await page.evaluate((who) => ($('#username').val(who), registerUsername(), null), name);
  await page.until('the room', () => document.querySelector('#datasend')?.disabled === false);
  return page;
}

/** Presses the page's start button once its script has armed it. */
export async function begin(page) {
  await page.until('the start button', () => typeof Janus !== 'undefined' && Janus.initDone && !document.querySelector('#start').disabled);
  await page.click('#start');
}

/** Presses the button of the dialog that is shown, after `typed` was put into its field. */
export async function dialog(page, field, typed) {
  await page.until(`the dialog's ${field}`, (selector) => document.querySelector(selector)?.offsetParent !== null, field);
  // The dialog moves while it appears.
  await new Promise((resolve) => setTimeout(resolve, 600));
  await page.evaluate(([selector, text]) => ($(selector).val(text), null), [field, typed]);
  await page.evaluate(() => ($('.modal-footer .btn-primary:visible').click(), null));
  await page.until('the dialog to close', () => !document.querySelector('.modal.in'));
}

/** An operator logs in, changes a setting, and looks at a live call. */
async function adminPage({ browser }) {
  const call = await browser.open(`${PAGES}/stock/echotest.html`);
  await begin(call);
  await playing(call, '#videoright video', 1);
  const page = await browser.open(`${PAGES}/stock/admin.html`);
  await dialog(page, '#secret', ADMIN.secret);
  await page.until('the server and its plugins', () => {
    const text = (selector) => document.querySelector(selector)?.textContent ?? '';
    return text('#server-details').includes('server-name') && text('#plugins-list').includes('janus.plugin.echotest');
  });
  const setting = (name) => [...document.querySelectorAll('#server-settings tr')].find((row) => row.textContent.includes(`${name}:`))?.children[1].textContent;
  await page.until('the settings', setting, 'session_timeout');
  await page.evaluate(() => ($('#session_timeout_button').click(), null));
  await dialog(page, '.bootbox-input', '61');
  await page.until('the new timeout', () => /session_timeout:\s*61/.test(document.querySelector('#server-settings').textContent));
  // Others may still be listed: clients that went without a word.
  const [session, handle] = await call.evaluate(() => [janus.getSessionId(), echotest.getId()]);
  for (const line of [`#session-${session}`, `#handle-${handle}`]) {
    await page.until(`a line ${line}`, (which) => $(which).length > 0, line);
    await page.evaluate((which) => ($(which).click(), null), line);
  }
  const shown = await page.until('the live call', () => {
    const text = document.querySelector('#handle-info').textContent;
    return text.includes('selected-pair') && text;
  });
  const info = JSON.parse(shown);
  check(info.plugin === 'janus.plugin.echotest' && info.webrtc.dtls['dtls-state'] === 'connected', shown.slice(0, 300));
  const figures = Object.values(info.webrtc.media).filter((medium) => medium.type === 'video');
  check(figures.some(({ stats }) => stats.in.packets > 0 && stats.out.packets > 0), JSON.stringify(figures).slice(0, 300));
  await page.evaluate(() => ($('#prettify').click(), null));
  await page.until('the call as a table', () => document.querySelector('#handle-info table') !== null);
}

async function stockRoom({ browser }, file, remote) {
  const pages = [];
  for (const name of ['ada', 'bob']) {
    const page = await browser.open(`${PAGES}/stock/${file}`);
    pages.push(page);
    await begin(page);
    await page.until('the name field', () => document.querySelector('#username')?.offsetParent !== null);
    await page.type('#username', name);
    await page.click('#register');
    await playing(page, '#videolocal video', 1);
    await page.until('publishing to succeed', () => !document.querySelector('.blockMsg'));
  }
  for (const page of pages) await playing(page, remote, 1);
}
