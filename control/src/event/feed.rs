//! What waits for one event handler.
//!
//! The hub puts events in, the handler's own task takes them out when its far end can take them.
//! Bounds: [`MAX_WAITING`] events and [`MAX_WAITING_BYTES`] bytes of them; past either the oldest
//! goes and is counted, so a dead receiver costs memory up to the bound and nobody any time. Cost:
//! putting in is one pointer copied.

use super::{EventKind, Mask};
use crate::counted::Counted;
use bifrons_core::api::{Style, json};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::sync::Notify;

/// Most events that wait for one handler.
pub const MAX_WAITING: usize = 1 << 16;

/// Most bytes of events that wait for one handler, roughly as written.
pub const MAX_WAITING_BYTES: usize = 32 << 20;

/// Most events of one group (admin-events-recording §8).
pub const MAX_GROUP: usize = 100;

/// An event as handlers get it: the whole envelope. All handlers share one.
#[derive(Debug, PartialEq)]
pub struct Notice {
    /// Its kind, which is also in the envelope.
    pub kind: EventKind,
    /// The envelope: `emitter`, `type` and so on.
    pub value: Value,
    /// About how many bytes it has in writing.
    pub size: usize,
}

impl Notice {
    /// An event with its envelope.
    pub fn new(kind: EventKind, value: Value) -> Self {
        let size = size(&value);
        Notice { kind, value, size }
    }
}

/// About how many bytes a value has in writing.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 12,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| size(item) + 1).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields.iter().map(|(name, value)| name.len() + 4 + size(value)).sum::<usize>()
        }
    }
}

/// What became of the events that a handler wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedCounters {
    /// Put into the feed.
    pub accepted: u64,
    /// Handed to the far end.
    pub delivered: u64,
    /// Dropped because too many waited.
    pub dropped: u64,
    /// Given up by the handler: retries used up, or too large for it.
    pub lost: u64,
}

/// What a handler's file says to its feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedSettings {
    /// What it wants to hear.
    pub mask: Mask,
    /// Events that wait together leave together, as an array.
    pub grouping: bool,
    /// How JSON is written.
    pub style: Style,
}

/// Some events that leave together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In order, 1 to [`MAX_GROUP`]; one if not grouped.
    pub notices: Vec<Rc<Notice>>,
    /// Whether it is written as an array.
    pub grouped: bool,
}

impl Batch {
    /// How it is written: an array if grouped, else the one event.
    pub fn text(&self, style: Style) -> String {
        if let ([notice], false) = (self.notices.as_slice(), self.grouped) {
            return json::write(&notice.value, style);
        }
        let all = self.notices.iter().map(|notice| notice.value.clone()).collect();
        json::write(&Value::Array(all), style)
    }

    fn count(&self) -> u64 {
        self.notices.len() as u64
    }
}

/// See the module. The hub and the handler hold the same.
#[derive(Debug)]
pub struct Feed {
    mask: Cell<Mask>,
    grouping: Cell<bool>,
    style: Style,
    waiting: RefCell<VecDeque<Rc<Notice>>>,
    bytes: Cell<usize>,
    most: Cell<usize>,
    most_bytes: Cell<usize>,
    out: Cell<u64>,
    closing: Cell<bool>,
    changed: Notify,
    settled: Notify,
    counters: Counted<FeedCounters>,
}

impl Feed {
    /// An empty feed.
    pub fn new(settings: FeedSettings) -> Rc<Self> {
        Rc::new(Feed {
            mask: Cell::new(settings.mask),
            grouping: Cell::new(settings.grouping),
            style: settings.style,
            waiting: RefCell::default(),
            bytes: Cell::new(0),
            most: Cell::new(MAX_WAITING),
            most_bytes: Cell::new(MAX_WAITING_BYTES),
            out: Cell::new(0),
            closing: Cell::new(false),
            changed: Notify::new(),
            settled: Notify::new(),
            counters: Counted::default(),
        })
    }

    /// What it wants to hear.
    pub fn mask(&self) -> Mask {
        self.mask.get()
    }

    /// Changes what it wants to hear; what waits already is delivered.
    pub fn set_mask(&self, mask: Mask) {
        self.mask.set(mask);
    }

    /// Changes whether events leave together.
    pub fn set_grouping(&self, grouping: bool) {
        self.grouping.set(grouping);
    }

