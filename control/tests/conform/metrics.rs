//! What monitors read at `/metrics`, taken apart as Prometheus does.

use crate::admin::{SECRET, setup};
use crate::call::{Call, both};
use crate::client::{Http, HttpResponse};
use crate::media::Media;
use crate::target::{Setup, Target, run};
use bifrons_control::transport::http::{self, MetricsDoor};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Samples by name and labels as they stand on the page.
type Samples = BTreeMap<String, f64>;

fn is_name(text: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !text.is_empty() && text.chars().all(sound) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// `name="value"` one after the other; the values' escapes stay as they are.
fn check_labels(mut text: &str) {
    loop {
        let (name, rest) = text.split_once("=\"").expect("a label");
        assert!(is_name(name), "{text}");
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        match rest[end.expect("a closing quote") + 1..].strip_prefix(',') {
            Some(more) => text = more,
            None => return assert_eq!(&rest[end.unwrap_or(0) + 1..], ""),
        }
    }
}

/// Reads a page of text form 0.0.4; fails where Prometheus would.
fn parse(page: &str) -> Samples {
    assert!(page.ends_with('\n'));
    let (mut samples, mut kinds) = (Samples::new(), BTreeMap::new());
    let mut family = String::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').expect("a help");
            assert!(is_name(name) && !text.is_empty(), "{line}");
            assert!(!kinds.contains_key(name), "{name} comes twice");
            family = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert!(name == family && ["counter", "gauge", "summary"].contains(&kind), "{line}");
            kinds.insert(name.to_owned(), kind.to_owned());
        } else {
            let (key, value) = line.rsplit_once(' ').expect("a sample");
            let name = match key.split_once('{') {
                Some((name, labels)) => {
                    check_labels(labels.strip_suffix('}').expect("a brace"));
                    name
                }
                None => key,
            };
            let kind = &kinds[&family];
            let suffix = name.strip_prefix(&family).expect("its family's name");
            assert!(suffix.is_empty() || kind == "summary" && ["_sum", "_count"].contains(&suffix));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            let value: f64 = value.parse().expect("a number");
            assert!(samples.insert(key.to_owned(), value).is_none(), "{key} comes twice");
        }
    }
    samples
}

fn with_metrics(media: Option<Media>) -> Setup {
    let secret = Some(SECRET.to_owned());
    let http =
        http::Settings { metrics: Some(MetricsDoor { secret }), ..http::Settings::default() };
    Setup { http, media, ..setup() }
}

async fn get(target: &Target, bearer: &str) -> HttpResponse {
    let http = Http { address: target.admin_http.clone(), base: String::new() };
    let shown = format!("Bearer {bearer}");
    let answer = http.call("GET", "/metrics", &[("Authorization", &shown)], "").await;
    answer.expect("an answer")
}

async fn samples(target: &Target) -> Samples {
    let answer = get(target, SECRET).await;
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").expect("a type");
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    parse(&String::from_utf8(answer.body).expect("text"))
}

#[test]
fn a_monitor_reads_what_the_server_does() {
    run(async {
        let Some(target) = Target::with(with_metrics(Some(Media::default()))).await else { return };
        let before = samples(&target).await;
        assert_eq!((before["bifrons_sessions"], before["bifrons_shard_up{shard=\"0\"}"]), (0., 1.));
        let mut call = Call::start(&target, json!({"audio": true}), both()).await;
        call.send_both().await;
        call.more_on(0, 20).await;
        call.ws.send_text("no JSON").await;
        call.ws.next().await;
        call.ws.ask(json!({"janus": "keepalive", "session_id": 77})).await;
        let after = samples(&target).await;
        assert_eq!((after["bifrons_sessions"], after["bifrons_handles"]), (1., 1.));
        assert_eq!(after["bifrons_peer_connections"], 1.);
        assert_eq!(after["bifrons_accepting_sessions"], 1.);
        let shard = |name: &str| -> f64 {
            let of = |samples: &Samples| -> f64 {
                let wanted = format!("bifrons_shard_{name}{{");
                samples.iter().filter(|(key, _)| key.starts_with(&wanted)).map(|(_, n)| n).sum()
            };
            of(&after) - of(&before)
        };
        assert_eq!(shard("peers"), 1.);
        assert!(shard("forwarded_total") >= 20. && shard("received_total") >= 20.);
        let grown = |name: &str| after[name] - before[name];
        assert!(grown("bifrons_requests_total") >= 4.);
        assert_eq!(grown("bifrons_request_errors_total"), 1.);
        assert_eq!(grown("bifrons_malformed_total"), 1.);
        assert_eq!(grown("bifrons_request_seconds_count"), grown("bifrons_requests_total"));
        let at =
            |quantile: &str| after[&format!("bifrons_request_seconds{{quantile=\"{quantile}\"}}")];
        assert!(0. < at("0.5") && at("0.5") <= at("0.99") && at("0.999") < 20.);
        let sockets = "{transport=\"janus.transport.websockets\",what=\"accepted\"}";
        assert_eq!(grown(&format!("bifrons_transport_total{sockets}")), 1.);
    });
}

#[test]
fn a_shard_that_does_not_answer_is_down_on_the_page() {
    run(async {
        // A deaf shard takes what it is told and says nothing.
        let Some(target) = Target::with(with_metrics(None)).await else { return };
        let begin = Instant::now();
        let page = samples(&target).await;
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        assert_eq!(page["bifrons_shard_up{shard=\"0\"}"], 0.);
        assert!(!page.keys().any(|key| key.starts_with("bifrons_shard_received_total")));
        assert_eq!(page["bifrons_build_info{version=\"0.1.0\"}"], 1.);
    });
}

#[test]
fn only_those_who_know_the_secret_read_it_and_only_where_it_is_served() {
    run(async {
        let Some(target) = Target::with(with_metrics(None)).await else { return };
        for wrong in ["", "wrong", "a secret of admin"] {
            let refused = get(&target, wrong).await;
            assert_eq!((refused.status, refused.body.len()), (401, 0));
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        }
        let api = target.http().call("GET", "/metrics", &[], "").await.expect("an answer");
        assert_eq!(api.status, 404, "operators' business");
        let Some(silent) = Target::with(setup()).await else { return };
        assert_eq!(get(&silent, SECRET).await.status, 404, "off by default");
    });
}
