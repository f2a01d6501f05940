//! The program itself: its files, its switches, its last words.

use super::receiver::{WebServer, acceptor, is};
use super::schema::check;
use crate::mute;
use crate::program::{Program, session};
use crate::target::run;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpListener;

/// How long the program may take to come up, or to end.
const PATIENCE: Duration = Duration::from_secs(15);

const SAMPLE: &str = "janus.eventhandler.sampleevh";

/// The program with these files, or the mute server; where it serves WebSockets.
async fn started(more: &str, files: &[(&str, String)]) -> (Option<Program>, String) {
    if std::env::var_os("BIFRONS_CONFORM_MUTE").is_some() {
        let (ws, _) = mute::start().await;
        return (None, format!("ws://127.0.0.1:{ws}"));
    }
    let trusted = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conform/tls/cert.pem");
    let program = Program::start_with(more, &[("SSL_CERT_FILE", trusted)], files);
    let url = program.url();
    (Some(program), url)
}

fn is_foreign() -> bool {
    crate::target::foreign().is_some()
}

/// Asks the program to end, and waits until it has.
async fn end(program: Option<Program>) {
    let mut program = program.expect("a program");
    program.signal("TERM");
    assert!(program.ended(PATIENCE).await.success());
}

#[test]
fn events_39_the_program_tells_of_itself_and_delivers_everything_before_it_ends() {
    run(async {
        if is_foreign() {
            return;
        }
        let web = WebServer::start_secure().await;
        let url = format!("https://localhost:{}/events", web.port);
        let text = format!(
            "general: {{ enabled = true; events = \"all\"; backend = \"{url}\"; \
            backend_user = \"ada\"; backend_pwd = \"pwd\" }}"
        );
        let more = "events: { broadcast = true } general: { server_name = \"sfu-7\" }";
        let (program, url) = started(more, &[(SAMPLE, text)]).await;
        let session = session(&url, PATIENCE).await;
        session.attach("janus.plugin.echotest").await.expect("attaches");
        let post = web.post().await;
        assert_eq!(post.head.header("authorization"), Some("Basic YWRhOnB3ZA=="));
        let first = &post.json()[0];
        assert_eq!(check(first), Ok(()));
        assert_eq!(
            (&first["emitter"], &first["event"]["status"]),
            (&json!("sfu-7"), &json!("started"))
        );
        let info = &first["event"]["info"];
        assert_eq!(info["event_handlers"], true);
        assert!(info["events"].get(SAMPLE).is_some(), "{info}");
        web.event("attached", |event| event["event"]["name"] == "attached").await;
        end(program).await;
        web.event("detached", |event| event["event"]["name"] == "detached").await;
        let events = web.events();
        events.iter().for_each(|event| assert_eq!(check(event), Ok(())));
        let shutdown: Vec<&Value> = events.iter().filter(|event| is(event, 256, 2)).collect();
        assert_eq!(shutdown.len(), 1);
        assert_eq!(shutdown[0]["event"], json!({"status": "shutdown", "signum": 15}));
    });
}

#[test]
fn events_44_websockets_behind_tls_get_events_too() {
    run(async {
        if is_foreign() {
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let text = format!(
            "general: {{ enabled = true; events = \"sessions\"; grouping = false; \
            backend = \"wss://localhost:{port}\" }}"
        );
        let more = "events: { broadcast = true }";
        let (program, url) = started(more, &[("janus.eventhandler.wsevh", text)]).await;
        let events = tokio::task::spawn_local(async move {
            // It wants a subprotocol first, which this server has none of, and comes again.
            loop {
                let (stream, _) = listener.accept().await.expect("accepts");
                let stream = acceptor().accept(stream).await.expect("it trusts us");
                let mut socket = tokio_tungstenite::accept_async(stream).await.expect("ok");
                if let Some(Ok(message)) = socket.next().await
                    && message.is_text()
                {
                    return message.into_text().expect("text").to_string();
                }
            }
        });
        let session = session(&url, PATIENCE).await;
        let text =
            tokio::time::timeout(PATIENCE, events).await.expect("in time").expect("an event");
        let event: Value = serde_json::from_str(&text).expect("one object");
        assert_eq!(check(&event), Ok(()));
        assert_eq!((&event["type"], &event["event"]["name"]), (&json!(1), &json!("created")));
        drop(session);
        end(program).await;
    });
}

#[test]
fn events_30_the_program_tells_nothing_without_broadcast_or_from_the_disable_list() {
    run(async {
        if is_foreign() {
            return;
        }
        let web = WebServer::start().await;
        let text =
            format!("general: {{ enabled = true; events = \"all\"; backend = \"{}\" }}", web.url());
        let disabled = "events: { broadcast = true; disable = \"libjanus_sampleevh.so\" }";
        for more in ["events: { broadcast = false }", disabled] {
            let (program, url) = started(more, &[(SAMPLE, text.clone())]).await;
            let session = session(&url, PATIENCE).await;
            session.attach("janus.plugin.echotest").await.expect("attaches");
            drop(session);
            end(program).await;
        }
        assert!(web.events().is_empty() && web.posts.borrow().is_empty());
    });
}
