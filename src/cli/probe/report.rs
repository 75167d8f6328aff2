//! What a probe has found, for people and for programs.

use crate::cli::{
    failure::{Failure, Outcome},
    output::plain,
};
use libp2p::{PeerId, identify};
use serde::{Serialize, Serializer};
use std::{fmt::Write as _, time::Duration};

/// What a probe has found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Who answered.
    #[serde(serialize_with = "shown")]
    pub(super) peer: PeerId,
    /// Where: the address that was dialled in the end.
    address: String,
    /// Time from the dial to the connection, in milliseconds, encryption included.
    connected_ms: f64,
    /// What it says of itself; empty where it does not say.
    pub(super) identity: Option<Identity>,
    /// Its pings.
    #[serde(serialize_with = "statistics")]
    pub(super) pings: Pings,
    /// What went otherwise than it should.
    notes: Vec<String>,
}

/// What identify says.
#[derive(Debug, Default, Serialize)]
pub(super) struct Identity {
    agent: String,
    protocol_version: String,
    key_type: String,
    /// The address under which the node sees this program.
    observed: String,
    listens: Vec<String>,
    protocols: Vec<String>,
}

/// Pings and how they went.
#[derive(Debug, Default)]
pub(super) struct Pings {
    /// Times of the answered ones, in order.
    pub(super) times: Vec<Duration>,
    /// How many were lost.
    pub(super) lost: u32,
    /// Whether the node does not speak the protocol.
    pub(super) unsupported: bool,
}

/// Figures over the answered pings, in milliseconds.
#[derive(Debug, PartialEq, Serialize)]
struct Figures {
    answered: usize,
    lost: u32,
    unsupported: bool,
    times_ms: Vec<f64>,
    least_ms: Option<f64>,
    median_ms: Option<f64>,
    mean_ms: Option<f64>,
    most_ms: Option<f64>,
    /// Standard deviation of the population.
    deviation_ms: Option<f64>,
}

impl Report {
    /// What is known when the connection is there.
    pub(super) fn new(peer: PeerId, address: String, connected: Duration) -> Self {
        let connected_ms = milliseconds(connected);
        Self { peer, address, connected_ms, identity: None, pings: Pings::default(), notes: Vec::new() }
    }

    pub(super) fn identified(&mut self, info: &identify::Info) {
        let mut protocols: Vec<String> = info.protocols.iter().map(ToString::to_string).collect();
        protocols.sort_unstable();
        self.identity = Some(Identity {
            agent: info.agent_version.clone(),
            protocol_version: info.protocol_version.clone(),
            key_type: info.public_key.key_type().to_string(),
            observed: info.observed_addr.to_string(),
            listens: info.listen_addrs.iter().map(ToString::to_string).collect(),
            protocols,
        });
    }

    pub(super) fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    /// Whether there is nothing left to wait for.
    pub(super) fn is_complete(&self, count: u32) -> bool {
        let pinged = self.pings.times.len() + self.pings.lost as usize;
        self.identity.is_some() && (self.pings.unsupported || pinged >= count as usize)
    }

    /// Whether the node answered as a libp2p node should.
    ///
    /// # Errors
    /// When it said nothing of itself, or answered no ping.
    pub(super) fn verdict(&self, count: u32) -> Outcome {
        if self.identity.is_none() {
            return Err(Failure::new("it is connected, but has not said who it is")
                .advise("Wait longer with --timeout; a node without identify cannot be probed."));
        }
        if count > 0 && !self.pings.unsupported && self.pings.times.is_empty() {
            return Err(Failure::new("it has answered no ping"));
        }
        Ok(())
    }

    /// The text for people.
    pub(super) fn text(&self) -> String {
        let mut text =
            format!("connected  {} in {:.1} ms\npeer       {}\n", self.address, self.connected_ms, self.peer);
        let mut line = |name: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:10} {}", plain(value));
        };
        if let Some(identity) = &self.identity {
            line("agent", &identity.agent);
            line("version", &identity.protocol_version);
            line("key", &identity.key_type);
            line("sees us at", &identity.observed);
            identity.listens.iter().for_each(|address| line("listens", address));
            identity.protocols.iter().for_each(|protocol| line("speaks", protocol));
        }
        let figures = self.pings.figures();
        line("pings", &figures.text());
        self.notes.iter().for_each(|note| line("note", note));
        text
    }
}

impl Pings {
    fn figures(&self) -> Figures {
        let mut sorted: Vec<f64> = self.times.iter().copied().map(milliseconds).collect();
        let times_ms = sorted.clone();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let mean = (count > 0).then(|| sorted.iter().sum::<f64>() / count as f64);
        let deviation = mean
            .map(|mean| (sorted.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / count as f64).sqrt());
        let median = (count > 0).then(|| (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0);
        Figures {
            answered: count,
            lost: self.lost,
            unsupported: self.unsupported,
            least_ms: sorted.first().copied(),
            median_ms: median,
            mean_ms: mean,
            most_ms: sorted.last().copied(),
            deviation_ms: deviation,
            times_ms,
        }
    }
}

impl Figures {
    fn text(&self) -> String {
        if self.unsupported {
            return "it does not speak the ping protocol".into();
        }
        let counts = format!("{} answered, {} lost", self.answered, self.lost);
        match (self.least_ms, self.median_ms, self.mean_ms, self.most_ms, self.deviation_ms) {
            (Some(least), Some(median), Some(mean), Some(most), Some(deviation)) => format!(
                "{counts}; least {least:.2}, median {median:.2}, mean {mean:.2}, most {most:.2}, \
                 deviation {deviation:.2} ms"
            ),
            _ => counts,
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn shown<S: Serializer>(value: &PeerId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn statistics<S: Serializer>(pings: &Pings, serializer: S) -> Result<S::Ok, S::Error> {
    pings.figures().serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_definition() {
        let times = [4, 1, 3, 8].map(Duration::from_millis).to_vec();
        let figures = Pings { times, lost: 1, unsupported: false }.figures();
        assert_eq!((figures.least_ms, figures.most_ms), (Some(1.0), Some(8.0)));
        assert_eq!((figures.median_ms, figures.mean_ms), (Some(3.5), Some(4.0)));
        // Squares of the differences from 4: 0, 9, 1, 16.
        assert_eq!(figures.deviation_ms, Some(6.5_f64.sqrt()));
        assert_eq!(
            figures.text(),
            "4 answered, 1 lost; least 1.00, median 3.50, mean 4.00, most 8.00, deviation 2.55 ms"
        );
        assert_eq!(Pings::default().figures().text(), "0 answered, 0 lost");
    }

    #[test]
    fn a_hostile_agent_cannot_drive_the_terminal() {
        let mut report = Report::new(PeerId::random(), "/ip4/127.0.0.1/tcp/1".into(), Duration::ZERO);
        let agent = "evil\u{1b}[2J\nagent      good".to_owned();
        report.identity = Some(Identity { agent, ..Identity::default() });
        let text = report.text();
        assert!(!text.contains('\u{1b}') && !text.contains("\nagent      good"), "{text}");
        assert!(text.contains("evil"), "{text}");
    }
}
