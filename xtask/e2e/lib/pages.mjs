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
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
};

const JANUS = join(MODULES, 'janus-gateway/npm/dist/janus.es.js');
const ADAPTER = join(MODULES, 'webrtc-adapter/out/adapter.js');

/** A prefix of the address, and the folder or file it stands for. */
const PLACES = [
  ['/vendor/janus.js', JANUS],
  ['/vendor/adapter.js', ADAPTER],
  ['/demo/vendor/janus.js', JANUS],
  ['/demo/vendor/adapter.js', ADAPTER],
  ['/stock/', '/usr/share/janus/demos/'],
  ['/demo/', join(HERE, '../../demos/')],
  ['/', join(HERE, 'page/')],
];

/**
 * The deployment's own file beside the demo pages. Debian's copy forgets two names that its
 * pages use; no page is touched.
 */
const SETTINGS = `var server = 'http://' + window.location.hostname + ':8088/janus';
var iceServers = null, token, apisecret;
`;

/**
 * Debian gives the demo pages jQuery 3, and they were written for 1.9: the admin page asks for
 * `a[href=#tokens]`, which newer ones want quoted. This is what jquery-migrate does about it.
 */
const MIGRATE = `
(function ($) {
  var find = $.find;
  $.find = function (selector) {
    var quoted = typeof selector === 'string' ? selector.replace(/\\[href=(#[\\w-]+)\\]/g, '[href="$1"]') : selector;
    return find.apply(this, [quoted].concat([].slice.call(arguments, 1)));
  };
  for (var name in find) $.find[name] = find[name];
})(jQuery);
`;

/** What is served in place of, or behind, a file of Debian's. */
const REPLACED = { '/stock/settings.js': SETTINGS };
const AMENDED = { '/stock/javascript/jquery/jquery.min.js': MIGRATE };

/** Starts the page server; resolves with a function that stops it. */
export async function servePages() {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, PAGES).pathname));
    const [prefix, place] = PLACES.find(([start]) => path.startsWith(start));
    const name = path.slice(prefix.length);
    const file = place + (path.endsWith('/') ? 'index.html' : name);
    try {
      const found = REPLACED[path] ?? (await readFile(file));
      const body = path in AMENDED ? found + AMENDED[path] : found;
      response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(18000, '127.0.0.1', resolve));
  return () => server.close();
}
