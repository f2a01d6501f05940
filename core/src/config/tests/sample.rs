//! The sample files in `conf/` are held to the code.

use crate::config::event::{
    GelfEventSettings, MqttEventSettings, NanomsgEventSettings, RabbitMqEventSettings,
    SampleEventSettings, WsEventSettings,
};
use crate::config::load::{CORE, HTTP, MQTT, NANOMSG, RABBITMQ, UNIX, WEBSOCKETS, embedded};
use crate::config::sample::{disagreements, documented, woken};
use crate::config::section::NONE;
use crate::config::{
    Configured, Diagnostic, HttpSettings, JsonLogSettings, MqttSettings, NanomsgSettings,
    RabbitMqSettings, Settings, UnixSettings, WebSocketSettings, jcfg,
};

fn sample(package: &str) -> &'static str {
    embedded(package).expect("a sample is built in")
}

/// The sample parses as it stands and with every key awake, and agrees with the code.
fn check<C: Configured>(package: &str) {
    let text = sample(package);
    for text in [text.to_owned(), woken(text)] {
        let tree = jcfg::read_alone(package, &text).unwrap_or_else(|fault| panic!("{fault}"));
        let (_, diagnostics) = C::from_tree(&tree);
        assert_eq!(diagnostics, [], "{package} as it stands, and awake");
    }
    let wrong = disagreements(text, &C::keys()).expect("the grammar");
    assert!(wrong.is_empty(), "{package}:\n{}", wrong.join("\n"));
}

#[test]
fn janus_jcfg_says_what_the_code_does() {
    check::<Settings>(CORE);
}

#[test]
fn http_sample_says_what_the_code_does() {
    check::<HttpSettings>(HTTP);
}

#[test]
fn websockets_sample_says_what_the_code_does() {
    check::<WebSocketSettings>(WEBSOCKETS);
}

#[test]
fn samples_of_event_handlers_and_loggers_say_what_the_code_does() {
    check::<JsonLogSettings>("janus.logger.jsonlog");
    check::<SampleEventSettings>("janus.eventhandler.sampleevh");
    check::<WsEventSettings>("janus.eventhandler.wsevh");
    check::<GelfEventSettings>("janus.eventhandler.gelfevh");
    check::<RabbitMqEventSettings>("janus.eventhandler.rabbitmqevh");
    check::<MqttEventSettings>("janus.eventhandler.mqttevh");
    check::<NanomsgEventSettings>("janus.eventhandler.nanomsgevh");
}

#[test]
fn samples_of_sockets_and_brokers_say_what_the_code_does() {
    check::<UnixSettings>(UNIX);
    check::<RabbitMqSettings>(RABBITMQ);
    check::<MqttSettings>(MQTT);
    check::<NanomsgSettings>(NANOMSG);
}

#[test]
fn a_sample_that_drifts_is_noticed() {
    let text = sample(HTTP);
    let drift = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from} is in the sample");
        disagreements(&changed, &HttpSettings::keys()).expect("the grammar")
    };
    assert_eq!(drift("#port = 8088", "#port = 8089").len(), 1);
    assert_eq!(drift("Default: 8088", "Default: 8089").len(), 2);
    assert_eq!(drift("#port = 8088", "#prot = 8088").len(), 2);
    assert_eq!(drift("\t#mhd_debug = false", "").len(), 1);
}

#[test]
fn samples_as_they_stand_change_only_what_they_mean_to() {
    let (settings, _) = Settings::from_tree(&jcfg::read_alone(CORE, sample(CORE)).expect("core"));
    let mut expected = Settings::default();
    expected.nat.ice_ignore_list = vec!["vmnet".to_owned()];
    expected.general.protected_folders = settings.general.protected_folders.clone();
    assert_eq!(settings, expected);
    assert!(settings.general.protected_folders.iter().any(|folder| folder == "/etc"));
}

/// Names and defaults of plugin-echotest §6 and of plugin-videoroom §3 and §10.
const ROOM_KEYS: [(&str, &str); 32] = [
    ("description", NONE),
    ("is_private", "false"),
    ("secret", NONE),
    ("pin", NONE),
    ("require_pvtid", "false"),
    ("signed_tokens", "false"),
    ("publishers", "3"),
    ("bitrate", "0"),
    ("bitrate_cap", "false"),
    ("fir_freq", "0"),
    ("audiocodec", "\"opus\""),
    ("videocodec", "\"vp8\""),
    ("vp9_profile", NONE),
    ("h264_profile", NONE),
    ("opus_fec", "true"),
    ("opus_dtx", "false"),
    ("audiolevel_ext", "true"),
    ("audiolevel_event", "false"),
    ("audio_active_packets", "100"),
    ("audio_level_average", "25"),
    ("videoorient_ext", "true"),
    ("playoutdelay_ext", "true"),
    ("transport_wide_cc_ext", "true"),
    ("record", "false"),
    ("rec_dir", NONE),
    ("lock_record", "false"),
    ("notify_joining", "false"),
    ("require_e2ee", "false"),
    ("dummy_publisher", "false"),
    ("dummy_streams", NONE),
    ("dummy_e2ee", "false"),
    ("threads", "0"),
];

#[test]
fn plugin_samples_document_every_key_of_the_reference() -> Result<(), Diagnostic> {
    let names = |package: &str, section: &str| -> Result<Vec<(String, String)>, Diagnostic> {
        let all = documented(sample(package))?.into_iter();
        Ok(all.filter(|one| one.section == section).map(|one| (one.name, one.default)).collect())
    };
    let pair = |name: &str, default: &str| (name.to_owned(), default.to_owned());
    for events_alone in ["janus.plugin.echotest", "janus.plugin.videocall"] {
        assert_eq!(names(events_alone, "general")?, [pair("events", "true")]);
    }
    let room = names("janus.plugin.videoroom", "room-1234")?;
    for (name, default) in ROOM_KEYS {
        assert!(room.contains(&pair(name, default)), "{name} with default {default}");
    }
    assert_eq!(room.len(), ROOM_KEYS.len());
    let general = names("janus.plugin.videoroom", "general")?;
    assert_eq!(
        general,
        [
            pair("admin_key", NONE),
            pair("lock_rtp_forward", "false"),
            pair("events", "true"),
            pair("string_ids", "false"),
        ]
    );
    Ok(())
}
