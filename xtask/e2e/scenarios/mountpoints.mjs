// Mountpoints through clients that know nothing of us: janode's Streaming module, and Debian's
// Streaming page, unmodified. What they show comes from ffmpeg and GStreamer over UDP.

import { janode, next, refused } from '../lib/janode.mjs';
import { check, openLab, pause } from '../lib/lab.mjs';
import { PAGES } from '../lib/pages.mjs';
import { FFMPEG, GSTREAMER, sender } from '../lib/senders.mjs';
import { begin, playing } from './pages.mjs';

/** In the page: answers an offer with everything in it, and keeps what arrives in `viewer`. */
async function answerIn(offer) {
  const pc = (window.viewer ??= new RTCPeerConnection());
  await pc.setRemoteDescription(offer);
  await pc.setLocalDescription(await pc.createAnswer());
  while (pc.iceGatheringState !== 'complete') await new Promise((resolve) => setTimeout(resolve, 50));
  const { type, sdp } = pc.localDescription;
  return { type, sdp };
}

/** In the page: frames decoded and packets received so far, and how wide the picture is. */
async function seenIn() {
  const lines = [...(await window.viewer.getStats()).values()].filter((one) => one.type === 'inbound-rtp');
  const sum = (kind, key) => lines.filter((one) => one.kind === kind).reduce((total, one) => total + (one[key] ?? 0), 0);
  return { frames: sum('video', 'framesDecoded'), video: sum('video', 'packetsReceived'), audio: sum('audio', 'packetsReceived') };
}

/** Waits until `page` has decoded frames and, where wanted, received audio, from now on. */
async function decodes(page, what, audio = true) {
  const before = await page.evaluate(seenIn);
  for (const deadline = Date.now() + 30_000; ; await pause(200)) {
    const now = await page.evaluate(seenIn);
    if (now.frames > before.frames + 40 && (!audio || now.audio > before.audio + 50)) return;
    check(Date.now() < deadline, `${what}: from ${JSON.stringify(before)} to ${JSON.stringify(now)} in 30 s`);
  }
}

/** Checks that no more video comes to `page`, which may take a moment. */
async function rests(page, what) {
  await pause(700);
  const before = await page.evaluate(seenIn);
  await pause(1500);
  const now = await page.evaluate(seenIn);
  check(now.video - before.video <= 3, `${what}: ${now.video - before.video} packets in 1.5 s`);
}

