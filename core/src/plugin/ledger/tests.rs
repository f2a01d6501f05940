use super::*;
use crate::config::jcfg;
use crate::media::{PeerId, Plan};
use crate::plugin::{HandleKey, HttpRequest, OutgoingJsep, PushError, ReplyKey, Verdict};
use serde_json::json;
use std::time::{Duration, Instant};

/// A host that stores what it is told to, and can do nothing else.
#[derive(Default)]
struct Disk {
    stored: Vec<String>,
    is_gone: bool,
}

impl Host for Disk {
    fn now(&self) -> Instant {
        Instant::now()
    }
    fn wall_us(&self) -> u64 {
        0
    }
    fn random(&mut self) -> u64 {
        1
    }
    fn push_event(
        &mut self,
        _: HandleKey,
        _: Option<&str>,
        _: Value,
        _: Option<OutgoingJsep>,
    ) -> Result<(), PushError> {
        Err(PushError::NoHandle)
    }
    fn reply(&mut self, _: ReplyKey, _: Verdict) {}
    fn plan(&mut self, _: Plan) {}
    fn peer(&self, _: HandleKey) -> Option<PeerId> {
        None
    }
    fn is_up(&self, _: HandleKey) -> bool {
        false
    }
    fn close_pc(&mut self, _: HandleKey) {}
    fn end_session(&mut self, _: HandleKey) {}
    fn events_enabled(&self) -> bool {
        false
    }
    fn notify_event(&mut self, _: Option<HandleKey>, _: Value) {}
    fn auth_is_signed(&self) -> bool {
        false
    }
    fn auth_signature_contains(&self, _: &str, _: &str, _: &str) -> bool {
        false
    }
    fn after(&mut self, _: Duration) -> Ticket {
        Ticket(0)
    }
    fn resolve(&mut self, _: &str) -> Ticket {
        Ticket(0)
    }
    fn http(&mut self, _: HttpRequest) -> Ticket {
        Ticket(0)
    }
    fn store(&mut self, request: StoreRequest) -> Option<Ticket> {
        if self.is_gone {
            return None;
        }
        self.stored.push(String::from_utf8(request.content).expect("text"));
        Some(Ticket(self.stored.len() as u64))
    }
}

fn ledger(text: &str) -> Ledger<u8> {
    Ledger::new(Some(&jcfg::read_alone("a.jcfg", text).expect("a configuration")), |_| {})
}

fn group(description: &str) -> Group {
    let mut group = Group::new();
    group.set("description", description);
    group
}

/// Descriptions by group, in the order of the file.
fn content(ledger: &Ledger<u8>) -> Vec<(String, String)> {
    let text = |group: &Group| group.get_str("description").expect("one").into_owned();
    ledger.groups().map(|(name, group)| (name.to_owned(), text(group))).collect()
}

fn put(ledger: &mut Ledger<u8>, disk: &mut Disk, name: &str, text: &str) -> Concluded {
    ledger.conclude(disk, Some(Change::put(name, group(text))), Some(7), Map::new())
}

fn permanent(data: &Map<String, Value>) -> bool {
    data.get("permanent").and_then(Value::as_bool).expect("permanent is set")
}

fn replied(concluded: Concluded) -> Map<String, Value> {
    match concluded {
        Concluded::Reply(data) => data,
        Concluded::Later => panic!("answered at once"),
    }
}

const FILE: &str = "general: { events = true }\nroom-1: { description = \"one\" }\n";

#[test]
fn the_reply_waits_for_the_disk() {
    let (mut ledger, mut disk) = (ledger(FILE), Disk::default());
    assert_eq!(put(&mut ledger, &mut disk, "room-2", "two"), Concluded::Later);
    assert_eq!(ledger.stored(Ticket(9), Ok(())), None, "somebody else's ticket");
    let (asker, data) = ledger.stored(Ticket(1), Ok(())).expect("an answer");
    assert_eq!((asker, permanent(&data)), (7, true));
    let tree = jcfg::read_alone("a.jcfg", &disk.stored[0]).expect("readable");
    assert_eq!(tree.groups().count(), 3, "general is kept: {}", disk.stored[0]);
}

#[test]
fn what_is_not_permanent_touches_nothing() {
    let (mut ledger, mut disk) = (ledger(FILE), Disk::default());
    let data = replied(ledger.conclude(&mut disk, None, Some(7), Map::new()));
    assert!(!permanent(&data) && disk.stored.is_empty());
}

