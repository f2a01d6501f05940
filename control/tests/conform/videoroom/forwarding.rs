//! Media out of a room, as plain RTP, and from one server to another.

use super::stage::{Guest, PATIENCE, Stage, hears, run};
use bifrons_core::rtcp::CompoundWriter;
use bifrons_core::rtp::{Packet, Ssrc};
use bifrons_loadtest::peer::{Line, Shape, Stats};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

const SECOND: Duration = Duration::from_secs(1);

/// A host that takes datagrams.
struct Host(UdpSocket);

impl Host {
    async fn new() -> Self {
        Self::at("127.0.0.1:0").await
    }

    async fn at(address: &str) -> Self {
        Host(UdpSocket::bind(address).await.expect("a port"))
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("bound").port()
    }

    /// The next datagram in time, and where it came from.
    async fn next(&self, limit: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        let mut bytes = vec![0; 2048];
        let (len, from) = timeout(limit, self.0.recv_from(&mut bytes)).await.ok()?.ok()?;
        bytes.truncate(len);
        Some((bytes, from))
    }

    /// So many packets: payload type, SSRC, sequence number.
    async fn packets(&self, count: usize) -> Vec<(u8, u32, u16)> {
        let mut seen = Vec::new();
        while seen.len() < count {
            let (bytes, _) = self.next(PATIENCE).await.expect("RTP in time");
            let packet = Packet::parse(&bytes).expect("RTP");
            seen.push((packet.payload_type().get(), packet.ssrc().0, packet.seq().0));
        }
        seen
    }

    /// Whether nothing more comes, what is under way not counted.
    async fn is_silent(&self) -> bool {
        let settled = tokio::time::Instant::now() + SECOND;
        while tokio::time::Instant::now() < settled {
            self.next(SECOND / 10).await;
        }
        self.next(SECOND).await.is_none()
    }
}

fn plis(stats: &Stats) -> u64 {
    stats.sent.values().map(|sent| sent.plis + sent.firs).sum()
}

async fn forward(stage: &mut Stage, sender: &Guest, streams: Value) -> Vec<Value> {
    let body = json!({
        "request": "rtp_forward", "publisher_id": sender.id, "host": "127.0.0.1",
        "streams": streams,
    });
    let reply = stage.manage(body).await;
    assert_eq!(reply["videoroom"], "rtp_forward", "{reply}");
    reply["forwarders"].as_array().expect("forwarders").clone()
}

async fn stop(stage: &mut Stage, sender: &Guest, id: &Value) -> Value {
    let body = json!({"request": "stop_rtp_forward", "publisher_id": sender.id, "stream_id": id});
    stage.manage(body).await
}

#[test]
fn videoroom_71_and_72_packets_go_where_they_are_told_until_they_are_stopped() {
    run(async {
        let mut stage = Stage::set(json!({})).await;
        let sender = stage.sender(true).await;
        let (video, audio) = (Host::new().await, Host::new().await);
        let streams = json!([
            {"mid": sender.mids[0], "port": video.port(), "pt": 99, "ssrc": 7},
            {"mid": sender.mids[1], "port": audio.port()},
        ]);
        let made = forward(&mut stage, &sender, streams).await;
        assert_eq!(made.len(), 2);
        assert!(video.packets(20).await.iter().all(|packet| (packet.0, packet.1) == (99, 7)));
        let heard = audio.packets(20).await;
        let gaps = heard.windows(2).filter(|pair| pair[1].2 != pair[0].2.wrapping_add(1));
        assert_eq!(gaps.count(), 0, "{heard:?}");
        assert_eq!(stop(&mut stage, &sender, &json!(0)).await["error_code"], 428);
        let stopped = stop(&mut stage, &sender, &made[0]["stream_id"]).await;
        assert_eq!(stopped["videoroom"], "stop_rtp_forward", "{stopped}");
        assert!(video.is_silent().await);
        audio.packets(5).await;
        let listed = stage.manage(json!({"request": "listforwarders"})).await;
        let list = &listed["publishers"][0]["forwarders"];
        assert_eq!(list.as_array().map(Vec::len), Some(1), "{listed}");
    });
}

