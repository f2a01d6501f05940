//! A plugin handle: requests, their asynchronous answers, and events.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{Client, JanusError};

/// An SDP with its kind and the other fields of a `jsep` object (`core-api` §4.1).
#[derive(Clone, Debug, PartialEq)]
pub struct Jsep {
    /// `offer` or `answer`.
    pub kind: String,
    /// The SDP.
    pub sdp: String,
    /// Further fields, e.g. `trickle`.
    pub extra: Map<String, Value>,
}

impl Jsep {
    /// An offer whose candidates are all in the SDP (`trickle:false`).
    #[must_use]
    pub fn offer(sdp: impl Into<String>) -> Self {
        Self::whole("offer", sdp.into())
    }

    /// An answer whose candidates are all in the SDP (`trickle:false`).
    #[must_use]
    pub fn answer(sdp: impl Into<String>) -> Self {
        Self::whole("answer", sdp.into())
    }

    fn whole(kind: &str, sdp: String) -> Self {
        let extra = Map::from_iter([("trickle".to_owned(), false.into())]);
        Self { kind: kind.to_owned(), sdp, extra }
    }

    /// The same with candidates to follow by `trickle` requests.
    #[must_use]
    pub fn trickling(mut self) -> Self {
        self.extra.insert("trickle".to_owned(), true.into());
        self
    }

    /// Reads a `jsep` object; `None` when it is not one.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        let text = |name: &str| object.get(name)?.as_str().map(str::to_owned);
        let (kind, sdp) = (text("type")?, text("sdp")?);
        let rest = object.iter().filter(|(name, _)| *name != "type" && *name != "sdp");
        let extra = rest.map(|(name, value)| (name.clone(), value.clone())).collect();
        Some(Self { kind, sdp, extra })
    }

    /// The object as sent.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = self.extra.clone();
        object.insert("type".to_owned(), self.kind.as_str().into());
        object.insert("sdp".to_owned(), self.sdp.as_str().into());
        Value::Object(object)
    }
}

/// What a plugin answered, at once or by a later event.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `plugindata.data`.
    pub data: Value,
    /// The SDP that came along.
    pub jsep: Option<Jsep>,
    /// The whole message.
    pub message: Value,
}

impl Answer {
    fn read(message: Value) -> Self {
        let data = message["plugindata"]["data"].clone();
        let jsep = Jsep::read(&message["jsep"]);
        Self { data, jsep, message }
    }

    /// The plugin's own error, if this is one.
    ///
    /// # Errors
    /// [`JanusError::Plugin`] with its code and text.
    pub fn accepted(self) -> Result<Self, JanusError> {
        match self.data["error_code"].as_i64() {
            None => Ok(self),
            Some(code) => Err(JanusError::Plugin {
                code,
                reason: self.data["error"].as_str().unwrap_or_default().to_owned(),
            }),
        }
    }
}

/// A handle on a plugin. Detach it to end it; dropping only stops listening.
pub struct Handle {
    client: Client,
    session: u64,
    id: u64,
    events: mpsc::Receiver<Value>,
    /// Events that came while another was waited for, oldest first.
    kept: VecDeque<Value>,
}

impl Handle {
    pub(super) fn new(
        client: Client,
        session: u64,
        id: u64,
        events: mpsc::Receiver<Value>,
    ) -> Self {
        Self { client, session, id, events, kept: VecDeque::new() }
    }

    /// Its id, 53 bit, unique in its session only.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The session it belongs to.
    #[must_use]
    pub fn session_id(&self) -> u64 {
        self.session
    }

    fn compose(&self, verb: &str, extra: Value) -> Value {
        let mut message = json!({"janus": verb, "session_id": self.session, "handle_id": self.id});
        if let (Some(message), Value::Object(extra)) = (message.as_object_mut(), extra) {
            message.extend(extra);
        }
        message
    }

    /// Sends `verb` with the fields of `extra` and returns the reply, whatever it says.
    ///
    /// # Errors
    /// Those of [`Client::request`].
    pub async fn request(&self, verb: &str, extra: Value) -> Result<Value, JanusError> {
        self.client.request(self.compose(verb, extra)).await
    }

    async fn demand(&self, verb: &str, extra: Value) -> Result<Value, JanusError> {
        self.client.demand(self.compose(verb, extra)).await
    }

