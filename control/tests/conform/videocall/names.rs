//! Who can be called, and what is refused.

use super::stage::{Stage, both, event, run};
use serde_json::{Value, json};

fn register(name: &str) -> Value {
    json!({"request": "register", "username": name})
}

#[test]
fn videocall_01_and_02_and_03_a_name_belongs_to_one_handle_while_it_lives() {
    run(async {
        let stage = Stage::set().await;
        let mut alice = stage.user("alice").await;
        assert_eq!(alice.refused(register("another"), None).await, 477);
        let mut other = stage.stranger().await;
        assert_eq!(other.refused(register(&alice.name), None).await, 476);
        alice.leaves().await;
        let told = other.ask(register(&alice.name)).await;
        assert_eq!(told, event(json!({"event": "registered", "username": alice.name})));
    });
}

#[test]
fn videocall_21_list_has_every_name() {
    run(async {
        let stage = Stage::set().await;
        let (mut alice, bob) = stage.pair().await;
        let told = alice.ask(json!({"request": "LIST"})).await;
        let names = told["result"]["list"].as_array().expect("a list").clone();
        for user in [&alice, &bob] {
            assert!(names.contains(&json!(user.name)), "{told}");
        }
        alice.leaves().await;
        alice.comes_back().await;
        let told = alice.ask(json!({"request": "list"})).await;
        let names = told["result"]["list"].as_array().expect("a list").clone();
        assert!(!names.contains(&json!(alice.name)) && names.contains(&json!(bob.name)), "{told}");
    });
}

#[test]
fn videocall_26_what_is_no_request_is_refused_by_an_event() {
    run(async {
        let stage = Stage::set().await;
        let mut alice = stage.user("alice").await;
        assert_eq!(alice.refused(json!({"request": "dance"}), None).await, 472);
        assert_eq!(alice.refused(json!({"username": "x"}), None).await, 475);
        assert_eq!(alice.refused(json!({"request": 7}), None).await, 474);
        let mut stranger = stage.stranger().await;
        assert_eq!(stranger.refused(json!({"request": "register"}), None).await, 475);
        let body = json!({"request": "register", "username": 7});
        assert_eq!(stranger.refused(body, None).await, 474);
    });
}

#[test]
fn videocall_04_a_stranger_cannot_call_and_loses_its_connection() {
    run(async {
        let stage = Stage::set().await;
        let (bob, mut stranger) = (stage.user("bob").await, stage.stranger().await);
        let offer = stranger.offer(both()).await;
        let body = json!({"request": "call", "username": bob.name});
        assert_eq!(stranger.refused(body, offer).await, 473);
        stranger.loses_its_connection().await;
    });
}

#[test]
fn videocall_05_and_06_oneself_nobody_and_nothing_cannot_be_called() {
    run(async {
        let stage = Stage::set().await;
        let (mut alice, mut bob) = stage.pair().await;
        for (name, code) in [(alice.name.clone(), 479), ("nobody at all".to_owned(), 478)] {
            let told = alice.dial(&name).await;
            assert_eq!(told["error_code"], code, "{told}");
            alice.loses_its_connection().await;
        }
        let body = json!({"request": "call", "username": bob.name});
        assert_eq!(alice.refused(body, None).await, 482);
        let told = alice.dial(&bob.name).await;
        assert_eq!(told, event(json!({"event": "calling"})), "it can still call");
        bob.rung(&alice).await;
    });
}

#[test]
fn videocall_11_and_27_without_a_call_there_is_nothing_to_accept_and_hangup_is_no_error() {
    run(async {
        let stage = Stage::set().await;
        let (mut alice, bob) = stage.pair().await;
        assert_eq!(alice.refused(json!({"request": "accept"}), None).await, 481);
        let told = alice.ask(json!({"request": "hangup"})).await;
        let over = json!({"event": "hangup", "username": alice.name, "reason": "Explicit hangup"});
        assert_eq!(told, event(over));
        // What one accepts is a call that rings, not one that one makes.
        alice.ring(&bob, both()).await;
        let code = alice.refused(json!({"request": "accept"}), None).await;
        // Janus misses the description first.
        assert!([481, 482].contains(&code), "{code}");
    });
}

#[test]
fn videocall_19_settings_are_checked() {
    run(async {
        let stage = Stage::set().await;
        let mut alice = stage.user("alice").await;
        let wrong = [
            json!({"substream": 9}),
            json!({"temporal": 3}),
            json!({"audio": 1}),
            json!({"bitrate": -1}),
            json!({"fallback": "soon"}),
            json!({"record": "yes"}),
            json!({"filename": 7}),
        ];
        for mut body in wrong {
            body["request"] = json!("set");
            assert_eq!(alice.refused(body.clone(), None).await, 474, "{body}");
        }
        let fine = json!({"request": "set", "audio": true, "bitrate": 0, "record": false,
            "filename": "base", "substream": 2, "fallback": 500_000, "restart": true});
        assert_eq!(alice.ask(fine).await, event(json!({"event": "set"})));
    });
}
