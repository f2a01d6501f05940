//! An HTML page of one or several runs: figures and plots, all in one file without scripts.
//!
//! Made from the JSON of the runs, so that a page can hold servers side by side. Plots are inline
//! SVG; what was not measured is left out.

use std::fmt::Write;

use serde_json::Value;

use crate::comparison::{Comparison, Side};

/// Width and height of a plot, and the room around it.
const SIZE: (f64, f64) = (640.0, 220.0);
const MARGIN: f64 = 50.0;
/// Colours of the sides, in turn.
const COLOURS: [&str; 5] = ["#1b6ca8", "#d1495b", "#66a182", "#edae49", "#574b60"];

/// How the points of a line are found in a run.
type Points = fn(&Value) -> Vec<(f64, f64)>;

/// One line of a plot.
struct Series<'a> {
    name: &'a str,
    points: Vec<(f64, f64)>,
}

/// The page.
#[must_use]
pub fn page(sides: &[Side]) -> String {
    let mut page = String::from(
        "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>bifrons-loadtest</title>\n<style>\n\
         body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 44em; }\n\
         table { border-collapse: collapse; } td, th { padding: .1em .8em; text-align: right; }\n\
         td:first-child, th:first-child { text-align: left; } tr { border-bottom: 1px solid #ddd; }\n\
         svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: #444; }\n</style>\n",
    );
    let titles = sides.iter().filter_map(|side| side.reports.first()?["title"].as_str());
    if let Some(title) = titles.take(1).next() {
        let _ = writeln!(page, "<h1>{}</h1>", escaped(title));
    }
    table(&mut page, sides);
    let bars = [
        ("CPU time of the server a packet, µs", "server_cpu_us_per_packet", 1.0),
        ("Packets lost, %", "loss", 0.01),
        ("Memory of the server, MiB", "server_resident_full_bytes", 1_048_576.0),
    ];
    for (title, key, unit) in bars {
        let values = sides.iter().filter_map(|side| Some((&*side.name, side.median(key)? / unit)));
        page += &bar_plot(title, &values.collect::<Vec<_>>());
    }
    let courses: [(&str, &str, Points); 4] = [
        ("Delay by percentile, ms", "percentile", percentiles),
        ("Packets delivered a second", "s", |run| rates(run, "delivered_packets", 1.0)),
        ("The server's share of a core, %", "s", |run| rates(run, "server_busy_s", 100.0)),
        ("Memory of the server, MiB", "s", memory),
    ];
    for (title, axis, points) in courses {
        let series = sides.iter().filter_map(|side| {
            let points = points(side.reports.first()?);
            Some(Series { name: &side.name, points })
        });
        page += &line_plot(title, axis, &series.collect::<Vec<_>>());
    }
    page
}

