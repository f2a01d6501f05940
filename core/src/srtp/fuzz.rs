//! The fuzz entry: any bytes as a protected packet under each profile, and as a plain one that is
//! sealed and opened again.

use super::{MasterKey, OpenKey, ReplayWindow, RtpIndex, SealKey, SrtpError, SrtpProfile};
use crate::rtp::{Layout, MAX_PACKET};
use std::sync::LazyLock;

static KEYS: LazyLock<Vec<(SealKey, OpenKey)>> = LazyLock::new(|| {
    let key = |profile: SrtpProfile| {
        let bytes: Vec<u8> = (0..32).collect();
        let (key, salt) = (&bytes[..profile.key_len()], &bytes[..profile.salt_len()]);
        let master = MasterKey::new(profile, key, salt).expect("lengths are the profile's");
        let seal = SealKey::new(&master).expect("lengths are the profile's");
        (seal, OpenKey::new(&master).expect("lengths are the profile's"))
    };
    SrtpProfile::PREFERENCE.into_iter().map(key).collect()
});

/// Opens `data` as RTP and RTCP, then seals and opens it.
///
/// # Panics
/// When a refused packet moved the replay window, or a sealed packet does not open as what it was.
pub fn fuzz_srtp_open(data: &[u8]) {
    for (seal, open) in KEYS.iter() {
        let mut state = RtpIndex::new();
        if open.open_rtp(&mut data.to_vec(), &mut state).is_err() {
            assert_eq!(state.highest(), None);
        }
        let mut window = ReplayWindow::new();
        if open.open_rtcp(&mut data.to_vec(), &mut window).is_err() {
            assert_eq!(window.highest(), None);
        }
        there_and_back(seal, open, data);
    }
}

fn there_and_back(seal: &SealKey, open: &OpenKey, data: &[u8]) {
    let tag = seal.profile().rtp_tag_len();
    let mut buf = data.to_vec();
    buf.resize(data.len() + 20, 0);
    if let Ok(layout) = Layout::of_header(data)
        && data.len() + tag <= MAX_PACKET
    {
        let index = u64::from(u16::from_be_bytes([data[2], data[3]]));
        let n = seal
            .seal_rtp_in_place(index, &mut buf, layout.header_len(), data.len())
            .expect("room and a matching index");
        let mut state = RtpIndex::new();
        let opened = open.open_rtp(&mut buf[..n], &mut state).expect("what we sealed");
        assert_eq!((&buf[..opened.len], opened.index), (data, index));
    }
    buf[..data.len()].copy_from_slice(data);
    match seal.seal_rtcp(7, &mut buf, data.len()) {
        Ok(n) if n <= MAX_PACKET => {
            let mut window = ReplayWindow::new();
            let opened = open.open_rtcp(&mut buf[..n], &mut window).expect("what we sealed");
            assert_eq!(&buf[..opened.len], data);
            let replayed = open.open_rtcp(&mut buf[..n].to_vec(), &mut window);
            assert!(replayed.is_err());
        }
        Ok(_) => {}
        Err(error) => {
            assert!(matches!(error, SrtpError::TooShort | SrtpError::NotRtcp), "{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_hold(
            first in prop_oneof![Just(0x80u8), Just(0x90), any::<u8>()],
            mut data in proptest::collection::vec(any::<u8>(), 1..1600)
        ) {
            data[0] = first;
            fuzz_srtp_open(&data);
        }
    }
}
