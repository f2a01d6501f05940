// What we receive: one subscription that grows and shrinks with the room.

import * as wall from './tiles.js';

/** One VideoRoom handle in the subscriber's role, attached when the first feed appears. */
export class Viewer {
  constructor(options) {
    Object.assign(this, options);
    this.privateId = undefined;
    this.handle = null;
    this.attaching = null;
    this.subscribed = false;
    this.names = new Map();
    this.lines = [];
    this.tracks = new Map();
  }

  /** Watches `feeds`, as `publishers` lists them; those watched already are left alone. */
  async watch(feeds) {
    const fresh = feeds.filter((feed) => !feed.dummy && !this.names.has(feed.id));
    for (const feed of fresh) this.names.set(feed.id, feed.display ?? String(feed.id));
    if (fresh.length === 0) return;
    for (const feed of fresh) wall.tile(feed.id, this.names.get(feed.id));
    await (this.attaching ??= this.attach());
    const streams = fresh.map((feed) => ({ feed: feed.id }));
    const message = this.subscribed
      ? { request: 'subscribe', streams }
      : { request: 'join', ptype: 'subscriber', room: this.room, private_id: this.privateId, streams };
    this.subscribed = true;
    this.handle.send({ message, error: (cause) => this.complain(String(cause)) });
  }

  /** Stops watching a feed that left or stopped publishing. */
  forget(feed) {
    if (!this.names.delete(feed)) return;
    wall.remove(feed);
    if (!this.handle) return;
    this.handle.send({ message: { request: 'unsubscribe', streams: [{ feed }] } });
  }

  /** Which lines of the connection carry which feed. */
  linesByFeed() {
    const mids = new Map();
    for (const line of this.lines) {
      if (!line.active || line.feed_id === undefined) continue;
      mids.set(line.feed_id, [...(mids.get(line.feed_id) ?? []), line.mid]);
    }
    return mids;
  }

  attach() {
    return new Promise((resolve, reject) => {
      this.session.attach({
        plugin: 'janus.plugin.videoroom',
        success: (handle) => resolve((this.handle = handle)),
        error: (cause) => reject(new Error(String(cause))),
        onmessage: (message, jsep) => this.hear(message, jsep),
        onremotetrack: (track, mid, on) => this.place(track, mid, on),
        webrtcState: (up) => up && this.onUp(this.handle.webrtcStuff.pc),
      });
    });
  }

  hear(message, jsep) {
    if (message.error_code) this.complain(`${message.error} (${message.error_code})`);
    if (message.streams) {
      this.lines = message.streams;
      for (const [mid, track] of this.tracks) this.show(mid, track);
    }
    if (jsep) this.answer(jsep);
  }

  answer(jsep) {
    const refuse = (cause) => this.complain(`watching failed: ${cause.message ?? cause}`);
    this.handle.createAnswer({
      jsep,
      tracks: [],
      success: (reply) => {
        this.handle.send({ message: { request: 'start', room: this.room }, jsep: reply, error: refuse });
      },
      error: refuse,
    });
  }

  place(track, mid, on) {
    if (on) {
      this.tracks.set(mid, track);
      this.show(mid, track);
    }
  }

  show(mid, track) {
    const line = this.lines.find((one) => one.mid === mid);
    if (line?.active && this.names.has(line.feed_id)) {
      wall.tile(line.feed_id, this.names.get(line.feed_id)).add(track);
    }
  }
}
