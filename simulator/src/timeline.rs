//! A run as people read it: who said, signed and decided what, and when.

use crate::{
    observation::{Observation, Observed},
    scenario::Scenario,
    watch::Watch,
};
use conclave_ledger::{
    bytes::to_hex,
    codec,
    hash::Hash,
    signed::{Kind, SignatureSet, Value},
};
use conclave_protocol::{
    consensus::Message,
    mining::{CompactBlock, MAX_COMPACT_BYTES},
    node::{LogRecord, MAX_RECORD_BYTES},
    time::Time,
};
use std::{collections::BTreeMap, fmt::Write as _};

/// Most lines that are kept; a longer run ends with a line that says so.
pub const MAX_LINES: usize = 100_000;

/// What a line is about, for those who draw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A message to one or more hosts.
    Said {
        /// The height that it is about.
        height: u64,
        /// To whom.
        to: Vec<usize>,
    },
    /// The host opened this height.
    Opened(u64),
    /// The host decided this height.
    Decided(u64),
    /// Anything else.
    Other,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, in true time.
    pub at: Time,
    /// Who.
    pub host: Option<usize>,
    /// What it is about.
    pub what: What,
    /// What happened.
    pub text: String,
}

/// Keeps what happened, line by line.
#[derive(Debug, Default)]
pub struct Timeline {
    lines: Vec<Line>,
    /// When a host opened a height.
    opened: BTreeMap<(usize, u64), Time>,
}

impl Timeline {
    /// The lines, in the order of time.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// When a host first opened a height.
    pub fn opened(&self, host: usize, height: u64) -> Option<Time> {
        self.opened.get(&(host, height)).copied()
    }

    /// The lines as text: time in milliseconds, window of the height, host, what happened.
    pub fn text(&self, scenario: &Scenario) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let host = line.host.map_or_else(String::new, |host| name(scenario, host));
            let height = match line.what {
                What::Said { height, .. } | What::Decided(height) => Some(height),
                _ => None,
            };
            let opened = line.host.zip(height).and_then(|(host, height)| self.opened(host, height));
            let window = opened.map_or_else(String::new, |opened| {
                let windows = line.at.since(opened).as_micros() / (scenario.delta * 2).as_micros().max(1);
                format!("w{}", windows + 1)
            });
            let milliseconds = line.at.0 as f64 / 1000.0;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{milliseconds:>12.3} {window:<4} {host:<6} {}", line.text);
        }
        text
    }

    fn push(&mut self, at: Time, host: impl Into<Option<usize>>, what: What, text: String) {
        match self.lines.len() {
            MAX_LINES => {
                let text = format!("more than {MAX_LINES} lines: the rest is left out");
                self.lines.push(Line { at, host: None, what: What::Other, text });
            }
            length if length < MAX_LINES => self.lines.push(Line { at, host: host.into(), what, text }),
            _ => {}
        }
    }

    /// One message to several hosts is one line.
    fn said(&mut self, at: Time, from: usize, to: usize, frame: &[u8]) {
        let (height, text) = match codec::decode::<Message>(frame, MAX_RECORD_BYTES) {
            Ok(message) => (message.height(), describe(&message)),
            Err(_) => match codec::decode::<CompactBlock>(frame, MAX_COMPACT_BYTES) {
                Ok(CompactBlock { header, short_ids }) => {
                    let hash = to_hex(&header.hash().0[..3]);
                    let text =
                        format!("{}: block {hash} with {} transactions", header.height, short_ids.len());
                    (header.height, text)
                }
                Err(_) => (0, format!("{} bytes that are no message", frame.len())),
            },
        };
        if let Some(Line { at: last, host, what: What::Said { to: known, .. }, text: said }) =
            self.lines.last_mut()
            && (*last, *host) == (at, Some(from))
            && said.strip_suffix(&destinations(known)).is_some_and(|said| said == text)
        {
            known.push(to);
            *said = format!("{text}{}", destinations(known));
            return;
        }
        let to = vec![to];
        let text = format!("{text}{}", destinations(&to));
        self.push(at, from, What::Said { height, to }, text);
    }
}

/// The name of a host: its number, and a second letter for the other of two twins.
pub fn name(scenario: &Scenario, host: usize) -> String {
    match host.checked_sub(scenario.validators) {
        Some(twin) => format!("v{twin}'"),
        None => format!("v{host}"),
    }
}

fn destinations(to: &[usize]) -> String {
    let names: Vec<String> = to.iter().map(|host| format!("v{host}")).collect();
    format!(" → {}", names.join(" "))
}

fn short(hash: &Hash) -> String {
    to_hex(&hash.0[..3])
}

fn value_of(value: &Value) -> String {
    value.block().map_or_else(|| "skip".into(), |block| short(&block))
}

fn signers(set: &SignatureSet) -> String {
    let signers: Vec<String> = set.signers().map(|signer| signer.to_string()).collect();
    format!("{{{}}}", signers.join(","))
}

