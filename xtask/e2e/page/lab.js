// The laboratory: named participants driven by the scenarios through `window.lab`.
//
// All of a scenario's participants in one browser share this page, because browsers slow down
// the timers and decoders of pages in the background.

import Janus from '/vendor/janus.js';

/** Participants by name, each with its plugin handle and what it has received. */
const people = new Map();
const sessions = new Map();

function initialise() {
  return new Promise((resolve) => {
    Janus.init({ debug: ['warn', 'error'], dependencies: Janus.useDefaultDependencies(), callback: resolve });
  });
}
const ready = initialise();

/** Opens a Janus session at `server` under `name`. */
async function connect({ name, server }) {
  await ready;
  await new Promise((resolve, reject) => {
    const session = new Janus({
      server,
      iceServers: [],
      success: () => resolve(sessions.set(name, session)),
      error: (cause) => reject(new Error(`session ${name}: ${cause}`)),
      destroyed: () => sessions.delete(name),
    });
  });
}

/** Attaches `name` to `plugin` within the session `session`. */
async function attach({ name, session, plugin }) {
  const person = { events: [], up: [], tracks: new Map(), handle: null, data: [] };
  people.set(name, person);
  await new Promise((resolve, reject) => {
    sessions.get(session).attach({
      plugin,
      success: (handle) => resolve((person.handle = handle)),
      error: (cause) => reject(new Error(`attach ${name}: ${cause}`)),
      onmessage: (message, jsep) => person.events.push({ message, jsep, seen: false }),
      webrtcState: (on, reason) => person.up.push(reason ? `${on}: ${reason}` : on),
      onremotetrack: (track, mid, on) => showTrack(person, name, track, mid, on),
      ondata: (content, label) => person.data.push({ content, label }),
      oncleanup: () => person.up.push('cleanup'),
    });
  });
}

/** Lets a remote track be heard: the browser counts no energy of what is muted. */
function unmute({ name, mid }) {
  people.get(name).tracks.get(mid).muted = false;
}

/** Plays a remote track in an element of its own, so that it is decoded. */
function showTrack(person, name, track, mid, on) {
  person.tracks.get(mid)?.remove();
  person.tracks.delete(mid);
  if (!on) return;
  const element = document.createElement(track.kind);
  Object.assign(element, { autoplay: true, muted: true, playsInline: true, id: `${name}-${mid}` });
  element.srcObject = new MediaStream([track]);
  element.style.width = '200px';
  document.body.append(element);
  person.tracks.set(mid, element);
}

/** A moving picture in one colour, and a tone: what a synthetic camera would give. */
function picture(colour) {
  const canvas = document.createElement('canvas');
  canvas.width = 320;
  canvas.height = 240;
  const brush = canvas.getContext('2d');
  let step = 0;
  setInterval(() => {
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 320, 240);
    brush.fillStyle = '#000';
    brush.fillRect((step += 7) % 320, 0, 12, 24);
  }, 50);
  brush.fillRect(0, 0, 1, 1);
  document.body.append(canvas);
  return canvas.captureStream(20).getVideoTracks()[0];
}

function tone() {
  const context = new AudioContext();
  const oscillator = new OscillatorNode(context, { frequency: 330 });
  const out = context.createMediaStreamDestination();
  oscillator.connect(out);
  oscillator.start();
  return out.stream.getAudioTracks()[0];
}

/** Turns `{audio: 'tone', video: '#f00'}`, `true` (the real device) or constraints into janus.js tracks. */
function tracksOf({ audio, video, data, receive = false }, extra = {}) {
  const tracks = [];
  if (audio) tracks.push({ type: 'audio', capture: audio === true || tone(), recv: receive, ...extra });
  const capture = typeof video === 'string' ? picture(video) : video;
  if (video) tracks.push({ type: 'video', capture, recv: receive, ...extra });
  if (data) tracks.push({ type: 'data' });
  return tracks;
}

