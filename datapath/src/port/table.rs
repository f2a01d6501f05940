//! The ports of a shard, by place, name and socket.

use super::{MAX_FEEDS, Opener, is_for};
use crate::engine::Engine;
use crate::shard::Now;
use bifrons_core::media::{Carries, PortClock, PortId, PortSocket};
use slab::Slab;
use std::collections::HashMap;
use std::net::SocketAddr;

/// One thing a port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Place of the ingest.
    pub ingest: u32,
    /// What is carried.
    pub carries: Carries,
}

/// One port.
#[derive(Debug)]
pub struct OpenPort {
    /// Its name.
    pub id: PortId,
    /// Its number at the engine, once attached.
    pub socket: Option<u16>,
    /// Opens what arrives, with SRTP.
    pub opener: Option<Opener>,
    /// What it carries.
    pub feeds: Vec<Feed>,
    /// What it carries of messages; besides `feeds`, and looked at first.
    pub messages: Vec<Feed>,
    /// Places of the forwarders whose feedback arrives here.
    pub forwarders: Vec<u32>,
    /// Where RTCP last came from.
    pub latched: Option<SocketAddr>,
    /// Where control reads when something last arrived.
    clock: PortClock,
    /// When that is noted again.
    note_us: u64,
}

impl OpenPort {
    /// Something arrived.
    #[inline]
    pub fn heard(&mut self, now: Now) {
        if now.us >= self.note_us {
            self.note_us = now.us + PortClock::STEP.as_micros() as u64;
            self.clock.note(now.instant);
        }
    }

    /// Whether RTCP is expected.
    pub fn takes_rtcp(&self) -> bool {
        !self.forwarders.is_empty() || self.feeds.iter().any(|feed| feed.carries == Carries::Rtcp)
    }

    /// Adds a feed, of RTP or of messages; false if there are as many as a port takes.
    pub fn add(&mut self, feed: Feed, messages: bool) -> bool {
        let has_room = self.feeds.len() + self.messages.len() < MAX_FEEDS;
        let feeds = if messages { &mut self.messages } else { &mut self.feeds };
        if feeds.contains(&feed) {
            return true;
        }
        if has_room {
            feeds.push(feed);
        }
        has_room
    }

    /// The feed that a datagram is a message for.
    #[inline]
    pub fn message_feed(&self, datagram: &[u8]) -> Option<Feed> {
        self.messages.iter().find(|feed| is_for(feed, datagram)).copied()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Ports {
    slab: Slab<OpenPort>,
    by_id: HashMap<PortId, u32>,
    /// Place by socket number.
    by_socket: Vec<Option<u32>>,
    attaching: Vec<(PortId, PortSocket)>,
    detaching: Vec<(u16, PortId)>,
    /// Detached, and still in the kernel's hands.
    closing: Vec<(u16, PortId)>,
    /// Closed before they were attached.
    unused: Vec<PortId>,
    refused: u64,
}

impl Ports {
    /// Takes a port in; its socket is attached when the engine is at hand.
    pub fn open(&mut self, id: PortId, socket: PortSocket, opener: Option<Opener>) {
        let port = OpenPort {
            id,
            socket: None,
            opener,
            feeds: Vec::new(),
            messages: Vec::new(),
            forwarders: Vec::new(),
            latched: None,
            clock: socket.clock().clone(),
            note_us: 0,
        };
        self.by_id.insert(id, self.slab.insert(port) as u32);
        self.attaching.push((id, socket));
    }

    /// Forgets a port. [`Ports::settle`] tells when its number is free.
    pub fn close(&mut self, id: PortId) {
        self.attaching.retain(|(waiting, _)| *waiting != id);
        let place = self.by_id.remove(&id);
        let port = place.and_then(|place| self.slab.try_remove(place as usize));
        let Some(socket) = port.and_then(|port| port.socket) else {
            self.unused.push(id);
            return;
        };
        if let Some(entry) = self.by_socket.get_mut(usize::from(socket)) {
            *entry = None;
        }
        self.detaching.push((socket, id));
    }

    /// Hands new sockets to the engine and takes closed ones from it; `closed` hears of those the
    /// kernel has let go of. One that the engine refuses stays deaf and dumb, and is counted.
    pub fn settle(&mut self, engine: &mut dyn Engine, mut closed: impl FnMut(PortId)) {
        for (socket, id) in self.detaching.drain(..) {
            engine.detach(socket);
            self.closing.push((socket, id));
        }
        // Before others are attached: those may get the numbers of these.
        self.closing.retain(|&(socket, id)| {
            let held = engine.holds(socket);
            if !held {
                closed(id);
            }
            held
        });
        self.unused.drain(..).for_each(&mut closed);
        for (id, waiting) in self.attaching.drain(..) {
            let attached = match waiting.socket() {
                Some(socket) => socket.try_clone().and_then(|socket| engine.attach(socket)),
                None => engine.attach_simulated(waiting.address()),
            };
            let Ok(socket) = attached else {
                self.refused += 1;
                continue;
            };
            let index = usize::from(socket);
            if self.by_socket.len() <= index {
                self.by_socket.resize(index + 1, None);
            }
            let place = self.by_id.get(&id).copied();
            self.by_socket[index] = place;
            if let Some(port) = place.and_then(|place| self.slab.get_mut(place as usize)) {
                port.socket = Some(socket);
            }
        }
    }

    /// Whether [`Ports::settle`] has something to do.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.attaching.is_empty()
            && self.detaching.is_empty()
            && self.closing.is_empty()
            && self.unused.is_empty()
    }

    /// The port of a socket.
    #[inline]
    pub fn at_socket(&mut self, socket: u16) -> Option<&mut OpenPort> {
        let place = (*self.by_socket.get(usize::from(socket))?)?;
        self.slab.get_mut(place as usize)
    }

    /// The port of this name.
    pub fn get(&self, id: PortId) -> Option<&OpenPort> {
        self.slab.get(*self.by_id.get(&id)? as usize)
    }

    /// As [`Ports::get`], to change it.
    pub fn get_mut(&mut self, id: PortId) -> Option<&mut OpenPort> {
        self.slab.get_mut(*self.by_id.get(&id)? as usize)
    }

    /// Its place, for [`Ports::at`].
    pub fn place(&self, id: PortId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// The port at a place, if it still is the one of this name.
    #[inline]
    pub fn at(&self, place: u32, id: PortId) -> Option<&OpenPort> {
        self.slab.get(place as usize).filter(|port| port.id == id)
    }

    /// Takes an ingest off all ports.
    pub fn forget_ingest(&mut self, ingest: u32) {
        for (_, port) in &mut self.slab {
            port.feeds.retain(|feed| feed.ingest != ingest);
            port.messages.retain(|feed| feed.ingest != ingest);
        }
    }

    /// Sockets the engine refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}
