//! `conclave sim`: networks in virtual time, by the thousand or one under the magnifying glass.
//!
//! - `campaign.rs`: many seeds; `table.rs`: many seeds of many networks; `batch.rs` runs them on all cores.
//! - `replay.rs`: one seed. `partitions.rs`: every cut at every moment. `view.rs`: one run, as text and as a picture.
//! - `measure.rs`: large networks across the world. `mining.rs`: forks, and what a selfish miner wins.

mod batch;
mod campaign;
mod measure;
mod mining;
mod partitions;
mod replay;
mod table;
mod view;

use super::{
    failure::{Failure, Outcome},
    session::Session,
};
use clap::{Parser, Subcommand};
use conclave_simulator::draw::Family;
use std::ops::RangeInclusive;

/// Simulates networks in virtual time: faults by the thousand, and an oracle that judges what comes of them
#[derive(Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "What runs is the program itself, all but sockets, disks and clocks. Each seed draws a network and what goes wrong in it, within \
                  the assumptions of its family:\n  \
                  synchronous   at most f validators are faulty in any way, the network keeps its bound\n  \
                  partitioned   f < n/3: at most f crashes, and one clean cut at any moment\n  \
                  restarted     f < n/3: validators are killed at any moment and started again\n  \
                  chaotic       anything; what must hold whatever happens\n\
                  mined         the other engine: the hosts are miners, f of them cheat, f < n/2 (only if it is named)\n\n\
                  Examples:\n  \
                  conclave sim --validators 7 --faulty 2 --runs 10000\n  \
                  conclave sim --validators 7 --faulty 2 --family synchronous --seed 54 --trace --svg seed-54.svg\n  \
                  conclave sim --validators 7 --faulty 3 --family mined\n  \
                  conclave sim table\n  \
                  conclave sim partitions --validators 4\n  \
                  conclave sim measure --validators 100\n  \
                  conclave sim mining --nodes 1000 --svg docs/figures"
)]
pub(crate) struct Sim {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    network: NetworkFlags,
    /// How many seeds to run, shared out over the families
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    runs: u64,
    /// The first seed of each family
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    first_seed: u64,
    /// Run this seed alone; needs --family
    #[arg(long, value_name = "NUMBER", requires = "family")]
    seed: Option<u64>,
    /// Families to run, with commas between them [default: all of validators in which something is promised]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = parse_family)]
    family: Vec<Family>,
    #[command(flatten)]
    view: view::View,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,
}

#[derive(Subcommand)]
enum Command {
    Measure(measure::Measure),
    Partitions(partitions::Partitions),
    Table(table::Table),
    Mining(mining::Mining),
}

/// The network that is simulated.
#[derive(Clone, Copy, Debug, clap::Args)]
struct NetworkFlags {
    /// Validators
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    validators: u16,
    /// How many of them may be faulty [default: less than a third]
    #[arg(long, value_name = "NUMBER")]
    faulty: Option<u16>,
    /// Textbook Dolev–Strong, without votes and certificates
    #[arg(long)]
    plain: bool,
}

impl NetworkFlags {
    fn faulty(&self) -> Outcome<u16> {
        let faulty = self.faulty.unwrap_or(self.validators.saturating_sub(1) / 3);
        if faulty >= self.validators {
            let validators = self.validators;
            let most = validators - 1;
            return Err(Failure::new(format!(
                "--faulty {faulty}: at most {most} of {validators} can be faulty"
            )));
        }
        Ok(faulty)
    }
}

impl Sim {
    /// Runs the command.
    pub(crate) fn run(self, session: &Session) -> Outcome {
        match (&self.command, self.seed) {
            (Some(Command::Measure(measure)), _) => measure.run(session),
            (Some(Command::Partitions(partitions)), _) => partitions.run(session),
            (Some(Command::Table(table)), _) => table.run(session),
            (Some(Command::Mining(mining)), _) => mining.run(session),
            (None, Some(seed)) => self.replay(session, seed),
            (None, None) => {
                self.view.needs("--seed and --family")?;
                self.campaign(session)
            }
        }
    }
}

fn parse_family(name: &str) -> Result<Family, String> {
    let names = Family::ALL.map(Family::name).join(", ");
    Family::ALL
        .into_iter()
        .find(|family| family.name() == name)
        .ok_or_else(|| format!("no family is called {name:?}; there are: {names}"))
}

fn parse_heights(text: &str) -> Result<RangeInclusive<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?} is no height: {error}"));
    match text.split_once('-') {
        Some((first, last)) => Ok(number(first)?..=number(last)?),
        None => number(text).map(|height| height..=height),
    }
}
