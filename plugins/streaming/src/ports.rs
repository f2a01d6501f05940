//! The ports of a mountpoint, and the ingests they feed (plugin-streaming §6.1, §6.2, §6.8).
//!
//! Bounds: a shard takes 896 ports. Port 0 asks for the next free one of the range; the range is
//! walked once round at most.

use crate::error::{Refusal, cannot};
use crate::media::StreamSpec;
use crate::mountpoint::{Rules, Stream};
use bifrons_core::codec::{Codec, ParameterSets};
use bifrons_core::media::{
    Carries, IngestId, IngestSetup, KeyframeBuffer, MediaKind, MessageRule, Plan, Port, PortError,
    PortRequest,
};
use bifrons_core::plugin::Host;
use bifrons_core::rtp::Extension;
use bifrons_core::srtp::{MasterKey, SrtpProfile};

/// Ports of the range that are tried before it counts as taken.
const TRIES: u32 = 4096;

/// How the refusal begins where a port cannot be had.
pub(crate) const PORT_REFUSED: &str = "No port can be opened";

/// Which ports are given out next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    range: (u16, u16),
    next: u16,
}

impl Cursor {
    /// Begins at the lowest port of a range.
    pub(crate) fn new(range: (u16, u16)) -> Self {
        Cursor { range, next: range.0 }
    }

    fn advance(&mut self) -> u16 {
        let port = self.next;
        self.next = if port >= self.range.1 { self.range.0 } else { port + 1 };
        port
    }
}

/// The ports of one mountpoint while they are opened.
pub(crate) struct Opening<'a> {
    pub(crate) host: &'a mut dyn Host,
    pub(crate) cursor: &'a mut Cursor,
    pub(crate) shard: u8,
    pub(crate) rules: &'a Rules,
    pub(crate) ports: Vec<Port>,
}

impl Opening<'_> {
    /// Opens the ports of all streams and has them feed ingests; or nothing stays open.
    pub(crate) fn streams(&mut self, specs: Vec<StreamSpec>) -> Result<Vec<Stream>, Refusal> {
        let key = key(self.rules)?;
        let mut streams: Vec<Stream> = Vec::new();
        for spec in specs {
            match self.stream(spec, key) {
                Ok(stream) => streams.push(stream),
                Err(refusal) => {
                    let ingests = streams.iter().filter_map(|stream| stream.ingest);
                    ingests.for_each(|ingest| self.host.plan(Plan::EndIngest { ingest }));
                    self.ports.drain(..).for_each(|port| self.host.close_port(port.id));
                    return Err(refusal);
                }
            }
        }
        Ok(streams)
    }

    fn stream(&mut self, mut spec: StreamSpec, key: Option<MasterKey>) -> Result<Stream, Refusal> {
        let setup = setup(&spec, self.rules)?;
        if let Some(name) = &spec.interface_name {
            let v6 = spec.group.is_some_and(|group| group.is_ipv6());
            let found = self.host.interface(name, v6);
            let text = || cannot(format!("No interface {name} with an address (iface)"));
            spec.interface = Some(found.ok_or_else(text)?);
        }
        // A datagram of a data stream is never SRTP.
        let key = key.filter(|_| spec.kind != MediaKind::Data);
        let main = self.open(&spec, spec.port, key)?;
        spec.port = main.address.port();
        let mut feeds = vec![(main.id, Carries::Layer(0))];
        for (layer, wanted) in (1..).zip(spec.more_ports) {
            let Some(wanted) = wanted else { continue };
            let port = self.open(&spec, wanted, key)?;
            if let Some(place) = spec.more_ports.get_mut(usize::from(layer) - 1) {
                *place = Some(port.address.port());
            }
            feeds.push((port.id, Carries::Layer(layer)));
        }
        if let Some(wanted) = spec.rtcp_port {
            let port = self.open(&spec, wanted, None)?;
            spec.rtcp_port = Some(port.address.port());
            feeds.push((port.id, Carries::Rtcp));
        }
        let ingest = self.host.new_ingest(self.shard);
        self.host.plan(Plan::Ingest { ingest, setup });
        for (port, carries) in feeds {
            self.host.plan(Plan::Feed { port, ingest, carries });
        }
        Ok(Stream { ingest: Some(ingest), port: Some(main.id), ..Stream::new(spec) })
    }

    /// Opens one port; 0 = the next free one of the range.
    fn open(
        &mut self,
        spec: &StreamSpec,
        wanted: u16,
        key: Option<MasterKey>,
    ) -> Result<Port, Refusal> {
        let mut last = PortError::Full;
        let tries = if wanted == 0 { TRIES } else { 1 };
        for _ in 0..tries {
            let number = if wanted == 0 { self.cursor.advance() } else { wanted };
            let request = PortRequest {
                interface: spec.interface,
                group: spec.group,
                open: key,
                ..PortRequest::new(self.shard, number, number)
            };
            match self.host.open_port(request) {
                Ok(port) => {
                    self.ports.push(port);
                    return Ok(port);
                }
                Err(error @ PortError::Refused(_)) => last = error,
                Err(error) => {
                    last = error;
                    break;
                }
            }
        }
        let text = match last {
            PortError::Refused(text) => text,
            PortError::Full => "too many ports".to_owned(),
            PortError::Unsupported => "there are none here".to_owned(),
        };
        Err(cannot(format!("{PORT_REFUSED}: {text}")))
    }
}

