//! The doors that carry whole messages: Unix sockets, and the message brokers.
//!
//! One that cannot be opened is reported and left shut; the others serve on. A broker that cannot
//! be reached yet is no reason: its door counts as open and is tried again and again.

use crate::transport::mqtt::MqttTransport;
use crate::transport::nanomsg::NanomsgPairs;
use crate::transport::rabbitmq::RabbitMq;
use crate::transport::{Front, PassedSockets, unix};
use bifrons_core::config::transport::unix::{UnixKind, UnixSocket};
use bifrons_core::config::{
    Configuration, MqttSettings, NanomsgSettings, RabbitMqSettings, UnixSettings,
};
use socket2::Type;
use std::path::Path;
use std::rc::Rc;

/// Opens those that are switched on; the number of those that serve the Janus API.
pub(super) fn open(
    front: &Rc<Front>,
    configuration: &Configuration,
    passed: &mut PassedSockets,
) -> usize {
    for (package, events) in [
        ("janus.transport.pfunix", configuration.unix.events),
        ("janus.transport.rabbitmq", configuration.rabbitmq.events),
        ("janus.transport.mqtt", configuration.mqtt.events),
        ("janus.transport.nanomsg", configuration.nanomsg.events),
    ] {
        front.set_transport_events(package, events);
    }
    let disabled = &configuration.settings.transports;
    let mut api_doors = 0;
    if !disabled.is_disabled("pfunix") {
        api_doors += open_unix(front, &configuration.unix, passed);
    }
    if !disabled.is_disabled("rabbitmq") {
        api_doors += open_rabbitmq(front, &configuration.rabbitmq);
    }
    if !disabled.is_disabled("mqtt") {
        api_doors += open_mqtt(front, &configuration.mqtt);
    }
    if !disabled.is_disabled("nanomsg") {
        api_doors += open_nanomsg(front, &configuration.nanomsg);
    }
    api_doors
}

/// The number of doors that serve the Janus API, if a transport could be started.
fn served<T, E: std::fmt::Display>(name: &str, started: Result<T, E>, api: bool) -> usize {
    match started {
        Ok(_) => {
            tracing::info!("{name} served");
            usize::from(api)
        }
        Err(error) => {
            tracing::error!("{name}: {error}; not served");
            0
        }
    }
}

fn open_unix(front: &Rc<Front>, from: &UnixSettings, passed: &mut PassedSockets) -> usize {
    let mut door = |socket: &UnixSocket, admin: bool, key: &str| {
        if !socket.enabled {
            return None;
        }
        let (kind, spoken) = match socket.kind {
            UnixKind::SeqPacket => (unix::Kind::SeqPacket, Type::SEQPACKET),
            UnixKind::Datagram => (unix::Kind::Datagram, Type::DGRAM),
        };
        let path = socket.path.as_deref().map(Path::new);
        let at = match (passed.messages(spoken, path), path) {
            (Some(socket), _) => unix::Place::Passed(socket),
            (None, Some(path)) => unix::Place::Path(path.to_owned()),
            (None, None) => {
                tracing::error!("Unix sockets: {key} is missing; this one stays closed");
                return None;
            }
        };
        Some(unix::Door { at, kind, admin })
    };
    let doors: Vec<_> = [door(&from.general, false, "path"), door(&from.admin, true, "admin_path")]
        .into_iter()
        .flatten()
        .collect();
    if doors.is_empty() {
        return 0;
    }
    let api = doors.iter().any(|door| !door.admin);
    served("Unix sockets", unix::UnixSockets::start(front, doors, from.json.into()), api)
}

fn open_rabbitmq(front: &Rc<Front>, from: &RabbitMqSettings) -> usize {
    if !(from.general.enabled || from.admin.enabled) {
        return 0;
    }
    served("RabbitMQ", RabbitMq::start(front, from, from.json.into()), from.general.enabled)
}

fn open_mqtt(front: &Rc<Front>, from: &MqttSettings) -> usize {
    if !(from.general.enabled || from.admin.enabled) {
        return 0;
    }
    served("MQTT", MqttTransport::start(front, from, from.json.into()), from.general.enabled)
}

fn open_nanomsg(front: &Rc<Front>, from: &NanomsgSettings) -> usize {
    if !(from.general.enabled || from.admin.enabled) {
        return 0;
    }
    served("Nanomsg", NanomsgPairs::start(front, from, from.json.into()), from.general.enabled)
}
