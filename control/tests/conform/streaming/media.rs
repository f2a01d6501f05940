//! What flows, stops and goes on.

use super::feed::{Feed, State, rtp};
use super::stage::{PATIENCE, SECOND, Stage, Viewer, audio, jsep, run, video};
use bifrons_core::srtp::{MasterKey, SealKey, SrtpProfile};
use bifrons_loadtest::janus::Jsep;
use bifrons_loadtest::peer::str0m::media::Direction;
use bifrons_loadtest::peer::{Line, Stats};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;

#[test]
fn streaming_34_and_36_start_pause_and_start_leave_no_gap() {
    run(async {
        let mut stage = Stage::set().await;
        let (id, ports) = stage.streams(json!([audio("a1"), video("v1")])).await;
        let _feeds = (Feed::audio(ports[0]), Feed::video(ports[1], 10));
        let mut viewer = stage.watch(&id).await;
        viewer.frames("v1", 20).await;
        viewer.packets("a1", 20).await;
        assert_eq!(viewer.ask(json!({ "request": "pause" })).await["status"], "pausing");
        assert_eq!(viewer.a_second_of("a1").await, 0);
        assert_eq!(viewer.a_second_of("v1").await, 0);
        assert_eq!(viewer.ask(json!({ "request": "start" })).await["status"], "started");
        viewer.frames("v1", 20).await;
        viewer.packets("a1", 20).await;
        for mid in ["a1", "v1"] {
            viewer.is_continuous(mid).await;
        }
        let [audio, video] = ["a1", "v1"].map(|mid| viewer.received(mid));
        assert_eq!((audio.await.payload_type, video.await.payload_type), (111, 96));
    });
}

#[test]
fn streaming_35_a_viewers_own_offer_needs_no_start() {
    run(async {
        let mut stage = Stage::set().await;
        let (id, ports) = stage.streams(json!([audio("a1"), video("v1")])).await;
        let _feeds = (Feed::audio(ports[0]), Feed::video(ports[1], 10));
        let mut viewer = Viewer::new(stage.attach().await).await;
        let wanted = vec![Line::video(Direction::RecvOnly), Line::audio(Direction::RecvOnly)];
        let (mids, sdp) = viewer.peer.offer(wanted).await.expect("an offer");
        let body = json!({ "request": "watch", "id": id });
        let answer = viewer.handle.ask(body, Some(Jsep::offer(sdp))).await.expect("an answer");
        assert_eq!(answer.data["result"]["status"], "starting", "{}", answer.data);
        viewer.peer.accept_answer(&jsep(&answer).sdp).await.expect("it fits");
        viewer.peer.connected(PATIENCE).await.expect("connects");
        viewer.hears("started", |result| result["status"] == "started").await;
        viewer.frames(&mids[0], 10).await;
        viewer.packets(&mids[1], 10).await;
    });
}

#[test]
fn streaming_24_and_62_a_disabled_mountpoint_is_silent() {
    run(async {
        let mut stage = Stage::set().await;
        let (id, ports) = stage.streams(json!([audio("0")])).await;
        let _feed = Feed::audio(ports[0]);
        let viewer = stage.watch(&id).await;
        viewer.packets("0", 20).await;
        let off = json!({ "request": "disable", "id": id, "stop_recording": false });
        assert_eq!(stage.manage(off).await["streaming"], "ok");
        assert_eq!(viewer.a_second_of("0").await, 0);
        assert_eq!(stage.info(&id).await["enabled"], false);
        assert_eq!(stage.manage(json!({ "request": "enable", "id": id })).await["streaming"], "ok");
        viewer.packets("0", 20).await;
        let got = viewer.received("0").await;
        assert_eq!(got.ssrcs.len(), 1);
        assert!(got.lost() >= 20, "a gap as long as the pause: {}", got.lost());
    });
}

