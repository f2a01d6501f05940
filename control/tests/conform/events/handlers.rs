//! The handlers that are built in: HTTP, WebSocket, GELF.

use super::receiver::WebServer;
use super::telling;
use crate::target::{Setup, Target, run, run_paused};
use bifrons_control::dispatch::CoreSettings;
use bifrons_control::event::gelf::GelfEvents;
use bifrons_control::event::http::HttpEvents;
use bifrons_control::event::websocket::WsEvents;
use bifrons_control::event::{Event, EventKind, Hub, MAX_WAITING};
use bifrons_core::config::event::{
    EventSettings, GelfEventSettings, GelfProtocol, SampleEventSettings, WsEventSettings,
};
use flate2::read::GzDecoder;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// A server that this hub hears of sessions, which come one after another.
async fn sessions(hub: &Rc<Hub>, count: usize) -> Option<(Target, Vec<u64>)> {
    let target = Target::with(telling(hub, CoreSettings::default())).await?;
    let mut ws = target.ws().await;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(ws.create().await);
    }
    std::mem::forget(ws);
    Some((target, ids))
}

fn common() -> EventSettings {
    let events = Some("sessions".to_owned());
    EventSettings { enabled: true, events, ..EventSettings::default() }
}

fn ids(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["session_id"].as_u64()).collect()
}

/// An event that nobody has to make.
fn made(n: u64) -> Event {
    Event {
        kind: EventKind::Session,
        subtype: 0,
        wall_us: n,
        session_id: n,
        handle_id: 0,
        opaque_id: None,
        body: json!({"name": "created"}),
    }
}

fn http(web: &WebServer, change: impl FnOnce(&mut SampleEventSettings)) -> Rc<Hub> {
    let mut settings = web.settings("sessions");
    change(&mut settings);
    let hub = Hub::new("tester");
    HttpEvents::start(&hub, &settings).expect("starts");
    hub
}

#[test]
fn events_41_http_posts_arrays_when_grouped_and_objects_when_not() {
    run(async {
        let web = WebServer::start().await;
        let Some((_target, created)) = sessions(&http(&web, |_| {}), 1).await else { return };
        let post = web.post().await;
        let [event] = post.json().as_array().cloned().expect("an array").try_into().expect("one");
        assert_eq!(
            (&event["session_id"], &event["emitter"]),
            (&json!(created[0]), &json!("tester"))
        );
        let first = "POST /events?x=1 HTTP/1.1";
        assert_eq!(post.head.header("first"), Some(first));
        assert_eq!(post.head.header("content-type"), Some("application/json"));
        assert_eq!(post.head.header("host"), Some(format!("127.0.0.1:{}", web.port).as_str()));
        assert_eq!(post.head.header("authorization"), None);

        let web = WebServer::start().await;
        let hub = http(&web, |settings| {
            settings.common.grouping = false;
            settings.backend_user = Some("ada".to_owned());
            settings.backend_pwd = Some("x:y".to_owned());
        });
        let Some((_target, created)) = sessions(&hub, 3).await else { return };
        for id in created {
            let post = web.post().await;
            assert_eq!(post.json()["session_id"], id);
            assert_eq!(post.head.header("authorization"), Some("Basic YWRhOng6eQ=="));
        }
    });
}

#[test]
fn events_41_a_group_has_at_most_100() {
    run(async {
        let web = WebServer::start().await;
        let hub = http(&web, |_| {});
        (1..=250).for_each(|n| hub.publish(made(n)));
        let mut sizes = Vec::new();
        let mut all = Vec::new();
        while all.len() < 250 {
            let group = web.post().await.json().as_array().cloned().expect("an array");
            sizes.push(group.len());
            all.extend(group);
        }
        assert_eq!(sizes, [100, 100, 50]);
        assert_eq!(ids(&all), (1..=250).collect::<Vec<_>>());
    });
}

