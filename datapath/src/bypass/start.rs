//! Setting the bypass up: which devices get rings, what they can do, and the resolver's thread.

use super::device::segments_udp;
use super::message::{Link, Question, Told};
use super::netlink::Asker;
use super::resolver::{Port, Resolver};
use super::ring::{Shape, TxRing};
use super::{Bypass, MESSAGES};
use crate::queue::{Doorbell, link};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;

/// Devices that get rings at most.
const DEVICES: usize = 16;

/// The bypass of all shards.
#[derive(Debug)]
pub struct Prepared {
    /// By shard.
    pub shards: Vec<Bypass>,
    /// For the log: a clause for each device.
    pub devices: Vec<String>,
}

/// Opens a ring for each of the shards behind `bells` on each device that has one of `addresses`,
/// and starts the resolver. `dscp` marks what leaves; `secret` is random.
///
/// # Errors
/// With a sentence that says what is missing: the capability, a device of the kind.
pub fn prepare(
    addresses: &[IpAddr],
    dscp: Option<u8>,
    bells: &[Doorbell],
    secret: u64,
) -> io::Result<Prepared> {
    let mut asker = Asker::open()?;
    let devices = devices(&mut asker, addresses)?;
    let trains = TxRing::takes_trains();
    let whole = |link: &Link| trains && segments_udp(&link.name);
    let shape = |link: &Link| match whole(link) {
        true => Shape::TRAINS,
        false => Shape::singles(link.mtu as usize),
    };
    let bell = Doorbell::new()?;
    let (mut shards, mut ports) = (Vec::new(), Vec::new());
    for shard in bells {
        let open = |link: &Link| TxRing::open(link.index, shape(link));
        let rings = devices.iter().map(open).collect::<io::Result<Vec<_>>>().map_err(refused)?;
        let (asks, from_shard) = link(MESSAGES, &bell);
        let (to_shard, answers) = link(MESSAGES, shard);
        ports.push(Port { asks: from_shard, answers: to_shard });
        shards.push(Bypass::new(rings, secret, asks, answers));
    }
    let indices = devices.iter().map(|link| link.index).collect();
    let resolver = Resolver::open(indices, trains, dscp.unwrap_or(0), ports, &bell)?;
    std::thread::Builder::new().name("resolver".to_owned()).spawn(move || resolver.run())?;
    let clause = |link: &Link| match whole(link) {
        true => format!("{}, which cuts trains itself", link.name),
        false => format!("{}, one packet a frame", link.name),
    };
    Ok(Prepared { shards, devices: devices.iter().map(clause).collect() })
}

/// The devices of these addresses that frames can be given to; below a VLAN's the one that carries
/// it.
fn devices(asker: &mut Asker, addresses: &[IpAddr]) -> io::Result<Vec<Link>> {
    let mut links = HashMap::new();
    for told in asker.ask(Question::Links)? {
        if let Told::Link(link) = told {
            links.insert(link.index, link);
        }
    }
    let mut found: Vec<Link> = Vec::new();
    for told in asker.ask(Question::Addresses)? {
        let Told::Address(device, ip) = told else { continue };
        let any = addresses.iter().any(|ours| *ours == ip || ours.is_unspecified());
        let Some(link) = links.get(&device).filter(|_| any) else { continue };
        let below = link.tagged.map_or(Some(link), |(below, _)| links.get(&below));
        let Some(below) = below.filter(|link| link.address.is_some()) else { continue };
        if found.len() < DEVICES && !found.contains(below) {
            found.push(below.clone());
        }
    }
    if found.is_empty() {
        let text = "none of the media addresses is on a device with an Ethernet address";
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(found)
}

/// The usual cause, in words.
fn refused(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => io::Error::new(
            error.kind(),
            "a packet ring needs CAP_NET_RAW, which this process does not have \
             (AmbientCapabilities=CAP_NET_RAW in the systemd unit)",
        ),
        kind => io::Error::new(kind, format!("a packet ring cannot be set up: {error}")),
    }
}
