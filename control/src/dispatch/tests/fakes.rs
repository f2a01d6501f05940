//! A plugin and a WebRTC side that do as they are told and note what they are asked.

use super::PLUGIN;
use crate::negotiation::Negotiator;
use bifrons_core::api::{ApiError, ErrorCode, JsepRequest};
use bifrons_core::config::Tree;
use bifrons_core::media::{DownReason, MediaKind, Mindex, PeerId, Plan, PortId, ShardEvent};
use bifrons_core::plugin::*;
use bifrons_core::sdp::Sdp;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What was called, in order.
#[derive(Clone, Default)]
pub(in crate::dispatch) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut())
    }
}

pub(super) struct FakePlugin {
    log: Log,
    deferred: Option<ReplyKey>,
}

impl FakePlugin {
    pub(super) fn new(log: Log) -> Self {
        FakePlugin { log, deferred: None }
    }
}

fn some_sdp() -> Sdp {
    let text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";
    Sdp::parse(text).expect("an SDP")
}

impl Plugin for FakePlugin {
    fn about(&self) -> About {
        About {
            package: PLUGIN,
            name: "test",
            description: "test",
            author: "test",
            version: 1,
            version_string: "1",
        }
    }

    fn start(&mut self, _: &mut dyn Host, _: Option<&Tree>) -> Result<(), String> {
        Ok(())
    }

    fn create_session(&mut self, host: &mut dyn Host, handle: HandleKey) -> Result<(), i32> {
        self.log.note("create_session");
        host.notify(handle, json!({"hello": true}));
        Ok(())
    }

    fn handle_message(&mut self, host: &mut dyn Host, request: Request) -> Verdict {
        let word = request.body.get("do").and_then(Value::as_str).unwrap_or_default();
        self.log.note(format!("message {word}"));
        let (handle, transaction) = (request.handle, Some(request.transaction.as_str()));
        let mut event = |data: Value| host.push_event(handle, transaction, data, None);
        match word {
            "reply" => Verdict::Reply(json!({"error_code": 7, "error": "inside"})),
            "array" => Verdict::Reply(json!([])),
            "empty" => Verdict::Empty,
            "ack" => Verdict::Ack(None),
            "hint" => Verdict::Ack(Some("soon".into())),
            "error" => Verdict::Error(Some("broken".into())),
            "severe" => Verdict::Error(None),
            "event" => {
                assert_eq!(event(json!([])), Err(PushError::NotAnObject));
                assert_eq!(event(json!({"n": 1})), Ok(()));
                Verdict::Ack(None)
            }
            "defer" => {
                self.deferred = Some(request.reply);
                Verdict::Deferred
            }
            "undefer" => {
                if let Some(key) = self.deferred {
                    host.reply(key, Verdict::Reply(json!({"late": true})));
                    host.reply(key, Verdict::Reply(json!({"twice": true})));
                }
                Verdict::Ack(None)
            }
            "after" => {
                host.after(Duration::from_millis(1500));
                Verdict::Ack(None)
            }
            "close" => {
                host.close_pc(handle);
                Verdict::Ack(None)
            }
            "free" => {
                host.close_port(PORT);
                Verdict::Reply(json!({"free": true}))
            }
            "end" => {
                host.end_session(handle);
                Verdict::Ack(None)
            }
            "answer" => {
                let kind = JsepKind::Answer;
                let jsep = OutgoingJsep { kind, sdp: some_sdp(), e2ee: false, restart: false };
                let pushed = host.push_event(handle, transaction, json!({}), Some(jsep));
                assert_eq!(pushed, Ok(()));
                Verdict::Ack(None)
            }
            // A fault of the plugin, for the test that wants one.
            other => panic!("told to: {other}"),
        }
    }

    fn setup_media(&mut self, _: &mut dyn Host, _: HandleKey, _: PeerId) {
        self.log.note("setup_media");
    }

    fn hangup_media(&mut self, host: &mut dyn Host, handle: HandleKey) {
        self.log.note("hangup_media");
        host.notify(handle, json!({"result": "done"}));
    }

    fn destroy_session(&mut self, host: &mut dyn Host, handle: HandleKey) {
        self.log.note("destroy_session");
        let pushed = host.push_event(handle, None, json!({}), None);
        assert_eq!(pushed, Err(PushError::NoHandle), "nothing is said of a handle that is gone");
    }

