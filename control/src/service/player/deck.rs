//! All players and their common beat, without a clock or a thread of their own.

use super::track::{Piece, Track, TrackError, codec};
use super::{BEAT, MAX_PLAYERS};
use bifrons_core::media::{IngestId, MediaKind};
use bifrons_core::plugin::{PlayerSetup, ServiceCommand, ServiceEvent, ServiceId, ServiceMedium};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// RTP's fixed header (RFC 3550 §5.1).
const HEADER: usize = 12;

/// A beat that is later than this is not made up for: media would come in a burst.
const LATEST: Duration = Duration::from_millis(500);

/// Where packets of a beat go.
pub(super) trait Outlet {
    /// Takes one packet for an ingest.
    fn send(&mut self, ingest: IngestId, packet: &[u8]);
}

/// One file and the numbers its packets leave with.
struct Player {
    track: Track,
    ingest: IngestId,
    pt: u8,
    seq: u16,
    timestamp: u32,
    ssrc: u32,
    plays: bool,
    /// What was sent begins here or later, in µs after the beat; below 0 a packet is due.
    ahead_us: i64,
    /// The next packet is the first after a pause.
    begins: bool,
}

impl Player {
    /// Sends what is due at this beat.
    fn beat(&mut self, outlet: &mut dyn Outlet) -> Result<(), TrackError> {
        self.ahead_us -= BEAT.as_micros() as i64;
        while self.ahead_us < 0 {
            let piece = self.track.take()?;
            self.ahead_us += i64::from(piece.duration_us);
            outlet.send(self.ingest, &self.packet(&piece));
        }
        Ok(())
    }