/// A publisher of three substreams, best first.
async fn simulcaster(stage: &Stage) -> Guest {
    let sender = stage.publish(vec![Line::simulcast(&["h", "m", "l"])]).await;
    for (rid, rate_bps) in [("h", 300_000), ("m", 150_000), ("l", 75_000)] {
        let shape = Shape::video(rate_bps);
        sender.peer.send(&sender.mids[0], Some(rid), shape).await.expect("sends");
    }
    sender
}

#[test]
fn videoroom_71_a_host_may_have_an_ipv6_address_or_a_name() {
    run(async {
        let mut stage = Stage::set(json!({})).await;
        let sender = stage.sender(false).await;
        let (six, named) = (Host::at("[::1]:0").await, Host::new().await);
        let streams = json!([
            {"mid": sender.mids[0], "port": six.port(), "host": "::1"},
            {"mid": sender.mids[0], "port": named.port(), "host": "localhost",
             "host_family": "ipv4"},
        ]);
        let made = forward(&mut stage, &sender, streams).await;
        let hosts: Vec<_> = made.iter().map(|one| one["host"].clone()).collect();
        assert_eq!(hosts, ["::1", "127.0.0.1"]);
        six.packets(10).await;
        named.packets(10).await;
    });
}

#[test]
fn videoroom_73_a_port_for_each_substream() {
    run(async {
        let mut stage = Stage::set(json!({})).await;
        let sender = simulcaster(&stage).await;
        let hosts = [Host::new().await, Host::new().await, Host::new().await];
        let [low, middle, high] = &hosts;
        let streams = json!([{
            "mid": sender.mids[0], "port": low.port(), "port_2": middle.port(),
            "port_3": high.port(),
        }]);
        let made = forward(&mut stage, &sender, streams).await;
        let shown: Vec<_> = made.iter().map(|one| one.get("substream").cloned()).collect();
        assert_eq!(shown, [None, Some(json!(1)), Some(json!(2))]);
        let mut ssrcs = Vec::new();
        for host in &hosts {
            let packets = host.packets(20).await;
            assert!(packets.iter().all(|packet| packet.1 == packets[0].1), "{packets:?}");
            ssrcs.push(packets[0].1);
        }
        ssrcs.dedup();
        assert_eq!(ssrcs.len(), 3, "each its own");
    });
}

#[test]
fn videoroom_102_the_best_substream_with_numbers_from_one() {
    run(async {
        let mut stage = Stage::set(json!({})).await;
        let sender = simulcaster(&stage).await;
        let best = Host::new().await;
        let streams = json!([{"mid": sender.mids[0], "port": best.port(), "simulcast": true}]);
        let made = forward(&mut stage, &sender, streams).await;
        let packets = best.packets(60).await;
        assert!(packets.iter().all(|packet| json!(packet.1) == made[0]["stream_id"]));
        let numbers: Vec<_> = packets.iter().map(|packet| packet.2).collect();
        assert_eq!(numbers, (1..=60).collect::<Vec<u16>>());
    });
}

