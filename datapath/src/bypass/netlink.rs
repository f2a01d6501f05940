//! Two netlink sockets: one to ask by, one that is told of changes.
//!
//! Start-up and the resolver's thread only. A socket whose buffer the kernel found full says so
//! once, and then everything has to be asked anew.

use super::message::{Question, Told, read};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// What one read may bring; the kernel sends no more than 32 KiB in one block.
const BLOCK: usize = 64 << 10;
/// Wanted receive buffer: thousands of neighbours may change at once.
const BUFFER: usize = 4 << 20;
/// The kernel answers at once; this is for one that does not.
const PATIENCE: Duration = Duration::from_secs(2);
/// `RTNLGRP_IPV6_RULE` is group 19.
const GROUP_IPV6_RULE: u32 = 1 << 18;

fn open(groups: u32) -> io::Result<Socket> {
    let domain = Domain::from(libc::AF_NETLINK);
    let protocol = Protocol::from(libc::NETLINK_ROUTE);
    let socket = Socket::new(domain, Type::from(libc::SOCK_RAW), Some(protocol))?;
    // SAFETY: the storage is zeroed and large enough for every kind of address; a sockaddr_nl is
    // written into it, and its length is told.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, len| {
            let netlink = storage.cast::<libc::sockaddr_nl>();
            (*netlink).nl_family = libc::AF_NETLINK as u16;
            (*netlink).nl_groups = groups;
            *len = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            Ok(())
        })
    }?;
    socket.bind(&address)?;
    Ok(socket)
}

/// Asks.
#[derive(Debug)]
pub(crate) struct Asker {
    socket: Socket,
    number: u32,
    block: Vec<u8>,
}

impl Asker {
    /// A socket to ask by.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn open() -> io::Result<Self> {
        let socket = open(0)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Asker { socket, number: 0, block: vec![0; BLOCK] })
    }

    /// Asks and waits for the whole answer.
    ///
    /// # Errors
    /// What the kernel says, such as `ENETUNREACH` of a route.
    pub(crate) fn ask(&mut self, question: Question) -> io::Result<Vec<Told>> {
        self.number = self.number.wrapping_add(1);
        self.socket.write_all(&question.bytes(self.number))?;
        let one = matches!(question, Question::Route { .. });
        let mut all = Vec::new();
        loop {
            let len = self.socket.read(&mut self.block)?;
            let block = self.block.get(..len).unwrap_or_default();
            for told in read(block, Some(self.number)) {
                match told {
                    Told::Done => return Ok(all),
                    Told::Refused(0) => {}
                    Told::Refused(error) => return Err(io::Error::from_raw_os_error(error)),
                    told => all.push(told),
                }
            }
            if one && !all.is_empty() {
                return Ok(all);
            }
        }
    }
}

/// Is told of changes of devices, addresses, neighbours, routes and rules.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    block: Vec<u8>,
}

impl Listener {
    /// A socket that hears from now on.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn open() -> io::Result<Self> {
        let groups = libc::RTMGRP_LINK
            | libc::RTMGRP_NEIGH
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV6_ROUTE
            | libc::RTMGRP_IPV4_RULE;
        let socket = open(groups as u32 | GROUP_IPV6_RULE)?;
        socket.set_nonblocking(true)?;
        // A wish: what gets lost is asked anew.
        let _ = socket.set_recv_buffer_size(BUFFER);
        Ok(Listener { socket, block: vec![0; BLOCK] })
    }

    /// What was told since the last call, in order; `None` when there is nothing more.
    ///
    /// # Errors
    /// `ENOBUFS` when something was lost.
    pub(crate) fn hear(&mut self) -> io::Result<Option<Vec<Told>>> {
        match self.socket.read(&mut self.block) {
            Ok(len) => Ok(Some(read(self.block.get(..len).unwrap_or_default(), None))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Some(Vec::new())),
            Err(error) => Err(error),
        }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
