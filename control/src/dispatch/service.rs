//! Services of plugins: whose each is, and what becomes of it.

use super::{Core, Errand, MAX_SERVICES, Moment, ServiceOrder};
use bifrons_core::plugin::{Service, ServiceEvent, ServiceId};

impl Core {
    /// Takes what a service tells. Of one that was stopped nobody hears any more.
    pub fn service_event(&mut self, now: Moment, service: ServiceId, event: &ServiceEvent) {
        self.now = now;
        let Some(&plugin) = self.services.get(&service) else { return };
        if let ServiceEvent::Failed { text } = event {
            self.services.remove(&service);
            tracing::info!(package = self.package_of(plugin), "a service failed: {text}");
        }
        self.call(plugin, |plugin, host| plugin.service_event(host, service, event));
        self.settle();
    }

    pub(super) fn start_service(&mut self, plugin: usize, what: Service) -> Option<ServiceId> {
        if self.services.len() >= MAX_SERVICES {
            self.counters.services_refused += 1;
            tracing::warn!("{MAX_SERVICES} services run; no more are started");
            return None;
        }
        let service = ServiceId(self.fresh());
        self.services.insert(service, plugin);
        let order = ServiceOrder::Start(what);
        self.errands.push_back(Errand::Service { service, order });
        Some(service)
    }

    /// Hands an order on, if the service is the plugin's own.
    pub(super) fn order_service(&mut self, plugin: usize, service: ServiceId, order: ServiceOrder) {
        if self.services.get(&service) != Some(&plugin) {
            return;
        }
        if order == ServiceOrder::Stop {
            self.services.remove(&service);
        }
        self.errands.push_back(Errand::Service { service, order });
    }
}
