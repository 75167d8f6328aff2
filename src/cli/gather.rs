//! Gathering from the command line: what `genesis --gather` and `run --gather` have in common.

use super::{
    failure::{Context, Failure, Outcome},
    genesis::fault_bound,
};
use crate::{
    config::NodeConfig,
    gathering::{self, GatherConfig, Gathered, Progress},
    keys,
};
use clap::Args;
use conclave_ledger::validators::FaultBound;
use conclave_protocol::gather::Terms;
use std::time::Duration;

/// What is said of a gathering. All but `--as` and the time limit has to be the same for all parties.
#[derive(Args, Clone, Debug)]
pub(crate) struct GatherFlags {
    /// Make the genesis file together with others: wait until so many, this one counted, are at the tracker
    #[arg(long, value_name = "NUMBER", requires = "trackers")]
    pub(crate) gather: Option<u16>,
    /// With --gather: name of the network, under which the parties find each other
    #[arg(long = "name", value_name = "NETWORK", default_value = "conclave")]
    network: String,
    /// With --gather: your name in the network [default: made from the validator key]
    #[arg(long = "as", value_name = "NAME")]
    own_name: Option<String>,
    /// With --gather: how many may be faulty: third, half, all-but-one, or a number
    #[arg(long, default_value = "third", value_parser = fault_bound)]
    faulty: FaultBound,
    /// With --gather: Δ, in milliseconds: bounds how long a message takes between two honest nodes
    #[arg(long, default_value_t = 500, value_name = "MILLISECONDS")]
    delta_ms: u64,
    /// With --gather: let heights finish only at the end of their last window, as in the textbook
    #[arg(long)]
    textbook: bool,
    /// With --gather: seconds to wait for the others
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    gather_timeout_s: u64,
}

impl GatherFlags {
    /// Gathers `parties` with the keys, addresses and trackers of a node's configuration.
    ///
    /// # Errors
    /// When there is no validator key, or no agreement.
    pub(crate) async fn run(&self, parties: u16, config: &NodeConfig) -> Outcome<Gathered> {
        let Some(validator_key) = &config.validator_key else {
            return Err(Failure::new(format!(
                "{} has no validator key to bring along",
                config.home.display()
            ))
            .advise(format!("Make one: conclave --home {} init --validator NAME", config.home.display())));
        };
        let node_key = keys::load(&config.node_key, &config.passphrases)?;
        let validator_key = keys::load(validator_key, &config.passphrases)?;
        let name = self.own_name.clone();
        let gather = GatherConfig {
            name: name.unwrap_or_else(|| format!("node-{}", &validator_key.public().to_string()[..8])),
            node_key,
            validator_key,
            terms: Terms {
                faulty: self.faulty,
                delta_ms: self.delta_ms,
                fast: !self.textbook,
                ..gathering::terms(self.network.clone(), parties)
            },
            listen: config.listen.clone(),
            trackers: config.trackers.clone(),
            register_limit: Duration::from_secs(self.gather_timeout_s),
        };
        let told = |progress| match progress {
            Progress::Registered(registered) => tracing::info!(registered, parties, "waiting for the others"),
            Progress::Complete => tracing::info!(parties, "all are there"),
            Progress::Signing => tracing::info!("all agree; the tracker is let go, and all sign"),
        };
        gathering::gather(gather, told).await.context(|| "there is no genesis file".into())
    }
}
