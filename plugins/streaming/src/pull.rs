//! Services that feed mountpoints: players of files, clients of RTSP servers (plugin-streaming
//! §4, §6.7).
//!
//! ```text
//! create ─► tried ──Described──► open ──Failed──► open, nothing flows; its viewers are stopped
//!             └─────Failed─────► refused (456)
//! ```

use crate::create::{Asked, Making, created};
use crate::error::{Refusal, cannot};
use crate::mountpoint::{Kind, Mountpoint};
use crate::plugin::{Owner, Streaming};
use crate::ports;
use bifrons_core::codec::Codec;
use bifrons_core::media::{IngestId, MediaKind, Plan, PortClock};
use bifrons_core::plugin::{
    Host, HostExt, Id, Service, ServiceCommand, ServiceEvent, ServiceId, ServiceMedium, Verdict,
};
use bifrons_core::sdp::fmtp_param;
use serde_json::{Value, json};

impl Streaming {
    /// Tries a mountpoint's file or server; what comes of it decides.
    pub(crate) fn make_pulled(
        &mut self,
        host: &mut dyn Host,
        mut mountpoint: Mountpoint,
        asked: Asked,
    ) -> Result<Verdict, Refusal> {
        let (shard, rules) = (mountpoint.shard, mountpoint.rules.clone());
        for stream in &mut mountpoint.streams {
            stream.ingest = ports::portless(host, shard, &stream.spec, &rules);
            if matches!(mountpoint.kind, Kind::Rtsp(_)) {
                stream.clock = Some(PortClock::new(host.now()));
            }
        }
        let Some(service) = service_of(&mountpoint).and_then(|service| host.start_service(service))
        else {
            end_ingests(host, &mut mountpoint);
            return Err(cannot("This server plays no files and pulls no streams"));
        };
        mountpoint.service = Some(service);
        if matches!(&mountpoint.kind, Kind::Rtsp(rtsp) if !rtsp.failcheck) {
            // It may come up whenever it likes.
            host.tell_service(service, ServiceCommand::Resume);
            self.services.insert(service, Owner::Mountpoint(mountpoint.id.clone()));
            return Ok(self.open(host, mountpoint, asked));
        }
        let data = created(&mountpoint, asked.legacy);
        self.making.insert(service, Making { mountpoint, asked });
        match asked.reply {
            Some(_) => Ok(Verdict::Deferred),
            // The configuration's; nobody waits for it.
            None => Ok(Verdict::Reply(Value::Object(data))),
        }
    }

    /// What a service says.
    pub(crate) fn heard(&mut self, host: &mut dyn Host, service: ServiceId, event: &ServiceEvent) {
        if let Some(making) = self.making.remove(&service) {
            return self.tried(host, making, service, event);
        }
        match self.services.get(&service).cloned() {
            Some(Owner::Mountpoint(id)) => self.source_heard(host, &id, event),
            Some(Owner::Viewer(handle)) => {
                if let ServiceEvent::Failed { text } = event {
                    tracing::warn!("a file cannot be played any more: {text}");
                    self.services.remove(&service);
                    self.dismiss(host, handle, "stopped");
                }
            }
            None => {}
        }
    }

    /// The file or server of a new mountpoint is there, or not.
    fn tried(
        &mut self,
        host: &mut dyn Host,
        making: Making,
        service: ServiceId,
        event: &ServiceEvent,
    ) {
        let Making { mut mountpoint, asked } = making;
        match event {
            ServiceEvent::Described { media } => {
                describe(host, &mut mountpoint, media);
                if matches!(mountpoint.kind, Kind::OnDemand(_)) {
                    // Each viewer gets a player of its own.
                    host.stop_service(service);
                    mountpoint.service = None;
                    end_ingests(host, &mut mountpoint);
                } else {
                    host.tell_service(service, ServiceCommand::Resume);
                    self.services.insert(service, Owner::Mountpoint(mountpoint.id.clone()));
                }
                let verdict = self.open(host, mountpoint, Asked { ..asked });
                if let (Some(reply), Verdict::Reply(_)) = (asked.reply, &verdict) {
                    host.reply(reply, verdict);
                }
            }
            ServiceEvent::Failed { text } => {
                end_ingests(host, &mut mountpoint);
                let name = &mountpoint.profile.name;
                match asked.reply {
                    Some(reply) => {
                        host.reply(reply, Verdict::Reply(cannot(text).event()));
                    }
                    None => tracing::warn!(mountpoint = name, "{text}; skipped"),
                }
            }
            ServiceEvent::Disconnected | ServiceEvent::Reconnected => {
                self.making.insert(service, Making { mountpoint, asked });
            }
        }
    }

