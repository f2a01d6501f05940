#!/usr/bin/python3
"""A camera for tests: GStreamer's RTSP server with a moving picture and a tone.

Prints "port N" once it listens. SIGUSR1 makes it fall silent without going away, SIGUSR2 lets it
speak again. `--log FILE` gets a line for each request: method and, for SETUP, the transport.
"""

import argparse
import signal

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

VIDEO = {
    "vp8": "vp8enc deadline=1 keyframe-max-dist=15 ! {tap} rtpvp8pay",
    "h264": "openh264enc gop-size=15 ! h264parse ! {tap} rtph264pay config-interval=0",
}
AUDIO = {
    "alaw": ("audio/x-raw,rate=8000,channels=1", "alawenc ! {tap} rtppcmapay pt=8"),
    "opus": ("audio/x-raw,rate=48000,channels=2", "opusenc ! {tap} rtpopuspay pt=97"),
}


def pipeline(options):
    parts = []
    if options.video:
        coding = VIDEO[options.video].format(tap="valve name=tap0 !")
        parts.append(
            f"videotestsrc is-live=true pattern={options.pattern}"
            " ! video/x-raw,format=I420,width=320,height=240,framerate=15/1"
            f" ! {coding} name=pay{len(parts)} pt=96"
        )
    if options.audio:
        caps, coding = AUDIO[options.audio]
        coding = coding.format(tap="valve name=tap1 !")
        parts.append(f"audiotestsrc is-live=true ! {caps} ! {coding} name=pay{len(parts)}")
    return "( " + " ".join(parts) + " )"


class Camera:
    def __init__(self, options):
        self.options = options
        self.silent = False
        self.media = []
        self.server = GstRtspServer.RTSPServer()
        self.server.set_address(options.address)
        self.server.set_service(str(options.port))
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(pipeline(options))
        factory.set_protocols(
            {
                "udp": GstRtsp.RTSPLowerTrans.UDP,
                "tcp": GstRtsp.RTSPLowerTrans.TCP,
                "any": GstRtsp.RTSPLowerTrans.UDP | GstRtsp.RTSPLowerTrans.TCP,
            }[options.transport]
        )
        factory.connect("media-configure", self.configured)
        if options.auth:
            self.guard(factory)
        self.server.get_mount_points().add_factory(options.path, factory)
        if options.log:
            self.server.connect("client-connected", self.connected)

    def guard(self, factory):
        """Lets `user:password` in and nobody else."""
        method, user, password = self.options.auth.split(":")
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
        if method == "digest":
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(user, password, token)
        else:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        self.server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        for what in ("access", "construct"):
            permissions.add_permission_for_role("viewer", f"media.factory.{what}", True)
        factory.set_permissions(permissions)

    def configured(self, _factory, media):
        self.media.append(media.get_element())
        self.turn_taps()

    def connected(self, _server, client):
        def note(_client, context, method):
            line = method
            if method == "SETUP":
                _, transport = context.request.get_header(GstRtsp.RTSPHeaderField.TRANSPORT, 0)
                line += f" {transport}"
            with open(self.options.log, "a", encoding="utf-8") as log:
                log.write(line + "\n")

        for method in ("describe", "setup", "play", "teardown", "options", "get-parameter"):
            name = method.replace("-", "_").upper()
            client.connect(f"{method}-request", note, name)

    def turn_taps(self):
        for element in self.media:
            for name in ("tap0", "tap1"):
                tap = element.get_by_name(name)
                if tap:
                    tap.set_property("drop", self.silent)

    def say(self, silent):
        self.silent = silent
        self.turn_taps()
        return GLib.SOURCE_CONTINUE

    def run(self):
        if not self.server.attach(None):
            raise SystemExit("the port cannot be bound")
        for number, silent in ((signal.SIGUSR1, True), (signal.SIGUSR2, False)):
            GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, self.say, silent)
        print(f"port {self.server.get_bound_port()}", flush=True)
        GLib.MainLoop().run()


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--address", default="127.0.0.1")
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--path", default="/cam")
    options.add_argument("--video", choices=VIDEO)
    options.add_argument("--audio", choices=AUDIO)
    options.add_argument("--pattern", default="ball", help="as videotestsrc names it")
    options.add_argument("--transport", choices=("udp", "tcp", "any"), default="any")
    options.add_argument("--auth", help="basic:user:password or digest:user:password")
    options.add_argument("--log", help="a file for the requests that come")
    Gst.init(None)
    Camera(options.parse_args()).run()


main()