    /// The piece as RTP; the marker tells where a talk spurt begins (RFC 3551 §4.1).
    fn packet(&mut self, piece: &Piece) -> Vec<u8> {
        let marker = if std::mem::take(&mut self.begins) { 0x80 } else { 0 };
        let mut packet = Vec::with_capacity(HEADER + piece.payload.len());
        packet.extend([0x80, marker | self.pt]);
        packet.extend(self.seq.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(&piece.payload);
        self.seq = self.seq.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(piece.ticks);
        packet
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Deck {
    players: BTreeMap<ServiceId, Player>,
    /// When the next beat is; `None` while nobody plays.
    next: Option<Instant>,
}

impl Deck {
    /// Opens a file; it stands still. `random` gives the numbers that RTP wants unpredictable.
    pub(super) fn start(
        &mut self,
        service: ServiceId,
        setup: &PlayerSetup,
        random: u64,
    ) -> ServiceEvent {
        let opened = match self.players.len() < MAX_PLAYERS {
            true => Track::open(&setup.path, setup.format).map_err(|error| error.to_string()),
            false => Err(format!("{MAX_PLAYERS} files are being played already")),
        };
        let track = match opened {
            Ok(track) => track,
            Err(why) => return failed(&setup.path.display().to_string(), &why),
        };
        let (codec, pt) = codec(setup.format);
        let player = Player {
            track,
            ingest: setup.ingest,
            pt,
            seq: random as u16,
            timestamp: (random >> 16) as u32,
            ssrc: (random >> 32) as u32,
            plays: false,
            ahead_us: 0,
            begins: true,
        };
        self.players.insert(service, player);
        let medium = ServiceMedium {
            kind: MediaKind::Audio,
            ingest: setup.ingest,
            codec: Some(codec),
            rtpmap: codec.rtpmap().to_owned(),
            pt,
            clock_hz: codec.clock_rate(),
            fmtp: None,
        };
        ServiceEvent::Described { media: vec![medium] }
    }

    /// Lets a file play or stand still.
    pub(super) fn tell(&mut self, service: ServiceId, command: ServiceCommand, now: Instant) {
        let Some(player) = self.players.get_mut(&service) else { return };
        let plays = command == ServiceCommand::Resume;
        player.begins |= plays && !player.plays;
        player.plays = plays;
        if !self.players.values().any(|player| player.plays) {
            self.next = None;
        } else if self.next.is_none() {
            self.next = Some(now);
        }
    }

    /// Forgets a file.
    pub(super) fn stop(&mut self, service: ServiceId) {
        self.players.remove(&service);
        if !self.players.values().any(|player| player.plays) {
            self.next = None;
        }
    }

    /// Whose files it has.
    pub(super) fn services(&self) -> impl Iterator<Item = ServiceId> {
        self.players.keys().copied()
    }

    /// When the next beat is.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Plays what is due by now, one beat for each [`BEAT`] that passed since the last, so that the
    /// pace does not drift. What failed is forgotten, and comes back with its last event.
    pub(super) fn play(
        &mut self,
        now: Instant,
        outlet: &mut dyn Outlet,
    ) -> Vec<(ServiceId, ServiceEvent)> {
        let mut ended = Vec::new();
        while let Some(at) = self.next.filter(|at| *at <= now) {
            let late = now.saturating_duration_since(at) > LATEST;
            self.next = Some(if late { now + BEAT } else { at + BEAT });
            for (service, player) in self.players.iter_mut().filter(|(_, player)| player.plays) {
                if let Err(error) = player.beat(outlet) {
                    ended.push((*service, failed("the file", &error.to_string())));
                }
            }
            for (service, _) in &ended {
                self.stop(*service);
            }
        }
        ended
    }
}

fn failed(what: &str, why: &str) -> ServiceEvent {
    let mut text = format!("{what}: {why}");
    super::shorten(&mut text);
    ServiceEvent::Failed { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bifrons_core::plugin::PlayerFormat;
    use std::path::PathBuf;

    #[derive(Default)]
    struct Kept(Vec<Vec<u8>>);

    impl Outlet for Kept {
        fn send(&mut self, _: IngestId, packet: &[u8]) {
            self.0.push(packet.to_vec());
        }
    }

    const ONE: ServiceId = ServiceId(1);

    fn setup(name: &str, content: &[u8]) -> PlayerSetup {
        let name = format!("bifrons-deck-{}-{name}", std::process::id());
        let path: PathBuf = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        let ingest = IngestId { shard: 0, number: 1 };
        PlayerSetup { path, format: PlayerFormat::Mulaw, ingest }
    }

    fn seq_and_time(packet: &[u8]) -> (u16, u32) {
        let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        (word(2), u32::from(word(4)) << 16 | u32::from(word(6)))
    }

    #[test]
    fn a_beat_late_or_not_gives_fifty_packets_a_second() {
        let (mut deck, mut kept) = (Deck::default(), Kept::default());
        let begin = Instant::now();
        let setup = setup("pace", &[9; 1000]);
        assert!(matches!(deck.start(ONE, &setup, 7), ServiceEvent::Described { .. }));
        assert_eq!(deck.next(), None, "it begins paused");
        deck.tell(ONE, ServiceCommand::Resume, begin);
        // A thread that oversleeps each beat by up to 9 ms.
        for beat in 0u64..100 {
            let now = begin + Duration::from_millis(beat * 20 + beat * 7 % 10);
            assert!(deck.play(now, &mut kept).is_empty());
        }
        assert_eq!(kept.0.len(), 100);
        for (number, packet) in kept.0.iter().enumerate() {
            assert_eq!(seq_and_time(packet), (7 + number as u16, 160 * number as u32));
            assert_eq!(packet[1], if number == 0 { 0x80 } else { 0 });
        }
        std::fs::remove_file(setup.path).unwrap();
    }

    #[test]
    fn a_paused_file_stands_still_and_goes_on_where_it_was() {
        let (mut deck, mut kept) = (Deck::default(), Kept::default());
        let (begin, setup) = (Instant::now(), setup("pause", &(0..=255).collect::<Vec<u8>>()));
        deck.start(ONE, &setup, 0);
        deck.tell(ONE, ServiceCommand::Resume, begin);
        deck.play(begin, &mut kept);
        deck.tell(ONE, ServiceCommand::Pause, begin);
        assert_eq!(deck.next(), None);
        let later = begin + Duration::from_secs(9);
        deck.tell(ONE, ServiceCommand::Resume, later);
        deck.play(later, &mut kept);
        assert_eq!(kept.0.len(), 2);
        assert_eq!(seq_and_time(&kept.0[1]), (1, 160));
        assert_eq!(kept.0[1][HEADER], 160);
        std::fs::remove_file(setup.path).unwrap();
    }

    #[test]
    fn a_long_stall_is_not_made_up_for() {
        let (mut deck, mut kept) = (Deck::default(), Kept::default());
        let (begin, setup) = (Instant::now(), setup("stall", &[1; 320]));
        deck.start(ONE, &setup, 0);
        deck.tell(ONE, ServiceCommand::Resume, begin);
        deck.play(begin, &mut kept);
        deck.play(begin + Duration::from_millis(100), &mut kept);
        assert_eq!(kept.0.len(), 6, "a short one is");
        deck.play(begin + Duration::from_secs(60), &mut kept);
        assert_eq!(kept.0.len(), 7);
        std::fs::remove_file(setup.path).unwrap();
    }

    #[test]
    fn a_file_that_is_emptied_ends_its_player() {
        let (mut deck, mut kept) = (Deck::default(), Kept::default());
        let (begin, setup) = (Instant::now(), setup("emptied", &[1; 160]));
        deck.start(ONE, &setup, 0);
        std::fs::write(&setup.path, b"").unwrap();
        deck.tell(ONE, ServiceCommand::Resume, begin);
        let ended = deck.play(begin + BEAT, &mut kept);
        assert!(matches!(&ended[..], [(ONE, ServiceEvent::Failed { .. })]), "{ended:?}");
        assert_eq!(deck.next(), None);
        std::fs::remove_file(setup.path).unwrap();
    }
}
