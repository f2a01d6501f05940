//! Data in a room: from publishers to subscribers, to hosts as datagrams, and to other servers.

use super::stage::{Guest, PATIENCE, Stage, hears, jsep, run};
use crate::program::local_ip;
use bifrons_loadtest::janus::Jsep;
use bifrons_loadtest::peer::str0m::media::Direction;
use bifrons_loadtest::peer::{Line, Message, Peer, PeerConfig, Stats};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// The label that browsers' library and server agree on.
const LABEL: &str = "JanusDataChannel";

/// How long to listen for what must not come.
const SILENCE: Duration = Duration::from_millis(700);

/// A publisher of data alone, whose channel is open.
async fn speaker(stage: &Stage, user: Value) -> Guest {
    let mut handle = stage.attach().await;
    let mut body = json!({"request": "join", "ptype": "publisher", "room": stage.room});
    for (name, value) in user.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let joined = handle.ask(body, None).await.expect("an answer").accepted().expect("joined");
    let peer = Peer::bind(PeerConfig::new(local_ip())).await.expect("a peer");
    let offer = peer.offer_channel(LABEL).await.expect("an offer");
    let body = json!({"request": "publish"});
    let answer = handle.ask(body, Some(Jsep::offer(offer))).await.expect("an answer");
    let streams = json!([{"type": "data", "mindex": 0, "mid": "0"}]);
    assert_eq!(answer.data["streams"], streams, "{}", answer.data);
    peer.accept_answer(&jsep(&answer).sdp).await.expect("it fits");
    peer.connected(PATIENCE).await.expect("connects");
    handle.event_of("webrtcup").await.expect("it is told");
    let guest = Guest { handle, peer, id: joined.data["id"].clone(), mids: vec!["0".to_owned()] };
    is_open(&guest).await;
    guest
}

/// A subscriber of these streams, with a channel of its own.
async fn listener(stage: &Stage, streams: Value) -> Guest {
    let guest = stage.watch(streams).await;
    open(&guest).await;
    guest
}

async fn is_open(guest: &Guest) {
    let opened = |stats: &Stats| stats.channels.iter().any(|label| label == LABEL);
    guest.peer.until("an open channel", PATIENCE, opened).await.expect("opens");
}

async fn open(guest: &Guest) {
    // The association has to be there before a channel can be.
    for _ in 0..40 {
        guest.peer.with(|engine| engine.open_channel(LABEL)).await.expect("a peer");
        let opened = |stats: &Stats| stats.channels.iter().any(|label| label == LABEL);
        if guest.peer.until("a channel", SILENCE, opened).await.is_ok() {
            return;
        }
    }
    panic!("no channel opens");
}

async fn say(guest: &Guest, text: &str) {
    guest.peer.say(LABEL, false, text.as_bytes()).await.expect("said");
}

/// The next so many messages.
async fn heard(guest: &Guest, count: usize) -> Vec<Message> {
    let enough = move |stats: &Stats| stats.messages.len() >= count;
    guest.peer.until("messages", PATIENCE, enough).await.expect("messages");
    guest.peer.take_messages().await.expect("a peer")
}

async fn hears_nothing(guest: &Guest) {
    tokio::time::sleep(SILENCE).await;
    assert_eq!(guest.peer.take_messages().await.expect("a peer"), []);
}

fn text(from: &Value, text: &str) -> Message {
    Message { label: from.to_string(), binary: false, bytes: text.as_bytes().to_vec() }
}

