//! What a gathering party is told once.

use super::message::Terms;
use conclave_ledger::keys::SecretKey;
use std::time::Duration;

/// The configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What all have to agree on beforehand.
    pub terms: Terms,
    /// Unique name of this party.
    pub name: String,
    /// Its node key, which is its peer id.
    pub node_key: SecretKey,
    /// Its validator key.
    pub validator_key: SecretKey,
    /// The number of this run, which is also that of its record at the tracker; never used twice.
    pub run: u64,
    /// This party's clock, in milliseconds since 1970.
    pub created_ms: u64,
    /// How long to wait until all are registered (default 10 min).
    pub register_limit: Duration,
    /// How long all may take from the roster to the last signature (default 30 s).
    pub round_limit: Duration,
    /// How long a party that has what it needs, or knows that it fails, stays for the others (default 5 s).
    pub grace: Duration,
}

impl Config {
    /// Default of [`Config::register_limit`].
    pub const REGISTER_LIMIT: Duration = Duration::from_secs(600);
    /// Default of [`Config::round_limit`].
    pub const ROUND_LIMIT: Duration = Duration::from_secs(30);
    /// Default of [`Config::grace`].
    pub const GRACE: Duration = Duration::from_secs(5);
}
