//! The server under test.

use crate::admin;
use crate::client::{Http, Ws};
use crate::media::{Media, Shards as MediaShards};
use crate::mute;
use bifrons_control::admin::{Admin, AdminSettings};
use bifrons_control::auth::Authority;
use bifrons_control::capture::Captures;
use bifrons_control::dispatch::{Core, CoreSettings, Parts, ServerFacts};
use bifrons_control::event::Hub;
use bifrons_control::negotiation::{Negotiation, NegotiationSettings, Negotiator, Shards};
use bifrons_control::transport::{Bind, Front, Tls, http, moment, websocket};
use bifrons_core::ice::{InterfaceAddress, LocalPlan, LocalRules};
use bifrons_core::media::ShardCommand;
use bifrons_core::plugin::Plugin;
use std::cell::RefCell;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::task::LocalSet;

/// How a test wants its server.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) core: CoreSettings,
    pub(crate) secret: Option<&'static str>,
    pub(crate) token_auth: bool,
    pub(crate) token_secret: Option<&'static str>,
    pub(crate) websocket: websocket::Settings,
    pub(crate) http: http::Settings,
    pub(crate) gate: bifrons_control::transport::Gate,
    pub(crate) admin: bool,
    pub(crate) admin_settings: AdminSettings,
    pub(crate) full_trickle: bool,
    pub(crate) tls: Option<Tls>,
    pub(crate) plugins: Vec<Box<dyn Plugin>>,
    /// Event handlers; they hear something if `core.events_enabled` is set.
    pub(crate) hub: Option<Rc<Hub>>,
    /// Real shards instead of a deaf one.
    pub(crate) media: Option<Media>,
}

/// The WebSockets of somebody else's server, if the environment names one.
pub(crate) fn foreign() -> Option<String> {
    variable("BIFRONS_CONFORM_WS")
}

/// A server to talk to.
pub(crate) struct Target {
    ws: String,
    http: String,
    base: String,
    pub(crate) admin_ws: String,
    pub(crate) admin_http: String,
    pub(crate) admin_base: String,
    /// Ours only.
    pub(crate) front: Option<Rc<Front>>,
    /// Ours only.
    pub(crate) commands: Commands,
    /// Ours with media only.
    _shards: Option<MediaShards>,
}

pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where the tests' own media are bound: loopback, unless another server does not offer that.
pub(crate) fn media_address() -> Ipv4Addr {
    let named = variable("BIFRONS_CONFORM_MEDIA").and_then(|address| address.parse().ok());
    named.unwrap_or(Ipv4Addr::LOCALHOST)
}

impl Target {
    /// A server as it comes.
    pub(crate) async fn start() -> Self {
        match Self::foreign() {
            Some(target) => target,
            None => Self::ours(Setup::default()).await,
        }
    }

    /// Somebody else's server, if the environment names one.
    fn foreign() -> Option<Self> {
        let ws = foreign()?;
        let http = variable("BIFRONS_CONFORM_HTTP")?;
        let (http, base) = http.split_once('/').unwrap_or((&http, "janus"));
        Some(Target {
            ws,
            http: http.to_owned(),
            base: format!("/{base}"),
            admin_ws: variable("BIFRONS_CONFORM_ADMIN_WS").unwrap_or_default(),
            admin_http: variable("BIFRONS_CONFORM_ADMIN_HTTP").unwrap_or_default(),
            admin_base: "/admin".to_owned(),
            front: None,
            commands: Commands::default(),
            _shards: None,
        })
    }

    /// A server with an Admin API that asks for [`admin::SECRET`].
    pub(crate) async fn with_admin() -> Self {
        Self::or_foreign(admin::setup()).await
    }

    /// A server of this setup, or somebody else's that is set up alike.
    pub(crate) async fn or_foreign(setup: Setup) -> Self {
        match Self::foreign() {
            Some(target) => target,
            None => Self::ours(setup).await,
        }
    }

    /// A server that carries media.
    pub(crate) async fn with_media() -> Self {
        match Self::foreign() {
            Some(target) => target,
            None => Self::ours(Setup { media: Some(Media::default()), ..Setup::default() }).await,
        }
    }

    /// A server with media whose dispatcher the test asks; `None` if it is somebody else's.
    pub(crate) async fn described() -> Option<Self> {
        Self::with(Setup { media: Some(Media::default()), ..Setup::default() }).await
    }

    /// A server with a configuration of its own; `None` if the server is somebody else's.
    pub(crate) async fn with(setup: Setup) -> Option<Self> {
        if foreign().is_some() {
            eprintln!("passed over: needs a configuration of its own");
            return None;
        }
        Some(Self::ours(setup).await)
    }

