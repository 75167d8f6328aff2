//! The variables of the environment that configure a node.
//!
//! | variable | field | form |
//! |---|---|---|
//! | `CONCLAVE_GENESIS` | `genesis` | path |
//! | `CONCLAVE_NODE_KEY` | `node_key` | path |
//! | `CONCLAVE_VALIDATOR_KEY` | `validator_key` | path |
//! | `CONCLAVE_LISTEN` | `network.listen` | multiaddrs, separated by commas |
//! | `CONCLAVE_PEERS` | `network.peers` | multiaddrs, separated by commas |
//! | `CONCLAVE_ADMISSION_BITS` | `network.admission_bits` | number |
//! | `CONCLAVE_TARGET_CONNECTIONS` | `network.target_connections` | number |
//! | `CONCLAVE_MAX_OBSERVERS` | `network.max_observers` | number |
//! | `CONCLAVE_MAX_CONNECTIONS` | `network.max_connections` | number |
//! | `CONCLAVE_REFRESH_INTERVAL_S` | `network.refresh_interval_s` | seconds |
//! | `CONCLAVE_MAX_ATTEMPTS` | `network.max_attempts` | number |
//! | `CONCLAVE_MAX_KNOWN_PEERS` | `network.max_known_peers` | number |
//! | `CONCLAVE_TRACKERS` | `network.trackers` | multiaddrs, separated by commas |
//! | `CONCLAVE_SERVE_TRACKER` | `network.serve_tracker` | `true` or `false` |
//! | `CONCLAVE_API_LISTEN` | `api.listen` | address:port |
//! | `CONCLAVE_API_TOKEN` | | the token itself |
//! | `CONCLAVE_API_TOKEN_FILE` | `api.token_file` | path |
//! | `CONCLAVE_API_HOSTNAMES` | `api.hostnames` | names, separated by commas |
//! | `CONCLAVE_GOSSIP_LISTEN` | `gossip.listen` | address:port |
//! | `CONCLAVE_GOSSIP_DEGREE` | `gossip.degree` | number |
//! | `CONCLAVE_GOSSIP_CACHE_SIZE` | `gossip.cache_size` | number |
//! | `CONCLAVE_GOSSIP_VALIDATION_TIMEOUT` | `gossip.validation_timeout` | seconds |
//! | `CONCLAVE_MINE` | `mining.threads` | number |
//! | `CONCLAVE_BLOCK_LOG` | `mining.block_log` | path |
//! | `CONCLAVE_VOIDPHONE_CONFIG` | see [`super::voidphone`] | path |
//! | `CONCLAVE_LOG` | `log.filter` | as in `RUST_LOG` |
//! | `CONCLAVE_LOG_FORMAT` | `log.format` | `text` or `json` |
//!
//! Those of finders and NAT traversal: [`super::discovery`].
//!
//! An empty variable says nothing. (`CONCLAVE_HOME`, `CONCLAVE_API` and `CONCLAVE_PASSPHRASE` are not part of a
//! node's configuration: see the command line.)

use super::{
    ApiLayer, ConfigError, DiscoveryLayer, GossipLayer, Layer, LogFormat, LogLayer, MIN_TOKEN_BYTES,
    MeetingLayer, MiningLayer, NetworkLayer, Token,
};
use clap::ValueEnum;
use std::{path::PathBuf, str::FromStr};

