// The picture wall: one tile a participant, ours first.

const wall = document.getElementById('tiles');
const tiles = new Map();

/** The tile of `key`, made when it is not there yet. */
export function tile(key, name, own = false) {
  if (!tiles.has(key)) {
    const made = make(name, own);
    tiles.set(key, made);
    own ? wall.prepend(made.figure) : wall.append(made.figure);
  }
  return tiles.get(key);
}

/** Takes the tile of `key` down. */
export function remove(key) {
  tiles.get(key)?.figure.remove();
  tiles.delete(key);
}

/** Takes every tile down. */
export function clear() {
  for (const key of [...tiles.keys()]) remove(key);
}

/** The participants shown now, without ourselves. */
export function others() {
  return [...tiles.keys()].filter((key) => key !== 'own');
}

/** The tile of `key` if it is up. */
export function find(key) {
  return tiles.get(key);
}

function make(name, own) {
  const figure = element('figure', own ? 'tile own' : 'tile');
  const silent = element('span', 'silent', own ? 'watching only' : 'waiting for the picture');
  const video = Object.assign(document.createElement('video'), { autoplay: true, playsInline: true, muted: own });
  const stream = new MediaStream();
  video.srcObject = stream;
  const caption = element('figcaption', '');
  const line = element('span', 'line');
  caption.append(element('span', 'who', own ? `${name} (you)` : name), line);
  video.addEventListener('playing', () => (silent.hidden = true));
  figure.append(silent, video, caption);
  return { figure, line, video, add: (track) => put(stream, video, track), drop: (track) => stream.removeTrack(track) };
}

/** A stream holds one track of a kind: a new one takes the old one's place. */
function put(stream, video, track) {
  for (const old of stream.getTracks()) {
    if (old.kind === track.kind && old !== track) stream.removeTrack(old);
  }
  stream.addTrack(track);
  video.play().catch(() => {});
}

function element(kind, classes, text = '') {
  return Object.assign(document.createElement(kind), { className: classes, textContent: text });
}
