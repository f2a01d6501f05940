//! The .cfg form.

use crate::config::ini::read;

#[test]
fn sections_settings_and_comments_are_read() {
    let text = "\u{feff}; a comment\nloose = 1\n[general]\nport = 8088 ; trailing\nsecret => a\\;b=c\r\n\
                [ Room 1 ]\ndescription = \"Demo\"\n[GENERAL]\nip=\n";
    let (tree, diagnostics) = read("t.cfg", text).expect("readable");
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let general = tree.group("general").expect("general");
    assert_eq!(general.get_u64("PORT"), Some(8088));
    assert_eq!(general.get_str("secret").as_deref(), Some("a;b=c"));
    assert_eq!(general.get_str("ip").as_deref(), Some(""));
    assert_eq!(tree.get_u64("loose"), Some(1));
    assert_eq!(
        tree.group("room 1").and_then(|room| room.get_str("description")).as_deref(),
        Some("\"Demo\"")
    );
    assert_eq!(general.entry("port").map(|entry| entry.at.line), Some(4));
}

#[test]
fn lines_that_mean_nothing_are_reported_and_skipped() {
    let (tree, diagnostics) = read("t.cfg", "[general\nwhat\n= 1\n[]\nport = 1").expect("readable");
    assert_eq!(tree.get_u64("port"), Some(1));
    assert_eq!(diagnostics.iter().map(|found| found.line).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(diagnostics.iter().all(|found| !found.is_fatal()));
}
