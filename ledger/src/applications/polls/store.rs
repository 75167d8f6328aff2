//! The tables of polls: the only place that knows their keys.

use super::Electorate;
use crate::{
    applications::HeightContext,
    hash::{Hash, TransactionId},
    keys::PublicKey,
    signed::Height,
    state::{View, key},
    tally::{Choice, Method, Tally},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

const RULES: &str = "polls/rules/";
const TEXTS: &str = "polls/text/";
const ELECTORS: &str = "polls/elector/";
const KNOWN: &str = "polls/known/";
const BALLOTS: &str = "polls/ballot/";
const CAST: &str = "polls/cast/";
const DUE: &str = "polls/due/";
const CLOSINGS: &str = "polls/closing/";
const TALLIES: &str = "polls/tally/";
const NUMBERS: &str = "polls/number/";
const COUNT: &str = "polls/count";

/// Which kind of electorate a poll has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ElectorateKind {
    /// A list of that many keys.
    Keys(u32),
    /// The validators.
    Validators,
    /// Everybody.
    Anyone,
}

impl ElectorateKind {
    /// The kind of an electorate.
    pub fn of(electorate: &Electorate) -> Self {
        match electorate {
            Electorate::Keys(keys) => Self::Keys(keys.len() as u32),
            Electorate::Validators => Self::Validators,
            Electorate::Anyone => Self::Anyone,
        }
    }
}

/// What ballots are checked against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Number of options.
    pub options: u16,
    /// How it is voted in and counted.
    pub method: Method,
    /// Who may vote.
    pub electorate: ElectorateKind,
    /// From when on ballots count, in milliseconds since 1970.
    pub opens: u64,
    /// From when on they no longer count, in milliseconds since 1970.
    pub closes: u64,
    /// Whether a voter may vote again.
    pub revote: bool,
    /// Who opened the poll.
    pub author: PublicKey,
    /// Its number among all polls, from 0.
    pub number: u64,
    /// Whether it is closed. Its time may be over before.
    pub closed: bool,
}

/// What people read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The question.
    pub title: String,
    /// The answers, by number.
    pub options: Vec<String>,
}

/// A ballot that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    /// What for.
    pub choice: Choice,
    /// The transaction that cast it, for a proof that it is in a block.
    pub transaction: TransactionId,
}

/// How a poll was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// Height at whose end its ballots were counted.
    pub height: Height,
    /// Timestamp of that height, in milliseconds since 1970.
    pub timestamp: u64,
    /// Whether it was before its time, by the author.
    pub early: bool,
}

pub(super) fn rules(poll: &Hash, state: &View<'_>) -> Option<Rules> {
    state.get(&key(RULES, &[&poll.0]))
}

pub(super) fn text(poll: &Hash, state: &View<'_>) -> Option<Text> {
    state.get(&key(TEXTS, &[&poll.0]))
}

pub(super) fn closing(poll: &Hash, state: &View<'_>) -> Option<Closing> {
    state.get(&key(CLOSINGS, &[&poll.0]))
}

pub(super) fn tally(poll: &Hash, state: &View<'_>) -> Option<Tally> {
    state.get(&key(TALLIES, &[&poll.0]))
}

pub(super) fn ballot(poll: &Hash, voter: &PublicKey, state: &View<'_>) -> Option<Ballot> {
    state.get(&ballot_key(poll, voter))
}

/// Number of ballots that count in a poll.
pub(super) fn ballots(poll: &Hash, state: &View<'_>) -> u64 {
    state.get(&key(CAST, &[&poll.0])).unwrap_or(0)
}

pub(super) fn has_voted(poll: &Hash, voter: &PublicKey, state: &View<'_>) -> bool {
    state.contains(&ballot_key(poll, voter))
}

pub(super) fn is_listed(poll: &Hash, voter: &PublicKey, state: &View<'_>) -> bool {
    state.contains(&key(ELECTORS, &[&poll.0, &voter.0]))
}

pub(super) fn is_known(sender: &PublicKey, state: &View<'_>) -> bool {
    state.contains(&key(KNOWN, &[&sender.0]))
}

/// Number of all polls, which is the number of the next one.
pub(super) fn polls_count(state: &View<'_>) -> u64 {
    state.get(COUNT.as_bytes()).unwrap_or(0)
}

/// The poll with this number.
pub(super) fn numbered(number: u64, state: &View<'_>) -> Option<Hash> {
    state.get(&key(NUMBERS, &[&number.to_be_bytes()]))
}

