//! What a media box should be set to, what this one is set to, and the way there and back.
//!
//! A [`Plan`] reads a host ([`Host`]: the running one, or a tree of files) into [`Fact`]s, decides
//! on [`Change`]s, and each change knows the [`Step`]s that make it. [`apply()`] makes them and
//! records what was before, [`revert()`] restores it. Reading, judging and doing are apart, so that
//! every judgement is tested without a host. Nothing here is irreversible: what could not be
//! restored exactly is not planned, but said.

mod apply;
mod cpus;
mod ethtool;
mod host;
mod irq;
mod jcfg;
mod layout;
mod nic;
mod plan;
mod plan_host;
mod plan_nic;
pub mod report;
mod revert;
mod setting;
mod state;
mod step;
mod tree;

pub use apply::{Outcome, apply};
pub use cpus::{CpuSet, MOST_CPUS};
pub use host::Host;
pub use irq::Role;
pub use layout::{Ask, Layout, Part};
pub use plan::{Change, Fact, Goal, Plan};
pub use revert::revert;
pub use setting::Setting;
pub use state::STATE;
pub use step::Step;
