//! What crosses between threads: bounded single-producer single-consumer rings and the bell
//! that wakes their reader.
//!
//! A [`link`] carries values one way, from one thread to one other, wait-free and in order. Its
//! bound is given when it is made; a push that does not fit is handed back and counted, never
//! waited for. All links that end in one thread share that thread's [`Doorbell`], which costs a
//! system call only when the thread is really asleep: a wake-up is worth 20-50 forwarded packets
//! (reference/datapath-limits.md section 5).
//!
//! Cost: a push or a pop is a few nanoseconds in batches; [`Tx::push`] adds one full fence, so a
//! producer with many values in hand uses [`Tx::put`] for each and [`Tx::ring`] once.

mod announcement;
mod doorbell;
#[cfg(test)]
mod tests;

/// What the handshake is made of; the model checker puts its own in place of it.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
}

pub use doorbell::Doorbell;

/// A one-way ring of at most `capacity` values into the thread that sleeps on `bell`.
///
/// `capacity` 0 is taken as 1, so that a link can always carry something.
pub fn link<T>(capacity: usize, bell: &Doorbell) -> (Tx<T>, Rx<T>) {
    let (producer, consumer) = rtrb::RingBuffer::new(capacity.max(1));
    let tx = Tx { ring: producer, bell: bell.clone(), refused: 0 };
    (tx, Rx { ring: consumer })
}

/// The writing end of a [`link`]; owned by exactly one thread at a time.
#[derive(Debug)]
pub struct Tx<T> {
    ring: rtrb::Producer<T>,
    bell: Doorbell,
    refused: u64,
}

impl<T> Tx<T> {
    /// Puts one value and wakes the reader if it sleeps.
    ///
    /// # Errors
    /// Hands the value back when the ring is full, and counts it in [`Tx::refused`].
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        self.put(value)?;
        self.bell.ring();
        Ok(())
    }

    /// Puts one value without looking whether the reader sleeps; [`Tx::ring`] must follow the
    /// last of a batch, or a sleeping reader stays asleep.
    ///
    /// # Errors
    /// As [`Tx::push`].
    #[inline]
    pub fn put(&mut self, value: T) -> Result<(), T> {
        self.ring.push(value).map_err(|rtrb::PushError::Full(value)| {
            self.refused += 1;
            value
        })
    }

    /// Wakes the reader if it sleeps.
    #[inline]
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// How many values can be put now; more only if the reader takes some meanwhile.
    pub fn room(&self) -> usize {
        self.ring.slots()
    }

    /// The bound this link was made with, in values.
    pub fn capacity(&self) -> usize {
        self.ring.buffer().capacity()
    }

    /// Values handed back because the ring was full, since the link was made.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// True once the reading end is gone; what is pushed then is never read.
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

/// The reading end of a [`link`]; owned by exactly one thread at a time.
#[derive(Debug)]
pub struct Rx<T> {
    ring: rtrb::Consumer<T>,
}

impl<T> Rx<T> {
    /// The oldest value, or `None` when the ring is empty.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.ring.pop().ok()
    }

    /// True when nothing waits. This is the re-check [`Doorbell::may_sleep`] asks for.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Values waiting now.
    pub fn len(&self) -> usize {
        self.ring.slots()
    }

    /// True once the writing end is gone; what was pushed before can still be popped.
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}
