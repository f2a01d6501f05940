//! Who may come in: address lists and origins (transports-auth §2.1, §2.3, §2.4).

use std::net::IpAddr;

/// An address list. Entries are text prefixes, as operators write them: `192.168.` or `10.0.0.1`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gate {
    /// Empty = everybody may pass.
    pub prefixes: Vec<String>,
    /// `X-Forwarded-For` has to pass as well.
    pub forwarded: bool,
}

impl Gate {
    /// Whether a peer may connect. An IPv4 entry also covers its `::ffff:` form.
    pub fn admits(&self, peer: IpAddr) -> bool {
        if self.prefixes.is_empty() {
            return true;
        }
        let plain = peer.to_canonical().to_string();
        let mapped = format!("::ffff:{plain}");
        let covers = |prefix: &String| plain.starts_with(prefix) || mapped.starts_with(prefix);
        self.prefixes.iter().any(covers)
    }

    /// Whether a request may pass that says it was forwarded for these addresses: the raw header
    /// value counts, so its first address decides, and a request without it passes.
    pub fn admits_forwarded(&self, header: Option<&[u8]>) -> bool {
        let (true, Some(value)) = (self.forwarded, header) else { return true };
        let covers = |prefix: &String| value.starts_with(prefix.as_bytes());
        self.prefixes.is_empty() || self.prefixes.iter().any(covers)
    }
}

/// Which pages may use the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cors {
    /// `allow_origin`; `None` = `*`.
    pub allow_origin: Option<String>,
    /// Whether requests from elsewhere are refused; only with an `allow_origin`.
    pub enforce: bool,
}

impl Cors {
    /// The value of `Access-Control-Allow-Origin`.
    pub fn allowed(&self) -> &str {
        self.allow_origin.as_deref().unwrap_or("*")
    }

    /// Whether a request with this `Origin` (or, lacking that, `Referer`) may pass: a prefix match.
    pub fn admits(&self, origin: Option<&[u8]>) -> bool {
        match (&self.allow_origin, self.enforce) {
            (Some(allowed), true) => origin.is_some_and(|o| o.starts_with(allowed.as_bytes())),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(prefixes: &[&str]) -> Gate {
        Gate { prefixes: prefixes.iter().map(|p| (*p).to_owned()).collect(), forwarded: true }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn transports_auth_23_prefixes_of_addresses() {
        let gate = gate(&["192.168.", "10.0.0.1"]);
        for good in ["192.168.3.4", "::ffff:192.168.3.4", "10.0.0.1", "10.0.0.12"] {
            assert!(gate.admits(ip(good)), "{good}");
        }
        for bad in ["127.0.0.1", "::1", "1.192.168.3"] {
            assert!(!gate.admits(ip(bad)), "{bad}");
        }
        assert!(Gate::default().admits(ip("203.0.113.9")));
        assert!(
            Gate { prefixes: vec!["::ffff:127.".into()], forwarded: false }.admits(ip("127.0.0.1"))
        );
    }

    #[test]
    fn transports_auth_63_the_first_forwarded_address_decides() {
        let mut gate = gate(&["192.168."]);
        assert!(gate.admits_forwarded(None));
        assert!(gate.admits_forwarded(Some(b"192.168.0.9, 203.0.113.1")));
        assert!(!gate.admits_forwarded(Some(b"203.0.113.1, 192.168.0.9")));
        gate.forwarded = false;
        assert!(gate.admits_forwarded(Some(b"203.0.113.1")));
    }

    #[test]
    fn transports_auth_22_origins_match_by_prefix() {
        let cors = Cors { allow_origin: Some("http://good.example".into()), enforce: true };
        assert!(cors.admits(Some(b"http://good.example")));
        assert!(cors.admits(Some(b"http://good.example/page")));
        assert!(!cors.admits(Some(b"http://other.example")) && !cors.admits(None));
        assert!(Cors { allow_origin: None, enforce: true }.admits(None));
    }
}
