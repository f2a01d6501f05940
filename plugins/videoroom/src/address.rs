//! Where something is sent: hosts by address or by name, and the keys of SRTP (plugin-videoroom
//! §9.1).

use crate::api::Body;
use crate::error::{Code, Refusal};
use crate::plugin::VideoRoom;
use bifrons_core::media::Family;
use bifrons_core::plugin::{Host, ReplyKey, Ticket, Verdict};
use bifrons_core::srtp::{MasterKey, SrtpProfile};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::net::IpAddr;

/// Requests that may wait for names at a time.
const MAX_RESOLVING: usize = 1024;
/// Names one request may have.
const MAX_NAMES: usize = 16;

/// Addresses of names.
pub(crate) type Known = HashMap<String, Vec<IpAddr>>;

/// A request that waits for the address of a name.
#[derive(Clone, Debug)]
pub(crate) struct Resolving {
    request: String,
    body: Map<String, Value>,
    reply: ReplyKey,
    name: String,
    known: Known,
}

/// Why a request with hosts was not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// It never will be.
    Refused(Refusal),
    /// The address of this name has to be found first.
    Name(String),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Halt::Refused(refusal)
    }
}

/// The family that `host_family` asks for.
pub(crate) fn family(body: &Body<'_>) -> Result<Family, Refusal> {
    match body.text("host_family") {
        None => Ok(Family::Any),
        Some("ipv4") => Ok(Family::V4),
        Some("ipv6") => Ok(Family::V6),
        Some(_) => Err(Refusal::invalid("Unsupported protocol family (host_family)")),
    }
}

/// The address of the `host` of a body. 430 where it has none of the wanted family.
pub(crate) fn address(body: &Body<'_>, known: &Known) -> Result<Option<IpAddr>, Halt> {
    let family = family(body)?;
    let Some(name) = body.text("host") else { return Ok(None) };
    let one;
    let found = match name.parse::<IpAddr>() {
        Ok(address) => {
            one = [address];
            &one[..]
        }
        Err(_) => known.get(name).ok_or_else(|| Halt::Name(name.to_owned()))?,
    };
    let fits = |address: &&IpAddr| match family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    };
    let text = "Could not resolve address (host)";
    found.iter().find(fits).copied().map(Some).ok_or_else(|| Refusal::invalid(text).into())
}

/// The key of `srtp_suite` and `srtp_crypto`, where both are given.
pub(crate) fn srtp(body: &Body<'_>) -> Result<Option<MasterKey>, Refusal> {
    let (Some(suite), Some(crypto)) = (body.number("srtp_suite"), body.text("srtp_crypto")) else {
        return Ok(None);
    };
    let profile = match suite {
        80 => SrtpProfile::Aes128CmSha1_80,
        32 => SrtpProfile::Aes128CmSha1_32,
        _ => return Err(Refusal::invalid("Invalid SRTP suite (srtp_suite)")),
    };
    let key = MasterKey::from_base64(profile, crypto);
    key.map(Some).ok_or_else(|| Refusal::invalid("Invalid SRTP key (srtp_crypto)"))
}

impl VideoRoom {
    /// Serves a request that names hosts, at once or when their addresses are known.
    pub(crate) fn serve_addressed(
        &mut self,
        host: &mut dyn Host,
        request: &str,
        body: &Map<String, Value>,
        reply: Option<ReplyKey>,
        known: Known,
    ) -> Result<Verdict, Refusal> {
        let checked = Body::checked(body, self.general.string_ids, &[])?;
        let served = match request {
            "rtp_forward" => self.rtp_forward(host, &checked, &known),
            _ => self.publish_remotely(host, &checked, &known),
        };
        let name = match served {
            Ok(data) => return Ok(Verdict::Reply(data)),
            Err(Halt::Refused(refusal)) => return Err(refusal),
            Err(Halt::Name(name)) => name,
        };
        let Some(reply) = reply else {
            let text = "An operator's request has to name its host by address (host)";
            return Err(Refusal::invalid(text));
        };
        if self.resolving.len() >= MAX_RESOLVING || known.len() >= MAX_NAMES {
            return Err(Refusal::new(Code::Unknown, "Too many names to look up"));
        }
        let ticket = host.resolve(&name);
        let (request, body) = (request.to_owned(), body.clone());
        self.resolving.insert(ticket, Resolving { request, body, reply, name, known });
        Ok(Verdict::Deferred)
    }

    /// The addresses of a name that a request waits for.
    pub(crate) fn resolved(
        &mut self,
        host: &mut dyn Host,
        ticket: Ticket,
        found: Result<Vec<IpAddr>, String>,
    ) {
        let Some(waiting) = self.resolving.remove(&ticket) else { return };
        let Resolving { request, body, reply, name, mut known } = waiting;
        // A name without addresses is one that cannot be resolved.
        known.insert(name, found.unwrap_or_default());
        match self.serve_addressed(host, &request, &body, Some(reply), known) {
            Ok(Verdict::Deferred) => {}
            Ok(verdict) => host.reply(reply, verdict),
            Err(refusal) => host.reply(reply, Verdict::Reply(refusal.event())),
        }
    }
}
