//! What a validator's consensus machine is told once.

use crate::rules::Rules;
use conclave_ledger::{hash::NetworkId, keys::SecretKey};
use std::time::Duration;

/// Configuration of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The network, from the genesis file; part of every signed payload.
    pub network: NetworkId,
    /// Δ, from the genesis file: bounds delivery between honest nodes. A window is `2Δ`.
    pub delta: Duration,
    /// Whether heights may finish by certificate, from the genesis file; otherwise textbook Dolev–Strong.
    pub fast: bool,
    /// This validator's key; `None` makes a machine that follows and never signs.
    pub key: Option<SecretKey>,
    /// The rules that it keeps: all of them.
    pub rules: Rules,
}

impl Config {
    /// Length of a window, `2Δ`.
    pub fn window(&self) -> Duration {
        self.delta * 2
    }

    /// How long after its start a leader may still propose: a part of `Δ`. A later block would miss the others'
    /// first window, although its leader has extracted it.
    pub fn build_delay(&self) -> Duration {
        self.delta / 4
    }

    /// How long a block that a chain names may be on its way from the leader before it is pulled: a part of `Δ`.
    pub fn fetch_delay(&self) -> Duration {
        self.delta / 8
    }

    /// How long after a decision peers are told of it, unless a message of the next height has told them: a part
    /// of the quarter of `Δ` after which they are sent the certificate.
    pub fn announce_delay(&self) -> Duration {
        self.delta / 8
    }

    /// How long after a decision the certificate goes to peers that have not shown that they have decided.
    pub fn certificate_delay(&self) -> Duration {
        self.delta / 4
    }
}
