//! How a node meets strangers: the fields of the section `network` on admission and known peers.

use super::ConfigError;
use conclave_protocol::{admission::MAX_BITS, node::meeting};
use std::time::Duration;

/// How a node meets strangers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeetingConfig {
    /// Work that is asked of an observer before it is believed, in zero bits (default 24, about 17 million hashes; each
    /// bit more doubles it). Nodes of one network should ask for the same: a node does up to 4 bits more than it asks.
    pub admission_bits: u8,
    /// Connections that an observer keeps up by dialling (default 8). Validators keep up those among each other.
    pub target_connections: usize,
    /// Observers that may stay because they dialled this node (default 64); more are told addresses and let go.
    pub max_observers: usize,
    /// Most connections at a time, whoever dialled (default 512), to trackers and strangers too: what is more is refused
    /// at the door. Less than what the other fields ask for is divided between them. A validator needs one for each
    /// other validator and three more.
    pub max_connections: usize,
    /// Time between two refreshments in seconds (default 600): the trackers are asked again, and one connection that
    /// is no validator's makes room for a fresh one.
    pub refresh_interval_s: u64,
    /// Dials in a row without success after which a peer is forgotten (default 10); a configured one is then only
    /// tried slowly.
    pub max_attempts: u32,
    /// Most peers that are known (default 1024). One part of the network has a quarter of the places at most, one
    /// peer that tells of others an eighth.
    pub max_known_peers: usize,
}

impl Default for MeetingConfig {
    fn default() -> Self {
        let logic = meeting::Config::default();
        Self {
            admission_bits: logic.admission_bits,
            target_connections: logic.target_connections,
            max_observers: logic.max_observers,
            max_connections: logic.max_connections,
            refresh_interval_s: logic.refresh_interval.as_secs(),
            max_attempts: logic.max_attempts,
            max_known_peers: logic.max_known_peers,
        }
    }
}

/// What one source says of meeting strangers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeetingLayer {
    /// See [`MeetingConfig::admission_bits`].
    pub admission_bits: Option<u8>,
    /// See [`MeetingConfig::target_connections`].
    pub target_connections: Option<usize>,
    /// See [`MeetingConfig::max_observers`].
    pub max_observers: Option<usize>,
    /// See [`MeetingConfig::max_connections`].
    pub max_connections: Option<usize>,
    /// See [`MeetingConfig::refresh_interval_s`].
    pub refresh_interval_s: Option<u64>,
    /// See [`MeetingConfig::max_attempts`].
    pub max_attempts: Option<u32>,
    /// See [`MeetingConfig::max_known_peers`].
    pub max_known_peers: Option<usize>,
}

impl MeetingLayer {
    /// This layer, and where it says nothing the one below.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            admission_bits: self.admission_bits.or(below.admission_bits),
            target_connections: self.target_connections.or(below.target_connections),
            max_observers: self.max_observers.or(below.max_observers),
            max_connections: self.max_connections.or(below.max_connections),
            refresh_interval_s: self.refresh_interval_s.or(below.refresh_interval_s),
            max_attempts: self.max_attempts.or(below.max_attempts),
            max_known_peers: self.max_known_peers.or(below.max_known_peers),
        }
    }

    /// The configuration, over the defaults.
    ///
    /// # Errors
    /// When a number is out of its range.
    pub(super) fn resolve(self) -> Result<MeetingConfig, ConfigError> {
        let default = MeetingConfig::default();
        let config = MeetingConfig {
            admission_bits: self.admission_bits.unwrap_or(default.admission_bits),
            target_connections: self.target_connections.unwrap_or(default.target_connections),
            max_observers: self.max_observers.unwrap_or(default.max_observers),
            max_connections: self.max_connections.unwrap_or(default.max_connections),
            refresh_interval_s: self.refresh_interval_s.unwrap_or(default.refresh_interval_s),
            max_attempts: self.max_attempts.unwrap_or(default.max_attempts),
            max_known_peers: self.max_known_peers.unwrap_or(default.max_known_peers),
        };
        let ranges: [(&'static str, u64, u64, u64); 7] = [
            ("admission_bits", u64::from(config.admission_bits), 0, u64::from(MAX_BITS)),
            ("target_connections", config.target_connections as u64, 0, 256),
            ("max_observers", config.max_observers as u64, 0, 448),
            ("max_connections", config.max_connections as u64, 4, 4096),
            ("refresh_interval_s", config.refresh_interval_s, 5, 86_400),
            ("max_attempts", u64::from(config.max_attempts), 1, 1000),
            ("max_known_peers", config.max_known_peers as u64, 16, 16_384),
        ];
        for (field, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::OutOfRange { field, value, least, most });
            }
        }
        Ok(config)
    }
}

impl MeetingConfig {
    /// What the node's logic is told.
    pub fn logic(&self) -> meeting::Config {
        meeting::Config {
            admission_bits: self.admission_bits,
            target_connections: self.target_connections,
            max_observers: self.max_observers,
            max_connections: self.max_connections,
            refresh_interval: Duration::from_secs(self.refresh_interval_s),
            max_attempts: self.max_attempts,
            max_known_peers: self.max_known_peers,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        let resolve = |layer: MeetingLayer| layer.resolve().map_err(|error| error.to_string());
        assert_eq!(resolve(MeetingLayer::default()), Ok(MeetingConfig::default()));
        for (layer, field) in [
            (MeetingLayer { admission_bits: Some(49), ..Default::default() }, "admission_bits"),
            (MeetingLayer { max_observers: Some(1000), ..Default::default() }, "max_observers"),
            (MeetingLayer { max_connections: Some(3), ..Default::default() }, "max_connections"),
            (MeetingLayer { refresh_interval_s: Some(0), ..Default::default() }, "refresh_interval_s"),
            (MeetingLayer { max_attempts: Some(0), ..Default::default() }, "max_attempts"),
            (MeetingLayer { max_known_peers: Some(1), ..Default::default() }, "max_known_peers"),
        ] {
            let error = resolve(layer).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
    }
}
