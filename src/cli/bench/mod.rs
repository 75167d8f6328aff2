//! `conclave bench`: measurements on a network of its own, four validators on loopback by default.
//!
//! - [`bed`]: the network, its nodes started and killed one by one. [`scenarios`]: what is measured on it.
//! - [`gossip`]: announcements, on a network of observers of its own.
//! - [`process`]: what a node takes of the machine, from /proc. [`figures`]: medians, percentiles, the table.
//!
//! Everything runs on one machine, whose cores the nodes and this program share: figures are comparable within one
//! run, less so between runs. The method of each is in `docs/performance.md`.

mod bed;
mod figures;
mod gossip;
mod process;
mod scenarios;

use super::{failure::Outcome, session::Session};
use bed::Bed;
use clap::{Parser, ValueEnum};
use figures::Figure;
use std::time::Duration;

/// Measures a network that it starts for the purpose, and stops again
#[derive(Parser)]
#[command(
    after_help = "Figures of a debug build say nothing: build with --release.\n\nExample:\n  conclave bench latency idle --seconds 10"
)]
pub(crate) struct Bench {
    /// What to measure [default: all]
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// Seconds that each measurement takes, where that is a choice
    #[arg(long, default_value_t = 10, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Number of validators
    #[arg(short = 'n', long, default_value_t = 4, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(4..=16))]
    validators: u16,
    /// Δ, in milliseconds
    #[arg(long, default_value_t = 500, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(50..=60_000))]
    delta_ms: u64,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// The disk's part: a synced write as the log makes them
    Fsync,
    /// One record at a time: submission over HTTP to decided, and opened to decided on all nodes
    Latency,
    /// The same in plain Dolev–Strong
    Plain,
    /// Heights back to back, and the longest pause between two
    Heights,
    /// Small records at saturation, and latency at half of that
    Records,
    /// Signed ballots at saturation
    Ballots,
    /// Records of 32 KiB at saturation
    Payload,
    /// One validator never started: rate, and the slowest height
    OneDown,
    /// The leader just killed: time to the decision
    KillLeader,
    /// Restart after a kill: time to the tip, and to the first vote
    Restart,
    /// What a node takes at rest
    Idle,
    /// Announcements through 30 observers: copies, bytes, time to reach them
    Gossip,
}

impl Bench {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let all = Scenario::value_variants();
        let chosen = if self.scenarios.is_empty() { all.to_vec() } else { self.scenarios.clone() };
        let mut figures: Vec<Figure> = Vec::new();
        if cfg!(debug_assertions) {
            eprintln!("this is a debug build: its figures say nothing");
        }
        for scenario in chosen {
            eprintln!(
                "measuring {}",
                scenario.to_possible_value().map_or_else(String::new, |v| v.get_name().into())
            );
            match self.measure(scenario).await {
                Ok(measured) => figures.extend(measured),
                Err(failure) => {
                    // What took minutes to measure is shown all the same.
                    session.output.show(&figures, |figures| figures::table(figures))?;
                    return Err(failure);
                }
            }
        }
        session.output.show(&figures, |figures| figures::table(figures))
    }

    async fn measure(&self, scenario: Scenario) -> Outcome<Vec<Figure>> {
        match scenario {
            Scenario::Fsync => return scenarios::fsync(),
            Scenario::Gossip => return gossip::gossip().await,
            _ => {}
        }
        let fast = scenario != Scenario::Plain;
        let mut bed = Bed::make(self.validators, self.delta_ms, fast)?;
        let time = Duration::from_secs(self.seconds);
        let figures = match scenario {
            Scenario::OneDown => scenarios::one_down(&mut bed, time).await,
            _ => {
                bed.start_all().await?;
                match scenario {
                    Scenario::Latency => scenarios::latency(&bed, "idle network", time).await,
                    Scenario::Plain => scenarios::latency(&bed, "plain mode", time).await,
                    Scenario::Heights => scenarios::heights(&bed, time).await,
                    Scenario::Records => scenarios::records(&bed, time).await,
                    Scenario::Ballots => scenarios::ballots(&bed, time).await,
                    Scenario::Payload => scenarios::payload(&bed, time).await,
                    Scenario::KillLeader => scenarios::kill_leader(&mut bed).await,
                    Scenario::Restart => scenarios::restart(&mut bed).await,
                    _ => scenarios::idle(&bed, time).await,
                }
            }
        };
        bed.stop();
        figures
    }
}
