//! Captures of handles into files: pcap for Wireshark, or the text that `text2pcap` reads
//! (admin-events-recording §13).
//!
//! A shard copies what passes a tapped peer into a ring ([`bifrons_datapath::tap`]); one thread,
//! started with the first capture, empties the rings into files and sleeps while none is open. The
//! packets go to disk through the page cache: a capture is watched by people and tools while it
//! grows, so direct I/O (glommio) has nothing to give here.
//!
//! Bounds: [`MAX_CAPTURES`] at a time; per shard, the ring's packets between two looks ([`LOOK`]).
//! What does not fit is left out, counted and said in the log when the capture ends.

mod file;
mod form;
mod writer;

pub use file::{Folders, OpenError};
pub use form::CaptureForm;

use crate::lasting;
use bifrons_core::media::TapId;
use bifrons_datapath::queue::Rx;
use bifrons_datapath::tap::Tapped;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use tokio::sync::oneshot;
use writer::Writer;

/// Captures open at a time.
pub const MAX_CAPTURES: usize = 64;

/// How often the rings are looked into while a capture is open.
pub const LOOK: Duration = Duration::from_millis(2);

/// A capture as the dispatcher knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Its name on the shards.
    pub id: TapId,
    /// What is written.
    pub form: CaptureForm,
    /// Where to.
    pub path: PathBuf,
}

/// What the thread is told.
enum Order {
    Begin {
        id: TapId,
        form: CaptureForm,
        file: File,
        label: String,
    },
    /// The file is whole when the answer comes.
    End {
        id: TapId,
        done: Option<oneshot::Sender<()>>,
    },
}

/// The control thread's end of the captures.
pub struct Captures {
    rings: RefCell<Vec<Rx<Tapped>>>,
    thread: RefCell<Option<Sender<Order>>>,
    next: Cell<u64>,
}

impl Captures {
    /// With the rings of all shards' taps.
    pub fn new(rings: Vec<Rx<Tapped>>) -> Self {
        Captures { rings: RefCell::new(rings), thread: RefCell::new(None), next: Cell::new(1) }
    }

    /// A name for a new capture.
    pub fn name(&self) -> TapId {
        let id = self.next.get();
        self.next.set(id + 1);
        TapId(id)
    }

    /// Begins to write what is tapped under this name. `label` goes behind each line of text.
    ///
    /// # Errors
    /// When there is no thread and none can be started.
    pub fn begin(&self, id: TapId, form: CaptureForm, file: File, label: String) -> io::Result<()> {
        let mut thread = self.thread.borrow_mut();
        if thread.is_none() {
            let (sender, orders) = channel();
            let rings = std::mem::take(&mut *self.rings.borrow_mut());
            lasting::spawn("captures", move || Writer::new(orders, rings))?;
            *thread = Some(sender);
        }
        let order = Order::Begin { id, form, file, label };
        let sent = thread.as_ref().map(|thread| thread.send(order).is_ok());
        match sent {
            Some(true) => Ok(()),
            _ => Err(io::Error::other("the thread that writes captures has ended")),
        }
    }

    /// Ends a capture; the receiver is told when its file is whole.
    pub fn end(&self, id: TapId) -> oneshot::Receiver<()> {
        let (done, ended) = oneshot::channel();
        if let Some(thread) = self.thread.borrow().as_ref() {
            // A thread that is gone has closed its files.
            let _ = thread.send(Order::End { id, done: Some(done) });
        }
        ended
    }
}
