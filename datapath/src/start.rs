//! Starting the datapath: sockets, shards on their cores, the handshake lane, and the rings
//! between them and control.

use crate::bypass::{self, Bypass, Transmit};
use crate::carry::Carrier;
use crate::cores::{self, Core};
use crate::dtls_openssl::DtlsContext;
use crate::engine::{EngineChoice, EngineKind, EngineOptions, open_engine};
use crate::handoff;
use crate::handshake::{FromLane, LaneLimits, LanePort, LaneThread, ToLane};
use crate::inject::{Injector, InjectorEnds};
use crate::queue::{Doorbell, Rx, Tx, link};
use crate::run::{Ports, run};
use crate::shard::{Clock, Shard, ShardConfig};
use crate::tap::{Tap, Tapped};
use crate::udp::{self, SocketOptions, UdpCapabilities};
use bifrons_core::media::{ShardCommand, ShardEvent};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Commands that wait for a shard at most; control keeps the rest in a queue of its own.
const COMMANDS: usize = 4096;
/// Events that wait for control at most; a shard keeps the rest.
const EVENTS: usize = 8192;

/// Messages that wait between a shard and the lane, each way.
const LANE_MESSAGES: usize = 2048;

/// Helper threads that inject packets: one plays files, one speaks to cameras.
const INJECTORS: usize = 2;

/// How the datapath is laid out.
#[derive(Clone, Debug)]
pub struct DatapathOptions {
    /// How many shards, 1..=256.
    pub shards: usize,
    /// Local addresses to bind, on every shard.
    pub addresses: Vec<IpAddr>,
    /// Shard `n` binds port `port_base + n`.
    pub port_base: u16,
    /// Which engine.
    pub engine: EngineChoice,
    /// How packets leave.
    pub transmit: Transmit,
    /// Buffers and marking of the sockets.
    pub sockets: SocketOptions,
    /// Cores shards may be pinned to, control's first; empty = no pinning.
    pub cores: Vec<Core>,
    /// What shards share; `id` and `sockets` are filled in for each.
    pub shard: ShardConfig,
}

/// Control's ends of one shard's rings, and its thread.
pub struct ShardPort {
    /// To the shard.
    pub commands: Tx<ShardCommand>,
    /// From the shard.
    pub events: Rx<ShardEvent>,
    /// The addresses of its sockets: its host candidates.
    pub sockets: Vec<SocketAddr>,
    /// The engine it runs on.
    pub engine: EngineKind,
    /// Why that is not the first choice.
    pub fell_back: Option<String>,
    thread: JoinHandle<()>,
}

/// The running datapath as control holds it.
pub struct Datapath {
    /// Its shards, by index.
    pub shards: Vec<ShardPort>,
    /// The devices that have packet rings, or why there are none; `None` if none were asked for.
    pub bypass: Option<Result<Vec<String>, String>>,
    /// Rung by every shard that has an event for control.
    pub bell: Doorbell,
    /// The handshake lane's thread.
    pub lane: LaneThread,
    /// What the shards' taps yield, by shard; to be taken by who writes captures.
    pub taps: Vec<Rx<Tapped>>,
    /// For the thread that holds relays; `None` once it has been taken.
    pub carrier: Option<Carrier>,
    /// For helper threads that inject packets, two until they have been taken.
    pub injectors: Vec<Injector>,
}

impl Datapath {
    /// Binds, starts and pins everything.
    ///
    /// # Errors
    /// When an address cannot be bound or an engine set up; nothing is left running then.
    pub fn start(options: &DatapathOptions, dtls: DtlsContext) -> io::Result<Self> {
        let shards = options.shards.clamp(1, 256);
        let capabilities = UdpCapabilities::probe();
        let bell = Doorbell::new()?;
        let bells = (0..shards).map(|_| Doorbell::new()).collect::<io::Result<Vec<_>>>()?;
        let mut neighbours = handoff::link_shards(&bells);
        let (lane, lane_ports) = start_lane(dtls, &bells)?;
        let (carrier, carrier_ends) = Carrier::link(&bells)?;
        let (around, bypass) = prepare_bypass(options, &bells);
        let mut around = around.into_iter();
        let mut started = Vec::with_capacity(shards);
        let mut taps = Vec::with_capacity(shards);
        let (injectors, injector_ends) = link_injectors(&bells);
        let ends = bells.iter().zip(lane_ports).zip(carrier_ends).zip(injector_ends);
        for (index, (((shard_bell, lane_port), carrier), injectors)) in ends.enumerate() {
            let port = options.port_base.checked_add(index as u16).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidInput, "shard ports run past 65535")
            })?;
            let sockets = udp::open_shard(&options.addresses, port, &options.sockets)?;
            let (commands, commands_in) = link(COMMANDS, shard_bell);
            let (events_out, events) = link(EVENTS, &bell);
            let (tap, tapped) = Tap::link(&bell);
            taps.push(tapped);
            let ports = Ports {
                commands: commands_in,
                events: events_out,
                to_lane: lane_port.to_lane,
                from_lane: lane_port.from_lane,
                carrier,
                injectors,
                neighbours: std::mem::take(&mut neighbours[index]),
                bell: shard_bell.clone(),
            };
            started.push(start_shard(
                options,
                index,
                sockets,
                capabilities,
                ports,
                (commands, events),
                (tap, around.next()),
            )?);
        }
        let carrier = Some(carrier);
        Ok(Datapath { shards: started, bypass, bell, lane, taps, carrier, injectors })
    }

    /// Waits for every shard to end; [`ShardCommand::Stop`] has to be sent before.
    pub fn join(self) {
        for shard in self.shards {
            // A panic was reported by the thread itself.
            let _ = shard.thread.join();
        }
        drop(self.lane);
    }
}