    /// The source of a mountpoint that is there says something.
    fn source_heard(&mut self, host: &mut dyn Host, id: &Id, event: &ServiceEvent) {
        let Some(mountpoint) = self.mountpoints.get_mut(id) else { return };
        let what = match event {
            ServiceEvent::Described { media } => {
                describe(host, mountpoint, media);
                let viewers = mountpoint.viewers.clone();
                return viewers.into_iter().for_each(|handle| self.sync(host, handle));
            }
            ServiceEvent::Failed { text } => {
                tracing::warn!(mountpoint = %id, "the source has failed: {text}");
                if let Some(service) = mountpoint.service.take() {
                    self.services.remove(&service);
                }
                let viewers = mountpoint.viewers.clone();
                viewers.into_iter().for_each(|handle| self.dismiss(host, handle, "stopped"));
                return;
            }
            ServiceEvent::Disconnected => "rtsp-disconnected",
            ServiceEvent::Reconnected => "rtsp-reconnected",
        };
        mountpoint.is_lost = *event == ServiceEvent::Disconnected;
        let notice = json!({ "event": what, "id": id });
        if matches!(&mountpoint.kind, Kind::Rtsp(rtsp) if rtsp.notifies) {
            mountpoint.viewers.iter().for_each(|handle| host.notify(*handle, notice.clone()));
        }
        self.tell_handlers(host, None, || notice);
    }

    /// Has what plays for this mountpoint stand still, or go on.
    pub(crate) fn hold_players(&self, host: &mut dyn Host, mountpoint: &Mountpoint) {
        let players = mountpoint.viewers.iter().filter_map(|handle| self.viewers.get(handle));
        let players = players.filter_map(|viewer| Some((viewer.own?.service, !viewer.paused)));
        let all = mountpoint.kind.file().and(mountpoint.service).map(|service| (service, true));
        for (service, plays) in players.chain(all) {
            let command = match plays && mountpoint.enabled {
                true => ServiceCommand::Resume,
                false => ServiceCommand::Pause,
            };
            host.tell_service(service, command);
        }
    }
}

/// What feeds all of a mountpoint, or tells whether it can be fed.
fn service_of(mountpoint: &Mountpoint) -> Option<Service> {
    let ingest = |kind: MediaKind| {
        let stream = mountpoint.streams.iter().find(|stream| stream.spec.kind == kind);
        stream.and_then(|stream| stream.ingest)
    };
    match &mountpoint.kind {
        Kind::Rtp => None,
        Kind::Rtsp(rtsp) => Some(rtsp.client(&mountpoint.streams)),
        Kind::Live(file) | Kind::OnDemand(file) => {
            ingest(MediaKind::Audio).map(|ingest| file.player(ingest))
        }
    }
}

/// Takes over what an RTSP server has. What it does not have is no stream any more.
fn describe(host: &mut dyn Host, mountpoint: &mut Mountpoint, media: &[ServiceMedium]) {
    let Kind::Rtsp(rtsp) = &mountpoint.kind else { return };
    let has = |ingest: Option<IngestId>| media.iter().any(|medium| Some(medium.ingest) == ingest);
    if mountpoint.viewers.is_empty() {
        for stream in mountpoint.streams.iter().filter(|stream| !has(stream.ingest)) {
            if let Some(ingest) = stream.ingest {
                host.plan(Plan::EndIngest { ingest });
            }
        }
        mountpoint.streams.retain(|stream| has(stream.ingest));
    }
    for stream in &mut mountpoint.streams {
        let Some(medium) = media.iter().find(|medium| Some(medium.ingest) == stream.ingest) else {
            continue;
        };
        let set = match stream.spec.kind {
            MediaKind::Audio => rtsp.audio.clone(),
            _ => rtsp.video.clone(),
        }
        .unwrap_or_default();
        let spec = &mut stream.spec;
        spec.codec = set.codec.or(medium.codec);
        spec.pt = set.pt.unwrap_or(medium.pt);
        spec.h264sps = medium
            .fmtp
            .as_deref()
            .filter(|_| spec.codec == Some(Codec::H264))
            .and_then(|fmtp| fmtp_param(fmtp, "sprop-parameter-sets"))
            .filter(|sets| bifrons_core::codec::ParameterSets::parse(sets).is_some())
            .map(str::to_owned);
        spec.fmtp = set.fmtp.or(medium.fmtp.clone()).filter(|f| !f.chars().any(char::is_control));
    }
    ports::enable(host, &mountpoint.streams, &mountpoint.rules, mountpoint.enabled);
}

fn end_ingests(host: &mut dyn Host, mountpoint: &mut Mountpoint) {
    for stream in &mut mountpoint.streams {
        if let Some(ingest) = stream.ingest.take() {
            host.plan(Plan::EndIngest { ingest });
        }
    }
}
