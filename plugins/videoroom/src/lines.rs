//! Lines of a subscription: which feeds they get and lose (plugin-videoroom §6 "subscribe /
//! unsubscribe / update").

use crate::api::{Body, FLAG, Field, INT, TEXT, UINT, Want, may, must};
use crate::error::{Code, Refusal};
use crate::negotiation;
use crate::participant::{Participant, Stream};
use crate::relay;
use crate::room::Room;
use crate::subscription::{Feed, Line, Subscription};
use bifrons_core::media::MediaKind;
use bifrons_core::plugin::{Host, Id, take_layers};
use bifrons_core::sdp::{MAX_MEDIA, Sdp};

/// An item of `subscribe` and of a join's `streams`.
pub(crate) const SUBSCRIBE: [Field; 11] = [
    must("feed", Want::Id),
    may("mid", TEXT),
    may("crossrefid", TEXT),
    may("send", FLAG),
    may("substream", Want::Layer),
    may("temporal", Want::Layer),
    may("fallback", UINT),
    may("spatial_layer", Want::Layer),
    may("temporal_layer", Want::Layer),
    may("min_delay", INT),
    may("max_delay", INT),
];

/// An item of `unsubscribe`.
pub(crate) const UNSUBSCRIBE: [Field; 3] =
    [may("feed", Want::Id), may("mid", TEXT), may("sub_mid", TEXT)];

/// 428 for a feed or a mid of one.
pub(crate) fn no_such_feed(what: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::NoSuchFeed, format!("No such feed ({what})"))
}

/// The publisher of a feed that can be subscribed to; 428 without one.
pub(crate) fn feed_of<'a>(room: Option<&'a Room>, id: &Id) -> Result<&'a Participant, Refusal> {
    room.and_then(|room| room.feed(id)).ok_or_else(|| no_such_feed(id))
}

/// Takes every line away, and all that belonged to the PeerConnection. Returns the feeds.
pub(crate) fn drop_lines(host: &mut dyn Host, sub: &mut Subscription) -> Vec<Feed> {
    let mut feeds = Vec::new();
    for line in &mut sub.lines {
        feeds.extend(line.feed.take());
        feeds.append(&mut line.sources);
    }
    relay::sync_routes(host, None, sub);
    sub.lines.clear();
    sub.peer = None;
    sub.answered = false;
    sub.pending_offer = false;
    sub.pending_update = false;
    sub.pending_restart = false;
    sub.untold = false;
    sub.paused = false;
    feeds
}

/// An answer came: its lines that are not inactive are ready.
pub(crate) fn settle(sub: &mut Subscription, answer: &Sdp) {
    sub.answered = true;
    sub.pending_offer = false;
    for (mindex, line) in sub.lines.iter_mut().enumerate() {
        let fed = line.feed.is_some() || line.kind == MediaKind::Data;
        line.ready = fed && negotiation::accepted(answer, mindex);
    }
}

