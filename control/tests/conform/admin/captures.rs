//! Captures, admin-events-recording §13: what a call carries, read back from the files.

use super::{Operator, at, setup};
use crate::media::Media;
use crate::session::{Session, audio, rtp};
use crate::target::{Setup, Target, run};
use bifrons_control::admin::AdminSettings;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of the test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bifrons-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Folder(path)
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("text")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server with an Admin API and media; ours, or the one the environment names.
async fn target() -> Target {
    Target::or_foreign(Setup { media: Some(Media::default()), ..setup() }).await
}

/// One record of a pcap file.
#[derive(Debug)]
struct Record {
    us: u64,
    captured: usize,
    original: usize,
    frame: Vec<u8>,
}

impl Record {
    fn ports(&self) -> (u16, u16) {
        let port = |at: usize| u16::from_be_bytes([self.frame[at], self.frame[at + 1]]);
        (port(34), port(36))
    }

    fn payload(&self) -> &[u8] {
        &self.frame[42..]
    }

    fn is_rtcp(&self) -> bool {
        (192..=223).contains(&self.payload()[1])
    }
}

fn records(path: &Path) -> Vec<Record> {
    let bytes = std::fs::read(path).expect("a file");
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("a word"));
    assert_eq!((word(0), word(16), word(20)), (0xa1b2_c3d4, 65_535, 1));
    assert_eq!(u16::from_ne_bytes([bytes[4], bytes[5]]), 2);
    let (mut at, mut records) = (24, Vec::new());
    while at < bytes.len() {
        let (captured, original) = (word(at + 8) as usize, word(at + 12) as usize);
        let us = u64::from(word(at)) * 1_000_000 + u64::from(word(at + 4));
        let frame = bytes[at + 16..at + 16 + captured].to_vec();
        records.push(Record { us, captured, original, frame });
        at += 16 + captured;
    }
    records
}

/// A call of a few packets each way, captured as `request` says until both kinds went both ways.
async fn captured_call(target: &Target, operator: &mut Operator, request: Value) -> Session {
    let mut session = Session::prepare(target).await;
    // Before there is a PeerConnection: it is captured from its beginning.
    let reply = operator.done(at(session.at, request)).await;
    assert_eq!(reply.get("session_id"), None, "{reply}");
    session.offer(&[audio("a=ssrc:1 cname:x\r\n")]).await;
    session.up().await;
    for seq in 1..=5u16 {
        session.wire.send_rtp(&rtp(111, seq, 1, None, &[seq as u8; 60]), seq.into());
    }
    let echoed = |came: &crate::wire::Came| (came.rtp.len() >= 5).then_some(());
    session.wire.until_came("the echo", echoed).await;
    session.wire.send_rtcp(|writer| {
        writer.receiver_report(bifrons_core::rtp::Ssrc(1), &[]).expect("room");
    });
    let reported = |came: &crate::wire::Came| (!came.rtcp.is_empty()).then_some(());
    session.wire.until_came("a report", reported).await;
    session
}

/// Runs one of Wireshark's tools; `None` where there is none.
fn tool(words: &[&str]) -> Option<String> {
    let output = Command::new(words[0]).args(&words[1..]).output();
    let Ok(output) = output else {
        eprintln!("passed over: there is no {}", words[0]);
        return None;
    };
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("text"))
}

/// How many RTP packets went each way, as `tshark` sees them.
fn seen_by_tshark(path: &Path) -> Option<(usize, usize)> {
    let path = path.to_str().expect("text");
    let lines = tool(&[
        "tshark",
        "-r",
        path,
        "-d",
        "udp.port==1000,rtp",
        "-Y",
        "rtp.p_type == 111",
        "-T",
        "fields",
        "-e",
        "udp.srcport",
        "-e",
        "rtp.seq",
    ])?;
    let from = |port: &str| lines.lines().filter(|line| line.starts_with(port)).count();
    Some((from("1000\t"), from("2000\t")))
}

