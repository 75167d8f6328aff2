//! Questions about polls, answered from the state alone.

use super::{
    count,
    rules::may_vote,
    store::{self, Ballot, Closing, Rules, Text},
};
use crate::{hash::Hash, keys::PublicKey, state::View, tally::Tally};
use serde::{Deserialize, Serialize};

/// Most polls in one answer of [`polls`].
pub const MAX_PAGE: usize = 100;

/// A poll as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollView {
    /// Its id: that of the transaction that opened it.
    pub id: Hash,
    /// Question and answers.
    pub text: Text,
    /// Method, electorate, times, author.
    pub rules: Rules,
    /// Number of ballots that count.
    pub ballots: u64,
    /// How it was closed, if it was.
    pub closing: Option<Closing>,
}

/// Where a poll stands at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It takes no ballots yet.
    Scheduled,
    /// It takes ballots.
    Open,
    /// It takes no more ballots, and they are not counted yet: that happens at the end of the next block.
    Counting,
    /// It has its final tally.
    Closed,
}

impl PollView {
    /// Where the poll stands at a time in milliseconds since 1970: the last block's, or the clock's for what the
    /// next block will find.
    pub fn phase(&self, now_ms: u64) -> Phase {
        if self.closing.is_some() {
            Phase::Closed
        } else if self.rules.closed || now_ms >= self.rules.closes {
            Phase::Counting
        } else if now_ms >= self.rules.opens {
            Phase::Open
        } else {
            Phase::Scheduled
        }
    }
}

/// A tally, and whether it can still change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Of the ballots so far.
    Preliminary(Tally),
    /// Of a closed poll; it never changes.
    Final(Tally),
}

/// The poll with this id.
pub fn poll(state: &View<'_>, id: &Hash) -> Option<PollView> {
    let (rules, text) = (store::rules(id, state)?, store::text(id, state)?);
    Some(PollView {
        id: *id,
        text,
        rules,
        ballots: store::ballots(id, state),
        closing: store::closing(id, state),
    })
}

/// At most `limit` polls (and at most [`MAX_PAGE`]), the newest first: of all polls, or of those that were opened
/// before the one numbered `before`, which is how the next page is asked for.
pub fn polls(state: &View<'_>, before: Option<u64>, limit: usize) -> Vec<PollView> {
    let count = store::polls_count(state);
    let end = before.map_or(count, |before| before.min(count));
    let newest_first = (0..end).rev().take(limit.min(MAX_PAGE));
    newest_first.filter_map(|number| poll(state, &store::numbered(number, state)?)).collect()
}

/// The tally of a poll, preliminary or final. A preliminary one is computed from all its ballots, which takes
/// about a microsecond for each (and more for rankings of many options): whoever answers requests keeps the answer
/// until the next height.
pub fn tally(state: &View<'_>, id: &Hash) -> Option<Standing> {
    let rules = store::rules(id, state)?;
    Some(match final_tally(state, id) {
        Some(tally) => Standing::Final(tally),
        None => Standing::Preliminary(count::count(id, &rules, state)),
    })
}

/// The tally of a closed poll.
pub fn final_tally(state: &View<'_>, id: &Hash) -> Option<Tally> {
    store::tally(id, state)
}

/// The ballot of `voter` that counts.
pub fn ballot_of(state: &View<'_>, id: &Hash, voter: &PublicKey) -> Option<Ballot> {
    store::ballot(id, voter, state)
}

/// The listed electorate of a poll, ascending; empty for the other electorates.
pub fn electors(state: &View<'_>, id: &Hash) -> Vec<PublicKey> {
    store::electors(id, state)
}

/// Whether `voter` belongs to the electorate of a poll now; `None` if there is no such poll.
pub fn is_elector(state: &View<'_>, id: &Hash, voter: &PublicKey) -> Option<bool> {
    store::rules(id, state).map(|rules| may_vote(id, &rules, voter, state))
}
