//! Which file is read, and what happens when it is not there (reference: transports-auth §12).
//!
//! The folder is reached through a closure of the caller's, so nothing here does I/O. With no
//! configuration at all, the samples in `conf/` are the configuration: they are part of the
//! program.

use std::io;
use std::path::Path;

use super::command_line::CommandLine;
use super::diagnostic::{Diagnostic, Position};
use super::section::Configured;
use super::settings::Settings;
use super::transport::{
    HttpSettings, MqttSettings, NanomsgSettings, RabbitMqSettings, UnixSettings, WebSocketSettings,
};
use super::tree::Tree;
use super::{ini, jcfg};

/// Name of the core's own file, without its ending.
pub const CORE: &str = "janus";
/// Package of the HTTP transport.
pub const HTTP: &str = "janus.transport.http";
/// Package of the WebSockets transport.
pub const WEBSOCKETS: &str = "janus.transport.websockets";
/// Package of the Unix sockets transport.
pub const UNIX: &str = "janus.transport.pfunix";
/// Package of the RabbitMQ transport.
pub const RABBITMQ: &str = "janus.transport.rabbitmq";
/// Package of the MQTT transport.
pub const MQTT: &str = "janus.transport.mqtt";
/// Package of the Nanomsg transport.
pub const NANOMSG: &str = "janus.transport.nanomsg";

/// Package of the logger that writes JSON.
pub const JSON_LOGGER: &str = "janus.logger.jsonlog";

/// How files are reached: `std::fs::read`, or a table in a test.
pub type ReadFile<'a> = dyn FnMut(&Path) -> io::Result<Vec<u8>> + 'a;

/// The sample of a package, as built into the program.
pub fn embedded(package: &str) -> Option<&'static str> {
    Some(match package {
        CORE => include_str!("../../../conf/janus.jcfg"),
        HTTP => include_str!("../../../conf/janus.transport.http.jcfg"),
        WEBSOCKETS => include_str!("../../../conf/janus.transport.websockets.jcfg"),
        UNIX => include_str!("../../../conf/janus.transport.pfunix.jcfg"),
        RABBITMQ => include_str!("../../../conf/janus.transport.rabbitmq.jcfg"),
        MQTT => include_str!("../../../conf/janus.transport.mqtt.jcfg"),
        NANOMSG => include_str!("../../../conf/janus.transport.nanomsg.jcfg"),
        JSON_LOGGER => include_str!("../../../conf/janus.logger.jsonlog.jcfg"),
        "janus.plugin.echotest" => include_str!("../../../conf/janus.plugin.echotest.jcfg"),
        "janus.eventhandler.sampleevh" => {
            include_str!("../../../conf/janus.eventhandler.sampleevh.jcfg")
        }
        "janus.eventhandler.rabbitmqevh" => {
            include_str!("../../../conf/janus.eventhandler.rabbitmqevh.jcfg")
        }
        "janus.eventhandler.mqttevh" => {
            include_str!("../../../conf/janus.eventhandler.mqttevh.jcfg")
        }
        "janus.eventhandler.nanomsgevh" => {
            include_str!("../../../conf/janus.eventhandler.nanomsgevh.jcfg")
        }
        "janus.eventhandler.wsevh" => include_str!("../../../conf/janus.eventhandler.wsevh.jcfg"),
        "janus.eventhandler.gelfevh" => {
            include_str!("../../../conf/janus.eventhandler.gelfevh.jcfg")
        }
        "janus.plugin.streaming" => include_str!("../../../conf/janus.plugin.streaming.jcfg"),
        "janus.plugin.textroom" => include_str!("../../../conf/janus.plugin.textroom.jcfg"),
        "janus.plugin.videocall" => include_str!("../../../conf/janus.plugin.videocall.jcfg"),
        "janus.plugin.videoroom" => include_str!("../../../conf/janus.plugin.videoroom.jcfg"),
        _ => return None,
    })
}

