// Starts the server under test, ours or a stock Janus, with the same configuration files.

import { execFileSync, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

const DEBIAN = '/usr/lib/x86_64-linux-gnu/janus';

/** Where clients reach the server, by the name of the transport. */
export const ADDRESS = {
  ws: 'ws://127.0.0.1:8188',
  http: 'http://127.0.0.1:8088/janus',
  wss: 'wss://127.0.0.1:8989',
  https: 'https://127.0.0.1:8089/janus',
};

/** Where operators reach it, and what they have to know. */
export const ADMIN = {
  ws: 'ws://127.0.0.1:7188',
  http: 'http://127.0.0.1:7088/admin',
  secret: 'a secret of admins',
};

/** Where programs on this machine reach it; paths of sockets are short. */
const SOCKET = `/tmp/bifrons-e2e-${process.pid}`;
export const UNIX = { api: `file://${SOCKET}-api`, admin: `file://${SOCKET}-admin` };

/** Where it sends events, once it is told to send any. */
export const EVENTS = { http: 18090, gelf: 12201 };

/** The section that names the server's certificate. */
function certificates(folder) {
  return `certificates: {
	cert_pem = "${join(folder, 'cert.pem')}"
	cert_key = "${join(folder, 'key.pem')}"
}
`;
}

/** Makes the certificate, signed by nobody else. */
function certify(folder) {
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...key, ...files, ...name], { stdio: 'ignore' });
}

/** The whole configuration, as the documentation of Janus describes these keys. */
function configuration(folder, general) {
  const libraries = DEBIAN;
  return {
    'janus.jcfg': `general: {
	configs_folder = "${folder}"
	plugins_folder = "${libraries}/plugins"
	transports_folder = "${libraries}/transports"
	events_folder = "${libraries}/events"
	loggers_folder = "${libraries}/loggers"
	debug_level = 4
	admin_secret = "${ADMIN.secret}"
	${general}
}
media: {
	rtp_port_range = "20000-20999"
	ipv6 = true
}
nat: {
	ice_ignore_list = "vmnet"
}
plugins: {
	disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_lua.so,libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_voicemail.so"
}
transports: {
	disable = "libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_rabbitmq.so"
}
events: {
	broadcast = true
	disable = "libjanus_mqttevh.so,libjanus_nanomsgevh.so,libjanus_rabbitmqevh.so,libjanus_wsevh.so"
}
`,
    'janus.eventhandler.sampleevh.jcfg': `general: {
	enabled = true
	events = "none"
	grouping = true
	backend = "http://127.0.0.1:${EVENTS.http}"
}
`,
    'janus.eventhandler.gelfevh.jcfg': `general: {
	enabled = true
	events = "none"
	backend = "127.0.0.1"
	port = ${EVENTS.gelf}
	protocol = "udp"
	max_message_len = 1024
}
`,
    'janus.transport.http.jcfg': `general: {
	json = "indented"
	base_path = "/janus"
	http = true
	port = 8088
	https = true
	secure_port = 8089
}
${certificates(folder)}admin: {
	admin_base_path = "/admin"
	admin_http = true
	admin_port = 7088
	metrics = true
}
`,
    'janus.transport.websockets.jcfg': `general: {
	json = "indented"
	ws = true
	ws_port = 8188
	wss = true
	wss_port = 8989
}
${certificates(folder)}admin: {
	admin_ws = true
	admin_ws_port = 7188
}
`,
    'janus.transport.pfunix.jcfg': `general: {
	enabled = true
	path = "${SOCKET}-api"
	type = "SOCK_DGRAM"
}
admin: {
	admin_enabled = true
	admin_path = "${SOCKET}-admin"
	admin_type = "SOCK_DGRAM"
}
`,
    'janus.plugin.echotest.jcfg': '',
    'janus.plugin.streaming.jcfg': '',
    'janus.plugin.textroom.jcfg': `room-1234: {
	description = "Demo Room"
	secret = "adminpwd"
}
`,
    'janus.plugin.videocall.jcfg': '',
    'janus.plugin.videoroom.jcfg': `room-1234: {
	description = "Demo Room"
	secret = "adminpwd"
	publishers = 6
	bitrate = 512000
	fir_freq = 10
	record = false
}
`,
  };
}

/**
 * Starts `kind` ("bifrons" or "janus") and waits until both transports accept connections.
 * `general` adds lines to the section of that name, `more` files in place of those of the same name,
 * or behind them if they begin with `+`. `space` names a network namespace to start in, where it is
 * reached at `host`.
 *
 * Resolves with `{ kind, version, log, stop, alive }`; rejects with a sentence when it does not come up.
 */
export async function startServer({ kind, binary, demos, artifacts, general = '', more = {}, space, host = '127.0.0.1' }) {
  const folder = join(artifacts, 'conf');
  mkdirSync(folder, { recursive: true });
  certify(folder);
  const files = configuration(folder, general);
  for (const [name, text] of Object.entries(more)) {
    files[name] = text.startsWith('+') ? (files[name] ?? '') + text.slice(1) : text;
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const log = join(artifacts, `${kind}.log`);
  const out = createWriteStream(log);
  const program = kind === 'janus' ? 'janus' : binary;
  const env = { ...process.env, BIFRONS_DEMOS: demos ?? '' };
  const within = space ? ['ip', 'netns', 'exec', space] : [];
  const [command, ...words] = [...within, program, '-F', folder];
  const child = spawn(command, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.pipe(out);
  child.stderr.pipe(out);
  let ended = null;
  const exit = new Promise((resolve) => {
    child.on('exit', (code, signal) => resolve((ended = signal ?? `status ${code}`)));
    child.on('error', (error) => resolve((ended = error.message)));
  });
  const alive = () => ended === null;
  await reachable(host, [8088, 8089, 8188, 8989, 7088, 7188], () => ended, log);
  const stop = async () => {
    if (!alive()) return ended;
    child.kill('SIGTERM');
    const patience = setTimeout(() => child.kill('SIGKILL'), 5000);
    await exit;
    clearTimeout(patience);
    return ended;
  };
  return { kind, pid: child.pid, log, stop, alive, ended: () => ended };
}

/** Resolves once every port accepts a connection; gives up after ten seconds or when it ended. */
async function reachable(host, ports, ended, log) {
  const deadline = Date.now() + 10_000;
  for (const port of ports) {
    while (!(await accepts(host, port))) {
      if (ended() !== null) throw new Error(`the server ended (${ended()}); see ${log}`);
      if (Date.now() > deadline) throw new Error(`nothing listens on port ${port}; see ${log}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function accepts(host, port) {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.on('connect', () => resolve(socket.destroy() && true));
    socket.on('error', () => resolve(false));
  });
}
