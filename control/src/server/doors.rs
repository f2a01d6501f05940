//! The transports, as their files say.

use super::Refusal;
use crate::demo::DemoPages;
use crate::transport::{Bind, Cors, Front, Gate, http, websocket};
use bifrons_core::api::Style;
use bifrons_core::config::transport::websockets::WebSocketListener;
use bifrons_core::config::transport::{self, JsonStyle, http::HttpListener};
use bifrons_core::config::{Configuration, HttpSettings, WebSocketSettings};
use std::rc::Rc;
use std::time::Duration;

/// Opens every door that is switched on. At least one has to serve the Janus API.
pub(super) fn open(front: &Rc<Front>, configuration: &Configuration) -> Result<(), Refusal> {
    let disabled = &configuration.settings.transports;
    let mut api_doors = 0;
    if disabled.is_disabled("websockets") {
        tracing::info!("WebSockets are switched off");
    } else {
        api_doors += open_websockets(front, &configuration.websockets)?;
    }
    if disabled.is_disabled("http") {
        tracing::info!("HTTP is switched off");
    } else {
        api_doors += open_http(front, &configuration.http)?;
    }
    if api_doors == 0 {
        return Err("no transport serves the Janus API: switch on `http` in \
                    janus.transport.http.jcfg or `ws` in janus.transport.websockets.jcfg"
            .to_owned());
    }
    Ok(())
}

fn open_websockets(front: &Rc<Front>, from: &WebSocketSettings) -> Result<usize, Refusal> {
    let mut doors = Vec::new();
    for (listener, acl, forwarded, admin) in [
        (&from.general.ws, &from.general.acl, from.general.acl_forwarded, false),
        (&from.admin.ws, &from.admin.acl, from.admin.acl_forwarded, true),
    ] {
        if listener.enabled {
            doors.push(websocket::Door {
                bind: at_ws(listener)?,
                gate: gate(acl, forwarded),
                admin,
            });
        }
    }
    no_tls("wss", from.general.wss.enabled);
    no_tls("admin_wss", from.admin.wss.enabled);
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
        style: style(from.general.json),
    };
    let (_, ports) = websocket::WebSockets::start(front, settings)
        .map_err(|error| format!("WebSockets cannot listen: {error}"))?;
    tracing::info!("WebSockets on port {}", list(&ports));
    Ok(served)
}

fn open_http(front: &Rc<Front>, from: &HttpSettings) -> Result<usize, Refusal> {
    let mut doors = Vec::new();
    let (general, admin) = (&from.general, &from.admin);
    for (listener, acl, forwarded, base_path, is_admin) in [
        (&general.http, &general.acl, general.acl_forwarded, &general.base_path, false),
        (&admin.http, &admin.acl, admin.acl_forwarded, &admin.base_path, true),
    ] {
        if listener.enabled {
            doors.push(http::Door {
                bind: at(listener)?,
                gate: gate(acl, forwarded),
                admin: is_admin,
                base_path: base_path.clone(),
            });
        }
    }
    no_tls("https", general.https.enabled);
    no_tls("admin_https", admin.https.enabled);
    if doors.is_empty() {
        return Ok(0);
    }
    let served = doors.iter().filter(|door| !door.admin).count();
    let settings = http::Settings {
        doors,
        cors: cors(&from.cors),
        connection_limit: usize::try_from(general.connection_limit).unwrap_or(usize::MAX),
        style: style(general.json),
        demo: Some(demo_pages()),
    };
    let (_, ports) = http::Http::start(front, settings)
        .map_err(|error| format!("HTTP cannot listen: {error}"))?;
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

/// A listener that is asked for and not opened has to be heard of.
fn no_tls(key: &str, enabled: bool) {
    if enabled {
        tracing::error!("{key}: TLS is not built yet; put a TLS proxy before the plain listener");
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

fn style(from: JsonStyle) -> Style {
    match from {
        JsonStyle::Indented => Style::Indented,
        JsonStyle::Plain => Style::Plain,
        JsonStyle::Compact => Style::Compact,
    }
}

/// `8188, 7188`, or the word for a path.
fn list(ports: &[Option<u16>]) -> String {
    let one = |port: &Option<u16>| port.map_or("(a path)".to_owned(), |port| port.to_string());
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}
