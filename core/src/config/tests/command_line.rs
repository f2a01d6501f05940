//! The command line.

use crate::config::command_line::HostPort;
use crate::config::settings::{PortRange, RotateSignal};
use crate::config::{CommandLine, Settings};

fn line(arguments: &str) -> CommandLine {
    CommandLine::from_arguments(arguments.split(' ')).expect(arguments)
}

fn applied(arguments: &str) -> Settings {
    let mut settings = Settings::default();
    line(arguments).apply(&mut settings);
    settings
}

/// Every option of transports-auth §14: short name, long name, a value if it takes one.
const OPTIONS: [(&str, &str, &str); 42] = [
    ("-b", "--daemon", ""),
    ("-p", "--pid-file", "/run/x.pid"),
    ("-N", "--disable-stdout", ""),
    ("", "--log-stdout", ""),
    ("-L", "--log-file", "/x.log"),
    ("-R", "--log-rotate-sig", "SIGHUP"),
    ("-l", "--check-openfiles-limits", "4096"),
    ("-H", "--cwd-path", "/srv"),
    ("-i", "--interface", "192.0.2.1"),
    ("-P", "--plugins-folder", "/lib"),
    ("-C", "--config", "/x.jcfg"),
    ("-F", "--configs-folder", "/conf"),
    ("-c", "--cert-pem", "/c.pem"),
    ("-k", "--cert-key", "/c.key"),
    ("-K", "--cert-pwd", "pwd"),
    ("-S", "--stun-server", "stun.example.org:1234"),
    ("-1", "--nat-1-1", "192.0.2.2,2001:db8::2"),
    ("-2", "--keep-private-host", ""),
    ("-E", "--ice-enforce-list", "eth0,10."),
    ("-X", "--ice-ignore-list", "eth1"),
    ("-6", "--ipv6-candidates", ""),
    ("-O", "--ipv6-link-local", ""),
    ("-f", "--full-trickle", ""),
    ("-I", "--ice-lite", ""),
    ("-T", "--ice-tcp", ""),
    ("-Q", "--min-nack-queue", "300"),
    ("-t", "--no-media-timer", "2"),
    ("-W", "--slowlink-threshold", "5"),
    ("-r", "--rtp-port-range", "20000-40000"),
    ("-B", "--twcc-period", "100"),
    ("-n", "--server-name", "sfu"),
    ("-s", "--session-timeout", "30"),
    ("-m", "--reclaim-session-timeout", "10"),
    ("-d", "--debug-level", "6"),
    ("-D", "--debug-timestamps", ""),
    ("-o", "--disable-colors", ""),
    ("-M", "--debug-locks", ""),
    ("-a", "--apisecret", "api"),
    ("-A", "--token-auth", ""),
    ("", "--token-auth-secret", "tok"),
    ("-e", "--event-handlers", ""),
    ("-w", "--no-webrtc-encryption", ""),
];

#[test]
fn every_option_has_its_short_and_its_long_name() {
    let nothing = CommandLine::default();
    for (short, long, value) in OPTIONS {
        let by_long = match value {
            "" => line(&format!("bifrons {long}")),
            value => line(&format!("bifrons {long}={value}")),
        };
        assert_ne!(by_long, nothing, "{long} says something");
        if !short.is_empty() {
            let text = format!("bifrons {short} {value}");
            assert_eq!(line(text.trim()), by_long, "{short} is {long}");
        }
    }
}

