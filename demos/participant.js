// Our own presence in the room: joins, publishes, hears who comes and goes.

const NO_SUCH_ROOM = 426;

/** One VideoRoom handle in the publisher's role. */
export class Participant {
  constructor(options) {
    Object.assign(this, options);
    this.handle = null;
    this.joined = null;
    this.waiting = null;
  }

  /** Attaches and joins; makes the room first when the server does not have it. */
  async join() {
    await this.attach();
    try {
      this.joined = await this.ask();
    } catch (error) {
      if (error.code !== NO_SUCH_ROOM) throw error;
      await this.createRoom();
      this.joined = await this.ask();
    }
    this.onFeeds(this.joined.publishers ?? []);
    return { privateId: this.joined.private_id };
  }

  attach() {
    return new Promise((resolve, reject) => {
      this.session.attach({
        plugin: 'janus.plugin.videoroom',
        success: (handle) => resolve((this.handle = handle)),
        error: (cause) => reject(new Error(String(cause))),
        onmessage: (message, jsep) => this.hear(message, jsep),
        webrtcState: (up, reason) => {
          if (up) this.onUp(this.handle.webrtcStuff.pc);
          this.onState(up, reason);
        },
      });
    });
  }

  ask() {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.handle.send({
        message: { request: 'join', ptype: 'publisher', room: this.room, display: this.name },
        error: (cause) => reject(new Error(String(cause))),
      });
    });
  }

  createRoom() {
    return new Promise((resolve, reject) => {
      this.handle.send({
        message: { request: 'create', room: this.room, description: 'Demo room', publishers: 12, bitrate: 1_000_000 },
        success: (reply) => (reply.error ? reject(new Error(reply.error)) : resolve()),
        error: (cause) => reject(new Error(String(cause))),
      });
    });
  }

  publish() {
    return new Promise((resolve, reject) => {
      const refuse = (cause) => reject(new Error(`publishing failed: ${cause.message ?? cause}`));
      this.handle.createOffer({
        tracks: this.tracks.map((track) => ({ type: track.kind, capture: track, recv: false })),
        success: (jsep) => {
          this.handle.send({ message: { request: 'publish' }, jsep, success: resolve, error: refuse });
        },
        error: refuse,
      });
    });
  }

  /** Every event of this handle, asked for or not. */
  hear(message, jsep) {
    if (message.error_code) this.refused(message);
    else if (message.videoroom === 'joined') this.waiting?.resolve(message);
    if (message.publishers && message.videoroom === 'event') this.onFeeds(message.publishers);
    const gone = message.leaving ?? message.unpublished ?? message.kicked;
    if (gone !== undefined && gone !== 'ok') this.onGone(gone);
    if (message.leaving === 'ok') this.complain('You were taken out of the room.');
    if (message.videoroom === 'destroyed') this.complain('The room was closed.');
    if (jsep) this.handle.handleRemoteJsep({ jsep, error: (cause) => this.complain(String(cause)) });
  }

  refused({ error_code: code, error }) {
    const sentence = code === 432 ? 'The room has all the publishers it takes.' : `${error} (${code})`;
    if (this.joined === null && this.waiting) {
      this.waiting.reject(Object.assign(new Error(sentence), { code }));
    } else {
      this.complain(sentence);
    }
  }
}
