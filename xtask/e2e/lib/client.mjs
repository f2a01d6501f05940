// A bare Janus API client over WebSocket or HTTP, for checks that look at every field.

import { randomBytes } from 'node:crypto';
import WebSocket from 'ws';
import { ADDRESS } from './server.mjs';

/** How long a reply or an event may take, in ms; a check that waits longer has failed. */
export const PATIENCE = Number(process.env.BIFRONS_PATIENCE_MS ?? 4000);

/** A fresh transaction. */
export const transaction = () => randomBytes(6).toString('hex');

/** Throws `sentence` unless `condition` holds. */
export function check(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

/** Checks that `packet` is the core's error `code`; `text`, when given, is part of its reason. */
export function isError(packet, code, text) {
  const seen = `${packet.error?.code} ${packet.error?.reason}`;
  check(packet.janus === 'error' && packet.error?.code === code, `expected error ${code}, got ${JSON.stringify(packet)}`);
  check(!text || packet.error.reason.includes(text), `expected "${text}" in ${seen}`);
}

function within(promise, what, ms = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** What both transports share: a log of pushed packets, and waiting for one. */
class Client {
  constructor(kind) {
    this.kind = kind;
    this.pushed = [];
    this.waiters = [];
  }

  take(packet) {
    this.pushed.push(packet);
    for (const waiter of [...this.waiters]) waiter();
  }

  /** The first pushed packet that `fits`; each is handed out once. */
  async event(fits, what = 'event', ms = PATIENCE) {
    let waiter;
    const found = new Promise((resolve) => {
      waiter = () => {
        const at = this.pushed.findIndex(fits);
        if (at >= 0) resolve(this.pushed.splice(at, 1)[0]);
      };
    });
    this.waiters.push(waiter);
    waiter();
    this.listen?.();
    try {
      return await within(found, what, ms);
    } finally {
      this.waiters.splice(this.waiters.indexOf(waiter), 1);
    }
  }

  /** Lets `ms` pass and returns what was pushed meanwhile and fits. */
  async quiet(fits, ms = 600) {
    this.listen?.();
    await new Promise((resolve) => setTimeout(resolve, ms));
    return this.pushed.filter(fits);
  }

  /** Creates a session; resolves with its id. */
  async session() {
    const reply = await this.ask({ janus: 'create' });
    check(Number.isSafeInteger(reply.data?.id), `create answered ${JSON.stringify(reply)}`);
    this.sessions = [...(this.sessions ?? []), reply.data.id];
    return reply.data.id;
  }

  /** Attaches to a plugin; resolves with the ids every handle-level packet carries. */
  async attach(plugin, session) {
    const session_id = session ?? (await this.session());
    const reply = await this.ask({ janus: 'attach', plugin: `janus.plugin.${plugin}`, session_id });
    check(Number.isSafeInteger(reply.data?.id), `attach answered ${JSON.stringify(reply)}`);
    return { session_id, handle_id: reply.data.id };
  }

  /** The first answer to a plugin request: `ack`, `success` or `error`. */
  message(at, body, jsep) {
    return this.ask({ janus: 'message', ...at, body, ...(jsep && { jsep }) });
  }

  /** The plugin's own answer, wherever it comes: in the reply or in an event. */
  async plugin(at, body, jsep) {
    const name = transaction();
    const packet = { janus: 'message', ...at, transaction: name, body, ...(jsep && { jsep }) };
    const reply = await this.ask(packet);
    const last = reply.janus === 'ack' ? await this.event((one) => one.transaction === name, `event for ${body.request}`) : reply;
    check(last.plugindata?.data, `${JSON.stringify(body)} answered ${JSON.stringify(last)}`);
    check(last.sender === at.handle_id, `the sender is ${last.sender}`);
    return { ...last.plugindata.data, jsep: last.jsep, envelope: last.janus, acked: reply.janus === 'ack' };
  }
}

/** Over WebSocket: replies by transaction, everything else is pushed. */
class WebSocketClient extends Client {
  static async open() {
    const client = new WebSocketClient('ws');
    client.socket = new WebSocket(ADDRESS.ws, 'janus-protocol');
    client.asking = new Map();
    client.socket.on('message', (data) => client.hear(JSON.parse(data)));
    await within(new Promise((resolve, reject) => client.socket.on('open', resolve).on('error', reject)), 'WebSocket');
    return client;
  }

  hear(packet) {
    const asking = packet.janus === 'event' ? undefined : this.asking.get(packet.transaction) ?? this.unnamed(packet);
    if (!asking) return this.take(packet);
    this.asking.delete(asking.name);
    asking.resolve(packet);
  }

  /** An error without transaction answers the only request under way. */
  unnamed(packet) {
    return packet.transaction === undefined && ['error', 'success'].includes(packet.janus)
      ? [...this.asking.values()][0]
      : undefined;
  }

  ask(packet) {
    const full = { transaction: transaction(), ...packet };
    return this.raw(JSON.stringify(full), full.transaction);
  }

  raw(text, name = transaction()) {
    const answer = new Promise((resolve) => this.asking.set(name, { name, resolve }));
    this.socket.send(text);
    return within(answer, `answer to ${text.slice(0, 120)}`).finally(() => this.asking.delete(name));
  }

  async close() {
    this.socket.terminate();
  }
}

/** Over HTTP: a reply to each POST; events by long poll, started by the first wait for one. */
class HttpClient extends Client {
  static async open() {
    const client = new HttpClient('http');
    client.polling = new Set();
    client.abort = new AbortController();
    return client;
  }

  async ask(packet) {
    const { session_id, handle_id, ...rest } = { transaction: transaction(), ...packet };
    const path = [session_id, handle_id].filter((id) => id !== undefined).join('/');
    return this.raw(JSON.stringify(rest), path);
  }

  async raw(text, path = '') {
    const answer = fetch(`${ADDRESS.http}${path && `/${path}`}`, { method: 'POST', body: text, signal: this.abort.signal });
    const response = await within(answer, `HTTP answer to ${text.slice(0, 120)}`);
    check(response.status === 200, `HTTP status ${response.status} to ${text.slice(0, 120)}`);
    return response.json();
  }

  listen() {
    for (const session of this.sessions ?? []) {
      if (!this.polling.has(session)) this.poll(session);
      this.polling.add(session);
    }
  }

  async poll(session) {
    try {
      for (;;) {
        const response = await fetch(`${ADDRESS.http}/${session}?maxev=10`, { signal: this.abort.signal });
        if (response.status !== 200) return;
        const packets = [await response.json()].flat();
        if (packets.every((packet) => packet.janus === 'success')) return;
        for (const packet of packets) this.take(packet);
      }
    } catch {
      // The check ended and took its polls with it.
    }
  }

  async close() {
    for (const session of this.sessions ?? []) {
      await this.ask({ janus: 'destroy', session_id: session }).catch(() => {});
    }
    this.abort.abort();
  }
}

/** Opens a client over `kind`: "ws" or "http". */
export const openClient = (kind) => (kind === 'ws' ? WebSocketClient.open() : HttpClient.open());
