// What janode wants of the npm package `unix-dgram`: Node.js has no datagram sockets of Unix, and the
// package is a native addon that would have to be compiled. A Python process holds the socket instead.

import { spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';

/** Speaks frames: a letter, four bytes of length, and so many bytes. */
const HOLDER = `
import socket, struct, sys, threading
own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
source, sink, lock = sys.stdin.buffer, sys.stdout.buffer, threading.Lock()
def say(kind, data=b''):
    with lock:
        sink.write(kind + struct.pack('>I', len(data)) + data)
        sink.flush()
def receive():
    while True:
        say(b'M', own.recv(1 << 20))
try:
    own.bind(sys.argv[1])
    say(b'L')
except OSError as error:
    say(b'E', str(error).encode())
while True:
    head = source.read(5)
    if len(head) < 5:
        break
    data = source.read(struct.unpack('>I', head[1:])[0])
    try:
        if head[:1] == b'C':
            own.connect(data.decode())
            threading.Thread(target=receive, daemon=True).start()
            say(b'C')
        else:
            own.send(data)
            say(b'S')
    except OSError as error:
        say(b'E', str(error).encode())
`;

class Socket extends EventEmitter {
  #holder = null;
  #read = Buffer.alloc(0);
  #sending = [];

  bind(path) {
    this.#holder = spawn('python3', ['-c', HOLDER, path], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#holder.stdin.on('error', () => {});
    this.#holder.stdout.on('data', (bytes) => {
      this.#read = Buffer.concat([this.#read, bytes]);
      while (this.#read.length >= 5 && this.#read.length >= 5 + this.#read.readUInt32BE(1)) {
        const end = 5 + this.#read.readUInt32BE(1);
        const [kind, data] = [String.fromCharCode(this.#read[0]), this.#read.subarray(5, end)];
        this.#read = this.#read.subarray(end);
        this.#hear(kind, data);
      }
    });
  }

  connect(path) {
    this.#say('C', Buffer.from(path));
  }

  send(data, done = () => {}) {
    this.#sending.push(done);
    this.#say('S', data);
  }

  close() {
    this.#holder?.stdin.end();
    this.#holder?.kill();
  }

  #say(kind, data) {
    const head = Buffer.alloc(5);
    head.write(kind);
    head.writeUInt32BE(data.length, 1);
    this.#holder.stdin.write(Buffer.concat([head, data]));
  }

  #hear(kind, data) {
    if (kind === 'L') this.emit('listening');
    else if (kind === 'C') this.emit('connect');
    else if (kind === 'M') this.emit('message', data);
    else if (kind === 'S') this.#sending.shift()();
    else {
      const error = Object.assign(new Error(data.toString()), { errno: -1 });
      const done = this.#sending.shift();
      if (done) done(error);
      else this.emit('error', error);
    }
  }
}

export const createSocket = () => new Socket();
export default { createSocket };
