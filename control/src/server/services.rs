//! Services of plugins: the helper threads behind them, and the way of orders and events.

use super::Refusal;
use crate::dispatch::ServiceOrder;
use crate::service::player::{self, PlayerThread};
use crate::service::rtsp::{self, RtspThread};
use crate::transport::Front;
use bifrons_core::plugin::{Service, ServiceEvent, ServiceId};
use bifrons_datapath::start::Datapath;
use std::cell::RefCell;
use std::rc::Rc;
use tokio::sync::mpsc::{Receiver, channel};

/// Events of services that may wait for control.
const EVENTS: usize = 8192;

/// What services tell, on its way to the dispatcher.
pub(super) type Told = Receiver<(ServiceId, ServiceEvent)>;

/// The threads.
#[derive(Clone)]
pub(super) struct Services {
    players: PlayerThread,
    rtsp: RtspThread,
}

/// Starts the threads.
pub(super) fn start(datapath: &RefCell<Datapath>) -> Result<(Services, Told), Refusal> {
    let failed = |error| format!("the services' threads cannot be started: {error}");
    let (events, told) = channel(EVENTS);
    let mut injectors = std::mem::take(&mut datapath.borrow_mut().injectors).into_iter();
    let mut injector = || injectors.next().ok_or("the datapath takes no packets".to_owned());
    let players = player::start(injector()?, events.clone()).map_err(failed)?;
    let rtsp = rtsp::start(injector()?, events).map_err(failed)?;
    Ok((Services { players, rtsp }, told))
}

/// Hands what services tell to the dispatcher.
pub(super) fn listen(front: &Rc<Front>, mut told: Told) {
    let front = front.clone();
    tokio::task::spawn_local(async move {
        while let Some((service, event)) = told.recv().await {
            front.with(|core, now| core.service_event(now, service, &event));
        }
    });
}

impl Services {
    /// Hands an order on. A service that cannot be started tells so like one that failed.
    pub(super) fn ask(&self, front: &Rc<Front>, service: ServiceId, order: ServiceOrder) {
        let starts = matches!(order, ServiceOrder::Start(_));
        let asked = match &order {
            ServiceOrder::Start(Service::Rtsp(_)) => self.rtsp.ask(service, order),
            ServiceOrder::Start(Service::Player(_)) => self.players.ask(service, order),
            // Whoever does not know the service does not mind.
            _ => self.players.ask(service, order.clone()) && self.rtsp.ask(service, order),
        };
        if starts && !asked {
            let front = front.clone();
            let event = ServiceEvent::Failed { text: "too much to do".to_owned() };
            tokio::task::spawn_local(async move {
                front.with(|core, now| core.service_event(now, service, &event));
            });
        }
    }
}
