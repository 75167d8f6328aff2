//! A run as a picture: who sent what to whom, one height or several, from top to bottom, window by window.
//!
//! Rows are in the order of time and not to scale, as in any sequence diagram: most of a window nothing happens. A
//! dashed line is the end of a window of the host that opened the height first; others may be less than `Δ` later.

use crate::{
    scenario::Scenario,
    timeline::{Line, Timeline, What, name},
};
use std::{collections::BTreeMap, fmt::Write as _, ops::RangeInclusive};

/// Most rows of a picture; what comes later is left out, and the picture says so.
pub const MAX_ROWS: usize = 2_000;

const COLUMN: usize = 190;
const ROW: usize = 26;
const MARGIN: usize = 110;
const TOP: usize = 50;

/// An SVG of these heights.
pub fn svg(scenario: &Scenario, timeline: &Timeline, heights: &RangeInclusive<u64>) -> String {
    let lines: Vec<&Line> = timeline.lines().iter().filter(|line| concerns(line, heights)).collect();
    let shown = &lines[..lines.len().min(MAX_ROWS)];
    let hosts = scenario.validators + scenario.twins;
    let mut body = String::new();
    let mut row = 0;
    let mut windows: BTreeMap<u64, u64> = BTreeMap::new();
    for line in shown {
        row += usize::from(end_of_window(scenario, timeline, line, &mut windows, row, hosts, &mut body));
        draw(line, row, &mut body);
        row += 1;
    }
    if lines.len() > shown.len() {
        let left_out = lines.len() - shown.len();
        text(&mut body, MARGIN, y(row), "start", "#a00", &format!("{left_out} more rows are left out"));
        row += 1;
    }
    let (width, height) = (MARGIN + hosts * COLUMN, y(row) + ROW);
    let mut page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<defs><marker id=\"a\" markerWidth=\"7\" markerHeight=\"6\" \
         refX=\"7\" refY=\"3\" orient=\"auto\"><path d=\"M0,0 L7,3 L0,6 z\" fill=\"#357\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for host in 0..hosts {
        let x = x(host);
        let _ = writeln!(page, "<line x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{height}\" stroke=\"#ccc\"/>");
        let kind =
            scenario.adversaries.iter().find(|(number, _)| *number == host).map(|(_, kind)| kind.name());
        let title =
            kind.map_or_else(|| name(scenario, host), |kind| format!("{} ({kind})", name(scenario, host)));
        let color = if kind.is_some() || host < scenario.twins || host >= scenario.validators {
            "#a00"
        } else {
            "#000"
        };
        text(&mut page, x, TOP - 14, "middle", color, &title);
    }
    page.push_str(&body);
    page.push_str("</svg>\n");
    page
}

fn concerns(line: &Line, heights: &RangeInclusive<u64>) -> bool {
    match &line.what {
        What::Said { height, .. } | What::Opened(height) | What::Decided(height) => heights.contains(height),
        What::Other => !line.text.starts_with("logs"),
    }
}

fn x(host: usize) -> usize {
    MARGIN + COLUMN / 2 + host * COLUMN
}

fn y(row: usize) -> usize {
    TOP + row * ROW
}

/// Draws the end of the windows that lie before a line; true if there were any.
fn end_of_window(
    scenario: &Scenario,
    timeline: &Timeline,
    line: &Line,
    windows: &mut BTreeMap<u64, u64>,
    row: usize,
    hosts: usize,
    body: &mut String,
) -> bool {
    let What::Said { height, .. } = line.what else { return false };
    let opened = (0..hosts).filter_map(|host| timeline.opened(host, height)).min();
    let Some(opened) = opened else { return false };
    let length = (scenario.delta * 2).as_micros().max(1);
    let window = (line.at.since(opened).as_micros() / length) as u64 + 1;
    let before = windows.insert(height, window).unwrap_or(1);
    if window <= before {
        return false;
    }
    let (y, end) = (y(row), MARGIN + hosts * COLUMN);
    let _ = writeln!(
        body,
        "<line x1=\"{MARGIN}\" y1=\"{y}\" x2=\"{end}\" y2=\"{y}\" stroke=\"#c80\" stroke-dasharray=\"6 4\"/>"
    );
    text(body, MARGIN, y - 4, "start", "#c80", &format!("height {height}: window {window}"));
    true
}

fn draw(line: &Line, row: usize, body: &mut String) {
    let y = y(row);
    text(body, 8, y + 4, "start", "#777", &format!("{:.3} ms", line.at.0 as f64 / 1000.0));
    let Some(host) = line.host else {
        return text(body, MARGIN, y + 4, "start", "#777", &line.text);
    };
    let from = x(host);
    match &line.what {
        What::Said { to, .. } => {
            for to in to {
                let to = x(*to);
                let _ = writeln!(
                    body,
                    "<line x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{}\" stroke=\"#357\" marker-end=\"url(#a)\"/>",
                    y + ROW / 2
                );
            }
            let said = line.text.split(" → ").next().unwrap_or_default();
            text(body, from + 6, y - 3, "start", "#357", said);
        }
        What::Opened(_) | What::Decided(_) => {
            let color = if matches!(line.what, What::Decided(_)) { "#080" } else { "#c80" };
            let _ = writeln!(body, "<circle cx=\"{from}\" cy=\"{y}\" r=\"5\" fill=\"{color}\"/>");
            text(body, from + 9, y + 4, "start", color, &line.text);
        }
        What::Other => {
            let is_end = line.text == "dies" || line.text.starts_with("gives up");
            let color = if is_end { "#a00" } else { "#555" };
            text(body, from + 6, y + 4, "start", color, &line.text);
        }
    }
}

fn text(body: &mut String, x: usize, y: usize, anchor: &str, color: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // Writing to a string cannot fail.
    let _ = writeln!(
        body,
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"{color}\">{content}</text>"
    );
}