/// Reads the variables through `lookup`.
///
/// # Errors
/// With the variable and what is wrong with it.
pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Layer, ConfigError> {
    let text = |name: &'static str| lookup(name).filter(|value| !value.is_empty());
    let path = |name| text(name).map(PathBuf::from);
    let format =
        |text: String| LogFormat::from_str(&text, false).map_err(|_| format!("{text:?}: text or json"));
    let token = |text: String| {
        Token::new(text).ok_or_else(|| format!("a token has at least {MIN_TOKEN_BYTES} printable characters"))
    };
    Ok(Layer {
        genesis: path("CONCLAVE_GENESIS"),
        node_key: path("CONCLAVE_NODE_KEY"),
        validator_key: path("CONCLAVE_VALIDATOR_KEY"),
        network: NetworkLayer {
            listen: parsed("CONCLAVE_LISTEN", text("CONCLAVE_LISTEN"), list)?,
            peers: parsed("CONCLAVE_PEERS", text("CONCLAVE_PEERS"), list)?,
            meeting: MeetingLayer {
                admission_bits: number("CONCLAVE_ADMISSION_BITS", &text)?,
                target_connections: number("CONCLAVE_TARGET_CONNECTIONS", &text)?,
                max_observers: number("CONCLAVE_MAX_OBSERVERS", &text)?,
                max_connections: number("CONCLAVE_MAX_CONNECTIONS", &text)?,
                refresh_interval_s: number("CONCLAVE_REFRESH_INTERVAL_S", &text)?,
                max_attempts: number("CONCLAVE_MAX_ATTEMPTS", &text)?,
                max_known_peers: number("CONCLAVE_MAX_KNOWN_PEERS", &text)?,
            },
            trackers: parsed("CONCLAVE_TRACKERS", text("CONCLAVE_TRACKERS"), list)?,
            serve_tracker: parsed("CONCLAVE_SERVE_TRACKER", text("CONCLAVE_SERVE_TRACKER"), one)?,
        },
        api: ApiLayer {
            listen: parsed("CONCLAVE_API_LISTEN", text("CONCLAVE_API_LISTEN"), one)?,
            token: parsed("CONCLAVE_API_TOKEN", text("CONCLAVE_API_TOKEN"), token)?,
            token_file: path("CONCLAVE_API_TOKEN_FILE"),
            hostnames: parsed("CONCLAVE_API_HOSTNAMES", text("CONCLAVE_API_HOSTNAMES"), list)?,
        },
        discovery: DiscoveryLayer::of_environment(text)?,
        gossip: GossipLayer {
            listen: parsed("CONCLAVE_GOSSIP_LISTEN", text("CONCLAVE_GOSSIP_LISTEN"), one)?,
            degree: parsed("CONCLAVE_GOSSIP_DEGREE", text("CONCLAVE_GOSSIP_DEGREE"), one)?,
            cache_size: parsed("CONCLAVE_GOSSIP_CACHE_SIZE", text("CONCLAVE_GOSSIP_CACHE_SIZE"), one)?,
            validation_timeout: parsed(
                "CONCLAVE_GOSSIP_VALIDATION_TIMEOUT",
                text("CONCLAVE_GOSSIP_VALIDATION_TIMEOUT"),
                one,
            )?,
        },
        mining: MiningLayer {
            threads: number("CONCLAVE_MINE", &text)?,
            block_log: path("CONCLAVE_BLOCK_LOG"),
        },
        voidphone: path("CONCLAVE_VOIDPHONE_CONFIG"),
        log: LogLayer {
            filter: text("CONCLAVE_LOG"),
            format: parsed("CONCLAVE_LOG_FORMAT", text("CONCLAVE_LOG_FORMAT"), format)?,
        },
    })
}

pub(super) fn parsed<T>(
    name: &'static str,
    text: Option<String>,
    parse: impl FnOnce(String) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    text.map(parse).transpose().map_err(|reason| ConfigError::Environment { name, reason })
}

fn number<T: FromStr<Err: std::fmt::Display>>(
    name: &'static str,
    text: &impl Fn(&'static str) -> Option<String>,
) -> Result<Option<T>, ConfigError> {
    parsed(name, text(name), one)
}

pub(super) fn one<T: FromStr<Err: std::fmt::Display>>(text: String) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

pub(super) fn list<T: FromStr<Err: std::fmt::Display>>(text: String) -> Result<Vec<T>, String> {
    text.split(',').map(|item| one(item.trim().to_owned())).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<Layer, ConfigError> {
        read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn variables_are_read_and_empty_ones_say_nothing() {
        assert_eq!(from(&[("CONCLAVE_GENESIS", ""), ("CONCLAVE_LISTEN", "")]).unwrap(), Layer::default());
        let layer = from(&[
            ("CONCLAVE_PEERS", "/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/tcp/2"),
            ("CONCLAVE_TRACKERS", "/ip4/127.0.0.1/tcp/9"),
            ("CONCLAVE_SERVE_TRACKER", "true"),
            ("CONCLAVE_API_LISTEN", "127.0.0.1:5"),
            ("CONCLAVE_ADMISSION_BITS", "12"),
            ("CONCLAVE_LOG_FORMAT", "json"),
        ])
        .unwrap();
        assert_eq!(layer.network.peers.unwrap().len(), 2);
        assert_eq!(layer.network.meeting.admission_bits, Some(12));
        assert_eq!((layer.network.trackers.unwrap().len(), layer.network.serve_tracker), (1, Some(true)));
        assert_eq!(layer.api.listen.unwrap().port(), 5);
        assert_eq!(layer.log.format, Some(LogFormat::Json));
    }

    #[test]
    fn errors_name_the_variable() {
        for (name, value) in [
            ("CONCLAVE_LISTEN", "/ip4/127.0.0.1/tcp/1,nowhere"),
            ("CONCLAVE_TRACKERS", "/ip4/127.0.0.1/tcp/1,nowhere"),
            ("CONCLAVE_SERVE_TRACKER", "perhaps"),
            ("CONCLAVE_API_LISTEN", "7780"),
            ("CONCLAVE_ADMISSION_BITS", "many"),
            ("CONCLAVE_API_TOKEN", "short"),
            ("CONCLAVE_GOSSIP_LISTEN", "localhost"),
            ("CONCLAVE_GOSSIP_DEGREE", "-1"),
            ("CONCLAVE_LOG_FORMAT", "xml"),
        ] {
            let error = from(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