#[test]
fn videoroom_95_data_reach_a_subscriber_that_has_opened_a_channel_under_the_publishers_id() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let speaker = speaker(&stage, json!({})).await;
        let listener = stage.watch(json!([{"feed": speaker.id}])).await;
        tokio::time::sleep(SILENCE).await;
        say(&speaker, "too early").await;
        hears_nothing(&listener).await;
        open(&listener).await;
        // A server may notice a channel only a moment after its user did.
        tokio::time::sleep(SILENCE).await;
        say(&speaker, "a text").await;
        speaker.peer.say(LABEL, true, &[0, 255, 1]).await.expect("said");
        let binary =
            Message { label: speaker.id.to_string(), binary: true, bytes: vec![0, 255, 1] };
        assert_eq!(heard(&listener, 2).await, [text(&speaker.id, "a text"), binary]);
        listener.peer.say(LABEL, false, b"subscribers are not listened to").await.expect("said");
        speaker.peer.say(LABEL, true, &vec![7; 60_000]).await.expect("said");
        assert_eq!(heard(&listener, 1).await[0].bytes, vec![7; 60_000]);
        hears_nothing(&speaker).await;
    });
}

#[test]
fn videoroom_57_a_second_data_source_joins_the_line_without_an_offer() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let (one, two) = (speaker(&stage, json!({})).await, speaker(&stage, json!({})).await);
        let mut listener = listener(&stage, json!([{"feed": one.id}])).await;
        let body = json!({"request": "subscribe", "streams": [{"feed": two.id}]});
        let answer = listener.handle.ask(body, None).await.expect("an answer");
        assert_eq!(answer.data, json!({"videoroom": "updated", "room": stage.room}));
        assert!(answer.jsep.is_none(), "no SDP");
        tokio::time::sleep(SILENCE).await;
        say(&one, "from one").await;
        assert_eq!(heard(&listener, 1).await, [text(&one.id, "from one")]);
        say(&two, "from two").await;
        assert_eq!(heard(&listener, 1).await, [text(&two.id, "from two")]);
        // Everything is shown where the whole list is.
        let fed = json!({"request": "configure", "update": true});
        let answer = listener.handle.ask(fed, None).await.expect("an answer");
        let lines = jsep(&answer).sdp.matches("m=application").count();
        assert_eq!(lines, 1, "{}", answer.data);
    });
}

#[test]
fn videoroom_57_a_data_source_that_goes_is_not_heard_and_changes_no_sdp() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let (mut one, two) = (speaker(&stage, json!({})).await, speaker(&stage, json!({})).await);
        let streams = json!([{"feed": one.id}, {"feed": two.id}]);
        let mut listener = listener(&stage, streams).await;
        tokio::time::sleep(SILENCE).await;
        let body = json!({"request": "unsubscribe", "streams": [{"feed": two.id}]});
        assert_eq!(listener.ask(body).await["videoroom"], "updated");
        say(&two, "nobody listens").await;
        say(&one, "I am here").await;
        assert_eq!(heard(&listener, 1).await, [text(&one.id, "I am here")]);
        listener.handle.take_events();
        assert_eq!(one.ask(json!({"request": "unpublish"})).await["unpublished"], "ok");
        tokio::time::sleep(SILENCE).await;
        let events = listener.handle.take_events();
        let updates = events.iter().filter(|event| event["janus"] == "event").count();
        assert_eq!(updates, 0, "{events:?}");
    });
}

#[test]
fn videoroom_46_data_of_all_feeds_share_one_line_of_the_offer() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let (one, two) = (speaker(&stage, json!({})).await, speaker(&stage, json!({})).await);
        let sender = stage.sender(true).await;
        let mut handle = stage.attach().await;
        let feeds = json!([{"feed": one.id}, {"feed": sender.id}, {"feed": two.id}]);
        let body = json!({
            "request": "join", "ptype": "subscriber", "room": stage.room, "streams": feeds,
        });
        let attached = handle.ask(body, None).await.expect("an answer");
        let streams = attached.data["streams"].as_array().expect("streams").clone();
        let kinds: Vec<_> = streams.iter().map(|line| line["type"].clone()).collect();
        assert_eq!(kinds, ["data", "video", "audio"]);
        let shown = &streams[0];
        assert_eq!((&shown["active"], &shown["sources"]), (&json!(true), &json!(2)), "{shown}");
        assert_eq!(shown["source_ids"], json!([one.id, two.id]));
        assert!(shown.get("feed_id").is_none() && shown.get("codec").is_none(), "{shown}");
        let sdp = jsep(&attached).sdp;
        let lines: Vec<_> = sdp.lines().filter(|line| line.starts_with("m=")).collect();
        assert_eq!(lines.len(), 3, "{sdp}");
        assert!(lines[0].starts_with("m=application ") && lines[0].contains("SCTP"), "{sdp}");
        let first = sdp.split("m=").nth(1).expect("a line");
        assert!(first.contains("a=sendonly"), "{first}");
    });
}

