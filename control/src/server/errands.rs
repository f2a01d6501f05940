//! What plugins want done that may wait: names and files on threads of the runtime's pool, web
//! servers from the control thread itself.
//!
//! A file is written by one thread at a time, in the order asked for. Contents that wait while it
//! is busy are replaced by the next: they are whole, so the last one answers for all before it, and
//! a burst of changes costs two writes.

use super::services::Services;
use crate::dispatch::Errand;
use crate::service::http;
use crate::transport::Front;
use bifrons_core::config::Configuration;
use bifrons_core::plugin::{Answer, StoreRequest, Ticket};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What is to be written next into a file that is being written.
#[derive(Default)]
struct Next {
    content: Vec<u8>,
    /// Who waits for it: as many as plugins let wait.
    tickets: Vec<Ticket>,
}

/// Files that are being written.
type Busy = Rc<RefCell<HashMap<PathBuf, Next>>>;

/// Runs errands of all plugins.
pub(super) struct Errands {
    folder: PathBuf,
    services: Services,
    busy: Busy,
}

impl Errands {
    pub(super) fn new(configuration: &Configuration, services: Services) -> Self {
        let folder = PathBuf::from(&configuration.settings.general.configs_folder);
        clear_left(&folder);
        Errands { folder, services, busy: Busy::default() }
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
                let front = front.clone();
                let told = move |ticket, outcome| {
                    front.with(|core, now| core.answered(now, ticket, Answer::Stored(outcome)));
                };
                store_in_turn(&self.busy, path, Next { content, tickets: vec![ticket] }, told);
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

/// Writes a file when those before it are written, and tells everybody who waited for it.
fn store_in_turn(
    busy: &Busy,
    path: PathBuf,
    mut next: Next,
    told: impl Fn(Ticket, Result<(), String>) + 'static,
) {
    if let Some(waiting) = busy.borrow_mut().get_mut(&path) {
        waiting.content = next.content;
        waiting.tickets.append(&mut next.tickets);
        return;
    }
    busy.borrow_mut().insert(path.clone(), Next::default());
    let busy = busy.clone();
    tokio::task::spawn_local(async move {
        loop {
            let (into, content) = (path.clone(), next.content);
            let written = tokio::task::spawn_blocking(move || stored(&into, &content)).await;
            let outcome = written.unwrap_or_else(|error| Err(error.to_string()));
            // Told first: what that sets going waits for the next turn.
            next.tickets.into_iter().for_each(|ticket| told(ticket, outcome.clone()));
            let mut busy = busy.borrow_mut();
            match busy.get_mut(&path).map(std::mem::take) {
                Some(waiting) if !waiting.tickets.is_empty() => next = waiting,
                _ => {
                    busy.remove(&path);
                    return;
                }
            }
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

/// Removes what servers that were killed while they stored have left beside the files.
fn clear_left(folder: &Path) {
    let Ok(files) = std::fs::read_dir(folder) else { return };
    for path in files.flatten().map(|file| file.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let left = name.strip_suffix(".tmp").and_then(|name| name.rsplit_once(".jcfg."));
        let process = left.and_then(|(_, process)| process.parse::<u32>().ok());
        if process.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            // It is in nobody's way.
            let _ = std::fs::remove_file(path);
        }
    }
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
    fn what_the_killed_left_is_cleared() {
        let folder = std::env::temp_dir().join(format!("bifrons-left-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let own = format!("rooms.jcfg.{}.tmp", std::process::id());
        // Ids of processes stay below 2^22 (proc(5)).
        let kept = ["rooms.jcfg", "notes.tmp", own.as_str()];
        for name in kept.iter().chain(&["rooms.jcfg.4294967295.tmp"]) {
            std::fs::write(folder.join(name), "").unwrap();
        }
        clear_left(&folder);
        for name in kept {
            assert!(folder.join(name).exists(), "{name}");
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), kept.len());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn writes_of_one_file_take_turns() {
        let name = format!("bifrons-turns-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("rooms.jcfg");
        let (busy, told) = (Busy::default(), Rc::new(RefCell::new(Vec::new())));
        let local = tokio::task::LocalSet::new();
        for number in 1..=50 {
            let (told, at) = (told.clone(), path.clone());
            let tell = move |ticket: Ticket, outcome: Result<(), String>| {
                let there: u64 = std::fs::read_to_string(&at).unwrap().parse().unwrap();
                assert!(there >= ticket.0, "{ticket:?} is told of before it is on disk: {there}");
                told.borrow_mut().push((ticket.0, outcome));
            };
            let next = Next { content: number.to_string().into(), tickets: vec![Ticket(number)] };
            let _inside = local.enter();
            store_in_turn(&busy, path.clone(), next, tell);
        }
        local.await;
        let all: Vec<_> = (1..=50).map(|number| (number, Ok(()))).collect();
        assert_eq!(*told.borrow(), all, "in order, nobody forgotten");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "50");
        assert!(busy.borrow().is_empty());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn addresses_resolve_to_themselves() {
        assert_eq!(resolve("127.0.0.1"), Ok(vec![IpAddr::from([127, 0, 0, 1])]));
        assert!(resolve("no such name").is_err());
    }
}
