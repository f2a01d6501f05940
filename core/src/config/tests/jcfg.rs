//! The .jcfg grammar: what is read, what is refused and where, and the way back.

use proptest::collection::{hash_map, vec};
use proptest::prelude::*;

use crate::config::fuzz::{fuzz_ini, fuzz_jcfg};
use crate::config::jcfg::{MAX_DEPTH, WriteError, read, read_alone, read_within, write};
use crate::config::token::Bounds;
use crate::config::{Element, Group, Tree, Value};

fn tree(text: &str) -> Tree {
    read_alone("t.jcfg", text).unwrap_or_else(|fault| panic!("{fault}\n{text}"))
}

fn fault(text: &str) -> String {
    read_alone("t.jcfg", text).expect_err("refused").to_string()
}

#[test]
fn every_form_of_the_grammar_is_read() {
    let tree = tree(
        r#"
        # three kinds
        // of comments /* here */
        a = 1; b : 2, c = 0x1F d = 4294967296L e = -7
        /* over
           lines */
        f = 1.5 g = .5 h = 2. i = 1e3 j = -1.5E-3
        k = TRUE l = False
        m = "one " "two"
            " three" n = "tab\tquote\"back\\slash\x41\q"
        room-1234: { * = 1, s_t = "x" };
        arr = [ 1, 2, 3, ] none = [] list = ( "a", [ 1 ], { x = 1 }, ( ), ) empty = ();
        "#,
    );
    let int = |name: &str| tree.get_i64(name).expect(name);
    assert_eq!([int("a"), int("b"), int("c"), int("d"), int("e")], [1, 2, 31, 1 << 32, -7]);
    let float = |name: &str| tree.get_f64(name).expect(name);
    assert_eq!(
        [float("f"), float("g"), float("h"), float("i"), float("j")],
        [1.5, 0.5, 2.0, 1000.0, -0.0015]
    );
    assert_eq!((tree.get("k"), tree.get("l")), (Some(&true.into()), Some(&false.into())));
    assert_eq!(tree.get_str("m").as_deref(), Some("one two three"));
    assert_eq!(tree.get_str("n").as_deref(), Some("tab\tquote\"back\\slashA\\q"));
    let room = tree.group("ROOM-1234").expect("a group, in any case");
    assert_eq!((room.get_u64("*"), room.get_str("S_T").as_deref()), (Some(1), Some("x")));
    assert_eq!(tree.get_elements("arr").len(), 3);
    assert_eq!(tree.get_elements("none").len() + tree.get_elements("empty").len(), 0);
    let list = tree.get_elements("list");
    assert_eq!(list.len(), 4);
    assert_eq!(list[2].value.group().and_then(|group| group.get_u64("x")), Some(1));
    assert_eq!(tree.groups().map(|(name, _)| name).collect::<Vec<_>>(), ["room-1234"]);
}

#[test]
fn every_key_knows_file_line_and_column() {
    let tree = tree("general: {\n  port = 1\n\täö = 1 }".replace("äö", "ab").as_str());
    let general = tree.group("general").expect("general");
    let place = |name: &str| general.entry(name).map(|e| (e.at.line, e.at.column)).expect(name);
    assert_eq!((place("port"), place("ab")), ((2, 3), (3, 2)));
    assert_eq!(&*general.entry("port").expect("port").at.file, "t.jcfg");
}

#[test]
fn columns_count_characters() {
    let tree = tree("a = \"äöü\" b = [\n\"€\", 2 ]");
    assert_eq!(tree.entry("b").map(|entry| entry.at.column), Some(11));
    assert_eq!((tree.get_elements("b")[1].at.line, tree.get_elements("b")[1].at.column), (2, 6));
}

