//! Connections to message brokers, for the transports and the event handlers alike.
//!
//! One place each: [`amqp`] for RabbitMQ, [`mqtt`] for MQTT, [`nanomsg`] for nanomsg's sockets, and
//! [`tls`] for their security. A connection
//! is kept up: it is made again after every loss, with pauses that grow ([`Pause`]), for as long as
//! the server runs. Nothing here waits on the control thread.

pub mod amqp;
pub mod mqtt;
pub mod nanomsg;
mod outbox;
pub mod tls;

pub use outbox::{MAX_WAITING, MAX_WAITING_BYTES, Outbox};

use std::time::Duration;

/// The connection was lost before the broker had the message for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection to the broker was lost")]
pub struct Gone;

/// How long to wait before the next try: from 100 ms, half as much again each time, at most 5 s
/// (transports-auth §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Pause(Self::FIRST)
    }
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    /// The next pause.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 3 / 2).min(Self::LONGEST);
        pause
    }

    /// A try succeeded.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_by_half_up_to_five_seconds() {
        let mut pause = Pause::default();
        let first: Vec<_> = (0..4).map(|_| pause.next_pause().as_micros()).collect();
        assert_eq!(first, [100_000, 150_000, 225_000, 337_500]);
        (0..10).for_each(|_| _ = pause.next_pause());
        assert_eq!(pause.next_pause(), Duration::from_secs(5));
        pause.reset();
        assert_eq!(pause.next_pause(), Duration::from_millis(100));
    }
}
