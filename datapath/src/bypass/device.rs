//! What a device's driver can do, asked by `ioctl(SIOCETHTOOL)` at start and when a device changes.

use socket2::{Domain, Socket, Type};
use std::os::fd::AsRawFd;

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const GSTRINGS: u32 = 0x1b;
const GSSET_INFO: u32 = 0x37;
const GFEATURES: u32 = 0x3a;
/// `ETH_SS_FEATURES`
const FEATURES: u32 = 4;
/// Bytes of a feature's name.
const NAME: usize = 32;
/// Features there may be at most; kernels of today have some seventy.
const MOST: usize = 512;

/// Whether `device` cuts UDP trains by itself (`ethtool -k`: `tx-udp-segmentation: on`). False, too,
/// where that cannot be learned.
pub(crate) fn segments_udp(device: &str) -> bool {
    is_on(device, b"tx-udp-segmentation").unwrap_or(false)
}

fn is_on(device: &str, feature: &[u8]) -> Option<bool> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).ok()?;
    let count = count(&socket, device)?;
    // Command, string set, their number; then the names.
    let mut names = vec![0u32; 3 + count * NAME / 4];
    (names[0], names[1], names[2]) = (GSTRINGS, FEATURES, count as u32);
    call(&socket, device, &mut names)?;
    let mut bytes = names.iter().skip(3).flat_map(|word| word.to_ne_bytes());
    let at = (0..count).find(|_| {
        let name: Vec<u8> = bytes.by_ref().take(NAME).collect();
        name.split(|byte| *byte == 0).next() == Some(feature)
    })?;
    // Command, number of blocks; then of each 32 features: available, requested, active, fixed.
    let blocks = count.div_ceil(32);
    let mut features = vec![0u32; 2 + 4 * blocks];
    (features[0], features[1]) = (GFEATURES, blocks as u32);
    call(&socket, device, &mut features)?;
    let active = features.get(2 + 4 * (at / 32) + 2)?;
    Some(active >> (at % 32) & 1 == 1)
}

/// How many features the kernel knows by name.
fn count(socket: &Socket, device: &str) -> Option<usize> {
    // Command, padding, a mask of 64 bits, and the count it is answered with.
    let mut info = [0u32; 5];
    info[0] = GSSET_INFO;
    let mask = (1u64 << FEATURES).to_ne_bytes();
    info[2] = u32::from_ne_bytes([mask[0], mask[1], mask[2], mask[3]]);
    info[3] = u32::from_ne_bytes([mask[4], mask[5], mask[6], mask[7]]);
    call(socket, device, &mut info)?;
    Some(info[4] as usize).filter(|count| (1..=MOST).contains(count))
}

/// One request; `data` starts with the command and is as long as the kernel's answer to it.
fn call(socket: &Socket, device: &str, data: &mut [u32]) -> Option<()> {
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if device.len() >= request.ifr_name.len() {
        return None;
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *place = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_data = data.as_mut_ptr().cast();
    // SAFETY: the request names a device by a terminated string and points to `data`, which the
    // callers made as long as what the kernel reads and writes for their command: five words for the
    // count, the header and `count` names, the header and the blocks that it says it has.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    (done == 0).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_segments_and_what_is_not_there_does_not() {
        assert_eq!(is_on("lo", b"tx-udp-segmentation"), Some(true));
        assert_eq!(is_on("lo", b"no-such-feature"), None);
        assert!(!segments_udp("no-such-dev"));
        assert!(!segments_udp("a-name-that-is-longer-than-names-are"));
    }
}
