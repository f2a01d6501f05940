//! What is told of a call: descriptions, ICE, DTLS, media, statistics.

use super::receiver::{WebServer, is};
use super::schema::check;
use super::{heard_with_media, telling};
use crate::admin::{Operator, at};
use crate::call::{Call, both};
use crate::media::Media;
use crate::session::{Session, audio};
use crate::target::{Setup, Target, run};
use crate::webrtc_rtcp::{lines, lose_ten};
use bifrons_control::dispatch::CoreSettings;
use serde_json::{Value, json};
use std::time::Duration;

/// Type and subtype of an event, and what of its body tells it apart.
fn label(event: &Value) -> String {
    let body = &event["event"];
    let word = ["ice", "dtls", "connection", "owner", "name"].into_iter();
    let word = word.filter_map(|name| body[name].as_str()).next().unwrap_or_default();
    format!("{}/{} {word}", event["type"], event["subtype"].as_u64().unwrap_or(0))
}

fn of_handle(web: &WebServer) -> Vec<Value> {
    web.events().into_iter().filter(|event| event.get("handle_id").is_some()).collect()
}

#[test]
fn events_36_a_call_is_told_in_order_with_one_webrtcup_and_one_hangup() {
    run(async {
        let Some((target, web)) = heard_with_media(CoreSettings::default()).await else { return };
        let body = json!({"audio": true, "video": true});
        let mut call = Call::start(&target, body, both()).await;
        let hangup = json!({"janus": "hangup"});
        call.ws.on(call.at, hangup).await;
        web.event("the end", |event| event["event"]["connection"] == "hangup").await;
        call.ws.ask(json!({"janus": "destroy", "session_id": call.at.0})).await;
        web.event("detached", |event| event["event"]["name"] == "detached").await;
        let events = of_handle(&web);
        events.iter().for_each(|event| assert_eq!(check(event), Ok(())));
        let told: Vec<String> = events.iter().map(label).collect();
        // Candidates, media and statistics come as they come.
        let fixed = |label: &&str| !label.starts_with("32/") && !label.starts_with("64/");
        let told: Vec<&str> = told.iter().map(String::as_str).filter(fixed).collect();
        let wanted = [
            "2/0 attached",
            "8/0 remote",
            "16/1 gathering",
            "16/3 ",
            "16/2 ",
            "8/0 local",
            "16/1 connecting",
            "16/4 ",
            "16/1 connected",
            "16/1 ready",
            "16/5 trying",
            "16/5 connected",
            "16/6 webrtcup",
            "16/6 hangup",
            "2/0 detached",
        ];
        assert_eq!(told, wanted);
        let ended = events.iter().find(|event| event["event"]["connection"] == "hangup");
        assert_eq!(ended.expect("an end")["event"]["reason"], "Janus API");
    });
}

/// Our first hello is lost; a second later it goes out again and arrives.
#[test]
fn flights_that_the_handshake_repeats_are_told() {
    run(async {
        let web = WebServer::start().await;
        let setup = telling(&web.hub("webrtc"), CoreSettings::default());
        let admin = crate::admin::setup();
        let setup = Setup {
            media: Some(Media::default()),
            admin: admin.admin,
            admin_settings: admin.admin_settings,
            ..setup
        };
        let Some(target) = Target::with(setup).await else { return };
        let mut session = Session::prepare(&target).await;
        session.passive = true;
        session.wire.lose_handshake(1);
        session.offer(&[audio("")]).await;
        session.up().await;
        let dtls = |state: &'static str| {
            move |event: &Value| is(event, 16, 5) && event["event"]["dtls"] == state
        };
        let trying = web.event("trying", dtls("trying")).await;
        let connected = web.event("connected", dtls("connected")).await;
        assert_eq!((check(&trying), check(&connected)), (Ok(()), Ok(())));
        let repeats = |event: &Value| event["event"]["retransmissions"].as_u64();
        assert_eq!((repeats(&trying), repeats(&connected)), (Some(0), Some(1)));
        let mut operator = Operator::ws(&target).await;
        let handle = at(session.at, json!({"janus": "handle_info"}));
        let info = operator.done(handle).await;
        assert_eq!(info["info"]["webrtc"]["dtls"]["retransmissions"], 1, "{info}");
    });
}

