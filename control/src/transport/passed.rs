//! Sockets that a service manager opened for us, and which listener each of them is for.
//!
//! The files say what is served, as ever; a passed socket stands in for the one that a listener
//! would open. A stream socket is for the listener of its port or path. Unix sockets of packets or
//! datagrams are for the listener of their path, else, as with Janus, the first one is the Janus
//! API's and the second one the Admin API's (transports-auth §7).

use super::Bind;
use socket2::{SockRef, Type};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A socket that is open and bound already.
#[derive(Clone, Debug)]
pub struct Passed(Rc<OwnedFd>);

impl PartialEq for Passed {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Passed {}

impl AsFd for Passed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Passed {
    /// A descriptor of the same socket, which does not wait.
    pub(super) fn to_owned_fd(&self) -> std::io::Result<OwnedFd> {
        SockRef::from(self).set_nonblocking(true)?;
        self.0.try_clone()
    }
}

/// Where a socket is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Internet(SocketAddr),
    Path(PathBuf),
}

/// One socket nobody has taken yet.
#[derive(Debug)]
struct Waiting {
    socket: Passed,
    kind: Type,
    place: Place,
}

/// Those nobody has taken yet, in the order in which they were passed.
#[derive(Debug, Default)]
pub struct PassedSockets(Vec<Waiting>);

impl PassedSockets {
    /// Takes what was passed. What is no socket that could serve anybody is closed, and the log
    /// says so.
    pub fn new(descriptors: Vec<OwnedFd>) -> Self {
        let look = |descriptor: OwnedFd| {
            let socket = Passed(Rc::new(descriptor));
            let found = describe(&socket).map(|(kind, place)| Waiting { socket, kind, place });
            if found.is_none() {
                tracing::warn!("a passed descriptor is no socket that listens; closed");
            }
            found
        };
        PassedSockets(descriptors.into_iter().filter_map(look).collect())
    }

    /// Where a listener of streams is to listen: the passed socket, if there is one for it.
    pub fn stand_in(&mut self, bind: Bind) -> Bind {
        let fits = |waiting: &Waiting| match (&waiting.place, &bind) {
            (Place::Internet(at), Bind::Tcp { ip, port, .. }) => {
                at.port() == *port && ip.is_none_or(|ip| ip == at.ip())
            }
            (Place::Path(at), Bind::Unix(path)) => at == path,
            _ => false,
        };
        self.take(|waiting| waiting.kind == Type::STREAM && fits(waiting))
            .map_or(bind, Bind::Passed)
    }

    /// The socket of packets (or datagrams) for the listener of `path`, if one was passed.
    pub fn messages(&mut self, kind: Type, path: Option<&Path>) -> Option<Passed> {
        let its_own = |waiting: &Waiting| match &waiting.place {
            Place::Path(at) => Some(at.as_path()) == path,
            Place::Internet(_) => false,
        };
        let of_kind =
            |waiting: &Waiting| waiting.kind == kind && matches!(waiting.place, Place::Path(_));
        self.take(|waiting| of_kind(waiting) && its_own(waiting)).or_else(|| self.take(of_kind))
    }

    fn take(&mut self, fits: impl Fn(&Waiting) -> bool) -> Option<Passed> {
        let at = self.0.iter().position(fits)?;
        Some(self.0.remove(at).socket)
    }

    /// Names those that no listener took; they are closed.
    pub fn name_the_rest(self) {
        for Waiting { place, .. } in self.0 {
            let place = match place {
                Place::Internet(at) => at.to_string(),
                Place::Path(at) => at.display().to_string(),
            };
            tracing::warn!(place, "a socket was passed for which no listener is switched on");
        }
    }
}

/// Kind and place of a socket that others may reach.
fn describe(socket: &Passed) -> Option<(Type, Place)> {
    let socket = SockRef::from(socket);
    let kind = socket.r#type().ok()?;
    if kind != Type::DGRAM && !socket.is_listener().ok()? {
        return None;
    }
    let address = socket.local_addr().ok()?;
    let place = match address.as_socket() {
        Some(at) => Place::Internet(at),
        None => Place::Path(address.as_pathname()?.to_owned()),
    };
    Some((kind, place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    fn tcp(port: u16) -> Bind {
        Bind::Tcp { ip: None, interface: None, port }
    }

    #[test]
    fn streams_go_to_their_port_or_path() {
        let folder = std::env::temp_dir().join(format!("bifrons-passed-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (path, other) = (folder.join("stream"), folder.join("other"));
        let web = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = web.local_addr().unwrap().port();
        let unix = UnixListener::bind(&path).unwrap();
        let messages = UnixDatagram::bind(&other).unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let mut passed =
            PassedSockets::new(vec![file.into(), web.into(), unix.into(), messages.into()]);
        assert_eq!(passed.0.len(), 3, "a file serves nobody");
        assert_eq!(passed.stand_in(tcp(1)), tcp(1));
        let elsewhere = Bind::Tcp { ip: Some([127, 0, 0, 2].into()), interface: None, port };
        assert_eq!(passed.stand_in(elsewhere.clone()), elsewhere);
        assert!(matches!(passed.stand_in(tcp(port)), Bind::Passed(_)));
        assert_eq!(passed.stand_in(tcp(port)), tcp(port), "taken");
        assert!(matches!(passed.stand_in(Bind::Unix(path)), Bind::Passed(_)));
        // Datagrams come after those of their path in the order they were passed.
        assert!(passed.messages(Type::SEQPACKET, None).is_none());
        assert!(passed.messages(Type::DGRAM, Some(Path::new("/elsewhere"))).is_some());
        assert!(passed.0.is_empty());
        let _ = std::fs::remove_dir_all(&folder);
    }
}
