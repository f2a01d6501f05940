//! Mountpoints on disk: groups of the plugin's own configuration file (plugin-streaming §4
//! `permanent`). What is written is every key that a `create` has, with the ports that were really
//! opened, so that what comes back is what was there.

use crate::config::GENERAL;
use crate::mountpoint::{Kind, Mountpoint, Rules, Stream};
use crate::show::datatype;
use crate::source::{FileSpec, Override, RtspSpec};
use bifrons_core::config::{Element, Group, Value as Setting};
use bifrons_core::media::{DataKind, MediaKind};
use bifrons_core::plugin::{Id, Ledger};

/// The group that has this id.
pub(crate) fn group_of<A>(ledger: &Ledger<A>, id: &Id) -> Option<String> {
    let has = |group: &Group| {
        let found = group.get("id")?;
        let found = match id {
            Id::Text(_) => Id::Text(found.text()?.into_owned()),
            Id::Number(_) => Id::Number(found.u64()?),
        };
        (found == *id).then_some(())
    };
    let mut groups = ledger.groups();
    groups.find(|(_, group)| has(group).is_some()).map(|(name, _)| name.to_owned())
}

/// The name of a mountpoint's group: the one it has, its own, or that with its id behind it where
/// something else is called so.
pub(crate) fn group_for<A>(ledger: &Ledger<A>, mountpoint: &Mountpoint) -> String {
    let name = &mountpoint.profile.name;
    let taken = name.eq_ignore_ascii_case(GENERAL)
        || ledger.tree().is_some_and(|tree| tree.entry(name).is_some());
    group_of(ledger, &mountpoint.id).unwrap_or_else(|| match taken {
        true => format!("{name}-{}", mountpoint.id),
        false => name.clone(),
    })
}

/// A mountpoint as the group of this name.
pub(crate) fn group(mountpoint: &Mountpoint, name: &str) -> Group {
    let mut group = Group::new();
    group.set("type", mountpoint.kind.asked());
    match &mountpoint.id {
        Id::Number(id) => group.set("id", *id),
        Id::Text(id) => group.set("id", id.as_str()),
    }
    let profile = &mountpoint.profile;
    if profile.name != name {
        group.set("name", profile.name.as_str());
    }
    group.set("description", profile.description.as_str());
    set_texts(&mut group, &[("metadata", &profile.metadata)]);
    set_flags(&mut group, &[("is_private", profile.is_private)]);
    set_texts(&mut group, &[("secret", &profile.secret), ("pin", &profile.pin)]);
    set_rules(&mut group, &mountpoint.rules);
    match &mountpoint.kind {
        Kind::Rtp => {
            let media = mountpoint.streams.iter().map(|stream| Element::from(item(stream)));
            group.set("media", Setting::List(media.collect()));
        }
        Kind::Rtsp(rtsp) => set_rtsp(&mut group, rtsp),
        Kind::Live(file) | Kind::OnDemand(file) => set_file(&mut group, file),
    }
    group
}

fn set_rules(group: &mut Group, rules: &Rules) {
    set_numbers(
        group,
        &[
            ("collision", rules.collision_ms),
            ("bufferkf_ms", rules.bufferkf_ms.into()),
            ("bufferkf_bytes", rules.bufferkf_bytes),
            ("threads", rules.threads),
        ],
    );
    if let Some((suite, crypto)) = &rules.srtp {
        group.set("srtpsuite", u32::from(*suite));
        group.set("srtpcrypto", crypto.as_str());
    }
    set_flags(group, &[("e2ee", rules.e2ee), ("playoutdelay_ext", rules.playoutdelay_ext)]);
    if let Some(id) = rules.abscapturetime_id {
        group.set("abscapturetime_src_ext_id", u32::from(id));
    }
}

/// An item of `media`.
fn item(stream: &Stream) -> Group {
    let spec = &stream.spec;
    let mut item = Group::new();
    item.set("type", spec.kind.name());
    item.set("mid", spec.mid.as_str());
    item.set("label", spec.label.as_str());
    let msid = spec.msid.as_ref().map(ToString::to_string);
    let host = |ip: &Option<std::net::IpAddr>| ip.map(|ip| ip.to_string());
    // Its address may be another one after the next start.
    let interface = spec.interface_name.clone().or(host(&spec.interface));
    set_texts(&mut item, &[("msid", &msid), ("mcast", &host(&spec.group)), ("iface", &interface)]);
    item.set("port", u32::from(spec.port));
    let ports = [
        ("rtcpport", spec.rtcp_port),
        ("port2", spec.more_ports[0]),
        ("port3", spec.more_ports[1]),
    ];
    for (name, port) in ports {
        if let Some(port) = port {
            item.set(name, u32::from(port));
        }
    }
    if spec.kind == MediaKind::Data {
        if spec.datatype == DataKind::Binary {
            item.set("datatype", datatype(spec.datatype));
        }
        set_flags(&mut item, &[("buffermsg", spec.buffermsg)]);
        return item;
    }
    item.set("pt", u32::from(spec.pt));
    let codec = spec.codec.map(|codec| codec.janus_name().to_owned());
    set_texts(&mut item, &[("codec", &codec), ("fmtp", &spec.fmtp), ("h264sps", &spec.h264sps)]);
    set_flags(&mut item, &[("simulcast", spec.simulcast), ("svc", spec.svc), ("skew", spec.skew)]);
    item
}

fn set_file(group: &mut Group, file: &FileSpec) {
    group.set("filename", file.name.as_str());
    group.set("audio", true);
    group.set("video", false);
    group.set("audiocodec", file.codec.janus_name());
    group.set("audiopt", u32::from(file.pt));
    set_texts(group, &[("audiofmtp", &file.fmtp)]);
}

fn set_rtsp(group: &mut Group, rtsp: &RtspSpec) {
    group.set("url", rtsp.url.as_str());
    set_texts(group, &[("rtsp_user", &rtsp.user), ("rtsp_pwd", &rtsp.password)]);
    set_flags(group, &[("rtsp_quirk", rtsp.quirk), ("rtsp_notify_changes", rtsp.notifies)]);
    group.set("rtsp_failcheck", rtsp.failcheck);
    group.set("rtsp_reconnect_delay", rtsp.reconnect_delay_s);
    group.set("rtsp_session_timeout", rtsp.session_timeout_s);
    group.set("rtsp_timeout", rtsp.timeout_s);
    group.set("rtsp_conn_timeout", rtsp.connect_timeout_s);
    for (name, set) in [("audio", &rtsp.audio), ("video", &rtsp.video)] {
        group.set(name, set.is_some());
        let Some(Override { codec, pt, fmtp }) = set else { continue };
        if let Some(codec) = codec {
            group.set(&format!("{name}codec"), codec.janus_name());
        }
        if let Some(pt) = pt {
            group.set(&format!("{name}pt"), u32::from(*pt));
        }
        if let Some(fmtp) = fmtp {
            group.set(&format!("{name}fmtp"), fmtp.as_str());
        }
    }
}

fn set_texts(group: &mut Group, texts: &[(&str, &Option<String>)]) {
    for (name, text) in texts {
        if let Some(text) = text {
            group.set(name, text.as_str());
        }
    }
}

/// Numbers whose default is 0.
fn set_numbers(group: &mut Group, numbers: &[(&str, u32)]) {
    for (name, number) in numbers.iter().filter(|(_, number)| *number > 0) {
        group.set(name, *number);
    }
}

/// Flags whose default is false.
fn set_flags(group: &mut Group, flags: &[(&str, bool)]) {
    for (name, _) in flags.iter().filter(|(_, on)| *on) {
        group.set(name, true);
    }
}
