//! The transports that carry whole messages, each against the real thing: Unix sockets, RabbitMQ,
//! Mosquitto, and nanomsg's own `nanocat`. A test `transports_auth_NN_…` meets the line of that
//! number of the checklist.
//!
//! Every test starts a server of its own in this process and talks to it as a client does. Brokers
//! are programs of Debian (`cargo xtask` installs them), started here on ports and folders of their
//! own and ended by their process id. One that is not installed fails its tests with a sentence.

mod broker;
mod client;
mod events;
mod mqtt;
mod nanomsg;
mod program;
mod rabbitmq;
mod room;
mod server;
mod soak;
mod tls;
mod unix;
