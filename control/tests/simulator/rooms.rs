//! Calls made through the Janus API, from the first request to media that holds.

use super::house::House;
use serde_json::{Value, json};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn sdp(answer: &Value) -> &str {
    answer["jsep"]["sdp"].as_str().unwrap_or_else(|| panic!("no description in {answer}"))
}

fn jsep(kind: &str, sdp: &str) -> Option<Value> {
    Some(json!({"type": kind, "sdp": sdp}))
}

/// Packets a phone got since, each numbered one higher than the one before.
fn heard(house: &House, phone: usize, since_us: u64) -> usize {
    let got = &house.phones[phone].got;
    let mids: std::collections::BTreeSet<_> = got.iter().map(|got| got.1.to_string()).collect();
    for mid in mids {
        let line: Vec<_> = got.iter().filter(|got| got.1.to_string() == mid).collect();
        for pair in line.windows(2) {
            assert_eq!(pair[1].2, pair[0].2 + 1, "a gap on {mid}");
            assert_eq!(pair[1].3, pair[0].3 + 1, "a packet is missing on {mid}");
        }
    }
    got.iter().filter(|got| got.0 >= since_us).count()
}

#[test]
fn an_echo_test_made_through_the_api_returns_every_packet() {
    let mut house = House::new(1);
    let handle = house.attach("janus.plugin.echotest");
    let phone = house.phone();
    let offer = house.phones[phone].offer(true);
    let answer = house.message(handle, json!({"audio": true}), jsep("offer", &offer));
    house.phones[phone].answered(sdp(&answer));
    house.run_for(3 * SECOND);
    assert!(house.phones[phone].connected);
    assert_eq!(house.messages.iter().filter(|m| m["janus"] == "webrtcup").count(), 1);
    assert!(heard(&house, phone, 0) > 90);
}

#[test]
fn plugin_api_16_a_room_made_through_the_api_does_not_notice_an_absent_control() {
    const ROOM: &str = "janus.plugin.videoroom";
    const MEMBERS: usize = 3;
    let mut house = House::new(2);
    let maker = house.attach(ROOM);
    let made = house.message(maker, json!({"request": "create", "room": 5, "publishers": 8}), None);
    assert_eq!(made["plugindata"]["data"]["videoroom"], "created", "{made}");
    let mut feeds = Vec::new();
    for _ in 0..MEMBERS {
        let handle = house.attach(ROOM);
        let join = json!({"request": "join", "ptype": "publisher", "room": 5});
        let joined = house.message(handle, join, None);
        feeds.push(joined["plugindata"]["data"]["id"].clone());
        let phone = house.phone();
        let offer = house.phones[phone].offer(false);
        let publish = json!({"request": "publish"});
        let answer = house.message(handle, publish, jsep("offer", &offer));
        house.phones[phone].answered(sdp(&answer));
        house.run_for(2 * SECOND);
        assert!(house.phones[phone].connected, "{:?}", house.messages);
    }
    let mut listeners = Vec::new();
    for me in 0..MEMBERS {
        let handle = house.attach(ROOM);
        let others = feeds.iter().enumerate().filter(|(other, _)| *other != me);
        let streams: Vec<_> = others.map(|(_, feed)| json!({"feed": feed})).collect();
        let join = json!({"request": "join", "ptype": "subscriber", "room": 5,
            "streams": streams});
        let offered = house.message(handle, join, None);
        let phone = house.phone();
        let answer = house.phones[phone].answer(sdp(&offered));
        house.message(handle, json!({"request": "start"}), jsep("answer", &answer));
        listeners.push(phone);
    }
    house.run_for(3 * SECOND);
    let stall_us = house.now_us;
    house.stalled_until_us = stall_us + 1_000_000;
    house.run_for(SECOND);
    for &phone in &listeners {
        let count = heard(&house, phone, stall_us);
        assert!((98..=102).contains(&count), "{count} packets of 100 while control was absent");
    }
    house.run_for(SECOND);
    assert!(!house.messages.iter().any(|message| message["janus"] == "hangup"));
}
