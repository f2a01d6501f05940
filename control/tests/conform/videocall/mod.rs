//! The VideoCall checklist over sockets: whole WebRTC peers against the program itself, or against
//! the server that `BIFRONS_CONFORM_WS` names.

mod calls;
mod media;
mod names;
mod stage;