/// The configuration of a start: what the server and its transports need at once. Plugins ask for
/// their own trees by [`package`](Self::package).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    /// The server's settings, command line included.
    pub settings: Settings,
    /// The HTTP transport's.
    pub http: HttpSettings,
    /// The WebSockets transport's.
    pub websockets: WebSocketSettings,
    /// The Unix sockets transport's.
    pub unix: UnixSettings,
    /// The RabbitMQ transport's.
    pub rabbitmq: RabbitMqSettings,
    /// The MQTT transport's.
    pub mqtt: MqttSettings,
    /// The Nanomsg transport's.
    pub nanomsg: NanomsgSettings,
    /// Whether there was no configuration at all, so that the built-in samples stand in.
    pub is_embedded: bool,
    /// What was found wrong, in the order of reading. A fatal one here is about a transport's
    /// file, which then counts as absent.
    pub diagnostics: Vec<Diagnostic>,
}

impl Configuration {
    /// Reads `janus.jcfg` and the transports' files, and puts the command line over them.
    ///
    /// # Errors
    /// The findings, when the start must end with exit code 1: the file given by `-C` is missing
    /// or broken and the folder has no `janus.cfg` that can stand in; or `janus.jcfg` is there and
    /// broken. (Janus starts with defaults in the latter case, which would drop the secrets that
    /// the file was to set.)
    pub fn load(line: &CommandLine, read: &mut ReadFile<'_>) -> Result<Self, Vec<Diagnostic>> {
        let mut configuration = Self::default();
        let core = core_tree(line, read, &mut configuration.diagnostics)?;
        let has_core = core.is_some();
        configuration.settings = configuration.typed(&core.unwrap_or_default());
        line.apply(&mut configuration.settings);
        let http = configuration.found(HTTP, read);
        let websockets = configuration.found(WEBSOCKETS, read);
        if !has_core && matches!((&http, &websockets), (Found::Absent, Found::Absent)) {
            configuration.is_embedded = true;
            let core = built_in(CORE, &mut configuration.diagnostics);
            configuration.settings = configuration.typed(&core);
            line.apply(&mut configuration.settings);
        }
        let tree = configuration.tree_of(HTTP, http);
        configuration.http = configuration.typed(&tree);
        let tree = configuration.tree_of(WEBSOCKETS, websockets);
        configuration.websockets = configuration.typed(&tree);
        configuration.unix = configuration.of_package(UNIX, read);
        configuration.rabbitmq = configuration.of_package(RABBITMQ, read);
        configuration.mqtt = configuration.of_package(MQTT, read);
        configuration.nanomsg = configuration.of_package(NANOMSG, read);
        Ok(configuration)
    }

    /// The tree of a package (`janus.plugin.videoroom`): `<package>.jcfg`, else `<package>.cfg` of
    /// the folder. Empty when there is none, unless there is no configuration at all: then the
    /// sample. What is found wrong is added to the diagnostics; a broken file counts as absent.
    pub fn package(&mut self, package: &str, read: &mut ReadFile<'_>) -> Tree {
        let found = self.found(package, read);
        self.tree_of(package, found)
    }

    /// Where a package's .jcfg is, which is also where a plugin writes it.
    pub fn package_file(&self, package: &str) -> String {
        join(&self.settings.general.configs_folder, &format!("{package}.jcfg"))
    }

    fn found(&self, package: &str, read: &mut ReadFile<'_>) -> Found {
        in_folder(&self.settings.general.configs_folder, package, read)
    }

    fn tree_of(&mut self, package: &str, found: Found) -> Tree {
        match found {
            Found::Tree(tree, diagnostics) => {
                self.diagnostics.extend(diagnostics);
                return tree;
            }
            Found::Broken(diagnostic) => self.diagnostics.push(diagnostic),
            Found::Absent if self.is_embedded => return built_in(package, &mut self.diagnostics),
            Found::Absent => {
                let file = self.package_file(package);
                let message = "no such file; the defaults are used";
                self.diagnostics.push(Diagnostic::warning(&Position::whole(&file), message));
            }
        }
        Tree::default()
    }

    /// The settings of a module that is off by default: that its file is absent is no news.
    pub fn of_package<C: Configured>(&mut self, package: &str, read: &mut ReadFile<'_>) -> C {
        match self.found(package, read) {
            Found::Absent if !self.is_embedded => C::default(),
            found => {
                let tree = self.tree_of(package, found);
                self.typed(&tree)
            }
        }
    }

