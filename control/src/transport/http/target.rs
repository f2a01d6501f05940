//! What a request's path and query say (transports-auth §2.2, §2.5).

/// A path below the base path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Not below the base path.
    Outside,
    /// `B/info`.
    Info,
    /// `B/ping`.
    Ping,
    /// `B`, `B/S` or `B/S/H`. An id is 0 where the component has no leading digits.
    Api {
        /// How many components there were, 0..=2.
        depth: usize,
        /// The session, 0 = none.
        session_id: u64,
        /// The handle, 0 = none.
        handle_id: u64,
    },
    /// More than two components.
    TooDeep,
}

impl Place {
    /// Reads a path against a base path such as `/janus` or `/`.
    pub(super) fn read(base: &str, path: &str) -> Self {
        let base = base.trim_end_matches('/');
        let Some(rest) = path.strip_prefix(base) else { return Place::Outside };
        if !(rest.is_empty() || rest.starts_with('/')) {
            return Place::Outside;
        }
        let mut components = rest.split('/').filter(|component| !component.is_empty());
        let (first, second, third) = (components.next(), components.next(), components.next());
        match (first, second, third) {
            (_, _, Some(_)) => Place::TooDeep,
            (Some("info"), None, None) => Place::Info,
            (Some("ping"), None, None) => Place::Ping,
            _ => Place::Api {
                depth: usize::from(first.is_some()) + usize::from(second.is_some()),
                session_id: first.map_or(0, leading_number),
                handle_id: second.map_or(0, leading_number),
            },
        }
    }
}

/// Leading decimal digits as C's `strtoull` reads them: 0 without any, the largest number beyond
/// the range; a minus sign negates in unsigned arithmetic.
fn leading_number(text: &str) -> u64 {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let step = |sum: u64, byte: u8| {
        sum.checked_mul(10).and_then(|sum| sum.checked_add(u64::from(byte - b'0')))
    };
    let mut number = 0u64;
    for byte in digits.bytes().take_while(u8::is_ascii_digit) {
        match step(number, byte) {
            Some(next) => number = next,
            None => return u64::MAX,
        }
    }
    if negative { number.wrapping_neg() } else { number }
}

/// The query of a long poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PollQuery {
    /// Most events wanted, at least 1.
    pub(super) max_events: usize,
    pub(super) token: Option<String>,
    pub(super) api_secret: Option<String>,
}

impl PollQuery {
    pub(super) fn read(query: &str) -> Self {
        let mut read = PollQuery { max_events: 1, token: None, api_secret: None };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "maxev" => {
                    let wanted = if value.starts_with('-') { 0 } else { leading_number(value) };
                    read.max_events = usize::try_from(wanted.max(1)).unwrap_or(usize::MAX);
                }
                "token" => read.token = decode(value),
                "apisecret" => read.api_secret = decode(value),
                _ => {}
            }
        }
        read
    }
}

/// Undoes percent encoding; `None` if the result is no UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let ahead = rest.clone();
                let mut digits = ahead.map(|byte| char::from(byte).to_digit(16));
                match (digits.next().flatten(), digits.next().flatten()) {
                    (Some(high), Some(low)) => {
                        bytes.push((high * 16 + low) as u8);
                        rest.nth(1);
                    }
                    _ => bytes.push(b'%'),
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(depth: usize, session_id: u64, handle_id: u64) -> Place {
        Place::Api { depth, session_id, handle_id }
    }

    #[test]
    fn paths_below_the_base() {
        let read = |path| Place::read("/janus", path);
        assert_eq!(read("/janus"), api(0, 0, 0));
        assert_eq!(read("/janus/"), api(0, 0, 0));
        assert_eq!(read("/janus/777abc/"), api(1, 777, 0));
        assert_eq!(read("/janus/-1"), api(1, u64::MAX, 0));
        assert_eq!(read("/janus/abc"), api(1, 0, 0));
        assert_eq!(read("/janus/1/2"), api(2, 1, 2));
        assert_eq!(read("/janus/99999999999999999999"), api(1, u64::MAX, 0));
        assert_eq!(read("/janus/info"), Place::Info);
        assert_eq!(read("/janus/ping/"), Place::Ping);
        assert_eq!(read("/janus/1/2/3"), Place::TooDeep);
        assert_eq!(read("/other"), Place::Outside);
        assert_eq!(read("/janusx"), Place::Outside);
        assert_eq!(Place::read("/", "/1/2"), api(2, 1, 2));
        assert_eq!(Place::read("/", "/"), api(0, 0, 0));
    }

    #[test]
    fn the_query_of_a_poll() {
        let max = |query| PollQuery::read(query).max_events;
        assert_eq!(max(""), 1);
        assert_eq!(max("maxev=10&rid=5"), 10);
        assert_eq!(max("maxev=2abc"), 2);
        assert_eq!((max("maxev=0"), max("maxev=-3"), max("maxev=x")), (1, 1, 1));
        let query = PollQuery::read("token=a%2Cb%3A%2b%zz&apisecret=x+y");
        assert_eq!(query.token.as_deref(), Some("a,b:+%zz"));
        assert_eq!(query.api_secret.as_deref(), Some("x y"));
        assert_eq!(PollQuery::read("token=%ff").token, None);
    }
}
