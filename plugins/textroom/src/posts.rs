//! What a room's web server still has to hear (plugin-textroom §4, `post`): one request at a time, so
//! that it hears everything in the order in which it was said.
//!
//! Bounds: [`MAX_POSTS`] messages wait for one room; further ones are left out and counted. A server
//! that does not answer holds up its own room's posts alone, ten seconds each.

use crate::MAX_POSTS;
use crate::plugin::TextRoom;
use bifrons_core::plugin::{Host, HttpRequest, Id, Ticket};
use std::collections::VecDeque;

/// The posts of one room.
#[derive(Debug, Default)]
pub(crate) struct Posts {
    /// The one under way.
    under_way: Option<Ticket>,
    /// Those that follow.
    waiting: VecDeque<HttpRequest>,
    /// Left out because too many waited.
    pub(crate) refused: u64,
}

impl TextRoom {
    /// Posts something for a room, once what was said before it has been heard.
    pub(crate) fn post(&mut self, host: &mut dyn Host, id: &Id, request: HttpRequest) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        if room.posts.waiting.len() >= MAX_POSTS {
            if room.posts.refused == 0 {
                tracing::warn!(room = %id, "its web server does not keep up; posts are left out");
            }
            room.posts.refused += 1;
            return;
        }
        room.posts.waiting.push_back(request);
        if room.posts.under_way.is_none() {
            self.post_next(host, id);
        }
    }

    /// A web server has answered, or has not; what it says is not looked at.
    pub(crate) fn posted(&mut self, host: &mut dyn Host, ticket: Ticket) {
        let Some(id) = self.posting.remove(&ticket) else { return };
        // The room may be gone, or another one of that name.
        if self.rooms.get(&id).is_some_and(|room| room.posts.under_way == Some(ticket)) {
            self.post_next(host, &id);
        }
    }

    fn post_next(&mut self, host: &mut dyn Host, id: &Id) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        room.posts.under_way = room.posts.waiting.pop_front().map(|request| host.http(request));
        if let Some(ticket) = room.posts.under_way {
            self.posting.insert(ticket, id.clone());
        }
    }
}
