// The mute server: accepts every connection and answers every request with bare success.
//
// So that a check gets as far as what it is about, sessions and handles are handed out (always
// the same ones), a room may be made and joined, and whatever else is said to a plugin comes back as
// an empty answer, in an event where a plugin would take its time. Nothing else is ever said,
// refused, remembered or closed: a check that passes here checks nothing.

import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const SESSION = 77;
const ECHOTEST = 78;
const OTHERS = 79;
const MEMBER = 80;

/** Requests of VideoRoom and Streaming that are answered by an event. */
const LATER = [
  'join', 'joinandconfigure', 'configure', 'publish', 'unpublish', 'start', 'pause', 'switch',
  'leave', 'subscribe', 'unsubscribe', 'update', 'watch',
];

/** The id that a request is given, if it asks for one. */
function given({ janus, id, plugin }) {
  if (janus === 'create') return Number.isSafeInteger(id) && id > 0 ? id : SESSION;
  if (janus === 'attach') return plugin === 'janus.plugin.echotest' ? ECHOTEST : OTHERS;
  return null;
}

/** What a plugin would say: that the wanted room is made or joined, and nothing otherwise. */
function data({ request, room, ptype, type, id, media } = {}) {
  if (request === 'create' && type) {
    const ports = (media ?? []).map(() => ({ port: 9, rtcp_port: 9 }));
    return { streaming: 'created', stream: { id, ports } };
  }
  if (request === 'create') return { videoroom: 'created', room };
  if (request === 'join' && ptype === 'publisher') return { videoroom: 'joined', room, id: MEMBER };
  return {};
}

/** What is said to `text`, one after the other; `handle` is the one of the path, over HTTP. */
function answers(text, handle) {
  let request = null;
  try {
    request = JSON.parse(text);
  } catch {
    // No JSON, and no matter.
  }
  const { janus, transaction, handle_id = handle, body } = request ?? {};
  const id = given(request ?? {});
  if (id !== null) return [{ janus: 'success', transaction, data: { id } }];
  if (janus !== 'message') return [{ janus: 'success', transaction }];
  const empty = { transaction, sender: handle_id, plugindata: { data: data(body ?? undefined) } };
  const later = handle === undefined && (handle_id === ECHOTEST || LATER.includes(body?.request));
  if (!later) return [{ janus: 'success', ...empty }];
  return [{ janus: 'ack', transaction }, { janus: 'event', ...empty }];
}

/** The handle that a path names; zero when it names none. */
const handleOf = (url) => Number(url.split('/')[3] ?? 0);

/** Starts it on both standard ports; the result looks like that of `startServer`. */
export async function startMute() {
  const http = createServer((request, response) => {
    let text = '';
    request.on('data', (part) => (text += part));
    request.on('end', () => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(answers(text, handleOf(request.url))[0]));
    });
  });
  await new Promise((resolve) => http.listen(8088, resolve));
  const sockets = new WebSocketServer({ port: 8188, handleProtocols: () => 'janus-protocol' });
  sockets.on('connection', (socket) =>
    socket.on('message', (data) => {
      for (const answer of answers(String(data))) socket.send(JSON.stringify(answer));
    }),
  );
  const stop = async () => {
    sockets.close();
    http.close();
    http.closeAllConnections();
  };
  return { kind: 'mute', stop, alive: () => true };
}
