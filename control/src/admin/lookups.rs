//! Questions to the network: `resolve_address` and `test_stun` (admin-events-recording §2). They
//! block, so they run on threads of the runtime's pool, at most [`MAX_LOOKUPS`] at a time: a name
//! server that does not answer must not use up the pool.

use super::{Fields, LIMIT, Outcome, Reply, Request, failed, switches::positive};
use crate::stun;
use bifrons_core::api::{ApiError, Expect, optional, required};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Look-ups under way at a time; more wait their turn, within their own bound.
pub(super) const MAX_LOOKUPS: usize = 16;

/// How long a STUN server may take.
const STUN_LIMIT: Duration = Duration::from_secs(5);

pub(super) fn perform(request: &Request<'_>, verb: &str) -> Option<Outcome> {
    let work = match verb {
        "resolve_address" => resolve_address(request),
        "test_stun" => test_stun(request),
        _ => return None,
    };
    Some(work.unwrap_or_else(|error| Outcome::Now(Err(error))))
}

/// Runs a question on a thread of the pool.
fn ask(
    request: &Request<'_>,
    question: impl FnOnce() -> Result<Fields, &'static str> + Send + 'static,
) -> Outcome {
    let seats = request.admin.lookups.clone();
    Outcome::Later(Box::pin(async move {
        let unavailable = || failed("Could not resolve address");
        let seat = seats.acquire_owned().await.map_err(|_| unavailable())?;
        let asked = tokio::task::spawn_blocking(move || {
            // Kept until the thread is done, even if nobody waits for the answer any more.
            let _seat = seat;
            question()
        });
        let answer = tokio::time::timeout(LIMIT, asked).await;
        answer
            .map_err(|_| unavailable())?
            .map_err(|_| unavailable())?
            .map(Reply::new)
            .map_err(failed)
    }))
}

fn address<'a>(request: &'a Request<'_>) -> Result<&'a str, ApiError> {
    Ok(required(request.fields(), "address", Expect::String)?.as_str().unwrap_or_default())
}

fn resolve(name: &str, port: u16) -> Result<SocketAddr, &'static str> {
    let found = (name, port).to_socket_addrs().map_err(|_| "Could not resolve address")?;
    let found: Vec<SocketAddr> = found.collect();
    let v4 = found.iter().find(|address| address.is_ipv4());
    v4.or(found.first()).copied().ok_or("Could not resolve address")
}

fn elapsed_us(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn resolve_address(request: &Request<'_>) -> Result<Outcome, ApiError> {
    let name = address(request)?.to_owned();
    Ok(ask(request, move || {
        let begin = Instant::now();
        let ip = resolve(&name, 0)?.ip();
        let mut fields = Fields::new();
        fields.insert("ip".to_owned(), ip.to_string().into());
        fields.insert("elapsed".to_owned(), elapsed_us(begin).into());
        Ok(fields)
    }))
}

fn test_stun(request: &Request<'_>) -> Result<Outcome, ApiError> {
    let name = address(request)?.to_owned();
    let port = positive(request, "port")?;
    let local = optional(request.fields(), "localport", Expect::PositiveInteger)?;
    let local = local.and_then(serde_json::Value::as_u64).unwrap_or(0);
    let ports = u16::try_from(port).ok().zip(u16::try_from(local).ok());
    let (port, local) = ports.ok_or_else(|| failed("STUN request failed"))?;
    Ok(ask(request, move || {
        let begin = Instant::now();
        let server = resolve(&name, port)?;
        let any: IpAddr = match server {
            SocketAddr::V4(_) => [0; 4].into(),
            SocketAddr::V6(_) => [0; 16].into(),
        };
        let mapped = stun::ask(server, (any, local).into(), STUN_LIMIT);
        let mapped = mapped.map_err(|_| "STUN request failed")?;
        let mut fields = Fields::new();
        fields.insert("public_ip".to_owned(), mapped.ip().to_string().into());
        fields.insert("public_port".to_owned(), mapped.port().into());
        fields.insert("elapsed".to_owned(), elapsed_us(begin).into());
        Ok(fields)
    }))
}
