//! Statistics for event handlers: those asked for while a PeerConnection is up, and the last ones,
//! asked for in the same breath as its end, so that they say what it came to.
//!
//! Bounds: an entry for each PeerConnection that is up or being closed.

use super::connection::Connection;
use bifrons_core::media::{MediaKind, Mindex, PeerId, PeerStatistics};
use bifrons_core::plugin::HandleKey;
use std::collections::{HashMap, HashSet, VecDeque};

/// What statistics of a line have to be read with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineAbout {
    /// Its index.
    pub mindex: Mindex,
    /// Its mid.
    pub mid: String,
    /// What it carries.
    pub kind: MediaKind,
    /// The main codec, as the Janus API calls it.
    pub codec: Option<&'static str>,
    /// Its RTP clock; 0 without a codec.
    pub clock_hz: u32,
}

/// Statistics of a handle's PeerConnection.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerReport {
    /// Whose.
    pub handle: HandleKey,
    /// The lines in use.
    pub lines: Vec<LineAbout>,
    /// The figures; `None` where the shard has none to give.
    pub statistics: Option<Box<PeerStatistics>>,
    /// The PeerConnection has ended: nothing follows.
    pub is_last: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Reports {
    pub(super) on: bool,
    asked: HashSet<PeerId>,
    closing: HashMap<PeerId, (HandleKey, Vec<LineAbout>)>,
    ready: VecDeque<PeerReport>,
}

impl Reports {
    /// Statistics of the peer are on their way.
    pub(super) fn asked(&mut self, peer: PeerId) {
        self.asked.insert(peer);
    }

    /// The PeerConnection ended. True if its last statistics are to be asked for.
    pub(super) fn ending(&mut self, handle: HandleKey, of: &Connection) -> bool {
        self.asked.remove(&of.peer);
        if !self.on {
            return false;
        }
        let lines = lines(of);
        if of.is_open {
            self.closing.insert(of.peer, (handle, lines));
        } else {
            self.ready.push_back(PeerReport { handle, lines, statistics: None, is_last: true });
        }
        of.is_open
    }

    /// A shard's answer. `connection` is the peer's, unless it has ended.
    pub(super) fn answered(
        &mut self,
        peer: PeerId,
        connection: Option<(HandleKey, &Connection)>,
        statistics: Option<&PeerStatistics>,
    ) {
        let statistics = || statistics.cloned().map(Box::new);
        if let Some((handle, lines)) = self.closing.remove(&peer) {
            self.ready.push_back(PeerReport {
                handle,
                lines,
                statistics: statistics(),
                is_last: true,
            });
        } else if let Some((handle, connection)) = connection
            && self.asked.remove(&peer)
        {
            let lines = lines(connection);
            self.ready.push_back(PeerReport {
                handle,
                lines,
                statistics: statistics(),
                is_last: false,
            });
        }
    }

    /// No answer will come about these any more.
    pub(super) fn gone(&mut self, which: impl Fn(PeerId) -> bool) {
        self.asked.retain(|peer| !which(*peer));
        for (_, (handle, lines)) in self.closing.extract_if(|peer, _| which(*peer)) {
            self.ready.push_back(PeerReport { handle, lines, statistics: None, is_last: true });
        }
    }

    pub(super) fn next(&mut self) -> Option<PeerReport> {
        self.ready.pop_front()
    }
}

fn lines(of: &Connection) -> Vec<LineAbout> {
    let line = |line: &bifrons_core::sdp::NegotiatedLine| {
        let (_, kind) = of.line(line.mindex)?;
        let codec = line.main_codec();
        Some(LineAbout {
            mindex: line.mindex,
            mid: line.mid.clone(),
            kind,
            codec: codec.and_then(|codec| codec.codec).map(|codec| codec.janus_name()),
            clock_hz: codec.map_or(0, |codec| codec.clock_hz),
        })
    };
    of.lines.iter().filter_map(line).collect()
}
