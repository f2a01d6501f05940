//! Tests of the configuration, by subject.

mod ini;
mod jcfg;
