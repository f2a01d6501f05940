//! Joining, talking, leaving (plugin-textroom checklist).

use super::stage::{Stage, run};
use serde_json::{Value, json};

fn join(room: &Value, name: &str) -> Value {
    json!({"textroom": "join", "room": room, "username": name})
}

fn message(room: &Value, text: &str) -> Value {
    json!({"textroom": "message", "room": room, "text": text})
}

#[test]
fn textroom_07_joins_that_are_refused() {
    run(async {
        let (stage, room) = Stage::with_room(json!({"pin": "1234"})).await;
        let mut guest = stage.guest().await;
        assert_eq!(guest.refused(join(&json!(987_654_321), "u")).await, 417);
        assert_eq!(guest.refused(join(&room, "u")).await, 413, "no pin");
        let mut wrong = join(&room, "u");
        wrong["pin"] = json!("4321");
        assert_eq!(guest.refused(wrong.clone()).await, 419);
        wrong["pin"] = json!("1234");
        guest.does(wrong).await;
    });
}

#[test]
fn textroom_08_a_name_and_a_handle_are_in_a_room_once() {
    run(async {
        let (stage, room) = Stage::with_room(json!({})).await;
        let mut first = stage.member(&room, "u1").await;
        let mut second = stage.guest().await;
        assert_eq!(second.refused(join(&room, "u1")).await, 420);
        assert_eq!(first.refused(join(&room, "u2")).await, 421);
    });
}

#[test]
fn textroom_09_a_joiner_hears_of_itself_before_the_reply() {
    run(async {
        let (stage, room) = Stage::with_room(json!({})).await;
        let mut guest = stage.guest().await;
        let before = guest.does(join(&room, "u1")).await;
        assert_eq!(before, [json!({"textroom": "join", "room": room, "username": "u1"})]);
    });
}

#[test]
fn textroom_10_others_hear_of_a_joiner_with_its_display() {
    run(async {
        let (stage, room) = Stage::with_room(json!({})).await;
        let mut first = stage.member(&room, "u1").await;
        let mut second = stage.guest().await;
        let mut body = join(&room, "u2");
        body["display"] = json!("Nina");
        second.does(body).await;
        let heard = first.hear().await;
        let expected =
            json!({"textroom": "join", "room": room, "username": "u2", "display": "Nina"});
        assert_eq!(heard, expected);
    });
}

#[test]
fn textroom_11_participants_are_the_others() {
    run(async {
        let (stage, room) = Stage::with_room(json!({})).await;
        let mut first = stage.guest().await;
        let mut body = join(&room, "u1");
        body["display"] = json!("Omar");
        let (_, reply) = first.ask(body).await;
        assert_eq!(reply["participants"], json!([]));
        let (_, reply) = stage.guest().await.ask(join(&room, "u2")).await;
        assert_eq!(reply["participants"], json!([{"username": "u1", "display": "Omar"}]));
    });
}

#[test]
fn textroom_12_a_public_message_reaches_everybody_the_sender_first() {
    run(async {
        let (stage, room) = Stage::with_room(json!({})).await;
        let mut first = stage.member(&room, "u1").await;
        let mut second = stage.member(&room, "u2").await;
        first.hear_of("join").await;
        let before = first.does(message(&room, "hi\n{\"x\":1} ñ")).await;
        let heard = second.hear_of("message").await;
        assert_eq!(before, std::slice::from_ref(&heard), "the sender gets it before the reply");
        assert_eq!((&heard["from"], &heard["room"]), (&json!("u1"), &room));
        assert_eq!(heard["text"], "hi\n{\"x\":1} ñ");
        assert!(heard.get("whisper").is_none(), "{heard}");
    });
}

#[test]
fn textroom_13_a_whisper_reaches_those_named() {
    run(async {
        let (stage, room) = Stage::with_room(json!({})).await;
        let mut first = stage.member(&room, "u1").await;
        let mut second = stage.member(&room, "u2").await;
        let mut third = stage.member(&room, "u3").await;
        let mut body = message(&room, "psst");
        body["to"] = json!("u2");
        let (_, reply) = first.ask(body.clone()).await;
        assert_eq!(reply["sent"], json!({"u2": true}), "{reply}");
        let heard = second.hear_of("message").await;
        assert_eq!((&heard["whisper"], &heard["text"]), (&json!(true), &json!("psst")));
        body["to"] = json!("nobody");
        let (_, reply) = first.ask(body).await;
        assert_eq!(reply["sent"], json!({"nobody": false}));
        let mut body = message(&room, "both");
        body["tos"] = json!(["u2", "u4"]);
        let (_, reply) = first.ask(body).await;
        assert_eq!(reply["sent"], json!({"u2": true, "u4": false}));
        assert_eq!(second.hear_of("message").await["text"], "both");
        third.hears_nothing().await;
    });
}

