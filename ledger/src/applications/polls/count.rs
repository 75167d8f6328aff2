//! Counting the polls whose time is over, within a bound on the work of each height.

use super::store::{self, ElectorateKind, Rules};
use crate::{
    applications::HeightContext,
    hash::Hash,
    state::View,
    tally::{Accumulator, Method, Tally},
};

/// How much may be counted at the end of one height, in steps of about a nanosecond: a second. One poll is always
/// counted, however large; those that do not fit wait for the next height. Without this bound somebody could let a
/// thousand polls of the slowest kind end at once.
pub const COUNTING_STEPS_PER_HEIGHT: u64 = 1_000_000_000;

/// Steps for reading a ballot, or for striking out an elector.
const STEPS_PER_ENTRY: u64 = 1_000;

/// Counts due polls.
pub(super) fn count_due(at: &HeightContext<'_>, state: &mut View<'_>) {
    let mut steps = 0u64;
    let mut fitting = Vec::new();
    for (due_at, poll) in store::due(at.timestamp, state) {
        let Some(rules) = store::rules(&poll, state) else { continue };
        steps = steps.saturating_add(steps_of(&rules, store::ballots(&poll, state)));
        if steps > COUNTING_STEPS_PER_HEIGHT && !fitting.is_empty() {
            break;
        }
        fitting.push((due_at, poll, rules));
    }
    for (due_at, poll, rules) in fitting {
        let tally = count(&poll, &rules, state);
        store::close(&poll, due_at, &tally, at, state);
    }
}

/// An upper estimate of the work that closing a poll takes.
fn steps_of(rules: &Rules, ballots: u64) -> u64 {
    let options = u64::from(rules.options);
    let (per_ballot, result) = match rules.method {
        Method::ChooseOne => (0, options),
        Method::Approve => (options, options),
        Method::Rank => (options.pow(2), options.pow(3)),
    };
    let electors = match rules.electorate {
        ElectorateKind::Keys(keys) => u64::from(keys),
        ElectorateKind::Validators | ElectorateKind::Anyone => 0,
    };
    let reading = electors.saturating_add(ballots).saturating_mul(STEPS_PER_ENTRY);
    reading.saturating_add(ballots.saturating_mul(per_ballot)).saturating_add(result)
}

/// The tally of the ballots that a poll has now. Reads all of them.
pub(super) fn count(poll: &Hash, rules: &Rules, state: &View<'_>) -> Tally {
    let mut accumulator = Accumulator::new(rules.method, rules.options);
    store::each_ballot(poll, state, |ballot| {
        accumulator
            .add(&ballot.choice)
            .expect("a ballot is checked, and their number too, before it is cast");
    });
    accumulator.tally()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::PublicKey;

    #[test]
    fn work_grows_with_what_is_read_and_computed() {
        let steps = |method, options, electorate, ballots| {
            let author = PublicKey([0; 32]);
            let (opens, closes, revote, number, closed) = (0, 1, false, 0, false);
            let rules = Rules { options, method, electorate, opens, closes, revote, author, number, closed };
            steps_of(&rules, ballots)
        };
        assert_eq!(steps(Method::ChooseOne, 2, ElectorateKind::Anyone, 10), 10_002);
        assert_eq!(steps(Method::ChooseOne, 2, ElectorateKind::Keys(5), 10), 15_002);
        assert_eq!(steps(Method::Approve, 3, ElectorateKind::Validators, 10), 10_033);
        assert_eq!(steps(Method::Rank, 1000, ElectorateKind::Anyone, 0), COUNTING_STEPS_PER_HEIGHT);
        assert_eq!(steps(Method::Rank, 1000, ElectorateKind::Anyone, u64::MAX), u64::MAX);
    }
}
