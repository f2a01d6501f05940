//! The program as an operator meets it: what it says and how it ends when it cannot start
//! (transports-auth §14), and what signals do to it.

#[path = "process/configuration.rs"]
mod configuration;
#[path = "process/kills.rs"]
mod kills;
#[path = "process/load.rs"]
mod load;
#[path = "conform/program.rs"]
mod program;

use program::{Program, session};
use std::process::{Command, Output};
use std::time::Duration;

fn bifrons(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_bifrons");
    Command::new(program).args(arguments).output().expect("the program runs")
}

/// Starts without any configuration; must fail with one sentence that holds `words`.
fn refuses(arguments: &[&str], words: &str) {
    let output = bifrons(&[&["-F", "/nonexistent", "-d", "0"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(said.starts_with("bifrons: ") && said.contains(words), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn help_and_version_are_no_failures() {
    let help = bifrons(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("--configs-folder"));
    let version = bifrons(&["--version"]);
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("bifrons "));
}

#[test]
fn an_unknown_option_is_named() {
    let output = bifrons(&["--no-such-option"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--no-such-option"));
}

#[test]
fn transports_auth_52_a_configuration_that_was_asked_for_has_to_be_there() {
    refuses(&["-C", "/nonexistent/janus.jcfg"], "/nonexistent/janus.jcfg");
}

#[test]
fn without_an_address_for_media_there_is_no_start() {
    refuses(&["-E", "no-such-interface"], "ice_enforce_list");
}

#[test]
fn a_limit_of_open_files_that_is_not_met_is_told() {
    refuses(&["-l", "18446744073709551615"], "open files");
}

#[test]
fn half_a_certificate_is_none() {
    refuses(&["-c", "/nonexistent/cert.pem"], "cert_key");
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() {
    refuses(&["-c", "/nonexistent/cert.pem", "-k", "/nonexistent/key.pem"], "/nonexistent/cert");
}

/// A folder of a test's own.
fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("bifrons-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn transports_auth_01_without_a_transport_there_is_no_start() {
    let folder = folder("no-transport");
    let off = "admin: { }";
    for (name, text) in [
        ("janus.jcfg", "media: { rtp_port_range = \"39000-39999\" }".to_owned()),
        ("janus.transport.http.jcfg", format!("general: {{ http = false }} {off}")),
        ("janus.transport.websockets.jcfg", format!("general: {{ ws = false }} {off}")),
    ] {
        std::fs::write(folder.join(name), text).expect("written");
    }
    let output = bifrons(&["-d", "0", "-F", folder.to_str().expect("text")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no transport serves the Janus API"), "{said}");
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn transports_auth_48_tokens_that_nobody_could_add_are_refused() {
    let folder = folder("no-admin");
    let socket = folder.join("ws.sock");
    let socket = socket.to_str().expect("text");
    for (name, text) in [
        (
            "janus.jcfg",
            "general: { token_auth = true }\nmedia: { rtp_port_range = \"39000-39999\" }"
                .to_owned(),
        ),
        ("janus.transport.http.jcfg", "general: { http = false } admin: { }".to_owned()),
        (
            "janus.transport.websockets.jcfg",
            format!("general: {{ ws = true ws_unix = \"{socket}\" }} admin: {{ }}"),
        ),
    ] {
        std::fs::write(folder.join(name), text).expect("written");
    }
    let output = bifrons(&["-d", "0", "-F", folder.to_str().expect("text")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no transport serves it"), "{said}");
    let _ = std::fs::remove_dir_all(&folder);
}

/// Waits for a file to be there.
async fn appears(path: &std::path::Path) {
    for _ in 0..200 {
        if path.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{} does not appear", path.display());
}

/// Waits until a file says something.
async fn says(path: &std::path::Path, words: &str) {
    for _ in 0..400 {
        if std::fs::read_to_string(path).is_ok_and(|text| text.contains(words)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{words}: not in {}", std::fs::read_to_string(path).unwrap_or_default());
}

#[test]
fn sighup_has_certificates_read_anew_and_a_broken_one_is_named() {
    let folder = folder("sighup");
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conform/tls");
    let (log, chain) = (folder.join("server.log"), folder.join("cert.pem"));
    std::fs::copy(here.join("locked.pem"), &chain).expect("copied");
    let key = here.join("locked-key.pem");
    let certificates = format!(
        "certificates: {{ cert_pem = \"{}\" cert_key = \"{}\" cert_pwd = \"sesame\" }}",
        chain.display(),
        key.display()
    );
    let general = format!("general: {{ log_to_file = \"{}\" }}", log.display());
    let mut program = Program::start_secured(&general, &certificates);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        says(&log, "up and running").await;
        program.signal("HUP");
        says(&log, "certificate read anew").await;
        std::fs::copy(here.join("cert.pem"), &chain).expect("copied");
        program.signal("HUP");
        says(&log, "clients go on to see the former certificate").await;
        program.signal("TERM");
        assert_eq!(program.ended(Duration::from_secs(10)).await.code(), Some(0));
    });
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn a_transport_that_cannot_start_is_named_and_the_others_serve() {
    let folder = folder("shut-doors");
    let log = folder.join("server.log");
    let general = format!("general: {{ log_to_file = \"{}\" }}", log.display());
    let unix = "general: { enabled = true path = \"/nonexistent/folder/socket\" }".to_owned();
    let nanomsg = "general: { enabled = true address = \"nonsense\" }".to_owned();
    let http = "general: { http = false https = true secure_port = 1 }".to_owned();
    let files = [
        ("janus.transport.pfunix", unix),
        ("janus.transport.nanomsg", nanomsg),
        ("janus.transport.http", http),
    ];
    let program = Program::start_with(&general, &[], &files);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), async {
        let session = session(&program.url(), Duration::from_secs(10)).await;
        session.keepalive().await.expect("it lives");
    });
    let said = std::fs::read_to_string(&log).expect("text");
    for named in ["Unix sockets", "Nanomsg", "https"] {
        assert!(said.lines().any(|line| line.contains(named) && line.contains("[ERR]")), "{said}");
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// Moves the log away and sends signals; only the configured one brings a new log.
async fn rotates(configured: &str, other: &str) {
    let folder = folder(&format!("log-{configured}"));
    let (log, moved) = (folder.join("server.log"), folder.join("moved.log"));
    let general = format!(
        "general: {{ log_to_file = \"{}\" log_rotate_sig = \"SIG{configured}\" }}",
        log.display()
    );
    let mut program = Program::start(&general, &[]);
    let session = session(&program.url(), Duration::from_secs(10)).await;
    std::fs::rename(&log, &moved).expect("moved");
    program.signal(other);
    // Served, whatever it does, once control answers after it.
    for _ in 0..5 {
        session.keepalive().await.expect("it lives");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!log.exists(), "SIG{other} is not the configured one");
    program.signal(configured);
    appears(&log).await;
    session.keepalive().await.expect("it lives");
    program.signal("TERM");
    assert_eq!(program.ended(Duration::from_secs(10)).await.code(), Some(0));
    let read = |path: &std::path::Path| std::fs::read_to_string(path).expect("text");
    assert!(read(&moved).contains("up and running") && !read(&moved).contains("stopping"));
    assert!(read(&log).contains("stopping"), "{}", read(&log));
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn transports_auth_53_the_configured_signal_opens_the_log_anew() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), async {
        rotates("USR1", "HUP").await;
        rotates("HUP", "USR1").await;
    });
}

#[test]
fn admin_47_and_48_the_json_log_has_an_object_a_line_and_outlives_a_move() {
    let folder = folder("json-log");
    let (log, moved) = (folder.join("lines.json"), folder.join("moved.json"));
    let settings = format!("general: {{ enabled = true filename = \"{}\" }}", log.display());
    let rotation = "general: { debug_timestamps = true log_rotate_sig = \"SIGUSR1\" }";
    let mut program = Program::start_with(rotation, &[], &[("janus.logger.jsonlog", settings)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), async {
        let session = session(&program.url(), Duration::from_secs(10)).await;
        std::fs::rename(&log, &moved).expect("moved");
        program.signal("USR1");
        appears(&log).await;
        session.keepalive().await.expect("it lives");
        program.signal("TERM");
        assert_eq!(program.ended(Duration::from_secs(10)).await.code(), Some(0));
    });
    for (path, words) in [(&moved, "up and running"), (&log, "stopping")] {
        let text = std::fs::read_to_string(path).expect("text");
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("an object a line"))
            .collect();
        let said = |line: &serde_json::Value| line["line"].as_str().unwrap_or_default().to_owned();
        assert!(lines.iter().all(|line| line["timestamp"].as_u64() > Some(1_700_000_000_000_000)));
        assert!(lines.iter().all(|line| said(line).ends_with('\n') && said(line).starts_with('[')));
        assert!(lines.iter().any(|line| said(line).contains(words)), "{text}");
    }
    let _ = std::fs::remove_dir_all(&folder);
}