#[test]
fn events_42_http_tries_again_with_doubling_delays_but_not_for_a_status() {
    run_paused(async {
        let web = WebServer::start().await;
        web.deaf.set(4);
        web.status.set(500);
        let hub = http(&web, |_| {});
        hub.publish(made(1));
        hub.publish(made(2));
        let group = web.post().await;
        assert_eq!(ids(group.json().as_array().expect("an array")), [1, 2]);
        let mut times = web.dropped.borrow().clone();
        times.push(group.at);
        let delays: Vec<u64> =
            times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis() as u64).collect();
        let wanted = [100, 200, 400, 800];
        assert!(
            delays.iter().zip(wanted).all(|(got, want)| (want..want + 50).contains(got)),
            "{delays:?}"
        );
        hub.publish(made(3));
        let next = web.post().await.json();
        assert_eq!(ids(next.as_array().expect("an array")), [3], "a 500 is delivered, once");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(web.posts.borrow().is_empty());
        assert_eq!(hub.counters()[0].1.delivered, 3);
    });
}

#[test]
fn events_42_after_the_last_try_a_group_is_given_up_and_the_next_is_sent() {
    run_paused(async {
        let web = WebServer::start().await;
        web.deaf.set(3);
        let hub = http(&web, |settings| settings.max_retransmissions = 2);
        hub.publish(made(1));
        web.until("three tries", |web| web.dropped.borrow().len() == 3).await;
        hub.publish(made(2));
        assert_eq!(ids(web.post().await.json().as_array().expect("an array")), [2]);
        let counters = hub.counters()[0].1;
        assert_eq!((counters.lost, counters.accepted), (1, 2));
    });
}

#[test]
fn events_43_http_compresses_with_gzip_and_says_so() {
    run(async {
        let web = WebServer::start().await;
        let hub = http(&web, |settings| settings.compress = true);
        // More than 8 KiB, even compressed: nothing may be lost.
        let noise: String =
            (0..40_000_u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_string()).collect();
        hub.publish(Event { body: json!({"name": "created", "noise": noise}), ..made(1) });
        let post = web.post().await;
        assert_eq!(post.head.header("content-encoding"), Some("gzip"));
        let mut text = String::new();
        GzDecoder::new(post.head.body.as_slice()).read_to_string(&mut text).expect("gzip");
        let events: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(events[0]["event"]["noise"], noise);
        assert!(post.head.body.len() > 8192 && post.head.body.len() < text.len());
    });
}

/// One accepted handshake; its request.
async fn shake(stream: TcpStream, protocol: bool) -> (WebSocketStream<TcpStream>, Request) {
    let mut seen = None;
    let socket = accept_hdr_async(stream, |request: &Request, mut response: Response| {
        seen = Some(request.clone());
        if protocol {
            let offered = request.headers().get("sec-websocket-protocol").cloned();
            response.headers_mut().extend(offered.map(|offered| {
                (tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL, offered)
            }));
        }
        Ok(response)
    });
    let socket = socket.await.expect("a handshake");
    (socket, seen.expect("a request"))
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Value {
    loop {
        match socket.next().await.expect("open").expect("a message") {
            Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
            _ => continue,
        }
    }
}

async fn websocket(cap: u32) -> (TcpListener, Rc<Hub>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let hub = Hub::new("tester");
    let port = listener.local_addr().expect("an address").port();
    let settings = WsEventSettings {
        common: common(),
        backend: Some(format!("ws://127.0.0.1:{port}/here")),
        events_cap_on_reconnect: cap,
        ..WsEventSettings::default()
    };
    WsEvents::start(&hub, &settings).expect("starts");
    (listener, hub)
}

#[test]
fn events_44_websocket_comes_back_after_1_2_4_8_8_s_with_what_was_kept() {
    run_paused(async {
        let (listener, hub) = websocket(0).await;
        let (stream, _) = listener.accept().await.expect("accepts");
        let (mut socket, request) = shake(stream, true).await;
        assert_eq!(request.uri(), "/here");
        assert_eq!(request.headers()["sec-websocket-protocol"], "janus-event-handlers");
        assert_eq!(request.headers()["origin"], "http://127.0.0.1");
        assert!(request.headers().get("sec-websocket-extensions").is_none());
        hub.publish(made(1));
        assert_eq!(ids(next(&mut socket).await.as_array().expect("an array")), [1]);
        // What a receiver says is not listened to.
        socket.send(Message::text("{\"a\":1}")).await.expect("sent");
        drop(socket);
        let mut times = vec![Instant::now()];
        for n in 2..=6 {
            let (stream, _) = listener.accept().await.expect("accepts");
            times.push(Instant::now());
            hub.publish(made(n));
            drop(stream);
        }
        let delays: Vec<u64> =
            times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis() as u64).collect();
        let wanted = [1000, 2000, 4000, 8000, 8000];
        assert!(
            delays.iter().zip(wanted).all(|(got, want)| (want..want + 100).contains(got)),
            "{delays:?}"
        );
        let (stream, _) = listener.accept().await.expect("accepts");
        let (mut socket, _) = shake(stream, true).await;
        assert_eq!(ids(next(&mut socket).await.as_array().expect("an array")), [2, 3, 4, 5, 6]);
    });
}

