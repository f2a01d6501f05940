//! Relays of our own: the configured TURN server, and the thread that holds them.

use super::Refusal;
use crate::service::relay::{RelayEvent, RelaySettings, RelayThread, start as start_thread};
use crate::transport::Front;
use bifrons_core::config::settings::Nat;
use bifrons_datapath::start::Datapath;
use std::cell::RefCell;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use tokio::sync::mpsc::Receiver;

/// The configured TURN server as `info` names it. A name that nobody knows ends the start, unless
/// unreachable servers are to be ignored (webrtc-behaviour §1.3).
pub(super) fn turn_server(nat: &Nat) -> Result<Option<String>, Refusal> {
    let Some(host) = &nat.turn_server else { return Ok(None) };
    match resolve(host, nat.turn_port) {
        Ok(server) => Ok(Some(server.to_string())),
        Err(error) if nat.ignore_unreachable_ice_server => {
            tracing::warn!("turn_server {host}: {error}; going on without");
            Ok(None)
        }
        Err(error) => Err(format!(
            "turn_server {host}: {error} (ignore_unreachable_ice_server starts all the same)"
        )),
    }
}

fn resolve(host: &str, port: u16) -> std::io::Result<SocketAddr> {
    let found = (host, port).to_socket_addrs()?.next();
    found.ok_or_else(|| std::io::Error::other("no address"))
}

/// Starts the relays' thread if the configuration has a use for it.
pub(super) fn start(
    nat: &Nat,
    datapath: &RefCell<Datapath>,
) -> Result<Option<(RelayThread, Receiver<RelayEvent>)>, Refusal> {
    let settings = RelaySettings::new(nat);
    let carrier = datapath.borrow_mut().carrier.take();
    let Some(carrier) = carrier.filter(|_| !settings.is_empty()) else { return Ok(None) };
    let started = start_thread(settings, carrier);
    started.map(Some).map_err(|error| format!("the relays' thread cannot be started: {error}"))
}

/// Hands what becomes of relays to the dispatcher, as long as the thread lives.
pub(super) fn listen(front: &Rc<Front>, mut told: Receiver<RelayEvent>) {
    let front = front.clone();
    tokio::task::spawn_local(async move {
        while let Some(event) = told.recv().await {
            front.with(|core, now| core.relay_event(now, event));
        }
    });
}
