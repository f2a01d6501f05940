//! Relays of our own, seen from a client of the real program: who is asked for credentials
//! (checklist webrtc-behaviour 37, 48), and media that has no other way than a TURN server.
//!
//! The TURN server is Debian's coturn, on ports of its own. It ends with the test.

mod program;
mod turn;

use crate::call::{Call, both};
use crate::client::Ws;
use crate::target::variable;
use bifrons_loadtest::peer::{Peer, PeerConfig};
use program::{Backend, Program, local_ip};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::LocalSet;
use turn::Coturn;

/// How long anything may take; the build under test may be a slow one on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test on the real clock: other processes do not wait for a paused one.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let limited = async { tokio::time::timeout(Duration::from_secs(90), test).await };
    LocalSet::new().block_on(&runtime.expect("a runtime"), limited).expect("in time");
}

/// A server with these settings in `nat`; `None` where it is somebody else's.
async fn server(nat: &str) -> Option<Program> {
    if variable("BIFRONS_CONFORM_WS").is_some() {
        eprintln!("passed over: needs a configuration of its own");
        return None;
    }
    Some(Program::start(nat).await)
}

/// A handle of EchoTest, attached with more fields, and a peer.
async fn call(server: &Program, extra: Value) -> Call {
    let mut ws = server.ws().await;
    let session = ws.create().await;
    let mut attach =
        json!({"janus": "attach", "session_id": session, "plugin": "janus.plugin.echotest"});
    attach.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap_or_default());
    let attached = ws.ask(attach).await;
    let handle = attached["data"]["id"].as_u64().expect("a handle");
    let peer = Peer::bind(PeerConfig::new(local_ip())).await.expect("a peer");
    Call::between(ws, (session, handle), peer)
}

/// Offers audio and video, with more fields in the jsep.
async fn negotiate(call: &mut Call, extra: Value) {
    let (mids, sdp) = call.peer.offer(both()).await.expect("an offer");
    call.mids = mids;
    call.negotiate(json!({}), &sdp, extra).await;
}

/// The candidates that the server trickles until it says that there are no more.
async fn trickled(ws: &mut Ws) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let event = ws.event_within(PATIENCE).await.expect("a trickle event in time");
        if event["janus"] != "trickle" {
            continue;
        }
        if event["candidate"]["completed"] == true {
            return lines;
        }
        lines.push(event["candidate"]["candidate"].as_str().expect("a candidate").to_owned());
    }
}

async fn asked_for(nat: impl Fn(&str) -> String, extra: Value) -> Option<(String, u64)> {
    let mut backend = Backend::start(500, String::new()).await;
    let server = server(&nat(&backend.url)).await?;
    let mut call = call(&server, extra).await;
    negotiate(&mut call, json!({})).await;
    let heard = tokio::time::timeout(PATIENCE, backend.heard()).await.expect("it is asked");
    // That it gives nothing costs nothing but the relay.
    assert_eq!(trickled(&mut call.ws).await, [""; 0]);
    call.peer.connected(PATIENCE).await.expect("up");
    Some((heard, call.at.0))
}

#[test]
fn webrtc_37_turn_rest_is_asked_with_service_user_and_key() {
    run(async {
        let nat = |url: &str| {
            format!(
                "turn_rest_api = \"{url}/turn\" turn_rest_api_key = \"a&b\" turn_rest_api_method = \"GET\""
            )
        };
        let Some((heard, _)) = asked_for(nat, json!({"opaque_id": "ada lovelace"})).await else {
            return;
        };
        let line = heard.lines().next().unwrap_or_default().to_owned();
        let query = "service=turn&api=a%26b&key=a%26b&username=ada%20lovelace";
        assert_eq!(line, format!("GET /turn?{query} HTTP/1.1"));
    });
}

#[test]
fn webrtc_37_without_an_opaque_id_turn_rest_is_asked_for_the_session() {
    run(async {
        let nat =
            |url: &str| format!("turn_rest_api = \"{url}/turn\" turn_rest_api_method = \"POST\"");
        let Some((heard, session)) = asked_for(nat, json!({})).await else { return };
        let query = format!("service=turn&username={session}");
        assert!(heard.starts_with(&format!("POST /turn?{query} HTTP/1.1\r\n")), "{heard}");
        assert!(heard.ends_with(&format!("\r\n\r\n{query}")), "{heard}");
        let form = "content-type: application/x-www-form-urlencoded\r\n";
        assert!(heard.to_ascii_lowercase().contains(form), "{heard}");
    });
}