#[test]
fn events_44_a_cap_keeps_the_newest_while_there_is_no_connection() {
    run_paused(async {
        let (listener, hub) = websocket(3).await;
        drop(listener.accept().await.expect("accepts"));
        drop(listener.accept().await.expect("accepts"));
        (1..=9).for_each(|n| hub.publish(made(n)));
        let (stream, _) = listener.accept().await.expect("accepts");
        // It knows of no subprotocol: it is asked again without one.
        drop(shake(stream, false).await);
        let (stream, _) = listener.accept().await.expect("accepts");
        let (mut socket, request) = shake(stream, false).await;
        assert!(request.headers().get("sec-websocket-protocol").is_none());
        assert_eq!(ids(next(&mut socket).await.as_array().expect("an array")), [7, 8, 9]);
        assert_eq!(hub.counters()[0].1.dropped, 6);
    });
}

#[test]
fn a_dead_receiver_costs_memory_up_to_the_bound_and_nobody_any_time() {
    run(async {
        let (listener, hub) = websocket(0).await;
        drop(listener);
        let Some(target) = Target::with(telling(&hub, CoreSettings::default())).await else {
            return;
        };
        let count = MAX_WAITING as u64 + 1000;
        (0..count).for_each(|n| hub.publish(made(n)));
        let counters = hub.counters()[0].1;
        assert_eq!((counters.accepted, counters.dropped, counters.delivered), (count, 1000, 0));
        // The API is served all the while.
        let mut ws = target.ws().await;
        let before = Instant::now();
        for _ in 0..100 {
            ws.create().await;
        }
        assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
        assert!(hub.counters()[0].1.dropped >= 1100, "sessions are events too");
    });
}

#[test]
fn a_stopping_server_delivers_what_waits() {
    run(async {
        let web = WebServer::start().await;
        let hub = http(&web, |settings| settings.common.grouping = false);
        (1..=20).for_each(|n| hub.publish(made(n)));
        hub.close();
        hub.drained().await;
        assert_eq!(ids(&web.events()), (1..=20).collect::<Vec<_>>());
        assert_eq!(hub.counters()[0].1.delivered, 20);
    });
}

fn gelf(port: u16, change: impl FnOnce(&mut GelfEventSettings)) -> Rc<Hub> {
    let mut settings = GelfEventSettings {
        common: EventSettings { grouping: false, ..common() },
        backend: Some("127.0.0.1".to_owned()),
        port: Some(port),
        ..GelfEventSettings::default()
    };
    change(&mut settings);
    let hub = Hub::new("tester");
    GelfEvents::start(&hub, &settings).expect("starts");
    hub
}

async fn datagram(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let received = tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await;
    buffer.truncate(received.expect("in time").expect("a datagram"));
    buffer
}

/// What GELF says of a session's beginning.
fn check_gelf(message: &Value, session: u64) {
    let event = &message["full_message"];
    assert_eq!((&event["type"], &event["session_id"]), (&json!(1), &json!(session)));
    let at_us = event["timestamp"].as_u64().expect("a time");
    let at_s = message["timestamp"].as_f64().expect("seconds");
    assert!((at_s - at_us as f64 / 1e6).abs() < 1e-3, "{message}");
    let names: Vec<&String> = message.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["timestamp", "host", "version", "level", "short_message", "full_message"]);
    assert_eq!((&message["version"], &message["host"]), (&json!("1.1"), &json!("tester")));
    assert_eq!((&message["level"], &message["short_message"]), (&json!(1), &json!("Sessions")));
}

