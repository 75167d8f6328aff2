//! `conclave sim mining`: how often chains of miners fork, and what a selfish miner wins.

use crate::cli::{
    failure::{Context, Outcome},
    output::table,
    progress,
    session::Session,
};
use clap::Parser;
use conclave_simulator::{
    latency::FIVE_REGIONS,
    mining::{
        ForkPoint, Forks, SelfishPoint, eyal_sirer, forks,
        plot::{Plot, Series},
        selfish,
    },
};
use serde::Serialize;
use std::path::PathBuf;

/// Shares of the hash rate of the selfish miner, in thousandths.
const SHARES: [u16; 9] = [50, 100, 150, 200, 250, 300, 350, 400, 450];

/// Shares of the others that work on its branch when two are equal, in thousandths.
const GAMMAS: [(u16, &str); 3] = [(0, "#357"), (500, "#a70"), (1000, "#a33")];

/// Simulates miners in five regions of the world: forks against the block interval, and a selfish miner's share
#[derive(Parser)]
#[command(
    after_help = "Forks are compared with Decker and Wattenhofer's formula (2013), the selfish miner's share with Eyal and Sirer's (2014).\n\n\
                  Example:\n  conclave sim mining --nodes 1000 --svg docs/figures"
)]
pub(crate) struct Mining {
    /// Nodes, each with the same hash rate
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u16).range(2..=1000))]
    nodes: u16,
    /// Blocks for each interval
    #[arg(long, value_name = "NUMBER", default_value_t = 600, value_parser = clap::value_parser!(u64).range(10..=100_000))]
    blocks: u64,
    /// Block intervals in milliseconds, with commas between them
    #[arg(
        long,
        value_name = "MILLISECONDS,…",
        value_delimiter = ',',
        default_value = "250,500,1000,2000,5000,10000"
    )]
    intervals: Vec<u64>,
    /// Blocks for each share of a selfish miner
    #[arg(long, value_name = "NUMBER", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    selfish_blocks: u64,
    /// Seed
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Folder for the plots, forks.svg and selfish.svg
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
}

#[derive(Serialize)]
struct ForkRow {
    interval_ms: u64,
    spread_ms: f64,
    measured: f64,
    predicted: f64,
    stale: f64,
    deepest: u64,
}

#[derive(Serialize)]
struct SelfishRow {
    hash_share: f64,
    gamma: f64,
    measured: f64,
    predicted: f64,
}

#[derive(Serialize)]
struct Results {
    nodes: u16,
    forks: Vec<ForkRow>,
    selfish: Vec<SelfishRow>,
}

impl Mining {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        let bar = progress::bar("simulated", (self.intervals.len() + SHARES.len() * GAMMAS.len()) as u64);
        let forks: Vec<ForkPoint> = self
            .intervals
            .iter()
            .map(|interval_ms| {
                let what = Forks {
                    nodes: self.nodes.into(),
                    blocks: self.blocks,
                    interval_ms: (*interval_ms).max(1),
                    seed: self.seed,
                };
                let point = forks(&what);
                bar.inc(1);
                point
            })
            .collect();
        let mut shares = Vec::new();
        for (gamma, _) in GAMMAS {
            for alpha in SHARES {
                shares.push(selfish(alpha, gamma, self.selfish_blocks, self.seed));
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        if let Some(folder) = &self.svg {
            std::fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
            for (name, svg) in [("forks.svg", self.fork_plot(&forks)), ("selfish.svg", selfish_plot(&shares))]
            {
                let path = folder.join(name);
                std::fs::write(&path, svg).context(|| format!("cannot write {}", path.display()))?;
            }
        }
        let results = Results {
            nodes: self.nodes,
            forks: forks.iter().map(fork_row).collect(),
            selfish: shares.iter().map(selfish_row).collect(),
        };
        session.output.show(&results, describe)
    }

    fn fork_plot(&self, points: &[ForkPoint]) -> String {
        let spread = points.iter().map(|point| point.spread_ms).sum::<f64>() / points.len().max(1) as f64;
        let longest = points.iter().map(|point| point.interval_ms).max().unwrap_or(1) as f64 / 1000.0;
        let line = (1..=200).map(|step| {
            let interval = longest * f64::from(step) / 200.0;
            (interval, 1.0 - (-spread / 1000.0 / interval).exp())
        });
        let series = Series {
            name: format!(
                "1 − exp(−{spread:.0} ms / interval): Decker and Wattenhofer 2013; points: simulated"
            ),
            line: line.collect(),
            points: points.iter().map(|point| (point.interval_ms as f64 / 1000.0, point.measured)).collect(),
            color: "#357",
        };
        Plot {
            title: format!(
                "Blocks that are contested, {} nodes in {} regions",
                self.nodes,
                FIVE_REGIONS.names.len()
            ),
            x: "seconds between blocks".into(),
            y: "share of blocks with a rival".into(),
            most: (longest, 1.0),
            series: vec![series],
        }
        .svg()
    }
}

fn selfish_plot(points: &[SelfishPoint]) -> String {
    let honest = Series {
        name: "honest share".into(),
        line: vec![(0.0, 0.0), (0.5, 0.5)],
        points: Vec::new(),
        color: "#999",
    };
    let of_gamma = GAMMAS.iter().map(|(gamma, color)| {
        let gamma = f64::from(*gamma) / 1000.0;
        let line = (0..=100).map(|step| {
            let alpha = f64::from(step) / 200.0;
            (alpha, eyal_sirer(alpha, gamma))
        });
        let mine = points.iter().filter(|point| (point.gamma - gamma).abs() < 1e-9);
        Series {
            name: format!("γ = {gamma}: Eyal and Sirer 2014; points: simulated"),
            line: line.collect(),
            points: mine.map(|point| (point.hash_share, point.measured)).collect(),
            color,
        }
    });
    Plot {
        title: "What a selfish miner wins".into(),
        x: "its share of the hash rate".into(),
        y: "its share of the blocks".into(),
        most: (0.5, 1.0),
        series: std::iter::once(honest).chain(of_gamma).collect(),
    }
    .svg()
}

fn fork_row(point: &ForkPoint) -> ForkRow {
    let ForkPoint { interval_ms, spread_ms, measured, predicted, stale, deepest } = *point;
    ForkRow { interval_ms, spread_ms, measured, predicted, stale, deepest }
}

fn selfish_row(point: &SelfishPoint) -> SelfishRow {
    let SelfishPoint { hash_share, gamma, measured, predicted } = *point;
    SelfishRow { hash_share, gamma, measured, predicted }
}

fn describe(results: &Results) -> String {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let forks: Vec<Vec<String>> = results
        .forks
        .iter()
        .map(|row| {
            vec![
                row.interval_ms.to_string(),
                format!("{:.0}", row.spread_ms),
                percent(row.measured),
                percent(row.predicted),
                percent(row.stale),
                row.deepest.to_string(),
            ]
        })
        .collect();
    let selfish: Vec<Vec<String>> = results
        .selfish
        .iter()
        .map(|row| {
            vec![
                percent(row.hash_share),
                format!("{}", row.gamma),
                percent(row.measured),
                percent(row.predicted),
            ]
        })
        .collect();
    format!(
        "{} nodes in {}\n{}\n{}",
        results.nodes,
        FIVE_REGIONS.names.join(", "),
        table(&["INTERVAL MS", "SPREAD MS", "CONTESTED", "FORMULA", "STALE", "DEEPEST"], &forks),
        table(&["HASH SHARE", "GAMMA", "BLOCKS WON", "FORMULA"], &selfish),
    )
}