#[test]
fn faults_say_where_and_what_was_expected() {
    for (text, message) in [
        ("a 1", "t.jcfg:1:3: expected `=` or `:` after the name, found `1`"),
        ("\n\n a = ;", "t.jcfg:3:6: expected a value (texts need quotes), found `;`"),
        ("a = plain", "t.jcfg:1:5: expected a value (texts need quotes), found `plain`"),
        (
            "g: { a = 1",
            "t.jcfg:1:10: expected a name, or `}` to end the group after this, but the file ends",
        ),
        ("g: { a = 1 )", "t.jcfg:1:12: expected a name, or `}` to end the group, found `)`"),
        ("a = [ 1 2 ]", "t.jcfg:1:9: expected `,` or `]` in the array, found `2`"),
        ("a = [ { } ]", "t.jcfg:1:7: expected a scalar or `]` in the array, found `{`"),
        ("a = ( 1 2 )", "t.jcfg:1:9: expected `,` or `)` in the list, found `2`"),
        ("a = 1 }", "t.jcfg:1:7: expected a name to begin a setting, found `}`"),
        ("a = 1\na = 2", "t.jcfg:2:1: `a` is set twice in this group"),
        (
            "a = \"x",
            "t.jcfg:1:5: expected a closing quote for the text that begins here, found '\"'",
        ),
        ("/* x", "t.jcfg:1:1: expected `*/` to end the comment, found '/'"),
        ("a = ?", "t.jcfg:1:5: expected a name, a value or punctuation, found '?'"),
        (
            "a = 9223372036854775808",
            "t.jcfg:1:5: expected an integer of at most 63 bits, found '9'",
        ),
        (
            "a = 1e999",
            "t.jcfg:1:5: expected a floating point number that a double can hold, found '1'",
        ),
        ("@include x", "t.jcfg:1:1: expected a file name in quotes after @include, found '@'"),
        ("@include \"x\"", "t.jcfg:1:1: cannot include \"x\": includes are not possible here"),
        ("a =", "t.jcfg:1:3: expected a value after this, but the file ends"),
    ] {
        assert_eq!(fault(text), message, "for {text:?}");
    }
}

#[test]
fn includes_stand_where_they_are_written_and_keep_their_own_places() {
    let mut include = |name: &str| match name {
        "rooms.jcfg" => Ok("\nroom-1: { @include \"keys.jcfg\" }".to_owned()),
        "keys.jcfg" => Ok("pin = \"1\"".to_owned()),
        _ => Err("not there".to_owned()),
    };
    let text = "general: { }\n@include \"rooms.jcfg\"\nlast = 1";
    let tree = read("main.jcfg", text, &mut include).expect("readable");
    let room = tree.entry("room-1").expect("included");
    assert_eq!((&*room.at.file, room.at.line), ("rooms.jcfg", 2));
    let pin = room.value.group().and_then(|group| group.entry("pin")).expect("included twice over");
    assert_eq!(&*pin.at.file, "keys.jcfg");
    assert_eq!(
        tree.entry("last").map(|entry| (&*entry.at.file, entry.at.line)),
        Some(("main.jcfg", 3))
    );
}

#[test]
fn includes_that_include_themselves_end() {
    let mut calls = 0;
    let mut include = |_: &str| {
        calls += 1;
        Ok("@include \"x\" @include \"x\"".to_owned())
    };
    let fault = read("main.jcfg", "@include \"x\"", &mut include).expect_err("endless");
    assert!(fault.message.contains("deeper than"), "{fault}");
    let mut many = |_: &str| Ok(String::new());
    let text = "@include \"x\"\n".repeat(1000);
    let fault = read("main.jcfg", &text, &mut many).expect_err("too many");
    assert_eq!((fault.line, fault.is_fatal()), (129, true), "{fault}");
    assert!(calls < 200);
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("a = {}1{}", "( ".repeat(depth), " )".repeat(depth));
    assert!(read_alone("t.jcfg", &nested(MAX_DEPTH)).is_ok());
    assert!(fault(&nested(MAX_DEPTH + 1)).contains("no more than 32"));
    assert!(fault(&"a={".repeat(100_000)).contains("no more than 32"));
}

#[test]
fn size_is_bounded() {
    let bounds = Bounds { bytes: 40, tokens: 12 };
    let within = |text: &str| read_within("t.jcfg", text, &mut |_| Ok("b = 1".to_owned()), bounds);
    let refusal = |text: &str| within(text).expect_err("refused").to_string();
    assert!(within(&format!("a = \"{}\"", "x".repeat(34))).is_ok());
    assert!(refusal(&format!("a = \"{}\"", "x".repeat(35))).contains("more than 40 bytes"));
    assert!(within(&format!("@include \"x\"{}", " ".repeat(23))).is_ok());
    let fault = refusal(&format!("@include \"x\"{}", " ".repeat(24)));
    assert_eq!(fault, "x:1:1: more than 40 bytes in all", "the included ones count too");
    assert!(within("a = [1,1,1,1]").is_ok());
    assert_eq!(refusal("a = [1,1,1,1,1]"), "t.jcfg:1:15: more than 12 words");
}

