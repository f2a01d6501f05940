// The scenarios' words: what a participant does, and what must be seen afterwards.

const FRAMES = 60;
const PACKETS = 100;

/** Throws `sentence` unless `condition` holds. */
export function check(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

/** Every function of the page's `window.lab`, callable from here with one plain argument. */
export async function openLab(browser) {
  const page = await browser.open('http://127.0.0.1:18000/lab.html');
  await page.until('the lab page', () => Boolean(window.lab));
  const call = (method) => (argument = {}) =>
    page.evaluate(([name, value]) => window.lab[name](value), [method, argument]);
  // Not `then`: a proxy that has one would be taken for a promise.
  return new Proxy(page, {
    get: (target, key) => (key in target || key === 'then' ? target[key] : call(key)),
  });
}

/**
 * Waits until `name` has decoded enough new frames on `video` lines and received enough new
 * packets on `audio` lines, counted from this call. `mids` narrows it to those lines.
 */
export async function flows(lab, name, { video = 0, audio = 0, mids, frames = FRAMES, packets = PACKETS }) {
  const wanted = (line) => !mids || mids.includes(line.mid);
  const before = new Map((await lab.stats({ name })).in.map((line) => [line.ssrc, line]));
  const deadline = Date.now() + 30_000;
  for (;;) {
    const now = await lab.stats({ name });
    const lines = now.in.filter(wanted);
    const gained = (line, key) => line[key] - (before.get(line.ssrc)?.[key] ?? 0);
    const videos = lines.filter((line) => line.kind === 'video' && gained(line, 'frames') > frames);
    const audios = lines.filter((line) => line.kind === 'audio' && gained(line, 'packets') > packets);
    if (videos.length >= video && audios.length >= audio) return now;
    if (Date.now() > deadline) {
      throw new Error(
        `${name} wanted ${video} video and ${audio} audio flowing, after 30 s has ${JSON.stringify(now)}`,
      );
    }
    await pause(200);
  }
}

/** A picture large enough for three layers. */
export const HD = { width: 1280, height: 720 };

/** Waits until a video of `name` is `width` pixels wide and goes on; resolves with its line. */
export async function widens(lab, name, width) {
  const deadline = Date.now() + 40_000;
  for (;;) {
    const { in: lines } = await flows(lab, name, { video: 1, frames: 10 });
    const line = lines.find((one) => one.kind === 'video' && one.width === width);
    if (line) return line;
    check(Date.now() < deadline, `${name}: ${JSON.stringify(lines)} is not ${width} pixels wide`);
  }
}

/** Checks that no line of `mids` gains more than a few frames or packets in `within` ms. */
export async function silent(lab, name, mids, within = 2000) {
  await pause(700);
  const sum = async () => {
    const lines = (await lab.stats({ name })).in.filter((line) => mids.includes(line.mid));
    return lines.reduce((total, line) => total + line.packets, 0);
  };
  const before = await sum();
  await pause(within);
  const gained = (await sum()) - before;
  check(gained <= 3, `${name} still received ${gained} packets on ${mids} within ${within} ms`);
}

/** Waits until the middle of a received video shows `wanted` ("red", "green" or "blue"). */
export async function shows(lab, name, mid, wanted) {
  const channel = ['red', 'green', 'blue'].indexOf(wanted);
  const deadline = Date.now() + 15_000;
  for (;;) {
    const seen = await lab.colour({ name, mid });
    if (seen && seen[channel] > 120 && seen.every((v, i) => i === channel || v < 100)) return;
    if (Date.now() > deadline) throw new Error(`${name} line ${mid} shows ${seen}, not ${wanted}`);
    await pause(150);
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Full-intensity colours that survive chroma subsampling. */
export const COLOURS = { red: '#f00', green: '#0f0', blue: '#00f' };

/** Opens a session with one VideoRoom handle named `name`. */
export async function arrive(lab, address, name) {
  await lab.connect({ name, server: address });
  await lab.attach({ name, session: name, plugin: 'janus.plugin.videoroom' });
}

let nextRoom = 7000;

/** Creates a room of its own for a scenario; `name` is any VideoRoom handle. */
export async function createRoom(lab, name, more = {}) {
  const room = (nextRoom += 1);
  const reply = await lab.send({ name, message: { request: 'create', room, publishers: 6, ...more } });
  check(reply?.videoroom === 'created' && reply.room === room, `create answered ${JSON.stringify(reply)}`);
  return room;
}

/** Joins `room` as publisher and publishes `sending`; resolves with id, private id and publishers. */
export async function publish(lab, name, room, sending, extra) {
  const joined = await lab.ask({
    name,
    message: { request: 'join', ptype: 'publisher', room, display: name },
    like: { videoroom: 'joined' },
  });
  const jsep = await lab.createOffer({ name, send: sending, extra });
  const configured = await lab.ask({
    name,
    message: { request: 'publish' },
    jsep,
    like: { videoroom: 'event', configured: 'ok' },
  });
  check(configured.jsep?.type === 'answer', `${name}: publish brought no answer`);
  await lab.handleAnswer({ name, jsep: configured.jsep });
  await up(lab, name);
  const { id, private_id: privateId, publishers } = joined.message;
  return { id, privateId, publishers };
}

/** Waits until the server said `webrtcup` to `name`. */
export async function up(lab, name) {
  await lab.until(`${name}'s webrtcup`, (who) => window.lab.states({ name: who }).includes(true), name);
}

/** Attaches `name` in session `session` as subscriber of `feeds`; answers the offer. */
export async function watch(lab, session, name, room, feeds, privateId, tracks, more = {}) {
  await lab.attach({ name, session, plugin: 'janus.plugin.videoroom' });
  const streams = feeds.map((feed) => (typeof feed === 'object' ? feed : { feed }));
  const attached = await lab.ask({
    name,
    message: { request: 'join', ptype: 'subscriber', room, streams, private_id: privateId, ...more },
    like: { videoroom: 'attached' },
  });
  await answer(lab, name, attached.jsep, room, tracks);
  await up(lab, name);
  return attached.message.streams;
}

/** Answers a subscriber offer with `start`. */
export async function answer(lab, name, offer, room, tracks) {
  check(offer?.type === 'offer', `${name}: no offer came`);
  const jsep = await lab.createAnswer({ name, jsep: offer, tracks });
  await lab.ask({ name, message: { request: 'start', room }, jsep, like: { started: 'ok' } });
}
