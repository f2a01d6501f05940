//! The handlers that are built in: HTTP, WebSocket, GELF.

use super::receiver::WebServer;
use super::telling;
use crate::client::Ws;
use crate::target::{Target, run, run_paused};
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

/// A server whose sessions this hub hears of.
struct Source {
    _target: Target,
    ws: Ws,
}

impl Source {
    /// `None` if the server is somebody else's.
    async fn new(hub: &Rc<Hub>) -> Option<Self> {
        let target = Target::with(telling(hub, CoreSettings::default())).await?;
        let ws = target.ws().await;
        Some(Source { _target: target, ws })
    }

    /// Makes an event; the session it is about.
    async fn event(&mut self) -> u64 {
        self.ws.create().await
    }

    /// Makes some.
    async fn events(&mut self, count: usize) -> Vec<u64> {
        let mut sessions = Vec::new();
        for _ in 0..count {
            sessions.push(self.event().await);
        }
        sessions
    }

    /// Makes an event of type 2 that has this text twice.
    async fn long_event(&mut self, session: u64, text: &str) {
        let request = json!({"janus": "attach", "session_id": session, "opaque_id": text,
            "plugin": "janus.plugin.echotest"});
        assert_eq!(self.ws.ask(request).await["janus"], "success");
    }
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
        let Some(mut source) = Source::new(&http(&web, |_| {})).await else { return };
        let created = source.event().await;
        let post = web.post().await;
        let [event] = post.json().as_array().cloned().expect("an array").try_into().expect("one");
        assert_eq!((&event["session_id"], &event["emitter"]), (&json!(created), &json!("tester")));
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
        let Some(mut source) = Source::new(&hub).await else { return };
        for id in source.events(3).await {
            let post = web.post().await;
            assert_eq!(post.json()["session_id"], id);
            assert_eq!(post.head.header("authorization"), Some("Basic YWRhOng6eQ=="));
        }
    });
}

#[test]
fn events_41_a_group_has_at_most_100() {
    run_paused(async {
        let web = WebServer::start().await;
        // While it is tried again, others gather.
        web.deaf.set(4);
        let Some(mut source) = Source::new(&http(&web, |_| {})).await else { return };
        let created = source.events(250).await;
        let (mut sizes, mut all) = (Vec::new(), Vec::new());
        while all.len() < created.len() {
            let group = web.post().await.json().as_array().cloned().expect("an array");
            sizes.push(group.len());
            all.extend(group);
        }
        assert!(sizes.contains(&100) && sizes.iter().all(|size| *size <= 100), "{sizes:?}");
        assert_eq!(ids(&all), created, "in order, none twice");
    });
}

#[test]
fn events_42_http_tries_again_with_doubling_delays_but_not_for_a_status() {
    run_paused(async {
        let web = WebServer::start().await;
        web.deaf.set(4);
        web.status.set(500);
        let hub = http(&web, |_| {});
        let Some(mut source) = Source::new(&hub).await else { return };
        let first = source.event().await;
        let group = web.post().await;
        assert_eq!(ids(group.json().as_array().expect("an array")), [first]);
        let mut times = web.dropped.borrow().clone();
        times.push(group.at);
        assert_delays(&times, &[100, 200, 400, 800]);
        let second = source.event().await;
        let next = web.post().await.json();
        assert_eq!(ids(next.as_array().expect("an array")), [second], "a 500 is delivered, once");
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert!(web.posts.borrow().is_empty());
        assert_eq!(hub.counters()[0].1.delivered, 2);
    });
}

/// That the times are so many milliseconds apart, give or take a few.
fn assert_delays(times: &[Instant], wanted: &[u64]) {
    let apart = |pair: &[Instant]| (pair[1] - pair[0]).as_millis() as u64;
    let delays: Vec<u64> = times.windows(2).map(apart).collect();
    let near = |(got, want): (&u64, &u64)| (*want..*want + 80).contains(got);
    assert!(delays.iter().zip(wanted).all(near) && delays.len() == wanted.len(), "{delays:?}");
}

