//! Typed settings: coercion, bounds, findings.

use crate::config::settings::{Engine, IceNomination, Media, PortRange, Setup, TurnType};
use crate::config::transport::JsonStyle;
use crate::config::{Configured, Diagnostic, HttpSettings, Settings, WebSocketSettings, jcfg};

fn read<C: Configured>(text: &str) -> (C, Vec<Diagnostic>) {
    C::from_tree(&jcfg::read_alone("t.jcfg", text).expect("the grammar"))
}

fn clean<C: Configured>(text: &str) -> C {
    let (settings, diagnostics) = read(text);
    assert_eq!(diagnostics, [], "{text}");
    settings
}

fn messages(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(ToString::to_string).collect()
}

#[test]
fn transports_auth_49_scalars_as_strings() {
    let ports = [r#"port = 9999"#, r#"port = "9999""#, r#"PORT: 0x270F"#, r#"port = " 9999 ""#];
    for port in ports {
        let settings: HttpSettings = clean(&format!("general: {{ {port} }}"));
        assert_eq!(settings.general.http.port, 9999, "{port}");
    }
    for yes in ["true", "TRUE", "\"true\"", "\"yes\"", "\"YES\"", "1", "\"1\""] {
        let settings: HttpSettings = clean(&format!("General: {{ http = {yes} }}"));
        assert!(settings.general.http.enabled, "{yes}");
    }
    for no in ["false", "\"no\"", "0"] {
        let settings: HttpSettings = clean(&format!("general: {{ events = {no} }}"));
        assert!(!settings.general.events, "{no}");
    }
    let (settings, diagnostics) = read::<HttpSettings>("general: { events = \"on\" }");
    assert!(!settings.general.events, "anything else is false, and said so");
    assert_eq!(diagnostics.len(), 1);
    let settings: Settings = clean("general: { api_secret = 1234 admin_secret = 1.5 }");
    assert_eq!(settings.general.api_secret.as_deref(), Some("1234"));
    assert_eq!(settings.general.admin_secret.as_deref(), Some("1.5"));
}

#[test]
fn bad_values_name_the_place_and_leave_the_default() {
    let text = "general: {\n  session_timeout = -1\n  debug_level = 8\n  server_name = \"\"\n\
                log_rotate_sig = \"SIGINT\" interface = { }\n}\n\
                media: { twcc_period = 0 rtp_port_range = \"many\" dscp = 64 }\n\
                nat: { stun_port = 70000, turn_type = \"quic\", nat_1_1_mapping = \"192.0.2.1,x\" }";
    let (settings, diagnostics) = read::<Settings>(text);
    let mut expected = Settings::default();
    expected.nat.nat_1_1_mapping = vec!["192.0.2.1".parse().expect("an address")];
    assert_eq!(settings, expected);
    assert_eq!(
        messages(&diagnostics),
        [
            "t.jcfg:2:3: `session_timeout` expects an integer from 0 to 4294967295 seconds, found -1; 60 stays",
            "t.jcfg:3:3: `debug_level` expects an integer from 0 to 7, found 8; 4 stays",
            "t.jcfg:4:3: `server_name` expects a text that is not empty, found ; \"MyJanusInstance\" stays",
            "t.jcfg:5:1: `log_rotate_sig` expects one of none, SIGUSR1, SIGHUP, found SIGINT; \"none\" stays",
            "t.jcfg:5:27: `interface` expects a text, found a group; none stays",
            "t.jcfg:7:10: `twcc_period` expects an integer from 1 to 10000 milliseconds, found 0; 200 stays",
            "t.jcfg:7:26: `rtp_port_range` expects a port range such as \"20000-40000\", found many; none stays",
            "t.jcfg:7:50: `dscp` expects an integer from 0 to 63, found 64; 0 stays",
            "t.jcfg:8:8: `stun_port` expects an integer from 1 to 65535, found 70000; 3478 stays",
            "t.jcfg:8:27: `turn_type` expects one of udp, tcp, tls, found quic; \"udp\" stays",
            "t.jcfg:8:47: `nat_1_1_mapping` expects IP addresses; x left out",
        ]
    );
    assert!(diagnostics.iter().all(|found| !found.is_fatal()));
}

#[test]
fn unknown_names_are_reported_and_ignored() {
    let (settings, diagnostics) = read::<Settings>(
        "general: { sesion_timeout = 1 }\nmedia = 1 extra: { a = 1 } nat: { ipv6 = true Ice_Lite = true ice_lite = false }",
    );
    let mut expected = Settings::default();
    expected.nat.ice_lite = true;
    assert_eq!(settings, expected);
    assert_eq!(
        messages(&diagnostics),
        [
            "t.jcfg:1:12: unknown key `sesion_timeout` in `general` ignored",
            "t.jcfg:2:1: `media` expects a group in { }; ignored",
            "t.jcfg:2:11: unknown section `extra` ignored",
            "t.jcfg:2:35: unknown key `ipv6` in `nat` ignored",
            "t.jcfg:2:63: `ice_lite` is set twice; the first counts",
        ]
    );
}

#[test]
fn a_file_full_of_nonsense_does_not_flood_the_log() {
    let text: String = (0..5000).map(|index| format!("x{index} = 1\n")).collect();
    let (_, diagnostics) = read::<Settings>(&format!("general: {{ {text} }}"));
    assert_eq!(diagnostics.len(), crate::config::diagnostic::MAX_DIAGNOSTICS);
}

#[test]
fn words_lists_and_legacy_names_are_understood() {
    let settings: Settings = clean(
        "general: { protected_folders = [ \"/a\", \"/b b\" ] }\n\
         plugins: { disable = \"libjanus_voicemail.so, libjanus_sip.so\" }\n\
         events: { broadcast = yes }\n\
         nat: { nice_debug = true libnice_debug = \"x\" ice_nomination = \"Regular\" turn_type = \"TLS\"\n\
         ice_enforce_list = \"eth0, eth1\" }\n\
         media: { dscp_tos = 46 }\n\
         datapath: { engine = \"io_uring\" affinity = [ 1, \"4-6\" ] setup = \"active\" shards = 4 }"
            .replace("= yes", "= \"yes\"")
            .as_str(),
    );
    assert_eq!(settings.general.protected_folders, ["/a", "/b b"]);
    assert!(settings.plugins.is_disabled("voicemail") && settings.plugins.is_disabled("sip"));
    assert!(!settings.plugins.is_disabled("echotest") && settings.events.broadcast);
    assert_eq!(
        (settings.nat.ice_nomination, settings.nat.turn_type),
        (IceNomination::Regular, TurnType::Tls)
    );
    assert_eq!(settings.nat.ice_enforce_list, ["eth0", " eth1"], "a leading space is kept");
    assert_eq!(settings.media.dscp, 46);
    assert_eq!(settings.datapath.engine, Engine::IoUring);
    assert_eq!(settings.datapath.affinity, [1, 4, 5, 6]);
    assert_eq!((settings.datapath.setup, settings.shards()), (Setup::Active, Some(4)));
}

#[test]
fn event_loops_stand_in_for_shards() {
    assert_eq!(Settings::default().shards(), None);
    assert_eq!(clean::<Settings>("general: { event_loops = 3 }").shards(), Some(3));
    let both = "general: { event_loops = 3 } datapath: { shards = 2 }";
    assert_eq!(clean::<Settings>(both).shards(), Some(2));
}

#[test]
fn port_ranges_are_put_in_order_and_give_each_shard_a_port() {
    let media = |text: &str| Media { rtp_port_range: text.parse().ok(), ..Media::default() };
    assert_eq!("40000-20000".parse(), Ok(PortRange { low: 20000, high: 40000 }));
    assert_eq!(" 20000 - 0 ".parse(), Ok(PortRange { low: 20000, high: 65535 }));
    assert!("1".parse::<PortRange>().is_err() && "1-x".parse::<PortRange>().is_err());
    assert_eq!(
        (Media::default().rtp_port_base(), Media::default().shard_port(3)),
        (9000, Some(9003))
    );
    assert_eq!(media("20000-20001").shard_port(1), Some(20001));
    assert_eq!(media("20000-20001").shard_port(2), None);
    assert_eq!(media("65535-0").shard_port(1), None);
    assert_eq!(media("0-0").rtp_port_base(), 9000);
    assert_eq!(media("0-8000").rtp_port_base(), 1024);
}

#[test]
fn http_paths_are_normalised() {
    let path = |text: &str| clean::<HttpSettings>(text).general.base_path;
    assert_eq!(path("general: { base_path = \"/api/\" }"), "/api");
    assert_eq!(path("general: { base_path = \"/\" }"), "/");
    let (settings, found) = read::<HttpSettings>("general: { base_path = \"api\" }");
    assert_eq!((settings.general.base_path.as_str(), found.len()), ("/janus", 1));
}

#[test]
fn the_forwarded_flag_of_the_admin_list_counts_in_both_places() {
    for section in ["general", "admin"] {
        let text = format!("{section}: {{ admin_acl_forwarded = true }}");
        assert!(clean::<HttpSettings>(&text).admin.acl_forwarded, "{section}");
        let text = format!("{section}: {{ admin_ws_acl_forwarded = true }}");
        assert!(clean::<WebSocketSettings>(&text).admin.acl_forwarded, "{section}");
    }
}

#[test]
fn json_styles_have_names() {
    let style =
        |word: &str| read::<WebSocketSettings>(&format!("general: {{ json = \"{word}\" }}"));
    assert_eq!(style("indented").0.general.json, JsonStyle::Indented);
    assert_eq!(style("plain").0.general.json, JsonStyle::Plain);
    let (settings, found) = style("pretty");
    assert_eq!((settings.general.json, found.len()), (JsonStyle::Compact, 1));
}

#[test]
fn pings_need_both_times() {
    let settings: WebSocketSettings =
        clean("general: { pingpong_trigger = 30 pingpong_timeout = 10 }");
    assert_eq!(settings.general.ping_pong_s(), Some((30, 10)));
    let (settings, found) = read::<WebSocketSettings>("general: { pingpong_trigger = 30 }");
    assert_eq!((settings.general.ping_pong_s(), found.len()), (None, 1));
}

#[test]
fn websocket_log_levels_are_names_or_a_number() {
    let settings: WebSocketSettings =
        clean("general: { ws_logging = \"err, warn notice\" ws_acl = \"10., 192.168.\" }");
    assert_eq!(settings.general.logging, ["err", "warn", "notice"]);
    assert_eq!(settings.general.acl, ["10.", "192.168."]);
    let (settings, found) = read::<WebSocketSettings>("general: { ws_logging = \"err, loud\" }");
    assert_eq!((settings.general.logging.len(), found.len()), (1, 1));
    let settings: WebSocketSettings = clean("certificates: { cert_pem = \"/c.pem\" }");
    assert_eq!(settings.certificates.key_file(), Some("/c.pem"));
}
