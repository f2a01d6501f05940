//! The bell of one sleeping thread: an eventfd and the word that says whether it sleeps.
//!
//! The thread that sleeps and the threads that push run the two halves of a Dekker handshake:
//!
//! ```text
//! sleeper                                   pusher
//! swap(sleeping, true) (acq-rel)            value into the ring  (release, by the ring)
//! fence SeqCst                              fence SeqCst
//! look into every ring (acquire)            if sleeping          (relaxed)
//!   something there: swap(sleeping, false)    and swap(sleeping, false): write the eventfd
//!   nothing: sleep on the eventfd
//! ```
//!
//! The two `SeqCst` fences are totally ordered. If the sleeper's comes first, the pusher's load
//! sees `true` and it rings; if the pusher's comes first, the sleeper's look sees the value.
//! Either way no value waits in a ring beside a sleeping thread. The swap lets one of several
//! pushers pay for the wake-up. The value itself is published by the ring's own release store;
//! the flag orders nothing but the wake. `tests/doorbell_model.rs` runs every interleaving of it.
//!
//! The eventfd is written but need never be read: both engines and an edge-triggered `AsyncFd`
//! watch for the edge, which each write makes anew. [`Doorbell::silence`] empties it for a
//! level-triggered reader.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::announcement::Announcement;

/// Wakes one thread, only when it sleeps. Clones share the bell: one clone stays with the thread
/// that sleeps (it alone calls [`Doorbell::may_sleep`] and [`Doorbell::awake`]), the others
/// belong to the [`Tx`](super::Tx) ends that enter it.
#[derive(Debug, Clone)]
pub struct Doorbell {
    #[allow(clippy::disallowed_types, reason = "one word two threads must see, by design")]
    shared: std::sync::Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    announcement: Announcement,
    event: OwnedFd,
}

impl Doorbell {
    /// A bell nobody sleeps on yet.
    ///
    /// # Errors
    /// What `eventfd(2)` says, mostly the limit on open files.
    #[allow(clippy::disallowed_types, reason = "one word two threads must see, by design")]
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes two integers and touches no memory of ours.
        let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: eventfd just returned this descriptor, nobody else owns it.
        let event = unsafe { OwnedFd::from_raw_fd(raw) };
        let shared = Shared { announcement: Announcement::new(), event };
        Ok(Self { shared: std::sync::Arc::new(shared) })
    }

    /// The sleeper's half of the handshake: announces sleep, then asks `idle` to look into every
    /// ring that enters this thread. True: sleep now, on the eventfd, and call
    /// [`Doorbell::awake`] after. False: there is work, the announcement is withdrawn.
    pub fn may_sleep(&self, idle: impl FnOnce() -> bool) -> bool {
        self.shared.announcement.make(idle)
    }

    /// Says that the thread runs and looks into its rings by itself. A ring that was pressed
    /// meanwhile may still show as one spurious wake at the next sleep.
    #[inline]
    pub fn awake(&self) {
        self.shared.announcement.withdraw();
    }

    /// The pusher's half: wakes the thread if it announced sleep. True if this call wrote.
    #[inline]
    pub fn ring(&self) -> bool {
        let called = self.shared.announcement.answer();
        if called {
            self.strike();
        }
        called
    }

    /// Writes the eventfd whether or not the thread announced sleep: for stopping a thread, not
    /// for values.
    pub fn strike(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the buffer is 8 readable bytes, the descriptor lives as long as `self`. The
        // one possible failure, a counter at its limit, leaves the bell ringing anyway.
        unsafe { libc::write(self.shared.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Empties the eventfd, so that a level-triggered reader stops seeing it readable. True if
    /// it had been written.
    pub fn silence(&self) -> bool {
        let mut count = [0u8; 8];
        let event = self.shared.event.as_raw_fd();
        // SAFETY: the buffer is 8 writable bytes, the descriptor lives as long as `self`.
        unsafe { libc::read(event, count.as_mut_ptr().cast(), count.len()) > 0 }
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }
}

impl AsRawFd for Doorbell {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.shared.event.as_raw_fd()
    }
}