/// Whether a new subscription is an encrypted one: the room or the first feed says so.
pub(crate) fn is_encrypted(room: &Room, items: &[Body<'_>], legacy: Option<&Id>) -> bool {
    let first = legacy.cloned().or_else(|| items.first().and_then(|item| item.id("feed")));
    let feed = first.and_then(|feed| room.participants.get(&feed));
    room.settings.require_e2ee || feed.is_some_and(|publisher| publisher.e2ee)
}

/// Every feed there, of the right kind, and its mid too; the order of checks is the items'.
pub(crate) fn check_feeds(
    sub: &Subscription,
    room: Option<&Room>,
    items: &[Body<'_>],
) -> Result<(), Refusal> {
    if sub.left {
        return Ok(());
    }
    for item in items {
        let publisher = feed_of(room, &item.the_id("feed")?)?;
        check_encryption(sub, publisher)?;
        if let Some(mid) = item.text("mid")
            && publisher.stream(mid).is_none()
        {
            return Err(no_such_feed(format!("mid '{mid}' of {}", publisher.id)));
        }
    }
    Ok(())
}

pub(crate) fn check_encryption(sub: &Subscription, publisher: &Participant) -> Result<(), Refusal> {
    if publisher.e2ee == sub.e2ee {
        return Ok(());
    }
    let text = "Can't mix encrypted and plain feeds in one subscription";
    Err(Refusal::new(Code::InvalidFeed, text))
}

/// Adds lines for all items, or none. True if the SDP changes.
pub(crate) fn subscribe(
    sub: &mut Subscription,
    room: &Room,
    items: &[Body<'_>],
) -> Result<bool, Refusal> {
    check_feeds(sub, Some(room), items)?;
    let mut changed = false;
    for item in items {
        let publisher = feed_of(Some(room), &item.the_id("feed")?)?;
        let mid = item.text("mid");
        for stream in publisher.streams.iter().filter(|s| mid.is_none_or(|mid| s.mid == mid)) {
            let Some(line) = add_line(sub, publisher, stream)? else { continue };
            changed = true;
            line.crossrefid = item.text("crossrefid").map(str::to_owned);
            take_layers(&mut line.target, item);
            line.delay.change(item.integer("min_delay"), item.integer("max_delay"));
            if mid.is_some() {
                line.send = item.flag("send").unwrap_or(true);
            }
        }
    }
    Ok(changed)
}

/// The old form of a join: all streams of one feed, by kind.
pub(crate) fn subscribe_to_all(
    sub: &mut Subscription,
    room: &Room,
    feed: &Id,
    body: &Body<'_>,
) -> Result<(), Refusal> {
    let publisher = feed_of(Some(room), feed)?;
    check_encryption(sub, publisher)?;
    for stream in &publisher.streams {
        let key = match stream.kind {
            MediaKind::Audio => "offer_audio",
            MediaKind::Video => "offer_video",
            MediaKind::Data => "offer_data",
        };
        if body.flag(key).unwrap_or(true) {
            add_line(sub, publisher, stream)?;
        }
    }
    Ok(())
}

/// Gives a stream a line: one without a feed, of the same kind and codec, else a new one. `None`
/// when that changes no line: a disabled stream gets none, and data join the data line there is.
fn add_line<'a>(
    sub: &'a mut Subscription,
    publisher: &Participant,
    stream: &Stream,
) -> Result<Option<&'a mut Line>, Refusal> {
    if stream.disabled || (stream.codec.is_none() && stream.kind != MediaKind::Data) {
        return Ok(None);
    }
    let feed = Feed { id: publisher.id.clone(), mindex: stream.mindex, mid: stream.mid.clone() };
    if stream.kind == MediaKind::Data
        && let Some(line) = sub.lines.iter_mut().find(|line| line.kind == MediaKind::Data)
    {
        if !line.sources.contains(&feed) {
            line.sources.push(feed);
        }
        return Ok(None);
    }
    let fits =
        |line: &Line| line.feed.is_none() && line.kind == stream.kind && line.codec == stream.codec;
    if let Some(mindex) = sub.lines.iter().position(fits) {
        let mut line = sub.lines.get_mut(mindex);
        if let Some(line) = &mut line {
            line.take(feed, stream);
        }
        return Ok(line);
    }
    if sub.lines.len() >= MAX_MEDIA {
        return Err(Refusal::new(Code::Unknown, "Too many streams in one subscription"));
    }
    sub.lines.push(Line::new(feed, stream));
    Ok(sub.lines.last_mut())
}

/// Takes feeds from lines; unknown targets are skipped. True if the SDP changes: that of data does
/// not.
pub(crate) fn unsubscribe(sub: &mut Subscription, items: &[Body<'_>]) -> bool {
    let mut changed = false;
    for item in items {
        let one = item.text("sub_mid").map(|mid| sub.line_of(mid));
        let (feed, mid) = (item.id("feed"), item.text("mid"));
        for (mindex, line) in sub.lines.iter_mut().enumerate() {
            changed |= line.lose(|have| match (&one, &feed) {
                (Some(one), _) => *one == Some(mindex),
                (None, Some(id)) => have.id == *id && mid.is_none_or(|mid| have.mid == mid),
                (None, None) => false,
            });
        }
    }
    changed
}
