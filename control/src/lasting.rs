//! Threads beside the control thread that outlive a panic of their work.
//!
//! What a thread needs to begin anew (its queues, its ends of rings) is state that lives outside
//! the work; whatever else the work held is lost with it, and the state is told so. A panic is a
//! fault of ours, never of a peer's, so each one is an error in the log.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;

/// Before the work begins anew, so that one that dies at once does not fill a core and the log.
const PAUSE: Duration = Duration::from_millis(100);

/// The work of a thread.
pub(crate) trait Work {
    /// Works until there is nothing more to come.
    fn run(&mut self);

    /// [`Work::run`] panicked and is about to be called again: what it held is gone.
    fn recover(&mut self);
}

/// Starts a thread that builds its work, and runs it again after every panic. The thread ends when
/// the work does, with the number of times it began anew.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn spawn<W: Work>(
    name: &'static str,
    build: impl FnOnce() -> W + Send + 'static,
) -> io::Result<JoinHandle<u32>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        let mut work = build();
        let mut restarts = 0;
        // Nothing is seen half done: what the work was at is thrown away by `recover`.
        while catch_unwind(AssertUnwindSafe(|| work.run())).is_err() {
            restarts += 1;
            tracing::error!(thread = name, restarts, "a thread panicked; its work begins anew");
            work.recover();
            sleep(PAUSE);
        }
        restarts
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Doubles numbers, and cannot bear an odd one.
    struct Doubling {
        asked: Receiver<u32>,
        told: Sender<Option<u32>>,
    }

    impl Work for Doubling {
        fn run(&mut self) {
            for number in &self.asked {
                assert!(number % 2 == 0, "an odd number");
                let _ = self.told.send(Some(number * 2));
            }
        }

        fn recover(&mut self) {
            let _ = self.told.send(None);
        }
    }

    #[test]
    fn work_goes_on_after_a_panic_and_ends_with_its_queue() {
        let ((ask, asked), (told, answers)) = (channel(), channel());
        let thread = spawn("doubling", || Doubling { asked, told }).expect("a thread");
        for number in [2, 3, 4, 5, 6] {
            ask.send(number).expect("somebody who listens");
        }
        drop(ask);
        let heard: Vec<_> = answers.iter().collect();
        assert_eq!(heard, [Some(4), None, Some(8), None, Some(12)]);
        assert_eq!(thread.join().expect("an end"), 2);
    }
}
