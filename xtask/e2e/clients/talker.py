"""Talks to EchoTest over a data channel of aiortc's, and hears every word come back.

    talker.py WS_ADDRESS SIZE...

Says each size once as bytes and once as text, and prints {"echoed": [size, ...]}. Ends with status 1
and a sentence on standard error when something is refused, differs, or does not come within 30 s.
"""

import asyncio
import json
import sys

import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription

from guest import Session, connected

PREFIX = "Janus EchoTest here! You wrote: "
# aiortc takes messages of any length and states 256 KiB, which a sender has to keep to.
STATED, TAKEN = "a=max-message-size:262144", "a=max-message-size:1048576"


async def call(session, heard):
    handle = await session.attach("janus.plugin.echotest")
    connection = RTCPeerConnection()
    channel = connection.createDataChannel("chat")
    channel.on("message", heard.put_nowait)
    await connection.setLocalDescription(await connection.createOffer())
    ours = connection.localDescription
    if STATED not in ours.sdp:
        raise RuntimeError("aiortc states another size than it used to")
    offer = RTCSessionDescription(ours.sdp.replace(STATED, TAKEN), ours.type)
    _, answer = await session.send(handle, {"audio": True}, offer)
    await connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    await connected(connection)
    for _ in range(100):
        if channel.readyState == "open":
            return connection, channel
        await asyncio.sleep(0.1)
    raise RuntimeError(f"the channel is {channel.readyState} after 10 s")


async def talk(channel, heard, size):
    # No byte stands where it would after a loss of any round number of them.
    said = bytes(at * 7 % 251 for at in range(size))
    text = "".join(chr(97 + at % 23) for at in range(size - len(PREFIX)))
    for message, expected in ((said, said), (text, PREFIX + text)):
        channel.send(message)
        came = await asyncio.wait_for(heard.get(), 30)
        if came != expected:
            raise RuntimeError(f"{type(message).__name__} of {size} bytes came back as {len(came)}")


async def main(address, sizes):
    heard = asyncio.Queue()
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(address, protocols=["janus-protocol"]) as socket:
            session = Session(socket)
            await session.open()
            connection, channel = await call(session, heard)
            for size in sizes:
                await talk(channel, heard, size)
            print(json.dumps({"echoed": sizes}), flush=True)
            await session.ask({"janus": "destroy"})
            await connection.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], [int(size) for size in sys.argv[2:]]))
