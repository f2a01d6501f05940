//! `start_pcap`, `stop_pcap`, `start_text2pcap`, `stop_text2pcap` (admin-events-recording §4, §13).

use super::{Admin, Fields, Outcome, Reply, Request, failed};
use crate::capture::{Capture, CaptureForm, MAX_CAPTURES};
use crate::transport::Front;
use bifrons_core::api::{ApiError, Expect, optional};
use bifrons_core::media::{Tap, TapId};
use bifrons_core::plugin::HandleKey;
use serde_json::Value;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

pub(super) fn perform(request: &Request<'_>, verb: &str, key: HandleKey) -> Option<Outcome> {
    let work = match verb {
        "start_pcap" => start(request, key, CaptureForm::Pcap),
        "start_text2pcap" => start(request, key, CaptureForm::Text),
        // Either verb stops either kind.
        "stop_pcap" | "stop_text2pcap" => stop(request, key),
        _ => return None,
    };
    Some(work.unwrap_or_else(|error| Outcome::Now(Err(error))))
}

/// How long the disk may take to make a file.
const DISK_LIMIT: Duration = Duration::from_secs(5);

/// These answers do not repeat the session.
fn done() -> Reply {
    Reply { names_session: false, ..Reply::new(Fields::new()) }
}

/// What a capture is asked to be.
struct Wish {
    form: CaptureForm,
    folder: Option<String>,
    name: String,
    truncate_bytes: u16,
}

impl Wish {
    fn read(request: &Request<'_>, form: CaptureForm) -> Result<Self, ApiError> {
        let text = |name| {
            let value = optional(request.fields(), name, Expect::String)?;
            Ok::<_, ApiError>(value.and_then(Value::as_str).map(str::to_owned))
        };
        let (folder, name) = (text("folder")?, text("filename")?);
        let truncate = optional(request.fields(), "truncate", Expect::PositiveInteger)?;
        let truncate = truncate.and_then(Value::as_u64).unwrap_or(0);
        let made_up = || {
            let number = request.front.with(|core, _| core.random()) as u32;
            match form {
                CaptureForm::Pcap => format!("janus-text2pcap-{number}.pcap"),
                CaptureForm::Text => format!("janus-text2pcap-{number}.txt"),
            }
        };
        Ok(Wish {
            form,
            folder,
            name: name.filter(|name| !name.is_empty()).unwrap_or_else(made_up),
            truncate_bytes: u16::try_from(truncate).unwrap_or(u16::MAX),
        })
    }

    fn word(&self) -> &'static str {
        match self.form {
            CaptureForm::Pcap => "pcap",
            CaptureForm::Text => "text2pcap",
        }
    }
}

/// The place is taken at once, so that no other capture of the handle begins while the disk is
/// asked for a file.
fn start(request: &Request<'_>, key: HandleKey, form: CaptureForm) -> Result<Outcome, ApiError> {
    let wish = Wish::read(request, form)?;
    let id = request.admin.captures.name();
    let path = PathBuf::from(&wish.name);
    let (admin, front) = (request.admin.clone(), request.front.clone());
    let full = front.with(|core, _| core.capture_count() >= MAX_CAPTURES);
    if front.with(|core, _| core.capture(key).is_some()) {
        return Err(failed(format!("{} already started", wish.word())));
    }
    let refused = format!("Error starting {} dump", wish.word());
    if full {
        return Err(failed(refused));
    }
    front.with(|core, _| core.begin_capture(key, Capture { id, form, path }));
    Ok(Outcome::Later(Box::pin(async move {
        let begun = tokio::time::timeout(DISK_LIMIT, open(&admin, &front, key, wish, id)).await;
        let begun = begun.unwrap_or_else(|_| Err("the disk does not answer".into()));
        if let Err(error) = &begun {
            tracing::warn!(%error, "a capture cannot begin");
            front.with(|core, _| match core.capture(key) {
                Some(capture) if capture.id == id => core.end_capture(key),
                // Stopped meanwhile, and perhaps begun anew.
                _ => None,
            });
        }
        begun.map(|()| done()).map_err(|_| failed(refused))
    })))
}

async fn open(
    admin: &Rc<Admin>,
    front: &Rc<Front>,
    key: HandleKey,
    wish: Wish,
    id: TapId,
) -> Result<(), Box<dyn std::error::Error>> {
    let folders = admin.folders.clone();
    let (folder, name) = (wish.folder.clone(), wish.name.clone());
    let opened = tokio::task::spawn_blocking(move || folders.create(folder.as_deref(), &name));
    let (file, path) = opened.await??;
    // The handle may have ended meanwhile, and its capture with it.
    let label = front.with(|core, _| {
        let (session, handle) = core.sessions().find(key)?;
        Some(format!("[session={}][handle={}]", session.id, handle.id))
    });
    let capture = front.with(|core, _| core.capture(key).filter(|one| one.id == id).cloned());
    let (Some(label), Some(capture)) = (label, capture) else {
        return Err("the handle has ended".into());
    };
    admin.captures.begin(capture.id, wish.form, file, label)?;
    let tap = Tap { id: capture.id, truncate_bytes: wish.truncate_bytes };
    front.with(|core, _| {
        core.begin_capture(key, Capture { path, ..capture });
        core.tap(key, Some(tap));
    });
    Ok(())
}

/// Answered when the file is whole.
fn stop(request: &Request<'_>, key: HandleKey) -> Result<Outcome, ApiError> {
    let ended = request.front.with(|core, _| core.end_capture(key));
    let id = ended.ok_or_else(|| failed("Capture not started"))?;
    let closed = request.admin.captures.end(id);
    Ok(Outcome::Later(Box::pin(async move {
        // A thread that is gone has nothing left to close.
        let _ = closed.await;
        Ok(done())
    })))
}