#[test]
fn streaming_40_one_stream_is_muted() {
    run(async {
        let mut stage = Stage::set().await;
        let (id, ports) = stage.streams(json!([audio("0"), audio("1")])).await;
        let _feeds = (Feed::audio(ports[0]), Feed::audio(ports[1]));
        let mut viewer = stage.watch(&id).await;
        viewer.packets("0", 10).await;
        viewer.packets("1", 10).await;
        let send = |send: bool| json!({ "request": "configure", "streams": [{ "mid": "0", "send": send }] });
        assert_eq!(viewer.ask(send(false)).await["event"], "configured");
        assert_eq!(viewer.a_second_of("0").await, 0);
        assert!(viewer.a_second_of("1").await > 20);
        viewer.ask(send(true)).await;
        viewer.packets("0", 10).await;
        viewer.is_continuous("0").await;
    });
}

#[test]
fn streaming_41_and_62_a_switch_is_continuous() {
    run(async {
        let mut stage = Stage::set().await;
        let (first, ports) = stage.streams(json!([audio("0"), video("1")])).await;
        let mut other = video("1");
        other["pt"] = json!(100);
        let (second, others) = stage.streams(json!([audio("0"), other])).await;
        let former = (Feed::audio(ports[0]), Feed::video(ports[1], 10));
        let later = (Feed::audio(others[0]), Feed::video(others[1], 10));
        later.1.state.borrow_mut().ssrc = 0x4444;
        let mut viewer = stage.watch(&first).await;
        viewer.frames("1", 10).await;
        let switched = viewer.ask(json!({ "request": "switch", "id": second })).await;
        assert_eq!((&switched["switched"], &switched["id"]), (&json!("ok"), &second));
        tokio::time::sleep(SECOND).await;
        former.0.hold(true);
        former.1.hold(true);
        viewer.frames("1", 20).await;
        viewer.packets("0", 20).await;
        for mid in ["0", "1"] {
            viewer.is_continuous(mid).await;
        }
        assert_eq!(viewer.received("1").await.payload_type, 96, "as negotiated");
        let gone = viewer.ask(json!({ "request": "switch", "id": 3 })).await;
        assert_eq!(gone["error_code"], 455, "{gone}");
    });
}

#[test]
fn streaming_43_another_sender_goes_on_where_the_former_stopped() {
    run(async {
        let mut stage = Stage::set().await;
        let (id, ports) = stage.streams(json!([audio("0")])).await;
        let feed = Feed::audio(ports[0]);
        let viewer = stage.watch(&id).await;
        viewer.packets("0", 20).await;
        let state = State { seq: 7, timestamp: 900, ..State::new(111, 0x9999, 0, false) };
        *feed.state.borrow_mut() = state;
        viewer.packets("0", 30).await;
        viewer.is_continuous("0").await;
        let got = viewer.received("0").await;
        let (first, last) = (got.headers.front().expect("one"), got.headers.back().expect("one"));
        let span = last.timestamp.wrapping_sub(first.timestamp);
        assert!(span < 48_000 * 30, "the time stamps go on by the time that passed: {span}");
    });
}

#[test]
fn streaming_44_a_second_sender_is_not_heard_while_the_first_one_is() {
    run(async {
        let mut stage = Stage::set().await;
        let (id, made) = stage.create(json!({ "collision": 1000, "media": [audio("0")] })).await;
        assert_eq!(stage.info(&id).await["collision"], 1000);
        let port = super::stage::ports(&made)[0];
        let (first, second) = (Feed::audio(port), Feed::audio(port));
        second.state.borrow_mut().ssrc = 0x7777;
        second.hold(true);
        let viewer = stage.watch(&id).await;
        viewer.packets("0", 20).await;
        second.hold(false);
        let (came, sent) = (viewer.received("0").await.packets, first.state.borrow().seq);
        tokio::time::sleep(SECOND).await;
        let came = viewer.received("0").await.packets - came;
        let sent = u64::from(first.state.borrow().seq.wrapping_sub(sent));
        assert!(came.abs_diff(sent) <= 5, "{came} came, the first sender sent {sent}");
        first.hold(true);
        tokio::time::sleep(SECOND + SECOND / 2).await;
        viewer.packets("0", 20).await;
        viewer.is_continuous("0").await;
    });
}

