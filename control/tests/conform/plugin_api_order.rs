//! One order of events for everybody, whatever shards do at the same time (plugin-api checklist),
//! and what reaches the first line of a kind.

use crate::call::{jsep, peer};
use crate::client::Ws;
use crate::media::Media;
use crate::session::{Session, audio, rtp, video};
use crate::target::{Setup, Target, run};
use bifrons_loadtest::peer::str0m::format::Codec;
use bifrons_loadtest::peer::str0m::media::Direction;
use bifrons_loadtest::peer::{Line, Peer};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const ROOM: u64 = 1818;
const PUBLISHERS: usize = 24;

/// Somebody in the room, with a session of its own.
struct Member {
    ws: Ws,
    at: (u64, u64),
    id: u64,
}

impl Member {
    async fn join(target: &Target) -> Self {
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let attach = json!({"janus": "attach", "session_id": session,
            "plugin": "janus.plugin.videoroom"});
        let reply = ws.ask(attach).await;
        let handle = reply["data"]["id"].as_u64().unwrap_or_else(|| panic!("{reply}"));
        let mut member = Member { ws, at: (session, handle), id: 0 };
        let room = json!({"request": "create", "room": ROOM, "publishers": 20});
        // The first one makes it, the others find it there.
        member.ws.on(member.at, json!({"janus": "message", "body": room})).await;
        let body = json!({"request": "join", "ptype": "publisher", "room": ROOM});
        let joined = member.ask(json!({"janus": "message", "body": body})).await;
        member.id = joined["plugindata"]["data"]["id"].as_u64().expect("an id");
        member
    }

    /// A request that an event answers.
    async fn ask(&mut self, request: Value) -> Value {
        let ack = self.ws.on(self.at, request).await;
        assert_eq!(ack["janus"], "ack", "{ack}");
        loop {
            let event = self.ws.event().await;
            if event["transaction"] == ack["transaction"] {
                return event;
            }
        }
    }

    /// Waits for an event of this kind.
    async fn hears(&mut self, kind: &str) {
        while self.ws.event().await["janus"] != kind {}
    }

    /// Publishes video; the peer, and the port of the shard that has it.
    async fn publish(&mut self) -> (Peer, String) {
        let peer = peer(&[Codec::Vp8]).await;
        let (_, offer) = peer.offer(vec![Line::video(Direction::SendOnly)]).await.expect("offers");
        let request = json!({"janus": "message", "body": {"request": "publish"},
            "jsep": jsep(&offer)});
        let event = self.ask(request).await;
        let answer = event["jsep"]["sdp"].as_str().unwrap_or_else(|| panic!("{event}")).to_owned();
        peer.accept_answer(&answer).await.expect("it fits");
        let candidate = crate::wire::value_of(&answer, "a=candidate:").to_owned();
        (peer, candidate.split(' ').nth(5).expect("a port").to_owned())
    }
}

/// What an observer hears of whom: `publishers`, `unpublished` or `leaving`, and the id.
async fn news(observer: &mut Member) -> Vec<(&'static str, u64)> {
    let mut heard = Vec::new();
    let gone = |heard: &[(&str, u64)]| heard.iter().filter(|(what, _)| *what == "leaving").count();
    while gone(&heard) < PUBLISHERS {
        let event = observer.ws.event_within(Duration::from_secs(8)).await;
        let event = event.unwrap_or_else(|| panic!("no event in time, after {heard:?}"));
        let data = &event["plugindata"]["data"];
        for publisher in data["publishers"].as_array().into_iter().flatten() {
            heard.push(("publishers", publisher["id"].as_u64().expect("an id")));
        }
        for what in ["unpublished", "leaving"] {
            heard.extend(data[what].as_u64().map(|id| (what, id)));
        }
    }
    heard
}

