//! HTTP, transports-auth §2.2–§2.4.

use crate::client::{Http, code_of, error_of, read_response, send_request};
use crate::target::{Setup, Target, run};
use bifrons_control::transport::{Cors, Gate, http};
use serde_json::json;
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
