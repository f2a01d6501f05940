//! Messages of data channels between plugins and shards, and the credit that bounds them.

use super::PeerEvent;
use super::engine::Negotiation;
use bifrons_core::media::{
    DataCommand, DataEvent, DataMessage, DataRefusal, PeerId, SEND_CREDIT, ShardCommand,
};
use bifrons_core::plugin::HandleKey;

/// A shard is told what was taken once it comes to this: far less than its credit.
const TAKEN: usize = 64 * 1024;

impl Negotiation {
    pub(super) fn send_message(
        &mut self,
        handle: HandleKey,
        message: DataMessage,
    ) -> Result<(), DataRefusal> {
        let connection = self.connections.get_mut(&handle).ok_or(DataRefusal::NotReady)?;
        let data = connection.lines.iter().find_map(|line| line.data);
        let data = data.ok_or(DataRefusal::NotReady)?;
        if message.bytes.len() > data.max_send as usize {
            return Err(DataRefusal::TooLong);
        }
        if connection.data_under_way >= SEND_CREDIT {
            connection.data_refused = true;
            return Err(DataRefusal::Full);
        }
        connection.data_under_way += message.weight();
        let peer = connection.peer;
        let command = DataCommand::Send { peer, message: Box::new(message) };
        self.shards.send(peer.shard, ShardCommand::Data(command));
        Ok(())
    }

    pub(super) fn data_event(&mut self, event: DataEvent) {
        match event {
            DataEvent::Ready { peer } => self.data_says(peer, PeerEvent::DataReady),
            DataEvent::Message { peer, message } => {
                self.take(peer.shard, message.weight());
                self.data_says(peer, PeerEvent::Data(message));
            }
            DataEvent::Sent { peer, weight, drained } => self.sent(peer, weight, drained),
            DataEvent::Lost { peer, end } => {
                let handle = self.slots.handle(peer).map(|handle| handle.0);
                tracing::info!(handle, reason = end.text(), "the data channels of a peer are gone");
            }
        }
    }

    fn data_says(&mut self, peer: PeerId, event: PeerEvent) {
        if let Some(handle) = self.slots.handle(peer) {
            self.events.push_back((handle, event));
        }
    }

    /// The plugin is called before the next event is looked at, so this is as good as after it.
    fn take(&mut self, shard: u8, weight: usize) {
        let taken = self.data_taken.entry(shard).or_default();
        *taken += weight;
        if *taken >= TAKEN {
            let weight = std::mem::take(taken);
            self.shards.send(shard, ShardCommand::Data(DataCommand::Taken { weight }));
        }
    }

    fn sent(&mut self, peer: PeerId, weight: usize, drained: bool) {
        let handle = self.slots.handle(peer);
        let connection = handle.and_then(|handle| self.connections.get_mut(&handle));
        let Some(connection) = connection.filter(|connection| connection.peer == peer) else {
            return;
        };
        connection.data_under_way = connection.data_under_way.saturating_sub(weight);
        let room = connection.data_refused && connection.data_under_way < SEND_CREDIT / 2;
        if drained || room {
            connection.data_refused = false;
            self.data_says(peer, PeerEvent::DataReady);
        }
    }
}
