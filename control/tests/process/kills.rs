//! The program killed at any moment while rooms are made, changed and destroyed for good: what it
//! acknowledged is on disk, and what is on disk loads.
//!
//! A few users change entries of each [`Ground`] as fast as they are answered, until a SIGKILL at
//! a random moment. Then the file has to be readable, and the program started again has to list
//! every acknowledged change and nothing else; a change that was not answered may have happened or
//! not. 50 kills as a rule, `BIFRONS_SOAK_KILLS` of them if it is set (`cargo xtask soak kills`);
//! `BIFRONS_SOAK_SEED` repeats a run as far as moments can be repeated.

use crate::program::{Program, session};
use bifrons_core::config::{Group, jcfg};
use bifrons_loadtest::janus::Handle;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::LocalSet;

/// How long an answer may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Users of each ground.
const USERS: u64 = 3;
/// Entries each user has a hand in.
const ENTRIES: u64 = 6;
/// The longest life of the program, in milliseconds from its first answer.
const LIFE_MS: u64 = 300;

/// A plugin with entries that may be permanent.
struct Ground {
    package: &'static str,
    create: fn(u64, &str) -> Value,
    edit: fn(u64, &str) -> Value,
    destroy: fn(u64) -> Value,
    /// Whether a reply says that the change is on disk.
    is_kept: fn(&Value) -> bool,
    /// Id and description of an entry of `list`.
    entry: fn(&Value) -> Option<(u64, String)>,
    /// The id of a group of the file.
    id: fn(&str, &Group) -> Option<u64>,
}

const GROUNDS: [Ground; 3] =
    [rooms("janus.plugin.videoroom"), rooms("janus.plugin.textroom"), MOUNTPOINTS];

const MOUNTPOINTS: Ground = Ground {
    package: "janus.plugin.streaming",
    create: |id, text| {
        json!({"request": "create", "type": "rtp", "id": id, "description": text,
            "permanent": true,
            "media": [{"type": "audio", "mid": "a", "port": port(id), "pt": 111, "codec": "opus"}]})
    },
    edit: |id, text| json!({"request": "edit", "id": id, "new_description": text, "permanent": true}),
    destroy: |id| json!({"request": "destroy", "id": id, "permanent": true}),
    // `destroyed` does not say (plugin-streaming §3).
    is_kept: |reply| reply["permanent"] == true || reply["streaming"] == "destroyed",
    entry: |shown| Some((shown["id"].as_u64()?, shown["description"].as_str()?.to_owned())),
    id: |_, group| group.get_u64("id"),
};

/// A mountpoint's port, always the same, which has to be free at each start again: above those that
/// the system gives to sockets that ask for none.
fn port(id: u64) -> u64 {
    let entry = (id / 100 - 1) * ENTRIES + id % 100;
    61_000 + u64::from(std::process::id() % 60) * 70 + entry * 2
}

