//! The transports, as their files say.

use super::{Refusal, message_doors};
use crate::demo::DemoPages;
use crate::transport::{Bind, Cors, Front, Gate, PassedSockets, Tls, TlsFiles, http, websocket};
use bifrons_core::config::transport::websockets::WebSocketListener;
use bifrons_core::config::transport::{self, http::HttpListener};
use bifrons_core::config::{Configuration, WebSocketSettings};
use std::rc::Rc;
use std::time::Duration;

/// Opens every door that is switched on, at a socket that was passed for it if there is one. At
/// least one has to serve the Janus API. Returns the certificates they show.
pub(super) fn open(
    front: &Rc<Front>,
    configuration: &Configuration,
    mut passed: PassedSockets,
) -> Result<Vec<Tls>, Refusal> {
    let disabled = &configuration.settings.transports;
    let (mut api_doors, mut shown) = (0, Vec::new());
    if disabled.is_disabled("websockets") {
        tracing::info!("WebSockets are switched off");
    } else {
        api_doors += open_websockets(front, &configuration.websockets, &mut passed, &mut shown)?;
    }
    if disabled.is_disabled("http") {
        tracing::info!("HTTP is switched off");
    } else {
        api_doors += open_http(front, configuration, &mut passed, &mut shown)?;
    }
    api_doors += message_doors::open(front, configuration, &mut passed);
    passed.name_the_rest();
    if api_doors == 0 {
        return Err("no transport serves the Janus API: switch on `http` in \
                    janus.transport.http.jcfg or `ws` in janus.transport.websockets.jcfg"
            .to_owned());
    }
    Ok(shown)
}

fn open_websockets(
    front: &Rc<Front>,
    from: &WebSocketSettings,
    passed: &mut PassedSockets,
    shown: &mut Vec<Tls>,
) -> Result<usize, Refusal> {
    let mut doors = Vec::new();
    let (general, admin) = (&from.general, &from.admin);
    for (listener, is_admin, secure) in [
        (&general.ws, false, None),
        (&admin.ws, true, None),
        (&general.wss, false, Some("wss")),
        (&admin.wss, true, Some("admin_wss")),
    ] {
        let gate = match is_admin {
            false => gate(&general.acl, general.acl_forwarded),
            true => gate(&admin.acl, admin.acl_forwarded),
        };
        if let Some(tls) = security(listener.enabled, secure, &from.certificates) {
            let bind = passed.stand_in(at_ws(listener)?);
            shown.extend(tls.clone());
            doors.push(websocket::Door { bind, gate, admin: is_admin, tls });
        }
    }
    if doors.is_empty() {
        return Ok(0);
    }
    let served = doors.iter().filter(|door| !door.admin).count();
    let seconds = |(trigger, timeout): (u16, u16)| {
        (Duration::from_secs(trigger.into()), Duration::from_secs(timeout.into()))
    };
    let settings = websocket::Settings {
        doors,
        cors: cors(&from.cors),
        ping: from.general.ping_pong_s().map(seconds),
        style: from.general.json.into(),
    };
    let (_, ports) = websocket::WebSockets::start(front, settings)
        .map_err(|error| format!("WebSockets cannot listen: {error}"))?;
    front.set_transport_events("janus.transport.websockets", from.general.events);
    tracing::info!("WebSockets on port {}", list(&ports));
    Ok(served)
}

