//! HTTP, transports-auth §2.2–§2.4.

use crate::client::{Http, code_of, error_of, read_response, send_request};
use crate::target::{Setup, Target, run, run_paused};
use bifrons_control::transport::{Cors, Gate, http};
use bifrons_core::config::Tree;
use bifrons_core::media::PeerId;
use bifrons_core::plugin::{About, HandleKey, Host, Plugin, Request, Verdict};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PING: &str = r#"{"janus":"ping","transaction":"p"}"#;

#[test]
fn transports_auth_02_create_by_post() {
    run(async {
        let target = Target::start().await;
        let reply = target.http().post("", json!({"janus": "create", "transaction": "a1"})).await;
        assert_eq!((&reply["janus"], &reply["transaction"]), (&json!("success"), &json!("a1")));
        let session = reply["data"]["id"].as_u64().expect("an id");
        // It is there.
        let alive = target.http().post(&format!("/{session}"), json!({"janus": "keepalive"})).await;
        assert_eq!(alive["janus"], "ack", "{alive}");
    });
}

#[test]
fn transports_auth_03_an_unknown_session_by_post() {
    run(async {
        let target = Target::start().await;
        let reply = target.http().post("/77", json!({"janus": "keepalive"})).await;
        assert_eq!(error_of(&reply), "458 No such session 77");
    });
}

#[test]
fn transports_auth_04_an_unknown_session_by_get() {
    run(async {
        let target = Target::start().await;
        for path in ["/77", "", "/abc"] {
            let response = target.http().get(path).await;
            assert_eq!((response.status, response.body.len()), (404, 0), "{path}");
        }
    });
}

#[test]
fn transports_auth_05_info_needs_no_secret() {
    run(async {
        let setup = Setup { secret: Some("s3cret"), ..Setup::default() };
        let Some(target) = Target::with(setup).await else { return };
        let info = target.http().get("/info").await.json();
        assert_eq!((&info["janus"], &info["api_secret"]), (&json!("server_info"), &json!(true)));
    });
}

#[test]
fn transports_auth_06_and_56_ping_by_get() {
    run(async {
        let target = Target::start().await;
        for (path, word) in [("/ping", "pong"), ("/info", "server_info")] {
            let reply = target.http().get(path).await.json();
            assert_eq!(reply["janus"], word);
            assert_eq!(reply["transaction"].as_str().map(str::len), Some(11));
        }
    });
}

#[test]
fn transports_auth_07_other_methods() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        for method in ["PUT", "DELETE", "PATCH"] {
            let response = http.call(method, &http.base, &[], "").await.expect("an answer");
            assert_eq!(error_of(&response.json()), format!("450 Unsupported method {method}"));
        }
        if target.front.is_some() {
            let response = http.call("PUT", "/janus", &[], PING).await.expect("an answer");
            assert_eq!(code_of(&response.json()), 450, "with a body, too");
        }
    });
}

#[test]
fn transports_auth_08_paths_that_lead_nowhere() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        assert_eq!(http.get("/1/2/3").await.status, 404);
        for method in ["GET", "POST"] {
            let response = http.call(method, "/other", &[], "").await.expect("an answer");
            assert_eq!((response.status, response.body.len()), (404, 0));
        }
    });
}

#[test]
fn transports_auth_09_a_handle_by_get_redirects() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        let response = http.get("/12/34").await;
        assert_eq!(response.status, 302);
        assert_eq!(response.header("location"), Some(format!("{}/12", http.base).as_str()));
    });
}

#[test]
fn transports_auth_15_a_wrong_secret_by_get_and_post() {
    run(async {
        let setup = Setup { secret: Some("s3 cret"), ..Setup::default() };
        let Some(target) = Target::with(setup).await else { return };
        let http = target.http();
        let create = json!({"janus": "create", "apisecret": "s3 cret"});
        let session = http.post("", create).await["data"]["id"].as_u64().expect("an id");
        let wrong = http.get(&format!("/{session}?apisecret=wrong")).await;
        assert_eq!((wrong.status, wrong.body.len()), (403, 0));
        let wrong = json!({"janus": "keepalive", "apisecret": "wrong"});
        assert_eq!(code_of(&http.post(&format!("/{session}"), wrong).await), 403);
        let unknown = http.get("/77?apisecret=s3%20cret").await;
        assert_eq!(unknown.status, 404, "with the right one the session is looked at");
    });
}

#[test]
fn transports_auth_16_and_57_ids_that_contradict() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        let session = http.create().await;
        let keepalive = json!({"janus": "keepalive", "session_id": session + 1});
        let reply = http.post(&format!("/{session}"), keepalive).await;
        assert_eq!(error_of(&reply), "457 Conflicting session ID (payload and path)");
        assert!(reply.get("transaction").is_none() && reply.get("session_id").is_none());
        let detach = json!({"janus": "detach", "handle_id": 2});
        let reply = http.post(&format!("/{session}/1"), detach).await;
        assert_eq!(error_of(&reply), "457 Conflicting handle ID (payload and path)");
        assert!(reply.get("transaction").is_none() && reply.get("session_id").is_none());
    });
}

#[test]
fn transports_auth_17_ids_in_the_payload_only() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        let session = http.create().await;
        let reply = http.post("", json!({"janus": "keepalive", "session_id": session})).await;
        assert_eq!(reply, json!({"janus": "ack", "session_id": session, "transaction": "h"}));
    });
}

