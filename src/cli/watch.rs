//! `conclave watch`: what happens on the node, as it happens.

use super::{
    failure::{Failure, Outcome},
    output::{self, Output, date, now_ms, plain},
    say,
    session::Session,
    status::called,
};
use crate::api::types::{Event, RecordKind};
use clap::{Parser, builder::PossibleValuesParser};
use conclave_ledger::signed::Value;

/// Shows what happens on the node, as it happens (Ctrl-C ends it)
#[derive(Parser)]
#[command(after_help = "Example:\n  conclave watch --only decided --count 10")]
pub(crate) struct Watch {
    /// Only what is of this kind; may be given several times
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(Event::NAMES))]
    only: Vec<String>,
    /// End after that many
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
}

impl Watch {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let mut events = session.client()?.events().await?;
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            let Some(event) = events.next().await else {
                return Err(Failure::new("the node has stopped").advise("Start it, and watch again."));
            };
            let event = event?;
            if self.only.is_empty() || self.only.iter().any(|name| name == event.name()) {
                show(session.output, &event)?;
                left -= 1;
            }
        }
        Ok(())
    }
}

/// Prints an event: a line of text, or a line of JSON.
fn show(output: Output, event: &Event) -> Outcome {
    match output {
        Output::Text => output::line(&format!("{}  {}", date(now_ms()), describe(event))),
        Output::Json => output::line(&serde_json::to_string(event)?),
    }
}

/// An event in a line. What peers say of themselves cannot break out of it.
pub(super) fn describe(event: &Event) -> String {
    match event {
        Event::Opened { height, leader } => format!("height {height} is open, {} leads", called(leader)),
        Event::Voted { height, value: Value::Skip } => format!("this node votes to skip height {height}"),
        Event::Voted { height, value: Value::Block(hash) } => {
            format!("this node votes for block {hash} at height {height}")
        }
        Event::Decided { height, kind: RecordKind::Skip, .. } => format!("height {height} is skipped"),
        Event::Decided { height, hash, leader, transactions, micros, .. } => {
            let leader = leader.as_ref().map(|leader| format!(" of {}", called(leader))).unwrap_or_default();
            let time = micros.map(|micros| format!(", in {} ms", micros / 1000)).unwrap_or_default();
            format!("height {height} is decided: block {hash}{leader}, {transactions} transactions{time}")
        }
        Event::RolledBack { height } => format!("what was decided from height {height} on is undone"),
        Event::BlockUndone { height, hash, transactions } => {
            format!("block {hash} of height {height} is undone; its {transactions} transactions wait again")
        }
        Event::Halted { height, reachable, quorum } => {
            format!("height {height} cannot close: {reachable} validators are reachable, {quorum} are needed")
        }
        Event::PeerConnected { peer } => {
            let who = peer.validator.as_ref().map_or_else(|| "observer".into(), called);
            format!("{who} is connected: {} at {}", plain(&peer.peer_id), plain(&peer.address))
        }
        Event::PeerLost { peer_id } => format!("{} is gone", plain(peer_id)),
        Event::PeerRefused { peer_id, reason, by_us: true } => {
            format!("{} was refused: {}", plain(peer_id), plain(reason))
        }
        Event::PeerRefused { peer_id, reason, by_us: false } => {
            format!("{} refuses this node: {}", plain(peer_id), plain(reason))
        }
        Event::PeerPenalized { peer_id, reason } => {
            format!("{} is blamed: {}", plain(peer_id), plain(reason))
        }
        Event::CatchingUp { height, target } => format!("catching up: at height {height} of {target}"),
        Event::Announced { peer_id, name, text, .. } => say::line(peer_id, name.as_deref(), text),
        Event::Missed { count } => format!("{count} events were passed over: this reader is too slow"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_peers_say_stays_in_its_line() {
        let event = Event::PeerPenalized { peer_id: "p".into(), reason: "a\nb\u{1b}[2J".into() };
        assert_eq!(describe(&event), "p is blamed: a\\u{a}b\\u{1b}[2J");
    }
}