#[test]
fn admin_59_a_capture_holds_rtp_and_rtcp_of_both_directions() {
    run(async {
        let (target, folder) = (target().await, Folder::new("both"));
        let mut operator = Operator::http(&target);
        let start = json!({"janus": "start_pcap", "folder": folder.text(), "filename": "a.pcap"});
        let session = captured_call(&target, &mut operator, start).await;
        let info = operator.done(at(session.at, json!({"janus": "handle_info"}))).await;
        let path = folder.0.join("a.pcap");
        assert_eq!(info["info"]["dump-to-pcap"], true);
        assert_eq!(info["info"]["pcap-file"], path.to_str().expect("text"));
        operator.done(at(session.at, json!({"janus": "stop_pcap"}))).await;
        let records = records(&path);
        let mut kinds = [0; 4];
        for record in &records {
            let (incoming, outgoing) = ((1000, 2000), (2000, 1000));
            assert!([incoming, outgoing].contains(&record.ports()), "{record:?}");
            assert_eq!((record.captured, record.frame.len()), (record.original, record.original));
            // Ethernet without addresses, IPv4, 20 bytes of header, UDP.
            assert_eq!(&record.frame[..15], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0x45]);
            assert_eq!(record.frame[23], 17);
            let (peer, server) = ([10, 1, 1, 1], [10, 2, 2, 2]);
            let (from, to) =
                if record.ports() == incoming { (peer, server) } else { (server, peer) };
            assert_eq!((&record.frame[26..30], &record.frame[30..34]), (&from[..], &to[..]));
            let length = u16::from_be_bytes([record.frame[16], record.frame[17]]);
            assert_eq!(usize::from(length), record.original - 14);
            kinds[usize::from(record.is_rtcp()) + 2 * usize::from(record.ports() == outgoing)] += 1;
        }
        assert_eq!((kinds[0], kinds[2]), (5, 5), "RTP each way");
        assert!(kinds[1] > 0 && kinds[3] > 0, "RTCP each way: {kinds:?}");
        assert!(records.windows(2).all(|pair| pair[0].us <= pair[1].us), "in order");
        let first = records.iter().find(|record| !record.is_rtcp()).expect("one");
        assert_eq!(first.payload(), rtp(111, 1, 1, None, &[1; 60]), "in clear");
        if let Some(seen) = seen_by_tshark(&path) {
            assert_eq!(seen, (5, 5));
        }
    });
}

#[test]
fn admin_60_truncated_packets_keep_their_lengths() {
    run(async {
        let (target, folder) = (target().await, Folder::new("cut"));
        let mut operator = Operator::ws(&target).await;
        let start = json!({"janus": "start_pcap", "folder": folder.text(), "filename": "a.pcap",
            "truncate": 20});
        let session = captured_call(&target, &mut operator, start).await;
        operator.done(at(session.at, json!({"janus": "stop_text2pcap"}))).await;
        let path = folder.0.join("a.pcap");
        let rtp: Vec<_> = records(&path).into_iter().filter(|record| !record.is_rtcp()).collect();
        assert_eq!(rtp.len(), 10);
        for record in &rtp {
            assert_eq!((record.captured, record.original > 42 + 60), (42 + 20, true), "{record:?}");
            let length = u16::from_be_bytes([record.frame[16], record.frame[17]]);
            assert_eq!(usize::from(length), record.original - 14);
        }
        if let Some(seen) = seen_by_tshark(&path) {
            assert_eq!(seen, (5, 5));
        }
    });
}

#[test]
fn a_text_capture_becomes_a_pcap_by_wiresharks_tool() {
    run(async {
        let (target, folder) = (target().await, Folder::new("text"));
        let mut operator = Operator::http(&target);
        let start =
            json!({"janus": "start_text2pcap", "folder": folder.text(), "filename": "a.txt"});
        let session = captured_call(&target, &mut operator, start).await;
        let info = operator.done(at(session.at, json!({"janus": "handle_info"}))).await;
        assert_eq!(info["info"]["dump-to-text2pcap"], true);
        operator.done(at(session.at, json!({"janus": "stop_text2pcap"}))).await;
        let path = folder.0.join("a.txt");
        let text = std::fs::read_to_string(&path).expect("text");
        let label = format!("[session={}][handle={}]", session.at.0, session.at.1);
        for line in text.split_terminator("\r\n") {
            let mut words = line.split(' ');
            assert!(["I", "O"].contains(&words.next().expect("a direction")), "{line}");
            let time = words.next().expect("a time");
            assert!(time.len() == 15 && &time[8..9] == ".", "{line}");
            assert_eq!((words.next(), words.next()), (Some("000000"), Some("")), "{line}");
            let mut end: Vec<_> = words.collect();
            assert_eq!(end.pop(), Some(label.as_str()), "{line}");
            let kind = end.pop().expect("a kind");
            assert!(["JANUS_TEXT2PCAP_RTP", "JANUS_TEXT2PCAP_RTCP"].contains(&kind), "{line}");
            assert!(end.iter().all(|byte| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok()));
        }
        let lines = |kind: &str| text.matches(kind).count();
        assert_eq!(lines("JANUS_TEXT2PCAP_RTP "), 10, "{text}");
        let pcap = folder.0.join("a.pcap");
        let (from, to) = (path.to_str().expect("text"), pcap.to_str().expect("text"));
        let options = ["-D", "-t", "%H:%M:%S.%f", "-u", "1000,2000", "-l", "1", from, to];
        if tool(&[&["text2pcap"], &options[..]].concat()).is_some() {
            let seen = seen_by_tshark(&pcap).expect("tshark, like text2pcap");
            assert_eq!(seen.0 + seen.1, 10);
        }
    });
}

