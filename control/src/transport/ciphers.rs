//! Which cipher suites and versions a TLS listener speaks, from Janus's key `ciphers`.
//!
//! Janus hands that text to GnuTLS for HTTPS (a priority string, `NORMAL:-VERS-TLS1.2`) and to
//! OpenSSL for WebSockets (a cipher list, `ECDHE+AESGCM:!aNULL`). Both notations are read here, and
//! both name the same nine suites: rustls has AEAD suites with forward secrecy only. What a list
//! takes away of others is taken away already; what it adds of others cannot be had, and is handed
//! back as unknown. As with OpenSSL, a cipher list leaves the suites of TLS 1.3 alone unless it
//! names them. The order of a list means nothing: the client's order decides.

use tokio_rustls::rustls::crypto::ring::ALL_CIPHER_SUITES;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};

/// What a list comes to.
#[derive(Debug)]
pub(super) struct Choice {
    /// The suites, in rustls's order; never empty.
    pub(super) suites: Vec<SupportedCipherSuite>,
    /// The versions that one of them belongs to.
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    /// Words that ask for something that cannot be had or is not known.
    pub(super) unknown: Vec<String>,
}

/// Words that stand for everything there is.
const EVERYTHING: [&str; 8] =
    ["NORMAL", "PFS", "PERFORMANCE", "SECURE128", "DEFAULT", "ALL", "HIGH", "AEAD"];

/// Words that stand for everything with keys of 256 bits.
const STRONG: [&str; 3] = ["SECURE256", "SECURE192", "SUITEB192"];

/// One suite, by its words in both notations.
struct Known {
    suite: CipherSuite,
    /// Words that name the cipher in a priority string, and the suite by itself.
    names: [&'static str; 3],
    /// Words of a cipher list; none for TLS 1.3.
    groups: &'static [&'static str],
}

const ECDHE: [&str; 5] = ["ECDHE", "EECDH", "kECDHE", "kEECDH", "TLSv1.2"];

macro_rules! known {
    ($suite:ident, [$($name:literal),*], $groups:expr) => {
        Known { suite: CipherSuite::$suite, names: [$($name),*], groups: &$groups }
    };
}

const NO_GROUPS: [&str; 0] = [];

