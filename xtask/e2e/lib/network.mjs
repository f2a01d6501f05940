// A network of our own: the runner starts itself again inside new network, process and mount
// namespaces, so that ports never collide and nothing outlives the run, however it ends.

import { spawn, spawnSync } from 'node:child_process';

const MARK = 'BIFRONS_E2E_INSIDE';

/** The address the media flows over, in both families; servers skip loopback addresses. */
export const MEDIA_ADDRESS = { v4: '10.77.0.1', v6: 'fd77::1' };

/** True in the process that runs inside the namespaces. */
export function inside() {
  return process.env[MARK] === '1';
}

/**
 * Runs this same program inside, as its root; resolves with its exit status.
 *
 * A user who is not root gets a user namespace as well, which Debian allows by default.
 */
export function enter() {
  const asRoot = process.getuid() === 0 ? [] : ['--user', '--map-root-user'];
  const spaces = [...asRoot, '--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child'];
  const probe = spawnSync('unshare', [...spaces, 'true'], { encoding: 'utf8' });
  if (probe.status !== 0) {
    const reason = (probe.stderr || String(probe.error)).trim();
    throw new Error(
      `a network namespace could not be made (${reason}). In a container add ` +
        '--cap-add SYS_ADMIN --cap-add NET_ADMIN; elsewhere run as root.',
    );
  }
  const again = [...spaces, process.execPath, ...process.argv.slice(1)];
  const child = spawn('unshare', again, { stdio: 'inherit', env: { ...process.env, [MARK]: '1' } });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill('SIGTERM'));
  return new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
}

/**
 * Gives the namespace a loopback and one address that is not loopback, in both families.
 *
 * The default route leads nowhere; Firefox gathers no candidate without one.
 */
export function furnish() {
  const ip = (words) => {
    const done = spawnSync('ip', words.split(' '), { encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`ip ${words}: ${done.stderr.trim()}`);
  };
  ip('link set lo up');
  ip('link add va type veth peer name vb');
  ip(`addr add ${MEDIA_ADDRESS.v4}/24 dev va`);
  ip(`addr add ${MEDIA_ADDRESS.v6}/64 dev va nodad`);
  ip('link set va up');
  ip('link set vb up');
  ip('route add default via 10.77.0.254 dev va');
  ip('-6 route add default via fd77::fe dev va');
}
