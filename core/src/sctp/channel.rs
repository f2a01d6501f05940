//! The channels of one association.

use super::{Open, Reliability};
use crate::dtls::Role;

/// Channels one peer may have at a time, whoever opened them (webrtc-behaviour §10).
pub const MAX_CHANNELS: usize = 150;

/// Bytes of labels and protocols one peer may have stored with us.
pub const MAX_NAMES: usize = 256 * 1024;

/// SCTP streams each way.
pub(super) const STREAMS: u16 = 1024;

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The SCTP stream.
    pub id: u16,
    /// Its name.
    pub label: Box<str>,
    /// Its subprotocol.
    pub protocol: Box<str>,
    /// Whether messages may overtake each other.
    pub unordered: bool,
    /// What becomes of lost messages.
    pub reliability: Reliability,
    /// Whether the peer has acknowledged it, or opened it itself.
    pub acknowledged: bool,
}

/// See the module. Kept in the order of opening.
#[derive(Debug, Default)]
pub(super) struct Channels {
    all: Vec<Channel>,
}

impl Channels {
    pub(super) fn get(&self, id: u16) -> Option<&Channel> {
        self.all.iter().find(|channel| channel.id == id)
    }

    pub(super) fn get_mut(&mut self, id: u16) -> Option<&mut Channel> {
        self.all.iter_mut().find(|channel| channel.id == id)
    }

    /// The first with that label (webrtc-behaviour §10).
    pub(super) fn labelled(&self, label: &str) -> Option<u16> {
        self.all.iter().find(|channel| &*channel.label == label).map(|channel| channel.id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.all.iter()
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    /// Adds what an OPEN says. False if there is no room for it.
    pub(super) fn add(&mut self, id: u16, open: Open, acknowledged: bool) -> bool {
        let names = |label: &str, protocol: &str| label.len() + protocol.len();
        let stored: usize = self.all.iter().map(|have| names(&have.label, &have.protocol)).sum();
        let more = names(&open.label, &open.protocol);
        if self.all.len() >= MAX_CHANNELS || stored + more > MAX_NAMES {
            return false;
        }
        let Open { unordered, reliability, label, protocol, .. } = open;
        self.all.push(Channel { id, label, protocol, unordered, reliability, acknowledged });
        true
    }

    pub(super) fn remove(&mut self, id: u16) {
        self.all.retain(|channel| channel.id != id);
    }

    /// The next stream of ours: even for a DTLS client, odd for a server (RFC 8832 §6); stream 0
    /// is left to the peer.
    pub(super) fn free_id(&self, role: Role, taken: impl Fn(u16) -> bool) -> Option<u16> {
        let first = if role == Role::Client { 2 } else { 1 };
        (first..STREAMS).step_by(2).find(|id| self.get(*id).is_none() && !taken(*id))
    }
}