fn open_http(
    front: &Rc<Front>,
    configuration: &Configuration,
    passed: &mut PassedSockets,
    shown: &mut Vec<Tls>,
) -> Result<usize, Refusal> {
    let (from, secret) = (&configuration.http, &configuration.settings.general.admin_secret);
    let secret = secret.as_ref();
    let mut doors = Vec::new();
    let (general, admin) = (&from.general, &from.admin);
    for (listener, is_admin, secure) in [
        (&general.http, false, None),
        (&admin.http, true, None),
        (&general.https, false, Some("https")),
        (&admin.https, true, Some("admin_https")),
    ] {
        let (gate, base_path) = match is_admin {
            false => (gate(&general.acl, general.acl_forwarded), general.base_path.clone()),
            true => (gate(&admin.acl, admin.acl_forwarded), admin.base_path.clone()),
        };
        if let Some(tls) = security(listener.enabled, secure, &from.certificates) {
            let bind = passed.stand_in(at(listener)?);
            shown.extend(tls.clone());
            doors.push(http::Door { bind, gate, admin: is_admin, tls, base_path });
        }
    }
    if doors.is_empty() {
        return Ok(0);
    }
    let served = doors.iter().filter(|door| !door.admin).count();
    let settings = http::Settings {
        doors,
        cors: cors(&from.cors),
        connection_limit: usize::try_from(general.connection_limit).unwrap_or(usize::MAX),
        style: general.json.into(),
        demo: Some(demo_pages()),
        metrics: admin.metrics.then(|| http::MetricsDoor { secret: secret.cloned() }),
    };
    let (_, ports) = http::Http::start(front, settings)
        .map_err(|error| format!("HTTP cannot listen: {error}"))?;
    front.set_transport_events("janus.transport.http", from.general.events);
    tracing::info!("HTTP on port {}", list(&ports));
    Ok(served)
}

/// The demo, with what it lacks named in the log.
fn demo_pages() -> DemoPages {
    let folder = DemoPages::folder();
    let (pages, problems) = DemoPages::load(folder.as_deref());
    for problem in problems {
        tracing::warn!("the demo misses a script: {problem}");
    }
    pages
}

/// Whether a listener is to be opened, and with which certificate. One that is asked for and
/// cannot be secured stays closed, and the log says so; the others serve on, as with Janus.
fn security(
    enabled: bool,
    secure: Option<&str>,
    certificates: &transport::TlsCertificates,
) -> Option<Option<Tls>> {
    let Some(key) = secure.filter(|_| enabled) else { return enabled.then_some(None) };
    let loaded = match (&certificates.cert_pem, certificates.key_file()) {
        (Some(chain), Some(key)) => Tls::load(TlsFiles {
            chain: chain.into(),
            key: key.into(),
            passphrase: certificates.cert_pwd.clone(),
            ciphers: certificates.ciphers.clone(),
        })
        .map_err(|error| error.to_string()),
        _ => Err("needs cert_pem and cert_key".to_owned()),
    };
    match loaded {
        Ok(tls) => Some(Some(tls)),
        Err(error) => {
            tracing::error!("{key}: {error}; this listener stays closed");
            None
        }
    }
}

fn at(listener: &HttpListener) -> Result<Bind, Refusal> {
    tcp(listener.ip.as_deref(), listener.interface.as_deref(), listener.port)
}

fn at_ws(listener: &WebSocketListener) -> Result<Bind, Refusal> {
    match &listener.unix {
        Some(path) => Ok(Bind::Unix(path.into())),
        None => tcp(listener.ip.as_deref(), listener.interface.as_deref(), listener.port),
    }
}

fn tcp(ip: Option<&str>, interface: Option<&str>, port: u16) -> Result<Bind, Refusal> {
    let ip = ip.map(|ip| ip.parse().map_err(|_| format!("`{ip}` is no address to listen at")));
    Ok(Bind::Tcp { ip: ip.transpose()?, interface: interface.map(str::to_owned), port })
}

fn gate(prefixes: &[String], forwarded: bool) -> Gate {
    Gate { prefixes: prefixes.to_vec(), forwarded }
}

fn cors(from: &transport::Cors) -> Cors {
    Cors { allow_origin: from.allow_origin.clone(), enforce: from.enforce_cors }
}

/// `8188, 7188`, or the word for a path.
fn list(ports: &[Option<u16>]) -> String {
    let one = |port: &Option<u16>| port.map_or("(a path)".to_owned(), |port| port.to_string());
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}
