// More of Debian's Janus demo pages, unmodified: calls, screens, devices, encryption, surround sound.

import { check } from '../lib/lab.mjs';
import { PAGES } from '../lib/pages.mjs';
import { begin, dialog, playing } from './pages.mjs';

export default [
  {
    name: 'stock VideoCall page, unmodified',
    each: true,
    limit: 120,
    run: call,
  },
  {
    name: 'stock screen sharing page, unmodified',
    browsers: ['chromium'],
    limit: 120,
    run: screen,
  },
  {
    name: 'stock end-to-end encryption page, unmodified',
    browsers: ['chromium'],
    limit: 90,
    async run({ browser }) {
      const page = await browser.open(`${PAGES}/stock/e2etest.html`);
      await begin(page);
      await dialog(page, '.bootbox-input', 'a key of two');
      await playing(page, '#videoleft video', 1);
      await playing(page, '#videoright video', 1);
    },
  },
  {
    name: 'stock surround sound page, unmodified',
    browsers: ['chromium'],
    limit: 90,
    async run({ browser }) {
      const page = await browser.open(`${PAGES}/stock/multiopus.html`);
      await begin(page);
      await playing(page, '#videoright video', 1);
      // What comes back has to be heard too: the page marks the line by its audio element.
      await page.until('audio that plays', () => {
        const audio = document.querySelector('#videoright audio');
        return audio && audio.currentTime > 1;
      });
    },
  },
  {
    name: 'stock devices page, unmodified',
    each: true,
    limit: 90,
    async run({ browser }) {
      const page = await browser.open(`${PAGES}/stock/devicetest.html`);
      await begin(page);
      await page.until('the devices', () => ['audio', 'video'].every((kind) => document.querySelector(`#${kind}-device option`)));
      await page.evaluate(() => {
        for (const kind of ['audio', 'video']) $(`#${kind}-device`).val($(`#${kind}-device option`).first().val());
        $('#change-devices').click();
      });
      await playing(page, '#videoright video', 1);
      // Another device takes the place of the first without an offer.
      const changed = await page.evaluate(() => {
        const other = $('#video-device option').eq(1).val() ?? $('#audio-device option').eq(1).val();
        if (!other) return false;
        for (const kind of ['audio', 'video']) if ($(`#${kind}-device option[value="${other}"]`).length) $(`#${kind}-device`).val(other);
        $('#change-devices').click();
        return true;
      });
      if (!changed) return;
      const seconds = await page.evaluate(() => document.querySelector('#videoright video').currentTime);
      await page.until('media after the change', (since) => document.querySelector('#videoright video').currentTime > since + 2, seconds);
    },
  },
];

/** Somebody on the VideoCall page, with a name. */
async function caller(browser, name) {
  const page = await browser.open(`${PAGES}/stock/videocalltest.html`);
  await begin(page);
  await page.until('the question for a name', () => Boolean(document.querySelector('#username')?.offsetParent));
  await page.evaluate((who) => ($('#username').val(who), $('#register').click(), null), name);
  await page.until('the phone', () => Boolean(document.querySelector('#peer')?.offsetParent));
  return page;
}

/** Presses a button of the dialog about a call that rings. */
async function answer(page, button) {
  await page.until('the ringing', () => /Incoming call from/.test(document.querySelector('.bootbox')?.textContent ?? ''));
  // The dialog moves while it appears.
  await new Promise((resolve) => setTimeout(resolve, 600));
  await page.evaluate((kind) => ($(`.bootbox .${kind}`).click(), null), button);
}

const dial = (page, name) => page.evaluate((who) => ($('#peer').val(who), $('#call').click(), null), name);

/** Packets of video that a VideoCall page has received. */
async function videoPackets() {
  const reports = [...(await videocall.webrtcStuff.pc.getStats()).values()];
  const video = reports.filter((one) => one.type === 'inbound-rtp' && one.kind === 'video');
  return video.reduce((sum, one) => sum + one.packetsReceived, 0);
}

/** Waits until a VideoCall page has got a good many packets more than `since`. */
async function more(page, what, since) {
  for (let tries = 0; tries < 40; tries += 1) {
    if ((await page.evaluate(videoPackets)) > since + 20) return;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error(`waited 20 s for ${what}`);
}

/** Two tabs call each other: declined first, then taken; they chat, one mutes, one hangs up. */
async function call({ browser }) {
  // A name lives as long as its session: that of an earlier try may still be there.
  const names = ['ada', 'bob'].map((name) => `${name}${Date.now()}`);
  const [ada, bob] = [await caller(browser, names[0]), await caller(browser, names[1])];
  await dial(ada, names[1]);
  await answer(bob, 'btn-danger');
  await ada.until('the refusal', () => /We did the hangup|Remote WebRTC hangup/.test(document.querySelector('.bootbox')?.textContent ?? '') || document.querySelector('#call').textContent === 'Call');
  await ada.until('the phone on the hook', () => document.querySelector('#call').textContent === 'Call' && !document.querySelector('#peer').disabled);
  await ada.evaluate(() => (bootbox.hideAll(), null));
  await bob.evaluate(() => (bootbox.hideAll(), null));
  await dial(bob, names[0]);
  await answer(ada, 'btn-success');
  for (const page of [ada, bob]) {
    await playing(page, '#videoleft video', 1);
    await playing(page, '#videoright video', 1);
    await page.until('the data channel', () => !document.querySelector('#datasend').disabled);
  }
  await ada.evaluate(() => ($('#datasend').val('hello over there'), sendData(), null));
  await bob.until('the message', () => document.querySelector('#datarecv').value === 'hello over there');
  // Who mutes the camera is not seen by the other side, and still sees it.
  await ada.evaluate(() => ($('#togglevideo').click(), null));
  let before = -1;
  for (let quiet = 0, tries = 0; quiet < 2 && tries < 20; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 700));
    const now = await bob.evaluate(videoPackets);
    quiet = now === before ? quiet + 1 : 0;
    before = now;
  }
  const seen = await ada.evaluate(videoPackets);
  await more(ada, 'the other camera', seen);
  check((await bob.evaluate(videoPackets)) === before, 'a muted camera is still seen');
  await ada.evaluate(() => ($('#togglevideo').click(), null));
  await more(bob, 'the camera again', before);
  await bob.evaluate(() => ($('#call').click(), null));
  for (const page of [ada, bob]) {
    await page.until('the end of the call', () => document.querySelector('#call').textContent === 'Call');
  }
}

/** One shares a screen, the other watches it. */
async function screen({ browser }) {
  const open = async () => {
    const page = await browser.open(`${PAGES}/stock/screensharingtest.html`);
    await begin(page);
    await page.until('the menu', () => Boolean(document.querySelector('#create')?.offsetParent));
    return page;
  };
  const ada = await open();
  await ada.type('#desc', 'my screen');
  // A person's click: without one no browser shares a screen.
  await ada.click('#create');
  const room = await ada.until('the session', () => /^\d+$/.test(document.querySelector('#session')?.textContent) && document.querySelector('#session').textContent);
  await playing(ada, '#screencapture video', 1);
  await ada.until('the session to be up', () => /just started/.test(document.querySelector('.bootbox')?.textContent ?? ''));
  const bob = await open();
  await bob.evaluate((id) => ($('#roomid').val(id), $('#join').click(), null), room);
  await playing(bob, '#screencapture video', 1);
}
