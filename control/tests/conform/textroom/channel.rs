//! The connection, and the envelope of requests on it (plugin-textroom checklist).

use super::stage::{Guest, Stage, ok, run, set_up};
use serde_json::json;

#[test]
fn textroom_01_setup_is_answered_with_an_offer_of_data_alone() {
    run(async {
        let stage = Stage::set().await;
        let offer = set_up(&mut stage.attach().await).await;
        let lines: Vec<_> = offer.lines().filter(|line| line.starts_with("m=")).collect();
        assert_eq!(lines.len(), 1, "{offer}");
        assert!(lines[0].starts_with("m=application "), "{offer}");
        assert!(lines[0].ends_with("UDP/DTLS/SCTP webrtc-datachannel"), "{offer}");
        assert!(offer.contains("a=sctp-port:5000"), "{offer}");
    });
}

#[test]
fn textroom_02_setup_comes_once_and_restart_after_it() {
    run(async {
        let stage = Stage::set().await;
        let mut handle = stage.attach().await;
        let early = handle.ask(json!({"request": "restart"}), None).await.expect("an answer");
        assert_eq!(early.data["error_code"], 416, "{}", early.data);
        set_up(&mut handle).await;
        let again = handle.ask(json!({"request": "setup"}), None).await.expect("an answer");
        assert_eq!(again.data["error_code"], 416, "{}", again.data);
        assert_eq!(again.data["textroom"], "error");
    });
}

#[test]
fn textroom_03_ack_with_the_answer_opens_the_channel() {
    run(async {
        let stage = Stage::set().await;
        let mut guest = stage.guest().await;
        let (_, reply) = guest.ask(json!({"textroom": "list"})).await;
        assert_eq!(reply["textroom"], "success", "{reply}");
        assert!(reply["list"].is_array(), "{reply}");
    });
}

#[test]
fn textroom_04_a_request_without_transaction_is_413() {
    run(async {
        let stage = Stage::set().await;
        let mut guest = stage.guest().await;
        guest.say_raw(r#"{"textroom":"list"}"#).await;
        let reply = guest.hear().await;
        assert_eq!((&reply["textroom"], &reply["error_code"]), (&json!("error"), &json!(413)));
        assert!(reply.get("transaction").is_none(), "{reply}");
        guest.say_raw(r#"{"transaction":"t"}"#).await;
        assert_eq!(guest.hear().await["error_code"], 413, "textroom itself");
    });
}

#[test]
fn textroom_05_what_is_no_json_is_passed_over() {
    run(async {
        let stage = Stage::set().await;
        let mut guest = stage.guest().await;
        guest.say_raw("hello?").await;
        guest.say_raw("{").await;
        guest.hears_nothing().await;
        guest.does(json!({"textroom": "list"})).await;
    });
}

#[test]
fn textroom_06_an_unknown_request_is_415() {
    run(async {
        let stage = Stage::set().await;
        let mut guest = stage.guest().await;
        assert_eq!(guest.refused(json!({"textroom": "sing"})).await, 415);
    });
}

#[test]
fn textroom_28_joining_and_talking_are_not_for_the_janus_api() {
    run(async {
        let (mut stage, room) = Stage::with_room(json!({})).await;
        for name in ["message", "join", "leave"] {
            let reply = stage.manage(json!({"request": name, "room": room, "username": "u"})).await;
            assert_eq!(reply["error_code"], 415, "{name}: {reply}");
        }
    });
}

#[test]
fn textroom_30_restart_is_an_offer_with_the_next_version() {
    run(async {
        let stage = Stage::set().await;
        let mut guest = stage.guest().await;
        let mut versions = Vec::new();
        for _ in 0..2 {
            let answer = guest.handle.ask(json!({"request": "restart"}), None).await;
            let answer = answer.expect("an answer");
            ok(&answer);
            let sdp = answer.jsep.expect("an offer").sdp;
            let origin = sdp.lines().find_map(|line| line.strip_prefix("o=")).expect("o=");
            let version = origin.split(' ').nth(2).expect("a version").to_owned();
            versions.push(version.parse::<u64>().expect("a number"));
        }
        assert_eq!(versions[1], versions[0] + 1);
    });
}

#[test]
fn textroom_31_setup_after_a_hangup_begins_anew() {
    run(async {
        let (stage, room) = Stage::with_room(json!({})).await;
        let mut guest = stage.member(&room, "u1").await;
        guest.handle.hangup().await.expect("a reply");
        guest.handle.event_of("hangup").await.expect("it is told");
        let mut again = Guest::connect(guest.handle).await;
        again.does(json!({"textroom": "join", "room": room, "username": "u1"})).await;
    });
}

#[test]
fn textroom_34_a_transaction_that_is_no_text_is_414() {
    run(async {
        let stage = Stage::set().await;
        let mut guest = stage.guest().await;
        guest.say_raw(r#"{"textroom":"list","transaction":7}"#).await;
        let reply = guest.hear().await;
        assert_eq!(reply["error_code"], 414, "{reply}");
        assert!(reply.get("transaction").is_none(), "{reply}");
    });
}
