//! Texts nobody should send.

use proptest::prelude::*;

use super::super::*;
use super::*;

#[test]
fn fixtures_come_back_byte_for_byte_and_survive_the_fuzz_entry() {
    for (name, text) in ALL {
        assert_eq!(parse(text).to_string(), text, "{name}");
        fuzz_sdp(text.as_bytes());
    }
}

/// One line of an SDP: mostly lines that mean something, some that only look so.
fn line() -> impl Strategy<Value = String> {
    let real: Vec<String> =
        ALL.iter().flat_map(|(_, text)| text.lines().map(str::to_owned)).collect();
    let attribute = (
        prop::sample::select(vec![
            "mid",
            "rid",
            "simulcast",
            "ssrc",
            "ssrc-group",
            "extmap",
            "rtpmap",
            "fmtp",
            "rtcp-fb",
            "msid",
            "setup",
            "fingerprint",
            "group",
            "candidate",
            "sctp-port",
            "ice-ufrag",
        ]),
        "[ -~é]{0,24}",
    );
    prop_oneof![
        4 => prop::sample::select(real),
        2 => attribute.prop_map(|(name, value)| format!("a={name}:{value}")),
        1 => "m=(audio|video|application|text) [0-9]{1,5} [A-Z/]{1,12}( [0-9]{1,3}){1,4}",
        1 => "[a-z]=[ -~]{1,20}",
        1 => Just(String::new()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let ending = prop_oneof![Just("\r\n"), Just("\n")];
    prop::collection::vec((line(), ending), 0..60).prop_map(|lines| {
        let head = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nm=audio 9 RTP/SAVPF 111\r\n\
                    a=rtpmap:111 opus/48000/2\r\n";
        let rest: String = lines.into_iter().map(|(line, ending)| line + ending).collect();
        format!("{head}{rest}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_parses_comes_back(text in text()) {
        if let Ok(sdp) = Sdp::parse(&text) {
            prop_assert_eq!(sdp.to_string(), text);
        }
    }

    #[test]
    fn mixed_lines_pass_the_fuzz_entry(text in text()) {
        fuzz_sdp(text.as_bytes());
    }

    #[test]
    fn changed_bytes_pass_the_fuzz_entry(
        which in 0..ALL.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = ALL[which].1.as_bytes().to_vec();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte & 0x7F;
        }
        fuzz_sdp(&bytes);
    }
}

#[test]
fn hostile_lists_are_bounded() {
    let ssrcs: String = (0..500).map(|n| format!("a=ssrc:{n} cname:x\r\n")).collect();
    let rids: String = (0..500).map(|n| format!("a=rid:{n} send\r\n")).collect();
    let types: String = (0..20_000).map(|n| format!(" {}", n % 200)).collect();
    let text = format!("{CHROMIUM}{ssrcs}{rids}m=video 9 UDP/TLS/RTP/SAVPF{types}\r\n");
    let sdp = parse(&text);
    assert_eq!(sdp.media[2].ssrcs().len(), MAX_SSRCS);
    assert_eq!(RidMirror::of(&sdp.media[2]).map(|mirror| mirror.rids.len()), Some(MAX_RIDS));
    assert_eq!(sdp.media[3].payload_types().len(), 128);
    let long = parse(&CHROMIUM_RIDS.replace("a=rid:h send", "a=rid:sixteen-letters- send"));
    assert_eq!(RidMirror::of(&long.media[1]).map(|mirror| mirror.rids.len()), Some(2));
}

/// As many lines as a text may have, all of a kind that something is looked up in.
#[test]
fn longest_sections_pass_the_fuzz_entry() {
    let types: String = (0..128).map(|n| format!(" {n}")).collect();
    let head = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\na=ice-ufrag:abcd\r\na=ice-pwd:{0}\r\n\
         a=fingerprint:sha-256 {1}\r\nm=video 9 RTP/SAVPF{types}\r\na=rtcp-fb:* nack\r\n",
        "p".repeat(22),
        FINGERPRINT,
    );
    let maps = |name: &str| -> String {
        (0..128).map(|n| format!("a=rtpmap:{n} {name}/90000\n")).collect()
    };
    let fill = |line: &dyn Fn(usize) -> String| -> String { (0..7900).map(line).collect() };
    let texts = [
        format!("{head}{}", fill(&|n| format!("a=rtpmap:{} rtx/90000\n", n % 128))),
        format!("{head}{}{}", maps("H264"), fill(&|_| "a=fmtp:127 x\n".into())),
        format!("{head}{}{}", maps("VP8"), fill(&|_| "a=rtcp-fb:127 nack\n".into())),
        format!("{head}{}{}", maps("VP8"), fill(&|n| format!("a=extmap:{} u\n", n % 250 + 1))),
        format!("{head}{}", fill(&|n| format!("a=ssrc-group:FID {n} 2\n"))),
        format!("{head}{}", fill(&|n| format!("a=rid:{n} send\n"))),
        format!("{head}{}", "m=video 9 RTP/SAVPF 96\n".repeat(255)),
    ];
    for text in texts {
        assert!(Sdp::parse(&text).is_ok());
        fuzz_sdp(text.as_bytes());
    }
}
