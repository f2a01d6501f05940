//! Writes compound packets part by part into the caller's slice. A part that does not fit leaves
//! what was written as it is, so that the caller can send it and go on in the next packet.

use super::feedback::{nack_entries, remb_bitrate};
use super::{ReportBlock, RtcpError, SenderInfo, packet_type};
use crate::rtp::{Seq, Ssrc};

/// Most report blocks in one report (RFC 3550 §6.4.1: a five-bit count).
const MAX_BLOCKS: usize = 31;

/// A compound packet under construction.
#[derive(Debug)]
pub struct CompoundWriter<'a> {
    out: &'a mut [u8],
    len: usize,
}

/// One part under construction; its header is written when it is closed.
struct Part<'w, 'a> {
    writer: &'w mut CompoundWriter<'a>,
    at: usize,
    full: bool,
}

impl Part<'_, '_> {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        match self.writer.out.get_mut(self.at..end) {
            Some(slot) if !self.full => {
                slot.copy_from_slice(bytes);
                self.at = end;
            }
            _ => self.full = true,
        }
    }

    fn word(&mut self, w: u32) {
        self.put(&w.to_be_bytes());
    }

    fn ssrc(&mut self, ssrc: Ssrc) {
        self.word(ssrc.0);
    }

    /// Fills up to a word, writes the header, makes the part count.
    fn close(mut self, packet_type: u8, count: u8) -> Result<(), RtcpError> {
        let start = self.writer.len;
        let fill = (self.at - start).next_multiple_of(4) - (self.at - start);
        self.put(&[0; 3][..fill]);
        if self.full {
            return Err(RtcpError::NoRoom);
        }
        let words = ((self.at - start) / 4 - 1) as u16;
        let [hi, lo] = words.to_be_bytes();
        let head = self.writer.out.get_mut(start..start + 4).ok_or(RtcpError::NoRoom)?;
        head.copy_from_slice(&[0x80 | count & 0x1F, packet_type, hi, lo]);
        self.writer.len = self.at;
        Ok(())
    }
}

