//! The Debian packages a command needs: looks for what they bring, installs what is missing.
//!
//! What counts is the program or header, not the package's name, so that a Node.js or a Python
//! from elsewhere is as good as Debian's.

use crate::Outcome;
use crate::command::{Invocation, on_path};
use std::path::Path;

/// How to see that a package's content is there.
#[derive(Clone, Copy)]
enum Probe {
    /// An executable on the search path.
    Program(&'static str),
    /// A file at a fixed place.
    File(&'static str),
    /// A library that `pkg-config` knows.
    Library(&'static str),
    /// A module that `python3` can import.
    Python(&'static str),
    /// A statement that Debian's own Python can run: its bindings are for no other.
    DebianPython(&'static str),
    /// A plugin of GStreamer's.
    Gstreamer(&'static str),
}

/// One package and what it is needed for.
#[derive(Clone, Copy)]
pub(crate) struct Package {
    name: &'static str,
    probe: Probe,
}

const fn program(name: &'static str, file: &'static str) -> Package {
    Package { name, probe: Probe::Program(file) }
}

/// To compile the workspace.
pub(crate) const BUILD: &[Package] = &[
    program("gcc", "cc"),
    program("g++", "c++"),
    program("make", "make"),
    program("cmake", "cmake"),
    program("pkg-config", "pkg-config"),
    Package { name: "libssl-dev", probe: Probe::Library("openssl") },
];

/// To fetch the client scripts that the demo page loads.
pub(crate) const CLIENTS: &[Package] = &[program("nodejs", "node"), program("npm", "npm")];

/// To talk to a server inside a network of its own.
pub(crate) const NETWORK: &[Package] = &[
    program("nodejs", "node"),
    program("npm", "npm"),
    program("iproute2", "ip"),
    program("util-linux", "unshare"),
    program("openssl", "openssl"),
];

/// To run browsers and other real clients against the appliance, on top of [`NETWORK`].
pub(crate) const BROWSERS: &[Package] = &[
    program("chromium", "chromium"),
    program("firefox-esr", "firefox-esr"),
    Package { name: "python3-venv", probe: Probe::Python("ensurepip") },
    Package {
        name: "fonts-dejavu-core",
        probe: Probe::File("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
    },
    Package {
        name: "janus-demos",
        probe: Probe::File("/usr/share/janus/demos/mvideoroomtest.html"),
    },
];

/// To read captures back in the tests of the Admin API.
pub(crate) const CAPTURES: &[Package] = &[program("tshark", "tshark")];

/// To tune an interface in a namespace.
pub(crate) const TUNING: &[Package] =
    &[program("ethtool", "ethtool"), program("iproute2", "ip"), program("util-linux", "unshare")];

/// To run the tests of the brokered transports. Debian starts what it installs of these, unless its
/// `policy-rc.d` says no; the tests start their own beside them.
pub(crate) const BROKERS: &[Package] = &[
    Package {
        name: "rabbitmq-server",
        probe: Probe::File("/usr/lib/rabbitmq/bin/rabbitmq-server"),
    },
    program("mosquitto", "mosquitto"),
    program("nanomsg-utils", "nanocat"),
];

/// To start the server as a service manager does.
pub(crate) const SERVICES: &[Package] = &[program("systemd", "systemd-socket-activate")];

/// To give the relay tests a TURN server.
pub(crate) const TURN: &[Package] = &[program("coturn", "turnserver")];

/// To give the RTSP tests a camera (`xtask/e2e/clients/camera.py`).
pub(crate) const CAMERA: &[Package] = &[
    Package {
        name: "gir1.2-gst-rtsp-server-1.0 python3-gi",
        probe: Probe::DebianPython("import gi; gi.require_version('GstRtspServer', '1.0')"),
    },
    plugin("gstreamer1.0-plugins-base", "opus"),
    plugin("gstreamer1.0-plugins-good", "vpx"),
    plugin("gstreamer1.0-plugins-bad", "openh264"),
];

/// A plugin of GStreamer's.
const fn plugin(name: &'static str, file: &'static str) -> Package {
    Package { name, probe: Probe::Gstreamer(file) }
}

/// To feed mountpoints with what their users feed them with.
pub(crate) const SENDERS: &[Package] = &[
    program("ffmpeg", "ffmpeg"),
    program("gstreamer1.0-tools", "gst-launch-1.0"),
    plugin("gstreamer1.0-plugins-base", "videotestsrc"),
    plugin("gstreamer1.0-plugins-good", "vpx"),
];

/// To count instructions.
pub(crate) const VALGRIND: &[Package] = &[program("valgrind", "valgrind")];

/// To compare with a stock Janus.
pub(crate) const STOCK_JANUS: &[Package] = &[program("janus", "janus")];

impl Package {
    fn present(&self) -> bool {
        match self.probe {
            Probe::Program(file) => on_path(file),
            Probe::File(path) => Path::new(path).is_file(),
            Probe::Library(name) => Invocation::new("pkg-config", "--exists").arg(name).holds(),
            Probe::Python(module) => {
                Invocation::new("python3", "-c").arg(format!("import {module}")).holds()
            }
            Probe::Gstreamer(plugin) => Path::new("/usr/lib")
                .join(format!("{}-linux-gnu", std::env::consts::ARCH))
                .join(format!("gstreamer-1.0/libgst{plugin}.so"))
                .is_file(),
            Probe::DebianPython(statement) => {
                Invocation::new("/usr/bin/python3", "-c").arg(statement).holds()
            }
        }
    }
}

/// Makes sure `packages` are there, installing the missing ones when we may.
pub(crate) fn ensure(packages: &[Package]) -> Outcome<()> {
    let missing = names(packages);
    if missing.is_empty() {
        return Ok(());
    }
    if !on_path("apt-get") {
        return Err(format!(
            "this machine lacks {missing} (Debian's package names) and has no apt-get; \
             install them with your own package tool and try again"
        ));
    }
    if !is_root() {
        return Err(format!(
            "some packages are missing; install them with\n\n    \
             sudo apt-get update && sudo apt-get install -y {missing}\n\nand try again"
        ));
    }
    install(&missing)?;
    let left = names(packages);
    if left.is_empty() {
        return Ok(());
    }
    Err(format!("apt-get reported success, yet what {left} should bring is still not found"))
}

/// Unpacks a package below `folder`, whatever it depends on, and installs nothing: for programs in
/// scripts, which need not fit the Node.js that is here, and whose service nobody is to start.
pub(crate) fn unpack(package: &str, folder: &Path) -> Outcome<()> {
    let cannot = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(cannot)?;
    let download =
        || Invocation::new("apt-get", "-q download").arg(package).within(folder).run("fetching it");
    if !on_path("apt-get") {
        return Err(format!("only Debian has {package}, and this machine has no apt-get"));
    }
    if !download()? {
        if is_root() {
            Invocation::new("apt-get", "-qq update").run("refreshing the package lists")?;
        }
        if !download()? {
            return Err(format!("apt-get could not fetch {package}; its message is above"));
        }
    }
    let mut files = std::fs::read_dir(folder).map_err(cannot)?.flatten().map(|entry| entry.path());
    let file = files.find(|path| path.extension().is_some_and(|kind| kind == "deb"));
    let file = file.ok_or_else(|| format!("apt-get fetched no {package}"))?;
    let done = Invocation::new("dpkg-deb", "-x").arg(&file).arg(folder).run("unpacking it")?;
    if done { Ok(()) } else { Err(format!("{} could not be unpacked", file.display())) }
}

/// The missing packages' names, with spaces between.
fn names(packages: &[Package]) -> String {
    let missing: Vec<_> =
        packages.iter().filter(|package| !package.present()).map(|package| package.name).collect();
    missing.join(" ")
}

fn install(missing: &str) -> Outcome<()> {
    let wait = "-o DPkg::Lock::Timeout=300";
    let update = Invocation::new("apt-get", &format!("{wait} -qq update"));
    update.run("refreshing the package lists")?;
    let arguments = format!("{wait} -q install -y --no-install-recommends {missing}");
    let done = Invocation::new("apt-get", &arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run(&format!("installing {missing}"))?;
    if done {
        return Ok(());
    }
    Err(format!("apt-get could not install {missing}; its message is above"))
}

/// Whether we run as root, from the kernel's own account of this process.
pub(crate) fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .and_then(|ids| ids.split_whitespace().nth(1))
            == Some("0")
    })
}
