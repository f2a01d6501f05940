//! The program as an operator meets it: what it says and how it ends when it cannot start
//! (transports-auth §14). No test here gets as far as opening a port.

use std::process::{Command, Output};

fn bifrons(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_bifrons");
    Command::new(program).args(arguments).output().expect("the program runs")
}

/// Starts without any configuration; must fail with one sentence that holds `words`.
fn refuses(arguments: &[&str], words: &str) {
    let output = bifrons(&[&["-F", "/nonexistent", "-d", "0"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(said.starts_with("bifrons: ") && said.contains(words), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn help_and_version_are_no_failures() {
    let help = bifrons(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("--configs-folder"));
    let version = bifrons(&["--version"]);
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("bifrons "));
}

#[test]
fn an_unknown_option_is_named() {
    let output = bifrons(&["--no-such-option"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--no-such-option"));
}

#[test]
fn a_configuration_that_was_asked_for_has_to_be_there() {
    refuses(&["-C", "/nonexistent/janus.jcfg"], "/nonexistent/janus.jcfg");
}

#[test]
fn media_in_the_clear_are_refused_out_loud() {
    refuses(&["-w"], "no_webrtc_encryption");
}

#[test]
fn without_an_address_for_media_there_is_no_start() {
    refuses(&["-E", "no-such-interface"], "ice_enforce_list");
}

#[test]
fn a_limit_of_open_files_that_is_not_met_is_told() {
    refuses(&["-l", "18446744073709551615"], "open files");
}

#[test]
fn half_a_certificate_is_none() {
    refuses(&["-c", "/nonexistent/cert.pem"], "cert_key");
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() {
    refuses(&["-c", "/nonexistent/cert.pem", "-k", "/nonexistent/key.pem"], "/nonexistent/cert");
}
