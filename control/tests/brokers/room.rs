//! A room's whole life, over any transport.

use crate::client::{Client, Wire};
use serde_json::{Value, json};

const PLUGIN: &str = "janus.plugin.videoroom";

/// Creates a room, lets two join, lists, lets one leave, destroys it.
pub(crate) async fn whole_life<W: Wire>(client: &mut Client<W>) {
    let session = client.create().await;
    let host = (session, client.attach(session, PLUGIN).await);
    let guest = (session, client.attach(session, PLUGIN).await);
    let create = json!({"request": "create", "room": 4711, "description": "Über Wasser",
        "secret": "keep", "notify_joining": true});
    let made = client.message(host, create).await;
    assert_eq!(made["plugindata"]["data"]["videoroom"], "created", "{made}");
    let host_id = join(client, host, "host").await;
    let guest_id = join(client, guest, "guest").await;
    let joining = of_plugin(client, host.1, "the guest's joining", |data| {
        data["joining"]["display"] == "guest"
    });
    assert_eq!(joining.await["joining"]["id"], guest_id);
    let listed = client.message(guest, json!({"request": "list"})).await;
    let rooms = listed["plugindata"]["data"]["list"].as_array().expect("a list").clone();
    let room = rooms.iter().find(|room| room["room"] == 4711).expect("the room");
    assert_eq!(
        (&room["num_participants"], &room["description"]),
        (&json!(2), &json!("Über Wasser"))
    );
    let who = client.message(host, json!({"request": "listparticipants", "room": 4711})).await;
    let ids: Vec<_> = who["plugindata"]["data"]["participants"]
        .as_array()
        .expect("participants")
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert!(ids.len() == 2 && ids.contains(&host_id) && ids.contains(&guest_id), "{who}");
    assert_eq!(client.message(guest, json!({"request": "leave"})).await["janus"], "ack");
    of_plugin(client, guest.1, "the guest's leave", |data| data["leaving"] == "ok").await;
    of_plugin(client, host.1, "news of the leave", |data| data["leaving"] == guest_id).await;
    let destroy = json!({"request": "destroy", "room": 4711, "secret": "keep"});
    let gone = client.message(guest, destroy).await;
    assert_eq!(gone["plugindata"]["data"]["videoroom"], "destroyed", "{gone}");
    of_plugin(client, host.1, "news of the end", |data| data["videoroom"] == "destroyed").await;
    let end = client.ask(json!({"janus": "destroy", "session_id": session})).await;
    assert_eq!(end["janus"], "success");
    assert!(!client.knows(session).await);
}

/// Joins as a publisher; its id.
pub(crate) async fn join<W: Wire>(client: &mut Client<W>, at: (u64, u64), name: &str) -> Value {
    let join = json!({"request": "join", "ptype": "publisher", "room": 4711, "display": name});
    assert_eq!(client.message(at, join).await["janus"], "ack");
    let joined = of_plugin(client, at.1, "joined", |data| data["videoroom"] == "joined").await;
    assert!(joined["id"].is_u64(), "{joined}");
    joined["id"].clone()
}

/// The data of an event of a handle's.
async fn of_plugin<W: Wire>(
    client: &mut Client<W>,
    handle: u64,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let event = client.until(what, |message| {
        message["sender"] == handle && wanted(&message["plugindata"]["data"])
    });
    event.await["plugindata"]["data"].clone()
}