/** The channel that janus.js opens by itself, once it is open. */
async function channelOf(person) {
  const deadline = performance.now() + 10000;
  for (;;) {
    const channel = person.handle.webrtcStuff.dataChannel?.JanusDataChannel;
    if (channel?.readyState === 'open') return channel;
    if (performance.now() > deadline) throw new Error(`the data channel is ${channel?.readyState}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A text of so many letters, or so many bytes that differ. */
function content(kind, size) {
  if (kind === 'text') return 'abcdefghij'.repeat(size / 10 + 1).slice(0, size);
  return Uint8Array.from({ length: size }, (_, at) => (at * 7 + (at >> 8)) & 255).buffer;
}

/** Sends `count` messages of `kind` and `size`; resolves with what came back to them. */
async function echoData({ name, kind, size, count = 1, within = 30000 }) {
  const person = people.get(name);
  const channel = await channelOf(person);
  person.data.length = 0;
  const sent = content(kind, size);
  for (let at = 0; at < count; at += 1) channel.send(sent);
  const deadline = performance.now() + within;
  while (person.data.length < count) {
    if (performance.now() > deadline) {
      throw new Error(`${person.data.length} of ${count} came back, the channel is ${channel.readyState}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const told = async ({ content: came, label }) => {
    if (typeof came === 'string') return { label, kind: 'text', same: came.endsWith(sent), prefix: came.slice(0, came.length - size) };
    const bytes = new Uint8Array(came instanceof Blob ? await came.arrayBuffer() : came);
    const wanted = new Uint8Array(kind === 'text' ? 0 : sent);
    const same = bytes.length === wanted.length && bytes.every((byte, at) => byte === wanted[at]);
    return { label, kind: 'binary', same, prefix: '' };
  };
  return Promise.all(person.data.map(told));
}

/** Sends a text, and the same bytes as binary. */
async function say({ name, text }) {
  const channel = await channelOf(people.get(name));
  channel.send(text);
  channel.send(new TextEncoder().encode(text).buffer);
}

/** Waits until the channel is there that janus.js opens by itself. */
const canTalk = async ({ name }) => (await channelOf(people.get(name))).readyState;

/** What `name` was told, once that is `count` messages: texts, binaries as texts, and the labels. */
async function told({ name, count, within = 15000 }) {
  const { data } = people.get(name);
  const deadline = performance.now() + within;
  while (data.length < count && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const plain = async ({ content: came, label }) => {
    if (typeof came === 'string') return { label, kind: 'text', text: came };
    const bytes = came instanceof Blob ? await came.arrayBuffer() : came;
    return { label, kind: 'binary', text: new TextDecoder().decode(bytes) };
  };
  return Promise.all(data.splice(0).map(plain));
}

/** The longest message the browser believes it may send. */
const maxMessage = ({ name }) => people.get(name).handle.webrtcStuff.pc.sctp?.maxMessageSize ?? 0;

/** The first message of `name`, not handed out before, that has all the fields of `like`. */
async function expect({ name, like, within = 10000 }) {
  const person = people.get(name);
  const fits = (value, wish) =>
    wish !== null && typeof wish === 'object'
      ? value !== null && typeof value === 'object' && Object.keys(wish).every((key) => fits(value[key], wish[key]))
      : wish === '*' ? value !== undefined : value === wish;
  const deadline = performance.now() + within;
  for (;;) {
    const found = person.events.find((event) => !event.seen && fits(event.message, like));
    if (found) {
      found.seen = true;
      return { message: found.message, jsep: found.jsep ?? null };
    }
    const refused = person.events.find((event) => !event.seen && event.message.error_code);
    if (refused) throw new Error(`${name}: ${refused.message.error_code} ${refused.message.error}`);
    if (performance.now() > deadline) {
      const unseen = person.events.filter((event) => !event.seen).map((event) => event.message);
      throw new Error(`${name} waited for ${JSON.stringify(like)}; has ${JSON.stringify(unseen)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Sends a request; resolves with its synchronous reply, or with nothing once acknowledged. */
function send({ name, message, jsep }) {
  return new Promise((resolve, reject) => {
    people.get(name).handle.send({
      message,
      jsep: jsep ?? undefined,
      success: (data) => resolve(data ?? null),
      error: (cause) => reject(new Error(`${name} ${message.request}: ${cause}`)),
    });
  });
}

/** Sends a request and waits for the event that has the fields of `like`. */
async function ask({ name, message, jsep, like, within }) {
  await send({ name, message, jsep });
  return expect({ name, like, within });
}

function createOffer({ name, send: sending, extra, options = {} }) {
  return new Promise((resolve, reject) => {
    people.get(name).handle.createOffer({
      tracks: tracksOf(sending ?? {}, extra),
      ...options,
      success: resolve,
      error: (cause) => reject(new Error(`${name} offer: ${cause.message ?? cause}`)),
    });
  });
}

function createAnswer({ name, jsep, tracks = [] }) {
  return new Promise((resolve, reject) => {
    people.get(name).handle.createAnswer({
      jsep,
      tracks,
      success: resolve,
      error: (cause) => reject(new Error(`${name} answer: ${cause.message ?? cause}`)),
    });
  });
}

function handleAnswer({ name, jsep }) {
  return new Promise((resolve, reject) => {
    people.get(name).handle.handleRemoteJsep({
      jsep,
      success: resolve,
      error: (cause) => reject(new Error(`${name} remote answer: ${cause.message ?? cause}`)),
    });
  });
}

/** What the connection of `name` looks like now, in plain values. */
async function stats({ name }) {
  const { pc } = people.get(name).handle.webrtcStuff;
  const report = { connection: pc.connectionState, in: [], out: [], transport: null, pair: null };
  const all = await pc.getStats();
  const byId = new Map();
  all.forEach((entry) => byId.set(entry.id, entry));
  for (const entry of byId.values()) {
    if (entry.type === 'inbound-rtp') report.in.push(inbound(entry));
    if (entry.type === 'outbound-rtp') {
      report.out.push({ kind: entry.kind, mid: entry.mid, packets: entry.packetsSent, keyframes: entry.keyFramesEncoded });
    }
    if (entry.type === 'transport') transport(report, entry, byId);
  }
  return report;
}

function inbound(entry) {
  return {
    kind: entry.kind,
    mid: entry.mid,
    ssrc: entry.ssrc,
    packets: entry.packetsReceived ?? 0,
    lost: entry.packetsLost ?? 0,
    frames: entry.framesDecoded ?? 0,
    energy: entry.totalAudioEnergy ?? 0,
    width: entry.frameWidth ?? 0,
    keyframes: entry.keyFramesDecoded ?? 0,
    freezes: entry.freezeCount ?? 0,
  };
}

function transport(report, entry, byId) {
  report.transport = { dtls: entry.dtlsState, tls: entry.tlsVersion, srtp: entry.srtpCipher };
  const pair = byId.get(entry.selectedCandidatePairId);
  if (!pair) return;
  const remote = byId.get(pair.remoteCandidateId);
  report.pair = { state: pair.state, remote: remote?.address, port: remote?.port, type: remote?.candidateType };
}

/** The colour in the middle of a received video, as [red, green, blue]. */
function colour({ name, mid }) {
  const element = people.get(name).tracks.get(mid);
  if (!element?.videoWidth) return null;
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 8;
  const brush = canvas.getContext('2d', { willReadFrequently: true });
  brush.drawImage(element, element.videoWidth / 2 - 4, element.videoHeight / 2 - 4, 8, 8, 0, 0, 8, 8);
  return [...brush.getImageData(4, 4, 1, 1).data].slice(0, 3);
}

function descriptions({ name }) {
  const { pc } = people.get(name).handle.webrtcStuff;
  const ufrag = (sdp) => sdp?.match(/a=ice-ufrag:(\S+)/)?.[1] ?? null;
  return {
    local: pc.localDescription?.sdp,
    remote: pc.remoteDescription?.sdp,
    localUfrag: ufrag(pc.localDescription?.sdp),
    remoteUfrag: ufrag(pc.remoteDescription?.sdp),
  };
}

/** Publishes as a WHIP client does: one POST of an offer, all candidates in it. */
async function whip({ name, url, token, video }) {
  const pc = new RTCPeerConnection();
  const sending = { direction: 'sendonly' };
  pc.addTransceiver(tone(), sending);
  pc.addTransceiver(picture(video), sending);
  await pc.setLocalDescription();
  await new Promise((resolve) => {
    const look = () => pc.iceGatheringState === 'complete' && resolve();
    pc.onicegatheringstatechange = look;
    look();
  });
  const headers = { 'Content-Type': 'application/sdp', Authorization: `Bearer ${token}` };
  const response = await fetch(url, { method: 'POST', headers, body: pc.localDescription.sdp });
  const body = await response.text();
  if (response.status !== 201) {
    pc.close();
    return { status: response.status, body };
  }
  await pc.setRemoteDescription({ type: 'answer', sdp: body });
  // `stats` looks where janus.js keeps its connection.
  people.set(name, { handle: { webrtcStuff: { pc } }, up: [], events: [], tracks: new Map() });
  return { status: 201, resource: new URL(response.headers.get('Location'), url).href };
}

/** Restarts ICE as a WHIP client does: new credentials both ways, nothing else. */
async function whipRestart({ name, resource, token }) {
  const { pc } = people.get(name).handle.webrtcStuff;
  await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
  const lines = pc.localDescription.sdp.split('\r\n');
  const own = (start) => lines.find((line) => line.startsWith(start));
  const response = await fetch(resource, {
    method: 'PATCH',
    headers: { 'Content-Type': 'application/trickle-ice-sdpfrag', Authorization: `Bearer ${token}`, 'If-Match': '"*"' },
    body: `${own('a=ice-ufrag:')}\r\n${own('a=ice-pwd:')}\r\n`,
  });
  if (response.status !== 200) return { status: response.status };
  const fragment = await response.text();
  const theirs = (key) => fragment.match(new RegExp(`${key}:(\\S+)`))[0];
  const sdp = pc.remoteDescription.sdp
    .replace(/ice-ufrag:\S+/g, theirs('ice-ufrag'))
    .replace(/ice-pwd:\S+/g, theirs('ice-pwd'));
  await pc.setRemoteDescription({ type: 'answer', sdp });
  return { status: 200, ufrag: theirs('ice-ufrag') };
}

const states = ({ name }) => people.get(name).up;
const eventsOf = ({ name }) => people.get(name).events.map((event) => event.message);

function detach({ name }) {
  return new Promise((resolve) => people.get(name).handle.detach({ success: resolve, error: resolve }));
}

function hangup({ name }) {
  people.get(name).handle.hangup();
}

/** Closes the PeerConnection as a closed tab would, without a word to the server's API. */
function vanish({ name }) {
  people.get(name).handle.webrtcStuff.pc.close();
}

function destroy({ name }) {
  return new Promise((resolve, reject) => sessions.get(name).destroy({ success: resolve, error: reject }));
}

window.lab = {
  connect, attach, expect, send, ask, createOffer, createAnswer, handleAnswer,
  stats, colour, unmute, descriptions, states, eventsOf, detach, hangup, vanish, destroy, echoData, maxMessage, say, told,
  canTalk,
  whip, whipRestart,
};
