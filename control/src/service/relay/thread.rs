//! The helper thread that holds all relays: a task an allocation, and one that moves datagrams
//! from the shards' rings to them.

use super::allocation::Allocation;
use super::{Granted, MAX_RELAYS, RelayCommand, RelayEvent, RelaySettings, Relays, TurnUri, label};
use crate::lasting::{self, Work};
use crate::service::http;
use bifrons_core::media::PeerId;
use bifrons_datapath::carry::{Carried, Carrier, CarrierPort};
use bifrons_datapath::handshake::Datagram;
use bifrons_datapath::queue::{Doorbell, Rx, Tx};
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
    let build = move || {
        let (inward, outward): (Vec<_>, Vec<_>) = ports
            .into_iter()
            .map(|CarrierPort { from_shard, to_shard }| (from_shard, to_shard))
            .unzip();
        let to_shards = RefCell::new(outward);
        let relays = Rc::new(All { settings, events, to_shards, relays: RefCell::default() });
        Carriage { runtime, relays, asked, inward, bell }
    };
    lasting::spawn("relays", build)?;
    Ok((RelayThread { commands }, told))
}

/// The thread's work. A panic costs all relays: their connections die with the tasks.
struct Carriage {
    runtime: tokio::runtime::Runtime,
    relays: Rc<All>,
    asked: mpsc::Receiver<RelayCommand>,
    inward: Vec<Rx<Carried>>,
    bell: Doorbell,
}

impl Work for Carriage {
    fn run(&mut self) {
        let Carriage { runtime, relays, asked, inward, bell } = self;
        tokio::task::LocalSet::new().block_on(runtime, async {
            tokio::select! {
                () = relays.clone().obey(asked) => {}
                result = relays.clone().distribute(inward, bell) => {
                    if let Err(error) = result {
                        tracing::error!(%error, "the relays' thread cannot go on");
                    }
                }
            }
        });
    }

    fn recover(&mut self) {
        let peers: Vec<_> = self.relays.relays.borrow().keys().copied().collect();
        peers.into_iter().for_each(|peer| self.relays.lose(peer));
    }
}

/// What a relay's task is told.
enum Order {
    Send(Carried),
    Permit(IpAddr),
}

/// A relay, as all but its task know it.
struct Relay {
    orders: mpsc::Sender<Order>,
    is_ready: bool,
}

impl Relay {
    /// Tells its task; one that does not keep up loses orders, as any link loses datagrams.
    fn order(&self, order: Order) {
        let _ = self.orders.try_send(order);
    }
}

struct All {
    settings: RelaySettings,
    events: mpsc::Sender<RelayEvent>,
    to_shards: RefCell<Vec<Tx<Carried>>>,
    relays: RefCell<HashMap<PeerId, Relay>>,
}

impl All {
    /// Carries out what control asks, until control is gone.
    async fn obey(self: Rc<Self>, asked: &mut mpsc::Receiver<RelayCommand>) {
        while let Some(command) = asked.recv().await {
            match command {
                RelayCommand::Open { peer, username } => self.open(peer, username),
                RelayCommand::Permit { peer, remote } => {
                    if let Some(relay) = self.relays.borrow().get(&peer) {
                        // A permission is also asked for when something is to be sent.
                        relay.order(Order::Permit(remote));
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
        relays.insert(peer, Relay { orders, is_ready: false });
        let all = self.clone();
        let served = async move { all.serve(peer, &username, ordered).await };
        let served = tokio::task::spawn_local(served);
        let all = self.clone();
        tokio::task::spawn_local(async move {
            if served.await.is_err_and(|error| error.is_panic()) {
                tracing::error!("a relay's task panicked");
                all.lose(peer);
            }
        });
    }

    /// A relay is gone, or will not come.
    fn lose(&self, peer: PeerId) {
        match self.relays.borrow_mut().remove(&peer) {
            None => {}
            Some(Relay { is_ready: true, .. }) => self.tell(RelayEvent::Lost { peer }),
            Some(Relay { is_ready: false, .. }) => self.tell(RelayEvent::Failed { peer }),
        }
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
            return self.lose(peer);
        };
        if let Some(relay) = self.relays.borrow_mut().get_mut(&peer) {
            relay.is_ready = true;
        }
        self.tell(RelayEvent::Ready { peer, relayed });
        let served = self.carry(peer, &mut allocation, &mut ordered).await;
        if let Err(error) = served {
            tracing::warn!(%relayed, %error, "a relay is lost");
            return self.lose(peer);
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
        inward: &mut [Rx<Carried>],
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
                        relay.order(Order::Send(carried));
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
