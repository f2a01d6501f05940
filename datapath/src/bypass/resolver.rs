//! The thread that knows the way: routes, devices and neighbours, as the kernel has them.
//!
//! It is told of every change (a dump, then a subscription) and asks for the route of each
//! destination, so rules, metrics and multipath are the kernel's business. A route is asked for
//! again when any route, rule or address changes, and every [`REROUTE`], since a narrower path is
//! not announced. Everything is a value: what a shard is told is complete and the last word.
//!
//! Bounds: the destinations of the shards; the kernel's own tables. Off the packet path.

use super::device::segments_udp;
use super::frame::{Frame, Hop, Mac, Marking};
use super::message::{Link, Question, Route, Told};
use super::netlink::{Asker, Listener};
use super::{Answer, Ask, Verdict};
use crate::queue::{Doorbell, Rx, Tx};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Between two looks at all routes without a cause.
const REROUTE: Duration = Duration::from_secs(20);
/// Between two looks at all routes with one.
const CALM: Duration = Duration::from_millis(200);
/// Between two sweeps of what is not used.
const SWEEP: Duration = Duration::from_secs(60);
/// Longest sleep, so that abandoned rings are noticed.
const IDLE: Duration = Duration::from_secs(1);
/// Sleep while a shard's ring is full.
const BACKLOG: Duration = Duration::from_millis(2);

/// One shard's rings, the resolver's ends.
#[derive(Debug)]
pub(crate) struct Port {
    /// What the shard asks.
    pub(crate) asks: Rx<Ask>,
    /// What it is answered.
    pub(crate) answers: Tx<Answer>,
}

/// A destination of a shard.
#[derive(Clone, Copy, Debug)]
struct Destination {
    generation: u32,
    local: SocketAddr,
    remote: SocketAddr,
    route: Option<Route>,
    /// What the shard has been told; `None` if nothing, or if it found no room.
    told: Option<Verdict>,
    /// Whether its neighbour was stale when it was told.
    stale: bool,
}

impl Destination {
    /// Who the frames go to: a device and a neighbour behind it.
    fn hop(&self) -> Option<(u32, IpAddr)> {
        let route = self.route?;
        let to = self.remote.ip().to_canonical();
        Some((route.device, route.gateway.unwrap_or(to)))
    }
}

#[derive(Debug)]
struct Desk {
    port: Port,
    destinations: HashMap<u32, Destination>,
    behind: bool,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    address: Mac,
    stale: bool,
}

/// How the kernel's picture of the network stands.
#[derive(Debug)]
struct World {
    /// Devices that have a ring, in the order of the shards' rings.
    rings: Vec<u32>,
    /// Whether the kernel takes trains by a ring.
    trains: bool,
    dscp: u8,
    links: HashMap<u32, Link>,
    segments: HashMap<u32, bool>,
    neighbours: HashMap<(u32, IpAddr), Known>,
    /// Hop limits by device and family (IPv6 or not), as last read.
    hops: HashMap<(u32, bool), u8>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Resolver {
    asker: Asker,
    listener: Listener,
    bell: Doorbell,
    world: World,
    desks: Vec<Desk>,
    rerouted: Instant,
    swept: Instant,
    /// Something changed that routes depend on.
    shaken: bool,
}

impl Resolver {
    /// A resolver for shards whose rings are on `rings`.
    ///
    /// # Errors
    /// When netlink is refused.
    pub(crate) fn open(
        rings: Vec<u32>,
        trains: bool,
        dscp: u8,
        ports: Vec<Port>,
        bell: &Doorbell,
    ) -> io::Result<Self> {
        let (links, segments, neighbours, hops) = Default::default();
        let desk = |port| Desk { port, destinations: HashMap::new(), behind: false };
        let now = Instant::now();
        let mut resolver = Resolver {
            // In this order: what changes between the two is told, and asked.
            listener: Listener::open()?,
            asker: Asker::open()?,
            bell: bell.clone(),
            world: World { rings, trains, dscp, links, segments, neighbours, hops },
            desks: ports.into_iter().map(desk).collect(),
            rerouted: now,
            swept: now,
            shaken: false,
        };
        resolver.dump()?;
        Ok(resolver)
    }

    /// Runs until every shard has gone.
    pub(crate) fn run(mut self) {
        while !self.desks.iter().all(|desk| desk.port.asks.is_abandoned()) {
            self.turn();
            self.sleep();
        }
    }

