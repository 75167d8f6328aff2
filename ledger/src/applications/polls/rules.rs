//! The rules of polls, one error variant for each.

use super::{
    Electorate,
    store::{self, ElectorateKind, Rules},
};
use crate::{
    applications::{Context, governance},
    hash::Hash,
    keys::PublicKey,
    state::View,
    tally::{Choice, ChoiceError, MAX_BALLOTS, MAX_OPTIONS},
};
use std::collections::BTreeSet;

/// Longest title, in bytes.
pub const MAX_TITLE_BYTES: usize = 256;

/// Longest option, in bytes.
pub const MAX_OPTION_BYTES: usize = 256;

/// Fewest options.
pub const MIN_OPTIONS: usize = 2;

/// A rule of polls. Options are counted from 0, times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// The title's length or characters.
    #[error("a title has 1 to {MAX_TITLE_BYTES} bytes and no control characters, found {0} bytes")]
    Title(usize),
    /// The number of options.
    #[error("a poll has {MIN_OPTIONS} to {MAX_OPTIONS} options, found {0}")]
    OptionCount(usize),
    /// An option's length or characters.
    #[error(
        "option number {option} has {bytes} bytes: an option has 1 to {MAX_OPTION_BYTES} and no control characters"
    )]
    Option {
        /// Which one.
        option: usize,
        /// Its length.
        bytes: usize,
    },
    /// Two options of one name.
    #[error("option number {option} is named {name:?}, as one before: give each option its own name")]
    DuplicateOption {
        /// The second of them.
        option: usize,
        /// Their name.
        name: String,
    },
    /// Nobody could vote.
    #[error("the electorate lists no key, so nobody could vote: list the voters' keys")]
    EmptyElectorate,
    /// A voter is listed twice.
    #[error("the electorate lists {0} twice: list each key once")]
    DuplicateElector(PublicKey),
    /// Closes before it opens.
    #[error("the poll would close at {closes} and open at {opens}: let it close later than it opens")]
    ClosesBeforeOpening {
        /// When it would open.
        opens: u64,
        /// When it would close.
        closes: u64,
    },
    /// Closes in the past.
    #[error("the poll would close at {closes}, and it is {now} already: let it close later")]
    ClosesInPast {
        /// When it would close.
        closes: u64,
        /// The block's timestamp.
        now: u64,
    },
    /// No such poll.
    #[error("there is no poll {0}: check the id, and that the transaction that opens it is decided")]
    UnknownPoll(Hash),
    /// The poll has not begun.
    #[error("the poll opens at {opens}, now is {now}: cast the ballot again then")]
    NotYetOpen {
        /// When it opens.
        opens: u64,
        /// The block's timestamp.
        now: u64,
    },
    /// The poll's time is over.
    #[error("the poll closed at {closes}, now is {now}: it takes no more ballots")]
    TimeIsOver {
        /// When it closed.
        closes: u64,
        /// The block's timestamp.
        now: u64,
    },
    /// The poll is closed.
    #[error("the poll is closed: see its tally")]
    Closed,
    /// The sender may not vote.
    #[error("{0} is not in the poll's electorate: cast the ballot with a key that is")]
    NotElector(PublicKey),
    /// The sender has voted.
    #[error("{0} has cast its ballot already, and this poll allows no second one")]
    AlreadyCast(PublicKey),
    /// The ballot is not of the method's form.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// No more ballots can be counted.
    #[error("the poll has {MAX_BALLOTS} ballots, the most that can be counted")]
    Full,
    /// Somebody else's poll.
    #[error("only the author, {author}, may close the poll before {closes}")]
    NotAuthor {
        /// Who opened it.
        author: PublicKey,
        /// From when on anybody may.
        closes: u64,
    },
}

