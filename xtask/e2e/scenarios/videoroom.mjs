// VideoRoom: rooms in which browsers publish to and watch each other.

import { COLOURS, HD, answer, arrive, check, createRoom, flows, openLab, pause, publish, shows, silent, watch, widens }
  from '../lib/lab.mjs';

const NAMES = ['red', 'green', 'blue'];

/** Publishers named after their colour, all up, none watching yet. */
async function publishers(lab, address, names, sending = (name) => ({ audio: 'tone', video: COLOURS[name] })) {
  const ids = {};
  let room = null;
  for (const name of names) {
    await arrive(lab, address, name);
    room ??= await createRoom(lab, name);
    ids[name] = await publish(lab, name, room, sending(name));
  }
  return { room, ids };
}

/** `name` watches `others` on one subscriber handle; checks that each shows its own colour. */
async function watchOthers(lab, name, others, { room, ids }) {
  const viewer = `${name}-watches`;
  const feeds = others.map((other) => ids[other].id);
  const streams = await watch(lab, name, viewer, room, feeds, ids[name].privateId);
  await flows(lab, viewer, { video: others.length, audio: others.length });
  await showOwnColours(lab, viewer, streams, ids, others);
  return streams;
}

async function showOwnColours(lab, viewer, streams, ids, names) {
  for (const name of names) {
    const line = streams.find((stream) => stream.feed_id === ids[name].id && stream.type === 'video');
    check(line, `no video line of ${name} in ${JSON.stringify(streams)}`);
    await shows(lab, viewer, line.mid, name);
  }
}

