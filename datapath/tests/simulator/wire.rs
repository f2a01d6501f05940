//! A host that speaks plain RTP or SRTP, without a PeerConnection: the far side of forwarders, and
//! what feeds ports.

use super::net::Datagram;
use super::world::World;
use bifrons_core::media::{
    ForwarderId, ForwarderSetup, IngestId, IngestSetup, Plan, PortClock, PortId, PortSocket, Route,
    ShardCommand, SinkId, SourceId,
};
use bifrons_core::rtp::Packet;
use bifrons_core::srtp::{MasterKey, OpenKey, RtpIndex, SrtpProfile};
use std::collections::HashMap;
use std::net::SocketAddr;

/// Keys are watched for packets sealed twice under numbers from here on.
const KEYS: usize = 1 << 20;

/// See the module.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    /// The number under which its key is watched, with SRTP.
    pub(crate) key: Option<usize>,
    open: Option<OpenKey>,
    indexes: HashMap<u32, RtpIndex>,
    /// What came, opened: when, from where, the bytes.
    pub(crate) got: Vec<(u64, SocketAddr, Vec<u8>)>,
    /// What could not be opened.
    pub(crate) damaged: usize,
}

/// The SRTP key that is made of this byte.
pub(crate) fn master(byte: u8) -> MasterKey {
    MasterKey::new(SrtpProfile::Aes128CmSha1_80, &[byte; 16], &[byte; 14]).expect("it fits")
}

impl Wire {
    /// Takes a datagram.
    pub(crate) fn receive(&mut self, now_us: u64, datagram: Datagram) {
        let Datagram { from, mut bytes, .. } = datagram;
        if let Some(open) = &self.open {
            let ssrc = u32::from_be_bytes(bytes[8..12].try_into().expect("a word"));
            let index = self.indexes.entry(ssrc).or_default();
            match open.open_rtp(&mut bytes, index) {
                Ok(opened) => bytes.truncate(opened.len),
                Err(_) => {
                    self.damaged += 1;
                    return;
                }
            }
        }
        self.got.push((now_us, from, bytes));
    }

    /// The RTP that came: SSRC, sequence number, payload type, payload.
    pub(crate) fn rtp(&self) -> Vec<(u32, u16, u8, Vec<u8>)> {
        let packets = self.got.iter().filter(|(_, _, bytes)| bytes.len() > 12);
        let read = |bytes: &Vec<u8>| {
            let packet = Packet::parse(bytes).expect("RTP");
            let payload = bytes[packet.layout().payload()].to_vec();
            (packet.ssrc().0, packet.seq().0, packet.payload_type().get(), payload)
        };
        packets.map(|(_, _, bytes)| read(bytes)).collect()
    }
}

impl World {
    /// A host; with a key it takes SRTP only.
    pub(crate) fn wire(&mut self, key: Option<u8>) -> usize {
        let index = self.wires.len();
        self.wires.push(Wire {
            address: SocketAddr::from(([10, 3, 0, index as u8], 6_000)),
            key: key.map(|byte| KEYS + usize::from(byte)),
            open: key.map(|byte| OpenKey::new(&master(byte)).expect("it fits")),
            indexes: HashMap::new(),
            got: Vec::new(),
            damaged: 0,
        });
        index
    }

    /// A host sends.
    pub(crate) fn send_from(&mut self, wire: usize, to: SocketAddr, bytes: &[u8]) {
        let from = self.wires[wire].address;
        self.net.send(self.now_us, true, Datagram { from, to, bytes: bytes.to_vec() });
    }

    /// Opens a port of a shard.
    pub(crate) fn open_port(&mut self, port: PortId, open: Option<u8>) -> SocketAddr {
        let address = SocketAddr::from(([10, 0, 1, port.shard], 20_000 + port.number as u16));
        let socket = PortSocket::simulated(address, self.now());
        let open = open.map(master);
        self.command(port.shard.into(), ShardCommand::OpenPort { port, socket, open });
        address
    }

    /// Opens a plain port, of which is known when it last heard something.
    pub(crate) fn open_port_with_clock(&mut self, port: PortId) -> (SocketAddr, PortClock) {
        let address = SocketAddr::from(([10, 0, 1, port.shard], 20_000 + port.number as u16));
        let socket = PortSocket::simulated(address, self.now());
        let clock = socket.clock().clone();
        self.command(port.shard.into(), ShardCommand::OpenPort { port, socket, open: None });
        (address, clock)
    }

    /// Makes a forwarder and feeds it.
    pub(crate) fn forward(
        &mut self,
        source: SourceId,
        forwarder: ForwarderId,
        setup: ForwarderSetup,
        route: Route,
    ) {
        let shard = forwarder.shard;
        self.command(shard.into(), ShardCommand::Plan(Plan::Forwarder { forwarder, setup }));
        if source.shard() != shard {
            let export = ShardCommand::Export { source, shard, on: true };
            self.command(source.shard().into(), export);
        }
        let sink = SinkId::Forwarder(forwarder);
        self.command(shard.into(), ShardCommand::Plan(Plan::Route { source, sink, route }));
    }

    /// Makes an ingest.
    pub(crate) fn ingest(&mut self, ingest: IngestId, setup: IngestSetup) {
        self.command(ingest.shard.into(), ShardCommand::Plan(Plan::Ingest { ingest, setup }));
    }
}
