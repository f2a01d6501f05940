//! What HTTP bears: bounds on bodies, heads, connections and time, and what is served beside the API.

use crate::client::{Http, read_response, send_request};
use crate::target::{Setup, Target, run, run_paused};
use bifrons_control::transport::{http, websocket};
use bifrons_core::api::Style;
use bifrons_core::config::Tree;
use bifrons_core::media::PeerId;
use bifrons_core::plugin::{About, HandleKey, Host, Plugin, Request, Verdict};
use futures_util::StreamExt;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[test]
fn one_connection_serves_request_after_request() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        let mut stream = TcpStream::connect(&http.address).await.expect("connects");
        for n in 0..5 {
            let body = json!({"janus": "ping", "transaction": n.to_string()});
            send_request(&mut stream, "POST", &http.base, &[], &body.to_string()).await;
            let reply = read_response(&mut stream, false).await.expect("an answer").json();
            assert_eq!(reply, json!({"janus": "pong", "transaction": n.to_string()}));
        }
    });
}

#[test]
fn a_body_past_the_bound_is_refused() {
    run(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let body = format!("{{\"janus\":\"ping\",\"transaction\":\"{}\"}}", "x".repeat(1 << 20));
        let response = target.http().call("POST", "/janus", &[], &body).await.expect("an answer");
        assert_eq!(response.status, 413);
    });
}

#[test]
fn slow_heads_and_bodies_are_given_up() {
    run_paused(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let start = tokio::time::Instant::now();
        for (begun, limit) in [
            ("POST /janus HTTP/1.1\r\nHost:", 120),
            ("POST /janus HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{", 10),
        ] {
            let since = start.elapsed();
            let mut stream = TcpStream::connect(&target.http().address).await.expect("connects");
            stream.write_all(begun.as_bytes()).await.expect("sent");
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
            let waited = start.elapsed() - since;
            assert!(waited <= Duration::from_secs(limit + 1), "{waited:?}");
            assert!(!String::from_utf8_lossy(&bytes).starts_with("HTTP/1.1 200"));
        }
    });
}

#[test]
fn too_many_connections_are_closed_unheard() {
    run(async {
        let http = http::Settings { connection_limit: 2, ..http::Settings::default() };
        let Some(target) = Target::with(Setup { http, ..Setup::default() }).await else { return };
        let address = target.http().address;
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(&address).await.expect("connects");
            send_request(&mut stream, "GET", "/janus/ping", &[], "").await;
            assert!(read_response(&mut stream, false).await.is_some());
            open.push(stream);
        }
        let mut third = TcpStream::connect(&address).await.expect("connects");
        send_request(&mut third, "GET", "/janus/ping", &[], "").await;
        assert!(read_response(&mut third, false).await.is_none());
    });
}

#[test]
fn the_demo_is_served_beside_the_api() {
    run(async {
        let demo = Some(bifrons_control::demo::DemoPages::default());
        let http = http::Settings { demo, ..http::Settings::default() };
        let Some(target) = Target::with(Setup { http, ..Setup::default() }).await else { return };
        let http = target.http();
        let page = http.call("GET", "/demo/", &[], "").await.expect("an answer");
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        let moved = http.call("GET", "/demo", &[], "").await.expect("an answer");
        assert_eq!((moved.status, moved.header("location")), (302, Some("/demo/")));
        assert_eq!(http.call("GET", "/demo/x", &[], "").await.expect("an answer").status, 404);
        assert_eq!(http.get("/ping").await.json()["janus"], "pong");
    });
}

