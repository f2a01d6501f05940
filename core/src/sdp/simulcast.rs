//! Simulcast as offered by a peer (`webrtc-behaviour` §5, §9): rids or SSRC groups, and what of
//! it the answer mirrors. The server never sends simulcast itself.

use super::attribute::{GroupKind, MAX_RIDS};
use super::model::{Media, Sdp};
use crate::media::Mindex;
use crate::rtp::{Extension, Ssrc};

/// In which order a client lists its rids (`rid_order`, `core-api` §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RidOrder {
    /// `hml`: from high to low.
    #[default]
    HighToLow,
    /// `lmh`: from low to high.
    LowToHigh,
}

impl RidOrder {
    /// The order of an API value; anything but `lmh` is `hml`.
    #[must_use]
    pub fn from_api(value: &str) -> Self {
        if value == "lmh" { Self::LowToHigh } else { Self::HighToLow }
    }
}

/// The layers of one simulcast line, as the plugin is told (`core-api` §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimulcastStreams {
    /// Layers told apart by rid.
    Rids {
        /// 1 to 3 rids, from high to low.
        rids: Vec<String>,
        /// Id of the rid header extension.
        extension_id: u8,
    },
    /// Layers told apart by SSRC: 2 or 3, from low to high as in `a=ssrc-group:SIM`.
    Ssrcs(Vec<Ssrc>),
}

/// A line on which a peer offers simulcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulcastOffer {
    /// Index of the m-line.
    pub mindex: Mindex,
    /// Its mid, or the index as text.
    pub mid: String,
    /// Its layers.
    pub streams: SimulcastStreams,
}

impl SimulcastOffer {
    /// How many layers it has, 1..=3.
    #[must_use]
    pub fn layers(&self) -> usize {
        match &self.streams {
            SimulcastStreams::Rids { rids, .. } => rids.len(),
            SimulcastStreams::Ssrcs(ssrcs) => ssrcs.len(),
        }
    }
}

/// The lines of `remote` that offer simulcast, in order.
#[must_use]
pub fn simulcast_offers(remote: &Sdp, order: RidOrder) -> Vec<SimulcastOffer> {
    let line = |(mindex, media): (usize, &Media)| {
        let streams = streams(media, order)?;
        let mid = media.mid_or_index(mindex);
        Some(SimulcastOffer { mindex: Mindex::try_from(mindex).ok()?, mid, streams })
    };
    remote.media.iter().enumerate().filter_map(line).collect()
}

fn streams(media: &Media, order: RidOrder) -> Option<SimulcastStreams> {
    let rid_extension = media.extmaps().find(|e| e.uri == Extension::Rid.uri());
    let mut rids = offered_rids(media);
    if let (Some(extension), false) = (rid_extension, rids.is_empty()) {
        if order == RidOrder::LowToHigh {
            rids.reverse();
        }
        let rids = rids.into_iter().map(str::to_owned).collect();
        return Some(SimulcastStreams::Rids { rids, extension_id: extension.id });
    }
    let group = media.ssrc_groups(GroupKind::Sim).find(|g| g.ssrcs.len() >= 2)?;
    Some(SimulcastStreams::Ssrcs(group.ssrcs.into_iter().take(MAX_RIDS).collect()))
}

/// The rids the peer sends, as written, each once, at most [`MAX_RIDS`].
pub(super) fn offered_rids(media: &Media) -> Vec<&str> {
    let mut rids = Vec::new();
    for rid in media.rids().filter(|rid| rid.sends) {
        if rids.len() < MAX_RIDS && !rids.contains(&rid.id) {
            rids.push(rid.id);
        }
    }
    rids
}

/// The rids in internal order: 0 is the lowest layer (`webrtc-behaviour` §5).
pub(super) fn rids_by_layer(media: &Media, order: RidOrder) -> Vec<String> {
    let mut rids: Vec<_> = offered_rids(media).into_iter().map(str::to_owned).collect();
    if order == RidOrder::HighToLow {
        rids.reverse();
    }
    rids
}

/// What an answer says about offered rids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RidMirror {
    /// The rids in the offered order; the flag marks those offered as disabled (`~`).
    pub rids: Vec<(String, bool)>,
    /// How the simulcast line is written.
    pub form: SimulcastForm,
}

/// How an answer writes its `a=simulcast` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimulcastForm {
    /// `recv h;m;l` (RFC 8853).
    Modern,
    /// ` recv rid=h;m;l`, as old Firefox wrote it.
    Legacy,
    /// Not at all: the offer had rids but no simulcast line.
    Absent,
}

impl RidMirror {
    /// The mirror of what `offered` sends; `None` without rids.
    #[must_use]
    pub fn of(offered: &Media) -> Option<Self> {
        let rids = offered_rids(offered);
        let simulcast = offered.simulcast("send");
        let form = match &simulcast {
            Some(s) if s.legacy => SimulcastForm::Legacy,
            Some(_) => SimulcastForm::Modern,
            None => SimulcastForm::Absent,
        };
        let listed = simulcast.map(|s| s.rids).unwrap_or_default();
        let mirror = |id: &str| (id.to_owned(), listed.contains(&(id, true)));
        (!rids.is_empty()).then(|| Self { rids: rids.into_iter().map(mirror).collect(), form })
    }

    /// Appends the `rid` and `simulcast` lines.
    pub(super) fn write(&self, media: &mut Media) {
        for (rid, _) in &self.rids {
            media.push_attr("rid", &format!("{rid} recv"));
        }
        let layers: Vec<_> = self
            .rids
            .iter()
            .map(|(rid, disabled)| format!("{}{rid}", if *disabled { "~" } else { "" }))
            .collect();
        let layers = layers.join(";");
        match self.form {
            SimulcastForm::Modern => media.push_attr("simulcast", &format!("recv {layers}")),
            SimulcastForm::Legacy => media.push_attr("simulcast", &format!(" recv rid={layers}")),
            SimulcastForm::Absent => {}
        }
    }
}
