//! Descriptions as clients send them.

use bifrons_core::plugin::{Jsep, JsepKind, OutgoingJsep};
use bifrons_core::sdp::Sdp;

/// A description of these m-lines, each line ended by CRLF.
///
/// # Panics
/// When they are no SDP.
pub fn sdp(media: &str) -> Sdp {
    let text = format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{media}");
    Sdp::parse(&text).expect("valid SDP")
}

/// An offer of these m-lines, with neither simulcast nor SVC.
///
/// # Panics
/// When they are no SDP.
pub fn offer(media: &str) -> Jsep {
    of(JsepKind::Offer, sdp(media), false)
}

/// What a client answers that takes everything as it was offered.
///
/// # Panics
/// When the offer does not read as SDP.
pub fn answer_to(offered: &OutgoingJsep) -> Jsep {
    let text = offered.sdp.to_string().replace("a=sendonly", "a=recvonly");
    let sdp = Sdp::parse(&text).expect("what we offer is valid");
    of(JsepKind::Answer, sdp, offered.e2ee)
}

fn of(kind: JsepKind, sdp: Sdp, e2ee: bool) -> Jsep {
    Jsep { kind, sdp, update: false, e2ee, simulcast: Vec::new(), svc: Vec::new() }
}
