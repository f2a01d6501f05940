//! The Bifrons server.

use bifrons_control::server;
use std::process::ExitCode;

fn main() -> ExitCode {
    server::main(std::env::args_os())
}