#[test]
fn an_operator_is_answered_at_once() {
    let (mut ledger, mut disk) = (ledger(FILE), Disk::default());
    let change = Some(Change::remove("room-1"));
    assert!(permanent(&replied(ledger.conclude(&mut disk, change, None, Map::new()))));
    assert_eq!(ledger.stored(Ticket(1), Err("full".into())), None);
    assert_eq!(content(&ledger).len(), 1, "the room is back: it is still on disk");
}

#[test]
fn a_failed_change_is_taken_back_under_later_ones() {
    let (mut ledger, mut disk) = (ledger(FILE), Disk::default());
    put(&mut ledger, &mut disk, "room-1", "first");
    put(&mut ledger, &mut disk, "room-2", "two");
    put(&mut ledger, &mut disk, "room-1", "second");
    let failed = ledger.stored(Ticket(1), Err("full".into())).expect("an answer");
    assert!(!permanent(&failed.1));
    let kept = |room: &str, text: &str| (room.to_owned(), text.to_owned());
    assert_eq!(content(&ledger), [kept("room-1", "second"), kept("room-2", "two")]);
    ledger.stored(Ticket(2), Err("full".into()));
    assert_eq!(content(&ledger), [kept("room-1", "second")]);
    ledger.stored(Ticket(3), Err("full".into()));
    assert_eq!(content(&ledger), [kept("room-1", "one")], "back to what is on disk");
}

#[test]
fn what_cannot_be_written_is_said_at_once() {
    let (mut ledger, mut disk) = (ledger("room-a: { description = \"a\" }\n"), Disk::default());
    for name in ["room-A", "General", "no name"] {
        assert!(!permanent(&replied(put(&mut ledger, &mut disk, name, "x"))), "{name}");
    }
    disk.is_gone = true;
    assert!(!permanent(&replied(put(&mut ledger, &mut disk, "room-b", "b"))));
    assert_eq!(content(&ledger).len(), 1);
    assert!(disk.stored.is_empty());
}

#[test]
fn changes_on_their_way_to_the_disk_are_bounded() {
    let (mut ledger, mut disk) = (ledger(""), Disk::default());
    for _ in 0..MAX_UNSTORED {
        assert_eq!(put(&mut ledger, &mut disk, "room-1", "x"), Concluded::Later);
    }
    assert!(!permanent(&replied(put(&mut ledger, &mut disk, "room-2", "x"))));
    assert_eq!(content(&ledger).len(), 1);
}

#[test]
fn rooms_are_named_by_their_ids() {
    let text = "general: {}\nroom-7: {}\nroom-x: {}\nroom-0: {}\nlobby: {}\n";
    let ledger = ledger(text);
    let numbers: Vec<_> = ledger.rooms(false).map(|(id, _, _)| id).collect();
    assert_eq!(numbers, [Id::Number(7)]);
    let texts: Vec<_> = ledger.rooms(true).map(|(id, name, _)| (id.to_string(), name)).collect();
    let texts: Vec<_> = texts.iter().map(|(id, name)| (id.as_str(), *name)).collect();
    assert_eq!(texts, [("7", "room-7"), ("x", "room-x"), ("0", "room-0"), ("lobby", "lobby")]);
    assert_eq!(ledger.room_name(&Id::Text("lobby".into())), "lobby");
    assert_eq!(ledger.room_name(&Id::Number(9)), "room-9");
}

#[test]
fn permanent_needs_a_file() {
    use crate::plugin::{Codes, request::Body};

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Number(i32);

    impl Codes for Number {
        const PLUGIN: &'static str = "test";
        const INVALID_REQUEST: Self = Number(1);
        const MISSING_ELEMENT: Self = Number(2);
        const INVALID_ELEMENT: Self = Number(3);
        const UNAUTHORIZED: Self = Number(4);
        const UNKNOWN: Self = Number(5);

        fn number(self) -> i32 {
            self.0
        }
    }

    let wishes = json!({ "permanent": true });
    let body: Body<'_, Number> = Body::new(wishes.as_object().expect("an object"), false);
    assert_eq!(ledger("").asked(&body), Ok(true));
    let refused = Ledger::<u8>::default().asked(&body).map_err(|refusal| refusal.code);
    assert_eq!(refused, Err(Number(5)));
}
