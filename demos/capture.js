// What a participant sends: camera and microphone, or a picture and a tone made here.

/** How the chosen source ended up: its tracks, and a sentence when it is not what was asked. */
export async function capture(source) {
  if (source === 'nothing') return { tracks: [], remark: '' };
  if (source === 'picture') return { tracks: [testPicture(), softTone()], remark: '' };
  if (!navigator.mediaDevices) {
    return {
      tracks: [testPicture(), softTone()],
      remark: 'The browser allows a camera only on localhost or over HTTPS: sending a test picture.',
    };
  }
  return camera();
}

async function camera() {
  const video = { width: { ideal: 640 }, height: { ideal: 480 } };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video });
    return { tracks: stream.getTracks(), remark: '' };
  } catch (error) {
    return {
      tracks: [testPicture(), softTone()],
      remark: `No camera or microphone (${error.message}): sending a test picture.`,
    };
  }
}

/** Bars with a clock and a ball: enough motion to see that the picture is alive. */
function testPicture() {
  const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 480 });
  const brush = canvas.getContext('2d');
  const hue = Math.floor(Math.random() * 360);
  const draw = () => {
    const now = performance.now() / 1000;
    for (let bar = 0; bar < 8; bar += 1) {
      brush.fillStyle = `hsl(${hue + bar * 14} 55% ${30 + bar * 4}%)`;
      brush.fillRect(bar * 80, 0, 80, 480);
    }
    brush.fillStyle = '#fff';
    brush.beginPath();
    brush.arc(320 + 250 * Math.sin(now), 330 - 120 * Math.abs(Math.sin(now * 2.1)), 26, 0, 7);
    brush.fill();
    brush.font = '600 54px system-ui, sans-serif';
    brush.textAlign = 'center';
    brush.fillText(new Date().toLocaleTimeString(), 320, 110);
  };
  draw();
  setInterval(draw, 50);
  return canvas.captureStream(20).getVideoTracks()[0];
}

function softTone() {
  const context = new AudioContext();
  const out = context.createMediaStreamDestination();
  const level = new GainNode(context, { gain: 0.04 });
  const voice = new OscillatorNode(context, { frequency: 262 });
  voice.connect(level).connect(out);
  voice.start();
  context.resume();
  return out.stream.getAudioTracks()[0];
}