/// A message of the consensus protocol in a few words.
fn describe(message: &Message) -> String {
    let height = message.height();
    match message {
        Message::Block(block) => format!("{height}: body of {}", short(&block.hash())),
        Message::Chain { block, votes, endorsements, .. } => format!(
            "{height}: chain on {}, votes {}, endorsements {}",
            short(block),
            signers(votes),
            signers(endorsements)
        ),
        Message::Skip { votes, .. } => format!("{height}: votes to skip {}", signers(votes)),
        Message::Certificate { value, votes, relays, .. } => format!(
            "{height}: certificate on {}, votes {}, relays {}",
            value_of(value),
            signers(votes),
            signers(relays)
        ),
        Message::Support { block, votes, relays, .. } => {
            format!(
                "{height}: support for {}, votes {}, relays {}",
                short(block),
                signers(votes),
                signers(relays)
            )
        }
        Message::Closing { .. } => format!("{height}: closing"),
        Message::Settle { value, settles, .. } => {
            format!("{height}: settles on {} {}", value_of(value), signers(settles))
        }
        Message::Commit { value, commits, .. } => {
            format!("{height}: commits to {} {}", value_of(value), signers(commits))
        }
        Message::Decided { .. } => format!("{height}: has decided"),
    }
}

fn signed(kind: Kind) -> &'static str {
    match kind {
        Kind::Vote => "vote for",
        Kind::Endorse => "endorsement of",
        Kind::RelayCertificate => "relay of the certificate on",
        Kind::RelaySupport => "relay of the support for",
        Kind::Commit => "commit to",
        Kind::Settle => "settle on",
    }
}

fn describe_record(record: &LogRecord) -> String {
    match record {
        LogRecord::Block(block) => {
            format!("logs block {} of height {}", short(&block.hash()), block.header.height)
        }
        LogRecord::Proposal { height, block, .. } => {
            format!("logs its leader's signature on block {} of height {height}", short(block))
        }
        LogRecord::Signed(record) => {
            format!(
                "logs its {} {} at height {}",
                signed(record.kind),
                value_of(&record.value),
                record.height
            )
        }
        LogRecord::Decided { height, value, proof } => {
            let proof = match proof {
                Some(proof) if proof.is_certificate() => "by certificate",
                Some(_) => "by commits",
                None => "at the end",
            };
            format!("logs height {height} as decided {proof}: {}", value_of(value))
        }
        LogRecord::Proved { height, .. } => format!("logs a proof of height {height}"),
        LogRecord::RolledBack { height } => format!("logs that it goes back to before height {height}"),
    }
}

impl Watch for Timeline {
    fn observe(&mut self, observed: &Observed<'_>) {
        let at = observed.at;
        match observed.what {
            Observation::Started { host, boot } => {
                self.push(at, host, What::Other, format!("starts for the {boot}. time"));
            }
            Observation::Died { host } => self.push(at, host, What::Other, "dies".into()),
            Observation::Logged { host, record } => {
                let text = LogRecord::decode(record).map_or_else(
                    |error| format!("logs what is no record: {error}"),
                    |it| describe_record(&it),
                );
                self.push(at, host, What::Other, text);
            }
            Observation::Sent { from, to, frame } => self.said(at, from, to, frame),
            Observation::Opened { host, height, .. } => {
                self.opened.entry((host, height)).or_insert(at);
                self.push(at, host, What::Opened(height), format!("opens height {height}"));
            }
            Observation::Decided { host, height, was_opened, .. } => {
                let how = if was_opened { "" } else { ", by sync or from its log" };
                self.push(at, host, What::Decided(height), format!("has decided height {height}{how}"));
            }
            Observation::Proved { .. } | Observation::Holds { .. } => {}
            Observation::RolledBack { host, height } => {
                self.push(at, host, What::Other, format!("goes back to before height {height}"));
            }
            Observation::Halted { host, height } => {
                self.push(at, host, What::Other, format!("halts at height {height}"));
            }
            Observation::Failed { host, reason } => {
                self.push(at, host, What::Other, format!("gives up: {reason}"));
            }
            Observation::Met { host, peer, .. } => {
                self.push(at, host, What::Other, format!("has met v{peer}"));
            }
            Observation::Blamed { by, whom, reason, .. } => {
                self.push(at, by, What::Other, format!("blames v{whom}: {reason}"));
            }
            Observation::Happened { text } => self.push(at, None, What::Other, text.to_owned()),
            Observation::Submitted { transaction } => {
                let text = format!("transaction {} is submitted", to_hex(&transaction[..3]));
                self.push(at, None, What::Other, text);
            }
            Observation::Acknowledged { host, transaction, height } => {
                let transaction = to_hex(&transaction[..3]);
                let text = format!("says that transaction {transaction} is decided at height {height}");
                self.push(at, host, What::Other, text);
            }
        }
    }
}
