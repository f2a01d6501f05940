// janode 1.8, as its users load it.

import { once } from 'node:events';
import { register } from 'node:module';
import { check } from './lab.mjs';

// janode loads a native addon for Unix sockets; ours stands in, so that it need not be compiled.
const DATAGRAMS = new URL('./unix-dgram.mjs', import.meta.url).href;
const HOOK = `export const resolve = (name, context, next) =>
  name === 'unix-dgram' ? { url: ${JSON.stringify(DATAGRAMS)}, shortCircuit: true } : next(name, context);`;
register(`data:text/javascript,${encodeURIComponent(HOOK)}`);

/** A session over `address`, and one of janode's plugin modules, by its file name. */
export async function janode(address, module) {
  const { default: Janode } = await import('janode');
  const { default: plugin } = await import(`janode/plugins/${module}`);
  Janode.Logger.setLevel('none');
  const connection = await Janode.connect({ address: { url: address } });
  const session = await connection.create();
  return { Janode, connection, session, plugin, attach: () => session.attach(plugin) };
}

/** The next event of `kind` on `handle`; start waiting before causing it. */
export const next = (handle, kind) =>
  Promise.race([
    once(handle, kind).then(([data]) => data),
    new Promise((_, reject) => setTimeout(() => reject(new Error(`janode saw no ${kind}`)), 10_000).unref()),
  ]);

/** Checks that `work` is refused with the plugin's error `code`. */
export async function refused(work, code) {
  const error = await work.then(() => null, (reason) => reason);
  check(error, `expected error ${code}, got success`);
  check(error.message.startsWith(`${code} `), `expected error ${code}, got ${error.message}`);
}