    fn query_session(&self, _: HandleKey) -> Value {
        json!({"state": "fine"})
    }

    fn answered(&mut self, _: &mut dyn Host, _: Ticket, answer: Answer) {
        self.log.note(format!("{answer:?}"));
    }

    fn stop(&mut self, _: &mut dyn Host) {
        self.log.note("stop");
    }
}

#[derive(Default)]
struct FakePeer {
    complete: bool,
    offered: bool,
}

pub(super) struct FakeNegotiator {
    log: Log,
    peers: HashMap<HandleKey, FakePeer>,
    closed: Vec<PortId>,
}

impl FakeNegotiator {
    pub(super) fn new(log: Log) -> Self {
        FakeNegotiator { log, peers: HashMap::new(), closed: Vec::new() }
    }
}

pub(super) const PORT: PortId = PortId { shard: 0, number: 7 };
pub(super) const PEER: PeerId = PeerId { shard: 0, slot: 1, generation: 1 };

impl Negotiator for FakeNegotiator {
    fn apply_remote(
        &mut self,
        handle: HandleKey,
        jsep: &JsepRequest,
        _: Instant,
    ) -> Result<Jsep, ApiError> {
        if !jsep.sdp.starts_with("v=0") {
            return Err(ApiError::new(ErrorCode::JsepInvalidSdp, "Invalid SDP"));
        }
        let known = self.peers.get(&handle).is_some_and(|peer| peer.offered);
        if jsep.kind == JsepKind::Answer && !known {
            let text = "Unexpected ANSWER (did we offer?)";
            return Err(ApiError::new(ErrorCode::UnexpectedAnswer, text));
        }
        let peer = self.peers.entry(handle).or_default();
        peer.complete |= jsep.kind == JsepKind::Answer;
        let (kind, update) = (jsep.kind, peer.complete);
        let (simulcast, svc) = (Vec::new(), Vec::new());
        Ok(Jsep { kind, sdp: some_sdp(), update, e2ee: false, simulcast, svc })
    }

    fn complete_local(
        &mut self,
        handle: HandleKey,
        jsep: OutgoingJsep,
        _: Instant,
    ) -> Result<Value, String> {
        let peer = self.peers.entry(handle).or_default();
        peer.complete |= jsep.kind == JsepKind::Answer;
        peer.offered |= jsep.kind == JsepKind::Offer;
        Ok(json!({"type": jsep.kind.name(), "sdp": "v=0"}))
    }

    fn accepts_candidates(&self, handle: HandleKey) -> bool {
        self.peers.get(&handle).is_some_and(|peer| peer.complete)
    }

    fn first_mid(&self, handle: HandleKey) -> Option<&str> {
        self.has_pc(handle).then_some("0")
    }

    fn candidate(&mut self, _: HandleKey, line: &str) {
        self.log.note(format!("candidate {line}"));
    }

    fn end_of_candidates(&mut self, _: HandleKey) {
        self.log.note("end of candidates");
    }

    fn peer(&self, handle: HandleKey) -> Option<PeerId> {
        self.has_pc(handle).then_some(PEER)
    }

    fn has_pc(&self, handle: HandleKey) -> bool {
        self.peers.contains_key(&handle)
    }

    fn is_up(&self, handle: HandleKey) -> bool {
        self.has_pc(handle)
    }

    fn line(&self, _: HandleKey, mindex: Mindex) -> Option<(&str, MediaKind)> {
        match mindex {
            0 => Some(("0", MediaKind::Audio)),
            1 => Some(("v", MediaKind::Video)),
            2 => Some(("d", MediaKind::Data)),
            _ => None,
        }
    }

    fn hangup(&mut self, handle: HandleKey, reason: DownReason) -> bool {
        let had = self.peers.remove(&handle).is_some();
        if had {
            self.log.note(format!("hangup {}", reason.text()));
        }
        had
    }

    fn forget(&mut self, handle: HandleKey) {
        self.peers.remove(&handle);
    }

    fn plan(&mut self, _: Plan) {}

    fn close_port(&mut self, _: PortId) -> bool {
        true
    }

    fn shard_event(&mut self, event: ShardEvent) {
        if let ShardEvent::PortClosed { port } = event {
            self.closed.push(port);
        }
    }

    fn poll_closed_port(&mut self) -> Option<PortId> {
        self.closed.pop()
    }
}
