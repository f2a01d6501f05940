//! The server under test: dispatcher, EchoTest, VideoRoom, and a shard that only listens.

use bifrons_control::auth::Authority;
use bifrons_control::dispatch::{Core, CoreSettings, Parts, ServerFacts};
use bifrons_control::negotiation::{Negotiation, NegotiationSettings, Negotiator, Shards};
use bifrons_control::transport::{Front, moment};
use bifrons_core::api::{ApiError, ErrorCode, reply};
use bifrons_core::ice::{InterfaceAddress, LocalPlan, LocalRules};
use bifrons_core::media::ShardCommand;
use serde_json::{Value, json};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::LocalSet;

/// A server without transports; its Admin API answers `admin` to whatever it is asked.
pub(crate) fn start(settings: CoreSettings) -> Rc<Front> {
    let mut core = Core::new(Parts {
        settings,
        authority: Authority::new(None, false, None),
        facts: ServerFacts::default(),
        negotiator: negotiation(),
        random: Box::new(xorshift()),
        now: moment(),
    });
    let echotest = Box::<bifrons_echotest::EchoTest>::default();
    core.add_plugin(moment(), echotest, None).expect("EchoTest starts");
    let videoroom = Box::<bifrons_videoroom::VideoRoom>::default();
    core.add_plugin(moment(), videoroom, None).expect("VideoRoom starts");
    let front = Front::new(core);
    front.set_admin(Rc::new(|front, to, request: Value| {
        let transaction = request.get("transaction").and_then(Value::as_str);
        let answer = match transaction {
            Some(transaction) => json!({"janus": "admin", "transaction": transaction}),
            None => {
                let missing = ApiError::new(ErrorCode::MissingMandatoryElement, "no transaction");
                reply::error(0, None, &missing)
            }
        };
        front.answer_admin(to, answer);
    }));
    tokio::task::spawn_local(front.clone().run());
    front
}

/// Runs a test on the real clock, for at most a minute.
pub(crate) fn run(test: impl Future<Output = ()>) {
    local(false, Duration::from_secs(60), test);
}

/// Runs a test on a clock that jumps whenever nobody has anything to do; for at most an hour of it.
pub(crate) fn run_paused(test: impl Future<Output = ()>) {
    local(true, Duration::from_secs(3600), test);
}

fn local(paused: bool, limit: Duration, test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(paused)
        .build()
        .expect("a runtime");
    let timed = async { tokio::time::timeout(limit, test).await };
    LocalSet::new().block_on(&runtime, timed).expect("in time");
}

/// A folder of a test's own, removed at its end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("bifrons-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct DeafShard([SocketAddr; 1]);

impl Shards for DeafShard {
    fn count(&self) -> usize {
        1
    }

    fn sockets(&self, _: u8) -> &[SocketAddr] {
        &self.0
    }

    fn send(&mut self, _: u8, _: ShardCommand) {}

    fn flush(&mut self) -> bool {
        false
    }
}

fn negotiation() -> Box<dyn Negotiator> {
    let address = Ipv4Addr::new(192, 0, 2, 1);
    let host = InterfaceAddress { name: "eth0".to_owned(), ip: address.into() };
    let rules = LocalRules::default();
    let plan = LocalPlan::new(&[host], &rules);
    let settings = NegotiationSettings::new(["AB"; 32].join(":"), plan, rules);
    let shard = DeafShard([(address, 9000).into()]);
    let mut random = xorshift();
    let random = move |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte = random() as u8);
    Box::new(Negotiation::new(settings, Box::new(shard), Box::new(random)))
}

/// Numbers that differ from run to run; good enough for tests.
pub(crate) fn xorshift() -> impl FnMut() -> u64 {
    let mut state = moment().wall_us | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 3
    }
}