#[test]
fn a_changed_tree_is_written_in_order() {
    let mut tree = tree("general: { events = true }\nroom-1: { pin = \"a\" }");
    let mut room = Group::new();
    room.set("description", "Say \"hi\"\n");
    room.set("bitrate", 128_000_u32);
    room.set("owner", 1_u64 << 40);
    room.set("dummy_streams", Value::List(vec![Element::from("opus")]));
    room.set("ports", Value::Array(vec![1_i64.into(), 2_i64.into()]));
    tree.set("room-2", room);
    assert!(tree.remove("ROOM-1").is_some());
    tree.group_mut("General").expect("a group").set("EVENTS", false);
    let expected = "general: {\n\tevents = false\n}\nroom-2: {\n\tdescription = \"Say \\\"hi\\\"\\n\"\n\
                    \tbitrate = 128000\n\towner = 1099511627776L\n\tdummy_streams = (\n\t\t\"opus\"\n\t)\n\tports = [ 1, 2 ]\n}\n";
    assert_eq!(write(&tree).as_deref(), Ok(expected));
}

#[test]
fn what_the_grammar_cannot_say_is_not_written() {
    let one = |name: &str, value: Value| {
        let mut group = Group::new();
        group.set(name, value);
        write(&group).expect_err("refused")
    };
    assert_eq!(one("room my", 1_u32.into()), WriteError::Name("room my".into()));
    assert_eq!(one("true", 1_u32.into()), WriteError::Name("true".into()));
    assert_eq!(one("x", Value::Float(f64::NAN)), WriteError::Number("NaN".into()));
    let nested = Value::Array(vec![Element::from(Group::new())]);
    assert_eq!(one("x", nested), WriteError::Array);
    let deep = (0..=MAX_DEPTH).fold(Value::from(1_u32), |inner, _| {
        Value::List(vec![Element { value: inner, at: Default::default() }])
    });
    assert_eq!(one("x", deep), WriteError::Depth);
}

#[test]
fn numbers_past_the_grammar_are_kept_as_text() {
    assert_eq!(Value::from(u64::MAX).u64(), Some(u64::MAX));
    assert_eq!(Value::from(u64::MAX), Value::Text(u64::MAX.to_string()));
}

fn a_name() -> impl Strategy<Value = String> {
    "[A-Za-z*][A-Za-z0-9*_-]{0,12}".prop_filter("a boolean", |name| {
        !name.eq_ignore_ascii_case("true") && !name.eq_ignore_ascii_case("false")
    })
}

fn a_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::Float),
        any::<String>().prop_map(Value::Text),
    ]
}

fn a_value() -> impl Strategy<Value = Value> {
    let element = |value| Element { value, at: Default::default() };
    let array = vec(a_scalar().prop_map(element), 0..5).prop_map(Value::Array);
    prop_oneof![a_scalar(), array].prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            vec(inner.clone().prop_map(element), 0..5).prop_map(Value::List),
            a_group(inner).prop_map(Value::Group),
        ]
    })
}

fn a_group(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Group> {
    hash_map(a_name(), value, 0..6).prop_map(|entries| {
        let mut group = Group::new();
        entries.into_iter().for_each(|(name, value)| group.push(name, value, Default::default()));
        group
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_equal(group in a_group(a_value())) {
        let text = write(&group).expect("writable");
        prop_assert_eq!(&read_alone("t.jcfg", &text).expect("readable").root, &group);
    }

    #[test]
    fn no_bytes_make_the_readers_panic(data in vec(any::<u8>(), 0..512)) {
        fuzz_jcfg(&data);
        fuzz_ini(&data);
    }

    #[test]
    fn no_row_of_words_makes_the_readers_panic(words in vec(0_usize..WORDS.len(), 0..200)) {
        let text: String = words.into_iter().map(|word| WORDS[word]).collect();
        fuzz_jcfg(text.as_bytes());
        fuzz_ini(text.as_bytes());
    }
}

/// Words that make near-valid files.
const WORDS: [&str; 33] = [
    " ",
    "\n",
    "a",
    "b",
    "c ",
    "=",
    ": ",
    ";",
    ",",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "\"",
    "\"x\"",
    "\\",
    "\\x4",
    "0x",
    "1",
    "-",
    ".",
    "e",
    "L",
    "#",
    "//",
    "/*",
    "*/",
    "@include ",
    "\"again\"",
    "true",
    "é",
];