const KNOWN: [Known; 9] = [
    known!(
        TLS13_AES_256_GCM_SHA384,
        ["AES-256-GCM", "TLS_AES_256_GCM_SHA384", "TLS13-AES-256-GCM-SHA384"],
        NO_GROUPS
    ),
    known!(
        TLS13_AES_128_GCM_SHA256,
        ["AES-128-GCM", "TLS_AES_128_GCM_SHA256", "TLS13-AES-128-GCM-SHA256"],
        NO_GROUPS
    ),
    known!(
        TLS13_CHACHA20_POLY1305_SHA256,
        ["CHACHA20-POLY1305", "TLS_CHACHA20_POLY1305_SHA256", "TLS13-CHACHA20-POLY1305-SHA256"],
        NO_GROUPS
    ),
    known!(
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        ["AES-256-GCM", "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"],
        ["AES256", "AES", "AESGCM", "SHA384", "ECDHE-ECDSA", "ECDSA", "aECDSA"]
    ),
    known!(
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ["AES-128-GCM", "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
        ["AES128", "AES", "AESGCM", "SHA256", "ECDHE-ECDSA", "ECDSA", "aECDSA"]
    ),
    known!(
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        [
            "CHACHA20-POLY1305",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
        ],
        ["CHACHA20", "ECDHE-ECDSA", "ECDSA", "aECDSA"]
    ),
    known!(
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ["AES-256-GCM", "ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"],
        ["AES256", "AES", "AESGCM", "SHA384", "ECDHE-RSA", "aRSA"]
    ),
    known!(
        TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ["AES-128-GCM", "ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
        ["AES128", "AES", "AESGCM", "SHA256", "ECDHE-RSA", "aRSA"]
    ),
    known!(
        TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        [
            "CHACHA20-POLY1305",
            "ECDHE-RSA-CHACHA20-POLY1305",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
        ],
        ["CHACHA20", "ECDHE-RSA", "aRSA"]
    ),
];

impl Known {
    fn is_tls13(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether a word means this suite; `ECDHE+AESGCM` means what is both.
    fn is_meant(&self, word: &str) -> bool {
        let strong = self.names[0] != "AES-128-GCM";
        word.split('+').all(|part| {
            EVERYTHING.contains(&part)
                || (STRONG.contains(&part) && strong)
                || self.names.contains(&part)
                || self.groups.contains(&part)
                || (!self.is_tls13() && ECDHE.contains(&part))
        })
    }

    /// Whether a word is the name of this suite of TLS 1.3.
    fn is_named(&self, word: &str) -> bool {
        self.is_tls13() && self.names[1..].contains(&word)
    }
}

/// A word of a list, and whether it adds or takes away.
fn words(list: &str) -> impl Iterator<Item = (bool, &str)> {
    let separate = |c: char| matches!(c, ':' | ',' | ';') || c.is_whitespace();
    list.split(separate).filter(|word| !word.is_empty()).map(|word| match word.as_bytes()[0] {
        b'!' | b'-' => (false, &word[1..]),
        b'+' => (true, &word[1..]),
        _ => (true, word),
    })
}

/// Reads a list; none stands for everything.
///
/// # Errors
/// A sentence, when the list leaves nothing to speak.
pub(super) fn choose(list: Option<&str>) -> Result<Choice, String> {
    let list = list.unwrap_or("NORMAL");
    let adds = |of: fn(&Known, &str) -> bool, which: fn(&Known) -> bool| {
        words(list).any(|(add, word)| {
            add && KNOWN.iter().filter(|one| which(one)).any(|one| of(one, word))
        })
    };
    // What nobody speaks of is there.
    let all12 = !adds(Known::is_meant, |one| !one.is_tls13());
    let all13 = !adds(Known::is_named, Known::is_tls13);
    let mut on: Vec<bool> =
        KNOWN.iter().map(|one| if one.is_tls13() { all13 } else { all12 }).collect();
    let (mut tls12, mut tls13, mut unknown) = (true, true, Vec::new());
    for (add, word) in words(list) {
        if let Some(version) = word.strip_prefix("VERS-") {
            match version {
                "TLS1.2" => tls12 = add,
                "TLS1.3" => tls13 = add,
                "TLS-ALL" | "ALL" => (tls12, tls13) = (add, add),
                _ if add => unknown.push(word.to_owned()),
                _ => {}
            }
            continue;
        }
        let mut meant = false;
        for (on, known) in on.iter_mut().zip(&KNOWN) {
            if known.is_meant(word) {
                meant = true;
                *on = add;
            }
        }
        if add && !meant {
            unknown.push(word.to_owned());
        }
    }
    let spoken = |suite: &SupportedCipherSuite| {
        let place = KNOWN.iter().position(|one| one.suite == suite.suite());
        let version = if suite.tls13().is_some() { tls13 } else { tls12 };
        version && place.is_some_and(|place| on[place])
    };
    let suites: Vec<_> = ALL_CIPHER_SUITES.iter().copied().filter(spoken).collect();
    if suites.is_empty() {
        return Err(format!("`ciphers = \"{list}\"` leaves no cipher suite"));
    }
    let has = |tls13: bool| suites.iter().any(|suite| suite.tls13().is_some() == tls13);
    let versions = [(has(true), &TLS13), (has(false), &TLS12)];
    let versions = versions.into_iter().filter(|(on, _)| *on).map(|(_, version)| version);
    Ok(Choice { versions: versions.collect(), suites, unknown })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many suites of TLS 1.3 and of 1.2 a list leaves, and what it asks for in vain.
    fn left(list: &str) -> (usize, usize, String) {
        let choice = choose(Some(list)).expect("something");
        let tls13 = choice.suites.iter().filter(|suite| suite.tls13().is_some()).count();
        (tls13, choice.suites.len() - tls13, choice.unknown.join(" "))
    }

    #[test]
    fn every_suite_that_rustls_has_is_known() {
        assert_eq!(ALL_CIPHER_SUITES.len(), KNOWN.len());
        assert_eq!(choose(None).expect("all").suites.len(), KNOWN.len());
    }

    #[test]
    fn priority_strings_of_gnutls_are_understood() {
        assert_eq!(left("NORMAL"), (3, 6, String::new()));
        assert_eq!(left("NORMAL:-VERS-TLS1.2"), (3, 0, String::new()));
        assert_eq!(left("NORMAL:-VERS-TLS-ALL:+VERS-TLS1.2"), (0, 6, String::new()));
        assert_eq!(left("NORMAL:-AES-128-GCM"), (2, 4, String::new()));
        // The line of Janus's own sample.
        let sample = "PFS:-VERS-TLS1.0:-VERS-TLS1.1:-3DES-CBC:-ARCFOUR-128";
        assert_eq!(left(sample), (3, 6, String::new()));
        assert_eq!(left("SECURE256").1, 4);
    }

    #[test]
    fn cipher_lists_of_openssl_are_understood() {
        assert_eq!(left("ECDHE-RSA-AES128-GCM-SHA256"), (3, 1, String::new()));
        assert_eq!(left("ECDHE+AESGCM:!aNULL:!MD5"), (3, 4, String::new()));
        assert_eq!(left("HIGH:!aECDSA"), (3, 3, String::new()));
        assert_eq!(left("!CHACHA20"), (3, 4, String::new()));
        assert_eq!(left("TLS_AES_128_GCM_SHA256:ECDHE+CHACHA20"), (1, 2, String::new()));
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        assert_eq!(left("AES128-SHA:ECDHE+AES128:@STRENGTH").2, "AES128-SHA @STRENGTH");
        assert_eq!(left("NORMAL:+VERS-TLS1.0").2, "VERS-TLS1.0");
        let nothing = choose(Some("NORMAL:-VERS-TLS-ALL")).expect_err("nothing");
        assert!(nothing.contains("leaves no cipher suite"), "{nothing}");
    }
}
