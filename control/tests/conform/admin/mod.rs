//! The Admin API, admin-events-recording §1-§5: a test `admin_NN_…` for each line of the checklist,
//! over both transports where that makes a difference.

mod captures;
mod handles;
mod live;
mod root;
mod sessions;
mod tokens;

use crate::client::{Http, Ws, merged};
use crate::target::{Setup, Target};
use bifrons_control::admin::AdminSettings;
use serde_json::{Value, json};

/// What the servers under test ask for.
pub(crate) const SECRET: &str = "a secret of admins";

/// A setup with an Admin API that asks for [`SECRET`].
pub(crate) fn setup() -> Setup {
    let secret = Some(SECRET.to_owned());
    let admin_settings = AdminSettings { secret, ..AdminSettings::default() };
    Setup { admin: true, admin_settings, ..Setup::default() }
}

/// A client of the Admin API.
pub(crate) enum Operator {
    Ws(Box<Ws>),
    Http(Http),
}

impl Operator {
    pub(crate) async fn ws(target: &Target) -> Self {
        let protocol = ("Sec-WebSocket-Protocol", "janus-admin-protocol");
        let ws = Ws::connect(&target.admin_ws, "/", &[protocol]).await.expect("accepted");
        Operator::Ws(Box::new(ws))
    }

    pub(crate) fn http(target: &Target) -> Self {
        let base = target.admin_base.clone();
        Operator::Http(Http { address: target.admin_http.clone(), base })
    }

    /// One over each transport.
    pub(crate) async fn both(target: &Target) -> [Self; 2] {
        [Self::ws(target).await, Self::http(target)]
    }

    /// A request as it is.
    pub(crate) async fn raw(&mut self, request: Value) -> Value {
        match self {
            Operator::Ws(ws) => ws.ask(request).await,
            Operator::Http(http) => http.post("", request).await,
        }
    }

    /// A request with the secret.
    pub(crate) async fn ask(&mut self, request: Value) -> Value {
        self.raw(merged(json!({"admin_secret": SECRET}), &request)).await
    }

    /// A request with the secret that has to succeed.
    pub(crate) async fn done(&mut self, request: Value) -> Value {
        let reply = self.ask(request.clone()).await;
        assert_eq!(reply["janus"], "success", "{request}: {reply}");
        reply
    }

    /// `code reason` of what a request is refused with.
    pub(crate) async fn refused(&mut self, request: Value) -> String {
        crate::client::error_of(&self.ask(request).await)
    }
}

/// A request about a handle.
pub(crate) fn at(handle: (u64, u64), request: Value) -> Value {
    merged(request, &json!({"session_id": handle.0, "handle_id": handle.1}))
}
