//! Every interleaving of the sleep handshake (`queue::Doorbell`), under the C11 memory model:
//! a thread never sleeps beside a value, and no value costs two wake-ups.

#[path = "../src/queue/announcement.rs"]
mod announcement;

/// What the handshake is made of, as the model checker sees it.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

use announcement::Announcement;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// A ring of which only the count of values matters.
struct Line {
    announcement: Announcement,
    values: [AtomicUsize; 2],
    strokes: AtomicUsize,
}

impl Line {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            announcement: Announcement::new(),
            values: [AtomicUsize::new(0), AtomicUsize::new(0)],
            strokes: AtomicUsize::new(0),
        })
    }

    fn push(&self, ring: usize) {
        let count = self.values[ring].load(Ordering::Relaxed);
        self.values[ring].store(count + 1, Ordering::Release);
        if self.announcement.answer() {
            self.strokes.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_empty(&self) -> bool {
        self.values.iter().all(|ring| ring.load(Ordering::Acquire) == 0)
    }
}

#[test]
fn a_sleeper_is_called_for_any_value_it_did_not_see() {
    loom::model(|| {
        let line = Line::new();
        let pusher = thread::spawn({
            let line = Arc::clone(&line);
            move || line.push(0)
        });
        let asleep = line.announcement.make(|| line.is_empty());
        pusher.join().unwrap();
        let strokes = line.strokes.load(Ordering::Relaxed);
        assert!(!asleep || strokes == 1, "asleep beside a value, {strokes} strokes");
    });
}

#[test]
fn of_two_pushers_one_pays_for_the_call() {
    loom::model(|| {
        let line = Line::new();
        let pushers = [0, 1].map(|ring| {
            let line = Arc::clone(&line);
            thread::spawn(move || line.push(ring))
        });
        let asleep = line.announcement.make(|| line.is_empty());
        pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
        let strokes = line.strokes.load(Ordering::Relaxed);
        assert!(strokes <= 1, "{strokes} strokes for one sleep");
        assert!(!asleep || strokes == 1, "asleep beside a value");
    });
}

#[test]
fn a_second_sleep_is_as_safe_as_the_first() {
    loom::model(|| {
        let line = Line::new();
        let pusher = thread::spawn({
            let line = Arc::clone(&line);
            move || {
                line.push(0);
                line.push(1);
            }
        });
        let seen = |ring: usize| line.values[ring].load(Ordering::Acquire) != 0;
        // Sleeps at most until the first value, then again until the second.
        line.announcement.make(|| !seen(0));
        line.announcement.withdraw();
        let before = line.strokes.load(Ordering::Relaxed);
        let asleep = line.announcement.make(|| !seen(1));
        pusher.join().unwrap();
        let strokes = line.strokes.load(Ordering::Relaxed);
        assert!(!asleep || strokes > before, "asleep beside a value");
    });
}
