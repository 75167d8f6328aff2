//! Announcements of local programs: the socket for them, and how announcements spread.

use super::ConfigError;
use conclave_protocol::announcements;
use std::{net::SocketAddr, time::Duration};

/// Neighbours in the mesh of a data type unless it is told otherwise.
pub const DEFAULT_DEGREE: u64 = 6;

/// Most neighbours that can be asked for.
pub const MAX_DEGREE: u64 = 64;

/// Announcements kept unless it is told otherwise.
pub const DEFAULT_CACHE_SIZE: u64 = 1024;

/// Most announcements that can be kept; they have up to 64 KiB each.
pub const MAX_CACHE_SIZE: u64 = 65_536;

/// Seconds that modules have for a validation unless it is told otherwise.
pub const DEFAULT_VALIDATION_TIMEOUT: u64 = 60;

/// Most seconds that they can be given.
pub const MAX_VALIDATION_TIMEOUT: u64 = 3600;

/// The gossip API of a node, and its announcements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GossipConfig {
    /// Address of the socket for local modules (default: none, and no socket). It has no authentication.
    pub listen: Option<SocketAddr>,
    /// Neighbours in the mesh of a data type (default 6, 1 to 64): each announcement comes from about as many.
    pub degree: u64,
    /// Announcements kept, in validation and for neighbours that ask (default 1024, 1 to 65,536).
    pub cache_size: u64,
    /// Time that modules have for a validation (default 60 s, 1 s to 1 h).
    pub validation_timeout: Duration,
}

/// What one source says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GossipLayer {
    /// See [`GossipConfig::listen`].
    pub listen: Option<SocketAddr>,
    /// See [`GossipConfig::degree`].
    pub degree: Option<u64>,
    /// See [`GossipConfig::cache_size`].
    pub cache_size: Option<u64>,
    /// See [`GossipConfig::validation_timeout`]; in seconds.
    pub validation_timeout: Option<u64>,
}

impl GossipLayer {
    /// This layer, and where it says nothing the one below.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            degree: self.degree.or(below.degree),
            cache_size: self.cache_size.or(below.cache_size),
            validation_timeout: self.validation_timeout.or(below.validation_timeout),
        }
    }

    /// What all layers say, over the defaults.
    pub(super) fn resolve(self) -> Result<GossipConfig, ConfigError> {
        let seconds = in_range(
            "validation_timeout",
            self.validation_timeout.unwrap_or(DEFAULT_VALIDATION_TIMEOUT),
            MAX_VALIDATION_TIMEOUT,
        )?;
        Ok(GossipConfig {
            listen: self.listen,
            degree: in_range("degree", self.degree.unwrap_or(DEFAULT_DEGREE), MAX_DEGREE)?,
            cache_size: in_range(
                "cache_size",
                self.cache_size.unwrap_or(DEFAULT_CACHE_SIZE),
                MAX_CACHE_SIZE,
            )?,
            validation_timeout: Duration::from_secs(seconds),
        })
    }
}

fn in_range(field: &'static str, value: u64, most: u64) -> Result<u64, ConfigError> {
    if (1..=most).contains(&value) {
        Ok(value)
    } else {
        Err(ConfigError::GossipOutOfRange { field, value, most })
    }
}

impl GossipConfig {
    /// The machine's configuration.
    pub fn announcements(&self) -> announcements::Config {
        announcements::Config {
            validation_timeout: self.validation_timeout,
            duplicate_window: announcements::Config::default()
                .duplicate_window
                .max(2 * self.validation_timeout),
            cache_size: self.cache_size as usize,
            ..announcements::Config::default()
        }
    }

    /// Tells gossipsub the same.
    pub fn configure(
        &self,
        gossipsub: &mut conclave_behaviours::announcements::Config,
        machine: &announcements::Config,
    ) {
        gossipsub.degree = self.degree as usize;
        gossipsub.cache_size = machine.cache_size;
        gossipsub.answer_timeout = machine.validation_timeout;
        gossipsub.duplicate_window = machine.duplicate_window;
        gossipsub.max_message_bytes = announcements::MAX_ENVELOPE_BYTES + 1;
        gossipsub.max_topics = announcements::MAX_TYPES;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_layer_wins_and_what_is_out_of_range_is_named() {
        let upper = GossipLayer { degree: Some(3), ..GossipLayer::default() };
        let lower = GossipLayer { degree: Some(9), cache_size: Some(7), ..GossipLayer::default() };
        let config = upper.over(lower).resolve().unwrap();
        assert_eq!((config.degree, config.cache_size, config.listen), (3, 7, None));
        assert_eq!(config.validation_timeout, Duration::from_secs(60));
        for (layer, field) in [
            (GossipLayer { degree: Some(0), ..GossipLayer::default() }, "gossip.degree"),
            (GossipLayer { degree: Some(65), ..GossipLayer::default() }, "gossip.degree"),
            (GossipLayer { cache_size: Some(0), ..GossipLayer::default() }, "gossip.cache_size"),
            (
                GossipLayer { validation_timeout: Some(0), ..GossipLayer::default() },
                "gossip.validation_timeout",
            ),
        ] {
            let error = layer.resolve().unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn a_long_validation_is_known_again_for_longer() {
        let layer = GossipLayer { validation_timeout: Some(600), ..GossipLayer::default() };
        let machine = layer.resolve().unwrap().announcements();
        assert_eq!(machine.duplicate_window, Duration::from_secs(1200));
    }
}