#[test]
fn events_46_gelf_over_udp_is_one_datagram_or_chunks_of_it() {
    run(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let port = socket.local_addr().expect("an address").port();
        let Some((_target, created)) = sessions(&gelf(port, |_| {}), 1).await else { return };
        let whole = datagram(&socket).await;
        check_gelf(&serde_json::from_slice(&whole).expect("JSON"), created[0]);

        let hub = gelf(port, |settings| settings.max_message_len = 100);
        let Some((_target, created)) = sessions(&hub, 1).await else { return };
        let first = datagram(&socket).await;
        assert_eq!(&first[..2], [0x1e, 0x0f]);
        let (id, count) = (first[2..10].to_vec(), first[11]);
        let mut message = first[12..].to_vec();
        for index in 1..count {
            let chunk = datagram(&socket).await;
            assert_eq!((&chunk[..2], &chunk[2..10]), (&[0x1e, 0x0f][..], id.as_slice()));
            assert_eq!((chunk[10], chunk[11]), (index, count));
            assert!(chunk.len() <= 112);
            message.extend(&chunk[12..]);
        }
        check_gelf(&serde_json::from_slice(&message).expect("JSON"), created[0]);
        // 129 chunks and more are not sent; what comes after is.
        let noise = "x".repeat(128 * 100);
        hub.publish(Event { body: json!({"noise": noise}), ..made(1) });
        hub.publish(made(2));
        let (after, _) = (datagram(&socket).await, ());
        assert_ne!(&after[2..10], id.as_slice());
        assert!(after[11] < 10, "{}", after[11]);
        assert_eq!(hub.counters()[0].1.lost, 1);
    });
}

#[test]
fn events_46_gelf_compresses_over_udp() {
    run(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let port = socket.local_addr().expect("an address").port();
        let hub = gelf(port, |settings| {
            settings.compress = true;
            settings.max_message_len = 1024;
        });
        let Some((_target, created)) = sessions(&hub, 1).await else { return };
        let mut text = String::new();
        let packed = datagram(&socket).await;
        GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("gzip");
        check_gelf(&serde_json::from_str(&text).expect("JSON"), created[0]);
    });
}

async fn until_zero(stream: &mut TcpStream) -> Value {
    let mut text = Vec::new();
    loop {
        match stream.read_u8().await.expect("open") {
            0 => return serde_json::from_slice(&text).expect("JSON"),
            byte => text.push(byte),
        }
    }
}

#[test]
fn events_46_gelf_over_tcp_ends_messages_with_zero_and_comes_back() {
    run_paused(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let hub = gelf(port, |settings| settings.protocol = GelfProtocol::Tcp);
        let Some((_target, created)) = sessions(&hub, 2).await else { return };
        let (mut stream, _) = listener.accept().await.expect("accepts");
        for session in created {
            check_gelf(&until_zero(&mut stream).await, session);
        }
        drop(stream);
        // The first may be lost on the way to a closed socket; the handler notices by the next.
        (1..=5).for_each(|n| hub.publish(made(n)));
        tokio::time::sleep(Duration::from_millis(10)).await;
        (6..=9).for_each(|n| hub.publish(made(n)));
        let (mut stream, _) = listener.accept().await.expect("comes back");
        let mut seen = Vec::new();
        while seen.last() != Some(&9) {
            let message = until_zero(&mut stream).await;
            seen.push(message["full_message"]["session_id"].as_u64().expect("an id"));
        }
        assert!(seen.is_sorted() && seen.len() >= 4, "in order: {seen:?}");
    });
}

#[test]
fn a_handler_that_lacks_its_backend_says_so() {
    run(async {
        let hub = Hub::new("tester");
        let missing = |text: &str| text.contains("backend");
        assert!(
            HttpEvents::start(&hub, &SampleEventSettings::default()).is_err_and(|e| missing(&e))
        );
        assert!(WsEvents::start(&hub, &WsEventSettings::default()).is_err_and(|e| missing(&e)));
        assert!(GelfEvents::start(&hub, &GelfEventSettings::default()).is_err_and(|e| missing(&e)));
        let target = Target::with(Setup { hub: Some(hub.clone()), ..Setup::default() }).await;
        assert!(hub.is_empty() && target.is_none_or(|target| target.front().hub().is_some()));
    });
}
