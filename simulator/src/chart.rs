//! A chart of times to decide: which share of the nodes is done after how long.

use std::{fmt::Write as _, time::Duration};

/// One curve: times, ascending.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What it is.
    pub name: String,
    /// One time for each node and height, ascending.
    pub times: Vec<Duration>,
    /// Whether it is what there could be at best, and not what was measured.
    pub is_bound: bool,
}

/// Curves with axes of their own.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What is shown.
    pub title: String,
    /// The curves.
    pub curves: Vec<Curve>,
}

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 50.0;
const TOP: f64 = 40.0;
const BETWEEN: f64 = 40.0;
/// Room below a panel for its axis and its legend.
const BELOW: f64 = 40.0;
const LEGEND_ROW: f64 = 16.0;
/// Panels beside each other.
const COLUMNS: usize = 2;
/// Points of a curve at most.
const POINTS: usize = 100;
const COLORS: [&str; 4] = ["#1b6ca8", "#c0392b", "#1e8449", "#8e44ad"];

/// The panels as one SVG.
pub fn svg(title: &str, panels: &[Panel]) -> String {
    let most = panels.iter().map(|panel| panel.curves.len()).max().unwrap_or(0) as f64;
    let (cell_width, cell_height) = (LEFT + WIDTH + BETWEEN, TOP + HEIGHT + BELOW + most * LEGEND_ROW);
    let columns = panels.len().clamp(1, COLUMNS);
    let rows = panels.len().div_ceil(columns);
    let (width, height) = (cell_width * columns as f64, 30.0 + cell_height * rows as f64);
    let mut page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    text(&mut page, width / 2.0, 22.0, "middle", "#000", title);
    for (place, panel) in panels.iter().enumerate() {
        let (column, row) = (place % columns, place / columns);
        let (x, y) = (cell_width * column as f64 + LEFT, 30.0 + cell_height * row as f64 + TOP);
        draw(&mut page, panel, x, y);
    }
    page.push_str("</svg>\n");
    page
}

fn draw(page: &mut String, panel: &Panel, x: f64, y: f64) {
    let longest = panel.curves.iter().filter_map(|curve| curve.times.last()).max().copied();
    let step = step(longest.unwrap_or(Duration::from_millis(1)).as_secs_f64() * 1000.0);
    let end = (longest.unwrap_or_default().as_secs_f64() * 1000.0 / step).floor() * step + step;
    let at = |milliseconds: f64, share: f64| (x + milliseconds / end * WIDTH, y + HEIGHT * (1.0 - share));
    text(page, x + WIDTH / 2.0, y - 12.0, "middle", "#000", &panel.title);
    let mut tick = 0.0;
    while tick <= end + step / 2.0 {
        let (x, bottom) = at(tick, 0.0);
        line(page, (x, y), (x, bottom), "#e4e4e4");
        text(page, x, bottom + 16.0, "middle", "#555", &format!("{tick}"));
        tick += step;
    }
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (left, y) = at(0.0, share);
        line(page, (left, y), (x + WIDTH, y), "#e4e4e4");
        text(page, left - 6.0, y + 4.0, "end", "#555", &format!("{:.0} %", share * 100.0));
    }
    text(page, x + WIDTH, y + HEIGHT + 30.0, "end", "#555", "milliseconds");
    for (place, curve) in panel.curves.iter().enumerate() {
        let color = COLORS[place / 2 % COLORS.len()];
        let dashes = if curve.is_bound { " stroke-dasharray=\"5 4\"" } else { "" };
        let points: Vec<String> = steps(&curve.times)
            .map(|(time, share)| at(time.as_secs_f64() * 1000.0, share))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"{dashes}/>",
            points.join(" ")
        );
        let legend = y + HEIGHT + BELOW + place as f64 * LEGEND_ROW;
        let _ = writeln!(
            page,
            "<line x1=\"{x}\" y1=\"{legend}\" x2=\"{}\" y2=\"{legend}\" stroke=\"{color}\" stroke-width=\"1.5\"{dashes}/>",
            x + 24.0
        );
        text(page, x + 30.0, legend + 4.0, "start", "#000", &curve.name);
    }
}

/// The share of all that is done by a time, where it rises; at most [`POINTS`] of them.
fn steps(times: &[Duration]) -> impl Iterator<Item = (Duration, f64)> + '_ {
    let count = times.len();
    let points = POINTS.min(count);
    let first = times.first().map(|first| (*first, 0.0));
    first.into_iter().chain((1..=points).map(move |point| {
        let place = (point * count).div_ceil(points);
        (times[place - 1], place as f64 / count as f64)
    }))
}

/// A round distance between ticks, for four to eight of them.
fn step(longest: f64) -> f64 {
    let magnitude = 10_f64.powf((longest.max(1.0) / 4.0).log10().floor());
    [5.0, 2.0, 1.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| longest / step >= 4.0)
        .unwrap_or(magnitude)
}

fn line(page: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), color: &str) {
    let _ = writeln!(
        page,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{color}\"/>"
    );
}

fn text(page: &mut String, x: f64, y: f64, anchor: &str, color: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        page,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{color}\">{content}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(times: &[u64]) -> Vec<Duration> {
        times.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn a_curve_rises_from_none_to_all() {
        let times = milliseconds(&(0..1234).collect::<Vec<_>>());
        let points: Vec<(Duration, f64)> = steps(&times).collect();
        assert_eq!(points.len(), POINTS + 1);
        assert_eq!((points[0].1, points[POINTS]), (0.0, (Duration::from_millis(1233), 1.0)));
        assert!(points.is_sorted_by(|(a, x), (b, y)| a <= b && x < y));
        assert_eq!(steps(&[]).count(), 0);
    }

    #[test]
    fn ticks_are_round_and_neither_few_nor_many() {
        for (longest, expected) in [(1.0, 0.2), (9.0, 2.0), (310.0, 50.0), (72_000.0, 10_000.0)] {
            assert!((step(longest) - expected).abs() < 1e-9, "{longest}: {}", step(longest));
        }
    }

    #[test]
    fn a_chart_shows_each_curve_and_its_name() {
        let curve =
            |name: &str, is_bound| Curve { name: name.into(), times: milliseconds(&[5, 9]), is_bound };
        let panel =
            Panel { title: "all <well>".into(), curves: vec![curve("100", false), curve("least", true)] };
        let drawn = svg("times", &[panel.clone(), panel]);
        assert_eq!(drawn.matches("<polyline").count(), 4, "{drawn}");
        assert_eq!(
            drawn.matches("<polyline").count(),
            drawn.matches(">100<").count() + drawn.matches(">least<").count()
        );
        assert!(drawn.contains("all &lt;well&gt;") && drawn.ends_with("</svg>\n"));
    }
}
