//! The thread that empties the taps into files.

use super::form::CaptureForm;
use super::{LOOK, Order};
use crate::lasting::Work;
use bifrons_core::media::TapId;
use bifrons_datapath::queue::Rx;
use bifrons_datapath::tap::Tapped;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// Packets taken from one shard before the others have their turn.
const TURN: usize = 256;

/// How long a capture that ends may wait for packets that its shard still had.
const LINGER: Duration = Duration::from_millis(50);

/// An open capture.
struct Open {
    form: CaptureForm,
    label: String,
    /// `None` after the disk refused.
    file: Option<BufWriter<File>>,
    packets: u64,
    left_out: u64,
}

/// The thread's work: what taps hold goes to files. A panic ends the captures that are open.
pub(super) struct Writer {
    orders: Receiver<Order>,
    rings: Vec<Rx<Tapped>>,
    open: HashMap<TapId, Open>,
}

impl Writer {
    pub(super) fn new(orders: Receiver<Order>, rings: Vec<Rx<Tapped>>) -> Self {
        Writer { orders, rings, open: HashMap::new() }
    }

    fn end(&mut self, id: TapId) {
        // The shard may be at a turn that began before it was told; other captures go on.
        for _ in 0..LINGER.as_millis() / LOOK.as_millis() {
            std::thread::sleep(LOOK);
            drain(&mut self.rings, &mut self.open);
        }
        if let Some(capture) = self.open.remove(&id) {
            capture.close(id);
        }
    }

    fn close_all(&mut self) {
        for (id, capture) in self.open.drain() {
            capture.close(id);
        }
    }
}

impl Work for Writer {
    /// Serves until nobody can give orders any more, then closes what is open.
    fn run(&mut self) {
        loop {
            let order = match self.open.is_empty() {
                true => self.orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => self.orders.recv_timeout(LOOK),
            };
            match order {
                Ok(Order::Begin { id, form, file, label }) => {
                    // Packets of captures that ended are nobody's.
                    drain(&mut self.rings, &mut self.open);
                    self.open.insert(id, Open::new(form, file, label));
                }
                Ok(Order::End { id, done }) => {
                    self.end(id);
                    // Who asked may not wait any more.
                    let _ = done.map(|done| done.send(()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if drain(&mut self.rings, &mut self.open) == 0 {
                        self.open.values_mut().for_each(Open::flush);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        drain(&mut self.rings, &mut self.open);
        self.close_all();
    }

    fn recover(&mut self) {
        self.close_all();
    }
}

/// Empties the rings; how many packets there were.
fn drain(rings: &mut [Rx<Tapped>], open: &mut HashMap<TapId, Open>) -> usize {
    let mut taken = 0;
    loop {
        let mut turn = 0;
        for ring in rings.iter_mut() {
            for packet in std::iter::from_fn(|| ring.pop()).take(TURN) {
                turn += 1;
                if let Some(capture) = open.get_mut(&packet.tap) {
                    capture.write(&packet);
                }
            }
        }
        taken += turn;
        if turn == 0 {
            return taken;
        }
    }
}

impl Open {
    fn new(form: CaptureForm, file: File, label: String) -> Self {
        let file = Some(BufWriter::new(file));
        let mut open = Open { form, label, file, packets: 0, left_out: 0 };
        open.try_to(|file, _| form.begin(file));
        open
    }

    /// Does something to the file; after the first failure, nothing more.
    fn try_to(&mut self, what: impl FnOnce(&mut BufWriter<File>, &str) -> std::io::Result<()>) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = what(file, &self.label) {
            tracing::error!(%error, handle = self.label, "capture ended by the disk");
            self.file = None;
        }
    }

    fn write(&mut self, packet: &Tapped) {
        self.packets += 1;
        self.left_out += u64::from(packet.left_out);
        let form = self.form;
        self.try_to(|file, label| form.write(file, packet, label));
    }

    fn flush(&mut self) {
        self.try_to(|file, _| file.flush());
    }

    fn close(mut self, id: TapId) {
        self.flush();
        let Open { packets, left_out, label, .. } = self;
        tracing::info!(capture = id.0, packets, left_out, handle = label, "capture ended");
    }
}
