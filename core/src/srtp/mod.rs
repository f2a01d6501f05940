//! SRTP: profiles, key derivation and the scalar reference.

pub mod profile;

pub use profile::SrtpProfile;