#[test]
fn events_42_after_the_last_try_a_group_is_given_up_and_the_next_is_sent() {
    run_paused(async {
        let web = WebServer::start().await;
        web.deaf.set(3);
        let hub = http(&web, |settings| settings.max_retransmissions = 2);
        let Some(mut source) = Source::new(&hub).await else { return };
        source.event().await;
        web.until("three tries", |web| web.dropped.borrow().len() == 3).await;
        let second = source.event().await;
        assert_eq!(ids(web.post().await.json().as_array().expect("an array")), [second]);
        let counters = hub.counters()[0].1;
        assert_eq!((counters.lost, counters.accepted), (1, 2));
    });
}

/// Text that does not compress well.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from_digit((state >> 33) as u32 % 36, 36).expect("a digit")
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn events_43_http_compresses_with_gzip_and_says_so() {
    run_paused(async {
        let web = WebServer::start().await;
        let hub = http(&web, |settings| {
            settings.common.events = Some("handles".to_owned());
            settings.compress = true;
        });
        let Some(mut source) = Source::new(&hub).await else { return };
        // Together they are more than 8 KiB, even compressed: nothing may be lost.
        web.deaf.set(1);
        let session = source.event().await;
        for seed in 1..=8 {
            source.long_event(session, &noise(seed, 4000)).await;
        }
        let (mut events, mut largest) = (Vec::new(), 0);
        while events.len() < 8 {
            let post = web.post().await;
            assert_eq!(post.head.header("content-encoding"), Some("gzip"));
            let mut text = String::new();
            GzDecoder::new(post.head.body.as_slice()).read_to_string(&mut text).expect("gzip");
            let group: Value = serde_json::from_str(&text).expect("JSON");
            events.extend(group.as_array().cloned().expect("an array"));
            assert!(post.head.body.len() < text.len());
            largest = largest.max(post.head.body.len());
        }
        assert!(largest > 8192, "{largest}");
        for (seed, event) in (1..=8).zip(events) {
            assert_eq!(event["opaque_id"], noise(seed, 4000));
        }
    });
}

/// One accepted handshake; its request.
#[expect(clippy::result_large_err, reason = "the library's callback has that error")]
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
        let Some(mut source) = Source::new(&hub).await else { return };
        let first = source.event().await;
        assert_eq!(ids(next(&mut socket).await.as_array().expect("an array")), [first]);
        // What a receiver says is not listened to.
        socket.send(Message::text("{\"a\":1}")).await.expect("sent");
        drop(socket);
        let mut times = vec![Instant::now()];
        let mut kept = Vec::new();
        for _ in 2..=6 {
            let (stream, _) = listener.accept().await.expect("accepts");
            times.push(Instant::now());
            kept.push(source.event().await);
            drop(stream);
        }
        assert_delays(&times, &[1000, 2000, 4000, 8000, 8000]);
        let (stream, _) = listener.accept().await.expect("accepts");
        let (mut socket, _) = shake(stream, true).await;
        assert_eq!(ids(next(&mut socket).await.as_array().expect("an array")), kept);
    });
}

#[test]
fn events_44_a_cap_keeps_the_newest_while_there_is_no_connection() {
    run_paused(async {
        let (listener, hub) = websocket(3).await;
        drop(listener.accept().await.expect("accepts"));
        drop(listener.accept().await.expect("accepts"));
        let Some(mut source) = Source::new(&hub).await else { return };
        let made = source.events(9).await;
        let (stream, _) = listener.accept().await.expect("accepts");
        // It knows of no subprotocol: it is asked again without one.
        drop(shake(stream, false).await);
        let (stream, _) = listener.accept().await.expect("accepts");
        let (mut socket, request) = shake(stream, false).await;
        assert!(request.headers().get("sec-websocket-protocol").is_none());
        assert_eq!(ids(next(&mut socket).await.as_array().expect("an array")), made[6..]);
        assert_eq!(hub.counters()[0].1.dropped, 6);
    });
}