/// The key of SRTP, if that is how media come.
pub(crate) fn key(rules: &Rules) -> Result<Option<MasterKey>, Refusal> {
    let Some((suite, crypto)) = &rules.srtp else { return Ok(None) };
    let profile = match suite {
        80 => SrtpProfile::Aes128CmSha1_80,
        32 => SrtpProfile::Aes128CmSha1_32,
        _ => return Err(cannot("Invalid SRTP suite (srtpsuite)")),
    };
    let key = MasterKey::from_base64(profile, crypto);
    key.map(Some).ok_or_else(|| cannot("Invalid SRTP key (srtpcrypto)"))
}

/// What the ingest of a stream yields, enabled.
pub(crate) fn setup(spec: &StreamSpec, rules: &Rules) -> Result<IngestSetup, Refusal> {
    let video = spec.kind == MediaKind::Video;
    let clock_hz = spec.codec.map_or(90_000, Codec::clock_rate);
    let mut setup = IngestSetup::new(spec.kind, spec.codec, clock_hz);
    setup.simulcast = spec.simulcast;
    if let Some(id) = rules.abscapturetime_id {
        setup.extensions.set(Extension::AbsCaptureTime, id);
    }
    setup.collision_ms = rules.collision_ms;
    setup.skew = spec.skew;
    if video && !spec.simulcast {
        setup.keyframe_buffer =
            KeyframeBuffer { ms: rules.bufferkf_ms, bytes: rules.bufferkf_bytes };
    }
    if let Some(sets) = spec.h264sps.as_ref().filter(|_| spec.codec == Some(Codec::H264)) {
        let text = "Not an SPS and a PPS in base64 (h264sps)";
        let sets = ParameterSets::parse(sets).ok_or_else(|| cannot(text))?;
        setup.parameter_sets = Some(sets);
    }
    setup.relay_remb = video;
    setup.message = MessageRule { kind: spec.datatype, keep_last: spec.buffermsg };
    Ok(setup)
}

/// Tells the shards what the streams of a mountpoint yield from now on.
pub(crate) fn enable(host: &mut dyn Host, streams: &[Stream], rules: &Rules, enabled: bool) {
    for stream in streams {
        if let (Some(ingest), Ok(mut setup)) = (stream.ingest, setup(&stream.spec, rules)) {
            setup.enabled = enabled;
            host.plan(Plan::Ingest { ingest, setup });
        }
    }
}

/// An ingest without ports, for what a service feeds.
pub(crate) fn portless(
    host: &mut dyn Host,
    shard: u8,
    spec: &StreamSpec,
    rules: &Rules,
) -> Option<IngestId> {
    let setup = setup(spec, rules).ok()?;
    let ingest = host.new_ingest(shard);
    host.plan(Plan::Ingest { ingest, setup });
    Some(ingest)
}