    /// How JSON is written.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Keeps at most so many events, but not more than [`MAX_WAITING`].
    pub fn set_most(&self, most: usize) {
        self.most.set(most.min(MAX_WAITING));
        self.trim();
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// What was counted since the start.
    pub fn counters(&self) -> FeedCounters {
        self.counters.get()
    }

    /// Takes an event, if it is wanted. Never waits.
    pub fn push(&self, notice: &Rc<Notice>) {
        if !self.mask.get().has(notice.kind) {
            return;
        }
        self.counters.count(|counters| counters.accepted += 1);
        self.bytes.set(self.bytes.get() + notice.size);
        self.waiting.borrow_mut().push_back(notice.clone());
        self.trim();
        self.changed.notify_one();
    }

    /// Drops the oldest until the bounds hold; one event alone may be as large as it is.
    fn trim(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.len() > self.most.get()
            || (waiting.len() > 1 && self.bytes.get() > self.most_bytes.get())
        {
            let Some(oldest) = waiting.pop_front() else { return };
            self.bytes.set(self.bytes.get() - oldest.size);
            if self.counters.get().dropped == 0 {
                tracing::warn!("an event handler's receiver is too slow: events are dropped");
            }
            self.counters.count(|counters| counters.dropped += 1);
        }
    }

    /// The next events, as soon as there are any; `None` once the server stops and nothing waits.
    /// What was taken has to be settled by [`Feed::delivered`], [`Feed::lost`] or
    /// [`Feed::give_back`] before the next is taken. Nothing is lost if the future is dropped.
    pub async fn batch(&self) -> Option<Batch> {
        loop {
            if let Some(batch) = self.take() {
                return Some(batch);
            }
            if self.closing.get() {
                return None;
            }
            self.changed.notified().await;
        }
    }

    /// The next events, if there are any.
    pub fn take(&self) -> Option<Batch> {
        let grouped = self.grouping.get();
        let mut waiting = self.waiting.borrow_mut();
        let count = waiting.len().min(if grouped { MAX_GROUP } else { 1 });
        if count == 0 {
            return None;
        }
        let notices: Vec<_> = waiting.drain(..count).collect();
        let size: usize = notices.iter().map(|notice| notice.size).sum();
        self.bytes.set(self.bytes.get() - size);
        self.out.set(self.out.get() + notices.len() as u64);
        Some(Batch { notices, grouped })
    }

    /// The far end has it.
    pub fn delivered(&self, batch: &Batch) {
        self.counters.count(|counters| counters.delivered += batch.count());
        self.settle(batch);
    }

    /// It is given up.
    pub fn lost(&self, batch: &Batch) {
        self.counters.count(|counters| counters.lost += batch.count());
        self.settle(batch);
    }

    /// It could not be sent and waits again, before all others.
    pub fn give_back(&self, batch: Batch) {
        self.settle(&batch);
        let size: usize = batch.notices.iter().map(|notice| notice.size).sum();
        self.bytes.set(self.bytes.get() + size);
        let mut waiting = self.waiting.borrow_mut();
        for notice in batch.notices.into_iter().rev() {
            waiting.push_front(notice);
        }
        drop(waiting);
        self.trim();
    }

    fn settle(&self, batch: &Batch) {
        self.out.set(self.out.get().saturating_sub(batch.count()));
        self.settled.notify_waiters();
    }

    /// The server stops: what waits is still to be delivered, nothing more comes.
    pub fn close(&self) {
        self.closing.set(true);
        self.changed.notify_one();
    }

    /// Whether the server stops.
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Waits until nothing waits and nothing is on its way.
    pub async fn drained(&self) {
        loop {
            let settled = self.settled.notified();
            if self.is_empty() && self.out.get() == 0 {
                return;
            }
            settled.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn notice(n: usize) -> Rc<Notice> {
        Rc::new(Notice::new(EventKind::Core, json!({ "n": n })))
    }

    fn feed(grouping: bool) -> Rc<Feed> {
        Feed::new(FeedSettings { mask: Mask::ALL, grouping, style: Style::Compact })
    }

    fn numbers(batch: &Batch) -> Vec<u64> {
        batch.notices.iter().filter_map(|notice| notice.value["n"].as_u64()).collect()
    }

    #[test]
    fn a_full_feed_drops_the_oldest_and_counts() {
        let feed = feed(true);
        feed.set_most(3);
        (0..5).for_each(|n| feed.push(&notice(n)));
        let batch = feed.take().unwrap();
        assert_eq!(numbers(&batch), [2, 3, 4]);
        feed.push(&notice(5));
        feed.give_back(batch);
        assert_eq!(numbers(&feed.take().unwrap()), [3, 4, 5], "what waits again is the oldest");
        let counters = feed.counters();
        assert_eq!((counters.accepted, counters.dropped, counters.delivered), (6, 3, 0));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let feed = feed(false);
        let big = "x".repeat(MAX_WAITING_BYTES / 4);
        let big = Rc::new(Notice::new(EventKind::Jsep, json!({ "sdp": big })));
        (0..10).for_each(|_| feed.push(&big));
        assert_eq!((feed.len(), feed.counters().dropped), (3, 7));
        assert!(feed.bytes.get() <= MAX_WAITING_BYTES);
    }

    #[test]
    fn groups_are_arrays_and_single_events_objects() {
        let feed = feed(true);
        (0..101).for_each(|n| feed.push(&notice(n)));
        assert_eq!(feed.take().unwrap().notices.len(), MAX_GROUP);
        assert_eq!(feed.take().unwrap().text(Style::Compact), r#"[{"n":100}]"#);
        feed.set_grouping(false);
        feed.push(&notice(7));
        feed.push(&notice(8));
        assert_eq!(feed.take().unwrap().text(Style::Compact), r#"{"n":7}"#);
    }

    #[test]
    fn what_is_not_wanted_is_not_kept() {
        let feed = feed(true);
        feed.set_mask(Mask::read(Some("sessions,handles")));
        feed.push(&notice(1));
        assert!(feed.is_empty());
        assert_eq!(feed.counters(), FeedCounters::default());
    }
}
