//! The fuzz entry: any batch of packets, sealed by every kernel of this CPU as by the scalar path.

use super::{Job, Kernel, Run, SenderKey};
use bifrons_core::srtp::{MasterKey, SrtpProfile};

/// Bytes between two packets' starts.
const STRIDE: usize = 1920;
/// Packets of a batch at most.
const MOST: usize = 48;

fn key(profile: SrtpProfile, seed: u8, kernel: Kernel) -> SenderKey {
    let bytes: Vec<u8> = (0..46).map(|n: u8| n.wrapping_mul(seed | 1) ^ seed).collect();
    let (key, salt) = (&bytes[..profile.key_len()], &bytes[32..32 + profile.salt_len()]);
    let master = MasterKey::new(profile, key, salt).expect("lengths are the profile's");
    SenderKey::new(&master, kernel).expect("a checked key")
}

/// One packet as three bytes say it: header words, length of the text, whether it lies in place
/// and begins a new run.
struct Packet {
    header_len: usize,
    text: Vec<u8>,
    in_place: bool,
    new_run: bool,
    index: u64,
}

fn packets(data: &[u8]) -> Vec<Packet> {
    let chunks = data.as_chunks::<3>().0.iter().take(MOST);
    let packet = |(n, &[shape, high, low]): (usize, &[u8; 3])| {
        let len = usize::from(u16::from_be_bytes([high, low])) % 1501;
        Packet {
            header_len: (12 + usize::from(shape & 31)).min(1880 - len),
            text: (0..len).map(|at| (at * 7 + n) as u8 ^ low).collect(),
            in_place: shape & 0x40 != 0,
            new_run: shape & 0x80 != 0,
            index: (u64::from(low) << 40 | u64::from(high) << 16) + n as u64,
        }
    };
    chunks.enumerate().map(packet).collect()
}

fn header(packet: &Packet) -> Vec<u8> {
    let mut header: Vec<u8> = (0..packet.header_len as u8).map(|n| n.wrapping_mul(37)).collect();
    header[2..4].copy_from_slice(&(packet.index as u16).to_be_bytes());
    header
}

/// Seals `data`, read as a batch, with every kernel and compares packet by packet with the scalar
/// path; what lies between packets must stay as it was.
///
/// # Panics
/// When a byte differs.
pub fn fuzz_seal(data: &[u8]) {
    for kernel in Kernel::available() {
        let wrong = first_wrong(kernel, data);
        assert_eq!(wrong, None, "{kernel:?} differs in this packet of {}", data.len() / 3);
    }
}

/// Whether the kernel seals a batch of every cipher, with ragged groups and odd lengths, as the
/// scalar path does.
pub(super) fn is_right(kernel: Kernel) -> bool {
    let lengths = [1200, 1200, 1193, 160, 160, 1, 0, 16, 333, 97, 1499, 64];
    let shape = |n: usize| 0x80 | (n % 20) as u8 | (n as u8 & 1) << 6;
    let packet = |n: usize| (shape(n), u16::to_be_bytes(lengths[n * 5 % lengths.len()]));
    let batch: Vec<u8> = (0..MOST).map(packet).flat_map(|(s, [a, b])| [s, a, b]).collect();
    first_wrong(kernel, &batch).is_none()
}

/// The first packet of a batch that is not sealed as by the scalar path, or written past.
fn first_wrong(kernel: Kernel, data: &[u8]) -> Option<usize> {
    let packets = packets(data);
    let mut room = vec![0xA5; (packets.len() + 1) * STRIDE];
    let (mut jobs, mut owners) = (Vec::new(), Vec::new());
    for (n, packet) in packets.iter().enumerate() {
        let at = n * STRIDE;
        let body = at + packet.header_len;
        room[at..body].copy_from_slice(&header(packet));
        if packet.in_place {
            room[body..body + packet.text.len()].copy_from_slice(&packet.text);
        }
        let text = (!packet.in_place).then_some(packet.text.as_slice());
        let len = packet.text.len();
        jobs.push(Job { at, header_len: packet.header_len, len, text, index: packet.index });
        let owner = owners.last().copied().unwrap_or(0);
        owners.push(owner + usize::from(packet.new_run));
    }
    let most = owners.last().map_or(0, |&last| last + 1);
    let keys: Vec<SenderKey> =
        (0..most).map(|n| key(SrtpProfile::PREFERENCE[n * 7 / 3 % 4], n as u8, kernel)).collect();
    let mut runs: Vec<Run<'_>> = Vec::new();
    for (n, &owner) in owners.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if n > 0 && owners[n - 1] == owner => run.jobs.end = n + 1,
            _ => runs.push(Run { key: &keys[owner], jobs: n..n + 1 }),
        }
    }
    kernel.seal(&mut room, &jobs, &runs).expect("every packet fits");
    packets.iter().zip(&owners).enumerate().position(|(n, (packet, &owner))| {
        let mut want = vec![0xA5; STRIDE];
        want[..packet.header_len].copy_from_slice(&header(packet));
        let scalar = keys[owner].scalar();
        let len = scalar
            .seal_rtp(packet.index, &mut want, packet.header_len, &packet.text)
            .expect("every packet fits");
        // The scalar path may have used the room behind; the kernel must not.
        want[len..].fill(0xA5);
        room[n * STRIDE..][..STRIDE] != want
    })
}
