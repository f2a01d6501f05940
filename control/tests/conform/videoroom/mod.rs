//! The VideoRoom checklist where it needs media: whole WebRTC peers against the program itself, or
//! against the server that `BIFRONS_CONFORM_WS` names. What needs none is held in the plugin's own
//! tests.

mod api;
mod control;
mod data;
mod forwarding;
mod layers;
mod media;
mod stage;
