//! What plugins want done that may wait: names and files on threads of the runtime's pool, web
//! servers from the control thread itself.

use super::services::Services;
use crate::dispatch::Errand;
use crate::service::http;
use crate::transport::Front;
use bifrons_core::config::Configuration;
use bifrons_core::plugin::{Answer, StoreRequest, Ticket};
use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Runs errands of all plugins.
pub(super) struct Errands {
    folder: PathBuf,
    services: Services,
}

impl Errands {
    pub(super) fn new(configuration: &Configuration, services: Services) -> Self {
        let folder = PathBuf::from(&configuration.settings.general.configs_folder);
        Errands { folder, services }
    }

    /// For [`Front::set_errand_runner`].
    pub(super) fn runner(self) -> impl Fn(&Rc<Front>, Errand) {
        move |front, errand| match errand {
            Errand::Resolve { ticket, name } => {
                answer_later(front, ticket, move || Answer::Resolved(resolve(&name)));
            }
            Errand::Store { ticket, package, request } => {
                let StoreRequest { path, content } = request;
                let path = path.unwrap_or_else(|| self.folder.join(format!("{package}.jcfg")));
                answer_later(front, ticket, move || Answer::Stored(stored(&path, &content)));
            }
            Errand::Service { service, order } => self.services.ask(front, service, order),
            Errand::Http { ticket, request } => {
                let front = front.clone();
                tokio::task::spawn_local(async move {
                    let answer = Answer::Http(http::send(request).await);
                    front.with(|core, now| core.answered(now, ticket, answer));
                });
            }
        }
    }
}

fn answer_later(front: &Rc<Front>, ticket: Ticket, work: impl FnOnce() -> Answer + Send + 'static) {
    let front = front.clone();
    tokio::task::spawn_local(async move {
        if let Ok(answer) = tokio::task::spawn_blocking(work).await {
            front.with(|core, now| core.answered(now, ticket, answer));
        }
    });
}

fn resolve(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = (name, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.dedup();
    Ok(addresses)
}

fn stored(path: &Path, content: &[u8]) -> Result<(), String> {
    store(path, content).map_err(|error| {
        tracing::error!("{}: {error}", path.display());
        format!("{}: {error}", path.display())
    })
}

/// A kill at any instant leaves the old content or the new: a file beside it, synced, then renamed.
fn store(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut file = File::create(&beside)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| std::fs::rename(&beside, path));
    if renamed.is_err() {
        // What was there stays; the failed one must not pile up.
        let _ = std::fs::remove_file(&beside);
    }
    renamed.and_then(|()| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_file_replaces_the_former_whole() {
        let folder = std::env::temp_dir().join(format!("bifrons-store-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("rooms.jcfg");
        store(&path, b"room-1: {}\n").unwrap();
        store(&path, b"room-2: {}\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"room-2: {}\n");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
        assert!(stored(&folder.join("no/such/folder"), b"").is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn addresses_resolve_to_themselves() {
        assert_eq!(resolve("127.0.0.1"), Ok(vec![IpAddr::from([127, 0, 0, 1])]));
        assert!(resolve("no such name").is_err());
    }
}
