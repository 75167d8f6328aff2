//! What the handshake machine is told once.

use super::message::Role;
use crate::{peer::Peer, rules::Rules};
use conclave_ledger::{hash::NetworkId, keys::SecretKey};
use std::time::Duration;

/// Configuration of the machine.
#[derive(Clone)]
pub struct Config {
    /// The network, from the genesis file.
    pub network: NetworkId,
    /// This node.
    pub peer: Peer,
    /// What this node says that it is.
    pub role: Role,
    /// The key of that role.
    pub key: SecretKey,
    /// Program and version, at most `MAX_VERSION_BYTES` bytes.
    pub version: String,
    /// Time for each answer (default 2 s); afterwards the connection is closed.
    pub response_timeout: Duration,
    /// Dials in a row without success after which the node says so and goes on slowly (default 10).
    pub max_attempts: u32,
    /// Pause before the second dial (default 100 ms); it doubles each time, with jitter of up to a quarter.
    pub first_retry: Duration,
    /// Longest pause between dials before giving up (default 2 s).
    pub longest_retry: Duration,
    /// Pause between dials of an address that was given up (default 10 s).
    pub slow_retry: Duration,
    /// Longest pause before a peer is dialled again that had no use for this node, or no place (default 60 s).
    pub unwelcome_retry: Duration,
    /// Two connections dialled in opposite directions within this time count as dialled at once (default 2 s).
    pub simultaneous_window: Duration,
    /// How long the acknowledgements of a `Goodbye` are waited for (default 500 ms).
    pub goodbye_timeout: Duration,
    /// Seed of challenges and jitter; never twice the same.
    pub seed: [u8; 32],
    /// The rules that it keeps: all of them.
    pub rules: Rules,
}
