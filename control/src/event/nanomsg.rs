//! Events over a Nanomsg socket of type PUB (admin-events-recording §8.5;
//! `janus.eventhandler.nanomsgevh`). Whoever is subscribed gets them; nobody is waited for, so what
//! nobody hears counts as delivered.

use super::{EventHandler, Feed, Hub, feed_settings};
use crate::broker::nanomsg::{Nanomsg, Role};
use bifrons_core::config::event::NanomsgEventSettings;
use bifrons_core::plugin::About;
use std::rc::Rc;

/// The handler.
pub struct NanomsgEvents {
    feed: Rc<Feed>,
    socket: Nanomsg,
}

impl NanomsgEvents {
    /// Adds the handler to the hub and starts it; an error says what its file lacks.
    pub fn start(hub: &Hub, from: &NanomsgEventSettings) -> Result<Rc<Self>, String> {
        let address = from.address.as_deref().ok_or("`address` is missing")?;
        let socket = Nanomsg::open(Role::Publisher, from.mode, address)?;
        let handler =
            hub.add(feed_settings(&from.common), |feed| Rc::new(NanomsgEvents { feed, socket }));
        tokio::task::spawn_local(handler.clone().run());
        Ok(handler)
    }

    async fn run(self: Rc<Self>) {
        while let Some(batch) = self.feed.batch().await {
            let text = batch.text(self.feed.style());
            match self.socket.send(text.as_bytes()).await {
                Ok(()) => self.feed.delivered(&batch),
                Err(_) => self.feed.lost(&batch),
            }
        }
    }
}

impl EventHandler for NanomsgEvents {
    fn about(&self) -> About {
        About::ours(
            "janus.eventhandler.nanomsgevh",
            "Bifrons Nanomsg event handler",
            "Publishes events over Nanomsg",
        )
    }
}
