// The demo room: joins VideoRoom 1234, publishes, watches everyone else, tells how it goes.

import { capture } from './capture.js';
import { Meter, pictureLine, totalLine } from './measure.js';
import { Participant } from './participant.js';
import * as wall from './tiles.js';
import { Viewer } from './viewer.js';

const asked = new URLSearchParams(location.search);
const room = Number(asked.get('room')) || 1234;
const at = (id) => document.getElementById(id);

/** The session's parts while we are in the room. */
let visit = null;

prepare();

function prepare() {
  document.title = `Bifrons · room ${room}`;
  for (const place of document.querySelectorAll('#room-number, .room-number')) place.textContent = room;
  at('name').value = asked.get('name') ?? `guest-${Math.floor(Math.random() * 900 + 100)}`;
  for (const key of ['source', 'transport']) {
    const button = document.querySelector(`input[name=${key}][value="${CSS.escape(asked.get(key) ?? '')}"]`);
    if (button) button.checked = true;
  }
  at('server-line').textContent = `${location.hostname} · VideoRoom over WebRTC`;
  offerOtherFamily();
  at('lobby').addEventListener('submit', (event) => {
    event.preventDefault();
    join();
  });
  at('leave').addEventListener('click', () => visit?.session.destroy());
  at('microphone').addEventListener('click', () => toggle('microphone', 'Microphone', 'Audio'));
  at('camera').addEventListener('click', () => toggle('camera', 'Camera', 'Video'));
  if (asked.has('join')) join();
}

/** On this very machine both address families lead here: show the way to the other one. */
function offerOtherFamily() {
  const overV6 = location.hostname === '[::1]';
  if (!overV6 && !['localhost', '127.0.0.1'].includes(location.hostname)) return;
  const link = new URL(location.href);
  link.hostname = overV6 ? '127.0.0.1' : '[::1]';
  const text = overV6 ? 'the same over IPv4' : 'the same over IPv6';
  at('other-family').append(Object.assign(document.createElement('a'), { href: link.href, textContent: text }));
}

async function join() {
  at('join').disabled = true;
  complain('');
  state('busy', 'connecting');
  try {
    const Janus = await library();
    const name = at('name').value.trim() || 'guest';
    const { tracks, remark } = await capture(choice('source'));
    if (remark) complain(remark);
    visit = { name, meters: [], timer: 0, session: null };
    visit.session = await open(Janus);
    await enter(Janus, name, tracks);
  } catch (error) {
    end(error.message);
  }
}

async function library() {
  try {
    const { default: Janus } = await import('./vendor/janus.js');
    await new Promise((callback) => {
      Janus.init({ debug: ['warn', 'error'], dependencies: Janus.useDefaultDependencies(), callback });
    });
    return Janus;
  } catch {
    throw new Error('The client library janus.js is not installed beside this page; `cargo xtask run` fetches it.');
  }
}

function open(Janus) {
  const secure = location.protocol === 'https:';
  const http = `${location.origin}/janus`;
  const ws = secure ? `wss://${location.hostname}:8989` : `ws://${location.hostname}:8188`;
  return new Promise((resolve, reject) => {
    const session = new Janus({
      server: choice('transport') === 'http' ? http : ws,
      iceServers: [],
      success: () => resolve(session),
      error: (cause) => (visit?.session ? end(`The server is gone: ${cause}`) : reject(new Error(String(cause)))),
      destroyed: () => end(''),
    });
  });
}

/** Joins, publishes, watches: from here on the events drive everything. */
async function enter(Janus, name, tracks) {
  const viewer = new Viewer({ session: visit.session, room, onUp: (pc) => meter(pc), complain });
  const participant = new Participant({
    session: visit.session,
    room,
    name,
    tracks,
    onFeeds: (feeds) => viewer.watch(feeds),
    onGone: (feed) => viewer.forget(feed),
    onState: (up, reason) => (up ? state('live', 'live') : state('lost', reason || 'media lost')),
    onUp: (pc) => meter(pc),
    complain,
  });
  Object.assign(visit, { viewer, participant });
  const { privateId } = await participant.join();
  viewer.privateId = privateId;
  showRoom(name, tracks);
  if (tracks.length > 0) await participant.publish();
  else state('live', 'watching');
  visit.timer = setInterval(measure, 2000);
}

function showRoom(name, tracks) {
  at('lobby').hidden = true;
  at('tiles').hidden = false;
  at('controls').hidden = false;
  const own = wall.tile('own', name, true);
  for (const track of tracks) own.add(track);
}

function meter(pc) {
  if (!visit.meters.some((entry) => entry.pc === pc)) visit.meters.push({ pc, meter: new Meter() });
}

async function measure() {
  const reports = [];
  for (const { pc, meter: each } of visit?.meters ?? []) {
    if (pc.connectionState !== 'closed') reports.push(await each.read(pc));
  }
  if (!visit || reports.length === 0) return;
  at('statistics').textContent = totalLine(reports);
  const streams = reports.flatMap((report) => report.streams);
  const line = (found) => pictureLine(found.find((one) => one.kind === 'video'), found.find((one) => one.kind === 'audio'));
  const own = wall.find('own');
  if (own) own.line.textContent = line(streams.filter((one) => !one.received));
  for (const [feed, mids] of visit.viewer.linesByFeed()) {
    const shown = wall.find(feed);
    if (shown) shown.line.textContent = line(streams.filter((one) => one.received && mids.includes(one.mid)));
  }
}

function toggle(id, label, kind) {
  const handle = visit?.participant.handle;
  if (!handle) return;
  const muted = handle[`is${kind}Muted`]();
  handle[`${muted ? 'unmute' : 'mute'}${kind}`]();
  at(id).setAttribute('aria-pressed', String(muted));
  at(id).textContent = `${label} ${muted ? 'on' : 'off'}`;
}

/** Back to the lobby, with a sentence when we did not leave by ourselves. */
function end(sentence) {
  clearInterval(visit?.timer);
  for (const track of visit?.participant?.tracks ?? []) track.stop();
  visit = null;
  wall.clear();
  at('tiles').hidden = at('controls').hidden = true;
  at('lobby').hidden = at('join').disabled = false;
  state(sentence ? 'lost' : 'idle', sentence ? 'connection lost' : 'not connected');
  if (sentence) complain(sentence);
}

function choice(name) {
  return document.querySelector(`input[name=${name}]:checked`).value;
}

function state(kind, text) {
  at('state').dataset.state = kind;
  at('state').textContent = text;
}

function complain(sentence) {
  at('banner').hidden = !sentence;
  at('banner').textContent = sentence;
}
