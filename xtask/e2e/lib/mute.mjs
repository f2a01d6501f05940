// The mute server: accepts every connection and answers every request with bare success.
//
// A check that passes here checks nothing.

import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

/** The answer to anything: success, with the transaction when there is one to be seen. */
function success(text) {
  try {
    const { transaction } = JSON.parse(text);
    return JSON.stringify({ janus: 'success', transaction });
  } catch {
    return JSON.stringify({ janus: 'success' });
  }
}

/** Starts it on both standard ports; the result looks like that of `startServer`. */
export async function startMute() {
  const http = createServer((request, response) => {
    let text = '';
    request.on('data', (part) => (text += part));
    request.on('end', () => response.end(success(text)));
  });
  await new Promise((resolve) => http.listen(8088, resolve));
  const sockets = new WebSocketServer({ port: 8188, handleProtocols: () => 'janus-protocol' });
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(success(String(data)))));
  const stop = async () => {
    sockets.close();
    http.close();
    http.closeAllConnections();
  };
  return { kind: 'mute', stop, alive: () => true };
}
