"""A VideoRoom participant made of aiortc: publishes a picture and a tone, watches one feed.

    guest.py WS_ADDRESS ROOM FEED NAME

Prints one JSON line when published, and one when enough was received from FEED:
{"published": id} and {"video": frames, "audio": frames}. Ends with status 1 and a sentence on
standard error when something is refused or nothing arrives within 30 s.
"""

import asyncio
import fractions
import json
import sys
import uuid

import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import AudioStreamTrack
from av import VideoFrame

WANTED = {"video": 61, "audio": 101}
RATE = 15


class Picture(VideoStreamTrack):
    """A grey ramp that moves, small enough to be encoded beside browsers."""

    def __init__(self):
        super().__init__()
        self.count = 0

    async def recv(self):
        await asyncio.sleep(1 / RATE)
        self.count += 1
        frame = VideoFrame(160, 120, "yuv420p")
        luma, *chroma = frame.planes
        row = bytes((x + 3 * self.count) % 200 + 20 for x in range(luma.line_size))
        luma.update(row * luma.height)
        for plane in chroma:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts = self.count * 90000 // RATE
        frame.time_base = fractions.Fraction(1, 90000)
        return frame


class Session:
    """A Janus session over one WebSocket."""

    def __init__(self, socket):
        self.socket = socket
        self.waiting = {}
        self.reader = asyncio.ensure_future(self.read())
        self.id = None

    async def read(self):
        async for message in self.socket:
            packet = json.loads(message.data)
            if packet["janus"] == "ack":
                continue
            future = self.waiting.pop(packet.get("transaction"), None)
            if future and not future.done():
                future.set_result(packet)

    async def ask(self, packet):
        transaction = uuid.uuid4().hex
        packet = {**packet, "transaction": transaction}
        if self.id is not None:
            packet["session_id"] = self.id
        future = self.waiting[transaction] = asyncio.get_running_loop().create_future()
        await self.socket.send_json(packet)
        reply = await asyncio.wait_for(future, 10)
        if reply["janus"] == "error":
            raise RuntimeError(f"{packet['janus']}: {reply['error']}")
        return reply

    async def open(self):
        self.id = (await self.ask({"janus": "create"}))["data"]["id"]

    async def attach(self, plugin="janus.plugin.videoroom"):
        reply = await self.ask({"janus": "attach", "plugin": plugin})
        return reply["data"]["id"]

    async def send(self, handle, body, jsep=None):
        packet = {"janus": "message", "handle_id": handle, "body": body}
        if jsep:
            packet["jsep"] = {"type": jsep.type, "sdp": jsep.sdp}
        reply = await self.ask(packet)
        data = reply["plugindata"]["data"]
        if "error_code" in data:
            raise RuntimeError(f"{body}: {data['error_code']} {data['error']}")
        return data, reply.get("jsep")


async def publish(session, room, name):
    handle = await session.attach()
    join = {"request": "join", "ptype": "publisher", "room": room, "display": name}
    joined, _ = await session.send(handle, join)
    connection = RTCPeerConnection()
    connection.addTrack(AudioStreamTrack())
    connection.addTrack(Picture())
    await connection.setLocalDescription(await connection.createOffer())
    _, answer = await session.send(handle, {"request": "publish"}, connection.localDescription)
    await connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    await connected(connection)
    print(json.dumps({"published": joined["id"]}), flush=True)
    return connection


async def watch(session, room, feed):
    handle = await session.attach()
    counts = {"video": 0, "audio": 0}
    tasks = []
    connection = RTCPeerConnection()

    @connection.on("track")
    def on_track(track):
        tasks.append(asyncio.ensure_future(count(track, counts)))

    join = {"request": "join", "ptype": "subscriber", "room": room, "streams": [{"feed": feed}]}
    _, offer = await session.send(handle, join)
    await connection.setRemoteDescription(RTCSessionDescription(offer["sdp"], offer["type"]))
    await connection.setLocalDescription(await connection.createAnswer())
    await session.send(handle, {"request": "start", "room": room}, connection.localDescription)
    await connected(connection)
    for _ in range(300):
        if all(counts[kind] >= WANTED[kind] for kind in WANTED):
            print(json.dumps(counts), flush=True)
            return connection
        await asyncio.sleep(0.1)
    raise RuntimeError(f"after 30 s only {counts} arrived from feed {feed}")


async def count(track, counts):
    while True:
        await track.recv()
        counts[track.kind] += 1


async def connected(connection):
    for _ in range(100):
        if connection.connectionState == "connected":
            return
        await asyncio.sleep(0.1)
    raise RuntimeError(f"the connection is {connection.connectionState} after 10 s")


async def main(address, room, feed, name):
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(address, protocols=["janus-protocol"]) as socket:
            session = Session(socket)
            await session.open()
            ours = await publish(session, room, name)
            theirs = await watch(session, room, feed)
            # The other side reads our media until it closes our standard input.
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            await session.ask({"janus": "destroy"})
            await ours.close()
            await theirs.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