#[test]
fn a_receiver_that_comes_and_goes_ten_times_sees_no_event_twice_or_out_of_order() {
    run_paused(async {
        let (listener, hub) = websocket(0).await;
        let Some(mut source) = Source::new(&hub).await else { return };
        let (mut made, mut seen) = (Vec::new(), Vec::new());
        for round in 0..10 {
            let (stream, _) = listener.accept().await.expect("accepts");
            let (mut socket, _) = shake(stream, true).await;
            made.extend(source.events(5).await);
            while seen.len() < made.len() && seen.last() != made.last() {
                let group = next(&mut socket).await;
                seen.extend(ids(group.as_array().expect("an array")));
            }
            drop(socket);
            // Gone: what is made now waits, but for what went into the closing socket.
            made.extend(source.events(round).await);
        }
        let (stream, _) = listener.accept().await.expect("accepts");
        let (mut socket, _) = shake(stream, true).await;
        let last = source.event().await;
        made.push(last);
        while seen.last() != Some(&last) {
            seen.extend(ids(next(&mut socket).await.as_array().expect("an array")));
        }
        let mut rest = made.iter();
        assert!(seen.iter().all(|one| rest.any(|have| have == one)), "{seen:?} of {made:?}");
        assert!(seen.len() + 20 > made.len(), "{} of {}", seen.len(), made.len());
        let counters = hub.counters()[0].1;
        assert_eq!((counters.accepted, counters.dropped), (made.len() as u64, 0));
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
        let Some(mut source) = Source::new(&hub).await else { return };
        let made = source.events(20).await;
        hub.close();
        hub.drained().await;
        assert_eq!(ids(&web.events()), made);
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
        let Some(mut source) = Source::new(&gelf(port, |_| {})).await else { return };
        let created = source.event().await;
        let whole = datagram(&socket).await;
        check_gelf(&serde_json::from_slice(&whole).expect("JSON"), created);

        let hub = gelf(port, |settings| {
            settings.common.events = Some("sessions,handles".to_owned());
            settings.max_message_len = 64;
        });
        let Some(mut source) = Source::new(&hub).await else { return };
        let created = source.event().await;
        let first = datagram(&socket).await;
        assert_eq!(&first[..2], [0x1e, 0x0f]);
        let (id, count) = (first[2..10].to_vec(), first[11]);
        let mut message = first[12..].to_vec();
        for index in 1..count {
            let chunk = datagram(&socket).await;
            assert_eq!((&chunk[..2], &chunk[2..10]), (&[0x1e, 0x0f][..], id.as_slice()));
            assert_eq!((chunk[10], chunk[11]), (index, count));
            assert!(chunk.len() <= 12 + 64);
            message.extend(&chunk[12..]);
        }
        check_gelf(&serde_json::from_slice(&message).expect("JSON"), created);
        // 129 chunks and more are not sent; what comes after is.
        source.long_event(created, &noise(1, 4096)).await;
        source.event().await;
        let after = datagram(&socket).await;
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
        let Some(mut source) = Source::new(&hub).await else { return };
        let created = source.event().await;
        let mut text = String::new();
        let packed = datagram(&socket).await;
        GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("gzip");
        check_gelf(&serde_json::from_str(&text).expect("JSON"), created);
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
        let Some(mut source) = Source::new(&hub).await else { return };
        let created = source.events(2).await;
        let (mut stream, _) = listener.accept().await.expect("accepts");
        for session in created {
            check_gelf(&until_zero(&mut stream).await, session);
        }
        drop(stream);
        // The first may be lost on the way to a closed socket; the handler notices by the next.
        let mut made = source.events(5).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        made.extend(source.events(4).await);
        let (mut stream, _) = listener.accept().await.expect("comes back");
        let mut seen = Vec::new();
        while seen.last() != made.last() {
            let message = until_zero(&mut stream).await;
            seen.push(message["full_message"]["session_id"].as_u64().expect("an id"));
        }
        assert!(seen.len() >= 4 && made.ends_with(&seen), "in order: {seen:?} of {made:?}");
    });
}
