// Session descriptions to offer without a browser: well formed, and nobody at the other end.

import { randomBytes } from 'node:crypto';

const hex = (count) => randomBytes(count).toString('hex');

/** The attributes every line of one bundled connection shares. */
function transport() {
  const fingerprint = hex(32).toUpperCase().match(/../g).join(':');
  return [
    'c=IN IP4 0.0.0.0',
    'a=rtcp:9 IN IP4 0.0.0.0',
    `a=ice-ufrag:${hex(4)}`,
    `a=ice-pwd:${hex(12)}`,
    'a=ice-options:trickle',
    `a=fingerprint:sha-256 ${fingerprint}`,
    'a=setup:actpass',
    'a=rtcp-mux',
  ];
}

const AUDIO = ['a=rtpmap:111 opus/48000/2', 'a=fmtp:111 minptime=10;useinbandfec=1'];

/** Payload type and lines of a video codec. */
const VIDEO = {
  vp8: [96, ['a=rtpmap:96 VP8/90000']],
  h264: [102, ['a=rtpmap:102 H264/90000', 'a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f']],
  vp9: [98, ['a=rtpmap:98 VP9/90000', 'a=fmtp:98 profile-id=0']],
};

/** A jsep offer with audio and the video codecs named, in that order; `[]` leaves video out. */
export function offer(video = ['vp8'], direction = 'sendrecv') {
  const shared = transport();
  const mids = video.length > 0 ? '0 1' : '0';
  const lines = [
    'v=0',
    `o=- ${Math.floor(Math.random() * 1e15)} 2 IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    `a=group:BUNDLE ${mids}`,
    'a=msid-semantic: WMS *',
    'm=audio 9 UDP/TLS/RTP/SAVPF 111',
    ...shared,
    'a=mid:0',
    `a=${direction}`,
    ...AUDIO,
    `a=ssrc:${1000 + Math.floor(Math.random() * 1e9)} cname:conform`,
  ];
  if (video.length > 0) {
    const types = video.map((name) => VIDEO[name][0]).join(' ');
    lines.push(`m=video 9 UDP/TLS/RTP/SAVPF ${types}`, ...shared, 'a=mid:1', `a=${direction}`);
    for (const name of video) {
      const [type, rows] = VIDEO[name];
      lines.push(...rows, `a=rtcp-fb:${type} nack`, `a=rtcp-fb:${type} nack pli`);
    }
    lines.push(`a=ssrc:${1000 + Math.floor(Math.random() * 1e9)} cname:conform`);
  }
  return { type: 'offer', sdp: `${lines.join('\r\n')}\r\n` };
}

/** Audio and VP8 video both ways, with fresh credentials each time. */
export const PLAIN_OFFER = () => offer();