/// A plugin with rooms.
const fn rooms(package: &'static str) -> Ground {
    Ground {
        package,
        create: |id, text| json!({"request": "create", "room": id, "description": text, "permanent": true}),
        edit: |id, text| json!({"request": "edit", "room": id, "new_description": text, "permanent": true}),
        destroy: |id| json!({"request": "destroy", "room": id, "permanent": true}),
        is_kept: |reply| reply["permanent"] == true,
        entry: |shown| Some((shown["room"].as_u64()?, shown["description"].as_str()?.to_owned())),
        id: |name, _| name.strip_prefix("room-")?.parse().ok(),
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// What one user knows of its entries.
#[derive(Default)]
struct Book {
    /// Descriptions of the entries, as acknowledged.
    kept: BTreeMap<u64, String>,
    /// A change that was asked for and not answered: the entry, and what it would be.
    open: Option<(u64, Option<String>)>,
    acknowledged: u64,
}

impl Book {
    fn write(&mut self, id: u64, text: Option<String>) {
        match text {
            Some(text) => drop(self.kept.insert(id, text)),
            None => drop(self.kept.remove(&id)),
        }
    }

    /// Compares with what is there; the open change is taken for what it turned out to be.
    fn settle(&mut self, user: u64, there: &BTreeMap<u64, String>) -> Result<(), String> {
        let own = user * 100..user * 100 + ENTRIES;
        let found: BTreeMap<_, _> =
            there.range(own).map(|(id, text)| (*id, text.clone())).collect();
        let before = self.kept.clone();
        if found != before
            && let Some((id, text)) = self.open.take()
        {
            self.write(id, text);
        }
        self.open = None;
        match found == self.kept {
            true => Ok(()),
            false => Err(format!("{found:?} is there, {:?} was acknowledged", self.kept)),
        }
    }
}

/// Changes entries until the connection ends.
async fn change(
    ground: &Ground,
    mut handle: Handle,
    user: u64,
    mut random: Random,
    book: Rc<RefCell<Book>>,
) {
    for count in 0_u64.. {
        let id = user * 100 + random.below(ENTRIES);
        let is_there = book.borrow().kept.contains_key(&id);
        let text = format!("entry {id}, change {count}-{}", random.below(1 << 32));
        let (request, then) = match (is_there, random.below(3)) {
            (false, _) => ((ground.create)(id, &text), Some(text)),
            (true, 0) => ((ground.destroy)(id), None),
            (true, _) => ((ground.edit)(id, &text), Some(text)),
        };
        book.borrow_mut().open = Some((id, then.clone()));
        let Ok(answer) = handle.ask(request.clone(), None).await else { return };
        assert!((ground.is_kept)(&answer.data), "{request} {}", answer.data);
        let mut book = book.borrow_mut();
        book.open = None;
        book.write(id, then);
        book.acknowledged += 1;
    }
}

/// Everything that a plugin lists.
async fn listed(ground: &Ground, handle: &mut Handle) -> BTreeMap<u64, String> {
    let reply = handle.ask(json!({"request": "list"}), None).await.expect("a list").data;
    let list = reply["list"].as_array().unwrap_or_else(|| panic!("no list: {reply}"));
    list.iter().filter_map(ground.entry).collect()
}

/// One life of the program, which ends by a kill.
async fn live(program: &mut Program, books: &[Vec<Rc<RefCell<Book>>>], random: &mut Random) {
    let url = program.url();
    let mut users = Vec::new();
    for (ground, books) in GROUNDS.iter().zip(books) {
        for (user, book) in (1..).zip(books) {
            let session = session(&url, PATIENCE).await;
            let handle = session.attach(ground.package).await.expect("attaches");
            let own = Random(random.below(u64::MAX));
            let work = change(ground, handle, user, own, book.clone());
            users.push(tokio::task::spawn_local(work));
        }
    }
    tokio::time::sleep(Duration::from_millis(random.below(LIFE_MS))).await;
    program.kill();
    for user in users {
        user.await.expect("a user's own checks hold");
    }
}

/// What a plugin's file holds.
fn saved(ground: &Ground, program: &Program) -> Result<BTreeMap<u64, String>, String> {
    let file = program.folder().join(format!("{}.jcfg", ground.package));
    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let read = jcfg::read_alone(ground.package, &text);
    let tree = read.map_err(|error| format!("{error}: {text}"))?;
    let entry = |(name, group): (&str, &Group)| {
        Some(((ground.id)(name, group)?, group.get_str("description")?.into_owned()))
    };
    Ok(tree.groups().filter_map(entry).collect())
}

/// Compares what was acknowledged with the files, and the program that is started again with both.
async fn check(program: &mut Program, books: &[Vec<Rc<RefCell<Book>>>]) -> Result<(), String> {
    program.revive();
    let session = session(&program.url(), PATIENCE).await;
    for (ground, books) in GROUNDS.iter().zip(books) {
        let there = saved(ground, program)?;
        for (user, book) in (1..).zip(books) {
            let settled = book.borrow_mut().settle(user, &there);
            settled.map_err(|what| format!("{}, user {user}: {what}", ground.package))?;
        }
        let mut handle = session.attach(ground.package).await.expect("attaches");
        let mut loaded = listed(ground, &mut handle).await;
        // The kernel may need a moment to let go of the ports of a process that was killed.
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while loaded != there && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
            loaded = listed(ground, &mut handle).await;
        }
        if loaded != there {
            let package = ground.package;
            return Err(format!("{package}: of {there:?} there was loaded {loaded:?}"));
        }
        let known: usize = books.iter().map(|book| book.borrow().kept.len()).sum();
        if there.len() != known {
            return Err(format!("{}: entries of nobody's: {there:?}", ground.package));
        }
    }
    let left = std::fs::read_dir(program.folder()).map_err(|error| error.to_string())?;
    let left = left.flatten().filter(|file| file.path().extension().is_some_and(|e| e == "tmp"));
    match left.count() {
        0 => Ok(()),
        count => Err(format!("{count} files that the killed left are still there")),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn what_was_acknowledged_survives_kills() {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let seed = number("BIFRONS_SOAK_SEED").unwrap_or(clock.as_secs());
    let kills = number("BIFRONS_SOAK_KILLS").unwrap_or(50);
    eprintln!("seed {seed}, {kills} kills");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    LocalSet::new().block_on(&runtime.expect("a runtime"), async {
        let mut random = Random(seed);
        let mut program = Program::start("", &[]);
        let books: Vec<Vec<_>> =
            GROUNDS.iter().map(|_| (0..USERS).map(|_| Rc::default()).collect()).collect();
        for kill in 1..=kills {
            live(&mut program, &books, &mut random).await;
            let checked = check(&mut program, &books).await;
            checked.unwrap_or_else(|what| panic!("seed {seed}, kill {kill}: {what}"));
        }
        let books = books.iter().flatten();
        let acknowledged: Vec<_> = books.map(|book| book.borrow().acknowledged).collect();
        eprintln!("changes acknowledged, by user: {acknowledged:?}");
        assert!(acknowledged.iter().all(|count| *count > 0), "somebody was never served");
    });
}
