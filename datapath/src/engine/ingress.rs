//! A message that arrived, on its way to the shard one datagram at a time.

use std::net::SocketAddr;

use super::Received;

/// What is left of one received message. A train is longer than a turn's budget may allow, so
/// the place in it is kept.
#[derive(Debug)]
pub(crate) struct Arrival {
    socket: u16,
    from: SocketAddr,
    at: usize,
    end: usize,
    segment: usize,
    done: bool,
}

impl Arrival {
    /// A message of `len` bytes that holds datagrams of `segment` bytes, the last possibly
    /// shorter; `segment` 0: one datagram.
    pub(crate) fn new(socket: u16, from: SocketAddr, len: usize, segment: u16) -> Self {
        let segment = if segment == 0 { len } else { usize::from(segment) };
        Self { socket, from, at: 0, end: len, segment, done: false }
    }

    /// True if it came as more than one datagram.
    pub(crate) fn is_train(&self) -> bool {
        self.end > self.segment
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Hands out at most `budget` datagrams from `payload`, the message's bytes, and says how
    /// many.
    pub(crate) fn hand_out(
        &mut self,
        payload: &mut [u8],
        budget: u32,
        on: &mut dyn FnMut(Received<'_>),
    ) -> u32 {
        let mut given = 0;
        while given < budget && !self.done {
            let to = self.end.min(self.at + self.segment);
            if let Some(bytes) = payload.get_mut(self.at..to) {
                on(Received { socket: self.socket, from: self.from, bytes });
                given += 1;
            }
            self.at = to;
            self.done = to >= self.end;
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::Arrival;

    fn lengths(len: usize, segment: u16, budget: u32) -> Vec<Vec<usize>> {
        let mut payload = vec![0u8; len];
        let mut arrival = Arrival::new(3, "192.0.2.1:9".parse().unwrap(), len, segment);
        let mut turns = Vec::new();
        while !arrival.is_done() {
            let mut turn = Vec::new();
            let given = arrival.hand_out(&mut payload, budget, &mut |datagram| {
                assert_eq!(datagram.socket, 3);
                turn.push(datagram.bytes.len());
            });
            assert_eq!(given as usize, turn.len());
            turns.push(turn);
        }
        turns
    }

    #[test]
    fn a_train_is_cut_at_its_segments() {
        assert_eq!(lengths(250, 100, 9), [vec![100, 100, 50]]);
        assert_eq!(lengths(200, 100, 9), [vec![100, 100]]);
    }

    #[test]
    fn a_budget_cuts_a_train_over_turns() {
        assert_eq!(lengths(250, 100, 2), [vec![100, 100], vec![50]]);
        assert_eq!(lengths(200, 100, 1), [vec![100], vec![100]]);
    }

    #[test]
    fn one_datagram_is_whole_even_when_empty() {
        assert_eq!(lengths(250, 0, 9), [vec![250]]);
        assert_eq!(lengths(250, 300, 9), [vec![250]]);
        assert_eq!(lengths(0, 0, 9), [vec![0]]);
    }
}
