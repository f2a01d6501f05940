//! Messages of data channels as datagrams, and back.
//!
//! Between servers a message follows a header of 12 bytes that looks like RTP's: version 2, payload
//! type 0 for text and 1 for binary, the stream's SSRC, zeros else (plugin-videoroom §9.2). Anywhere
//! else a datagram is the message.

use super::Feed;
use bifrons_core::media::{Carries, DataKind, MessageRule};
use bifrons_core::rtp::Ssrc;

/// Bytes of the header between servers.
const HEADER: usize = 12;
/// The longest datagram between servers; what is longer is cut.
const MAX_BETWEEN: usize = 1500;
/// The longest datagram there is (over IPv4).
const MAX_DATAGRAM: usize = 65_507;
/// Payload type of binary; text has 0.
const BINARY: u8 = 1;

/// The datagram of a message: bare, or with an SSRC behind a header. `None` when it is too long for
/// one.
pub fn datagram_len(ssrc: Option<Ssrc>, message: &[u8]) -> Option<usize> {
    match ssrc {
        Some(_) => Some((HEADER + message.len()).min(MAX_BETWEEN)),
        None => (message.len() <= MAX_DATAGRAM && !message.is_empty()).then_some(message.len()),
    }
}

/// Writes that datagram; `out` is as long as [`datagram_len`] says.
pub fn write_datagram(out: &mut [u8], ssrc: Option<Ssrc>, kind: DataKind, message: &[u8]) {
    let body = match (ssrc, out.split_first_chunk_mut::<HEADER>()) {
        (Some(Ssrc(ssrc)), Some((header, body))) => {
            *header = [0; HEADER];
            header[0] = 0x80;
            header[1] = if kind == DataKind::Binary { BINARY } else { 0 };
            header[8..].copy_from_slice(&ssrc.to_be_bytes());
            body
        }
        _ => out,
    };
    let len = body.len().min(message.len());
    body[..len].copy_from_slice(&message[..len]);
}

/// Whether a datagram is for this data feed.
pub fn is_for(feed: &Feed, datagram: &[u8]) -> bool {
    match feed.carries {
        Carries::Layer(_) => true,
        Carries::Ssrcs(base) => ssrc_of(datagram) == Some(base),
        Carries::Rtcp => false,
    }
}

/// The message of a datagram that is for such a feed; `None` when there is none in it.
pub fn read_datagram(
    carries: Carries,
    rule: MessageRule,
    datagram: &[u8],
) -> Option<(DataKind, &[u8])> {
    let (kind, message) = match carries {
        Carries::Layer(_) => (rule.kind, datagram),
        Carries::Ssrcs(_) => {
            let (header, message) = datagram.split_first_chunk::<HEADER>()?;
            let binary = header[1] & 0x7F == BINARY;
            (if binary { DataKind::Binary } else { DataKind::Text }, message)
        }
        Carries::Rtcp => return None,
    };
    // Behind a header an empty message is one; without there was nothing at all.
    (!message.is_empty() || matches!(carries, Carries::Ssrcs(_))).then_some((kind, message))
}

fn ssrc_of(datagram: &[u8]) -> Option<Ssrc> {
    let word = datagram.get(8..HEADER)?.first_chunk::<4>()?;
    Some(Ssrc(u32::from_be_bytes(*word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(ssrc: Option<Ssrc>, kind: DataKind, message: &[u8]) -> Vec<u8> {
        let mut out = vec![0xFF; datagram_len(ssrc, message).expect("fits")];
        write_datagram(&mut out, ssrc, kind, message);
        out
    }

    #[test]
    fn what_is_written_between_servers_is_read_there() {
        let base = Ssrc(1020);
        let feed = Feed { ingest: 0, carries: Carries::Ssrcs(base) };
        for (kind, message) in [
            (DataKind::Text, "grüß dich".as_bytes()),
            (DataKind::Binary, &[0, 255]),
            (DataKind::Binary, &[]),
        ] {
            let datagram = written(Some(base), kind, message);
            assert_eq!(datagram[..2], [0x80, u8::from(kind == DataKind::Binary)]);
            assert!(is_for(&feed, &datagram));
            let read = read_datagram(feed.carries, MessageRule::default(), &datagram);
            assert_eq!(read, Some((kind, message)));
        }
        let other = written(Some(Ssrc(1010)), DataKind::Text, b"x");
        assert!(!is_for(&feed, &other) && !is_for(&feed, b"short"));
        assert_eq!(written(Some(base), DataKind::Text, &[7; 3000]).len(), 1500);
    }

    #[test]
    fn elsewhere_a_datagram_is_the_message() {
        let (carries, rule) = (Carries::Layer(0), MessageRule::default());
        assert_eq!(written(None, DataKind::Binary, b"abc"), b"abc");
        assert_eq!(read_datagram(carries, rule, b"abc"), Some((DataKind::Text, &b"abc"[..])));
        assert_eq!(read_datagram(carries, rule, b""), None);
        let rule = MessageRule { kind: DataKind::Binary, ..rule };
        assert_eq!(read_datagram(carries, rule, b"a"), Some((DataKind::Binary, &b"a"[..])));
        assert_eq!(datagram_len(None, &vec![0; 65_508]), None);
        assert_eq!(datagram_len(None, &[]), None);
    }
}
