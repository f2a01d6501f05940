//! A server with real shards behind it, on loopback.

use crate::target::xorshift;
use bifrons_control::negotiation::{Negotiation, NegotiationSettings, Negotiator, RingShards};
use bifrons_control::transport::{Front, moment};
use bifrons_core::ice::{InterfaceAddress, LocalPlan, LocalRules};
use bifrons_core::media::{ShardCommand, ShardEvent};
use bifrons_datapath::bypass::Transmit;
use bifrons_datapath::dtls_openssl::{Certificate, DtlsContext, DtlsSettings, KeyKind};
use bifrons_datapath::engine::EngineChoice;
use bifrons_datapath::queue::{Doorbell, Rx};
use bifrons_datapath::shard::{Coalescing, ShardConfig};
use bifrons_datapath::start::{Datapath, DatapathOptions};
use bifrons_datapath::tap::Tapped;
use bifrons_datapath::udp::SocketOptions;
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;

/// How a test wants its media.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    /// How many shards, each with a port of its own.
    pub(crate) shards: usize,
    /// Losses in a second that make a slow link; 0 = none do.
    pub(crate) slow_link_losses: u32,
    /// `no_media_timer`.
    pub(crate) no_media: Duration,
    /// `no_webrtc_encryption`.
    pub(crate) plain: bool,
}

impl Default for Media {
    fn default() -> Self {
        Media { shards: 1, slow_link_losses: 0, no_media: Duration::from_secs(1), plain: false }
    }
}

/// Ends the shards when the test does.
pub(crate) struct Shards(Rc<RefCell<Datapath>>);

impl Drop for Shards {
    fn drop(&mut self) {
        for shard in &mut self.0.borrow_mut().shards {
            // One that takes no commands has ended already.
            let _ = shard.commands.push(ShardCommand::Stop);
        }
    }
}

impl Media {
    /// Starts the shards on ports of their own, and the negotiation before them.
    pub(crate) fn start(self) -> (Box<dyn Negotiator>, Shards) {
        let address: IpAddr = Ipv4Addr::LOCALHOST.into();
        let host = InterfaceAddress { name: "lo".to_owned(), ip: address };
        let rules = LocalRules::default();
        let plan = LocalPlan::new(&[host], &rules);
        let now_s = i64::try_from(moment().wall_us / 1_000_000).expect("a date");
        let certificate = Certificate::self_signed(KeyKind::EcP256, now_s).expect("a certificate");
        let dtls = DtlsContext::new(&certificate, &DtlsSettings::default()).expect("OpenSSL");
        let datapath = Datapath::start(&self.options(address), dtls).expect("a shard");
        let datapath = Rc::new(RefCell::new(datapath));
        let mut settings = NegotiationSettings::new(certificate.fingerprint().hex(), plan, rules);
        settings.encrypted = !self.plain;
        let shards = Box::new(RingShards::new(datapath.clone()));
        let mut random = xorshift();
        let random =
            move |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte = random() as u8);
        let negotiation = Negotiation::new(settings, shards, Box::new(random));
        (Box::new(negotiation), Shards(datapath))
    }

    fn options(&self, address: IpAddr) -> DatapathOptions {
        DatapathOptions {
            shards: self.shards,
            addresses: vec![address],
            port_base: 0,
            engine: EngineChoice::Auto,
            transmit: Transmit::Udp,
            sockets: SocketOptions::default(),
            cores: Vec::new(),
            shard: ShardConfig {
                id: 0,
                sockets: Vec::new(),
                ice_lite: false,
                hangup_on_failed: false,
                consent_freshness: false,
                min_nack_queue: Duration::from_millis(200),
                twcc_period: Duration::from_millis(200),
                busy_poll: Duration::ZERO,
                no_media: self.no_media,
                slow_link_losses: self.slow_link_losses,
                coalescing: Coalescing::default(),
                plain: self.plain,
                secret: 0x5eed,
            },
        }
    }
}

impl Shards {
    /// What the shards' taps yield.
    pub(crate) fn taps(&self) -> Vec<Rx<Tapped>> {
        std::mem::take(&mut self.0.borrow_mut().taps)
    }

    /// Hands what the shards say to the dispatcher, as long as the test runs.
    pub(crate) fn serve(&self, front: &Rc<Front>) {
        let (datapath, front) = (self.0.clone(), front.clone());
        tokio::task::spawn_local(async move {
            let bell = datapath.borrow().bell.clone();
            let descriptor = bell.as_fd().try_clone_to_owned().expect("a descriptor");
            let strokes = Receiver::from_owned_fd_unchecked(descriptor).expect("an eventfd");
            loop {
                let events = take_events(&datapath);
                if events.is_empty() {
                    rung(&bell, &strokes, &datapath).await;
                    continue;
                }
                front.with(|core, now| core.shard_events(now, events));
                front.with(|core, _| core.flush_shards());
                tokio::task::yield_now().await;
            }
        });
    }
}

fn take_events(datapath: &RefCell<Datapath>) -> Vec<ShardEvent> {
    let mut datapath = datapath.borrow_mut();
    datapath.shards.iter_mut().flat_map(|shard| std::iter::from_fn(|| shard.events.pop())).collect()
}

async fn rung(bell: &Doorbell, strokes: &Receiver, datapath: &RefCell<Datapath>) {
    let idle = || datapath.borrow().shards.iter().all(|shard| shard.events.is_empty());
    if bell.may_sleep(idle) {
        strokes.readable().await.expect("an eventfd");
        // Empties the counter.
        let _ = strokes.try_read(&mut [0; 8]);
        bell.awake();
    }
}
