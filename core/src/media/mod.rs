//! The plan language: the seam between plugins, control and shards (design §4).
//!
//! Everything a plugin may ask of the datapath is one of these values, and everything a shard
//! tells a plugin is one of these facts. The types are plain data: no descriptors, no closures,
//! no shared state, so a value can cross a ring, be logged, replayed by the simulator, or one day
//! move a peer to another shard. Plans are deltas; a shard applies them between two packets.

mod data;
mod fact;
mod id;
mod ingest;
mod line;
mod message;
mod plan;
mod port;
mod statistics;

pub use data::{
    COMMON_MAX_MESSAGE, DEFAULT_LABEL, DEFAULT_PEER_MAX_MESSAGE, DataCommand, DataEnd, DataEvent,
    DataKind, DataLine, DataMessage, DataPlan, DataRefusal, HANDOFF_CREDIT, MAX_MESSAGE,
    RECEIVE_CREDIT, SEND_CREDIT,
};
pub use fact::{DownReason, Fact, LayerKind};
pub use id::{LineId, Mindex, PeerId, SinkId, SourceId};
pub use ingest::{Carries, IngestSetup, KeyframeBuffer, MessageRule};
pub use line::{
    LayerSsrc, Line, MediaKind, Payload, PeerSetup, PeerUpdate, Receive, Send, Transport,
};
pub use message::{QueryTicket, ShardCommand, ShardEvent, Tap, TapId, Tuning};
pub use plan::{Delay, LayerTarget, Plan, Route, RtcpRule, Selection, SourcePolicy, SwitchRule};
pub use port::{
    Family, ForwardSsrc, ForwarderId, ForwarderSetup, IngestId, Port, PortClock, PortError, PortId,
    PortRequest, PortSocket,
};
pub use statistics::{
    BypassCounters, Flow, LayerStatistics, LineStatistics, PeerStatistics, RoundTrip,
    ShardCounters, WayStatistics,
};