    /// Sends a plugin message and waits for the plugin's answer: the synchronous reply, or after
    /// an `ack` the event with this request's transaction (`core-api` §3.10). Other events are
    /// kept for [`event`](Self::event). The plugin's own errors are answers too; see
    /// [`Answer::accepted`].
    ///
    /// # Errors
    /// Those of [`Client::demand`].
    pub async fn ask(&mut self, body: Value, jsep: Option<Jsep>) -> Result<Answer, JanusError> {
        let transaction = self.client.router().transaction();
        let mut extra = json!({"body": body, "transaction": transaction});
        if let Some(jsep) = jsep {
            extra["jsep"] = jsep.to_json();
        }
        let reply = self.demand("message", extra).await?;
        if reply["janus"] == "success" {
            return Ok(Answer::read(reply));
        }
        let mine = |event: &Value| {
            event["janus"] == "event" && event["transaction"] == transaction.as_str()
        };
        self.event_where("answer of the plugin", mine).await.map(Answer::read)
    }

    /// Sends one candidate, or the end of candidates for `None` (`core-api` §3.11). All media
    /// are bundled, so the candidate names the first m-line.
    ///
    /// # Errors
    /// Those of [`Client::demand`].
    pub async fn trickle(&self, candidate: Option<&str>) -> Result<(), JanusError> {
        let candidate = match candidate {
            Some(line) => json!({"candidate": line, "sdpMLineIndex": 0}),
            None => json!({"completed": true}),
        };
        self.demand("trickle", json!({"candidate": candidate})).await.map(drop)
    }

    /// The next event in order of arrival, those kept by earlier waits first.
    ///
    /// # Errors
    /// [`JanusError::Late`], [`JanusError::Connection`].
    pub async fn event(&mut self) -> Result<Value, JanusError> {
        self.event_where("event", |_| true).await
    }

    /// The first event, kept or coming, that `wanted` accepts; the others stay. `what` names it
    /// in the error.
    ///
    /// # Errors
    /// [`JanusError::Late`], [`JanusError::Connection`].
    pub async fn event_where(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Result<Value, JanusError> {
        if let Some(at) = self.kept.iter().position(&mut wanted)
            && let Some(event) = self.kept.remove(at)
        {
            return Ok(event);
        }
        let deadline = Instant::now() + self.client.patience();
        loop {
            match timeout_at(deadline, self.events.recv()).await {
                Ok(Some(event)) if wanted(&event) => return Ok(event),
                Ok(Some(event)) => {
                    self.kept.push_back(event);
                    self.kept.truncate(super::QUEUE);
                }
                Ok(None) => return Err(JanusError::Connection("closed".to_owned())),
                Err(_) => return Err(JanusError::Late(what.to_owned())),
            }
        }
    }

    /// The first event whose `janus` is `kind`, e.g. `webrtcup`.
    ///
    /// # Errors
    /// [`JanusError::Late`], [`JanusError::Connection`].
    pub async fn event_of(&mut self, kind: &str) -> Result<Value, JanusError> {
        self.event_where(kind, |event| event["janus"] == kind).await
    }

    /// The events that are here now, without waiting.
    pub fn take_events(&mut self) -> Vec<Value> {
        let mut taken: Vec<Value> = self.kept.drain(..).collect();
        while let Ok(event) = self.events.try_recv() {
            taken.push(event);
        }
        taken
    }

    /// Closes the PeerConnection; the handle stays.
    ///
    /// # Errors
    /// Those of [`Client::demand`].
    pub async fn hangup(&self) -> Result<(), JanusError> {
        self.demand("hangup", Value::Null).await.map(drop)
    }

    /// Ends the handle.
    ///
    /// # Errors
    /// Those of [`Client::demand`].
    pub async fn detach(&self) -> Result<(), JanusError> {
        self.demand("detach", Value::Null).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jsep_reads_back_as_written() {
        let jsep = Jsep::offer("v=0\r\n").trickling();
        assert_eq!(Jsep::read(&jsep.to_json()), Some(jsep));
        assert_eq!(Jsep::read(&json!({"type":"offer"})), None);
    }

    #[test]
    fn a_plugin_error_is_told_apart() {
        let message = json!({"plugindata":{"data":{"error_code":426,"error":"No such room"}}});
        let error = Answer::read(message).accepted().expect_err("an error");
        assert_eq!(error.to_string(), "plugin 426: No such room");
    }
}
