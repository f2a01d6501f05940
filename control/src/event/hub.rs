//! From one event to all handlers that want it.

use super::{Event, EventHandler, Feed, FeedCounters, FeedSettings, Mask, Notice, QueryError};
use bifrons_core::plugin::About;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::rc::Rc;

/// One handler and what waits for it.
struct Seat {
    about: About,
    handler: Rc<dyn EventHandler>,
    feed: Rc<Feed>,
}

/// All event handlers of the server. Bounds are each feed's.
pub struct Hub {
    emitter: String,
    seats: RefCell<Vec<Seat>>,
}

impl Hub {
    /// No handlers yet. `emitter` is the server's name.
    pub fn new(emitter: impl Into<String>) -> Rc<Self> {
        Rc::new(Hub { emitter: emitter.into(), seats: RefCell::default() })
    }

    /// The server's name in events.
    pub fn emitter(&self) -> &str {
        &self.emitter
    }

    /// Adds a handler; `make` is given its feed.
    pub fn add<H: EventHandler + 'static>(
        &self,
        settings: FeedSettings,
        make: impl FnOnce(Rc<Feed>) -> Rc<H>,
    ) -> Rc<H> {
        let feed = Feed::new(settings);
        let handler = make(feed.clone());
        let seat = Seat { about: handler.about(), handler: handler.clone(), feed };
        self.seats.borrow_mut().push(seat);
        handler
    }

    /// Whether there is no handler.
    pub fn is_empty(&self) -> bool {
        self.seats.borrow().is_empty()
    }

    /// What `info` says of the handlers.
    pub fn about(&self) -> Vec<About> {
        self.seats.borrow().iter().map(|seat| seat.about).collect()
    }

    /// What was counted for each handler, by package.
    pub fn counters(&self) -> Vec<(&'static str, FeedCounters)> {
        let seats = self.seats.borrow();
        seats.iter().map(|seat| (seat.about.package, seat.feed.counters())).collect()
    }

    /// Tells every handler that wants it. Never waits.
    pub fn publish(&self, event: Event) {
        let seats = self.seats.borrow();
        let kind = event.kind;
        if !seats.iter().any(|seat| seat.feed.mask().has(kind)) {
            return;
        }
        let notice = Rc::new(Notice::new(kind, event.envelope(&self.emitter)));
        seats.iter().for_each(|seat| seat.feed.push(&notice));
    }

    /// What a handler answers an operator's request (`query_eventhandler`); `None` if there is no
    /// such handler.
    pub fn query(&self, package: &str, request: &Value) -> Option<Value> {
        let seats = self.seats.borrow();
        let seat = seats.iter().find(|seat| seat.about.package == package)?;
        let nothing = Map::new();
        Some(match seat.answer(request.as_object().unwrap_or(&nothing)) {
            Ok(()) => json!({ "result": 200 }),
            Err(error) => json!({ "error_code": error.code, "error": error.text }),
        })
    }

    /// The server stops: handlers deliver what waits, and nothing more comes.
    pub fn close(&self) {
        self.seats.borrow().iter().for_each(|seat| seat.feed.close());
    }

    /// Waits until every handler has delivered or given up what it had.
    pub async fn drained(&self) {
        let feeds: Vec<_> = self.seats.borrow().iter().map(|seat| seat.feed.clone()).collect();
        for feed in feeds {
            feed.drained().await;
        }
    }
}

impl Seat {
    fn answer(&self, fields: &Map<String, Value>) -> Result<(), QueryError> {
        let request = fields.get("request").ok_or_else(|| QueryError::missing("request"))?;
        let request = request.as_str().ok_or_else(|| QueryError::wrong("request", "a string"))?;
        if request != "tweak" {
            return Err(QueryError::unknown(request));
        }
        let events = fields
            .get("events")
            .map(|events| events.as_str().ok_or_else(|| QueryError::wrong("events", "a string")));
        let events = events.transpose()?;
        let grouping = fields.get("grouping").filter(|_| self.handler.groups()).map(|grouping| {
            grouping.as_bool().ok_or_else(|| QueryError::wrong("grouping", "a boolean"))
        });
        let grouping = grouping.transpose()?;
        self.handler.tweak(fields)?;
        if events.is_some() {
            self.feed.set_mask(Mask::read(events));
        }
        if let Some(grouping) = grouping {
            self.feed.set_grouping(grouping);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use bifrons_core::api::Style;

    struct Deaf(Rc<Feed>);

    impl EventHandler for Deaf {
        fn about(&self) -> About {
            About {
                package: "janus.eventhandler.deaf",
                name: "",
                description: "",
                author: "",
                version: 1,
                version_string: "1",
            }
        }

        fn tweak(&self, fields: &Map<String, Value>) -> Result<(), QueryError> {
            match fields.get("port").map(Value::is_u64) {
                Some(false) => Err(QueryError::wrong("port", "a positive integer")),
                _ => Ok(()),
            }
        }
    }

    fn event(kind: EventKind, n: u64) -> Event {
        Event {
            kind,
            subtype: 0,
            wall_us: n,
            session_id: 0,
            handle_id: 0,
            opaque_id: None,
            body: json!({}),
        }
    }

    #[test]
    fn each_handler_gets_what_it_wants_in_order() {
        let hub = Hub::new("me");
        let settings = |mask| FeedSettings {
            mask: Mask::read(Some(mask)),
            grouping: true,
            style: Style::Compact,
        };
        let all = hub.add(settings("all"), |feed| Rc::new(Deaf(feed)));
        let some = hub.add(settings("sessions,handles"), |feed| Rc::new(Deaf(feed)));
        for (n, kind) in (1..).zip(EventKind::ALL) {
            hub.publish(event(kind, n));
        }
        let times = |handler: &Deaf| -> Vec<u64> {
            let notices = handler.0.take().unwrap().notices;
            notices.iter().filter_map(|notice| notice.value["timestamp"].as_u64()).collect()
        };
        assert_eq!(times(&all), (1..=9).collect::<Vec<_>>());
        assert_eq!(times(&some), [1, 2]);
    }

    #[test]
    fn a_bad_tweak_changes_nothing() {
        let hub = Hub::new("me");
        let settings = FeedSettings { mask: Mask::ALL, grouping: true, style: Style::Compact };
        let deaf = hub.add(settings, |feed| Rc::new(Deaf(feed)));
        let query = |request: Value| hub.query("janus.eventhandler.deaf", &request).unwrap();
        for (request, code) in [
            (json!({}), 412),
            (json!({ "request": 1 }), 413),
            (json!({ "request": "dance" }), 411),
            (json!({ "request": "tweak", "events": 7 }), 413),
            (json!({ "request": "tweak", "events": "none", "grouping": "x" }), 413),
            (json!({ "request": "tweak", "events": "none", "port": "x" }), 413),
        ] {
            assert_eq!(query(request.clone())["error_code"], code, "{request}");
        }
        assert_eq!(deaf.0.mask(), Mask::ALL);
        assert_eq!(query(json!({ "request": "tweak", "events": "core" })), json!({"result": 200}));
        assert_eq!(deaf.0.mask(), Mask::NONE.with(EventKind::Core));
        assert_eq!(hub.query("janus.eventhandler.other", &json!({})), None);
    }
}
