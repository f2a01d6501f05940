//! The Streaming checklist, line by line: RTP and datagrams sent to mountpoints as a source would,
//! whole WebRTC peers as viewers, against the program itself or the server that
//! `BIFRONS_CONFORM_WS` names.

mod api;
mod feed;
mod files;
mod layers;
mod media;
mod operator;
mod stage;
mod upstream;
mod viewers;
