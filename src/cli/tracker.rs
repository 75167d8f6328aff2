//! `conclave tracker`: where nodes find each other.

use super::{
    failure::{Context, Outcome},
    key::PassphraseFlag,
    logging,
    multiaddr::multiaddr,
    output::Output,
    run::stop_at_end_of_input,
    session::Session,
};
use crate::{
    config::{DEFAULT_LISTEN, LogConfig},
    keys,
    tracker::{self, TrackerConfig},
};
use clap::Parser;
use conclave_behaviours::tracker::{Config, swarm::ConnectionBounds};
use conclave_ledger::keys::SecretKey;
use libp2p::Multiaddr;
use std::{io::Write, net::SocketAddr, path::PathBuf};

/// Runs a tracker, where nodes that know nothing but its address find each other
#[derive(Parser)]
#[command(
    after_help = "Prints its addresses, one a line, for others' --tracker. Serves any number of networks, and needs no home.\n\nExample:\n  conclave tracker --key tracker.key --listen /ip4/0.0.0.0/tcp/7700"
)]
pub(crate) struct Tracker {
    /// Key file, made if there is none: the peer id in its address [default: keys/tracker.key in the home]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Multiaddr to listen on; may be given several times [default: TCP and QUIC on port 7700]
    #[arg(long, value_name = "MULTIADDR", value_parser = multiaddr)]
    listen: Vec<Multiaddr>,
    /// Serve metrics for Prometheus there, at /metrics
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
    /// Most registrations
    #[arg(long, value_name = "NUMBER", default_value_t = Config::default().max_registrations)]
    max_registrations: usize,
    /// Most connections
    #[arg(long, value_name = "NUMBER", default_value_t = ConnectionBounds::default().max_connections)]
    max_connections: u32,
    /// Most connections, and most registrations, from one block of addresses (IPv4 /24, IPv6 /48)
    #[arg(long, value_name = "NUMBER", default_value_t = ConnectionBounds::default().max_per_block)]
    max_per_block: usize,
    /// What to log, as in RUST_LOG
    #[arg(long, value_name = "LEVELS")]
    log: Option<String>,
    #[command(flatten)]
    passphrase: PassphraseFlag,
    /// Stop when standard input ends, so that the tracker does not outlive who started it
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

impl Tracker {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let quietness = logging::filter_of(session.verbose, session.quiet).map(String::from);
        let filter = self.log.clone().or(quietness).unwrap_or_else(|| "info".into());
        logging::start(&LogConfig { filter, format: session.log_format.unwrap_or_default() })?;
        if self.stop_with_stdin {
            std::thread::spawn(stop_at_end_of_input);
        }
        let config = TrackerConfig {
            identity: keys::node_identity(&self.key(session)?),
            listen: if self.listen.is_empty() { default_listen() } else { self.listen },
            metrics_listen: self.metrics_listen,
            bounds: Config {
                max_registrations: self.max_registrations,
                max_per_block: self.max_per_block,
                ..Config::default()
            },
            connections: ConnectionBounds {
                max_connections: self.max_connections,
                max_per_block: self.max_per_block,
            },
        };
        let output = session.output;
        tracker::run(config, |address| print(output, address))
            .await
            .context(|| "the tracker has stopped".into())
    }

    fn key(&self, session: &Session) -> Outcome<SecretKey> {
        let path = self.key.clone().unwrap_or_else(|| session.home.join("keys/tracker.key"));
        if !path.exists() {
            let key = keys::generate()?;
            keys::create(&path, &key, None)?;
            tracing::info!(file = %path.display(), "made a key");
        }
        Ok(keys::load(&path, &self.passphrase.source())?)
    }
}

fn default_listen() -> Vec<Multiaddr> {
    DEFAULT_LISTEN.map(|address| address.parse().expect("the defaults are multiaddrs")).to_vec()
}

/// One line for each address, at once: others wait for it.
fn print(output: Output, address: &Multiaddr) {
    let line = match output {
        Output::Text => address.to_string(),
        Output::Json => serde_json::json!({ "address": address.to_string() }).to_string(),
    };
    let mut out = std::io::stdout().lock();
    // Nobody has to read it: the log says it too.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
