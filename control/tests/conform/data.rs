//! Data channels over the wire, with a PeerConnection of another implementation (str0m).

use crate::call::{Call, both};
use crate::target::{Target, run};
use bifrons_loadtest::peer::Message;
use bifrons_loadtest::peer::str0m::format::Codec;
use serde_json::json;

/// What EchoTest puts before a text.
const PREFIX: &[u8] = b"Janus EchoTest here! You wrote: ";

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

fn message(label: &str, binary: bool, bytes: &[u8]) -> Message {
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
        let expected = [message("chat", false, &text), message("chat", true, b"\x00\x01\xff")];
        assert_eq!(messages(&call, 2).await, expected);
        call.peer.say("chat", true, &vec![7; 120_000]).await.expect("said");
        assert_eq!(messages(&call, 1).await, [message("chat", true, &vec![7; 120_000])]);
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
        assert_eq!(came, [message("first", true, b"1"), message("second", true, b"2")]);
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
