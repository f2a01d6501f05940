//! The program itself with these transports and handlers in its configuration folder.

use crate::broker::{Mosquitto, Rabbit, free_port};
use crate::client::{Client, PATIENCE, SILENCE};
use crate::room::whole_life;
use crate::server::{Folder, run};
use serde_json::{Value, json};
use std::net::{IpAddr, UdpSocket};
use std::process::{Child, Command, Stdio};

/// The program, ended with the test.
struct Program {
    child: Child,
    folder: Folder,
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.folder.path("log")).unwrap_or_default());
        }
        // Gone already, or not: either way nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address media go over: the one that leads out. Loopback is no candidate.
fn local_ip() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("binds");
    let way = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    way.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

impl Program {
    /// Starts it with these files, by their packages, and without HTTP and WebSockets. `SOCKET` in
    /// them is a path of its own.
    fn start(files: &[(&str, String)]) -> Self {
        Self::start_as(env!("CARGO_BIN_EXE_bifrons"), "", files)
    }

    /// As [`Program::start`], another program with more in its `janus.jcfg`.
    fn start_as(program: &str, more: &str, files: &[(&str, String)]) -> Self {
        let folder = Folder::new();
        let socket = folder.path("api").display().to_string();
        let write = |name: &str, text: &str| {
            let text = text.replace("SOCKET", &socket);
            std::fs::write(folder.path(&format!("{name}.jcfg")), text).expect("written");
        };
        let (first, ip) = (free_port().clamp(20_000, 60_000), local_ip());
        let core = format!(
            "media: {{ rtp_port_range = \"{first}-{}\" }} nat: {{ ice_enforce_list = \"{ip}\" }} \
             events: {{ broadcast = true }} {more}",
            first + 8
        );
        write("janus", &core);
        write("janus.transport.http", "general: { http = false }");
        write("janus.transport.websockets", "general: { ws = false }");
        files.iter().for_each(|(name, text)| write(name, text));
        let log = std::fs::File::create(folder.path("log")).expect("a log");
        let child = Command::new(program)
            .arg("-F")
            .arg(&folder.0)
            // What a program that dies leaves behind belongs there, too.
            .current_dir(&folder.0)
            .stdout(log)
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        Program { child, folder }
    }

    /// A client of its Unix socket, as soon as that is there.
    async fn client(&self) -> Client<crate::unix::Packets> {
        let path = self.folder.path("api");
        crate::events::until("the socket", 6 * PATIENCE, || path.exists()).await;
        Client::new(crate::unix::Packets::connect(&path))
    }

