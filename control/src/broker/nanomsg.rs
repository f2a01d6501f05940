//! One socket of nanomsg's protocols, spoken by nng (transports-auth §6, admin-events §8.5).
//!
//! nng has threads of its own and calls back from them; a callback only passes its result on. One
//! receive and one send are under way at a time, so nothing piles up between the library and us.
//! A socket that calls is redialled by the library for ever; one that listens takes the next peer.

use super::Gone;
use crate::transport::MAX_REQUEST;
use bifrons_core::config::transport::nanomsg::NanomsgMode;
use nng::options::{Options, ReconnectMaxTime, ReconnectMinTime, RecvMaxSize};
use nng::{Aio, AioResult, Message, Protocol, Socket};
use std::cell::RefCell;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Longest message the library takes; a peer that sends a longer one is disconnected by it.
const MAX_MESSAGE: usize = 2 * MAX_REQUEST;

/// Which protocol a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `NN_PAIR`: one peer, both ways.
    Pair,
    /// `NN_PUB`: any number of peers, out only.
    Publisher,
}

/// See the module.
pub struct Nanomsg {
    socket: Socket,
    receiving: Aio,
    received: RefCell<UnboundedReceiver<nng::Result<Message>>>,
    sending: Aio,
    sent: RefCell<UnboundedReceiver<bool>>,
}

impl Nanomsg {
    /// Opens a socket and has it listen or call. An error is a sentence for the operator.
    pub fn open(role: Role, mode: NanomsgMode, address: &str) -> Result<Self, String> {
        Self::try_open(role, mode, address).map_err(|error| format!("{address}: {error}"))
    }

    fn try_open(role: Role, mode: NanomsgMode, address: &str) -> nng::Result<Self> {
        let socket = Socket::new(match role {
            Role::Pair => Protocol::Pair0,
            Role::Publisher => Protocol::Pub0,
        })?;
        if role == Role::Pair {
            socket.set_opt::<RecvMaxSize>(MAX_MESSAGE)?;
        }
        match mode {
            NanomsgMode::Bind => socket.listen(address)?,
            NanomsgMode::Connect => {
                socket.set_opt::<ReconnectMinTime>(Some(Duration::from_millis(100)))?;
                socket.set_opt::<ReconnectMaxTime>(Some(Duration::from_secs(5)))?;
                socket.dial_async(address)?;
            }
        }
        let (pass, received) = unbounded_channel();
        let receiving = Aio::new(move |_, result| {
            if let AioResult::Recv(result) = result {
                // Nobody listens any more when the server stops.
                let _ = pass.send(result);
            }
        })?;
        let (pass, sent) = unbounded_channel();
        let sending = Aio::new(move |_, result| {
            if let AioResult::Send(result) = result {
                let _ = pass.send(result.is_ok());
            }
        })?;
        let (received, sent) = (RefCell::new(received), RefCell::new(sent));
        Ok(Nanomsg { socket, receiving, received, sending, sent })
    }

    /// Hands on whatever comes, until the socket is closed. To be called once.
    #[allow(clippy::await_holding_refcell_ref, reason = "this is the only borrower")]
    pub async fn receive_all(&self, each: impl Fn(&[u8])) {
        let mut received = self.received.borrow_mut();
        while self.socket.recv_async(&self.receiving).is_ok() {
            match received.recv().await {
                Some(Ok(message)) => each(&message),
                Some(Err(nng::Error::Closed | nng::Error::Canceled)) | None => return,
                Some(Err(error)) => tracing::warn!(%error, "receive over nanomsg failed"),
            }
        }
    }

    /// Sends a message, as soon as a peer takes it. One at a time, from one task.
    #[allow(clippy::await_holding_refcell_ref, reason = "this is the only borrower")]
    pub async fn send(&self, message: &[u8]) -> Result<(), Gone> {
        let mut sent = self.sent.borrow_mut();
        self.socket.send_async(&self.sending, message).map_err(|_| Gone)?;
        if sent.recv().await == Some(true) { Ok(()) } else { Err(Gone) }
    }

    /// Closes the socket: what waits ends.
    pub fn close(&self) {
        self.socket.close();
    }
}