export default [
  {
    name: 'videoroom: three publishers each watch the other two',
    limit: 120,
    async run({ browser, address }) {
      const lab = await openLab(browser);
      const party = await publishers(lab, address, NAMES);
      for (const name of NAMES) {
        await watchOthers(lab, name, NAMES.filter((other) => other !== name), party);
      }
      const list = await lab.send({ name: 'red', message: { request: 'listparticipants', room: party.room } });
      check(list.participants.length === 3, `the room lists ${JSON.stringify(list.participants)}`);
      check(list.participants.every((one) => one.publisher), 'someone is not listed as publisher');
    },
  },
  {
    name: 'videoroom: a late joiner sees who is there and is announced',
    limit: 90,
    async run({ browser, address, note }) {
      const lab = await openLab(browser);
      const party = await publishers(lab, address, ['red', 'green']);
      await watchOthers(lab, 'red', ['green'], party);
      await arrive(lab, address, 'blue');
      party.ids.blue = await publish(lab, 'blue', party.room, { audio: 'tone', video: COLOURS.blue });
      const there = party.ids.blue.publishers.map((one) => one.id).sort();
      const wanted = [party.ids.red.id, party.ids.green.id].sort();
      check(String(there) === String(wanted), `the late joiner was told of ${there}, not ${wanted}`);
      const news = await lab.expect({ name: 'red', like: { videoroom: 'event', publishers: { 0: { id: party.ids.blue.id } } } });
      check(news.message.publishers[0].streams.length === 2, `announced ${JSON.stringify(news.message)}`);
      const started = Date.now();
      await watch(lab, 'blue', 'blue-watches', party.room, wanted, party.ids.blue.privateId);
      await flows(lab, 'blue-watches', { video: 2, frames: 0 });
      note(`first pictures after ${Date.now() - started} ms`);
      await flows(lab, 'blue-watches', { video: 2, audio: 2 });
    },
  },
  {
    name: 'videoroom: a leaver is announced and the others go on',
    limit: 90,
    async run({ browser, address }) {
      const lab = await openLab(browser);
      const party = await publishers(lab, address, NAMES);
      const streams = await watchOthers(lab, 'red', ['green', 'blue'], party);
      await lab.destroy({ name: 'green' });
      const gone = party.ids.green.id;
      await lab.expect({ name: 'red', like: { videoroom: 'event', unpublished: gone } });
      await lab.expect({ name: 'red', like: { videoroom: 'event', leaving: gone } });
      await lab.expect({ name: 'blue', like: { videoroom: 'event', leaving: gone } });
      const left = streams.filter((stream) => stream.feed_id === gone).map((stream) => stream.mid);
      await silent(lab, 'red-watches', left);
      await flows(lab, 'red-watches', { video: 1, audio: 1 });
      const list = await lab.send({ name: 'red', message: { request: 'listparticipants', room: party.room } });
      check(list.participants.length === 2, `the room still lists ${JSON.stringify(list.participants)}`);
    },
  },
  {
    name: 'videoroom: a publisher leaves while an answer is on its way',
    limit: 90,
    async run({ browser, address }) {
      const lab = await openLab(browser);
      const party = await publishers(lab, address, NAMES);
      const name = 'eve-watches';
      await arrive(lab, address, 'eve');
      await lab.attach({ name, session: 'eve', plugin: 'janus.plugin.videoroom' });
      const feeds = ['green', 'red', 'blue'].map((one) => ({ feed: party.ids[one].id }));
      const join = { request: 'join', ptype: 'subscriber', room: party.room, streams: feeds };
      const attached = await lab.ask({ name, message: join, like: { videoroom: 'attached' } });
      await lab.destroy({ name: 'green' });
      await lab.expect({ name: 'red', like: { leaving: party.ids.green.id } });
      const unsubscribe = { request: 'unsubscribe', streams: [{ feed: party.ids.green.id }] };
      await lab.send({ name, message: unsubscribe });
      await answer(lab, name, attached.jsep, party.room);
      const updated = await lab.expect({ name, like: { videoroom: 'updated', streams: '*' } });
      await answer(lab, name, updated.jsep, party.room);
      await flows(lab, name, { video: 2, audio: 2 });
      await showOwnColours(lab, name, attached.message.streams, party.ids, ['red', 'blue']);
    },
  },
  {
    name: 'videoroom: switch changes the source without a new negotiation',
    limit: 90,
    async run({ browser, address }) {
      const lab = await openLab(browser);
      const party = await publishers(lab, address, ['red', 'green']);
      await arrive(lab, address, 'eve');
      const feed = party.ids.red.id;
      const streams = await watch(lab, 'eve', 'eve-watches', party.room, [feed]);
      const video = streams.find((stream) => stream.type === 'video');
      await flows(lab, 'eve-watches', { video: 1, audio: 1, frames: 20, packets: 20 });
      await shows(lab, 'eve-watches', video.mid, 'red');
      const before = await lab.descriptions({ name: 'eve-watches' });
      const items = streams.map((line) => ({ feed: party.ids.green.id, mid: line.feed_mid, sub_mid: line.mid }));
      const done = await lab.ask({
        name: 'eve-watches',
        message: { request: 'switch', streams: items },
        like: { videoroom: 'event', switched: 'ok' },
      });
      check(done.message.changes === 2, `switch reported ${JSON.stringify(done.message)}`);
      await shows(lab, 'eve-watches', video.mid, 'green');
      const seen = await flows(lab, 'eve-watches', { video: 1, audio: 1 });
      const after = await lab.descriptions({ name: 'eve-watches' });
      check(before.remote === after.remote, 'switch brought a new offer');
      check(seen.in.every((line) => line.lost <= 2), `loss at the switch: ${JSON.stringify(seen.in)}`);
    },
  },
  {
    name: 'videoroom: two viewers hold different layers of one simulcast',
    limit: 120,
    async run({ browser, address, note }) {
      const lab = await openLab(browser);
      await arrive(lab, address, 'hd');
      const room = await createRoom(lab, 'hd', { bitrate: 3_000_000 });
      const { id, privateId } = await publish(lab, 'hd', room, { video: HD }, { simulcast: true });
      const viewers = ['low', 'high'];
      for (const viewer of viewers) {
        const [{ mid }] = await watch(lab, 'hd', viewer, room, [id], privateId);
        const told = { videoroom: 'event', room, mid, substream: 2 };
        await lab.expect({ name: viewer, like: told, within: 40_000 });
        await widens(lab, viewer, HD.width);
      }
      for (const substream of [0, 1]) {
        const message = { request: 'configure', substream };
        await lab.ask({ name: 'low', message, like: { configured: 'ok' } });
        await lab.expect({ name: 'low', like: { videoroom: 'event', room, substream } });
        await widens(lab, 'low', HD.width >> (2 - substream));
        await widens(lab, 'high', HD.width);
      }
      for (const viewer of viewers) {
        const [line] = (await lab.stats({ name: viewer })).in;
        check(line.lost === 0, `${line.lost} packets seem lost to ${viewer}`);
        note(`${viewer}: ${line.keyframes} keyframes, ${line.freezes} freezes`);
      }
    },
  },
  {
    name: 'videoroom: a renegotiation adds video',
    limit: 90,
    async run({ browser, address }) {
      const lab = await openLab(browser);
      const party = await publishers(lab, address, ['red'], () => ({ audio: 'tone' }));
      await arrive(lab, address, 'eve');
      await watch(lab, 'eve', 'eve-watches', party.room, [party.ids.red.id]);
      await flows(lab, 'eve-watches', { audio: 1 });
      const offer = await lab.createOffer({ name: 'red', send: { video: COLOURS.red }, extra: { add: true } });
      const done = await lab.ask({
        name: 'red', message: { request: 'configure' }, jsep: offer, like: { configured: 'ok' },
      });
      await lab.handleAnswer({ name: 'red', jsep: done.jsep });
      const mid = done.message.streams.find((stream) => stream.type === 'video').mid;
      const updated = await lab.ask({
        name: 'eve-watches',
        message: { request: 'subscribe', streams: [{ feed: party.ids.red.id, mid }] },
        like: { videoroom: 'updated' },
      });
      await answer(lab, 'eve-watches', updated.jsep, party.room);
      const line = updated.message.streams.find((stream) => stream.type === 'video');
      await flows(lab, 'eve-watches', { video: 1, audio: 1 });
      await shows(lab, 'eve-watches', line.mid, 'red');
    },
  },
  {
    name: 'videoroom: what one tab says, another one reads',
    limit: 90,
    async run({ browser, address }) {
      const [ada, eve] = [await openLab(browser), await openLab(browser)];
      await arrive(ada, address, 'ada');
      const room = await createRoom(ada, 'ada');
      const { id } = await publish(ada, 'ada', room, { audio: 'tone', data: true });
      await arrive(eve, address, 'eve');
      const data = [{ type: 'data' }];
      const streams = await watch(eve, 'eve', 'eve-watches', room, [id], undefined, data);
      const line = streams.find((stream) => stream.type === 'data');
      check(line?.sources === 1 && line.source_ids[0] === id, `data are shown as ${JSON.stringify(line)}`);
      await eve.canTalk({ name: 'eve-watches' });
      // The server may notice a channel a moment after the browser.
      await pause(500);
      await ada.say({ name: 'ada', text: 'grüß dich' });
      const heard = await eve.told({ name: 'eve-watches', count: 2 });
      const wanted = ['text', 'binary'].map((kind) => ({ label: String(id), kind, text: 'grüß dich' }));
      check(JSON.stringify(heard) === JSON.stringify(wanted), `eve was told ${JSON.stringify(heard)}`);
      await flows(eve, 'eve-watches', { audio: 1 });
      const mute = { request: 'moderate', room, id, mid: '1', mute: true };
      const muted = await ada.send({ name: 'ada', message: mute });
      check(muted.videoroom === 'success', `moderate answered ${JSON.stringify(muted)}`);
      await ada.say({ name: 'ada', text: 'muted' });
      const silence = await eve.told({ name: 'eve-watches', count: 1, within: 1500 });
      check(silence.length === 0, `a muted publisher was heard: ${JSON.stringify(silence)}`);
    },
  },
  {
    name: 'videoroom: ICE restarts, asked by the publisher and by the subscriber',
    limit: 90,
    async run({ browser, address }) {
      const lab = await openLab(browser);
      const party = await publishers(lab, address, ['red']);
      await arrive(lab, address, 'eve');
      await watch(lab, 'eve', 'eve-watches', party.room, [party.ids.red.id]);
      await flows(lab, 'eve-watches', { video: 1, audio: 1, frames: 20, packets: 20 });
      await restartPublisher(lab);
      await flows(lab, 'eve-watches', { video: 1, audio: 1 });
      await restartSubscriber(lab, party.room);
      await flows(lab, 'eve-watches', { video: 1, audio: 1 });
    },
  },
];

async function restartPublisher(lab) {
  const before = await lab.descriptions({ name: 'red' });
  const offer = await lab.createOffer({ name: 'red', options: { iceRestart: true } });
  const done = await lab.ask({
    name: 'red', message: { request: 'configure' }, jsep: offer, like: { configured: 'ok' },
  });
  await lab.handleAnswer({ name: 'red', jsep: done.jsep });
  await freshCredentials(lab, 'red', before);
}

async function restartSubscriber(lab, room) {
  const name = 'eve-watches';
  const before = await lab.descriptions({ name });
  const done = await lab.ask({ name, message: { request: 'configure', restart: true }, like: { configured: 'ok' } });
  await answer(lab, name, done.jsep, room);
  await freshCredentials(lab, name, before);
}

async function freshCredentials(lab, name, before) {
  const after = await lab.descriptions({ name });
  check(before.localUfrag !== after.localUfrag, `${name}: the browser kept its ICE credentials`);
  check(before.remoteUfrag !== after.remoteUfrag, `${name}: the server kept its ICE credentials`);
}
