//! Making mountpoints: by `create` and from the configuration (plugin-streaming §4).
//!
//! One of type `rtp` is there at once. A file or an RTSP server is tried first, as the service that
//! will feed the mountpoint; the request waits for what it says, and so does the id.

use crate::MAX_MOUNTPOINTS;
use crate::api::{Body, FLAG, Field, TEXT, UINT, Want, may, must};
use crate::error::{Code, Refusal, cannot};
use crate::media;
use crate::mountpoint::{Kind, Mountpoint, Profile, Rules, Stream};
use crate::plugin::Streaming;
use crate::ports::{Opening, PORT_REFUSED};
use crate::source::{FileSpec, RtspSpec};
use bifrons_core::plugin::{Host, Id, ReplyKey, Verdict};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Fields of `create` that all types have.
const CREATE: [Field; 18] = [
    must("type", TEXT),
    may("id", Want::Id),
    may("name", TEXT),
    may("description", TEXT),
    may("metadata", TEXT),
    may("is_private", FLAG),
    may("secret", TEXT),
    may("pin", TEXT),
    may("permanent", FLAG),
    may("collision", UINT),
    may("bufferkf_ms", UINT),
    may("bufferkf_bytes", UINT),
    may("threads", UINT),
    may("srtpsuite", UINT),
    may("srtpcrypto", TEXT),
    may("e2ee", FLAG),
    may("playoutdelay_ext", FLAG),
    may("abscapturetime_src_ext_id", UINT),
];

/// How often, and how far apart, a mountpoint of the configuration whose ports are taken is tried
/// again.
const LATE_TRIES: u32 = 40;
const LATE_STEP: Duration = Duration::from_millis(250);

/// How a mountpoint was asked for, and what is to be done once it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Whom to answer; `None` for the configuration.
    pub(crate) reply: Option<ReplyKey>,
    pub(crate) permanent: bool,
    /// By the older keys.
    pub(crate) legacy: bool,
}

/// A mountpoint whose file or server is being tried.
#[derive(Clone, Debug)]
pub(crate) struct Making {
    pub(crate) mountpoint: Mountpoint,
    pub(crate) asked: Asked,
}

impl Streaming {
    /// Serves `create`; `reply` is where a late answer may go.
    pub(crate) fn create(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
        reply: Option<ReplyKey>,
    ) -> Result<Verdict, Refusal> {
        body.check(&CREATE)?;
        body.prove("admin_key", self.general.admin_key.as_deref())?;
        let permanent = self.ledger.asked(body)?;
        let asked = Asked { reply, permanent, legacy: false };
        self.make(host, body, asked)
    }

    /// Makes a mountpoint of the configuration, or logs why not; in the file it stays all the same.
    /// One whose ports are taken is tried again for a while: the kernel needs a moment to let go of
    /// those of a server that was killed.
    pub(crate) fn load(&mut self, host: &mut dyn Host, request: Map<String, Value>, tries: u32) {
        let name = request.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let made = Body::checked(&request, self.general.string_ids, &CREATE).and_then(|body| {
            let asked = Asked { reply: None, permanent: false, legacy: false };
            self.make(host, &body, asked)
        });
        let Err(refusal) = made else { return };
        if !refusal.text.starts_with(PORT_REFUSED) || tries == LATE_TRIES {
            tracing::warn!(mountpoint = name, "{}; skipped", refusal.text);
            return;
        }
        if tries == 0 {
            tracing::warn!(mountpoint = name, "{}; tried again for a while", refusal.text);
        }
        let ticket = host.after(LATE_STEP);
        self.late.insert(ticket, (request, tries + 1));
    }

    fn make(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
        asked: Asked,
    ) -> Result<Verdict, Refusal> {
        if self.mountpoints.len() + self.making.len() >= MAX_MOUNTPOINTS {
            return Err(Refusal::new(Code::Unknown, "Too many mountpoints"));
        }
        let kind = body.text("type").unwrap_or_default();
        if !["rtp", "rtsp", "live", "ondemand"].contains(&kind) {
            return Err(Refusal::invalid("Unknown stream type (type)"));
        }
        let id = self.id_for(host, body)?;
        let rules = rules(body)?;
        let mut mountpoint = Mountpoint {
            profile: profile(body, &id, kind),
            id,
            rules,
            kind: Kind::Rtp,
            streams: Vec::new(),
            shard: (self.made % u64::from(host.shards().max(1))) as u8,
            ports: Vec::new(),
            service: None,
            enabled: true,
            is_lost: false,
            viewers: BTreeSet::new(),
        };
        let verdict = match kind {
            "rtp" => self.make_rtp(host, body, mountpoint, asked),
            "rtsp" => {
                let rtsp = RtspSpec::read(body)?;
                let specs = rtsp.streams().into_iter();
                mountpoint.streams = specs.map(Stream::new).collect();
                mountpoint.kind = Kind::Rtsp(rtsp);
                self.make_pulled(host, mountpoint, asked)
            }
            _ => {
                let file = FileSpec::read(body)?;
                mountpoint.streams = vec![Stream::new(file.stream())];
                mountpoint.kind = match kind {
                    "live" => Kind::Live(file),
                    _ => Kind::OnDemand(file),
                };
                self.make_pulled(host, mountpoint, asked)
            }
        };
        self.made += u64::from(verdict.is_ok());
        verdict
    }

