//! What every stream that arrives anywhere has to satisfy.

use super::client::{Client, Got};
use std::collections::BTreeMap;

/// Packets of one author on one sink: nothing twice, numbers in the order of sequence numbers,
/// at one constant distance, and the share that is missing at most `missing_per_mille`.
///
/// # Panics
/// When not.
pub(crate) fn assert_continuous(client: &Client, mindex: u16, missing_per_mille: u64) -> usize {
    let got = client.got_on(mindex);
    let label = format!("client {} line {mindex}", client.index);
    let mut by_seq: BTreeMap<u64, Got> = BTreeMap::new();
    for packet in &got {
        let twin = by_seq.insert(packet.seq, *packet);
        assert!(twin.is_none(), "{label}: sequence number {} came twice", packet.seq);
    }
    let (Some(first), Some(last)) = (by_seq.first_key_value(), by_seq.last_key_value()) else {
        return 0;
    };
    let span = last.0 - first.0 + 1;
    let missing = span - by_seq.len() as u64;
    assert!(
        missing * 1000 <= span * missing_per_mille,
        "{label}: {missing} of {span} packets missing"
    );
    let mut before: Option<&Got> = None;
    for packet in by_seq.values() {
        if let Some(before) = before.filter(|before| before.author == packet.author) {
            assert_eq!(
                packet.seq - before.seq,
                packet.number - before.number,
                "{label}: gap or disorder between {before:?} and {packet:?}"
            );
            assert!(packet.timestamp >= before.timestamp, "{label}: time runs backwards");
        }
        before = Some(packet);
    }
    got.len()
}

/// As [`assert_continuous`] on a network that loses nothing and keeps the order: also arrival
/// order is sequence order.
pub(crate) fn assert_undisturbed(client: &Client, mindex: u16) -> usize {
    let got = client.got_on(mindex);
    let ordered = got.is_sorted_by_key(|packet| packet.seq);
    assert!(ordered, "client {} line {mindex}: out of order", client.index);
    assert_continuous(client, mindex, 0)
}
