// Serves the pages the browsers open: our lab page, the npm client scripts, Debian's demo pages.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';

const HERE = new URL('..', import.meta.url).pathname;
const MODULES = join(HERE, 'node_modules');

/** Where the pages are served. Localhost counts as a secure context, so cameras work. */
export const PAGES = 'http://127.0.0.1:18000';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
};

/** A prefix of the address, and the folder or file it stands for. */
const PLACES = [
  ['/vendor/janus.js', join(MODULES, 'janus-gateway/npm/dist/janus.es.js')],
  ['/vendor/adapter.js', join(MODULES, 'webrtc-adapter/out/adapter.js')],
  ['/stock/', '/usr/share/janus/demos/'],
  ['/', join(HERE, 'page/')],
];

/** Starts the page server; resolves with a function that stops it. */
export async function servePages() {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, PAGES).pathname));
    const [prefix, place] = PLACES.find(([start]) => path.startsWith(start));
    const file = place + path.slice(prefix.length);
    try {
      const body = await readFile(file);
      response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(18000, '127.0.0.1', resolve));
  return () => server.close();
}