impl<'a> CompoundWriter<'a> {
    /// An empty compound in `out`.
    #[must_use]
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// Bytes written so far: the packet is `out[..len]`.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn part(&mut self) -> Part<'_, 'a> {
        let at = self.len + 4;
        Part { writer: self, at, full: false }
    }

    /// Adds a sender report with at most 31 blocks; more are left out.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`].
    pub fn sender_report(
        &mut self,
        sender: Ssrc,
        info: &SenderInfo,
        blocks: &[ReportBlock],
    ) -> Result<(), RtcpError> {
        let mut part = self.part();
        part.ssrc(sender);
        part.put(&info.ntp.0.to_be_bytes());
        part.word(info.rtp_timestamp);
        part.word(info.packets);
        part.word(info.octets);
        let blocks = &blocks[..blocks.len().min(MAX_BLOCKS)];
        for block in blocks {
            part.put(&block.to_bytes());
        }
        part.close(packet_type::SR, blocks.len() as u8)
    }

    /// Adds a receiver report with at most 31 blocks; more are left out.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`].
    pub fn receiver_report(
        &mut self,
        sender: Ssrc,
        blocks: &[ReportBlock],
    ) -> Result<(), RtcpError> {
        let mut part = self.part();
        part.ssrc(sender);
        let blocks = &blocks[..blocks.len().min(MAX_BLOCKS)];
        for block in blocks {
            part.put(&block.to_bytes());
        }
        part.close(packet_type::RR, blocks.len() as u8)
    }

    /// Adds a source description with the canonical name only, cut at 255 bytes.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`].
    pub fn sdes_cname(&mut self, ssrc: Ssrc, cname: &str) -> Result<(), RtcpError> {
        let name = &cname.as_bytes()[..cname.len().min(255)];
        let mut part = self.part();
        part.ssrc(ssrc);
        part.put(&[1, name.len() as u8]);
        part.put(name);
        part.put(&[0]);
        part.close(packet_type::SDES, 1)
    }

    /// Adds a goodbye of one source.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`].
    pub fn bye(&mut self, ssrc: Ssrc) -> Result<(), RtcpError> {
        let mut part = self.part();
        part.ssrc(ssrc);
        part.close(packet_type::BYE, 1)
    }

    /// Adds a NACK for `seqs`, which must ascend (modulo wrap) to pack well; an empty list adds
    /// nothing.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`]; then none of the list was written.
    pub fn nack(
        &mut self,
        sender: Ssrc,
        media: Ssrc,
        seqs: impl IntoIterator<Item = Seq>,
    ) -> Result<(), RtcpError> {
        let mut part = self.part();
        part.ssrc(sender);
        part.ssrc(media);
        let before = part.at;
        nack_entries(seqs.into_iter(), |first, mask| {
            part.word(u32::from(first) << 16 | u32::from(mask));
            !part.full
        });
        if part.at == before && !part.full {
            return Ok(());
        }
        part.close(packet_type::RTPFB, 1)
    }

    /// Adds a picture loss indication, 12 bytes.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`].
    pub fn pli(&mut self, sender: Ssrc, media: Ssrc) -> Result<(), RtcpError> {
        let mut part = self.part();
        part.ssrc(sender);
        part.ssrc(media);
        part.close(packet_type::PSFB, 1)
    }

    /// Adds a full intra request, 20 bytes. `seqnr` runs up by one with each new request.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`].
    pub fn fir(&mut self, sender: Ssrc, media: Ssrc, seqnr: u8) -> Result<(), RtcpError> {
        let mut part = self.part();
        part.ssrc(sender);
        part.word(0);
        part.ssrc(media);
        part.put(&[seqnr, 0, 0, 0]);
        part.close(packet_type::PSFB, 4)
    }

    /// Adds a REMB about at most 255 sources.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`].
    pub fn remb(
        &mut self,
        sender: Ssrc,
        bitrate_bps: u64,
        sources: &[Ssrc],
    ) -> Result<(), RtcpError> {
        let sources = &sources[..sources.len().min(255)];
        let mut part = self.part();
        part.ssrc(sender);
        part.word(0);
        part.put(b"REMB");
        part.word((sources.len() as u32) << 24 | remb_bitrate(bitrate_bps));
        for &ssrc in sources {
            part.ssrc(ssrc);
        }
        part.close(packet_type::PSFB, 15)
    }

    /// Adds a part whose body is already composed: 4-byte words after the header.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`].
    pub fn raw(&mut self, packet_type: u8, count: u8, body: &[u8]) -> Result<(), RtcpError> {
        let mut part = self.part();
        part.put(body);
        part.close(packet_type, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Compound, FirEntry, NtpTime, Rtcp};
    use proptest::prelude::*;

    fn info() -> SenderInfo {
        SenderInfo { ntp: NtpTime(0x1234_5678_9ABC_DEF0), rtp_timestamp: 1, packets: 2, octets: 3 }
    }

    fn block(n: u32) -> ReportBlock {
        ReportBlock { ssrc: Ssrc(n), lost: -5, highest_seq: n, jitter: 7, ..Default::default() }
    }

    #[test]
    fn webrtc_51_compound_of_reports_and_cname_reads_back() {
        let mut out = [0; 1200];
        let mut w = CompoundWriter::new(&mut out);
        w.sender_report(Ssrc(1), &info(), &[block(10), block(11)]).unwrap();
        w.sdes_cname(Ssrc(1), "janus").unwrap();
        w.receiver_report(Ssrc(2), &[block(12)]).unwrap();
        w.receiver_report(Ssrc(0), &[]).unwrap();
        w.bye(Ssrc(3)).unwrap();
        let len = w.len();
        let c = Compound::parse(&out[..len]).unwrap();
        let mut parts = c.parts();
        let Some(Rtcp::SenderReport(sr)) = parts.next() else { panic!() };
        assert_eq!((sr.sender, sr.info), (Ssrc(1), info()));
        assert_eq!(sr.blocks().collect::<Vec<_>>(), [block(10), block(11)]);
        let Some(Rtcp::Sdes(sdes)) = parts.next() else { panic!() };
        assert_eq!(sdes.chunks().next().unwrap().cname, Some(&b"janus"[..]));
        let Some(Rtcp::ReceiverReport(rr)) = parts.next() else { panic!() };
        assert_eq!(rr.blocks().collect::<Vec<_>>(), [block(12)]);
        let Some(Rtcp::ReceiverReport(rr)) = parts.next() else { panic!() };
        assert_eq!((rr.sender, rr.blocks().len()), (Ssrc(0), 0));
        let Some(Rtcp::Bye(bye)) = parts.next() else { panic!() };
        assert_eq!(bye.sources().collect::<Vec<_>>(), [Ssrc(3)]);
        assert!(parts.next().is_none());
    }

    #[test]
    fn feedback_has_the_documented_sizes_and_reads_back() {
        let mut out = [0; 200];
        let mut w = CompoundWriter::new(&mut out);
        w.pli(Ssrc(1), Ssrc(2)).unwrap();
        assert_eq!(w.len(), 12);
        w.fir(Ssrc(1), Ssrc(2), 9).unwrap();
        assert_eq!(w.len(), 32);
        w.remb(Ssrc(1), 1_500_000, &[Ssrc(5), Ssrc(6)]).unwrap();
        w.nack(Ssrc(1), Ssrc(2), []).unwrap();
        assert_eq!(w.len(), 60);
        w.nack(Ssrc(1), Ssrc(2), [65_535, 3, 100].map(Seq)).unwrap();
        let len = w.len();
        let c = Compound::parse(&out[..len]).unwrap();
        let mut parts = c.parts();
        let Some(Rtcp::Pli(pli)) = parts.next() else { panic!() };
        assert_eq!((pli.sender, pli.media), (Ssrc(1), Ssrc(2)));
        let Some(Rtcp::Fir(fir)) = parts.next() else { panic!() };
        assert_eq!(fir.entries().collect::<Vec<_>>(), [FirEntry { media: Ssrc(2), seqnr: 9 }]);
        let Some(Rtcp::Remb(remb)) = parts.next() else { panic!() };
        assert_eq!(remb.bitrate_bps, 1_500_000);
        assert_eq!(remb.sources().collect::<Vec<_>>(), [Ssrc(5), Ssrc(6)]);
        let Some(Rtcp::Nack(nack)) = parts.next() else { panic!() };
        assert_eq!(nack.seqs().collect::<Vec<_>>(), [65_535, 3, 100].map(Seq));
    }

    #[test]
    fn a_part_that_does_not_fit_leaves_the_rest_alone() {
        let mut out = [0; 30];
        let mut w = CompoundWriter::new(&mut out);
        w.pli(Ssrc(1), Ssrc(2)).unwrap();
        assert_eq!(w.fir(Ssrc(1), Ssrc(2), 1), Err(RtcpError::NoRoom));
        assert_eq!(w.nack(Ssrc(1), Ssrc(2), [1, 100, 200].map(Seq)), Err(RtcpError::NoRoom));
        assert_eq!(w.sdes_cname(Ssrc(1), "a name too long"), Err(RtcpError::NoRoom));
        assert_eq!(w.len(), 12);
        w.nack(Ssrc(1), Ssrc(2), [Seq(1)]).unwrap();
        assert_eq!(w.len(), 28);
        assert!(Compound::parse(&out[..28]).is_ok());
    }

    proptest! {
        #[test]
        fn any_ascending_nack_list_reads_back(start: u16, steps in proptest::collection::vec(1u16..40, 1..150)) {
            let seqs: Vec<Seq> = steps
                .iter()
                .scan(start, |at, step| { *at = at.wrapping_add(*step); Some(Seq(*at)) })
                .collect();
            let mut out = [0; 1200];
            let mut w = CompoundWriter::new(&mut out);
            w.nack(Ssrc(1), Ssrc(2), seqs.iter().copied()).unwrap();
            let len = w.len();
            let c = Compound::parse(&out[..len]).unwrap();
            let Some(Rtcp::Nack(nack)) = c.parts().next() else { panic!() };
            prop_assert_eq!(nack.seqs().collect::<Vec<_>>(), seqs);
        }
    }
}