    /// The wanted id, if nothing has it; else a random one.
    fn id_for(&self, host: &mut dyn Host, body: &Body<'_>) -> Result<Id, Refusal> {
        let taken = |id: &Id| {
            let making = self.making.values().any(|making| making.mountpoint.id == *id);
            self.mountpoints.contains_key(id) || making
        };
        match body.id("id").filter(|id| !id.is_unset()) {
            Some(id) if taken(&id) => {
                let text = format!("A stream with the provided ID {id} already exists");
                Err(cannot(text))
            }
            Some(id) => Ok(id),
            None => Ok(Id::generate_free(host, self.general.string_ids, taken)),
        }
    }

    fn make_rtp(
        &mut self,
        host: &mut dyn Host,
        body: &Body<'_>,
        mut mountpoint: Mountpoint,
        mut asked: Asked,
    ) -> Result<Verdict, Refusal> {
        let (specs, legacy) = media::streams(body)?;
        asked.legacy = legacy;
        let mut opening = Opening {
            host,
            cursor: &mut self.cursor,
            shard: mountpoint.shard,
            rules: &mountpoint.rules,
            ports: Vec::new(),
        };
        mountpoint.streams = opening.streams(specs)?;
        mountpoint.ports = opening.ports;
        Ok(self.open(host, mountpoint, asked))
    }

    /// A mountpoint is there: event handlers are told, and the one who asked.
    pub(crate) fn open(
        &mut self,
        host: &mut dyn Host,
        mountpoint: Mountpoint,
        asked: Asked,
    ) -> Verdict {
        let id = mountpoint.id.clone();
        let data = created(&mountpoint, asked.legacy);
        self.tell_handlers(
            host,
            self.asker,
            || json!({ "event": "created", "id": id, "type": mountpoint.kind.shown() }),
        );
        self.mountpoints.insert(id.clone(), mountpoint);
        self.conclude(host, data, &id, asked.permanent, asked.reply)
    }
}

/// The reply to `create`.
pub(crate) fn created(mountpoint: &Mountpoint, legacy: bool) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("streaming".to_owned(), json!("created"));
    data.insert("created".to_owned(), json!(mountpoint.profile.name));
    data.insert("permanent".to_owned(), json!(false));
    data.insert("stream".to_owned(), Value::Object(mountpoint.created(legacy)));
    if legacy {
        data.insert("warning".to_owned(), json!("deprecated_api"));
    }
    data
}

fn profile(body: &Body<'_>, id: &Id, kind: &str) -> Profile {
    let usual = if kind == "rtsp" { id.to_string() } else { format!("mp-{id}") };
    let name = match body.filled("name") {
        // Groups of the configuration begin with a letter.
        Some(name) if name.starts_with(|c: char| c.is_ascii_digit()) => format!("mp-{name}"),
        Some(name) => name,
        None => usual,
    };
    Profile {
        description: body.filled("description").unwrap_or_else(|| name.clone()),
        name,
        metadata: body.text("metadata").map(str::to_owned),
        is_private: body.flag("is_private").unwrap_or(false),
        secret: body.filled("secret"),
        pin: body.filled("pin"),
    }
}

fn rules(body: &Body<'_>) -> Result<Rules, Refusal> {
    let number = |name| body.number(name).unwrap_or(0);
    let bufferkf_ms = u16::try_from(number("bufferkf_ms"));
    let bufferkf_ms = bufferkf_ms.map_err(|_| Refusal::invalid("At most 65535 (bufferkf_ms)"))?;
    let srtp = match (body.number("srtpsuite"), body.filled("srtpcrypto")) {
        (Some(suite), Some(crypto)) => Some((u8::try_from(suite).unwrap_or(0), crypto)),
        _ => None,
    };
    let abscapturetime_id = match body.number("abscapturetime_src_ext_id") {
        None => None,
        Some(id @ 1..=14) => u8::try_from(id).ok(),
        Some(_) => return Err(Refusal::invalid("1 to 14 (abscapturetime_src_ext_id)")),
    };
    let rules = Rules {
        collision_ms: number("collision"),
        bufferkf_ms,
        bufferkf_bytes: number("bufferkf_bytes"),
        threads: number("threads"),
        srtp,
        e2ee: body.flag("e2ee").unwrap_or(false),
        playoutdelay_ext: body.flag("playoutdelay_ext").unwrap_or(false),
        abscapturetime_id,
    };
    crate::ports::key(&rules)?;
    Ok(rules)
}
