//! The conformance checklists of the core API and of the transports, line by line, over real
//! sockets: a test `core_api_NN_…` or `transports_auth_NN_…` for each line it meets.
//!
//! Each test starts a server of its own on ports of its own. The same bodies can be pointed at
//! another server, a stock Janus say: set `BIFRONS_CONFORM_WS` (`host:port` of its WebSockets) and
//! `BIFRONS_CONFORM_HTTP` (`host:port/base`), for the Admin API `BIFRONS_CONFORM_ADMIN_WS` and
//! `BIFRONS_CONFORM_ADMIN_HTTP` (`host:port`), and `BIFRONS_CONFORM_MEDIA`, the address that the
//! tests' own media are to come from; tests that need a configuration of their own then say
//! so and pass over. `BIFRONS_CONFORM_MUTE=1` points all of them at a server that accepts
//! everything and says nothing of use: every single one has to fail against it.
//!
//! Waits above two seconds run on tokio's paused clock, except where media flow: real shards keep
//! real time. There a [`call`] has a PeerConnection of another implementation (str0m) at its far
//! end, and a [`session`] one whose packets the test writes byte by byte ([`wire`]).

mod admin;
mod call;
mod candidates;
mod client;
mod core_api;
mod core_api_lifetime;
mod core_api_plugins;
mod data;
mod echotest;
mod echotest_layers;
mod echotest_media;
mod events;
mod hostile;
mod http_api;
mod http_client;
mod http_limits;
mod http_poll;
mod jsep;
mod media;
mod metrics;
mod mute;
mod plugin_api;
mod plugin_api_media;
mod plugin_api_order;
mod program;
mod program_life;
mod relay;
mod session;
mod sources;
mod spy;
mod streaming;
mod target;
mod textroom;
mod tls;
mod tokens;
mod videocall;
mod videoroom;
mod webrtc_media;
mod webrtc_rtcp;
mod websocket_api;
mod wire;
