//! `conclave probe`: who answers at a multiaddr, what it speaks, and how far away it is.

mod report;

use super::{
    failure::{Failure, Outcome},
    logging,
    multiaddr::multiaddr,
    output::plain,
    session::Session,
};
use crate::keys;
use clap::Parser;
use conclave_behaviours::public_swarm::{self, Behaviour, BehaviourEvent, Config, Ping};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, TransportError, identify, ping,
    swarm::{DialError, SwarmEvent, dial_opts::DialOpts},
};
use report::Report;
use std::{error::Error, time::Duration};
use tokio::time::{Instant, timeout_at};

/// Dials any libp2p node, shows what it says of itself, and pings it
#[derive(Parser)]
#[command(after_help = "Examples:\n  conclave probe /ip4/127.0.0.1/tcp/7700\n  \
                  conclave probe /dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN --count 3")]
pub(crate) struct Probe {
    /// Where the node is; with /p2p/ and a peer id nobody else is accepted there
    #[arg(value_parser = multiaddr)]
    address: Multiaddr,
    /// How many pings; 0 for none
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(..=100_000))]
    count: u32,
    /// Time between pings, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0.2, value_parser = seconds)]
    interval: f64,
    /// Longest wait for the connection, for what the node says of itself, and for each ping, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    timeout: f64,
}

/// Reads a time in seconds.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    if seconds > 0.0 && seconds <= 86_400.0 {
        Ok(seconds)
    } else {
        Err("a time is more than 0 and at most 86400 seconds (a day)".into())
    }
}

impl Probe {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        logging::start(&logging::of_command(session))?;
        let timeout = Duration::from_secs_f64(self.timeout);
        let config = Config {
            agent: concat!("conclave/", env!("CARGO_PKG_VERSION")).into(),
            ping: Ping { interval: Duration::from_secs_f64(self.interval), timeout },
            kademlia: None,
            serves: false,
            messages: None,
        };
        let mut swarm = public_swarm::build(keys::node_identity(&keys::generate()?), &config)?;
        let start = Instant::now();
        let (peer, address) = connect(&mut swarm, &self.address, start + timeout).await?;
        let mut report = Report::new(peer, address.to_string(), start.elapsed());
        self.ask(&mut swarm, &mut report, timeout).await;
        session.output.show(&report, Report::text)?;
        report.verdict(self.count)
    }

    /// Collects what the node says and its pings, until all is there or time is up.
    async fn ask(&self, swarm: &mut Swarm<Behaviour>, report: &mut Report, timeout: Duration) {
        let until = Instant::now() + timeout;
        // The ping protocol tries once more by itself before it says that a ping is lost.
        let pings_until = until
            + (Duration::from_secs_f64(self.interval) + timeout.saturating_mul(2)).saturating_mul(self.count);
        while !report.is_complete(self.count) {
            let due = if report.identity.is_none() { until } else { pings_until };
            let Ok(event) = timeout_at(due, swarm.select_next_some()).await else {
                report.note("no answer in time");
                return;
            };
            match event {
                SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                    peer_id,
                    info,
                    ..
                })) if peer_id == report.peer => report.identified(&info),
                SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Error { error, .. })) => {
                    report.note(&format!("it does not say who it is: {error}"));
                    report.identity.get_or_insert_default();
                }
                SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => pinged(report, event, self.count),
                SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. }
                    if peer_id == report.peer =>
                {
                    let cause = cause.map_or_else(String::new, |error| format!(": {error}"));
                    report.note(&format!("it closed the connection{cause}"));
                    return;
                }
                _ => {}
            }
        }
    }
}

fn pinged(report: &mut Report, event: ping::Event, count: u32) {
    match event.result {
        Ok(time) if report.pings.times.len() < count as usize => report.pings.times.push(time),
        Ok(_) => {}
        Err(ping::Failure::Unsupported) => report.pings.unsupported = true,
        Err(_) => report.pings.lost += 1,
    }
}

/// Dials `address`; returns who answered, and where.
///
/// # Errors
/// When nobody, or somebody else, is there, or not in time.
pub(super) async fn connect(
    swarm: &mut Swarm<Behaviour>,
    address: &Multiaddr,
    until: Instant,
) -> Outcome<(PeerId, Multiaddr)> {
    let dial = DialOpts::unknown_peer_id().address(address.clone()).build();
    let id = dial.connection_id();
    swarm.dial(dial).map_err(|error| refused(address, &error))?;
    loop {
        let Ok(event) = timeout_at(until, swarm.select_next_some()).await else {
            return Err(Failure::new(format!("nobody has answered at {address} in time"))
                .advise("Check the address and the port, or wait longer with --timeout."));
        };
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. }
                if connection_id == id =>
            {
                return Ok((peer_id, endpoint.get_remote_address().clone()));
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } if connection_id == id => {
                return Err(refused(address, &error));
            }
            _ => {}
        }
    }
}

/// Why a dial failed, and what to do.
fn refused(address: &Multiaddr, error: &DialError) -> Failure {
    match error {
        DialError::WrongPeerId { obtained, .. } => {
            Failure::new(format!("the node at {address} is another one: {obtained}"))
                .advise("Give that peer id, or leave /p2p/… away to take whoever answers.")
        }
        DialError::Transport(errors) => {
            let reason = |(found, error): &(Multiaddr, TransportError<std::io::Error>)| {
                // A name that stands for others is told with each of them.
                let prefix = if found == address { String::new() } else { format!("{found}: ") };
                format!("  {prefix}{}", innermost(error))
            };
            let reasons: Vec<String> = errors.iter().map(reason).collect();
            Failure::new(format!("nobody can be reached at {address}:\n{}", reasons.join("\n"))).advise(
                "Check that the node runs, that the port is open, and the address: it has the form \
                 /ip4/192.0.2.7/tcp/7700 or /dns4/example.org/udp/7700/quic-v1.",
            )
        }
        error => Failure::new(format!("cannot dial {address}: {}", reason(error))),
    }
}

/// Why a dial failed, in a line.
pub(super) fn reason(error: &DialError) -> String {
    match error {
        DialError::Transport(errors) => {
            let reasons: Vec<String> = errors.iter().map(|(_, error)| innermost(error)).collect();
            reasons.join("; ")
        }
        error => plain(&error.to_string()),
    }
}

/// The last cause of an error: transports wrap theirs several times. Where several were tried, the last causes are a list
/// after a heading.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let text = error.to_string();
    let mut causes: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
    causes.dedup();
    plain(if causes.is_empty() { text } else { causes.join(", ") }.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn what_several_transports_say_is_one_line() {
        let error = |text: &str| innermost(&io::Error::other(text.to_owned()));
        assert_eq!(error("Connection refused"), "Connection refused");
        assert_eq!(
            error("Multiple dial errors occurred:\n - no route\n - no route\n - refused"),
            "no route, refused"
        );
    }
}
