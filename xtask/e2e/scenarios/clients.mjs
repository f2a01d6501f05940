// Clients that are not browsers: janode drives rooms and echoes, aiortc joins one and talks.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { janode, next, refused } from '../lib/janode.mjs';
import { ADMIN, UNIX } from '../lib/server.mjs';
import { COLOURS, arrive, check, flows, openLab, pause, publish, watch } from '../lib/lab.mjs';

async function driveRoom({ address }) {
  const { connection, attach, plugin: VideoRoom } = await janode(address, 'videoroom');
  const { EVENT } = VideoRoom;
  const host = await attach();
  const guest = await attach();
  const room = 8001;
  const secret = 'keep';
  const made = await host.create({ room, description: 'driven', secret, pin: '42', notify_joining: true });
  check(made.room === room && made.permanent === false, `create: ${JSON.stringify(made)}`);
  await refused(host.create({ room }), 427);
  check((await host.exists({ room })).exists === true, 'the room does not exist');
  const { list } = await host.list();
  check(list.some((one) => one.room === room && one.pin_required), `list: ${JSON.stringify(list)}`);
  await refused(guest.joinPublisher({ room, display: 'guest', pin: 'wrong' }), 433);
  const mine = await host.joinPublisher({ room, display: 'host', pin: '42' });
  const hears = next(host, EVENT.VIDEOROOM_PUB_PEER_JOINED);
  const theirs = await guest.joinPublisher({ room, feed: 77, display: 'guest', pin: '42' });
  check(theirs.feed === 77, `the guest got id ${theirs.feed}`);
  check((await hears).feed === 77, 'the host was not told who joined');
  const { participants } = await host.listParticipants({ room });
  const names = participants.map((one) => one.display).sort().join();
  check(names === 'guest,host', `participants: ${names}`);
  const renamed = next(host, EVENT.VIDEOROOM_DISPLAY);
  await guest.configure({ display: 'renamed' });
  check((await renamed).display === 'renamed', 'the new name was not announced');
  await refused(host.kick({ room, feed: 77, secret: 'wrong' }), 433);
  // Since Janus 1.4 the notice carries the display, and janode takes it for a change of that.
  const kicked = Promise.race([next(host, EVENT.VIDEOROOM_KICKED), next(host, EVENT.VIDEOROOM_DISPLAY)]);
  await host.kick({ room, feed: 77, secret });
  const { feed, display } = await kicked;
  check(feed === 77 || display === 'renamed', 'the kick was not announced');
  await refused(host.kick({ room, feed: 77, secret }), 428);
  await refused(host.destroy({ room, secret: 'wrong' }), 433);
  const ended = next(host, EVENT.VIDEOROOM_DESTROYED);
  const other = await attach();
  await other.destroy({ room, secret });
  check((await ended).room === room, `destroyed: ${mine.feed} was not told`);
  check((await host.exists({ room })).exists === false, 'the room still exists');
  await connection.close();
}

/** janode's whole Admin API: who is there, and what one of them does. */
async function operate({ address, artifacts, url = ADMIN.ws }) {
  const { Janode, connection, session, attach } = await janode(address, 'videoroom');
  const handle = await attach();
  const admin = await Janode.connect({ is_admin: true, address: { url, apisecret: ADMIN.secret } });
  const info = await admin.getInfo();
  check(info.janus === 'server_info' && 'janus.plugin.videoroom' in info.plugins, `info: ${JSON.stringify(info).slice(0, 200)}`);
  const { sessions } = await admin.listSessions();
  check(sessions.includes(session.id), `sessions: ${sessions}`);
  const { handles } = await admin.listHandles(session.id);
  check(handles.length === 1 && handles[0] === handle.id, `handles: ${handles}`);
  const told = await admin.handleInfo(session.id, handle.id);
  check(told.info.plugin === 'janus.plugin.videoroom', `handle: ${JSON.stringify(told).slice(0, 200)}`);
  await refused(admin.handleInfo(session.id, 77), 459);
  await refused(admin.stopPcap(session.id, handle.id), 490);
  await admin.startPcap(session.id, handle.id, artifacts, `operator-${handle.id}.pcap`, 100);
  await refused(admin.startPcap(session.id, handle.id, artifacts, 'another.pcap'), 490);
  await admin.stopPcap(session.id, handle.id);
  const stranger = await Janode.connect({ is_admin: true, address: { url, apisecret: 'wrong' } });
  await refused(stranger.listSessions(), 403);
  for (const one of [stranger, admin, connection]) await one.close();
}

/** The same, through sockets of datagrams. */
async function overUnixSockets({ artifacts }) {
  await driveRoom({ address: UNIX.api });
  await operate({ address: UNIX.api, artifacts, url: UNIX.admin });
}