/// The listed electorate of a poll, ascending.
pub(super) fn electors(poll: &Hash, state: &View<'_>) -> Vec<PublicKey> {
    let prefix = key(ELECTORS, &[&poll.0]);
    state.prefix(&prefix).filter_map(|(key, _)| key[prefix.len()..].try_into().ok().map(PublicKey)).collect()
}

/// Hands every ballot that counts in a poll to `visit`, by voter.
pub(super) fn each_ballot(poll: &Hash, state: &View<'_>, mut visit: impl FnMut(Ballot)) {
    let prefix = key(BALLOTS, &[&poll.0]);
    state.prefix(&prefix).for_each(|(_, value)| visit(read(value)));
}

/// Polls not yet counted whose time is over at `timestamp`, with that time, ascending.
pub(super) fn due<'v>(timestamp: u64, state: &'v View<'_>) -> impl Iterator<Item = (u64, Hash)> + 'v {
    state.prefix(DUE.as_bytes()).map_while(move |(key, _)| {
        let (closes, poll) = key[DUE.len()..].split_first_chunk::<8>()?;
        let closes = u64::from_be_bytes(*closes);
        let poll = Hash(poll.try_into().ok()?);
        (closes <= timestamp).then_some((closes, poll))
    })
}

pub(super) fn open(
    poll: &TransactionId,
    rules: &Rules,
    text: &Text,
    electorate: &Electorate,
    state: &mut View<'_>,
) {
    state.put(key(RULES, &[&poll.0]), rules);
    state.put(key(TEXTS, &[&poll.0]), text);
    state.put(due_key(rules.closes, poll), &());
    state.put(key(NUMBERS, &[&rules.number.to_be_bytes()]), poll);
    state.put(COUNT.into(), &(rules.number + 1));
    if let Electorate::Keys(keys) = electorate {
        for elector in keys {
            state.put(key(ELECTORS, &[&poll.0, &elector.0]), &());
            let polls = known_polls(elector, state) + 1;
            state.put(key(KNOWN, &[&elector.0]), &polls);
        }
    }
}

/// In how many listed electorates of polls not yet closed a key is.
fn known_polls(elector: &PublicKey, state: &View<'_>) -> u32 {
    state.get(&key(KNOWN, &[&elector.0])).unwrap_or(0)
}

pub(super) fn cast(poll: &Hash, voter: &PublicKey, ballot: &Ballot, state: &mut View<'_>) {
    if !has_voted(poll, voter, state) {
        let count = ballots(poll, state) + 1;
        state.put(key(CAST, &[&poll.0]), &count);
    }
    state.put(ballot_key(poll, voter), ballot);
}

/// Lets a poll take no more ballots and be counted from `now` on, instead of at its time.
pub(super) fn stop(poll: &Hash, now: u64, state: &mut View<'_>) {
    if let Some(mut rules) = rules(poll, state) {
        state.remove(&due_key(rules.closes, poll));
        state.put(due_key(rules.closes.min(now), poll), &());
        rules.closed = true;
        state.put(key(RULES, &[&poll.0]), &rules);
    }
}

/// Closes a poll that was due at `due_at` with its tally, for good.
pub(super) fn close(poll: &Hash, due_at: u64, tally: &Tally, at: &HeightContext<'_>, state: &mut View<'_>) {
    let Some(mut rules) = rules(poll, state) else { return };
    let closing = Closing { height: at.height, timestamp: at.timestamp, early: due_at < rules.closes };
    state.put(key(TALLIES, &[&poll.0]), tally);
    state.put(key(CLOSINGS, &[&poll.0]), &closing);
    state.remove(&due_key(due_at, poll));
    rules.closed = true;
    state.put(key(RULES, &[&poll.0]), &rules);
    for elector in electors(poll, state) {
        match known_polls(&elector, state).saturating_sub(1) {
            0 => state.remove(&key(KNOWN, &[&elector.0])),
            left => state.put(key(KNOWN, &[&elector.0]), &left),
        }
    }
}

fn ballot_key(poll: &Hash, voter: &PublicKey) -> Vec<u8> {
    key(BALLOTS, &[&poll.0, &voter.0])
}

fn due_key(closes: u64, poll: &Hash) -> Vec<u8> {
    key(DUE, &[&closes.to_be_bytes(), &poll.0])
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> T {
    cbor4ii::serde::from_slice(bytes).expect("a table of the state holds values of one type only")
}