/** A mountpoint's whole life by janode; the browser only decodes. */
async function driveMountpoint({ browser, address, artifacts }) {
  const { connection, attach, plugin } = await janode(address, 'streaming');
  const { STREAMING_STATUS } = plugin.EVENT;
  const host = await attach();
  const viewer = await attach();
  const secret = 'keep';
  const audio = { port: 0, pt: 111, rtpmap: 'opus/48000/2' };
  const video = { port: 0, rtcpport: 0, pt: 100, rtpmap: 'VP8/90000' };
  const made = await host.createRtpMountpoint({ id: 8100, name: 'stage', secret, pin: '42', audio, video });
  check(made.id === 8100 && made.name === 'stage', `create: ${JSON.stringify(made)}`);
  check(made.audio_port > 0 && made.video_port > 0 && made.video_rtcp_port > 0, `ports: ${JSON.stringify(made)}`);
  await refused(host.createRtpMountpoint({ id: 8100, audio }), 456);
  const other = await host.createRtpMountpoint({ id: 8101, media: [{ type: 'audio', mid: 'a', port: 0, pt: 111, codec: 'opus' }, { type: 'video', mid: 'v', port: 0, pt: 98, codec: 'vp8' }] });
  const { list } = await host.list();
  check([8100, 8101].every((id) => list.some((one) => one.id === id)), `list: ${JSON.stringify(list)}`);
  const known = await host.info({ id: 8100, secret });
  check(known.media.some((one) => one.port === made.video_port), `info: ${JSON.stringify(known)}`);
  const { media: [, { port }] } = await host.info({ id: other.id });
  const feeds = [
    sender(artifacts, 'ffmpeg', FFMPEG(made.audio_port, made.video_port, made.video_rtcp_port)),
    sender(artifacts, 'gst-launch-1.0', GSTREAMER(port)),
  ];
  try {
    const page = await openLab(browser);
    await refused(viewer.watch({ id: 8100, pin: 'wrong' }), 457);
    const watched = await viewer.watch({ id: 8100, pin: '42' });
    const started = next(viewer, STREAMING_STATUS);
    const begun = await viewer.start({ jsep: await page.evaluate(answerIn, watched.jsep) });
    check(begun.status === 'starting', `start: ${JSON.stringify(begun)}`);
    check((await started).status === 'started', 'no notice that it is up');
    await decodes(page, 'watch');
    await viewer.pause();
    await rests(page, 'pause');
    // janode resumes only with an answer, so with the one to another offer.
    const again = await viewer.watch({ id: 8100, pin: '42' });
    await viewer.start({ jsep: await page.evaluate(answerIn, again.jsep) });
    await decodes(page, 'start after pause');
    await viewer.configure({ video: false });
    await rests(page, 'configure');
    await viewer.configure({ video: true });
    await decodes(page, 'configure back');
    const switched = await viewer.switch({ id: other.id });
    check(switched.id === other.id, `switch: ${JSON.stringify(switched)}`);
    await decodes(page, 'switch', false);
    await viewer.switch({ id: 8100 });
    await decodes(page, 'switch back');
    await refused(host.disable({ id: 8100, stop_recording: false, secret: 'wrong' }), 457);
    await host.disable({ id: 8100, stop_recording: false, secret });
    await rests(page, 'disable');
    await host.enable({ id: 8100, secret });
    await decodes(page, 'enable');
    feeds.forEach((feed) => feed.runs());
    const ended = next(viewer, STREAMING_STATUS);
    await host.destroyMountpoint({ id: 8100, secret });
    check((await ended).status === 'stopped', 'the viewer was not told of the end');
    await host.destroyMountpoint({ id: other.id });
    await refused(host.info({ id: 8100 }), 455);
  } finally {
    feeds.forEach((feed) => feed.stop());
  }
  await connection.close();
}

/** Chooses a mountpoint of the page's list and watches it. */
async function choose(page, id) {
  await page.until('the button to watch', () => document.querySelector('#watch').textContent === 'Watch or Listen' && !document.querySelector('#watch').disabled);
  await page.evaluate(() => ($('#update-streams').click(), null));
  await page.until(`mountpoint ${id} in the list`, (which) => Boolean(document.querySelector(`#streamslist a[id="${which}"]`)), String(id));
  await page.evaluate((which) => ($(`#streamslist a[id="${which}"]`).click(), $('#watch').click(), null), String(id));
}

/** Ends what is watched by the page's button. */
async function stop(page) {
  await page.until('the stop button', () => document.querySelector('#watch').textContent === 'Stop');
  await page.evaluate(() => ($('#watch').click(), null));
  await page.until('the empty stage', () => document.querySelectorAll('#videos video').length === 0);
}

