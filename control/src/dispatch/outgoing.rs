//! What leaves the dispatcher, and the names of where it goes.

use bifrons_core::plugin::{HttpRequest, Service, ServiceCommand, ServiceId, StoreRequest, Ticket};
use serde_json::Value;

/// A transport of this server, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportId(pub u8);

/// A connection, never used again. Transports without a notion of connections use one for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// To whom a session's events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// The transport.
    pub transport: TransportId,
    /// The connection.
    pub connection: ConnectionId,
}

/// Where a request came from, and where its reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Who asked.
    pub owner: Owner,
    /// Tells the requests of one connection apart, where the transport has to.
    pub request: u64,
}

impl Origin {
    /// What events call the connection or, where connections have no name, the request.
    pub fn name(&self) -> String {
        let ConnectionId(connection) = self.owner.connection;
        if connection == 0 { self.request.to_string() } else { connection.to_string() }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// By request, of the client or an operator.
    Destroyed,
    /// Nobody named it for too long; its owner was sent `timeout`.
    TimedOut,
    /// Its connection went and nobody claimed it in time.
    Abandoned,
}

/// One thing for a transport.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// The reply to a request.
    Reply {
        /// Whose.
        to: Origin,
        /// What.
        message: Value,
    },
    /// The answer to a request of the Admin API. Transports that tell the two APIs apart by
    /// something other than the connection (a topic, a routing key) send it the admin's way.
    AdminReply {
        /// Whose.
        to: Origin,
        /// What.
        message: Value,
    },
    /// An event of a session.
    Event {
        /// The session's owner.
        to: Owner,
        /// The session.
        session_id: u64,
        /// What.
        message: Value,
    },
    /// A session was created.
    Created {
        /// By whom.
        owner: Owner,
        /// Its id.
        session_id: u64,
    },
    /// A session changed hands.
    Claimed {
        /// The former owner.
        from: Owner,
        /// The new one.
        to: Owner,
        /// The session.
        session_id: u64,
    },
    /// A session ended; no event of it follows.
    Over {
        /// Its last owner.
        owner: Owner,
        /// The session.
        session_id: u64,
        /// Why.
        why: SessionEnd,
    },
}

impl Outgoing {
    /// The transport that is to take it. A claim goes to both sides; this names the new one.
    pub fn transport(&self) -> TransportId {
        match self {
            Outgoing::Reply { to, .. } | Outgoing::AdminReply { to, .. } => to.owner.transport,
            Outgoing::Event { to, .. } | Outgoing::Claimed { to, .. } => to.transport,
            Outgoing::Created { owner, .. } | Outgoing::Over { owner, .. } => owner.transport,
        }
    }
}

/// What a service is told. It answers by [`Core::service_event`](super::Core::service_event).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceOrder {
    /// Begin, paused.
    Start(Service),
    /// Go on, or stand still.
    Tell(ServiceCommand),
    /// End.
    Stop,
}

/// Something a plugin wants done outside of the control thread's own time.
#[derive(Clone, Debug, PartialEq)]
pub enum Errand {
    /// Look up the addresses of a name.
    Resolve {
        /// For the answer.
        ticket: Ticket,
        /// The name.
        name: String,
    },
    /// Put a file on disk.
    Store {
        /// For the answer.
        ticket: Ticket,
        /// The plugin that asks.
        package: &'static str,
        /// What and where.
        request: StoreRequest,
    },
    /// Ask a web server.
    Http {
        /// For the answer.
        ticket: Ticket,
        /// What and where.
        request: HttpRequest,
    },
    /// Start a service, tell it something, or stop it; in this order for each.
    Service {
        /// Which.
        service: ServiceId,
        /// What.
        order: ServiceOrder,
    },
}
