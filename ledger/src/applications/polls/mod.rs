//! Polls: questions with options, ballots, and tallies that never change after the close.
//!
//! ```text
//!   OpenPoll ──► scheduled ──(opens)──► open ──(closes, or ClosePoll)──► counting ──► closed, with its tally
//! ```
//! Times are compared with the timestamp of the block: a ballot counts in a block whose timestamp is at least
//! `opens` and less than `closes`. At the end of the first height whose timestamp has reached `closes`, or of that
//! which holds the [`Payload::ClosePoll`], all ballots are counted and the tally becomes part of the state. Where
//! more polls are due at once than [`COUNTING_STEPS_PER_HEIGHT`] allows, the rest is counted at the next heights;
//! ballots are refused all the same.
//!
//! A chain without transactions has no blocks, so nothing may happen when a poll's time is over. Then anybody can
//! send the `ClosePoll` that only the author may send before.
//!
//! Ballots are cast by the thousand each second, so everything that one touches is a small entry of its own:
//!
//! | table | key | value |
//! |---|---|---|
//! | `polls/rules/` | poll | [`Rules`]: what a ballot is checked against |
//! | `polls/text/` | poll | [`Text`]: title and options |
//! | `polls/elector/` | poll, key | nothing: who may vote, for a listed electorate |
//! | `polls/known/` | key | in how many listed electorates of polls not yet closed the key is |
//! | `polls/ballot/` | poll, voter's key | [`Ballot`]: the one that counts |
//! | `polls/cast/` | poll | number of ballots that count |
//! | `polls/due/` | time of the close, poll | nothing: polls not yet closed |
//! | `polls/closing/` | poll | [`Closing`]: when and how it was closed |
//! | `polls/tally/` | poll | [`Tally`](crate::tally::Tally) of a closed poll |
//! | `polls/number/` | number from 0 | poll: all polls in the order in which they were opened |
//! | `polls/count` | | number of all polls |

mod count;
mod query;
mod rules;
mod store;
#[cfg(test)]
mod tests;

pub use count::COUNTING_STEPS_PER_HEIGHT;
pub use query::{
    MAX_PAGE, Phase, PollView, Standing, ballot_of, electors, final_tally, is_elector, poll, polls, tally,
};
pub use rules::{MAX_OPTION_BYTES, MAX_TITLE_BYTES, MIN_OPTIONS, PollError};
pub use store::{Ballot, Closing, ElectorateKind, Rules, Text};

use super::{Application, Context, HeightContext};
use crate::{
    hash::Hash,
    keys::PublicKey,
    state::View,
    tally::{Choice, Method},
};
use serde::{Deserialize, Serialize};

/// Who may vote in a poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Electorate {
    /// Those with one of these keys; each is listed once.
    Keys(Vec<PublicKey>),
    /// Who is a validator, and not suspended, when the ballot is cast.
    Validators,
    /// Everybody. Those whom the ledger does not know put a stamp on their ballots.
    Anyone,
}

/// What a sender can ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Payload {
    /// Opens a poll. Its id is the transaction's.
    OpenPoll {
        /// The question: 1 to [`MAX_TITLE_BYTES`] bytes.
        title: String,
        /// The answers, numbered from 0: [`MIN_OPTIONS`] to [`MAX_OPTIONS`](crate::tally::MAX_OPTIONS) of them,
        /// all different, each of 1 to [`MAX_OPTION_BYTES`] bytes.
        options: Vec<String>,
        /// How it is voted in and counted.
        method: Method,
        /// Who may vote.
        electorate: Electorate,
        /// From when on ballots count, in milliseconds since 1970.
        opens: u64,
        /// From when on they no longer count, in milliseconds since 1970.
        closes: u64,
        /// Whether a voter may vote again, in which case the last ballot counts.
        revote: bool,
    },
    /// Casts a ballot.
    CastBallot {
        /// In which poll.
        poll: Hash,
        /// What for.
        choice: Choice,
    },
    /// Closes a poll: by its author before its time, by anybody after.
    ClosePoll {
        /// Which poll.
        poll: Hash,
    },
}

/// The application.
pub struct Polls;

impl Application for Polls {
    type Payload = Payload;
    type Refusal = PollError;

    fn check(payload: &Payload, context: &Context<'_>, state: &View<'_>) -> Result<(), PollError> {
        match payload {
            Payload::OpenPoll { title, options, electorate, opens, closes, .. } => {
                rules::check_texts(title, options)?;
                rules::check_electorate(electorate)?;
                rules::check_times(*opens, *closes, context.at.timestamp)
            }
            Payload::CastBallot { poll, choice } => rules::check_ballot(poll, choice, context, state),
            Payload::ClosePoll { poll } => rules::check_close(poll, context, state),
        }
    }

    fn is_final(refusal: &PollError) -> bool {
        refusal.is_final()
    }

    fn apply(payload: &Payload, context: &Context<'_>, state: &mut View<'_>) {
        match payload {
            Payload::OpenPoll { title, options, method, electorate, opens, closes, revote } => {
                let rules = Rules {
                    options: options.len() as u16,
                    method: *method,
                    electorate: ElectorateKind::of(electorate),
                    opens: *opens,
                    closes: *closes,
                    revote: *revote,
                    author: context.sender,
                    number: store::polls_count(state),
                    closed: false,
                };
                let text = Text { title: title.clone(), options: options.clone() };
                store::open(&context.transaction, &rules, &text, electorate, state);
            }
            Payload::CastBallot { poll, choice } => {
                let ballot = Ballot { choice: choice.clone(), transaction: context.transaction };
                store::cast(poll, &context.sender, &ballot, state);
            }
            Payload::ClosePoll { poll } => store::stop(poll, context.at.timestamp, state),
        }
    }

    fn end_height(at: &HeightContext<'_>, state: &mut View<'_>) {
        count::count_due(at, state);
    }

    fn knows(sender: &PublicKey, state: &View<'_>) -> bool {
        store::is_known(sender, state)
    }
}
