//! The tallies once more: counted from the ballots in the blocks, without looking at the ledger's tables.

use conclave_ledger::{
    applications::{Payload, polls},
    block::Block,
    hash::Hash,
    keys::PublicKey,
    state::View,
    tally::{Choice, Method, Tally},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// A closed poll whose tally was recounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CountedPoll {
    /// Its id.
    pub id: Hash,
    /// The question.
    pub title: String,
    /// The answers.
    pub options: Vec<String>,
    /// Height at whose end it was counted.
    pub closed_at: u64,
    /// The tally, as the ledger has it and as it was recounted.
    pub tally: Tally,
}

/// A poll whose ledger's tally is not that of the ballots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tally of poll {0} is not that of the ballots in the blocks")]
pub struct WrongTally(pub Hash);

/// A poll that is not closed yet, with what the blocks say of it.
struct OpenPoll {
    title: String,
    options: Vec<String>,
    method: Method,
    /// The last ballot of each voter.
    ballots: BTreeMap<PublicKey, Choice>,
}

/// Follows the blocks and keeps its own books of the polls.
#[derive(Default)]
pub struct Recount {
    open: BTreeMap<Hash, OpenPoll>,
    /// Polls that are closed, in the order of their closing.
    pub closed: Vec<CountedPoll>,
    /// Ballots seen in blocks.
    pub ballots: u64,
}

impl Recount {
    /// Takes down the polls and ballots of a block.
    pub fn read(&mut self, block: &Block) {
        for transaction in &block.transactions {
            let Payload::Poll(payload) = &transaction.request.payload else { continue };
            match payload {
                polls::Payload::OpenPoll { title, options, method, .. } => {
                    let poll = OpenPoll {
                        title: title.clone(),
                        options: options.clone(),
                        method: *method,
                        ballots: BTreeMap::new(),
                    };
                    self.open.insert(transaction.id(), poll);
                }
                polls::Payload::CastBallot { poll, choice } => {
                    self.ballots += 1;
                    if let Some(poll) = self.open.get_mut(poll) {
                        poll.ballots.insert(transaction.request.sender, choice.clone());
                    }
                }
                polls::Payload::ClosePoll { .. } => {}
            }
        }
    }

    /// Compares the tallies of the polls that the ledger has closed since the last call.
    ///
    /// # Errors
    /// The first poll whose tally is another.
    pub fn compare(&mut self, state: &View<'_>) -> Result<(), WrongTally> {
        let newly_closed: Vec<(Hash, Tally)> =
            self.open.keys().filter_map(|id| Some((*id, polls::final_tally(state, id)?))).collect();
        for (id, tally) in newly_closed {
            let Some(OpenPoll { title, options, method, ballots }) = self.open.remove(&id) else { continue };
            let recounted = Tally::count(method, options.len() as u16, ballots.values());
            let closing = polls::poll(state, &id).and_then(|poll| poll.closing);
            let (Some(closing), true) = (closing, recounted.as_ref() == Ok(&tally)) else {
                return Err(WrongTally(id));
            };
            self.closed.push(CountedPoll { id, title, options, closed_at: closing.height, tally });
        }
        Ok(())
    }

    /// Polls that are not closed.
    pub fn still_open(&self) -> usize {
        self.open.len()
    }
}
