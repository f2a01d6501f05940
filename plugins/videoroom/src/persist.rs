//! Rooms on disk: groups of the plugin's own configuration file (plugin-videoroom §4, §10).

use crate::settings::{Settings, names};
use bifrons_core::config::{Group, Tree};

/// The `general` group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct General {
    /// Needed to create rooms and to list private ones.
    pub(crate) admin_key: Option<String>,
    /// Whether forwarding needs it too.
    pub(crate) lock_rtp_forward: bool,
    /// Whether event handlers are told.
    pub(crate) events: bool,
    /// Whether ids are texts.
    pub(crate) string_ids: bool,
}

impl Default for General {
    fn default() -> Self {
        General { admin_key: None, lock_rtp_forward: false, events: true, string_ids: false }
    }
}

impl General {
    /// Reads the group where there is one.
    pub(crate) fn read(tree: &Tree) -> Self {
        let Some(group) = tree.group("general") else { return Self::default() };
        let key = group.get_str("admin_key").map(|text| text.into_owned());
        let admin_key = key.filter(|key| !key.is_empty());
        General {
            lock_rtp_forward: admin_key.is_some()
                && group.get_bool("lock_rtp_forward").unwrap_or(false),
            admin_key,
            events: group.get_bool("events").unwrap_or(true),
            string_ids: group.get_bool("string_ids").unwrap_or(false),
        }
    }
}

/// The group of a room: the keys of §4 `create`. Other than Janus, a false `opus_fec` is kept.
pub(crate) fn group(settings: &Settings) -> Group {
    let mut group = Group::new();
    group.set("description", settings.description.as_str());
    let flags = [
        ("is_private", settings.is_private),
        ("require_pvtid", settings.require_pvtid),
        ("signed_tokens", settings.signed_tokens),
        ("require_e2ee", settings.require_e2ee),
        ("dummy_publisher", settings.dummy_publisher),
    ];
    set_flags(&mut group, &flags);
    group.set("bitrate", settings.bitrate_bps);
    set_flags(&mut group, &[("bitrate_cap", settings.bitrate_cap)]);
    group.set("publishers", settings.publishers);
    if settings.fir_freq_s > 0 {
        group.set("fir_freq", u32::from(settings.fir_freq_s));
    }
    group.set("audiocodec", names(&settings.audio_codecs));
    group.set("videocodec", names(&settings.video_codecs));
    let texts = [
        ("vp9_profile", &settings.vp9_profile),
        ("h264_profile", &settings.h264_profile),
        ("secret", &settings.secret),
        ("pin", &settings.pin),
        ("rec_dir", &settings.rec_dir),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            group.set(name, text.as_str());
        }
    }
    group.set("opus_fec", settings.opus_fec);
    set_flags(&mut group, &[("opus_dtx", settings.opus_dtx)]);
    set_levels(&mut group, settings);
    group.set("videoorient_ext", settings.videoorient_ext);
    group.set("playoutdelay_ext", settings.playoutdelay_ext);
    group.set("transport_wide_cc_ext", settings.transport_wide_cc_ext);
    let flags = [
        ("notify_joining", settings.notify_joining),
        ("record", settings.record),
        ("lock_record", settings.lock_record),
    ];
    set_flags(&mut group, &flags);
    if settings.threads > 0 {
        group.set("threads", settings.threads);
    }
    group
}

fn set_levels(group: &mut Group, settings: &Settings) {
    group.set("audiolevel_ext", settings.audiolevel_ext);
    if settings.audiolevel_event {
        group.set("audiolevel_event", true);
        group.set("audio_active_packets", u32::from(settings.audio_active_packets));
        group.set("audio_level_average", u32::from(settings.audio_level_average));
    }
}

/// Flags whose default is false are written when they are true.
fn set_flags(group: &mut Group, flags: &[(&str, bool)]) {
    for (name, _) in flags.iter().filter(|(_, on)| *on) {
        group.set(name, true);
    }
}
