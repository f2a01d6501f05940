//! Events and the handlers that send them, admin-events-recording §6-§8: a test `events_NN_…` for
//! each line of the checklist, with receivers of our own at the far end.

mod handlers;
mod life;
mod media;
mod program;
mod receiver;
mod schema;
mod server;

use crate::media::Media;
use crate::target::{Setup, Target};
use bifrons_control::dispatch::CoreSettings;
use bifrons_control::event::Hub;
use receiver::WebServer;
use std::rc::Rc;

/// A server that tells this hub everything.
pub(super) fn telling(hub: &Rc<Hub>, core: CoreSettings) -> Setup {
    let core = CoreSettings { events_enabled: true, ..core };
    Setup { core, hub: Some(hub.clone()), ..Setup::default() }
}

/// A server and a web server that is told of events; `None` if the server is somebody else's.
pub(super) async fn heard(events: &str) -> Option<(Target, Rc<WebServer>)> {
    let web = WebServer::start().await;
    let target = Target::with(telling(&web.hub(events), CoreSettings::default())).await?;
    Some((target, web))
}

/// The same with media.
pub(super) async fn heard_with_media(core: CoreSettings) -> Option<(Target, Rc<WebServer>)> {
    let web = WebServer::start().await;
    let setup = telling(&web.hub("all"), core);
    let target = Target::with(Setup { media: Some(Media::default()), ..setup }).await?;
    Some((target, web))
}