    fn terminate(&self) {
        let sent = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    async fn ended(&mut self) -> Option<i32> {
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status.code();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

fn unix() -> (&'static str, String) {
    ("janus.transport.pfunix", "general: { enabled = true path = \"SOCKET\" }".to_owned())
}

#[test]
fn transports_auth_01_unix_sockets_alone_are_enough_to_start() {
    run(async {
        let nowhere = free_port();
        let rabbitmq = format!(
            "general: {{ enabled = true host = \"127.0.0.1\" port = {nowhere} \
             to_janus = \"to\" from_janus = \"from\" }}"
        );
        let mqtt = "general: { enabled = true url = \"no url at all\" subscribe_topic = \"a\" \
                    publish_topic = \"b\" }";
        let nanomsg = "general: { enabled = true address = \"ipc:///no/such/folder/x\" }";
        let mut program = Program::start(&[
            unix(),
            ("janus.transport.rabbitmq", rabbitmq),
            ("janus.transport.mqtt", mqtt.to_owned()),
            ("janus.transport.nanomsg", nanomsg.to_owned()),
        ]);
        let mut client = program.client().await;
        whole_life(&mut client).await;
        let info: Value = client.ask(json!({"janus": "info"})).await;
        let served: Vec<_> = info["transports"].as_object().expect("an object").keys().collect();
        assert_eq!(served, ["janus.transport.pfunix", "janus.transport.rabbitmq"]);
        program.terminate();
        assert_eq!(program.ended().await, Some(0));
        let log = std::fs::read_to_string(program.folder.path("log")).expect("a log");
        for named in ["no url at all", "ipc:///no/such/folder/x", &nowhere.to_string()] {
            assert!(log.contains(named), "{named} is not in the log: {log}");
        }
        let mut program = Program::start(&[("janus.transport.mqtt", mqtt.to_owned())]);
        assert_eq!(program.ended().await, Some(1), "nobody could reach it");
    });
}

#[test]
fn transports_auth_38_an_orderly_stop_says_goodbye() {
    run(async {
        let broker = Mosquitto::start();
        let url = format!("tcp://127.0.0.1:{}", broker.port);
        let mqtt = format!(
            "general: {{ enabled = true url = \"{url}\" client_id = \"program\" \
             subscribe_topic = \"to\" publish_topic = \"from\" disconnect_timeout = 2000 }}\n\
             status: {{ enabled = true connect_message = \"{{\\\"on\\\": 1}}\" \
             disconnect_message = \"{{\\\"on\\\": 0}}\" }}"
        );
        let connecting =
            crate::mqtt::Application::connect(broker.port, "watcher", &["status"], "none");
        let mut watcher = Client::new(connecting.await);
        for _ in 0..3 {
            let mut program = Program::start(&[unix(), ("janus.transport.mqtt", mqtt.clone())]);
            assert_eq!(watcher.next_within(4 * PATIENCE).await, Some(json!({"on": 1})));
            program.terminate();
            assert_eq!(watcher.next().await, json!({"on": 0}));
            assert_eq!(program.ended().await, Some(0));
        }
    });
}

#[test]
fn a_handler_at_a_broker_hears_of_start_and_stop() {
    run(async {
        let broker = Mosquitto::start();
        let url = format!("tcp://127.0.0.1:{}", broker.port);
        let mqttevh = format!(
            "general: {{ enabled = true events = \"core,sessions\" url = \"{url}\" \
             client_id = \"program-events\" disconnect_timeout = 2000 }}"
        );
        let topics = ["/janus/events/#"];
        let connecting = crate::mqtt::Application::connect(broker.port, "watcher", &topics, "none");
        let mut watcher = Client::new(connecting.await);
        let mut program =
            Program::start(&[unix(), ("janus.eventhandler.mqttevh", mqttevh.clone())]);
        let started = watcher.next_within(4 * PATIENCE).await.expect("started");
        assert_eq!(started["event"]["status"], "started", "{started}");
        let session = program.client().await.create().await;
        let created = watcher.next().await;
        assert_eq!(
            (&created["session_id"], &created["eventtype"]),
            (&json!(session), &json!("Sessions"))
        );
        assert_eq!(watcher.wire.topic(), "/janus/events/sessions");
        program.terminate();
        let stopped = |event: &Value| event["event"]["status"] == "shutdown";
        let stopped = watcher.until("shutdown", stopped).await;
        assert_eq!(stopped["event"]["signum"], 15);
        assert_eq!(program.ended().await, Some(0));
    });
}

#[test]
fn the_program_stops_in_order_while_rabbitmq_is_connected() {
    run(async {
        let port = Rabbit::shared();
        let queues = crate::rabbitmq::settings(port).general;
        let (to, from) = (queues.to_janus.expect("named"), queues.from_janus.expect("named"));
        let rabbitmq = format!(
            "general: {{ enabled = true host = \"127.0.0.1\" port = {port} \
             to_janus = \"{to}\" from_janus = \"{from}\" }}"
        );
        let mut program = Program::start(&[("janus.transport.rabbitmq", rabbitmq)]);
        // The request waits in its queue until the program has come to take it.
        let application = crate::rabbitmq::Application::connect(port, &from, &to).await;
        let mut client = Client::new(application);
        crate::rabbitmq::declare(&client.wire, &to).await;
        whole_life(&mut client).await;
        program.terminate();
        assert_eq!(program.ended().await, Some(0));
        let log = std::fs::read_to_string(program.folder.path("log")).expect("a log");
        assert!(!log.contains("panicked"), "{log}");
    });
}

/// What holds for ours holds for a stock Janus: the tests are right about what they want. (Over Unix
/// sockets janode does that.)
#[test]
fn a_room_lives_in_a_stock_janus_over_brokers_and_nanomsg() {
    /// Threads of Janus 1.1.2's sockets may end as soon as they have begun; then it starts again.
    const STARTS: usize = 6;
    const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu/janus";
    if !std::path::Path::new(LIBRARIES).is_dir() {
        eprintln!("passed over: no stock Janus is installed");
        return;
    }
    run(async {
        let (broker, rabbit) = (Mosquitto::start(), Rabbit::shared());
        let folder = Folder::new();
        let address = format!("ipc://{}", folder.path("pair").display());
        let queues = crate::rabbitmq::settings(rabbit).general;
        let (to, from) = (queues.to_janus.expect("named"), queues.from_janus.expect("named"));
        let folders = format!(
            "general: {{ plugins_folder = \"{LIBRARIES}/plugins\" \
             transports_folder = \"{LIBRARIES}/transports\" \
             events_folder = \"{LIBRARIES}/events\" loggers_folder = \"{LIBRARIES}/loggers\" }}"
        );
        let mqtt = format!(
            "general: {{ enabled = true url = \"tcp://127.0.0.1:{}\" mqtt_version = \"5\" \
             client_id = \"stock\" subscribe_topic = \"to-janus\" \
             publish_topic = \"from-janus\" }} admin: {{ admin_enabled = false }}",
            broker.port
        );
        let rabbitmq = format!(
            "general: {{ enabled = true host = \"127.0.0.1\" port = {rabbit} \
             to_janus = \"{to}\" from_janus = \"{from}\" }} admin: {{ admin_enabled = false }}"
        );
        let janus = || {
            Program::start_as(
                "janus",
                &folders,
                &[
                    ("janus.transport.mqtt", mqtt.clone()),
                    ("janus.transport.rabbitmq", rabbitmq.clone()),
                    (
                        "janus.transport.nanomsg",
                        format!("general: {{ enabled = true address = \"{address}\" }}"),
                    ),
                ],
            )
        };
        let pair = folder.path("pair");
        let mut running = janus();
        let mut dialled = None;
        for _ in 0..STARTS {
            let there = async {
                while !pair.exists() {
                    tokio::time::sleep(SILENCE).await;
                }
            };
            if tokio::time::timeout(PATIENCE, there).await.is_ok() {
                dialled = crate::nanomsg::Peer::try_dial(&address);
            }
            if dialled.is_some() {
                break;
            }
            // The stock one dies at times while it starts several brokers' transports.
            drop(running);
            let _ = std::fs::remove_file(&pair);
            running = janus();
        }
        whole_life(&mut Client::new(dialled.expect("a Janus that listens"))).await;
        let application = crate::rabbitmq::Application::connect(rabbit, &from, &to).await;
        whole_life(&mut Client::new(application)).await;
        let topics = ["from-janus"];
        let application =
            crate::mqtt::Application::connect(broker.port, "application", &topics, "to-janus");
        whole_life(&mut Client::new(application.await)).await;
        drop(running);
    });
}
