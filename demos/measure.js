// Turns two reports of `getStats` into lines a person can read.

/** Remembers the last report of one connection, to tell rates. */
export class Meter {
  #last = new Map();

  /** Rates and facts of every RTP stream of `pc`, with the path they take. */
  async read(pc) {
    const entries = new Map();
    (await pc.getStats()).forEach((entry) => entries.set(entry.id, entry));
    const streams = [];
    for (const entry of entries.values()) {
      if (entry.type === 'inbound-rtp' || entry.type === 'outbound-rtp') {
        streams.push(this.#stream(entry, entries));
      }
    }
    this.#last = entries;
    return { streams, path: path(entries) };
  }

  #stream(entry, entries) {
    const before = this.#last.get(entry.id);
    const seconds = before ? (entry.timestamp - before.timestamp) / 1000 : 0;
    const rate = (key) => (seconds > 0 ? Math.max(0, (entry[key] ?? 0) - (before[key] ?? 0)) / seconds : 0);
    const received = entry.type === 'inbound-rtp';
    return {
      mid: entry.mid,
      kind: entry.kind,
      received,
      kilobits: Math.round((rate(received ? 'bytesReceived' : 'bytesSent') * 8) / 1000),
      frames: Math.round(rate(received ? 'framesDecoded' : 'framesEncoded')),
      size: entry.frameWidth ? `${entry.frameWidth}×${entry.frameHeight}` : '',
      codec: entries.get(entry.codecId)?.mimeType?.split('/')[1] ?? '',
      lost: entry.packetsLost ?? 0,
    };
  }
}

/** The chosen way: address family, round trip, ciphers. */
function path(entries) {
  const transport = [...entries.values()].find((entry) => entry.type === 'transport');
  const pair = entries.get(transport?.selectedCandidatePairId);
  if (!pair) return null;
  const remote = entries.get(pair.remoteCandidateId);
  return {
    family: (remote?.address ?? '').includes(':') ? 'IPv6' : 'IPv4',
    protocol: (remote?.protocol ?? 'udp').toUpperCase(),
    roundTripMs: pair.currentRoundTripTime === undefined ? null : Math.round(pair.currentRoundTripTime * 1000),
    cipher: transport.srtpCipher ?? '',
  };
}

/** `640×480 20 fps 480 kbit/s VP8` for a tile. */
export function pictureLine(video, audio) {
  const parts = [];
  if (video) parts.push(video.size, `${video.frames} fps`, `${video.kilobits} kbit/s`, video.codec);
  if (audio) parts.push(`${audio.codec} ${audio.kilobits} kbit/s`);
  return parts.filter(Boolean).join(' · ');
}

/** The footer's line: the whole of both directions and the path between. */
export function totalLine(reports) {
  const streams = reports.flatMap((report) => report.streams);
  const sum = (received) =>
    streams.filter((one) => one.received === received).reduce((total, one) => total + one.kilobits, 0);
  const lost = streams.reduce((total, one) => total + (one.received ? one.lost : 0), 0);
  const way = reports.map((report) => report.path).find(Boolean);
  const parts = [`↑ ${sum(false)} kbit/s`, `↓ ${sum(true)} kbit/s`, `${lost} lost`];
  if (way) {
    parts.push(`${way.family} ${way.protocol}`);
    if (way.roundTripMs !== null) parts.push(`${way.roundTripMs} ms round trip`);
    if (way.cipher) parts.push(way.cipher.replace(/^SRTP_/, '').replaceAll('_', '-'));
  }
  return parts.join(' · ');
}