    async fn ours(mut setup: Setup) -> Self {
        if variable("BIFRONS_CONFORM_MUTE").is_some() {
            let (ws, http) = mute::start().await;
            let (ws, http) = (format!("127.0.0.1:{ws}"), format!("127.0.0.1:{http}"));
            let (admin_ws, admin_http) = (ws.clone(), http.clone());
            return Target {
                ws,
                http,
                base: "/janus".to_owned(),
                admin_ws,
                admin_http,
                admin_base: "/admin".to_owned(),
                front: None,
                commands: Commands::default(),
                _shards: None,
            };
        }
        let text = |text: &str| text.to_owned();
        let authority =
            Authority::new(setup.secret.map(text), setup.token_auth, setup.token_secret.map(text));
        let commands = Commands::default();
        let (negotiator, shards) = match setup.media {
            Some(media) => {
                let (negotiator, shards) = media.start();
                (negotiator, Some(shards))
            }
            None => (negotiation(&commands, setup.full_trickle), None),
        };
        let mut core = Core::new(Parts {
            settings: setup.core,
            authority,
            facts: ServerFacts::default(),
            negotiator,
            random: Box::new(xorshift()),
            now: moment(),
        });
        let echotest = Box::<bifrons_echotest::EchoTest>::default();
        core.add_plugin(moment(), echotest, None).expect("EchoTest starts");
        let streaming = Box::<bifrons_streaming::Streaming>::default();
        core.add_plugin(moment(), streaming, None).expect("Streaming starts");
        let videocall = Box::<bifrons_videocall::VideoCall>::default();
        core.add_plugin(moment(), videocall, None).expect("VideoCall starts");
        let textroom = Box::<bifrons_textroom::TextRoom>::default();
        core.add_plugin(moment(), textroom, None).expect("TextRoom starts");
        let videoroom = Box::<bifrons_videoroom::VideoRoom>::default();
        core.add_plugin(moment(), videoroom, None).expect("VideoRoom starts");
        for plugin in setup.plugins {
            core.add_plugin(moment(), plugin, None).expect("starts");
        }
        let front = Front::new(core);
        if let Some(hub) = setup.hub {
            front.set_hub(hub);
        }
        if let Some(shards) = &shards {
            shards.serve(&front);
        }
        let admin = [false, true].into_iter().filter(|admin| !admin || setup.admin);
        for admin in admin {
            let bind = Bind::Tcp { ip: None, interface: None, port: 0 };
            let gate = setup.gate.clone();
            let base_path = if admin { "/admin" } else { "/janus" }.to_owned();
            let door = websocket::Door {
                bind: bind.clone(),
                gate: gate.clone(),
                admin,
                tls: setup.tls.clone(),
            };
            setup.websocket.doors.push(door);
            let tls = setup.tls.clone();
            setup.http.doors.push(http::Door { bind, gate, admin, tls, base_path });
        }
        if setup.admin {
            let taps = shards.as_ref().map(MediaShards::taps).unwrap_or_default();
            Admin::new(setup.admin_settings, Captures::new(taps)).attend(&front);
        }
        let (_, ws) = websocket::WebSockets::start(&front, setup.websocket).expect("binds");
        let (_, http) = http::Http::start(&front, setup.http).expect("binds");
        tokio::task::spawn_local(front.clone().run());
        let at = |ports: &[Option<u16>], index: usize| {
            let port = ports.get(index).copied().flatten();
            port.map(|port| format!("127.0.0.1:{port}")).unwrap_or_default()
        };
        Target {
            ws: at(&ws, 0),
            http: at(&http, 0),
            base: "/janus".to_owned(),
            admin_ws: at(&ws, 1),
            admin_http: at(&http, 1),
            admin_base: "/admin".to_owned(),
            front: Some(front),
            commands,
            _shards: shards,
        }
    }

    /// A WebSocket to the Janus API.
    pub(crate) async fn ws(&self) -> Ws {
        Ws::connect(&self.ws, "/", &[("Sec-WebSocket-Protocol", "janus-protocol")])
            .await
            .expect("accepted")
    }

    /// Where WebSockets are.
    pub(crate) fn ws_address(&self) -> &str {
        &self.ws
    }

    /// An HTTP client of the Janus API.
    pub(crate) fn http(&self) -> Http {
        Http { address: self.http.clone(), base: self.base.clone() }
    }

    /// The dispatcher, for what a client cannot do; fails against a server that is not ours.
    pub(crate) fn front(&self) -> &Rc<Front> {
        self.front.as_ref().expect("a server of ours")
    }
}

fn local<F: Future>(paused: bool, test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(paused)
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, test)
}

/// Runs a test on the real clock, for at most 20 s.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let limit = Duration::from_secs(20);
    local(false, async { tokio::time::timeout(limit, test).await }).expect("in time");
}

/// Runs a test on a clock that jumps whenever nobody has anything to do; for at most an hour of it.
pub(crate) fn run_paused(test: impl Future<Output = ()>) {
    let limit = Duration::from_secs(3600);
    local(true, async { tokio::time::timeout(limit, test).await }).expect("in time");
}

/// What was sent to shards.
pub(crate) type Commands = Rc<RefCell<Vec<ShardCommand>>>;

/// One shard that only listens to what it is told.
struct DeafShard {
    told: Commands,
    socket: [SocketAddr; 1],
}

impl Shards for DeafShard {
    fn count(&self) -> usize {
        1
    }

    fn sockets(&self, _: u8) -> &[SocketAddr] {
        &self.socket
    }

    fn send(&mut self, _: u8, command: ShardCommand) {
        self.told.borrow_mut().push(command);
    }

    fn flush(&mut self) -> bool {
        false
    }
}

/// The real negotiation, before a shard without media.
fn negotiation(told: &Commands, full_trickle: bool) -> Box<dyn Negotiator> {
    let address = Ipv4Addr::new(192, 0, 2, 1);
    let host = InterfaceAddress { name: "eth0".to_owned(), ip: address.into() };
    let rules = LocalRules::default();
    let plan = LocalPlan::new(&[host], &rules);
    let mut settings = NegotiationSettings::new(["AB"; 32].join(":"), plan, rules);
    settings.full_trickle = full_trickle;
    let shard = DeafShard { told: told.clone(), socket: [(address, 9000).into()] };
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