/** Starts a client of aiortc; `line(key)` resolves with its first JSON line that has `key`. */
function guest(python, words, client = 'guest') {
  const program = new URL(`../clients/${client}.py`, import.meta.url).pathname;
  const child = spawn(python ?? 'python3', [program, ...words], { stdio: ['pipe', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (text) => (errors += text));
  const lines = [];
  const asking = [];
  const settle = () => {
    for (const ask of asking) {
      const found = lines.find((line) => ask.key in line);
      if (found) ask.resolve(found);
    }
  };
  createInterface({ input: child.stdout }).on('line', (text) => lines.push(JSON.parse(text)) && settle());
  const exit = once(child, 'exit').then(([code]) => {
    for (const ask of asking) ask.reject(new Error(`the client ended with ${code}: ${errors.trim().split('\n').pop()}`));
    return code;
  });
  return {
    line: (key) => new Promise((resolve, reject) => asking.push({ key, resolve, reject }) && settle()),
    kill: () => child.kill('SIGKILL'),
    async leave() {
      child.stdin.end();
      check((await exit) === 0, `the client did not end cleanly: ${errors}`);
    },
  };
}

async function meetAiortc({ browser, address, python }) {
  const { connection, attach, plugin: VideoRoom } = await janode(address, 'videoroom');
  const host = await attach();
  const room = 8002;
  await host.create({ room, max_publishers: 4 });
  await host.joinPublisher({ room, display: 'host' });
  const lab = await openLab(browser);
  await arrive(lab, address, 'red');
  const own = await publish(lab, 'red', room, { audio: 'tone', video: COLOURS.red });
  const announced = next(host, VideoRoom.EVENT.VIDEOROOM_PUB_LIST);
  const person = guest(python, [address, String(room), String(own.id), 'guest']);
  try {
    const { published } = await person.line('published');
    const { publishers } = await announced;
    check(publishers.some((one) => one.feed === published), `janode heard of ${JSON.stringify(publishers)}`);
    await watch(lab, 'red', 'red-watches', room, [published], own.privateId);
    await flows(lab, 'red-watches', { video: 1, audio: 1 });
    await person.line('video');
    const left = next(host, VideoRoom.EVENT.VIDEOROOM_LEAVING);
    await person.leave();
    check((await left).feed === published, 'janode did not hear the guest leave');
  } finally {
    person.kill();
  }
  await host.destroy({ room });
  await connection.close();
}

/** Messages of all sizes that are taken, there and back. */
async function talkAiortc({ address, python, note }) {
  const sizes = [100, 65_536, 1_048_576];
  const talker = guest(python, [address, ...sizes.map(String)], 'talker');
  try {
    const { echoed } = await talker.line('echoed');
    check(echoed.length === sizes.length, `echoed: ${echoed}`);
    note(`${echoed.at(-1)} bytes each way`);
    await talker.leave();
  } finally {
    talker.kill();
  }
}

/** In the page: an offer of a picture and a tone. */
async function offerIn() {
  const pc = (window.caller ??= new RTCPeerConnection());
  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  for (const track of media.getTracks()) pc.addTrack(track, media);
  await pc.setLocalDescription(await pc.createOffer());
  while (pc.iceGatheringState !== 'complete') await new Promise((resolve) => setTimeout(resolve, 50));
  const { type, sdp } = pc.localDescription;
  return { type, sdp };
}

/** In the page: frames decoded so far. */
async function echoedIn() {
  const lines = [...(await window.caller.getStats()).values()].filter((one) => one.type === 'inbound-rtp');
  return lines.reduce((total, one) => total + (one.framesDecoded ?? 0), 0);
}

/** janode signals for a browser that hears and sees itself. */
async function echoByJanode({ browser, address }) {
  const { connection, attach, plugin } = await janode(address, 'echotest');
  const handle = await attach();
  await refused(handle.start({ audio: true, jsep: { type: 'offer', sdp: 'nonsense' } }), 465);
  const page = await openLab(browser);
  const begun = await handle.start({ audio: true, video: true, bitrate: 500_000, jsep: await page.evaluate(offerIn) });
  check(begun.result === 'ok' && begun.jsep?.type === 'answer', `start: ${JSON.stringify(begun)}`);
  await page.evaluate((answer) => window.caller.setRemoteDescription(answer), begun.jsep);
  const grows = async (what, wanted) => {
    const before = await page.evaluate(echoedIn);
    for (const deadline = Date.now() + 15_000; (await page.evaluate(echoedIn)) < before + wanted; await pause(200)) {
      check(Date.now() < deadline, `${what}: no ${wanted} frames in 15 s`);
    }
  };
  await grows('start', 30);
  const ended = next(handle, plugin.EVENT.ECHOTEST_RESULT);
  await handle.hangup();
  check((await ended).result === 'done', 'no notice of the end');
  await connection.close();
}

export default [
  { name: 'janode drives a room through its whole life', limit: 60, run: driveRoom },
  { name: 'janode operates the server', limit: 60, run: operate },
  { name: 'janode does both over Unix sockets', limit: 60, run: overUnixSockets },
  { name: 'janode echoes a browser', each: true, limit: 60, run: echoByJanode },
  { name: 'aiortc hears a mebibyte come back', browsers: ['chromium'], limit: 90, run: talkAiortc },
  { name: 'aiortc and a browser meet in a room janode made', browsers: ['chromium'], limit: 90, run: meetAiortc },
];
