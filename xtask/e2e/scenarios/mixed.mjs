// Both browsers in one room: what one sends, the other shows.

import { COLOURS, arrive, check, createRoom, flows, openLab, publish, shows, watch } from '../lib/lab.mjs';

export default [
  {
    name: 'videoroom: Chromium and Firefox watch each other',
    browsers: ['chromium', 'firefox'],
    limit: 90,
    async run({ browsers, address }) {
      const people = [
        { name: 'red', lab: await openLab(browsers[0]) },
        { name: 'blue', lab: await openLab(browsers[1]) },
      ];
      let room = null;
      for (const person of people) {
        await arrive(person.lab, address, person.name);
        room ??= await createRoom(person.lab, person.name);
        const sending = { audio: 'tone', video: COLOURS[person.name] };
        person.own = await publish(person.lab, person.name, room, sending);
      }
      for (const [index, { name, lab, own }] of people.entries()) {
        const other = people[1 - index];
        const streams = await watch(lab, name, `${name}-watches`, room, [other.own.id], own.privateId);
        const video = streams.find((stream) => stream.type === 'video');
        check(video, `no video offered to ${name}`);
        await flows(lab, `${name}-watches`, { video: 1, audio: 1 });
        await shows(lab, `${name}-watches`, video.mid, other.name);
      }
    },
  },
];
