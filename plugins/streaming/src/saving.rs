//! Changes that outlive the server: the configuration is written, and then the one who asked is
//! answered (plugin-streaming §4 `permanent`).

use crate::persist;
use crate::plugin::Streaming;
use bifrons_core::plugin::{Change, Concluded, Host, Id, ReplyKey, Ticket, Verdict};
use serde_json::{Map, Value};

/// The reply as clients know it: of the end of a mountpoint it is not said whether it is for good.
fn reply(mut data: Map<String, Value>) -> Verdict {
    if data.contains_key("destroyed") {
        data.remove("permanent");
    }
    Verdict::Reply(Value::Object(data))
}

impl Streaming {
    /// The reply to a change of a mountpoint, once it is on disk if it is to be.
    pub(crate) fn conclude(
        &mut self,
        host: &mut dyn Host,
        data: Map<String, Value>,
        id: &Id,
        permanent: bool,
        asker: Option<ReplyKey>,
    ) -> Verdict {
        let change = permanent.then(|| match self.mountpoints.get(id) {
            Some(mountpoint) => {
                let name = persist::group_for(&self.ledger, mountpoint);
                let group = persist::group(mountpoint, &name);
                Some(Change::put(name, group))
            }
            None => persist::group_of(&self.ledger, id).map(Change::remove),
        });
        match self.ledger.conclude(host, change.flatten(), asker, data) {
            Concluded::Reply(data) => reply(data),
            Concluded::Later => Verdict::Deferred,
        }
    }

    /// The configuration is on disk, or not: the one who asked is told.
    pub(crate) fn saved(
        &mut self,
        host: &mut dyn Host,
        ticket: Ticket,
        outcome: Result<(), String>,
    ) {
        if let Some((asker, data)) = self.ledger.stored(ticket, outcome) {
            host.reply(asker, reply(data));
        }
    }
}