#[test]
fn videoroom_50_data_are_left_out_where_the_old_flags_say_so() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let speaker = speaker(&stage, json!({})).await;
        let mut body = json!({
            "request": "join", "ptype": "subscriber", "room": stage.room, "feed": speaker.id,
            "offer_data": false,
        });
        let mut handle = stage.attach().await;
        let refused = handle.ask(body.clone(), None).await.expect("an answer");
        assert_eq!(refused.data["error_code"], 437, "nothing is left: {}", refused.data);
        body["offer_data"] = json!(true);
        let mut handle = stage.attach().await;
        let attached = handle.ask(body, None).await.expect("an answer");
        assert!(jsep(&attached).sdp.contains("m=application"), "{}", attached.data);
    });
}

#[test]
fn videoroom_29_others_are_told_of_data_and_it_runs_beside_media() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let mut lurker = stage.lurk().await;
        let mut sender = stage.publish(vec![Line::audio(Direction::SendOnly)]).await;
        hears(&mut lurker, "publishers", |data| data.get("publishers").is_some()).await;
        let offer = sender.peer.offer_channel(LABEL).await.expect("an offer");
        let body = json!({"request": "configure"});
        let answer = sender.handle.ask(body, Some(Jsep::offer(offer))).await.expect("an answer");
        sender.peer.accept_answer(&jsep(&answer).sdp).await.expect("it fits");
        let told = hears(&mut lurker, "publishers", |data| data.get("publishers").is_some()).await;
        let streams = &told["plugindata"]["data"]["publishers"][0]["streams"];
        assert_eq!(streams[1], json!({"type": "data", "mindex": 1, "mid": "1"}), "{told}");
        is_open(&sender).await;
        let mid = sender.mids[0].clone();
        sender.peer.send(&mid, None, bifrons_loadtest::peer::Shape::audio()).await.expect("sends");
        let listener = listener(&stage, json!([{"feed": sender.id}])).await;
        listener.frames("0", 10).await;
        tokio::time::sleep(SILENCE).await;
        say(&sender, "beside").await;
        assert_eq!(heard(&listener, 1).await, [text(&sender.id, "beside")]);
        let stats = listener.frames("0", 10).await;
        assert_eq!(stats.lost(), 0);
    });
}

#[test]
fn videoroom_40_and_41_muted_data_go_nowhere() {
    run(async {
        let mut stage = Stage::set(json!({})).await;
        let mut speaker = speaker(&stage, json!({})).await;
        let listener = listener(&stage, json!([{"feed": speaker.id}])).await;
        tokio::time::sleep(SILENCE).await;
        let moderate =
            |mute: bool| json!({"request": "moderate", "id": speaker.id, "mid": "0", "mute": mute});
        let (mute, unmute) = (moderate(true), moderate(false));
        assert_eq!(stage.manage(mute).await["videoroom"], "success");
        speaker.hears("moderation", |data| data["moderation"] == "muted").await;
        say(&speaker, "moderated").await;
        hears_nothing(&listener).await;
        let silent = json!({"request": "configure", "streams": [{"mid": "0", "send": false}]});
        assert_eq!(speaker.ask(silent).await["configured"], "ok");
        assert_eq!(stage.manage(unmute).await["videoroom"], "success");
        say(&speaker, "muted by itself").await;
        hears_nothing(&listener).await;
        let on = json!({"request": "configure", "streams": [{"mid": "0", "send": true}]});
        assert_eq!(speaker.ask(on).await["configured"], "ok");
        say(&speaker, "free").await;
        assert_eq!(heard(&listener, 1).await, [text(&speaker.id, "free")]);
    });
}