#[test]
fn streaming_47_a_new_viewer_gets_the_keyframe_that_was_kept() {
    run(async {
        let mut stage = Stage::set().await;
        let fields = json!({ "bufferkf_ms": 5000, "media": [video("0")] });
        let (id, made) = stage.create(fields).await;
        let feed = Feed::video(super::stage::ports(&made)[0], 0);
        // The only keyframe there is, and what follows it.
        tokio::time::sleep(SECOND).await;
        let viewer = stage.watch(&id).await;
        viewer.frames("0", 30).await;
        let got = viewer.received("0").await;
        assert!(got.keyframes >= 1, "{got:?}");
        viewer.is_continuous("0").await;
        drop(feed);
    });
}

fn sealed(key: &MasterKey, seq: u16) -> Vec<u8> {
    let mut packet = rtp(111, seq, u32::from(seq) * 960, 0x1111, false, &[0xF8, 0xFF, 0xFE]);
    let len = packet.len();
    packet.resize(len + 16, 0);
    let sealer = SealKey::new(key).expect("a key");
    let sealed = sealer.seal_rtp_in_place(seq.into(), &mut packet, 12, len).expect("room");
    packet.truncate(sealed);
    packet
}

#[test]
fn streaming_50_only_what_is_sealed_with_the_key_is_relayed() {
    run(async {
        let mut stage = Stage::set().await;
        let fields = json!({
            "srtpsuite": 80, "srtpcrypto": "Q".repeat(40), "media": [audio("0")],
        });
        let (id, made) = stage.create(fields).await;
        assert_eq!(stage.info(&id).await["srtp"], true);
        let to = SocketAddr::from(([127, 0, 0, 1], super::stage::ports(&made)[0]));
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let key = |text: &str| {
            MasterKey::from_base64(SrtpProfile::Aes128CmSha1_80, &text.repeat(40)).expect("a key")
        };
        let viewer = stage.watch(&id).await;
        let send = async |key: &MasterKey, range: std::ops::Range<u16>| {
            for seq in range {
                socket.send_to(&sealed(key, seq), to).await.expect("sent");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        send(&key("R"), 100..120).await;
        tokio::time::sleep(SECOND / 2).await;
        assert_eq!(viewer.received("0").await.packets, 0, "another key");
        send(&key("Q"), 200..220).await;
        tokio::time::sleep(SECOND).await;
        let got = viewer.received("0").await;
        assert_eq!((got.packets, got.lost()), (20, 0));
    });
}

/// A viewer of data whose channel is open.
async fn listener(stage: &Stage, id: &Value) -> Viewer {
    let viewer = stage.watch(id).await;
    viewer.peer.with(|engine| engine.open_channel("JanusDataChannel")).await.expect("a peer");
    let open = |stats: &Stats| !stats.channels.is_empty();
    viewer.peer.until("an open channel", PATIENCE, open).await.expect("open");
    viewer
}

/// The next message.
async fn message(viewer: &Viewer) -> (bool, Vec<u8>) {
    let some = |stats: &Stats| !stats.messages.is_empty();
    viewer.peer.until("a message", PATIENCE, some).await.expect("a message");
    let mut messages = viewer.peer.take_messages().await.expect("a peer");
    assert_eq!(messages.len(), 1, "{messages:?}");
    let message = messages.remove(0);
    (message.binary, message.bytes)
}

#[test]
fn streaming_51_a_datagram_is_a_message_and_the_last_one_is_kept() {
    run(async {
        let mut stage = Stage::set().await;
        let data = json!({ "type": "data", "mid": "d", "port": 0 });
        // At the top level, where 1.4.2 looks for it.
        let (id, made) = stage.create(json!({ "buffermsg": true, "media": [data] })).await;
        let to = SocketAddr::from(([127, 0, 0, 1], super::stage::ports(&made)[0]));
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let first = listener(&stage, &id).await;
        tokio::time::sleep(SECOND / 2).await;
        socket.send_to("grüße".as_bytes(), to).await.expect("sent");
        assert_eq!(message(&first).await, (false, "grüße".as_bytes().to_vec()));
        let second = listener(&stage, &id).await;
        assert_eq!(message(&second).await, (false, "grüße".as_bytes().to_vec()));
        socket.send_to(b"again", to).await.expect("sent");
        for viewer in [&first, &second] {
            assert_eq!(message(viewer).await.1, b"again");
        }
        let mut binary = json!({ "type": "data", "mid": "d", "port": 0, "datatype": "binary" });
        binary["label"] = json!("bytes");
        let fields = json!({ "datatype": "binary", "media": [binary] });
        let (id, made) = stage.create(fields).await;
        let to = SocketAddr::from(([127, 0, 0, 1], super::stage::ports(&made)[0]));
        let third = listener(&stage, &id).await;
        tokio::time::sleep(SECOND / 2).await;
        socket.send_to(&[0, 255, 1], to).await.expect("sent");
        assert_eq!(message(&third).await, (true, vec![0, 255, 1]));
    });
}

#[test]
fn streaming_52_groups_on_one_port_do_not_mix() {
    run(async {
        let mut stage = Stage::set().await;
        let spare = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let port = spare.local_addr().expect("bound").port();
        let mut viewers = Vec::new();
        for group in ["239.77.1.1", "239.77.1.2"] {
            let mut stream = audio("0");
            stream["port"] = json!(port);
            (stream["mcast"], stream["iface"]) = (json!(group), json!("127.0.0.1"));
            let (id, _) = stage.streams(json!([stream])).await;
            viewers.push(stage.watch(&id).await);
        }
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None);
        let socket = socket.expect("a socket");
        socket.set_multicast_if_v4(&std::net::Ipv4Addr::LOCALHOST).expect("loopback");
        socket.set_nonblocking(true).expect("set");
        let socket = UdpSocket::from_std(socket.into()).expect("a socket");
        let mut state = State::new(111, 0x1111, 0, false);
        for _ in 0..30 {
            let packet = state.next().expect("one");
            socket.send_to(&packet, ("239.77.1.1", port)).await.expect("sent");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        viewers[0].packets("0", 0).await;
        tokio::time::sleep(SECOND / 2).await;
        let [first, second] = [&viewers[0], &viewers[1]].map(|viewer| viewer.received("0"));
        assert_eq!((first.await.packets, second.await.packets), (30, 0));
    });
}

#[test]
fn streaming_53_parameter_sets_are_put_in_without_a_gap() {
    run(async {
        let mut stage = Stage::set().await;
        let stream = json!({
            "type": "video", "mid": "0", "port": 0, "pt": 96, "codec": "h264",
            "fmtp": "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1",
            "h264sps": "Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==",
        });
        let (id, ports) = stage.streams(json!([stream])).await;
        let viewer = stage.watch(&id).await;
        let to = SocketAddr::from(([127, 0, 0, 1], ports[0]));
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        for seq in 0..30u16 {
            // Every tenth picture is an IDR one (type 5), the others are not (type 1).
            let unit = if seq % 10 == 0 { 0x65 } else { 0x41 };
            let packet = rtp(96, seq, u32::from(seq) * 3600, 0x1111, true, &[unit, 0x88, 1, 2]);
            socket.send_to(&packet, to).await.expect("sent");
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        tokio::time::sleep(SECOND / 2).await;
        let got = viewer.received("0").await;
        assert_eq!((got.packets, got.lost(), got.ssrcs.len()), (33, 0, 1));
        let stamps: Vec<u32> = got.headers.iter().map(|header| header.timestamp).collect();
        let twice = stamps.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert_eq!(twice, 3, "with the time stamp of the picture they precede");
    });
}