#[test]
fn events_37_statistics_come_every_period_for_each_medium() {
    run(async {
        let Some((target, web)) = heard_with_media(CoreSettings::default()).await else { return };
        let call = Call::start(&target, json!({"audio": true}), both()).await;
        call.send_both().await;
        web.until("three periods", |web| web.of(32, 3).len() >= 6).await;
        let all = web.of(32, 3);
        all.iter().for_each(|event| assert_eq!(check(event), Ok(())));
        let of = |media: &str| -> Vec<&Value> {
            all.iter().filter(|event| event["event"]["media"] == media).collect()
        };
        for (media, mindex, codec, base) in
            [("audio", 0, "opus", 48_000), ("video", 1, "vp8", 90_000)]
        {
            let line = of(media);
            assert!(line.len() >= 3, "{media}");
            let last = &line[line.len() - 1]["event"];
            assert_eq!((&last["mindex"], &last["codec"]), (&json!(mindex), &json!(codec)));
            assert_eq!((&last["base"], &last["mid"]), (&json!(base), &json!(call.mids[mindex])));
            let count = |event: &Value, name: &str| event[name].as_u64().expect("a number");
            assert!(count(last, "packets-received") > 20, "{last}");
            assert!(count(last, "packets-sent") > 20, "{last}");
            assert!(count(last, "bytes-received-lastsec") > 500, "{last}");
            assert_eq!(count(last, "in-link-quality"), 100);
            let at = |event: &Value| event["timestamp"].as_u64().expect("a time");
            let apart = at(line[2]) - at(line[1]);
            assert!((900_000..2_500_000).contains(&apart), "{apart} us apart");
            assert!(
                count(&line[2]["event"], "packets-sent") > count(&line[1]["event"], "packets-sent")
            );
        }
    });
}

#[test]
fn events_67_combined_statistics_are_one_array() {
    run(async {
        let core = CoreSettings { combine_media_stats: true, ..CoreSettings::default() };
        let Some((target, web)) = heard_with_media(core).await else { return };
        let call = Call::start(&target, json!({"audio": true}), both()).await;
        call.send_both().await;
        web.until("a period", |web| !web.of(32, 3).is_empty()).await;
        let event = &web.of(32, 3)[0];
        assert_eq!(check(event), Ok(()));
        let media: Vec<&Value> =
            event["event"].as_array().expect("an array").iter().map(|one| &one["media"]).collect();
        assert_eq!(media, ["audio", "video"]);
    });
}

#[test]
fn events_38_the_last_statistics_come_right_before_the_hangup() {
    run(async {
        let core = CoreSettings { stats_period: Duration::ZERO, ..CoreSettings::default() };
        let Some((target, web)) = heard_with_media(core).await else { return };
        let mut call = Call::start(&target, json!({"audio": true}), both()).await;
        call.send_both().await;
        call.more_on(0, 30).await;
        assert!(web.of(32, 3).is_empty(), "none while it lasts: the period is 0");
        let [audio, _] = call.packets().await;
        call.ws.ask(json!({"janus": "destroy", "session_id": call.at.0})).await;
        web.event("the end", |event| event["event"]["connection"] == "hangup").await;
        let events = web.events();
        let end = events
            .iter()
            .position(|event| is(event, 16, 6) && event["event"]["connection"] == "hangup");
        let end = end.expect("an end");
        let last: Vec<&Value> = events[end - 2..end].iter().collect();
        assert!(last.iter().all(|event| is(event, 32, 3)), "{events:?}");
        assert_eq!(
            (&last[0]["event"]["media"], &last[1]["event"]["media"]),
            (&json!("audio"), &json!("video"))
        );
        let sent = last[0]["event"]["packets-sent"].as_u64().expect("a number");
        assert!(sent >= audio, "{sent} sent, {audio} came");
        assert_eq!(events[end]["event"]["reason"], "Detach");
    });
}

#[test]
fn media_that_come_and_cease_are_told() {
    run(async {
        let Some((target, web)) = heard_with_media(CoreSettings::default()).await else { return };
        let call = Call::start(&target, json!({"audio": true}), both()).await;
        call.send_both().await;
        call.more_on(0, 10).await;
        web.until("both", |web| web.of(32, 1).len() >= 2).await;
        call.peer.stop(&call.mids[0]).await.expect("stops");
        let fits = |event: &Value| is(event, 32, 1) && event["event"]["receiving"] == false;
        let silent = web.event("silence", fits).await;
        assert_eq!(
            silent["event"],
            json!({"media": "audio", "mid": call.mids[0], "receiving": false})
        );
        assert_eq!(check(&silent), Ok(()));
    });
}

#[test]
fn a_slow_link_is_told() {
    run(async {
        let web = WebServer::start().await;
        let setup = telling(&web.hub("media"), CoreSettings::default());
        let media = Media { slow_link_losses: 4, ..Media::default() };
        let Some(target) = Target::with(Setup { media: Some(media), ..setup }).await else {
            return;
        };
        let session = Session::start(&target, &lines()).await;
        lose_ten(&session).await;
        let told = web.event("a slow link", |event| is(event, 32, 2)).await;
        assert_eq!(check(&told), Ok(()));
        let body =
            json!({"mid": "1", "media": "video", "slow_link": "downlink", "lost_lastsec": 10});
        assert_eq!(told["event"], body);
    });
}
