// What feeds mountpoints over UDP: ffmpeg and GStreamer, as their users start them.

import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { check } from './lab.mjs';

/** Starts a program that sends until it is stopped; its words go to a file among the artifacts. */
export function sender(artifacts, program, line) {
  const log = join(artifacts, `${program}-${Date.now()}.log`);
  const child = spawn(program, line.trim().split(/\s+/), { stdio: ['ignore', 'pipe', 'pipe'] });
  const out = createWriteStream(log);
  child.stdout.pipe(out);
  child.stderr.pipe(out);
  let ended = null;
  child.on('error', (error) => (ended = error.message));
  child.on('exit', (code) => (ended ??= `status ${code}`));
  return {
    runs: () => check(ended === null, `${program} ended with ${ended}; see ${log}`),
    stop: () => child.kill('SIGKILL'),
  };
}

/** Red and a tone, as VP8 (payload type 100) and Opus (111), with reports of their own. */
export const FFMPEG = (audio, video, rtcp) => `-nostdin -loglevel warning -re
  -f lavfi -i color=c=red:size=320x240:rate=25 -re -f lavfi -i sine=frequency=440:sample_rate=48000
  -map 0:v -c:v libvpx -deadline realtime -cpu-used 8 -b:v 300k -g 50 -threads 1
  -f rtp -payload_type 100 rtp://127.0.0.1:${video}?rtcpport=${rtcp}&pkt_size=1200
  -map 1:a -c:a libopus -b:a 48k -ac 2
  -f rtp -payload_type 111 rtp://127.0.0.1:${audio}?pkt_size=1200`;

/** One colour, as VP8 (payload type 98) with a keyframe every `keyframes` pictures. */
export const GSTREAMER = (port, { pattern = 'green', size = [320, 240], keyframes = 50 } = {}) => `-q
  videotestsrc is-live=true pattern=${pattern} ! video/x-raw,width=${size[0]},height=${size[1]},framerate=25/1
  ! vp8enc deadline=1 cpu-used=8 target-bitrate=300000 keyframe-max-dist=${keyframes} threads=1
  ! rtpvp8pay mtu=1200 pt=98 ! udpsink host=127.0.0.1 port=${port}`;