#[test]
fn textroom_14_to_and_tos_together_are_414() {
    run(async {
        let (stage, room) = Stage::with_room(json!({})).await;
        let mut guest = stage.member(&room, "u1").await;
        let mut body = message(&room, "x");
        body["to"] = json!("u1");
        body["tos"] = json!(["u1"]);
        assert_eq!(guest.refused(body).await, 414);
    });
}

#[test]
fn textroom_15_without_ack_there_is_no_reply() {
    run(async {
        let (stage, room) = Stage::with_room(json!({})).await;
        let mut guest = stage.member(&room, "u1").await;
        let body = json!({"textroom": "message", "room": room, "text": "x", "ack": false,
            "transaction": "silent"});
        guest.say_raw(&body.to_string()).await;
        assert_eq!(guest.hear().await["textroom"], "message");
        guest.hears_nothing().await;
    });
}

#[test]
fn textroom_16_whoever_is_not_in_a_room_does_not_talk_there() {
    run(async {
        let (stage, room) = Stage::with_room(json!({})).await;
        assert_eq!(stage.guest().await.refused(message(&room, "x")).await, 422);
    });
}

#[test]
fn textroom_17_history_is_replayed_to_those_who_come_later() {
    run(async {
        let (stage, room) = Stage::with_room(json!({"history": 2})).await;
        let mut first = stage.guest().await;
        let mut body = join(&room, "u1");
        body["display"] = json!("Omar");
        first.does(body).await;
        for text in ["one", "two", "three"] {
            first.does(message(&room, text)).await;
        }
        let mut whisper = message(&room, "psst");
        whisper["to"] = json!("u1");
        first.does(whisper).await;
        let before = stage.guest().await.does(join(&room, "u2")).await;
        let texts: Vec<_> = before.iter().map(|event| event["text"].clone()).collect();
        assert_eq!(texts, [json!("two"), json!("three"), Value::Null], "{before:?}");
        assert_eq!((&before[0]["display"], &before[0]["from"]), (&json!("Omar"), &json!("u1")));
        assert_eq!(before[2]["textroom"], "join");
        let mut body = join(&room, "u3");
        body["history"] = json!(false);
        assert_eq!(stage.guest().await.does(body).await.len(), 1, "its own join alone");
    });
}

#[test]
fn textroom_23_a_hangup_leaves_every_room() {
    run(async {
        let (mut stage, room) = Stage::with_room(json!({})).await;
        let other = stage.create(json!({})).await;
        let mut first = stage.member(&room, "u1").await;
        first.does(join(&other, "u1")).await;
        let mut second = stage.member(&room, "u2").await;
        second.does(join(&other, "u2")).await;
        second.handle.hangup().await.expect("a reply");
        let mut left = vec![first.hear_of("leave").await, first.hear_of("leave").await];
        left.sort_by_key(|event| event["room"] != room);
        let expected =
            [&room, &other].map(|r| json!({"textroom": "leave", "room": r, "username": "u2"}));
        assert_eq!(left, expected);
    });
}

#[test]
fn textroom_24_one_connection_hears_of_two_rooms() {
    run(async {
        let (mut stage, room) = Stage::with_room(json!({})).await;
        let other = stage.create(json!({})).await;
        let mut both = stage.member(&room, "b").await;
        both.does(join(&other, "b")).await;
        for place in [&room, &other] {
            let mut guest = stage.member(place, "g").await;
            guest.does(message(place, "here")).await;
            let heard = both.hear_of("message").await;
            assert_eq!((&heard["room"], &heard["from"]), (place, &json!("g")));
        }
    });
}

#[test]
fn textroom_27_dates_are_iso_8601_with_a_zone() {
    run(async {
        let (stage, room) = Stage::with_room(json!({})).await;
        let mut guest = stage.member(&room, "u1").await;
        let heard = guest.does(message(&room, "when?")).await;
        let date = heard[0]["date"].as_str().expect("a date").to_owned();
        let shape: String =
            date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert!(
            ["0000-00-00T00:00:00+0000", "0000-00-00T00:00:00-0000"].contains(&shape.as_str()),
            "{date}"
        );
        assert!(date.as_str() > "2024" && date.as_str() < "2100", "{date}");
    });
}

#[test]
fn textroom_33_a_leaver_hears_of_itself_before_the_reply() {
    run(async {
        let (stage, room) = Stage::with_room(json!({})).await;
        let mut other = stage.member(&room, "u0").await;
        let mut guest = stage.member(&room, "u1").await;
        let leave = json!({"textroom": "leave", "room": room, "username": "u1"});
        let before = guest.does(json!({"textroom": "leave", "room": room})).await;
        assert_eq!(before, std::slice::from_ref(&leave));
        assert_eq!(other.hear_of("leave").await, leave);
        assert_eq!(guest.refused(json!({"textroom": "leave", "room": room})).await, 422);
        let before = guest.does(json!({"textroom": "destroy", "room": room})).await;
        assert_eq!(before, [json!({"textroom": "destroyed", "room": room})]);
    });
}
