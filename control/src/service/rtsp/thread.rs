//! The thread of the RTSP clients: orders in, packets and events out.

use super::MAX_CLIENTS;
use super::client::{Client, Surroundings};
use crate::dispatch::ServiceOrder;
use crate::lasting::{self, Work};
use bifrons_core::media::IngestId;
use bifrons_core::plugin::{RtspSetup, Service, ServiceCommand, ServiceEvent, ServiceId};
use bifrons_datapath::inject::Injector;
use retina::client::SessionGroup;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Orders that may wait for the thread.
const ORDERS: usize = 8192;

/// How long servers may take, at the end, to hear that it is one.
const FAREWELL: Duration = Duration::from_secs(1);

/// Control's end of the thread, which ends when this is dropped.
#[derive(Clone, Debug)]
pub struct RtspThread {
    orders: mpsc::Sender<(ServiceId, ServiceOrder)>,
}

impl RtspThread {
    /// Hands an order over, without waiting. False, and logged, where the thread does not keep up.
    #[must_use]
    pub fn ask(&self, service: ServiceId, order: ServiceOrder) -> bool {
        let asked = self.orders.try_send((service, order));
        if let Err(error) = &asked {
            tracing::error!(%error, "the RTSP clients' thread takes no more orders");
        }
        asked.is_ok()
    }
}

/// Starts the thread; what it has to tell goes into `events`.
///
/// # Errors
/// When there is no thread, or no runtime for it, to be had.
pub fn start(
    injector: Injector,
    events: mpsc::Sender<(ServiceId, ServiceEvent)>,
) -> io::Result<RtspThread> {
    let (orders, ordered) = mpsc::channel(ORDERS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let build = move || {
        let all = Rc::new(All {
            injector: RefCell::new(injector),
            events,
            clients: RefCell::default(),
            sessions: Arc::default(),
        });
        Clients { runtime, all, ordered }
    };
    lasting::spawn("rtsp", build)?;
    Ok(RtspThread { orders })
}

/// The thread's work. A panic costs all clients: their connections die with the tasks.
struct Clients {
    runtime: tokio::runtime::Runtime,
    all: Rc<All>,
    ordered: mpsc::Receiver<(ServiceId, ServiceOrder)>,
}

impl Work for Clients {
    fn run(&mut self) {
        // A session that is left says goodbye, which takes a runtime.
        let _within = self.runtime.enter();
        let local = tokio::task::LocalSet::new();
        local.block_on(&self.runtime, obey(&self.all, &mut self.ordered));
    }

    fn recover(&mut self) {
        for (service, _) in self.all.clients.take() {
            let text = "the RTSP clients' thread had to begin anew".to_owned();
            let _ = self.all.events.blocking_send((service, ServiceEvent::Failed { text }));
        }
    }
}

struct All {
    injector: RefCell<Injector>,
    events: mpsc::Sender<(ServiceId, ServiceEvent)>,
    /// Whether each one's media flow. One that is taken out ends.
    clients: RefCell<HashMap<ServiceId, watch::Sender<bool>>>,
    /// Every session, so that the end of all can be waited for.
    sessions: Arc<SessionGroup>,
}

/// Carries out what control asks, until control is gone.
async fn obey(all: &Rc<All>, ordered: &mut mpsc::Receiver<(ServiceId, ServiceOrder)>) {
    while let Some((service, order)) = ordered.recv().await {
        match order {
            ServiceOrder::Start(Service::Rtsp(setup)) => begin(all, service, *setup).await,
            ServiceOrder::Start(_) => {}
            ServiceOrder::Tell(command) => {
                if let Some(client) = all.clients.borrow().get(&service) {
                    client.send_replace(command == ServiceCommand::Resume);
                }
            }
            ServiceOrder::Stop => drop(all.clients.borrow_mut().remove(&service)),
        }
    }
    all.clients.borrow_mut().clear();
    let farewell = async {
        // Clients end first; each holds what it shares with the others.
        while Rc::strong_count(all) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        all.sessions.await_teardown().await
    };
    // A server that does not answer forgets us by itself.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

async fn begin(all: &Rc<All>, service: ServiceId, setup: RtspSetup) {
    if setup.path_only || !setup.session_timeout.is_zero() {
        tracing::warn!("rtsp_quirk and rtsp_session_timeout have no effect");
    }
    let around = Around { all: all.clone(), service };
    if all.clients.borrow().len() >= MAX_CLIENTS {
        let text = format!("{MAX_CLIENTS} RTSP servers are being pulled from already");
        return around.tell(ServiceEvent::Failed { text }).await;
    }
    let (telling, plays) = watch::channel(false);
    let mut stopped = telling.subscribe();
    all.clients.borrow_mut().insert(service, telling);
    let all = all.clone();
    let served = tokio::task::spawn_local(async move {
        let client = Client { setup, around, plays, media: None };
        tokio::select! {
            () = client.run() => {}
            // Dropping a session tears it down.
            () = async { while stopped.changed().await.is_ok() {} } => {}
        }
    });
    tokio::task::spawn_local(async move {
        let panicked = served.await.is_err_and(|error| error.is_panic());
        let was_wanted = all.clients.borrow_mut().remove(&service).is_some();
        if panicked && was_wanted {
            tracing::error!("an RTSP client's task panicked");
            let text = "the RTSP client had to give up".to_owned();
            let _ = all.events.send((service, ServiceEvent::Failed { text })).await;
        }
    });
}

/// The world of one client.
struct Around {
    all: Rc<All>,
    service: ServiceId,
}

impl Surroundings for Around {
    /// State is not lost: where control stands still for long, so does this client.
    async fn tell(&self, event: ServiceEvent) {
        let _ = self.all.events.send((self.service, event)).await;
    }

    fn inject(&self, ingest: IngestId, packet: &[u8]) {
        // A shard that does not keep up loses it, as it would from the network; counted there.
        let _ = self.all.injector.borrow_mut().put(ingest, 0, packet);
    }

    fn ring(&self) {
        self.all.injector.borrow_mut().ring();
    }

    fn sessions(&self) -> Arc<SessionGroup> {
        self.all.sessions.clone()
    }
}