#[test]
fn json_is_written_as_configured() {
    run(async {
        for (style, wanted) in [
            (Style::Compact, r#"{"janus":"pong","transaction":"t"}"#),
            (Style::Plain, r#"{"janus": "pong", "transaction": "t"}"#),
            (Style::Indented, "{\n   \"janus\": \"pong\",\n   \"transaction\": \"t\"\n}"),
        ] {
            let http = http::Settings { style, ..http::Settings::default() };
            let websocket = websocket::Settings { style, ..websocket::Settings::default() };
            let setup = Setup { http, websocket, ..Setup::default() };
            let Some(target) = Target::with(setup).await else { return };
            let ping = r#"{"janus":"ping","transaction":"t"}"#;
            let answer = target.http().post_text("", ping).await;
            assert_eq!(String::from_utf8_lossy(&answer.body), wanted);
            let mut ws = target.ws().await;
            ws.send_text(ping).await;
            let answer = ws.socket.next().await.expect("open").expect("a message");
            assert_eq!(answer.to_text().expect("text"), wanted);
        }
    });
}

#[test]
fn ipv4_and_ipv6_reach_the_same_port() {
    run(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let http = target.http();
        let port = http.address.rsplit(':').next().expect("a port");
        for host in ["127.0.0.1", "[::1]"] {
            let http = Http { address: format!("{host}:{port}"), base: http.base.clone() };
            assert_eq!(http.get("/ping").await.json()["janus"], "pong", "{host}");
        }
    });
}

#[test]
fn a_request_waits_ten_seconds_for_its_reply() {
    run_paused(async {
        let plugins: Vec<Box<dyn Plugin>> = vec![Box::new(Silent)];
        let Some(target) = Target::with(Setup { plugins, ..Setup::default() }).await else {
            return;
        };
        let http = target.http();
        let session = http.create().await;
        let attach = json!({"janus": "attach", "plugin": "janus.plugin.silent"});
        let reply = http.post(&format!("/{session}"), attach).await;
        let path = format!("/janus/{session}/{}", reply["data"]["id"].as_u64().expect("an id"));
        let start = tokio::time::Instant::now();
        let message = r#"{"janus":"message","transaction":"m","body":{}}"#;
        assert!(http.call("POST", &path, &[], message).await.is_none(), "closed without a body");
        assert_eq!(start.elapsed().as_secs(), 10);
        assert_eq!(http.get("/ping").await.json()["janus"], "pong");
    });
}

#[test]
fn stopping_ends_polls_and_takes_no_more_connections() {
    run_paused(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let http = target.http();
        let session = http.create().await;
        let mut ws = target.ws().await;
        ws.create().await;
        let mut poll = TcpStream::connect(&http.address).await.expect("connects");
        send_request(&mut poll, "GET", &format!("/janus/{session}"), &[], "").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        target.front().stop();
        let start = tokio::time::Instant::now();
        assert!(ws.closes_within(Duration::from_secs(5)).await);
        let mut bytes = Vec::new();
        let _ = poll.read_to_end(&mut bytes).await;
        assert!(start.elapsed() <= Duration::from_secs(3), "{:?}", start.elapsed());
        assert!(TcpStream::connect(&http.address).await.is_err());
        assert!(TcpStream::connect(target.ws_address()).await.is_err());
    });
}

/// A plugin that defers every request and answers none.
struct Silent;

impl Plugin for Silent {
    fn about(&self) -> About {
        About {
            package: "janus.plugin.silent",
            name: "silent",
            description: "",
            author: "",
            version: 1,
            version_string: "1",
        }
    }

    fn start(&mut self, _: &mut dyn Host, _: Option<&Tree>) -> Result<(), String> {
        Ok(())
    }

    fn create_session(&mut self, _: &mut dyn Host, _: HandleKey) -> Result<(), i32> {
        Ok(())
    }

    fn handle_message(&mut self, _: &mut dyn Host, _: Request) -> Verdict {
        Verdict::Deferred
    }

    fn setup_media(&mut self, _: &mut dyn Host, _: HandleKey, _: PeerId) {}

    fn hangup_media(&mut self, _: &mut dyn Host, _: HandleKey) {}

    fn destroy_session(&mut self, _: &mut dyn Host, _: HandleKey) {}

    fn query_session(&self, _: HandleKey) -> serde_json::Value {
        json!({})
    }
}
