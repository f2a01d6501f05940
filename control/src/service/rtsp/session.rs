//! One connection to a server, from DESCRIBE to PLAY.

use bifrons_core::codec::Codec;
use bifrons_core::media::{IngestId, MediaKind};
use bifrons_core::plugin::{RtspSetup, RtspTransport, ServiceMedium};
use bifrons_core::sdp::{MAX_FMTP, PresentedMedium, presentation};
use retina::client::{
    Credentials, Described, InitialTimestampPolicy, PlayOptions, Playing, Session, SessionGroup,
    SessionOptions, SetupOptions, Stream, Transport,
};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The transport that a server does not have (RFC 2326 §11.3.14).
const UNSUPPORTED_TRANSPORT: u16 = 461;

/// A connection on which every wanted medium is set up.
pub(super) struct Ready {
    session: Session<Described>,
    /// What comes, in the server's order.
    pub(super) media: Vec<ServiceMedium>,
    /// Which ingest each of the server's streams feeds.
    ingests: Vec<Option<IngestId>>,
}

/// A connection that plays.
pub(super) struct Live {
    pub(super) session: Session<Playing>,
    pub(super) ingests: Vec<Option<IngestId>>,
}

/// Connects, asks what there is and sets up what is wanted. `all` knows of what is torn down.
///
/// # Errors
/// A sentence.
pub(super) async fn open(setup: &RtspSetup, all: Arc<SessionGroup>) -> Result<Ready, String> {
    let (url, credentials) = address(setup)?;
    let options = SessionOptions::default()
        .creds(credentials)
        .session_group(all)
        .user_agent(format!("Bifrons/{}", env!("CARGO_PKG_VERSION")));
    let patience = setup.connect_timeout.saturating_add(setup.timeout);
    let session = in_time(patience, Session::describe(url, options)).await?;
    let presented = presentation(session.sdp());
    let wanted = choose(session.streams(), &presented, setup);
    if wanted.is_empty() {
        return Err("the server has none of the media that are wanted".to_owned());
    }
    let mut ready = Ready { ingests: vec![None; session.streams().len()], session, media: vec![] };
    let mut transport = setup.transport;
    for (stream, medium) in wanted {
        ready.set_up(stream, &mut transport, setup.timeout).await?;
        if let Some(place) = ready.ingests.get_mut(stream) {
            *place = Some(medium.ingest);
        }
        ready.media.push(medium);
    }
    Ok(ready)
}

impl Ready {
    /// Sets a stream up; where the server refuses UDP, and may, this and the next go inside the
    /// connection.
    async fn set_up(
        &mut self,
        stream: usize,
        transport: &mut RtspTransport,
        timeout: Duration,
    ) -> Result<(), String> {
        if *transport != RtspTransport::Tcp {
            let options = SetupOptions::default().transport(Transport::Udp(Default::default()));
            let done = tokio::time::timeout(timeout, self.session.setup(stream, options)).await;
            match done.map_err(|_| late(timeout))? {
                Ok(()) => return Ok(()),
                Err(error) if error.status_code() != Some(UNSUPPORTED_TRANSPORT) => {
                    return Err(sentence(&error));
                }
                Err(error) if *transport == RtspTransport::Udp => return Err(sentence(&error)),
                Err(_) => *transport = RtspTransport::Tcp,
            }
        }
        let options = SetupOptions::default().transport(Transport::Tcp(Default::default()));
        in_time(timeout, self.session.setup(stream, options)).await
    }

    /// Asks for media.
    ///
    /// # Errors
    /// A sentence.
    pub(super) async fn play(self, timeout: Duration) -> Result<Live, String> {
        // Time stamps are the sender's; how they lie to each other is for nobody here.
        let options = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Ignore);
        let session = in_time(timeout, self.session.play(options)).await?;
        Ok(Live { session, ingests: self.ingests })
    }
}

/// The URL without user and password, and those: the setup's before the URL's.
fn address(setup: &RtspSetup) -> Result<(Url, Option<Credentials>), String> {
    let mut url = Url::parse(&setup.url).map_err(|error| format!("no usable URL: {error}"))?;
    let decoded = |text: &str| percent_decoded(text);
    let own = (!url.username().is_empty())
        .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
    // Refused for URLs without a host only, and those are refused by who connects.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let credentials = setup.credentials.clone().or(own);
    Ok((url, credentials.map(|(username, password)| Credentials { username, password })))
}

/// A user or password of a URL (RFC 3986 §2.1); what is no escape stays.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte =
            digits.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The streams to set up: the first audio and the first video, where wanted.
fn choose(
    streams: &[Stream],
    presented: &[PresentedMedium],
    setup: &RtspSetup,
) -> Vec<(usize, ServiceMedium)> {
    let wishes = [(MediaKind::Audio, setup.audio), (MediaKind::Video, setup.video)];
    let first_of = |(kind, ingest): (MediaKind, Option<IngestId>)| {
        let (at, stream) =
            streams.iter().enumerate().find(|(_, stream)| stream.media() == kind.name())?;
        Some((at, describe(stream, kind, ingest?, presented)))
    };
    let mut chosen: Vec<_> = wishes.into_iter().filter_map(first_of).collect();
    chosen.sort_by_key(|(at, _)| *at);
    chosen
}

/// A stream as the plugin hears of it: by the description's own lines, else by what was made of
/// them.
fn describe(
    stream: &Stream,
    kind: MediaKind,
    ingest: IngestId,
    presented: &[PresentedMedium],
) -> ServiceMedium {
    let pt = stream.rtp_payload_type();
    let medium = presented.iter().find(|medium| medium.kind == kind && medium.pt == pt).cloned();
    let medium = medium.unwrap_or_else(|| PresentedMedium {
        kind,
        pt,
        rtpmap: format!("{}/{}", stream.encoding_name(), stream.clock_rate_hz()),
        clock_hz: stream.clock_rate_hz().max(1),
        fmtp: None,
    });
    let PresentedMedium { rtpmap, clock_hz, fmtp, .. } = medium;
    let codec = Codec::from_rtpmap(&rtpmap);
    let fmtp = fmtp.filter(|fmtp| fmtp.len() <= MAX_FMTP);
    ServiceMedium { kind, ingest, codec, rtpmap, pt, clock_hz, fmtp }
}

/// Waits so long at most.
async fn in_time<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, retina::Error>>,
) -> Result<T, String> {
    let answered = tokio::time::timeout(patience, asked).await;
    answered.map_err(|_| late(patience))?.map_err(|error| sentence(&error))
}

fn late(patience: Duration) -> String {
    format!("no answer in {} s", patience.as_secs_f32())
}

/// The first line of what went wrong; the rest names connection and bytes.
pub(super) fn sentence(error: &retina::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or("failed").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_taken_out_of_a_url() {
        let setup = |url: &str| RtspSetup::new(url, None, None);
        let (url, credentials) =
            address(&setup("rtsp://us%40er:p%3Aw%@cam.example/1?x=2")).unwrap();
        assert_eq!(url.as_str(), "rtsp://cam.example/1?x=2");
        let credentials = credentials.unwrap();
        assert_eq!((&*credentials.username, &*credentials.password), ("us@er", "p:w%"));
        let mut given = setup("rtsp://a:b@cam/");
        given.credentials = Some(("c".to_owned(), "d".to_owned()));
        assert_eq!(address(&given).unwrap().1.unwrap().username, "c");
        assert!(address(&setup("rtsp://cam/")).unwrap().1.is_none());
        assert!(address(&setup("not a url")).is_err());
    }
}
