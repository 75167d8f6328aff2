//! Plots as SVG: a formula as a line, what was measured as points on it.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 56.0;

/// A line and the points that belong to it.
#[derive(Clone, Debug)]
pub struct Series {
    /// What it is, for the legend.
    pub name: String,
    /// The formula, as points of a line.
    pub line: Vec<(f64, f64)>,
    /// What was measured.
    pub points: Vec<(f64, f64)>,
    /// CSS color.
    pub color: &'static str,
}

/// A plot whose axes begin at 0.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Above it.
    pub title: String,
    /// Below it.
    pub x: String,
    /// To its left.
    pub y: String,
    /// The largest values of both axes.
    pub most: (f64, f64),
    /// What it shows.
    pub series: Vec<Series>,
}

impl Plot {
    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        (LEFT + x / self.most.0 * width, HEIGHT - BOTTOM - y / self.most.1 * height)
    }

    /// The SVG.
    pub fn svg(&self) -> String {
        let mut page = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        text(&mut page, (WIDTH / 2.0, 24.0), "middle", "#000", &self.title);
        text(&mut page, (WIDTH / 2.0, HEIGHT - 14.0), "middle", "#000", &self.x);
        let _ = writeln!(
            page,
            "<text x=\"16\" y=\"{0}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {0})\">{1}</text>",
            HEIGHT / 2.0,
            self.y
        );
        for step in 0..=5 {
            let share = f64::from(step) / 5.0;
            let (x, y) = (self.most.0 * share, self.most.1 * share);
            let (left, right) = (self.at((0.0, y)), self.at((self.most.0, y)));
            let (low, high) = (self.at((x, 0.0)), self.at((x, self.most.1)));
            for (from, to) in [(left, right), (low, high)] {
                let _ = writeln!(
                    page,
                    "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
                    from.0, from.1, to.0, to.1
                );
            }
            text(&mut page, (left.0 - 8.0, left.1 + 4.0), "end", "#555", &number(y));
            text(&mut page, (low.0, low.1 + 18.0), "middle", "#555", &number(x));
        }
        for (row, series) in self.series.iter().enumerate() {
            let line: Vec<String> = series
                .line
                .iter()
                .filter(|(x, y)| *x <= self.most.0 && *y <= self.most.1)
                .map(|point| {
                    let (x, y) = self.at(*point);
                    format!("{x:.1},{y:.1}")
                })
                .collect();
            let color = series.color;
            let _ = writeln!(
                page,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>",
                line.join(" ")
            );
            for point in series.points.iter().filter(|(x, y)| *x <= self.most.0 && *y <= self.most.1) {
                let (x, y) = self.at(*point);
                let _ = writeln!(
                    page,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"white\" stroke=\"{color}\" stroke-width=\"2\"/>"
                );
            }
            text(&mut page, (LEFT + 14.0, TOP + 16.0 + 18.0 * row as f64), "start", color, &series.name);
        }
        page.push_str("</svg>\n");
        page
    }
}

fn number(value: f64) -> String {
    if value >= 10.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn text(page: &mut String, (x, y): (f64, f64), anchor: &str, color: &str, text: &str) {
    let _ = writeln!(
        page,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{color}\">{text}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stand_where_their_numbers_say() {
        let series = Series {
            name: "all".into(),
            line: vec![(0.0, 0.0), (2.0, 1.0)],
            points: vec![(2.0, 1.0), (3.0, 0.5)],
            color: "#357",
        };
        let plot = Plot {
            title: "title".into(),
            x: "x".into(),
            y: "y".into(),
            most: (2.0, 1.0),
            series: vec![series],
        };
        let svg = plot.svg();
        assert_eq!(svg.matches("<circle").count(), 1, "the second point is outside");
        assert!(svg.contains("cx=\"616.0\" cy=\"44.0\""), "{svg}");
    }
}
