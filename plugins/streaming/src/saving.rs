//! Changes that outlive the server: the configuration is written, and then the one who asked is
//! answered (plugin-streaming §4 `permanent`).

use crate::error::{Code, Refusal};
use crate::persist;
use crate::plugin::Streaming;
use bifrons_core::config::Tree;
use bifrons_core::plugin::{Host, Id, ReplyKey, Ticket, Verdict};
use serde_json::{Map, Value, json};

/// A change of the configuration that is being written, and what to answer then.
#[derive(Clone, Debug)]
pub(crate) struct Saving {
    /// Whom to answer.
    reply: Option<ReplyKey>,
    /// The answer, `permanent` still to be set.
    data: Map<String, Value>,
    /// The configuration as it was, to go back to.
    before: Tree,
}

impl Streaming {
    /// 470 when something is to be kept and there is no configuration to keep it in.
    pub(crate) fn check_permanent(&self, permanent: bool) -> Result<(), Refusal> {
        if permanent && self.tree.is_none() {
            let text = "No configuration file to save the mountpoint in";
            return Err(Refusal::new(Code::Unknown, text));
        }
        Ok(())
    }

    /// The reply to a change of a mountpoint, once it is on disk if it is to be.
    pub(crate) fn conclude(
        &mut self,
        host: &mut dyn Host,
        mut data: Map<String, Value>,
        id: &Id,
        permanent: bool,
        reply: Option<ReplyKey>,
    ) -> Verdict {
        let Some(tree) = self.tree.as_mut().filter(|_| permanent) else {
            return Verdict::Reply(Value::Object(data));
        };
        let before = tree.clone();
        let put = match self.mountpoints.get(id) {
            Some(mountpoint) => persist::put(tree, mountpoint),
            None => {
                persist::take_out(tree, id);
                true
            }
        };
        let written = match put {
            true => persist::file(tree).map(|file| host.store(file)),
            false => Err("its name cannot be a group's".to_owned()),
        };
        let Ok(Some(ticket)) = written else {
            tracing::warn!(mountpoint = %id, "the mountpoint cannot be saved: {written:?}");
            *tree = before;
            return Verdict::Reply(Value::Object(data));
        };
        if reply.is_none() && data.contains_key("permanent") {
            // An operator's request has to be answered now: it says what was set going.
            data.insert("permanent".to_owned(), json!(true));
        }
        self.saving.insert(ticket, Saving { reply, data: data.clone(), before });
        match reply {
            Some(_) => Verdict::Deferred,
            None => Verdict::Reply(Value::Object(data)),
        }
    }

    /// The configuration is on disk, or not: the one who asked is told.
    pub(crate) fn saved(
        &mut self,
        host: &mut dyn Host,
        ticket: Ticket,
        outcome: Result<(), String>,
    ) {
        let Some(mut saving) = self.saving.remove(&ticket) else { return };
        if let Err(reason) = &outcome {
            tracing::warn!("a mountpoint could not be saved: {reason}");
            // Later changes are built on this one: only the last can be taken back.
            if self.saving.is_empty() {
                self.tree = Some(saving.before);
            }
        }
        if let Some(reply) = saving.reply {
            if let Some(permanent) = saving.data.get_mut("permanent") {
                *permanent = json!(outcome.is_ok());
            }
            host.reply(reply, Verdict::Reply(Value::Object(saving.data)));
        }
    }
}