#[test]
fn plugin_api_18_facts_of_racing_shards_reach_everybody_in_one_order() {
    run(async {
        let media = Media { shards: 3, ..Media::default() };
        let setup = Setup { media: Some(media), ..Setup::default() };
        let Some(target) = Target::with(setup).await else { return };
        let mut observers = [Member::join(&target).await, Member::join(&target).await];
        let mut members = Vec::new();
        for _ in 0..PUBLISHERS {
            members.push(Member::join(&target).await);
        }
        // All come up at once, each on whatever shard it got.
        let published = join_all(members.iter_mut().map(Member::publish)).await;
        let ports: BTreeSet<_> = published.iter().map(|(_, port)| port.clone()).collect();
        assert!(ports.len() > 1, "one shard only: nothing races");
        for (member, (peer, _)) in members.iter_mut().zip(&published) {
            peer.connected(Duration::from_secs(5)).await.expect("up");
            member.hears("webrtcup").await;
        }
        // All end at once: by themselves, by their plugin, and with their session.
        let end = async |(index, member): (usize, &mut Member)| {
            match index % 3 {
                0 => member.ws.on(member.at, json!({"janus": "hangup"})).await,
                1 => {
                    let body = json!({"request": "unpublish"});
                    member.ask(json!({"janus": "message", "body": body})).await
                }
                _ => Value::Null,
            };
            let destroy = json!({"janus": "destroy", "session_id": member.at.0});
            member.ws.ask(destroy).await
        };
        join_all(members.iter_mut().enumerate().map(end)).await;
        let mut heard = Vec::new();
        for observer in &mut observers {
            heard.push(news(observer).await);
        }
        assert_eq!(heard[0], heard[1], "two observers, two orders");
        for member in &members {
            let mine: Vec<_> =
                heard[0].iter().filter(|(_, id)| *id == member.id).map(|(what, _)| *what).collect();
            // A session that ends says `unpublished` once more (plugin-videoroom §7.3).
            let middle = mine.get(1..mine.len().saturating_sub(1)).unwrap_or_default();
            assert_eq!((mine.first(), mine.last()), (Some(&"publishers"), Some(&"leaving")));
            assert!(!middle.is_empty() && middle.iter().all(|what| *what == "unpublished"));
        }
    });
}

#[test]
fn plugin_api_12_what_names_no_line_reaches_the_first_of_its_kind() {
    run(async {
        let target = Target::with_media().await;
        let lines = [
            video("a=ssrc:20 cname:x\r\n"),
            audio("a=ssrc:10 cname:x\r\n"),
            video("a=ssrc:21 cname:x\r\n"),
            audio("a=ssrc:11 cname:x\r\n"),
        ];
        // EchoTest says "audio" and "video" and names no line.
        let mut session = Session::start(&target, &lines).await;
        let refused: Vec<_> = session
            .answer
            .lines()
            .filter_map(|line| line.strip_prefix("m="))
            .map(|line| line.split(' ').nth(1) == Some("0"))
            .collect();
        assert_eq!(refused, [false, false, true, true], "{}", session.answer);
        let send = |session: &Session, number: u16| {
            for (pt, ssrc, mid) in [(96, 21, 2), (111, 11, 3), (96, 20, 0), (111, 10, 1)] {
                let body = crate::session::frame(true, ssrc as u8);
                session.wire.send_rtp(&rtp(pt, number, ssrc, Some(mid), &body), number.into());
            }
        };
        send(&session, 1);
        let last = |came: &crate::wire::Came| {
            let tags: Vec<_> = came
                .rtp
                .iter()
                .filter_map(|(_, bytes)| crate::session::payload(bytes).last().copied())
                .collect();
            (tags.len() >= 2).then_some(tags)
        };
        assert_eq!(session.wire.until_came("echoes", last).await, [20, 10]);
        // Off and on again by kind.
        session.change(json!({"video": false})).await;
        if target.front.is_some() {
            // Commands are carried out in order: what answers this has taken the change.
            session.measured(&target, |_| Some(())).await;
        }
        session.wire.forget();
        for number in 2..4 {
            send(&session, number);
        }
        assert_eq!(session.wire.until_came("sound", last).await, [10, 10]);
    });
}