/// Each shard's way around its sockets, and what to say about it. A host that does not let us have
/// one has UDP.
fn prepare_bypass(
    options: &DatapathOptions,
    bells: &[Doorbell],
) -> (Vec<Bypass>, Option<Result<Vec<String>, String>>) {
    if options.transmit == Transmit::Udp {
        return (Vec::new(), None);
    }
    let (dscp, secret) = (options.sockets.dscp, options.shard.secret);
    match bypass::prepare(&options.addresses, dscp, bells, secret) {
        Ok(prepared) => (prepared.shards, Some(Ok(prepared.devices))),
        Err(error) => (Vec::new(), Some(Err(error.to_string()))),
    }
}

/// The injectors, and what each shard has of all of them.
fn link_injectors(bells: &[Doorbell]) -> (Vec<Injector>, Vec<Vec<InjectorEnds>>) {
    let mut by_shard: Vec<Vec<InjectorEnds>> = bells.iter().map(|_| Vec::new()).collect();
    let injectors = (0..INJECTORS).map(|_| {
        let (injector, ends) = Injector::link(bells);
        for (shard, end) in by_shard.iter_mut().zip(ends) {
            shard.push(end);
        }
        injector
    });
    let injectors = injectors.collect();
    (injectors, by_shard)
}

/// A shard's ends of the rings it shares with the handshake lane.
struct LaneEnds {
    to_lane: Tx<ToLane>,
    from_lane: Rx<FromLane>,
}

fn start_lane(dtls: DtlsContext, bells: &[Doorbell]) -> io::Result<(LaneThread, Vec<LaneEnds>)> {
    let bell = Doorbell::new()?;
    let (mut ports, mut ends) = (Vec::new(), Vec::new());
    for shard_bell in bells {
        let (to_lane, from_shard) = link(LANE_MESSAGES, &bell);
        let (to_shard, from_lane) = link(LANE_MESSAGES, shard_bell);
        ports.push(LanePort { from_shard, to_shard });
        ends.push(LaneEnds { to_lane, from_lane });
    }
    Ok((LaneThread::spawn(dtls, LaneLimits::default(), ports, &bell)?, ends))
}

fn start_shard(
    options: &DatapathOptions,
    index: usize,
    sockets: Vec<UdpSocket>,
    capabilities: UdpCapabilities,
    ports: Ports,
    (commands, events): (Tx<ShardCommand>, Rx<ShardEvent>),
    (tap, around): (Tap, Option<Bypass>),
) -> io::Result<ShardPort> {
    let addresses = sockets.iter().map(UdpSocket::local_addr).collect::<io::Result<Vec<_>>>()?;
    let config =
        ShardConfig { id: index as u8, sockets: addresses.clone(), ..options.shard.clone() };
    let core = cores::core_of(index, &options.cores);
    let choice = options.engine;
    // The engine has to be made by the thread that turns it; its verdict comes back once.
    #[allow(clippy::disallowed_types, reason = "one value at thread start, never again")]
    let (ready, verdict) = std::sync::mpsc::sync_channel(1);
    let body = move || {
        if let Some(core) = core {
            cores::pin(core);
        }
        let mut ports = ports;
        let engine_options = EngineOptions { capabilities, ..EngineOptions::default() };
        match open_engine(choice, sockets, &ports.bell, &engine_options) {
            Ok((mut engine, kind, why)) => {
                let _ = ready.send(Ok((kind, why)));
                if let Some(around) = around {
                    engine.attach_bypass(around);
                }
                shard_main(config, engine.as_mut(), &mut ports, tap);
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    };
    let thread = std::thread::Builder::new().name(format!("shard-{index}")).spawn(body)?;
    let (engine, fell_back) = verdict.recv().map_err(|_| {
        io::Error::other(format!("shard {index} ended before its engine was set up"))
    })??;
    Ok(ShardPort { commands, events, sockets: addresses, engine, fell_back, thread })
}

/// Runs a shard to its end and tells control how it ended. A panic takes this shard's peers and
/// nothing else.
fn shard_main(
    config: ShardConfig,
    engine: &mut dyn crate::engine::Engine,
    ports: &mut Ports,
    tap: Tap,
) {
    let id = config.id;
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let clock = Clock::new(Instant::now(), wall.as_micros() as u64);
    let mut shard = Shard::new(config, clock, clock.at(Instant::now()));
    shard.attach_tap(tap);
    let result = catch_unwind(AssertUnwindSafe(|| run(&mut shard, engine, ports)));
    let failure = match result {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("engine failed: {error}").into_boxed_str()),
        Err(panic) => Some(panic_text(&*panic).into_boxed_str()),
    };
    let mut event = ShardEvent::Stopped { shard: id, failure };
    while let Err(back) = ports.events.push(event) {
        if ports.events.is_abandoned() {
            return;
        }
        event = back;
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("no message"))
}