    fn turn(&mut self) {
        let now = Instant::now();
        self.hear();
        self.take_asks();
        let since = now.duration_since(self.rerouted);
        if since >= REROUTE || (self.shaken && since >= CALM) {
            (self.rerouted, self.shaken) = (now, false);
            self.reroute();
        }
        if now.duration_since(self.swept) >= SWEEP {
            self.swept = now;
            for desk in &mut self.desks {
                // One that finds no room is made up for by the next.
                let _ = desk.port.answers.push(Answer::Sweep);
            }
        }
        self.catch_up();
    }

    fn sleep(&mut self) {
        let desks = &self.desks;
        let idle = || desks.iter().all(|desk| desk.port.asks.is_empty());
        if !self.bell.may_sleep(idle) {
            return;
        }
        let wait = match (desks.iter().any(|desk| desk.behind), self.shaken) {
            (true, _) => BACKLOG,
            (false, true) => CALM,
            (false, false) => IDLE,
        };
        let watch = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut watched = [watch(self.bell.as_raw_fd()), watch(self.listener.as_raw_fd())];
        // SAFETY: the array holds as many entries as are told, both descriptors are open.
        unsafe { libc::poll(watched.as_mut_ptr(), 2, wait.as_millis() as i32) };
        self.bell.awake();
        self.bell.silence();
    }

    /// Asks for everything: at the start, and after something was missed.
    fn dump(&mut self) -> io::Result<()> {
        self.world.links.clear();
        self.world.neighbours.clear();
        for question in [Question::Links, Question::Neighbours] {
            for told in self.asker.ask(question)? {
                self.world.take(told);
            }
        }
        self.shaken = true;
        Ok(())
    }

    /// Takes note of every change.
    fn hear(&mut self) {
        loop {
            let all = match self.listener.hear() {
                Ok(Some(all)) => all,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, "netlink lost something; asking anew");
                    if let Err(error) = self.dump() {
                        tracing::warn!(%error, "netlink does not answer");
                        return;
                    }
                    continue;
                }
            };
            for told in all {
                let hop = match &told {
                    Told::Neighbour(one) => Some((one.device, one.ip)),
                    Told::NeighbourGone(device, ip) => Some((*device, *ip)),
                    _ => None,
                };
                self.shaken |= self.world.take(told);
                if let Some(hop) = hop {
                    self.tell_of(|destination| destination.hop() == Some(hop));
                }
            }
        }
    }

    fn take_asks(&mut self) {
        for desk in &mut self.desks {
            while let Some(ask) = desk.port.asks.pop() {
                match ask {
                    Ask::Forget { place } => {
                        desk.destinations.remove(&place);
                    }
                    Ask::Way { place, generation, local, remote } => {
                        let route = route_of(&mut self.asker, local, remote);
                        let destination = Destination {
                            generation,
                            local,
                            remote,
                            route,
                            told: None,
                            stale: false,
                        };
                        let destination = desk.destinations.entry(place).insert_entry(destination);
                        let answers = &mut desk.port.answers;
                        desk.behind |=
                            !tell(&mut self.world, answers, place, destination.into_mut());
                    }
                }
            }
        }
    }

    /// Asks for all routes again.
    fn reroute(&mut self) {
        self.world.hops.clear();
        for desk in &mut self.desks {
            for destination in desk.destinations.values_mut() {
                destination.route =
                    route_of(&mut self.asker, destination.local, destination.remote);
            }
        }
        self.tell_of(|_| true);
    }

    /// Tells shards again what found no room before.
    fn catch_up(&mut self) {
        if self.desks.iter().any(|desk| desk.behind) {
            for desk in &mut self.desks {
                desk.behind = false;
            }
            self.tell_of(|destination| destination.told.is_none());
        }
    }

    /// Tells the shards what has changed of some destinations.
    fn tell_of(&mut self, which: impl Fn(&Destination) -> bool) {
        for desk in &mut self.desks {
            let answers = &mut desk.port.answers;
            for (&place, destination) in &mut desk.destinations {
                if which(destination) {
                    desk.behind |= !tell(&mut self.world, answers, place, destination);
                }
            }
        }
    }
}

/// Tells a shard of a way, unless it knows; false if there was no room.
fn tell(
    world: &mut World,
    answers: &mut Tx<Answer>,
    place: u32,
    destination: &mut Destination,
) -> bool {
    let verdict = world.judge(destination);
    let stale = world.neighbour(destination).is_some_and(|known| known.stale);
    let refresh = stale && !destination.stale;
    if destination.told == Some(verdict) && !refresh {
        destination.stale = stale;
        return true;
    }
    let generation = destination.generation;
    if answers.push(Answer::Way { place, generation, verdict, refresh }).is_err() {
        destination.told = None;
        return false;
    }
    (destination.told, destination.stale) = (Some(verdict), stale);
    true
}

