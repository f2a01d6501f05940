//! Which file counts, and what beats what.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use crate::config::load::{CORE, HTTP, WEBSOCKETS};
use crate::config::{
    CommandLine, Configuration, Configured, Diagnostic, HttpSettings, Settings, WebSocketSettings,
};

/// A folder in memory.
struct Files(HashMap<&'static str, &'static [u8]>);

impl Files {
    fn new<const N: usize>(files: [(&'static str, &'static str); N]) -> Self {
        Self(files.into_iter().map(|(path, text)| (path, text.as_bytes())).collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let text = path.to_str().and_then(|path| self.0.get(path));
        text.map(|bytes| bytes.to_vec()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn load(&self, arguments: &str) -> Result<Configuration, Vec<Diagnostic>> {
        let line = CommandLine::from_arguments(arguments.split(' ')).expect(arguments);
        Configuration::load(&line, &mut |path| self.read(path))
    }

    fn loaded(&self, arguments: &str) -> Configuration {
        self.load(arguments).unwrap_or_else(|found| panic!("{found:?}"))
    }
}

#[test]
fn transports_auth_50_ini_is_read_when_there_is_no_jcfg() {
    let ini = "[general]\nserver_name = from ini ; comment\nsession_timeout => 7\n";
    let files =
        Files::new([("/c/janus.cfg", ini), ("/c/janus.transport.http.cfg", "[general]\nhttp=yes")]);
    let configuration = files.loaded("bifrons -F /c");
    assert_eq!(configuration.settings.general.server_name, "from ini");
    assert_eq!(configuration.settings.general.session_timeout_s, 7);
    assert!(configuration.http.general.http.enabled && !configuration.is_embedded);
    let both = Files::new([
        ("/c/janus.cfg", ini),
        ("/c/janus.jcfg", "general: { server_name = \"from jcfg\" }"),
    ]);
    let general = both.loaded("bifrons -F /c").settings.general;
    assert_eq!((general.server_name.as_str(), general.session_timeout_s), ("from jcfg", 60));
}

#[test]
fn transports_auth_51_command_line_beats_file_beats_default() {
    let core =
        "general: { session_timeout = 7 server_name = \"file\" configs_folder = \"/elsewhere\" }";
    let files = Files::new([
        ("/c/janus.jcfg", core),
        ("/elsewhere/janus.transport.http.jcfg", "general: { http = true }"),
        ("/c/janus.transport.http.jcfg", "general: { https = true }"),
    ]);
    let general = files.loaded("bifrons -C /c/janus.jcfg -s 9").settings.general;
    assert_eq!((general.session_timeout_s, general.server_name.as_str()), (9, "file"));
    assert_eq!(general.candidates_timeout_s, 45);
    let http = files.loaded("bifrons -C /c/janus.jcfg").http.general;
    assert!(http.http.enabled && !http.https.enabled, "the file names the folder");
    let http = files.loaded("bifrons -C /c/janus.jcfg -F /c").http.general;
    assert!(http.https.enabled && !http.http.enabled, "the command line names the folder");
}

#[test]
fn transports_auth_52_a_missing_file_asked_for_ends_the_start() {
    let found = Files::new([]).load("bifrons -C /gone.jcfg").expect_err("exit 1");
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["/gone.jcfg: no such file"]
    );
    let found =
        Files::new([("/x.jcfg", "general: {")]).load("bifrons -C /x.jcfg").expect_err("exit 1");
    assert!(found.iter().all(Diagnostic::is_fatal));
    let files = Files::new([("/c/janus.cfg", "[general]\nserver_name=fallback"), ("/x.jcfg", "{")]);
    for arguments in ["bifrons -C /gone.jcfg -F /c", "bifrons -C /x.jcfg -F /c"] {
        let configuration = files.loaded(arguments);
        assert_eq!(configuration.settings.general.server_name, "fallback");
        assert!(configuration.diagnostics.iter().all(|found| !found.is_fatal()));
        assert!(!configuration.diagnostics.is_empty(), "the missing file is reported");
    }
}

#[test]
fn a_broken_core_file_never_starts_a_server_without_its_secrets() {
    let broken = Files::new([
        ("/etc/janus/janus.jcfg", "general: { api_secret = \"s\" "),
        ("/etc/janus/janus.cfg", "[general]\n"),
    ]);
    let found = broken.load("bifrons").expect_err("exit 1");
    assert!(found[0].is_fatal() && found[0].line == 1, "{found:?}");
}

#[test]
fn nothing_at_all_gives_the_built_in_samples() {
    let files = Files::new([]);
    let mut configuration = files.loaded("bifrons -n mine");
    assert!(configuration.is_embedded);
    assert_eq!(configuration.diagnostics, []);
    assert_eq!(configuration.settings.general.server_name, "mine");
    let http = &configuration.http.general;
    assert_eq!(
        (http.http.enabled, http.http.port, http.base_path.as_str()),
        (true, 8088, "/janus")
    );
    let ws = &configuration.websockets.general.ws;
    assert_eq!((ws.enabled, ws.port), (true, 8188));
    assert!(!configuration.http.admin.http.enabled && !configuration.websockets.admin.ws.enabled);
    let rooms = configuration.package("janus.plugin.videoroom", &mut |path| files.read(path));
    let room = rooms.group("room-1234").expect("the demo room");
    assert_eq!(room.get_str("description").as_deref(), Some("Demo Room"));
    assert_eq!((room.get_u64("publishers"), room.get_u64("bitrate")), (Some(6), Some(128_000)));
    let other = configuration.package("janus.plugin.unknown", &mut |path| files.read(path));
    assert!(other.entries().is_empty());
}

#[test]
fn one_file_is_enough_to_leave_the_samples_out() {
    let files = Files::new([("/etc/janus/janus.transport.http.jcfg", "general: { http = true }")]);
    let mut configuration = files.loaded("bifrons");
    assert!(!configuration.is_embedded && configuration.http.general.http.enabled);
    assert!(!configuration.websockets.general.ws.enabled, "a missing file means defaults");
    assert_eq!(configuration.diagnostics.len(), 1, "and a warning");
    let rooms = configuration.package("janus.plugin.videoroom", &mut |path| files.read(path));
    assert!(rooms.entries().is_empty());
    assert_eq!(
        configuration.package_file("janus.plugin.videoroom"),
        "/etc/janus/janus.plugin.videoroom.jcfg"
    );
}

#[test]
fn a_broken_transport_file_counts_as_absent_and_is_reported() {
    let files = Files::new([
        ("/etc/janus/janus.transport.http.jcfg", "general: { http = true"),
        ("/etc/janus/janus.transport.http.cfg", "[general]\nhttp = true"),
    ]);
    let configuration = files.loaded("bifrons");
    assert!(!configuration.http.general.http.enabled);
    assert!(configuration.diagnostics.iter().any(Diagnostic::is_fatal));
}

#[test]
fn includes_count_from_the_folder_of_the_file() {
    let files = Files::new([
        ("/c/janus.jcfg", "@include \"more/secrets.jcfg\""),
        ("/c/more/secrets.jcfg", "general: { api_secret = \"s\" }"),
    ]);
    let general = files.loaded("bifrons -F /c").settings.general;
    assert_eq!(general.api_secret.as_deref(), Some("s"));
}

#[test]
fn bytes_that_are_not_utf8_are_reported_not_refused() {
    let mut files = Files::new([]);
    files.0.insert("/etc/janus/janus.jcfg", b"# caf\xe9\ngeneral: { server_name = \"x\" }");
    let configuration = files.loaded("bifrons");
    assert_eq!(configuration.settings.general.server_name, "x");
    let first = configuration.diagnostics.first().expect("a warning");
    assert_eq!((first.line, first.column, first.is_fatal()), (1, 6, false));
}

#[test]
fn a_file_that_cannot_be_read_is_not_taken_for_missing() {
    let line = CommandLine::default();
    let mut refuse = |_: &Path| Err(io::Error::from(io::ErrorKind::PermissionDenied));
    let found = Configuration::load(&line, &mut refuse).expect_err("exit 1");
    assert!(found[0].message.contains("cannot be read"), "{found:?}");
}

/// Debian's package `janus` leaves the files of a stock install here.
const STOCK: &str = "/etc/janus";
/// Debian writes two paths without quotes into this one, which libconfig refuses as well: a stock
/// Janus starts without its MQTT transport.
const BROKEN_BY_DEBIAN: &str = "/etc/janus/janus.transport.mqtt.jcfg";

#[test]
fn the_files_of_a_stock_install_load_without_a_fatal_finding() {
    let Ok(folder) = std::fs::read_dir(STOCK) else {
        println!("{STOCK} is not there: nothing to check against");
        return;
    };
    let mut configuration =
        Configuration::load(&CommandLine::default(), &mut |path| std::fs::read(path))
            .unwrap_or_else(|found| panic!("{found:?}"));
    let mut packages = 0;
    for entry in folder.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(package) = name.strip_suffix(".jcfg") else { continue };
        let tree = configuration.package(package, &mut |path| std::fs::read(path));
        packages += usize::from(!tree.entries().is_empty());
        let written = crate::config::jcfg::write(&tree).expect("writable");
        assert_eq!(crate::config::jcfg::read_alone(package, &written).as_ref(), Ok(&tree));
    }
    let findings =
        configuration.diagnostics.iter().filter(|found| &*found.file != BROKEN_BY_DEBIAN);
    let findings: Vec<&Diagnostic> = findings.collect();
    assert!(findings.iter().all(|found| !found.is_fatal()), "{findings:#?}");
    assert!(packages > 0, "{STOCK} has files");
    println!("{packages} packages; findings: {findings:#?}");
}

#[test]
fn the_constants_name_the_packages() {
    for (package, keys) in [
        (CORE, Settings::keys().len()),
        (HTTP, HttpSettings::keys().len()),
        (WEBSOCKETS, WebSocketSettings::keys().len()),
    ] {
        let documented =
            crate::config::sample::documented(crate::config::embedded(package).expect("a sample"));
        assert_eq!(documented.map(|all| all.len()), Ok(keys), "{package}");
    }
}
