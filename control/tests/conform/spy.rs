//! EchoTest under another name, with a log of the hooks that were called, and with ways to have it
//! do what the contract allows.

use bifrons_core::config::Tree;
use bifrons_core::media::{Fact, PeerId};
use bifrons_core::plugin::{About, HandleKey, Host, HostExt, Plugin, Request, Verdict};
use bifrons_echotest::EchoTest;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What clients attach to.
pub(crate) const SPY: &str = "test.spy";

/// What a test and its spy share.
#[derive(Clone, Default)]
pub(crate) struct Notes {
    log: Rc<RefCell<Vec<(HandleKey, &'static str)>>>,
    /// `create_session` fails.
    pub(crate) refuses: Rc<Cell<bool>>,
    /// `query_session` returns something that is no object.
    pub(crate) mumbles: Rc<Cell<bool>>,
    /// `start` fails.
    pub(crate) broken: Rc<Cell<bool>>,
    /// Built against an older contract.
    pub(crate) old: Rc<Cell<bool>>,
}

impl Notes {
    /// The hooks called so far, facts left out.
    pub(crate) fn hooks(&self) -> Vec<&'static str> {
        let log = self.log.borrow();
        log.iter().map(|(_, hook)| *hook).filter(|hook| *hook != "fact").collect()
    }

    /// Every call, with its handle.
    pub(crate) fn all(&self) -> Vec<(HandleKey, &'static str)> {
        self.log.borrow().clone()
    }

    /// How often a hook was called.
    pub(crate) fn count(&self, hook: &str) -> usize {
        self.log.borrow().iter().filter(|(_, have)| *have == hook).count()
    }

    /// A plugin that notes here.
    pub(crate) fn plugin(&self) -> Box<dyn Plugin> {
        Box::new(Spy { inner: EchoTest::default(), notes: self.clone() })
    }

    fn note(&self, handle: HandleKey, hook: &'static str) {
        self.log.borrow_mut().push((handle, hook));
    }
}

struct Spy {
    inner: EchoTest,
    notes: Notes,
}

impl Spy {
    /// Does what the body's `do` says; `None` if it says nothing.
    fn obey(&self, host: &mut dyn Host, request: &Request) -> Option<Verdict> {
        let word = request.body.get("do")?.as_str()?;
        let argument = request.body.get("with").cloned().unwrap_or_default();
        let handle = request.handle;
        Some(match word {
            "reply" => Verdict::Reply(argument),
            "empty" => Verdict::Empty,
            "ack" => Verdict::Ack(argument.as_str().map(str::to_owned)),
            "error" => Verdict::Error(argument.as_str().map(str::to_owned)),
            "events" => {
                for number in 0..3 {
                    let transaction = Some(request.transaction.as_str());
                    let pushed =
                        host.push_event(handle, transaction, json!({"number": number}), None);
                    assert_eq!(pushed, Ok(()));
                }
                if argument == json!("reply") {
                    Verdict::Reply(json!({}))
                } else {
                    Verdict::Ack(None)
                }
            }
            "close" => {
                host.close_pc(handle);
                Verdict::Ack(None)
            }
            "end" => {
                host.end_session(handle);
                host.end_session(handle);
                host.notify(handle, json!({"last": "words"}));
                Verdict::Ack(None)
            }
            "grants" => {
                let (token, descriptor) = (argument["token"].as_str()?, argument["for"].as_str()?);
                Verdict::Reply(json!({
                    "signed": host.auth_is_signed(),
                    "grants": host.auth_signature_contains(SPY, token, descriptor),
                }))
            }
            other => panic!("{other}"),
        })
    }
}

impl Plugin for Spy {
    fn about(&self) -> About {
        About { package: SPY, ..self.inner.about() }
    }

    fn contract_version(&self) -> u32 {
        if self.notes.old.get() { 0 } else { self.inner.contract_version() }
    }

    fn start(&mut self, host: &mut dyn Host, config: Option<&Tree>) -> Result<(), String> {
        if self.notes.broken.get() {
            return Err("broken".to_owned());
        }
        self.inner.start(host, config)
    }

    fn create_session(&mut self, host: &mut dyn Host, handle: HandleKey) -> Result<(), i32> {
        self.notes.note(handle, "create_session");
        if self.notes.refuses.get() {
            return Err(17);
        }
        self.inner.create_session(host, handle)
    }

    fn handle_message(&mut self, host: &mut dyn Host, request: Request) -> Verdict {
        self.notes.note(request.handle, "handle_message");
        match self.obey(host, &request) {
            Some(verdict) => verdict,
            None => self.inner.handle_message(host, request),
        }
    }

    fn setup_media(&mut self, host: &mut dyn Host, handle: HandleKey, peer: PeerId) {
        self.notes.note(handle, "setup_media");
        self.inner.setup_media(host, handle, peer);
    }

    fn hangup_media(&mut self, host: &mut dyn Host, handle: HandleKey) {
        self.notes.note(handle, "hangup_media");
        self.inner.hangup_media(host, handle);
    }

    fn fact(&mut self, host: &mut dyn Host, handle: HandleKey, fact: &Fact) {
        self.notes.note(handle, "fact");
        self.inner.fact(host, handle, fact);
    }

    fn destroy_session(&mut self, host: &mut dyn Host, handle: HandleKey) {
        self.notes.note(handle, "destroy_session");
        self.inner.destroy_session(host, handle);
    }

    fn query_session(&self, handle: HandleKey) -> Value {
        if self.notes.mumbles.get() { json!(["mumble"]) } else { self.inner.query_session(handle) }
    }
}
