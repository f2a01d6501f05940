//! The thread of the players: orders in, beats, packets and events out.

use super::deck::{Deck, Outlet};
use crate::dispatch::ServiceOrder;
use crate::lasting::{self, Work};
use bifrons_core::media::IngestId;
use bifrons_core::plugin::{Service, ServiceEvent, ServiceId};
use bifrons_datapath::inject::Injector;
use ring::rand::{SecureRandom, SystemRandom};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Instant;
use tokio::sync::mpsc::Sender;

/// Orders that may wait for the thread.
const ORDERS: usize = 8192;

/// Control's end of the thread, which ends when this is dropped.
#[derive(Clone, Debug)]
pub struct PlayerThread {
    orders: SyncSender<(ServiceId, ServiceOrder)>,
}

impl PlayerThread {
    /// Hands an order over, without waiting. False, and logged, where the thread does not keep up.
    #[must_use]
    pub fn ask(&self, service: ServiceId, order: ServiceOrder) -> bool {
        let asked = self.orders.try_send((service, order));
        if let Err(error) = &asked {
            tracing::error!(%error, "the players' thread takes no more orders");
        }
        asked.is_ok()
    }
}

/// Starts the thread; what it has to tell goes into `events`, which it waits for where they are not
/// taken.
///
/// # Errors
/// When there is no thread to be had.
pub fn start(
    injector: Injector,
    events: Sender<(ServiceId, ServiceEvent)>,
) -> io::Result<PlayerThread> {
    let (orders, ordered) = sync_channel(ORDERS);
    let (deck, random) = (Deck::default(), SystemRandom::new());
    lasting::spawn("players", move || Room { deck, injector, ordered, events, random })?;
    Ok(PlayerThread { orders })
}

/// The thread's work. A panic costs all players.
struct Room {
    deck: Deck,
    injector: Injector,
    ordered: Receiver<(ServiceId, ServiceOrder)>,
    events: Sender<(ServiceId, ServiceEvent)>,
    random: SystemRandom,
}

impl Outlet for Injector {
    fn send(&mut self, ingest: IngestId, packet: &[u8]) {
        // A shard that does not keep up loses it, as it would from the network; counted there.
        let _ = self.put(ingest, 0, packet);
    }
}

impl Work for Room {
    fn run(&mut self) {
        loop {
            let order = match self.deck.next() {
                None => self.ordered.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self.ordered.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match order {
                Ok((service, order)) => self.obey(service, order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let ended = self.deck.play(Instant::now(), &mut self.injector);
            self.injector.ring();
            for (service, event) in ended {
                self.tell(service, event);
            }
        }
    }

    fn recover(&mut self) {
        let lost = std::mem::take(&mut self.deck);
        for service in lost.services() {
            let text = "the players' thread had to begin anew".to_owned();
            self.tell(service, ServiceEvent::Failed { text });
        }
    }
}

impl Room {
    fn obey(&mut self, service: ServiceId, order: ServiceOrder) {
        match order {
            ServiceOrder::Start(Service::Player(setup)) => {
                let mut word = [0; 8];
                // Without random numbers the SSRC is 0, which harms nobody here.
                let _ = self.random.fill(&mut word);
                let event = self.deck.start(service, &setup, u64::from_ne_bytes(word));
                self.tell(service, event);
            }
            ServiceOrder::Start(_) => {}
            ServiceOrder::Tell(command) => self.deck.tell(service, command, Instant::now()),
            ServiceOrder::Stop => self.deck.stop(service),
        }
    }

    /// State is not lost: where control stands still for so long, so does this.
    fn tell(&self, service: ServiceId, event: ServiceEvent) {
        let _ = self.events.blocking_send((service, event));
    }
}