#[test]
fn webrtc_48_an_unresolvable_turn_uri_is_survived() {
    run(async {
        let coturn = Coturn::start().await;
        let uris = json!([
            "turn:no-such-host.invalid:3478?transport=udp",
            "not a URI",
            format!("turn:{}:{}?transport=udp", local_ip(), coturn.port),
        ]);
        let granted = json!({"username": "ada", "password": "secret", "ttl": 60, "uris": uris});
        let backend = Backend::start(200, granted.to_string()).await;
        let nat = format!("turn_rest_api = \"{}\"", backend.url);
        let Some(server) = server(&nat).await else { return };
        let mut call = call(&server, json!({})).await;
        negotiate(&mut call, json!({})).await;
        let lines = trickled(&mut call.ws).await;
        assert!(lines.len() == 1 && lines[0].contains(" typ relay "), "{lines:?}");
        assert_eq!(call.ws.ask(json!({"janus": "ping"})).await["janus"], "pong");
    });
}

/// A call that only a relay can carry, both ways.
async fn relayed(transport: &str) {
    let coturn = Coturn::start().await;
    let (host, port) = match transport {
        // Its certificate names no other.
        "tls" => ("127.0.0.1".to_owned(), coturn.tls_port),
        _ => (local_ip().to_string(), coturn.port),
    };
    let nat = format!(
        "turn_server = \"{host}\" turn_port = {port} turn_type = \"{transport}\" turn_user = \"ada\" \
         turn_pwd = \"secret\" allow_force_relay = true"
    );
    let Some(server) = server(&nat).await else { return };
    let mut call = call(&server, json!({})).await;
    negotiate(&mut call, json!({"force_relay": true})).await;
    assert!(!call.answer.contains("a=candidate"), "{}", call.answer);
    assert!(!call.answer.contains("a=end-of-candidates"), "{}", call.answer);
    let lines = trickled(&mut call.ws).await;
    let [line] = <[_; 1]>::try_from(lines).expect("one candidate");
    assert!(line.contains(" typ relay "), "{line}");
    call.peer.add_candidate(&line).await.expect("a candidate");
    call.peer.connected(PATIENCE).await.expect("up");
    call.send_both().await;
    call.more_on(0, 20).await;
    call.more_on(1, 20).await;
    // A later description names the relay, too.
    let (mids, sdp) = call.peer.offer(both()).await.expect("an offer");
    call.mids.extend(mids);
    call.negotiate(json!({}), &sdp, json!({})).await;
    let address = line.split(' ').nth(4).expect("an address").to_owned();
    assert!(call.answer.contains(&address) && call.answer.contains("typ relay"));
    assert!(call.answer.contains("a=end-of-candidates"), "{}", call.answer);
    call.more_on(0, 20).await;
}

#[test]
fn webrtc_relay_media_flows_through_turn_over_udp() {
    run(relayed("udp"));
}

#[test]
fn webrtc_relay_media_flows_through_turn_over_tcp() {
    run(relayed("tcp"));
}

#[test]
fn webrtc_relay_media_flows_through_turn_over_tls() {
    run(relayed("tls"));
}

#[test]
fn webrtc_relay_a_dead_turn_server_costs_the_relay_and_nothing_else() {
    run(async {
        // Nobody listens on port 1.
        let nat = "turn_server = \"127.0.0.1\" turn_port = 1 allow_force_relay = true";
        let Some(server) = server(nat).await else { return };
        let mut call = call(&server, json!({})).await;
        let info = call.ws.ask(json!({"janus": "info"})).await;
        assert_eq!(info["turn-server"], "127.0.0.1:1", "{info}");
        assert_eq!(info["allow-force-relay"], true, "{info}");
        negotiate(&mut call, json!({})).await;
        assert!(call.answer.contains(" typ host"), "{}", call.answer);
        assert_eq!(trickled(&mut call.ws).await, [""; 0]);
        call.peer.connected(PATIENCE).await.expect("up");
        call.send_both().await;
        call.more_on(0, 10).await;
    });
}