#[test]
fn videoroom_103_the_hello_and_the_way_back() {
    run(async {
        let mut stage = Stage::set(json!({})).await;
        let sender = stage.sender(false).await;
        let (rtp, rtcp) = (Host::new().await, Host::new().await);
        let streams = json!([
            {"mid": sender.mids[0], "port": rtp.port(), "rtcp_port": rtcp.port()},
        ]);
        let made = forward(&mut stage, &sender, streams).await;
        let (hello, from) = rtcp.next(PATIENCE).await.expect("a hello");
        assert_eq!(hello, [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(made[0]["local_rtcp_port"], from.port());
        let ssrc = rtp.packets(10).await[0].1;
        let mut bytes = [0; 64];
        let mut writer = CompoundWriter::new(&mut bytes);
        writer.receiver_report(Ssrc(1), &[]).expect("room");
        writer.pli(Ssrc(1), Ssrc(ssrc)).expect("room");
        let len = writer.len();
        tokio::time::sleep(SECOND + SECOND / 5).await;
        let before = plis(&sender.peer.stats().await.expect("counts"));
        let to = SocketAddr::from(([127, 0, 0, 1], from.port()));
        rtcp.0.send_to(&bytes[..len], to).await.expect("sent");
        let asked = move |stats: &Stats| plis(stats) > before;
        sender.peer.until("a PLI", PATIENCE, asked).await.expect("a PLI");
    });
}

/// A publisher's streams from one server to the other, and a keyframe request back.
async fn cascade(from: &mut Stage, to: &mut Stage, srtp: Value) {
    let sender = from.sender(true).await;
    let mut other = to.lurk().await;
    let with_key = |mut body: Value| {
        for (name, value) in srtp.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        body
    };
    let add = json!({
        "request": "add_remote_publisher", "id": 77, "display": "from afar", "streams": [
            {"mid": "0", "mindex": 0, "type": "video", "codec": "vp8"},
            {"mid": "1", "mindex": 1, "type": "audio", "codec": "opus"}],
    });
    let added = to.manage(with_key(add)).await;
    assert_eq!(added["videoroom"], "success", "{added}");
    let told = hears(&mut other, "publishers", |data| data.get("publishers").is_some()).await;
    assert_eq!(told["plugindata"]["data"]["publishers"][0]["display"], "from afar");
    let send = json!({
        "request": "publish_remotely", "publisher_id": sender.id, "remote_id": "there",
        "host": "127.0.0.1", "port": added["port"], "rtcp_port": added["rtcp_port"],
    });
    let sent = from.manage(with_key(send)).await;
    assert_eq!(sent["videoroom"], "success", "{sent}");
    let watcher = to.watch(json!([{"feed": 77}])).await;
    watcher.frames("0", 20).await;
    watcher.frames("1", 20).await;
    tokio::time::sleep(SECOND + SECOND / 5).await;
    let before = plis(&sender.peer.stats().await.expect("counts"));
    watcher.peer.request_keyframe("0").await.expect("asks");
    let asked = move |stats: &Stats| plis(stats) > before;
    sender.peer.until("a PLI from afar", PATIENCE, asked).await.expect("a PLI");
    let stats = watcher.frames("0", 5).await;
    assert_eq!(stats.lost(), 0);
    let end = json!({
        "request": "unpublish_remotely", "publisher_id": sender.id, "remote_id": "there",
    });
    assert_eq!(from.manage(end).await["videoroom"], "success");
    assert_eq!(watcher.packets_within("0", SECOND).await, 0);
    let remove = json!({"request": "remove_remote_publisher", "id": 77});
    assert_eq!(to.manage(remove.clone()).await["videoroom"], "success");
    assert_eq!(to.manage(remove).await["error_code"], 428);
    hears(&mut other, "leaving", |data| data["leaving"] == 77).await;
}

#[test]
fn videoroom_104_a_room_goes_on_in_another_server_in_both_directions() {
    run(async {
        let mut there = Stage::set(json!({})).await;
        let mut here = Stage::ours(json!({})).await;
        cascade(&mut there, &mut here, json!({})).await;
        cascade(&mut here, &mut there, json!({})).await;
    });
}

#[test]
fn videoroom_75_and_76_a_cascade_under_srtp() {
    run(async {
        let mut there = Stage::set(json!({})).await;
        let mut here = Stage::ours(json!({})).await;
        for (suite, byte) in [(80, "Q"), (32, "R")] {
            let key = json!({"srtp_suite": suite, "srtp_crypto": byte.repeat(40)});
            cascade(&mut here, &mut there, key).await;
        }
    });
}
