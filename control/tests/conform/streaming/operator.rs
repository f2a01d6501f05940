//! What operators see of it.

use super::stage::fresh;
use crate::admin::{Operator, at};
use crate::target::{Target, run};
use serde_json::{Value, json};

const PLUGIN: &str = "janus.plugin.streaming";

async fn say(operator: &mut Operator, body: Value) -> Value {
    let request = json!({ "janus": "message_plugin", "plugin": PLUGIN, "request": body });
    operator.done(request).await["response"].clone()
}

#[test]
fn streaming_55_operators_make_mountpoints_and_do_not_watch() {
    run(async {
        let target = Target::with_admin().await;
        for mut operator in Operator::both(&target).await {
            let media =
                json!([{ "type": "audio", "mid": "0", "port": 0, "codec": "opus", "pt": 111 }]);
            let id = json!(fresh());
            let create = json!({ "request": "create", "type": "rtp", "id": id, "media": media });
            assert_eq!(say(&mut operator, create).await["streaming"], "created");
            let watch = json!({ "request": "watch", "id": id });
            assert_eq!(say(&mut operator, watch).await["error_code"], 452);
            let gone = say(&mut operator, json!({ "request": "destroy", "id": id })).await;
            assert_eq!(gone["destroyed"], id, "{gone}");
        }
    });
}

#[test]
fn streaming_56_handle_info_says_what_is_watched() {
    run(async {
        let target = Target::with_admin().await;
        let mut ws = target.ws().await;
        let session = ws.ask(json!({ "janus": "create" })).await["data"]["id"].clone();
        let attach = json!({ "janus": "attach", "session_id": session, "plugin": PLUGIN });
        let handle = ws.ask(attach).await["data"]["id"].clone();
        let message = |body: Value| json!({ "janus": "message", "session_id": session, "handle_id": handle, "body": body });
        let mut operator = Operator::http(&target);
        let number = |id: &Value| id.as_u64().expect("an id");
        let key = (number(&session), number(&handle));
        let look = at(key, json!({ "janus": "handle_info", "plugin_only": true }));
        let idle = operator.done(look.clone()).await["info"]["plugin_specific"].clone();
        assert_eq!((&idle["state"], &idle["started"]), (&json!("idle"), &json!(0)), "{idle}");
        let id = json!(fresh());
        let media = json!([{ "type": "audio", "mid": "0", "port": 0, "codec": "opus", "pt": 111 }]);
        let create = json!({ "request": "create", "type": "rtp", "id": id, "media": media });
        ws.ask(message(create)).await;
        let acked = ws.ask(message(json!({ "request": "watch", "id": id }))).await;
        assert_eq!(acked["janus"], "ack", "{acked}");
        ws.event_within(std::time::Duration::from_secs(10)).await.expect("an offer");
        let seen = operator.done(look).await["info"]["plugin_specific"].clone();
        assert_eq!((&seen["state"], &seen["mountpoint_id"]), (&json!("watching"), &id), "{seen}");
        assert_eq!((&seen["started"], &seen["paused"]), (&json!(0), &json!(0)), "{seen}");
        assert_eq!(seen["media"][0]["mid"], "0", "{seen}");
    });
}