impl PollError {
    /// Whether the request alone breaks the rule. A ballot's form belongs here: its poll's id fixes the poll.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Title(_)
                | Self::OptionCount(_)
                | Self::Option { .. }
                | Self::DuplicateOption { .. }
                | Self::EmptyElectorate
                | Self::DuplicateElector(_)
                | Self::ClosesBeforeOpening { .. }
                | Self::Choice(_)
        )
    }
}

/// Whether a text of at most `most` bytes can be shown.
fn is_readable(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.chars().any(char::is_control)
}

pub(super) fn check_texts(title: &str, options: &[String]) -> Result<(), PollError> {
    if !is_readable(title, MAX_TITLE_BYTES) {
        return Err(PollError::Title(title.len()));
    }
    if !(MIN_OPTIONS..=usize::from(MAX_OPTIONS)).contains(&options.len()) {
        return Err(PollError::OptionCount(options.len()));
    }
    let mut names = BTreeSet::new();
    for (option, name) in options.iter().enumerate() {
        if !is_readable(name, MAX_OPTION_BYTES) {
            return Err(PollError::Option { option, bytes: name.len() });
        }
        if !names.insert(name) {
            return Err(PollError::DuplicateOption { option, name: name.clone() });
        }
    }
    Ok(())
}

pub(super) fn check_electorate(electorate: &Electorate) -> Result<(), PollError> {
    let Electorate::Keys(keys) = electorate else { return Ok(()) };
    if keys.is_empty() {
        return Err(PollError::EmptyElectorate);
    }
    let mut seen = BTreeSet::new();
    match keys.iter().find(|key| !seen.insert(**key)) {
        Some(twice) => Err(PollError::DuplicateElector(*twice)),
        None => Ok(()),
    }
}

pub(super) fn check_times(opens: u64, closes: u64, now: u64) -> Result<(), PollError> {
    if closes <= opens {
        return Err(PollError::ClosesBeforeOpening { opens, closes });
    }
    if closes <= now {
        return Err(PollError::ClosesInPast { closes, now });
    }
    Ok(())
}

/// The rules of a poll that takes ballots or will.
fn unclosed(poll: &Hash, state: &View<'_>) -> Result<Rules, PollError> {
    let rules = store::rules(poll, state).ok_or(PollError::UnknownPoll(*poll))?;
    if rules.closed { Err(PollError::Closed) } else { Ok(rules) }
}

pub(super) fn check_ballot(
    poll: &Hash,
    choice: &Choice,
    context: &Context<'_>,
    state: &View<'_>,
) -> Result<(), PollError> {
    let rules = unclosed(poll, state)?;
    let (now, voter) = (context.at.timestamp, &context.sender);
    if now < rules.opens {
        return Err(PollError::NotYetOpen { opens: rules.opens, now });
    }
    if now >= rules.closes {
        return Err(PollError::TimeIsOver { closes: rules.closes, now });
    }
    if !may_vote(poll, &rules, voter, state) {
        return Err(PollError::NotElector(*voter));
    }
    let has_voted = store::has_voted(poll, voter, state);
    if has_voted && !rules.revote {
        return Err(PollError::AlreadyCast(*voter));
    }
    if !has_voted && store::ballots(poll, state) >= MAX_BALLOTS {
        return Err(PollError::Full);
    }
    Ok(choice.check(rules.method, rules.options)?)
}

/// Whether `voter` belongs to the electorate of a poll now.
pub(super) fn may_vote(poll: &Hash, rules: &Rules, voter: &PublicKey, state: &View<'_>) -> bool {
    match rules.electorate {
        ElectorateKind::Keys(_) => store::is_listed(poll, voter, state),
        ElectorateKind::Validators => governance::is_active(state, voter),
        ElectorateKind::Anyone => true,
    }
}

pub(super) fn check_close(poll: &Hash, context: &Context<'_>, state: &View<'_>) -> Result<(), PollError> {
    let Rules { author, closes, .. } = unclosed(poll, state)?;
    if context.sender != author && context.at.timestamp < closes {
        return Err(PollError::NotAuthor { author, closes });
    }
    Ok(())
}
