//! `conclave status`, `peers` and `validators`: what a node says of itself and of whom it sees.

use super::{
    failure::{Failure, Outcome},
    output::{date, line, table},
    session::Session,
};
use crate::api::types::{KnownPeer, KnownPeers, NamedKey, Status, WorkStatus};
use clap::Parser;

/// Shows where the node stands
#[derive(Parser)]
#[command(
    after_help = "Example:\n  conclave --home conclave-net/node-2 status\n  conclave --home conclave-net/node-2 status --ready && echo 'it takes part'"
)]
pub(crate) struct ShowStatus {
    /// Fail, and say why, unless the node takes part, is up to date and sees a quorum
    #[arg(long)]
    ready: bool,
    /// Show what the node measures instead, as Prometheus reads it
    #[arg(long, conflicts_with = "ready")]
    metrics: bool,
}

/// Shows the node's connected peers, or all that it knows
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  conclave --api http://127.0.0.1:7780 peers\n  conclave peers --known --output json"
)]
pub(crate) struct ShowPeers {
    /// All peers that the node knows, connected or not, and from where
    #[arg(long)]
    known: bool,
}

/// Shows who decides the next height
#[derive(Parser)]
#[command(after_help = "Example:\n  conclave validators --output json")]
pub(crate) struct ShowValidators {}

impl ShowStatus {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        if self.metrics {
            return line(&client.metrics().await?);
        }
        let status = client.status().await?;
        match &status.not_ready {
            Some(reason) if self.ready => Err(Failure::new(format!("the node is not ready: {reason}"))),
            _ => session.output.show(&status, describe),
        }
    }
}

impl ShowPeers {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        if self.known {
            return session.output.show(&session.client()?.known_peers().await?, known_table);
        }
        session.output.show(&session.client()?.peers().await?, |answer| {
            let rows: Vec<Vec<String>> = answer
                .peers
                .iter()
                .map(|peer| {
                    let name = peer.validator.as_ref().map_or_else(|| "observer".into(), called);
                    let (id, address) = (peer.peer_id.clone(), peer.address.clone());
                    let sources = peer.sources.join(", ");
                    vec![name, peer.height.to_string(), peer.version.clone(), sources, id, address]
                })
                .collect();
            table(&["WHO", "HEIGHT", "VERSION", "KNOWN FROM", "PEER ID", "ADDRESS"], &rows)
        })
    }
}

impl ShowValidators {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        session.output.show(&session.client()?.validators().await?, |answer| {
            let rows: Vec<Vec<String>> = answer
                .validators
                .iter()
                .map(|validator| {
                    let states = [
                        ("leads", validator.leader),
                        ("connected", validator.connected),
                        ("passed over", validator.absent),
                        ("suspended", validator.suspended),
                    ];
                    let states: Vec<&str> =
                        states.iter().filter(|(_, is)| *is).map(|(state, _)| *state).collect();
                    let (index, name) = (validator.index.to_string(), validator.name.clone());
                    vec![index, name, validator.key.to_string(), states.join(", ")]
                })
                .collect();
            let members = answer.validators.len();
            let head = format!(
                "height {}: {} of {members} decide, {} may be faulty\n",
                answer.height, answer.quorum, answer.faulty
            );
            head + &table(&["NO", "NAME", "PUBLIC KEY", "STATE"], &rows)
        })
    }
}

fn known_table(answer: &KnownPeers) -> String {
    let row = |peer: &KnownPeer| {
        let who = match (&peer.validator, peer.proved) {
            (Some(validator), true) => called(validator),
            (Some(validator), false) => format!("{} (it is said)", called(validator)),
            (None, _) if peer.met => "observer".into(),
            (None, _) => "not met yet".into(),
        };
        let state = match (peer.connected, peer.anchor, peer.failures) {
            (true, true, _) => "connected, anchor".into(),
            (true, false, _) => "connected".into(),
            (false, _, 0) => String::new(),
            (false, _, failures) => format!("{failures} failures"),
        };
        let address = peer.addresses.first().cloned().unwrap_or_default();
        vec![who, state, peer.sources.join(", "), peer.group.clone(), peer.peer_id.clone(), address]
    };
    let rows: Vec<Vec<String>> = answer.peers.iter().map(row).collect();
    table(&["WHO", "STATE", "KNOWN FROM", "GROUP", "PEER ID", "ADDRESS"], &rows)
}

/// A validator's name, or the beginning of its key.
pub(crate) fn called(who: &NamedKey) -> String {
    who.name.clone().unwrap_or_else(|| format!("{}…", &who.key.to_string()[..8]))
}

/// In a word or two, whether the node takes part.
pub(crate) fn state_of(status: &Status) -> String {
    if status.failed.is_some() {
        "failed".into()
    } else if let Some(target) = status.catching_up_to {
        format!("catching up to {target}")
    } else if let Some(height) = status.halted {
        format!("halted at {height}: no quorum")
    } else if let Some(reason) = &status.not_ready {
        format!("not ready: {reason}")
    } else {
        "ready".into()
    }
}

/// Who decides, under an engine of validators.
fn validating(status: &Status) -> String {
    format!(
        "leader    {}\npeers     {}; {} validators reachable, {} decide\n",
        called(&status.leader),
        status.peers,
        status.validators_reachable,
        status.quorum,
    )
}

/// What decides, where it is work.
fn working(status: &Status, work: &WorkStatus) -> String {
    format!(
        "work      2^{:.1} hashes behind the chain; {} expected for the next block\nmining    {} hashes a second\n\
         forks     {} seen; {} reorganisations, {} blocks undone, the deepest {}\npeers     {}\n",
        work.work.as_f64().max(1.0).log2(),
        work.difficulty,
        work.hash_rate,
        work.forks,
        work.reorganisations,
        work.undone,
        work.deepest,
        status.peers,
    )
}

fn describe(status: &Status) -> String {
    let who = match &status.validator {
        Some(validator) => format!("validator {}", called(validator)),
        None => "observer".into(),
    };
    let (who, deciding) = match &status.proof_of_work {
        Some(work) if work.mining => ("miner, at work".into(), working(status, work)),
        Some(work) => ("miner or follower".into(), working(status, work)),
        None => (who, validating(status)),
    };
    let mut text = format!(
        "network   {} ({})\nnode      {who}, {}\nstate     {}\nheight    {}, last block {} of {}\n{deciding}\
         waiting   {} transactions\n",
        status.network_name,
        status.network,
        status.peer_id,
        state_of(status),
        status.height,
        status.block_height,
        date(status.timestamp),
        status.pool.transactions,
    );
    for address in &status.listen {
        text.push_str(&format!("listens   {address}\n"));
    }
    if let Some(reason) = &status.failed {
        text.push_str(&format!("failed    {reason}\n"));
    }
    text
}
