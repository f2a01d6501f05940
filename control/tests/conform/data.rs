//! Data channels over the wire, with a PeerConnection of another implementation (str0m).

use crate::call::{Call, both, peer};
use crate::client::merged;
use crate::media::Media;
use crate::target::{Setup, Target, run};
use bifrons_core::config::Tree;
use bifrons_core::media::{DataMessage, PeerId};
use bifrons_core::plugin::{
    About, HandleKey, Host, JsepKind, OutgoingJsep, Plugin, Request, Verdict,
};
use bifrons_core::sdp::{Offer, OfferLine};
use bifrons_loadtest::peer::Message;
use bifrons_loadtest::peer::str0m::format::Codec;
use serde_json::{Value, json};

/// What EchoTest puts before a text.
const PREFIX: &[u8] = b"Janus EchoTest here! You wrote: ";

/// A plugin that offers data channels and speaks first.
#[derive(Default)]
struct Herald;

impl Plugin for Herald {
    fn about(&self) -> About {
        About {
            package: "test.herald",
            name: "herald",
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

    fn handle_message(&mut self, host: &mut dyn Host, request: Request) -> Verdict {
        let jsep = request.jsep.is_none().then(|| {
            let mut offer = Offer::new("herald", 1);
            offer.add(OfferLine::data());
            OutgoingJsep { kind: JsepKind::Offer, sdp: offer.build(), e2ee: false, restart: false }
        });
        let done = json!({"result": "ok"});
        let sent = host.push_event(request.handle, Some(&request.transaction), done, jsep);
        sent.expect("a client");
        Verdict::Ack(None)
    }

    fn setup_media(&mut self, host: &mut dyn Host, handle: HandleKey, _: PeerId) {
        let news = DataMessage { label: "news".into(), ..DataMessage::text("hear ye") };
        host.send_data(handle, news).expect("a data line");
    }

    fn hangup_media(&mut self, _: &mut dyn Host, _: HandleKey) {}

    fn destroy_session(&mut self, _: &mut dyn Host, _: HandleKey) {}

    fn query_session(&self, _: HandleKey) -> Value {
        json!({})
    }
}

#[test]
fn webrtc_39_the_server_opens_a_channel_towards_a_peer_that_opened_none() {
    run(async {
        let setup = Setup {
            media: Some(Media::default()),
            plugins: vec![Box::new(Herald)],
            ..Setup::default()
        };
        let Some(target) = Target::with(setup).await else { return };
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let attach = json!({"janus": "attach", "session_id": session, "plugin": "test.herald"});
        let handle = ws.ask(attach).await["data"]["id"].as_u64().expect("a handle");
        let mut call = Call::between(ws, (session, handle), peer(&[Codec::Opus]).await);
        let message = |more: Value| merged(json!({"janus": "message", "body": {}}), &more);
        call.ws.on(call.at, message(json!({}))).await;
        let offered = call.event_where("an offer", |event| event["jsep"].is_object()).await;
        let sdp = offered["jsep"]["sdp"].as_str().expect("an SDP").to_owned();
        assert!(sdp.contains("a=max-message-size:1048576"), "{sdp}");
        let answer = call.peer.accept_offer(&sdp).await.expect("an answer");
        let jsep = json!({"jsep": {"type": "answer", "sdp": answer, "trickle": false}});
        call.ws.on(call.at, message(jsep)).await;
        call.connected().await;
        assert_eq!(messages(&call, 1).await, [message_of("news", false, b"hear ye")]);
    });
}

/// A call of EchoTest with a data channel alone, which is open.
async fn call(target: &Target, label: &str) -> Call {
    let mut call = Call::prepare(target, &[Codec::Opus]).await;
    let offer = call.peer.offer_channel(label).await.expect("an offer");
    call.negotiate(json!({"audio": true}), &offer, json!({})).await;
    call.connected().await;
    opened(&call, label).await;
    call
}

async fn opened(call: &Call, label: &str) {
    let label = label.to_owned();
    call.until("an open channel", move |stats| stats.channels.contains(&label)).await;
}

/// The next so many messages.
async fn messages(call: &Call, count: usize) -> Vec<Message> {
    call.until("messages", move |stats| stats.messages.len() >= count).await;
    call.peer.take_messages().await.expect("a peer")
}

fn message_of(label: &str, binary: bool, bytes: &[u8]) -> Message {
    Message { label: label.to_owned(), binary, bytes: bytes.to_vec() }
}

#[test]
fn echotest_16_text_returns_with_the_prefix_and_binary_verbatim() {
    run(async {
        let target = Target::with_media().await;
        let call = call(&target, "chat").await;
        for (binary, bytes) in [(false, &b"hello"[..]), (true, b"\x00\x01\xff")] {
            call.peer.say("chat", binary, bytes).await.expect("said");
        }
        let text = [PREFIX, b"hello"].concat();
        let expected =
            [message_of("chat", false, &text), message_of("chat", true, b"\x00\x01\xff")];
        assert_eq!(messages(&call, 2).await, expected);
        call.peer.say("chat", true, &vec![7; 120_000]).await.expect("said");
        assert_eq!(messages(&call, 1).await, [message_of("chat", true, &vec![7; 120_000])]);
    });
}

#[test]
fn webrtc_38_a_channel_the_peer_opens_is_acknowledged_and_its_messages_reach_the_plugin() {
    run(async {
        let target = Target::with_media().await;
        // str0m calls a channel open once it is acknowledged.
        let call = call(&target, "first").await;
        call.peer.with(|engine| engine.open_channel("second")).await.expect("a peer");
        opened(&call, "second").await;
        call.peer.say("second", true, b"2").await.expect("said");
        call.peer.say("first", true, b"1").await.expect("said");
        let mut came = messages(&call, 2).await;
        came.sort_by(|a, b| a.label.cmp(&b.label));
        assert_eq!(came, [message_of("first", true, b"1"), message_of("second", true, b"2")]);
    });
}

#[test]
fn webrtc_40_text_and_binary_keep_their_kind() {
    run(async {
        let target = Target::with_media().await;
        let call = call(&target, "kinds").await;
        for n in 0..40u8 {
            call.peer.say("kinds", n % 2 == 0, &[b'0' + n]).await.expect("said");
        }
        let came = messages(&call, 40).await;
        for (n, message) in (0..40u8).zip(&came) {
            assert_eq!(message.binary, n % 2 == 0, "{n}");
            assert_eq!(message.bytes.last(), Some(&(b'0' + n)), "in order");
        }
    });
}

#[test]
fn a_data_line_joins_a_call_of_media_and_leaves_them_alone() {
    run(async {
        let target = Target::with_media().await;
        let mut call = Call::start(&target, json!({"audio": true, "video": true}), both()).await;
        call.send_both().await;
        call.more_on(0, 20).await;
        let offer = call.peer.offer_channel("late").await.expect("an offer");
        call.negotiate(json!({"audio": true}), &offer, json!({})).await;
        opened(&call, "late").await;
        for _ in 0..20 {
            call.peer.say("late", true, &vec![1; 20_000]).await.expect("said");
            messages(&call, 1).await;
        }
        call.more_on(0, 20).await;
        call.more_on(1, 20).await;
        let stats = call.until("counts", |_| true).await;
        assert_eq!(stats.lost(), 0);
    });
}