fn route_of(asker: &mut Asker, local: SocketAddr, remote: SocketAddr) -> Option<Route> {
    let from = local.ip().to_canonical();
    let from = Some(from).filter(|ip| !ip.is_unspecified());
    let to = remote.ip().to_canonical();
    if from.is_some_and(|from| from.is_ipv6() != to.is_ipv6()) {
        return None;
    }
    // An error is an answer: there is no route.
    let told = asker.ask(Question::Route { from, to }).ok()?;
    told.into_iter().find_map(|told| match told {
        Told::Route(route) => Some(route),
        _ => None,
    })
}

impl World {
    /// Takes note; true if routes may depend on it.
    fn take(&mut self, told: Told) -> bool {
        match told {
            Told::Link(link) => {
                let segments = link.address.is_some() && segments_udp(&link.name);
                let before = self.segments.insert(link.index, segments);
                let known = self.links.insert(link.index, link.clone());
                known != Some(link) || before != Some(segments)
            }
            Told::LinkGone(index) => {
                self.segments.remove(&index);
                self.links.remove(&index).is_some()
            }
            Told::Neighbour(one) => {
                let hop = (one.device, one.ip);
                let stale = one.stale;
                match one.address {
                    Some(address) => self.neighbours.insert(hop, Known { address, stale }),
                    None => self.neighbours.remove(&hop),
                };
                false
            }
            Told::NeighbourGone(device, ip) => {
                self.neighbours.remove(&(device, ip));
                false
            }
            Told::Address(..) | Told::Route(_) | Told::RoutesChanged => true,
            Told::Done | Told::Refused(_) => false,
        }
    }

    fn neighbour(&self, destination: &Destination) -> Option<Known> {
        self.neighbours.get(&destination.hop()?).copied()
    }

    /// What is to be done with datagrams for a destination.
    fn judge(&mut self, destination: &Destination) -> Verdict {
        let to = destination.remote.ip().to_canonical();
        let hops = self.hops_to(destination, to);
        let Some((link, device, vlan)) = self.device(destination) else { return Verdict::Unfit };
        let Some(known) = self.neighbour(destination) else { return Verdict::Unresolved };
        let Some((route, from)) = destination.route.zip(link.address) else {
            return Verdict::Unfit;
        };
        let mtu = route.mtu.map_or(link.mtu, |mtu| mtu.min(link.mtu));
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        let hop = Hop { from, to: known.address, vlan, mtu };
        let ip = match destination.local.ip().to_canonical() {
            ip if ip.is_unspecified() => route.source,
            ip => Some(ip),
        };
        let marking = Marking { dscp: self.dscp, hops };
        let frame = ip.and_then(|ip| {
            let from = SocketAddr::new(ip, destination.local.port());
            Frame::new(&hop, from, SocketAddr::new(to, destination.remote.port()), marking)
        });
        // What a driver does with trains that are tagged it does not tell.
        let cuts = vlan.is_none() && self.segments.get(&link.index) == Some(&true);
        let trains = self.trains && cuts;
        frame.map_or(Verdict::Unfit, |frame| Verdict::Ring { device, trains, frame })
    }

    /// The hop limit the kernel would send with, read once between two looks at all routes.
    fn hops_to(&mut self, destination: &Destination, to: IpAddr) -> u8 {
        let device = destination.route.map_or(0, |route| route.device);
        let name = self.links.get(&device).map_or("", |link| &link.name);
        *self.hops.entry((device, to.is_ipv6())).or_insert_with(|| hops(to, name))
    }

    /// The device of a destination, the ring it leaves by, and its tag there.
    fn device(&self, destination: &Destination) -> Option<(&Link, u8, Option<u16>)> {
        let route = destination.route.filter(|route| route.unicast)?;
        let link = self.links.get(&route.device).filter(|link| link.up)?;
        let (below, vlan) = match link.tagged {
            Some((below, id)) => (below, Some(id)),
            None => (link.index, None),
        };
        let ring = self.rings.iter().position(|&ring| ring == below)?;
        Some((link, u8::try_from(ring).ok()?, vlan))
    }
}

/// What the kernel's settings say of the hop limit.
fn hops(to: IpAddr, device: &str) -> u8 {
    let path = match to {
        IpAddr::V4(_) => "/proc/sys/net/ipv4/ip_default_ttl".to_owned(),
        IpAddr::V6(_) => format!("/proc/sys/net/ipv6/conf/{device}/hop_limit"),
    };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim().parse().ok().filter(|hops| *hops > 0).unwrap_or(64)
}
