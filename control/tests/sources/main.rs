//! What feeds a mountpoint without a port: the threads that play files and pull from RTSP servers,
//! with real files, real sockets, and a real camera made of GStreamer. In place of the shard stands
//! the reading end of its ring.

mod camera;
mod players;
mod rtsp;

use bifrons_core::media::IngestId;
use bifrons_core::plugin::{ServiceEvent, ServiceId};
use bifrons_datapath::inject::{Injector, InjectorEnds};
use bifrons_datapath::queue::Doorbell;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How long anything may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

const AUDIO: IngestId = IngestId { shard: 0, number: 1 };
const VIDEO: IngestId = IngestId { shard: 0, number: 2 };
const ONE: ServiceId = ServiceId(1);

/// The fixed header of an RTP packet, and where it went.
#[derive(Clone, Copy, Debug)]
struct Header {
    ingest: IngestId,
    marker: bool,
    pt: u8,
    seq: u16,
    timestamp: u32,
    ssrc: u32,
}

/// Where events and packets come out.
struct Bench {
    ends: InjectorEnds,
    events: Receiver<(ServiceId, ServiceEvent)>,
    /// Payloads of what was read last.
    payloads: Vec<Vec<u8>>,
}

impl Bench {
    /// A bench, and what the thread under test is given.
    fn new() -> (Bench, Injector, Sender<(ServiceId, ServiceEvent)>) {
        let bell = Doorbell::new().expect("an eventfd");
        let (injector, ends) = Injector::link(&[bell]);
        let [ends] = <[_; 1]>::try_from(ends).expect("one shard");
        let (told, events) = channel(64);
        (Bench { ends, events, payloads: Vec::new() }, injector, told)
    }

    /// The next event within [`PATIENCE`].
    fn event(&mut self) -> ServiceEvent {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Ok((service, event)) = self.events.try_recv() {
                assert_eq!(service, ONE);
                return event;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("nothing is told");
    }

    fn no_event(&mut self) {
        assert!(self.events.try_recv().is_err());
    }

    /// What came since the last look.
    fn packets(&mut self) -> Vec<Header> {
        self.payloads.clear();
        let mut headers = Vec::new();
        while let Some(injected) = self.ends.packets.pop() {
            let bytes = injected.packet.bytes();
            assert_eq!((bytes[0] >> 6, injected.layer), (2, 0), "RTP, substream 0");
            let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            headers.push(Header {
                ingest: injected.ingest,
                marker: bytes[1] & 0x80 != 0,
                pt: bytes[1] & 0x7f,
                seq: word(0) as u16,
                timestamp: word(4),
                ssrc: word(8),
            });
            self.payloads.push(bytes[12..].to_vec());
            let _ = self.ends.empties.put(injected.packet);
        }
        headers
    }

    /// Packets until so many came for the ingest, within [`PATIENCE`].
    fn packets_of(&mut self, ingest: IngestId, count: usize) -> Vec<Header> {
        let until = Instant::now() + PATIENCE;
        let mut found = Vec::new();
        while found.len() < count {
            assert!(Instant::now() < until, "{} of {count} packets came", found.len());
            found.extend(self.packets().into_iter().filter(|packet| packet.ingest == ingest));
            std::thread::sleep(Duration::from_millis(2));
        }
        found
    }
}