#[test]
fn videoroom_53_a_paused_subscription_hears_no_data() {
    run(async {
        let stage = Stage::set(json!({})).await;
        let speaker = speaker(&stage, json!({})).await;
        let mut listener = listener(&stage, json!([{"feed": speaker.id}])).await;
        tokio::time::sleep(SILENCE).await;
        assert_eq!(listener.ask(json!({"request": "pause"})).await["paused"], "ok");
        say(&speaker, "while paused").await;
        hears_nothing(&listener).await;
        assert_eq!(listener.ask(json!({"request": "start"})).await["started"], "ok");
        say(&speaker, "again").await;
        assert_eq!(heard(&listener, 1).await, [text(&speaker.id, "again")]);
        let off = json!({"request": "configure", "streams": [{"mid": "0", "send": false}]});
        assert_eq!(listener.ask(off).await["configured"], "ok");
        say(&speaker, "while off").await;
        hears_nothing(&listener).await;
        let on = json!({"request": "configure", "streams": [{"mid": "0", "send": true}]});
        assert_eq!(listener.ask(on).await["configured"], "ok");
        say(&speaker, "on").await;
        assert_eq!(heard(&listener, 1).await, [text(&speaker.id, "on")]);
    });
}

async fn datagram(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 65_536];
    let (len, _) =
        timeout(PATIENCE, socket.recv_from(&mut bytes)).await.expect("comes").expect("read");
    bytes.truncate(len);
    bytes
}

#[test]
fn videoroom_71_and_72_each_message_is_one_datagram_until_it_is_stopped() {
    run(async {
        let mut stage = Stage::set(json!({})).await;
        let speaker = speaker(&stage, json!({})).await;
        let host = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let port = host.local_addr().expect("bound").port();
        let forward = json!({
            "request": "rtp_forward", "publisher_id": speaker.id, "host": "127.0.0.1",
            "streams": [{"mid": "0", "port": port}],
        });
        let reply = stage.manage(forward).await;
        let made = &reply["forwarders"][0];
        assert_eq!((&made["type"], &made["port"]), (&json!("data"), &json!(port)), "{reply}");
        assert!(made.get("pt").is_none() && made.get("ssrc").is_none(), "{reply}");
        say(&speaker, "first").await;
        assert_eq!(datagram(&host).await, b"first");
        speaker.peer.say(LABEL, true, &[9; 5000]).await.expect("said");
        assert_eq!(datagram(&host).await, [9; 5000]);
        let stop = json!({
            "request": "stop_rtp_forward", "publisher_id": speaker.id,
            "stream_id": made["stream_id"],
        });
        assert_eq!(stage.manage(stop).await["videoroom"], "stop_rtp_forward");
        say(&speaker, "after the end").await;
        let mut byte = [0];
        assert!(timeout(SILENCE, host.recv_from(&mut byte)).await.is_err(), "nothing comes");
        let legacy = json!({
            "request": "rtp_forward", "publisher_id": speaker.id, "host": "127.0.0.1",
            "data_port": port,
        });
        let reply = stage.manage(legacy).await;
        assert_eq!(reply["rtp_stream"]["data"], port, "{reply}");
        assert!(reply["rtp_stream"]["data_stream_id"].is_u64(), "{reply}");
        say(&speaker, "the old way").await;
        assert_eq!(datagram(&host).await, b"the old way");
    });
}