/** A viewer on the stock page: one camera with sound, then several streams at once. */
async function stockPage({ browser, address, artifacts }) {
  const { connection, attach } = await janode(address, 'streaming');
  const host = await attach();
  const opus = (mid) => ({ type: 'audio', mid, label: 'Sound', port: 0, pt: 111, codec: 'opus' });
  const vp8 = (mid, pt, label) => ({ type: 'video', mid, label, port: 0, rtcpport: 0, pt, codec: 'vp8' });
  const one = { id: 8110, description: 'One <camera>', metadata: 'in the hall', media: [opus('a'), vp8('v', 100, 'Hall')] };
  const many = { id: 8111, description: 'Two cameras', media: [opus('a'), vp8('v1', 100, 'Left'), vp8('v2', 98, 'Right'), { type: 'data', mid: 'd', label: 'Words', port: 0 }] };
  const ports = async (mountpoint) => {
    await host.createRtpMountpoint(mountpoint);
    const { media } = await host.info({ id: mountpoint.id });
    return media;
  };
  const [sound, camera] = await ports(one);
  const [noise, left, right] = await ports(many);
  const feeds = [
    sender(artifacts, 'ffmpeg', FFMPEG(sound.port, camera.port, camera.rtcpport)),
    sender(artifacts, 'ffmpeg', FFMPEG(noise.port, left.port, left.rtcpport)),
    sender(artifacts, 'gst-launch-1.0', GSTREAMER(right.port)),
  ];
  try {
    const page = await browser.open(`${PAGES}/stock/streamingtest.html`);
    await begin(page);
    await choose(page, one.id);
    await playing(page, '#remotevideov', 1);
    await page.until('its measures', () => document.querySelector('#curresv').textContent === '320x240' && /[1-9]\d* kbits/.test(document.querySelector('#curbitratev').textContent));
    await page.until('audio that plays', () => document.querySelector('#remotevideoa')?.currentTime > 1);
    await page.until('the metadata', () => document.querySelector('#metadata').textContent === 'in the hall');
    await stop(page);
    await choose(page, many.id);
    for (const mid of ['v1', 'v2']) await playing(page, `#remotevideo${mid}`, 1);
    await page.until('the data channel', () => Boolean(document.querySelector('#mstreamd #datarecv')));
    await stop(page);
    // The same mountpoint, a second time on the same handle; it ends by itself.
    await choose(page, one.id);
    await playing(page, '#remotevideov', 1);
    feeds.forEach((feed) => feed.runs());
    await host.destroyMountpoint({ id: one.id });
    await page.until('the end', () => document.querySelectorAll('#videos video').length === 0);
    await host.destroyMountpoint({ id: many.id });
  } finally {
    feeds.forEach((feed) => feed.stop());
  }
  await connection.close();
}

/** The stock page chooses among three sizes of one camera, with its own buttons. */
async function stockSimulcast({ browser, address, artifacts }) {
  const { connection, attach } = await janode(address, 'streaming');
  const host = await attach();
  const id = 8120;
  // In the order of the substreams. The older keys: those of `media` have another name there.
  const created = await host.createRtpMountpoint({ id, video: { port: 0, port2: 0, port3: 0, pt: 98, rtpmap: 'VP8/90000' } });
  const sizes = [[160, 120], [320, 240], [640, 480]];
  const numbers = [created.video_port, created.video_port_2, created.video_port_3];
  const feeds = sizes.map((size, at) => sender(artifacts, 'gst-launch-1.0', GSTREAMER(numbers[at], { size, keyframes: 25 })));
  const shown = (width) => (document.querySelector('#remotevideov')?.videoWidth === width);
  try {
    const page = await browser.open(`${PAGES}/stock/streamingtest.html`);
    await begin(page);
    await choose(page, id);
    await playing(page, '#remotevideov', 1);
    await page.until('the largest picture', shown, 640);
    for (const [substream, width] of [[0, 160], [1, 320], [2, 640]]) {
      const button = `#m-v-sl-${substream}`;
      await page.until(`button ${button}`, (selector) => Boolean(document.querySelector(selector)), button);
      await page.evaluate((selector) => ($(selector).click(), null), button);
      await page.until(`the notice of substream ${substream}`, (selector) => document.querySelector(selector).classList.contains('btn-success'), button);
      await page.until(`a picture ${width} wide`, shown, width);
    }
    feeds.forEach((feed) => feed.runs());
    await stop(page);
    await host.destroyMountpoint({ id });
  } finally {
    feeds.forEach((feed) => feed.stop());
  }
  await connection.close();
}

export default [
  { name: 'janode drives a mountpoint that ffmpeg feeds', each: true, limit: 150, run: driveMountpoint },
  { name: 'stock Streaming page, unmodified', each: true, limit: 150, run: stockPage },
  { name: 'stock Streaming page chooses layers, unmodified', each: true, limit: 120, run: stockSimulcast },
];