/// The comparison's Markdown as a table.
fn table(page: &mut String, sides: &[Side]) {
    page.push_str("<table>\n");
    for (number, line) in Comparison(sides.to_vec()).to_string().lines().enumerate() {
        if number == 1 {
            continue;
        }
        let cell = if number == 0 { "th" } else { "td" };
        let cells = line.trim_matches('|').split('|');
        page.push_str("<tr>");
        for text in cells {
            let _ = write!(page, "<{cell}>{}</{cell}>", escaped(text.trim()));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The tail of the delays, spread by how rare they are: a percentile's place is the number of nines.
fn percentiles(run: &Value) -> Vec<(f64, f64)> {
    let list = run["latency_percentiles_us"].as_array().into_iter().flatten();
    let point = |pair: &Value| {
        let rare = 1.0 / (1.0 - pair[0].as_f64()? / 100.0).max(1e-5);
        Some((rare.log10(), pair[1].as_f64()? / 1000.0))
    };
    list.filter_map(point).collect()
}

fn samples<'a>(run: &'a Value, key: &'a str) -> impl Iterator<Item = (f64, f64)> + 'a {
    let list = run["samples"].as_array().into_iter().flatten();
    list.filter_map(move |sample| Some((sample["at_s"].as_f64()?, sample[key].as_f64()?)))
}

/// What a counter gains in a second, times `unit`.
fn rates(run: &Value, key: &str, unit: f64) -> Vec<(f64, f64)> {
    let points: Vec<_> = samples(run, key).collect();
    let step = |pair: &[(f64, f64)]| match pair {
        [(before, low), (at, high)] if at > before => {
            Some((*at, (high - low) / (at - before) * unit))
        }
        _ => None,
    };
    points.windows(2).filter_map(step).collect()
}

fn memory(run: &Value) -> Vec<(f64, f64)> {
    samples(run, "server_resident_bytes").map(|(at, bytes)| (at, bytes / 1_048_576.0)).collect()
}

fn bar_plot(title: &str, values: &[(&str, f64)]) -> String {
    let most = values.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    let (row, height) = (26.0, values.len() as f64 * 26.0 + 8.0);
    let mut plot =
        format!("<h2>{}</h2>\n<svg viewBox=\"0 0 {} {height}\">", escaped(title), SIZE.0);
    for (number, (name, value)) in values.iter().enumerate() {
        let (y, colour) = (number as f64 * row + 4.0, COLOURS[number % COLOURS.len()]);
        let width = value / most * (SIZE.0 - 220.0);
        let (name, end, text) = (escaped(name), 126.0 + width, y + 14.0);
        let _ = write!(
            plot,
            "<text x=\"0\" y=\"{text}\">{name}</text><rect x=\"120\" y=\"{y}\" width=\"{width:.1}\" \
             height=\"18\" fill=\"{colour}\"/><text x=\"{end:.1}\" y=\"{text}\">{value:.2}</text>"
        );
    }
    plot + "</svg>\n"
}

fn line_plot(title: &str, axis: &str, series: &[Series<'_>]) -> String {
    let points = || series.iter().flat_map(|series| &series.points);
    let right = points().map(|(x, _)| *x).fold(0.0, f64::max);
    let top = points().map(|(_, y)| *y).fold(0.0, f64::max);
    if right <= 0.0 || top <= 0.0 {
        return String::new();
    }
    let (width, height) = SIZE;
    let place = |(x, y): (f64, f64)| {
        let x = MARGIN + x / right * (width - 2.0 * MARGIN);
        (x, height - MARGIN + 20.0 - y / top * (height - 2.0 * MARGIN + 20.0))
    };
    let mut plot = format!("<h2>{}</h2>\n<svg viewBox=\"0 0 {width} {height}\">", escaped(title));
    let ((left, base), (end, ceiling)) = (place((0.0, 0.0)), place((right, top)));
    let _ = write!(
        plot,
        "<path d=\"M{left} {ceiling}V{base}H{end}\" fill=\"none\" stroke=\"#999\"/>\
         <text x=\"0\" y=\"{ceiling}\">{top:.1}</text><text x=\"0\" y=\"{base}\">0</text>"
    );
    for mark in axis_marks(axis, right) {
        let (x, below) = (place((mark.0, 0.0)).0, base + 16.0);
        let _ = write!(plot, "<text x=\"{x:.0}\" y=\"{below}\">{}</text>", mark.1);
    }
    for (number, Series { name, points }) in series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let path: Vec<_> = points
            .iter()
            .map(|point| place(*point))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let (x, name) = (left + 10.0 + number as f64 * 130.0, escaped(name));
        let _ = write!(
            plot,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{x}\" y=\"14\" style=\"fill:{colour}\">{name}</text>",
            path.join(" ")
        );
    }
    plot + "</svg>\n"
}

/// Where the horizontal axis is marked, and with what.
fn axis_marks(axis: &str, right: f64) -> Vec<(f64, String)> {
    if axis == "percentile" {
        let names = ["0", "90", "99", "99.9", "99.99", "100"];
        let marks = names.into_iter().enumerate();
        return marks
            .map(|(at, name)| (at as f64, name.to_owned()))
            .filter(|(at, _)| *at <= right)
            .collect();
    }
    vec![(right, format!("{right:.0} {axis}"))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn side(name: &str, cpu: f64) -> Side {
        let sample = |at: f64| {
            json!({"at_s": at, "delivered_packets": at * 1000.0, "server_busy_s": at * 0.25,
                   "server_resident_bytes": 20_971_520})
        };
        let run = json!({
            "title": "streaming <b>", "server_cpu_us_per_packet": cpu, "loss": 0.02,
            "latency_percentiles_us": [[50.0, 900], [90.0, 2000], [99.0, 8000]],
            "samples": [sample(1.0), sample(2.0), sample(3.0)],
        });
        Side { name: name.to_owned(), reports: vec![run] }
    }

    #[test]
    fn a_page_holds_each_plot_of_what_was_measured() {
        let page = page(&[side("ours", 3.5), side("theirs", 30.0)]);
        assert!(page.contains("<h1>streaming &lt;b&gt;</h1>"), "{page}");
        // CPU and loss as bars; percentiles, packets, share and memory as lines.
        assert_eq!(page.matches("<svg").count(), 6, "{page}");
        assert_eq!(page.matches("<polyline").count(), 8, "{page}");
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert!(page.contains("<td>8.57</td>"), "{page}");
    }

    #[test]
    fn a_run_without_figures_makes_no_plot() {
        let page = page(&[Side { name: "ours".into(), reports: vec![json!({})] }]);
        assert!(!page.contains("<svg"), "{page}");
    }

    #[test]
    fn rates_are_gains_over_time() {
        let run = &side("ours", 1.0).reports[0];
        assert_eq!(rates(run, "server_busy_s", 100.0), [(2.0, 25.0), (3.0, 25.0)]);
    }
}
