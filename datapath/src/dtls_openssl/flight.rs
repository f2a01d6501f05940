//! Flights on the caller's clock, although OpenSSL reads the wall's.
//!
//! OpenSSL asks a callback how long to wait each time it starts its timer, and retransmits from
//! inside its read path when the timer has run out. So at the start of a flight the callback says
//! "no time at all"; before the next read OpenSSL therefore writes the flight again, asks again,
//! and so on, until the callback has counted the copies wanted and says "an hour". The wire puts
//! the copies aside (see `wire`), the engine sends one at each deadline of its own.
//!
//! Cost: two to three copies of bytes a flight; nothing is signed again, and only `Finished` is
//! encrypted again. The state of the call in progress is thread-local, for OpenSSL hands the
//! callback nothing but the connection.

use std::cell::Cell;
use std::time::Duration;

use foreign_types::ForeignTypeRef;
use openssl::ssl::{SslRef, SslStream};

/// Longer than any handshake may take, shorter than the callback's 32 bits of microseconds.
const NEVER_US: u32 = 3_600_000_000;

/// OpenSSL rounds what is below 15 ms down to "now".
const AT_ONCE_US: u32 = 1;

/// OpenSSL gives a connection up after 12 timeouts of one flight.
const MAX_COPIES: u8 = 10;

/// Where what OpenSSL writes belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// To the peer, now.
    Now,
    /// Into this copy (from 0), for later.
    Copy(u8),
}

/// Progress of one engine's current flight, kept by the engine between calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flight {
    /// Copies wanted of each flight.
    copies: u8,
    /// Copies begun of this flight.
    begun: u8,
    /// Counts flights, so that engine and wire notice a new one.
    pub(super) number: u32,
    writing: Writing,
}

impl Flight {
    /// Before the first flight.
    pub(super) const fn new(copies: u8) -> Flight {
        Flight { copies, begun: 0, number: 0, writing: Writing::Now }
    }

    /// What the timer callback answers; `previous_us` is 0 when a flight begins.
    fn timer_started(&mut self, previous_us: u32) -> u32 {
        if previous_us == 0 {
            self.begun = 0;
            self.number = self.number.wrapping_add(1);
            self.writing = Writing::Now;
            return AT_ONCE_US;
        }
        self.writing = Writing::Copy(self.begun);
        self.begun = self.begun.saturating_add(1);
        if self.begun < self.copies { AT_ONCE_US } else { NEVER_US }
    }
}

thread_local! {
    static CURRENT: Cell<Flight> = const { Cell::new(Flight::new(0)) };
}

/// Runs a call into OpenSSL with `flight` as the current one, and brings it up to date.
pub(super) fn during<R>(flight: &mut Flight, call: impl FnOnce() -> R) -> R {
    CURRENT.set(Flight { writing: Writing::Now, ..*flight });
    let result = call();
    *flight = CURRENT.get();
    result
}

/// The current flight, for the wire: its number, and where to write.
pub(super) fn current() -> (u32, Writing) {
    let flight = CURRENT.get();
    (flight.number, flight.writing)
}

/// OpenSSL has come to reading, so the copies are written.
pub(super) fn reading() {
    CURRENT.set(Flight { writing: Writing::Now, ..CURRENT.get() });
}

/// Retransmissions that fit into `limit` when the wait starts at `first` and doubles.
pub(super) fn copies_within(first: Duration, limit: Duration) -> u8 {
    let (mut wait, mut at, mut copies) = (first, first, 0);
    while at < limit && copies < MAX_COPIES {
        copies += 1;
        wait = wait.saturating_mul(2);
        at = at.saturating_add(wait);
    }
    copies.max(1)
}

// None is in `openssl-sys`; all are public API since OpenSSL 1.1.1 (<openssl/ssl.h>).
unsafe extern "C" {
    fn DTLS_set_timer_cb(
        ssl: *mut openssl_sys::SSL,
        callback: Option<unsafe extern "C" fn(*mut openssl_sys::SSL, u32) -> u32>,
    );
    fn SSL_alloc_buffers(ssl: *mut openssl_sys::SSL) -> i32;
    fn SSL_free_buffers(ssl: *mut openssl_sys::SSL) -> i32;
}

unsafe extern "C" fn timer_started(_: *mut openssl_sys::SSL, previous_us: u32) -> u32 {
    // No panic may cross into C: `Cell`s of a thread that still runs, and saturating sums.
    let mut flight = CURRENT.get();
    let wait_us = flight.timer_started(previous_us);
    CURRENT.set(flight);
    wait_us
}

/// Puts this module in charge of the connection's retransmission timer.
pub(super) fn take_over_timer(ssl: &mut SslRef) {
    // SAFETY: the pointer is that of a live connection, borrowed for the call; the callback has
    // the signature of `DTLS_timer_cb` and never unwinds.
    unsafe { DTLS_set_timer_cb(ssl.as_ptr(), Some(timer_started)) }
}

/// Gives back the 16 KiB record buffers of an idle connection. (OpenSSL's own `RELEASE_BUFFERS`
/// mode leaves those of DTLS alone.) Call [`make_buffers`] before the next call into it.
pub(super) fn free_buffers<S>(stream: &mut SslStream<S>) {
    // SAFETY: the pointer is that of a live connection, borrowed for the call and outside any
    // call into it; the function does nothing while data is pending in a buffer.
    unsafe { SSL_free_buffers(stream.ssl().as_ptr()) };
}

/// Makes the record buffers again where they are missing. DTLS needs this done by hand: its write
/// path takes the buffer for granted. False when there is no memory.
pub(super) fn make_buffers<S>(stream: &mut SslStream<S>) -> bool {
    // SAFETY: as in `free_buffers`; buffers that exist are kept.
    unsafe { SSL_alloc_buffers(stream.ssl().as_ptr()) == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flight_is_written_once_and_copied_as_often_as_wanted() {
        let mut flight = Flight::new(3);
        assert_eq!(flight.timer_started(0), AT_ONCE_US);
        assert_eq!((flight.number, flight.writing), (1, Writing::Now));
        let answers: Vec<u32> = (0..3).map(|_| flight.timer_started(1)).collect();
        assert_eq!(answers, [AT_ONCE_US, AT_ONCE_US, NEVER_US]);
        assert_eq!(flight.writing, Writing::Copy(2));
        assert_eq!(flight.timer_started(0), AT_ONCE_US);
        assert_eq!((flight.number, flight.writing), (2, Writing::Now));
    }

    #[test]
    fn copies_fit_the_limit() {
        let limit = Duration::from_secs(20);
        // 1, 3, 7 and 15 s.
        assert_eq!(copies_within(Duration::from_secs(1), limit), 4);
        // 50 ms, 150 ms, … 12.75 s.
        assert_eq!(copies_within(Duration::from_millis(50), limit), 8);
        assert_eq!(copies_within(Duration::from_secs(30), limit), 1);
        assert_eq!(copies_within(Duration::from_millis(1), limit), MAX_COPIES);
    }
}