#[test]
fn every_option_reaches_its_setting() {
    let arguments: Vec<String> = OPTIONS
        .iter()
        .filter(|(_, long, _)| *long != "--daemon" && *long != "--disable-stdout")
        .map(|(_, long, value)| match *value {
            "" => (*long).to_owned(),
            value => format!("{long}={value}"),
        })
        .collect();
    let settings = applied(&format!("bifrons {}", arguments.join(" ")));
    let Settings { general, certificates, media, nat, events, .. } = settings;
    assert_eq!(general.pid_file.as_deref(), Some("/run/x.pid"));
    assert_eq!(general.log_to_file.as_deref(), Some("/x.log"));
    assert_eq!(general.log_rotate_sig, RotateSignal::Hup);
    assert_eq!(general.check_openfiles_limit, Some(4096));
    assert_eq!(
        (general.daemon_folder.as_str(), general.configs_folder.as_str()),
        ("/srv", "/conf")
    );
    assert_eq!(general.interface.as_deref(), Some("192.0.2.1"));
    assert_eq!(general.plugins_folder.as_deref(), Some("/lib"));
    assert_eq!(general.server_name, "sfu");
    assert_eq!((general.session_timeout_s, general.reclaim_session_timeout_s), (30, 10));
    assert_eq!((general.debug_level, general.debug_timestamps), (6, true));
    assert_eq!((general.debug_colors, general.debug_locks), (false, true));
    assert_eq!(general.api_secret.as_deref(), Some("api"));
    assert_eq!((general.token_auth, general.token_auth_secret.as_deref()), (true, Some("tok")));
    assert!(general.no_webrtc_encryption && events.broadcast && general.log_to_stdout);
    assert_eq!(certificates.cert_pem.as_deref(), Some("/c.pem"));
    assert_eq!(certificates.cert_key.as_deref(), Some("/c.key"));
    assert_eq!(certificates.cert_pwd.as_deref(), Some("pwd"));
    assert_eq!((nat.stun_server.as_deref(), nat.stun_port), (Some("stun.example.org"), 1234));
    assert_eq!(nat.nat_1_1_mapping.len(), 2);
    assert_eq!(nat.ice_enforce_list, ["eth0", "10."]);
    assert_eq!(nat.ice_ignore_list, ["eth1"]);
    assert!(nat.keep_private_host && nat.full_trickle && nat.ice_lite && nat.ice_tcp);
    assert!(media.ipv6 && media.ipv6_linklocal);
    assert_eq!((media.min_nack_queue_ms, media.no_media_timer_s), (300, 2));
    assert_eq!((media.slowlink_threshold, media.twcc_period_ms), (5, 100));
    assert_eq!(media.rtp_port_range, Some(PortRange { low: 20000, high: 40000 }));
}

#[test]
fn standard_output_goes_quiet_in_the_background_unless_told_otherwise() {
    assert!(applied("bifrons").general.log_to_stdout);
    assert!(!applied("bifrons -N").general.log_to_stdout);
    assert!(!applied("bifrons -b").general.log_to_stdout);
    assert!(applied("bifrons -b --log-stdout").general.log_to_stdout);
    assert!(!applied("bifrons -b --log-stdout -N").general.log_to_stdout);
}

#[test]
fn nothing_given_changes_nothing() {
    assert_eq!(applied("bifrons"), Settings::default());
}

#[test]
fn mistakes_show_the_usage_and_exit_1() {
    for wrong in
        ["--nonsense", "-Z", "-d 8", "-r 1", "-s x", "--pid-file", "-S :1", "-1 host", "-R HUP"]
    {
        let exit = CommandLine::from_arguments(format!("bifrons {wrong}").split(' '))
            .expect_err("refused");
        assert_eq!(exit.code, 1, "{wrong}");
        assert!(exit.text.contains("Usage:") && exit.text.contains("--nat-1-1"), "{}", exit.text);
    }
}

#[test]
fn help_and_version_exit_0() {
    for (asked, has) in [
        ("-h", "--reclaim-session-timeout"),
        ("--help", "-1"),
        ("-V", env!("CARGO_PKG_VERSION")),
        ("--version", "bifrons"),
    ] {
        let exit = CommandLine::from_arguments(["bifrons", asked]).expect_err("no start");
        assert_eq!(exit.code, 0, "{asked}");
        assert!(exit.text.contains(has), "{asked}: {}", exit.text);
    }
}

#[test]
fn hosts_come_with_and_without_ports() {
    let parsed = |text: &str| text.parse::<HostPort>().map(|found| (found.host, found.port));
    let host = |host: &str, port| Ok((host.to_owned(), port));
    assert_eq!(parsed("a.example"), host("a.example", None));
    assert_eq!(parsed("a.example:19302"), host("a.example", Some(19302)));
    assert_eq!(parsed("[2001:db8::1]:99"), host("2001:db8::1", Some(99)));
    assert_eq!(parsed("[2001:db8::1]"), host("2001:db8::1", None));
    assert_eq!(parsed("2001:db8::1"), host("2001:db8::1", None));
    assert!(parsed("").is_err() && parsed("a:b").is_err() && parsed("a:70000").is_err());
}

#[test]
fn the_last_of_a_repeated_option_counts() {
    assert_eq!(line("bifrons -n a -b -n b -b").server_name.as_deref(), Some("b"));
}
