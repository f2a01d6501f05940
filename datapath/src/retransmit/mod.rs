//! What retransmission needs: one plaintext ring per source and shard, and per sink a short
//! history of what left under which sequence number (design §3, "Retransmission").

mod history;
mod ring;

pub use history::{History, Sent};
pub use ring::{Meta, PacketRing, SLOT_BYTES};
