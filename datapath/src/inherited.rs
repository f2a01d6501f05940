//! Sockets that a service manager opened for us (sd_listen_fds(3)).
//!
//! They stand at descriptors 3 and up when the program starts, and `LISTEN_PID` and `LISTEN_FDS`
//! say so. It is here because a number can be made an owned descriptor by `unsafe` alone. Bound: what
//! the manager passes; what it says is checked before any number is believed.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether they have an owner already.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The sockets, in the order the manager has them, closed when another program is started; none
/// where there is no manager. Only the first call gets them, and it has to come before the program
/// opens anything: then no number can be another descriptor's. An error says that the manager's
/// words are no numbers, or that it did not pass as many as it says.
pub fn sockets() -> io::Result<Vec<OwnedFd>> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    // Each number is looked at on the way: one that is not open is an error.
    let numbers = sd_notify::listen_fds()?;
    let own = |number| {
        // SAFETY: the descriptor is open (it was just marked close-on-exec), was passed to this very
        // process to be its own, and gets no second owner, for `TAKEN` lets only one call come here
        // and the numbers differ.
        unsafe { OwnedFd::from_raw_fd(number) }
    };
    Ok(numbers.map(own).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn without_a_manager_there_is_none_and_nobody_gets_them_twice() {
        assert!(super::sockets().expect("nothing is said").is_empty());
        assert!(super::sockets().expect("nothing is said").is_empty());
    }
}
