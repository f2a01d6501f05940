//! What clients of Streaming do, on the stage that plugins share.

use bifrons_core::plugin::{HandleKey, Service, ServiceEvent, Verdict};
use bifrons_stage::answer_to;
use bifrons_streaming::Streaming;
use serde_json::{Value, json};

pub(crate) type Stage = bifrons_stage::Stage<Streaming>;

/// Mountpoints and their viewers.
pub(crate) trait Mountpoints {
    /// A synchronous request that waits for a service, and what that says.
    fn tried(&mut self, body: Value, says: ServiceEvent) -> Value;

    /// The same where what it says depends on what was started.
    fn tried_with(&mut self, body: Value, says: impl Fn(&Service) -> ServiceEvent) -> Value;

    /// An asynchronous request; its `result`, or the whole error.
    fn say(&mut self, handle: HandleKey, body: Value) -> Value;

    /// Makes a mountpoint, which has to succeed; the reply.
    fn create(&mut self, fields: Value) -> Value;

    /// A mountpoint of Opus and VP8.
    fn stage_of(&mut self, id: u64) -> Value;

    /// Somebody who watches it, up.
    fn viewer(&mut self, body: Value) -> HandleKey;
}

impl Mountpoints for Stage {
    fn tried(&mut self, body: Value, says: ServiceEvent) -> Value {
        self.tried_with(body, |_| says.clone())
    }

    fn tried_with(&mut self, body: Value, says: impl Fn(&Service) -> ServiceEvent) -> Value {
        let handle = self.attach();
        assert_eq!(self.message(handle, body, None), Verdict::Deferred);
        let (service, started) = self.world.services.last().cloned().expect("started");
        self.says(service, &says(&started));
        self.late()
    }

    fn say(&mut self, handle: HandleKey, body: Value) -> Value {
        let data = self.answer(handle, body, None).data;
        data.get("result").cloned().unwrap_or(data)
    }

    fn create(&mut self, mut fields: Value) -> Value {
        fields["request"] = json!("create");
        let reply = self.sync(fields);
        assert_eq!(reply["streaming"], "created", "{reply}");
        reply
    }

    fn stage_of(&mut self, id: u64) -> Value {
        self.create(json!({ "type": "rtp", "id": id, "media": [audio(), video()] }))
    }

    fn viewer(&mut self, mut body: Value) -> HandleKey {
        let handle = self.attach();
        body["request"] = json!("watch");
        let offered = self.answer(handle, body, None);
        assert_eq!(offered.data["result"]["status"], "preparing", "{}", offered.data);
        let answer = answer_to(&offered.jsep.expect("an offer"));
        let started = self.answer(handle, json!({ "request": "start" }), Some(answer));
        assert_eq!(started.data["result"]["status"], "starting");
        self.up(handle);
        assert_eq!(self.told().pop().expect("told")["result"]["status"], "started");
        handle
    }
}

pub(crate) fn audio() -> Value {
    json!({ "type": "audio", "mid": "a1", "port": 0, "pt": 111, "codec": "opus" })
}

pub(crate) fn video() -> Value {
    json!({ "type": "video", "mid": "v1", "port": 0, "rtcpport": 0, "pt": 96, "codec": "vp8" })
}

/// The error code of a reply or event.
pub(crate) fn code(data: &Value) -> i64 {
    assert_eq!(data["streaming"], "event", "{data}");
    data["error_code"].as_i64().unwrap_or_else(|| panic!("no error: {data}"))
}