#[test]
fn videoroom_75_a_remote_publisher_may_have_data() {
    run(async {
        let mut stage = Stage::set(json!({})).await;
        let add = json!({
            "request": "add_remote_publisher", "id": 78, "streams": [
                {"mid": "0", "mindex": 0, "type": "audio", "codec": "opus"},
                {"mid": "1", "mindex": 1, "type": "data"}],
            "srtp_suite": 80, "srtp_crypto": "S".repeat(40),
        });
        let added = stage.manage(add).await;
        assert_eq!(added["videoroom"], "success", "{added}");
        let streams = json!([{"feed": 78, "mid": "1"}]);
        let listener = listener(&stage, streams).await;
        tokio::time::sleep(SILENCE).await;
        let far = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let port = added["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let to = ("127.0.0.1", port.expect("a port"));
        for (kind, bytes) in [(0u8, &b"in text"[..]), (1, &[1, 2, 3])] {
            let mut packet = vec![0x80, kind, 0, 0, 0, 0, 0, 0];
            packet.extend(1010u32.to_be_bytes());
            packet.extend(bytes);
            far.send_to(&packet, to).await.expect("sent");
        }
        let binary = Message { label: "78".to_owned(), binary: true, bytes: vec![1, 2, 3] };
        assert_eq!(heard(&listener, 2).await, [text(&json!(78), "in text"), binary]);
    });
}

#[test]
fn videoroom_76_remote_data_follow_a_header_with_ssrc_and_kind() {
    run(async {
        let mut stage = Stage::set(json!({})).await;
        let speaker = speaker(&stage, json!({})).await;
        let far = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let send = json!({
            "request": "publish_remotely", "publisher_id": speaker.id, "remote_id": "there",
            "host": "127.0.0.1", "port": far.local_addr().expect("bound").port(),
        });
        let sent = stage.manage(send).await;
        assert_eq!(sent["videoroom"], "success", "{sent}");
        for (binary, body) in [(false, b"text"), (true, b"\x00\x01\x02\x03")] {
            speaker.peer.say(LABEL, binary, body).await.expect("said");
            let came = datagram(&far).await;
            assert_eq!((came[1] & 0x7f, &came[8..12]), (u8::from(binary), &[0, 0, 3, 232][..]));
            assert_eq!(&came[12..], body);
        }
        speaker.peer.say(LABEL, true, &[1; 3000]).await.expect("said");
        assert_eq!(datagram(&far).await.len(), 1500);
    });
}

/// A publisher's data from one server to the other.
async fn cascade(from: &mut Stage, to: &mut Stage) {
    let speaker = speaker(from, json!({})).await;
    let add = json!({
        "request": "add_remote_publisher", "id": 79,
        "streams": [{"mid": "0", "mindex": 0, "type": "data"}],
    });
    let added = to.manage(add).await;
    assert_eq!(added["videoroom"], "success", "{added}");
    let send = json!({
        "request": "publish_remotely", "publisher_id": speaker.id, "remote_id": "there",
        "host": "127.0.0.1", "port": added["port"], "rtcp_port": added["rtcp_port"],
    });
    let sent = from.manage(send).await;
    assert_eq!(sent["videoroom"], "success", "{sent}");
    let listener = listener(to, json!([{"feed": 79}])).await;
    tokio::time::sleep(SILENCE).await;
    say(&speaker, "far away").await;
    speaker.peer.say(LABEL, true, &[4; 1000]).await.expect("said");
    let binary = Message { label: "79".to_owned(), binary: true, bytes: vec![4; 1000] };
    assert_eq!(heard(&listener, 2).await, [text(&json!(79), "far away"), binary]);
    let mute = json!({"request": "moderate", "id": 79, "mid": "0", "mute": true});
    assert_eq!(to.manage(mute).await["videoroom"], "success");
    say(&speaker, "moderated there").await;
    hears_nothing(&listener).await;
    let remove = json!({"request": "remove_remote_publisher", "id": 79});
    assert_eq!(to.manage(remove).await["videoroom"], "success");
}

#[test]
fn videoroom_104_data_go_on_in_another_server_in_both_directions() {
    run(async {
        let mut there = Stage::set(json!({})).await;
        let mut here = Stage::ours(json!({})).await;
        cascade(&mut there, &mut here).await;
        cascade(&mut here, &mut there).await;
    });
}
