//! The helper thread that holds all relays: a task an allocation, and one that moves datagrams
//! from the shards' rings to them.

use super::allocation::Allocation;
use super::{Granted, MAX_RELAYS, RelayCommand, RelayEvent, RelaySettings, Relays, TurnUri, label};
use crate::service::http;
use bifrons_core::media::PeerId;
use bifrons_datapath::carry::{Carried, Carrier, CarrierPort};
use bifrons_datapath::handshake::Datagram;
use bifrons_datapath::queue::{Doorbell, Tx};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;

/// Commands and events that may wait.
const MESSAGES: usize = 8192;

/// Datagrams that may wait for one relay; beyond them the newest are lost.
const BACKLOG: usize = 512;

/// Datagrams taken from one ring before the others have their turn.
const TURN: usize = 256;

/// Control's end of the thread, which ends when this is dropped.
#[derive(Debug)]
pub struct RelayThread {
    commands: mpsc::Sender<RelayCommand>,
}

impl Relays for RelayThread {
    fn ask(&mut self, command: RelayCommand) -> bool {
        let asked = self.commands.try_send(command);
        if let Err(error) = &asked {
            tracing::error!(%error, "the relays' thread takes no more requests");
        }
        asked.is_ok()
    }
}

/// Starts the thread; with the end that its events come out of.
///
/// # Errors
/// When there is no thread, or no runtime for it, to be had.
pub fn start(
    settings: RelaySettings,
    carrier: Carrier,
) -> io::Result<(RelayThread, mpsc::Receiver<RelayEvent>)> {
    let (commands, asked) = mpsc::channel(MESSAGES);
    let (events, told) = mpsc::channel(MESSAGES);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Carrier { ports, bell } = carrier;
    std::thread::Builder::new().name("relays".to_owned()).spawn(move || {
        let (mut inward, outward): (Vec<_>, Vec<_>) = ports
            .into_iter()
            .map(|CarrierPort { from_shard, to_shard }| (from_shard, to_shard))
            .unzip();
        let relays = Rc::new(All {
            settings,
            events,
            to_shards: RefCell::new(outward),
            relays: RefCell::default(),
        });
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            tokio::select! {
                () = relays.clone().obey(asked) => {}
                result = relays.clone().distribute(&mut inward, &bell) => {
                    if let Err(error) = result {
                        tracing::error!(%error, "the relays' thread cannot go on");
                    }
                }
            }
        });
    })?;
    Ok((RelayThread { commands }, told))
}

/// What a relay's task is told.
enum Order {
    Send(Carried),
    Permit(IpAddr),
}

struct All {
    settings: RelaySettings,
    events: mpsc::Sender<RelayEvent>,
    to_shards: RefCell<Vec<Tx<Carried>>>,
    relays: RefCell<HashMap<PeerId, mpsc::Sender<Order>>>,
}

impl All {
    /// Carries out what control asks, until control is gone.
    async fn obey(self: Rc<Self>, mut asked: mpsc::Receiver<RelayCommand>) {
        while let Some(command) = asked.recv().await {
            match command {
                RelayCommand::Open { peer, username } => self.open(peer, username),
                RelayCommand::Permit { peer, remote } => {
                    if let Some(relay) = self.relays.borrow().get(&peer) {
                        // A permission is also asked for when something is to be sent.
                        let _ = relay.try_send(Order::Permit(remote));
                    }
                }
                // Its task ends when nobody can tell it anything any more.
                RelayCommand::Close { peer } => drop(self.relays.borrow_mut().remove(&peer)),
            }
        }
    }

    fn open(self: &Rc<Self>, peer: PeerId, username: String) {
        let mut relays = self.relays.borrow_mut();
        if relays.len() >= MAX_RELAYS {
            tracing::warn!("{MAX_RELAYS} relays are in use; a peer goes without");
            return self.tell(RelayEvent::Failed { peer });
        }
        let (orders, ordered) = mpsc::channel(BACKLOG);
        relays.insert(peer, orders);
        let all = self.clone();
        tokio::task::spawn_local(async move { all.serve(peer, &username, ordered).await });
    }

    fn tell(&self, event: RelayEvent) {
        if let Err(error) = self.events.try_send(event) {
            tracing::error!(%error, "control does not hear of a relay");
        }
    }