    fn typed<C: Configured>(&mut self, tree: &Tree) -> C {
        let (settings, diagnostics) = C::from_tree(tree);
        self.diagnostics.extend(diagnostics);
        settings
    }
}

fn built_in(package: &str, diagnostics: &mut Vec<Diagnostic>) -> Tree {
    let read = jcfg::read_alone("", embedded(package).unwrap_or_default());
    read.unwrap_or_else(|diagnostic| {
        diagnostics.push(diagnostic);
        Tree::default()
    })
}

/// What became of a file.
enum Found {
    Tree(Tree, Vec<Diagnostic>),
    Broken(Diagnostic),
    Absent,
}

/// The core's tree, `None` when there is no file and none was asked for.
fn core_tree(
    line: &CommandLine,
    read: &mut ReadFile<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Option<Tree>, Vec<Diagnostic>> {
    let default = Settings::default().general.configs_folder;
    let folder = line.configs_folder.as_deref().unwrap_or(&default);
    let Some(path) = &line.config else {
        return match in_folder(folder, CORE, read) {
            Found::Tree(tree, found) => {
                diagnostics.extend(found);
                Ok(Some(tree))
            }
            Found::Broken(diagnostic) => Err(vec![diagnostic]),
            Found::Absent => Ok(None),
        };
    };
    let reason = match one(path, read) {
        Found::Tree(tree, found) => {
            diagnostics.extend(found);
            return Ok(Some(tree));
        }
        Found::Broken(diagnostic) => diagnostic,
        Found::Absent => Diagnostic::fatal(&Position::whole(path), "no such file"),
    };
    match one(&join(folder, "janus.cfg"), read) {
        Found::Tree(tree, found) => {
            diagnostics.push(Diagnostic { severity: super::Severity::Warning, ..reason });
            diagnostics.extend(found);
            Ok(Some(tree))
        }
        Found::Broken(other) => Err(vec![reason, other]),
        Found::Absent => Err(vec![reason]),
    }
}

/// `<package>.jcfg`, or `<package>.cfg` if the former does not exist.
fn in_folder(folder: &str, package: &str, read: &mut ReadFile<'_>) -> Found {
    match one(&join(folder, &format!("{package}.jcfg")), read) {
        Found::Absent => one(&join(folder, &format!("{package}.cfg")), read),
        found => found,
    }
}

fn one(path: &str, read: &mut ReadFile<'_>) -> Found {
    let bytes = match read(Path::new(path)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Absent,
        Err(error) => {
            let message = format!("cannot be read: {error}");
            return Found::Broken(Diagnostic::fatal(&Position::whole(path), message));
        }
    };
    let mut diagnostics = Vec::new();
    let text = String::from_utf8(bytes).unwrap_or_else(|error| {
        diagnostics.push(not_utf8(path, &error));
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    });
    let parsed = match path.ends_with(".cfg") {
        true => ini::read(path, &text),
        false => {
            let mut include = |name: &str| included(path, name, read);
            jcfg::read(path, &text, &mut include).map(|tree| (tree, Vec::new()))
        }
    };
    match parsed {
        Ok((tree, found)) => {
            diagnostics.extend(found);
            Found::Tree(tree, diagnostics)
        }
        Err(diagnostic) => Found::Broken(diagnostic),
    }
}

fn not_utf8(path: &str, error: &std::string::FromUtf8Error) -> Diagnostic {
    let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    let mut at = Position::start_of(path.into());
    at.advance(&String::from_utf8_lossy(good));
    Diagnostic::warning(&at, "not UTF-8; the character is replaced")
}

/// Reads an included file: a relative name counts from the folder of the file that was asked for.
fn included(path: &str, name: &str, read: &mut ReadFile<'_>) -> Result<String, String> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let bytes = read(&folder.join(name)).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

fn join(folder: &str, file: &str) -> String {
    Path::new(folder).join(file).to_string_lossy().into_owned()
}