#[test]
fn admin_63_one_capture_a_handle() {
    run(async {
        let (target, folder) = (target().await, Folder::new("one"));
        let mut operator = Operator::ws(&target).await;
        let (session, handle, _) = target.http().attached().await;
        let ask =
            |verb: &str| at((session, handle), json!({"janus": verb, "folder": folder.text()}));
        for verb in ["stop_pcap", "stop_text2pcap"] {
            assert_eq!(operator.refused(ask(verb)).await, "490 Capture not started");
        }
        operator.done(ask("start_pcap")).await;
        // Before the folder is looked at.
        let elsewhere = json!({"janus": "start_pcap", "folder": "/proc/none"});
        let refused = operator.refused(at((session, handle), elsewhere)).await;
        assert_eq!(refused, "490 pcap already started");
        assert_eq!(operator.refused(ask("start_text2pcap")).await, "490 text2pcap already started");
        operator.done(ask("stop_text2pcap")).await;
        let names: Vec<_> = std::fs::read_dir(&folder.0).expect("a folder").collect();
        let name = names[0].as_ref().expect("an entry").file_name().into_string().expect("text");
        assert!(name.starts_with("janus-text2pcap-") && name.ends_with(".pcap"), "{name}");
        let wrong = json!({"janus": "start_pcap", "truncate": -1});
        let text = "467 Invalid element type (truncate should be a positive integer)";
        assert_eq!(operator.refused(at((session, handle), wrong)).await, text);
        let nowhere = json!({"janus": "start_text2pcap", "folder": "/proc/none"});
        let text = "490 Error starting text2pcap dump";
        assert_eq!(operator.refused(at((session, handle), nowhere)).await, text);
    });
}

#[test]
fn admin_64_an_existing_file_is_left_alone() {
    run(async {
        let folder = Folder::new("there");
        let Some(target) = Target::with(setup()).await else { return };
        let mut operator = Operator::http(&target);
        let (session, handle, _) = target.http().attached().await;
        std::fs::create_dir_all(&folder.0).expect("a folder");
        let path = folder.0.join("a.pcap");
        std::fs::write(&path, "precious").expect("written");
        let start = json!({"janus": "start_pcap", "folder": folder.text(), "filename": "a.pcap"});
        let refused = operator.refused(at((session, handle), start)).await;
        assert_eq!(refused, "490 Error starting pcap dump");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "precious");
    });
}

#[test]
fn admin_55_protected_folders_stay_untouched() {
    run(async {
        let folder = Folder::new("protected");
        let base = setup();
        let protected_folders = vec![folder.text().to_owned()];
        let admin_settings = AdminSettings { protected_folders, ..base.admin_settings.clone() };
        let Some(target) = Target::with(Setup { admin_settings, ..base }).await else { return };
        let mut operator = Operator::http(&target);
        let (session, handle, _) = target.http().attached().await;
        for below in ["", "/deeper", "/deeper/../."] {
            let inside = format!("{}{below}", folder.text());
            let start = json!({"janus": "start_pcap", "folder": inside});
            let refused = operator.refused(at((session, handle), start)).await;
            assert_eq!(refused, "490 Error starting pcap dump", "{inside}");
        }
        assert!(!folder.0.exists(), "not even the folder is made");
    });
}

#[test]
fn a_capture_ends_with_its_handle_and_is_whole() {
    run(async {
        let (target, folder) = (target().await, Folder::new("ends"));
        let mut operator = Operator::http(&target);
        let start = json!({"janus": "start_pcap", "folder": folder.text(), "filename": "a.pcap"});
        let session = captured_call(&target, &mut operator, start).await;
        operator.done(at(session.at, json!({"janus": "detach_handle"}))).await;
        let path = folder.0.join("a.pcap");
        // The file is closed behind our back.
        for _ in 0..100 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            if std::fs::metadata(&path).is_ok_and(|file| file.len() > 24) {
                break;
            }
        }
        let rtp = records(&path).iter().filter(|record| !record.is_rtcp()).count();
        assert_eq!(rtp, 10);
    });
}
