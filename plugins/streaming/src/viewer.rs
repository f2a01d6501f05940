//! A viewer: one handle, the mountpoint it watches, and what flows on the lines of its
//! PeerConnection (plugin-streaming §5).
//!
//! ```text
//! idle ──watch──► offered ──start + answer──► starting ──keys──► up ──pause──► paused
//!   ▲    (or its own offer, answered) ─────────────▲                ◄──start──┘
//!   └──────────── stop, destroy, kick_all, hangup, detach ◄── any of them
//! ```

use crate::media::StreamSpec;
use bifrons_core::codec::Codec;
use bifrons_core::media::{
    IngestId, LayerTarget, MediaKind, Mindex, PeerId, Route, Selection, SourceId,
};
use bifrons_core::plugin::{DelayLimits, Id, ServiceId};

/// One line of a viewer's PeerConnection that carries something.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Which stream of the mountpoint it gets; the same one after a switch.
    pub(crate) stream: usize,
    /// Its index in the SDP.
    pub(crate) mindex: Mindex,
    pub(crate) mid: String,
    pub(crate) kind: MediaKind,
    pub(crate) codec: Option<Codec>,
    /// The payload type that was negotiated.
    pub(crate) pt: u8,
    /// The client wants it to flow.
    pub(crate) send: bool,
    pub(crate) target: LayerTarget,
    /// Layers that flow: substream or spatial, and temporal; -1 = none known.
    pub(crate) current: (i8, i8),
    /// The client was told of a layer of this source.
    pub(crate) told: bool,
    pub(crate) delay: DelayLimits,
    /// What the shards were last told.
    pub(crate) routed: Option<(SourceId, Route)>,
}

impl Line {
    /// The line of a stream, with everything at its defaults.
    pub(crate) fn new(stream: usize, mindex: Mindex, spec: &StreamSpec) -> Self {
        let mut line = Line {
            stream,
            mindex,
            mid: spec.mid.clone(),
            kind: spec.kind,
            codec: spec.codec,
            pt: spec.pt,
            send: true,
            target: LayerTarget::default(),
            current: (-1, -1),
            told: false,
            delay: DelayLimits::default(),
            routed: None,
        };
        line.take(spec);
        line
    }

    /// Another stream feeds it: what is known of layers is forgotten.
    pub(crate) fn take(&mut self, spec: &StreamSpec) {
        self.target.selection = match (spec.simulcast, spec.svc) {
            (true, _) => Selection::Simulcast,
            (false, true) => Selection::Svc,
            (false, false) => Selection::Whole,
        };
        self.current = (-1, -1);
        self.told = false;
    }
}

/// What plays a file for one viewer alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) service: ServiceId,
    pub(crate) ingest: IngestId,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Viewer {
    /// The mountpoint; `None` = idle.
    pub(crate) watching: Option<Id>,
    pub(crate) lines: Vec<Line>,
    /// The offer was the viewer's.
    pub(crate) offers: bool,
    /// Its PeerConnection, while that is up.
    pub(crate) peer: Option<PeerId>,
    /// A channel of its can be written to.
    pub(crate) data_ready: bool,
    pub(crate) paused: bool,
    /// `o=` version of the last offer.
    pub(crate) version: u64,
    /// On demand.
    pub(crate) own: Option<Own>,
}