    /// One relay, from the search for a server to its end.
    async fn serve(
        self: Rc<Self>,
        peer: PeerId,
        username: &str,
        mut ordered: mpsc::Receiver<Order>,
    ) {
        let Some((mut allocation, relayed)) = self.allocate(username).await else {
            self.relays.borrow_mut().remove(&peer);
            return self.tell(RelayEvent::Failed { peer });
        };
        self.tell(RelayEvent::Ready { peer, relayed });
        let served = self.carry(peer, &mut allocation, &mut ordered).await;
        if let Err(error) = served {
            tracing::warn!(%relayed, %error, "a relay is lost");
            self.relays.borrow_mut().remove(&peer);
            return self.tell(RelayEvent::Lost { peer });
        }
        tracing::debug!(%relayed, dropped = allocation.dropped, "relay given back");
        allocation.close().await;
    }

    async fn carry(
        &self,
        peer: PeerId,
        allocation: &mut Allocation,
        ordered: &mut mpsc::Receiver<Order>,
    ) -> io::Result<()> {
        let mut boxes: Vec<Box<Datagram>> = Vec::new();
        loop {
            let wait = allocation.advance().await?;
            let order = tokio::select! {
                got = allocation.wait(wait) => {
                    allocation.take(got?, &mut |remote, bytes| {
                        let mut datagram = boxes.pop().unwrap_or_else(Datagram::boxed);
                        if datagram.fill(bytes) {
                            self.hand_in(Carried { peer, remote, datagram });
                        }
                    });
                    continue;
                }
                order = ordered.recv() => order,
            };
            match order {
                None => return Ok(()),
                Some(Order::Permit(remote)) => allocation.permit(remote).await?,
                Some(Order::Send(carried)) => {
                    allocation.send(carried.remote, carried.datagram.bytes()).await?;
                    if boxes.len() < TURN {
                        boxes.push(carried.datagram);
                    }
                }
            }
        }
    }

    /// Puts a datagram into its shard's ring; a full one loses it, and the ring counts that.
    fn hand_in(&self, carried: Carried) {
        if let Some(shard) = self.to_shards.borrow_mut().get_mut(usize::from(carried.peer.shard)) {
            let _ = shard.push(carried);
        }
    }

    /// Asks for credentials where a service gives them, then tries server after server.
    async fn allocate(&self, username: &str) -> Option<(Allocation, SocketAddr)> {
        for (uri, user, password) in self.servers(username).await {
            let place = (uri.host.as_str(), uri.port);
            let found = match tokio::net::lookup_host(place).await {
                Ok(mut found) => found.next(),
                Err(error) => {
                    tracing::warn!(server = label(&uri), %error, "TURN server passed over");
                    continue;
                }
            };
            let Some(server) = found else { continue };
            match Allocation::open(&uri, server, &user, &password).await {
                Ok(opened) => return Some(opened),
                Err(error) => tracing::warn!(server = label(&uri), error, "no relay"),
            }
        }
        None
    }

    async fn servers(&self, username: &str) -> Vec<(TurnUri, String, String)> {
        if let Some(rest) = &self.settings.rest {
            match granted(http::send(rest.request(username)).await) {
                Ok(Granted { username, password, uris }) if !uris.is_empty() => {
                    let server = |uri| (uri, username.clone(), password.clone());
                    return uris.into_iter().map(server).collect();
                }
                Ok(_) => tracing::warn!("turn_rest_api names no server"),
                Err(error) => tracing::warn!(error, "turn_rest_api gives no credentials"),
            }
        }
        self.settings.server.clone().into_iter().collect()
    }

    /// Moves what the shards send to the relays, for ever.
    async fn distribute(
        self: Rc<Self>,
        inward: &mut [bifrons_datapath::queue::Rx<Carried>],
        bell: &Doorbell,
    ) -> io::Result<()> {
        let descriptor = bell.as_fd().try_clone_to_owned()?;
        // An eventfd is no pipe, but it is read like one.
        let strokes = Receiver::from_owned_fd_unchecked(descriptor)?;
        loop {
            let mut any = false;
            for ring in inward.iter_mut() {
                for _ in 0..TURN {
                    let Some(carried) = ring.pop() else { break };
                    any = true;
                    if let Some(relay) = self.relays.borrow().get(&carried.peer) {
                        // A relay that does not keep up loses datagrams, as any link would.
                        let _ = relay.try_send(Order::Send(carried));
                    }
                }
            }
            if any {
                tokio::task::yield_now().await;
            } else if bell.may_sleep(|| inward.iter().all(|ring| ring.is_empty())) {
                strokes.readable().await?;
                // Empties the counter; that another waker was faster is no harm.
                let _ = strokes.try_read(&mut [0; 8]);
                bell.awake();
            }
        }
    }
}

fn granted(answer: Result<bifrons_core::plugin::HttpResponse, String>) -> Result<Granted, String> {
    let answer = answer?;
    if !answer.is_success() {
        return Err(format!("status {}", answer.status));
    }
    Granted::read(&answer.body)
}