#[test]
fn transports_auth_18_the_content_type_does_not_matter() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        for kind in ["text/plain;charset=UTF-8", "application/json", "image/png"] {
            let sent = http.call("POST", &http.base, &[("Content-Type", kind)], PING).await;
            assert_eq!(sent.expect("an answer").json()["janus"], "pong");
        }
    });
}

#[test]
fn transports_auth_19_bad_json() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        let reply = http.post_text("", "{\n\"janus\":").await.json();
        assert!(error_of(&reply).starts_with("454 JSON error: on line 2: "), "{reply}");
        let reply = http.post_text("", "[]").await.json();
        assert_eq!(error_of(&reply), "455 JSON error: not an object");
        assert!(reply.get("transaction").is_none());
        if target.front.is_some() {
            assert_eq!(code_of(&http.post_text("", "").await.json()), 454);
        }
    });
}

#[test]
fn transports_auth_20_preflight() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        let wish = [
            ("Origin", "http://x.example"),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type, x-y"),
        ];
        let path = format!("{}/1/2", http.base);
        let response = http.call("OPTIONS", &path, &wish, "").await.expect("an answer");
        assert_eq!((response.status, response.body.len()), (200, 0));
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert_eq!(response.header("access-control-max-age"), Some("86400"));
        assert_eq!(response.header("access-control-allow-methods"), Some("POST"));
        assert_eq!(response.header("access-control-allow-headers"), Some("content-type, x-y"));
    });
}

fn cors(enforce: bool) -> Setup {
    let cors = Cors { allow_origin: Some("http://good.example".to_owned()), enforce };
    Setup { http: http::Settings { cors, ..http::Settings::default() }, ..Setup::default() }
}

#[test]
fn transports_auth_21_a_configured_origin() {
    run(async {
        let Some(target) = Target::with(cors(false)).await else { return };
        let response = target.http().get("/info").await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("access-control-allow-origin"), Some("http://good.example"));
        assert_eq!(response.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(response.header("vary"), Some("Origin"));
    });
}

#[test]
fn transports_auth_22_and_62_enforced_origins() {
    run(async {
        let Some(target) = Target::with(Setup { admin: true, ..cors(true) }).await else { return };
        let (http, base) = (target.http(), "/janus".to_owned());
        let admin = Http { address: target.admin_http.clone(), base: "/admin".to_owned() };
        for (http, base) in [(http, base), (admin, "/admin".to_owned())] {
            for (method, below) in [("GET", "/info"), ("OPTIONS", ""), ("POST", "")] {
                let path = format!("{base}{below}");
                let bad = [("Origin", "http://bad.example")];
                let response = http.call(method, &path, &bad, PING).await.expect("an answer");
                assert_eq!((response.status, response.body.len()), (403, 0), "{method} {path}");
                assert_eq!(http.call(method, &path, &[], PING).await.expect("one").status, 403);
                let good = [("Referer", "http://good.example/page")];
                let response = http.call(method, &path, &good, PING).await.expect("an answer");
                assert_eq!(response.status, 200, "{method} {path}");
            }
        }
    });
}

#[test]
fn transports_auth_23_an_address_outside_the_list_gets_nothing() {
    run(async {
        let gate = Gate { prefixes: vec!["192.168.".to_owned()], forwarded: false };
        let Some(target) = Target::with(Setup { gate, ..Setup::default() }).await else { return };
        let mut stream = TcpStream::connect(&target.http().address).await.expect("connects");
        send_request(&mut stream, "GET", "/janus/info", &[], "").await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        assert!(bytes.is_empty());
    });
}

#[test]
fn transports_auth_58_preflight_outside_the_base() {
    run(async {
        let target = Target::start().await;
        let response = target.http().call("OPTIONS", "/other", &[], "").await;
        assert!(response.is_none_or(|response| response.status == 404));
    });
}

#[test]
fn transports_auth_66_head_is_answered() {
    run(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let mut stream = TcpStream::connect(&target.http().address).await.expect("connects");
        send_request(&mut stream, "HEAD", "/janus", &[], "").await;
        let response = read_response(&mut stream, true).await.expect("an answer");
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some("application/json"));
        // No body came with it: the next answer follows at once.
        send_request(&mut stream, "GET", "/janus/ping", &[], "").await;
        let pong = read_response(&mut stream, false).await.expect("an answer").json();
        assert_eq!(pong["janus"], "pong");
    });
}

#[test]
fn transports_auth_67_chunked_bodies_and_http_1_0() {
    run(async {
        let target = Target::start().await;
        let (http, base) = (target.http(), target.http().base);
        let (first, second) = PING.split_at(9);
        let chunked = format!(
            "POST {base} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
            first.len(),
            second.len()
        );
        let old = format!("POST {base} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{PING}", PING.len());
        for request in [chunked, old] {
            let mut stream = TcpStream::connect(&http.address).await.expect("connects");
            stream.write_all(request.as_bytes()).await.expect("sent");
            let response = read_response(&mut stream, false).await.expect("an answer");
            assert_eq!(response.json(), json!({"janus": "pong", "transaction": "p"}));
        }
    });
}

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
