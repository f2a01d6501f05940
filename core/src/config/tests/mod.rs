//! Tests of the configuration, by subject.

mod brokers;
mod command_line;
mod ini;
mod jcfg;
mod load;
mod sample;
mod settings;
