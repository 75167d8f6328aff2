//! Poll methods: ballots go in, a result comes out, the same for everybody who counts the same ballots.
//!
//! | method | a ballot | the winner |
//! |---|---|---|
//! | `choose-one` | one option | plurality: most ballots |
//! | `approve` | any set of options | most ballots |
//! | `rank` | any part of the options in order, ties allowed | Schulze's beatpath method |
//!
//! Options are numbers from 0. Whether a ballot has the form that the method asks for is decided by
//! [`Choice::check`] alone; an [`Accumulator`] counts checked ballots one by one and can take one back when
//! its voter votes again; [`Tally`] is the result, with the counts that it follows from, so that anybody can
//! check the step from the counts to the order. All numbers are integers, and the order of counting does not
//! matter.
//!
//! Every result has an `order`: groups of tied options, best first, lowest number first within a group. No tie
//! is ever broken: not by number, name or chance.

mod approval;
mod plurality;
mod schulze;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use approval::Approval;
use plurality::Plurality;
use schulze::Schulze;

/// Most options in a poll. Schulze's method takes time ~ options³ (under a second for this many) and memory ~
/// options² (4 MB).
pub const MAX_OPTIONS: u16 = 1_000;

/// Most ballots in a poll: the pairwise counts of `rank` have 32 bits.
pub const MAX_BALLOTS: u64 = u32::MAX as u64;

/// How a poll is voted in and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// One option per ballot; the one with most ballots wins (plurality).
    ChooseOne,
    /// Any set of options per ballot; the option on most ballots wins.
    Approve,
    /// An order of any part of the options, counted by Schulze's beatpath method.
    Rank,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 3] = [Self::ChooseOne, Self::Approve, Self::Rank];

    /// The method's name, as in files, commands and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChooseOne => "choose-one",
            Self::Approve => "approve",
            Self::Rank => "rank",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(name: &str) -> Result<Self, UnknownMethod> {
        Self::ALL
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| UnknownMethod(name.to_owned()))
    }
}

/// A name that is no method's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no poll method {0:?}: choose choose-one, approve or rank")]
pub struct UnknownMethod(pub String);

/// What a ballot says. There is one way to write down each ballot, up to the unranked end of a ranking.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// For [`Method::ChooseOne`]: the option.
    One(u16),
    /// For [`Method::Approve`]: the options approved, ascending. Empty is an abstention.
    Approve(Vec<u16>),
    /// For [`Method::Rank`]: groups of options, best first; within a group, which is a tie, ascending.
    /// Options that are not named are below all those named, and tied with each other. Empty is an
    /// abstention.
    Rank(Vec<Vec<u16>>),
}

impl Choice {
    /// The method this choice has the form of.
    pub fn method(&self) -> Method {
        match self {
            Self::One(_) => Method::ChooseOne,
            Self::Approve(_) => Method::Approve,
            Self::Rank(_) => Method::Rank,
        }
    }

    /// Checks that this is a ballot of `method` in a poll with `options` options.
    pub fn check(&self, method: Method, options: u16) -> Result<(), ChoiceError> {
        if self.method() != method {
            return Err(ChoiceError::WrongForm { method, form: self.method() });
        }
        self.check_options(options)
    }

    fn check_options(&self, options: u16) -> Result<(), ChoiceError> {
        match self {
            Self::One(option) => check_ascending(&[*option], options),
            Self::Approve(approved) => check_ascending(approved, options),
            Self::Rank(groups) => {
                let mut named = vec![false; usize::from(options)];
                for (position, group) in groups.iter().enumerate() {
                    if group.is_empty() {
                        return Err(ChoiceError::EmptyTieGroup { position });
                    }
                    check_ascending(group, options)?;
                    for option in group {
                        if std::mem::replace(&mut named[usize::from(*option)], true) {
                            return Err(ChoiceError::OptionNamedTwice { option: *option });
                        }
                    }
                }
                Ok(())
            }
        }
    }
}

fn check_ascending(named: &[u16], options: u16) -> Result<(), ChoiceError> {
    if let Some(option) = named.iter().copied().find(|option| *option >= options) {
        return Err(ChoiceError::UnknownOption { option, options });
    }
    for pair in named.windows(2) {
        match *pair {
            [before, after] if before == after => {
                return Err(ChoiceError::OptionNamedTwice { option: after });
            }
            [before, after] if before > after => return Err(ChoiceError::NotAscending { before, after }),
            _ => {}
        }
    }
    Ok(())
}

/// The rules for a choice. Options and positions are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// The choice has the form of another method's.
    #[error("this is a choice for a poll of method {form}, but the poll's method is {method}")]
    WrongForm {
        /// The poll's method.
        method: Method,
        /// The method whose form the choice has.
        form: Method,
    },
    /// An option that the poll does not have.
    #[error("there is no option number {option}: the poll's {options} options are numbered from 0")]
    UnknownOption {
        /// The option named.
        option: u16,
        /// The number of options.
        options: u16,
    },
    /// An option named more than once.
    #[error("option number {option} is named twice: name it once")]
    OptionNamedTwice {
        /// The option.
        option: u16,
    },
    /// Options of a set, or of a tie in a ranking, that are not in ascending order.
    #[error(
        "option number {before} is named before {after}: options approved, or tied, go in ascending order"
    )]
    NotAscending {
        /// The option named first.
        before: u16,
        /// The lower one named next.
        after: u16,
    },
    /// A tie of no options.
    #[error("group number {position} of the ranking names no option: leave it out")]
    EmptyTieGroup {
        /// The group's position, from 0.
        position: usize,
    },
}

/// Why an [`Accumulator`] refuses to count a ballot, or to take it back. It is unchanged then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CountError {
    /// The ballot is not of the poll's form.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// The poll is full.
    #[error("the poll has {MAX_BALLOTS} ballots already, which is the most there can be")]
    TooManyBallots,
    /// To take this ballot back would leave fewer ballots than none: it has not been counted.
    #[error("the ballot to take back was never counted")]
    NotCounted,
}

/// Counts ballots one by one.
///
/// It is quick to build again from the ballots, which a poll keeps anyway, and so has no form on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accumulator {
    options: u16,
    ballots: u64,
    counting: Counting,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Counting {
    ChooseOne(Plurality),
    Approve(Approval),
    Rank(Schulze),
}

impl Accumulator {
    /// An accumulator without ballots, for a poll with `options` options: at most [`MAX_OPTIONS`], which is
    /// for the rule that opens polls to check. Takes 4·options² bytes for [`Method::Rank`], 8·options
    /// otherwise.
    pub fn new(method: Method, options: u16) -> Self {
        let counting = match method {
            Method::ChooseOne => Counting::ChooseOne(Plurality::new(options)),
            Method::Approve => Counting::Approve(Approval::new(options)),
            Method::Rank => Counting::Rank(Schulze::new(options)),
        };
        Self { options, ballots: 0, counting }
    }

    /// The method that counts.
    pub fn method(&self) -> Method {
        match self.counting {
            Counting::ChooseOne(_) => Method::ChooseOne,
            Counting::Approve(_) => Method::Approve,
            Counting::Rank(_) => Method::Rank,
        }
    }

    /// The number of ballots counted, abstentions included.
    pub fn ballots(&self) -> u64 {
        self.ballots
    }

    /// Checks and counts a ballot. Takes time ~ options named; with [`Method::Rank`], that times options.
    pub fn add(&mut self, choice: &Choice) -> Result<(), CountError> {
        choice.check_options(self.options)?;
        if self.ballots >= MAX_BALLOTS {
            return Err(CountError::TooManyBallots);
        }
        match (&mut self.counting, choice) {
            (Counting::ChooseOne(counting), Choice::One(option)) => counting.add(*option),
            (Counting::Approve(counting), Choice::Approve(approved)) => counting.add(approved),
            (Counting::Rank(counting), Choice::Rank(ranking)) => counting.add(ranking),
            _ => return Err(self.wrong_form(choice)),
        }
        self.ballots += 1;
        Ok(())
    }

    /// Takes back a ballot that was counted, as when its voter votes again. Takes as long as [`Self::add`].
    pub fn remove(&mut self, choice: &Choice) -> Result<(), CountError> {
        choice.check_options(self.options)?;
        let counted = match (&mut self.counting, choice) {
            (Counting::ChooseOne(counting), Choice::One(option)) => counting.remove(*option),
            (Counting::Approve(counting), Choice::Approve(approved)) => counting.remove(approved),
            (Counting::Rank(counting), Choice::Rank(ranking)) => counting.remove(ranking),
            _ => return Err(self.wrong_form(choice)),
        };
        // An abstention leaves no trace in the counts, but the number of ballots.
        if !counted || self.ballots == 0 {
            return Err(CountError::NotCounted);
        }
        self.ballots -= 1;
        Ok(())
    }

    /// The result so far. Takes time ~ options³ with [`Method::Rank`].
    pub fn tally(&self) -> Tally {
        match &self.counting {
            Counting::ChooseOne(counting) => counting.tally(self.ballots),
            Counting::Approve(counting) => counting.tally(self.ballots),
            Counting::Rank(counting) => counting.tally(self.ballots),
        }
    }

    fn wrong_form(&self, choice: &Choice) -> CountError {
        ChoiceError::WrongForm { method: self.method(), form: choice.method() }.into()
    }
}

/// The result of a poll. All lists but `order` are by option number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tally {
    /// Of [`Method::ChooseOne`].
    ChooseOne {
        /// Ballots counted.
        ballots: u64,
        /// Ballots for each option.
        counts: Vec<u64>,
        /// Groups of options with as many ballots, best first.
        order: Vec<Vec<u16>>,
    },
    /// Of [`Method::Approve`].
    Approve {
        /// Ballots counted, abstentions included.
        ballots: u64,
        /// Ballots that approve each option.
        counts: Vec<u64>,
        /// Groups of options on as many ballots, best first.
        order: Vec<Vec<u16>>,
    },
    /// Of [`Method::Rank`].
    Rank {
        /// Ballots counted, abstentions included.
        ballots: u64,
        /// Ballots that rank each option above all others. A ballot whose best group is a tie has no first
        /// preference. They do not decide anything; readers expect to see them.
        first_preferences: Vec<u64>,
        /// `pairwise[i][j]`: ballots that rank option i strictly above option j.
        pairwise: Vec<Vec<u64>>,
        /// Groups of options, best first. An option is in the first group when no option beats it by
        /// Schulze's method, in the second when only options of the first group do, and so on. So options
        /// within a group never beat each other, and every option after the first group is beaten by one of
        /// the group before.
        order: Vec<Vec<u16>>,
    },
}

impl Tally {
    /// Counts `choices` in a poll with `options` options.
    pub fn count<'a>(
        method: Method,
        options: u16,
        choices: impl IntoIterator<Item = &'a Choice>,
    ) -> Result<Self, CountError> {
        let mut accumulator = Accumulator::new(method, options);
        choices.into_iter().try_for_each(|choice| accumulator.add(choice))?;
        Ok(accumulator.tally())
    }

    /// The method that gave this result.
    pub fn method(&self) -> Method {
        match self {
            Self::ChooseOne { .. } => Method::ChooseOne,
            Self::Approve { .. } => Method::Approve,
            Self::Rank { .. } => Method::Rank,
        }
    }

    /// Ballots counted, abstentions included.
    pub fn ballots(&self) -> u64 {
        match self {
            Self::ChooseOne { ballots, .. } | Self::Approve { ballots, .. } | Self::Rank { ballots, .. } => {
                *ballots
            }
        }
    }

    /// Groups of tied options, best first: the first group holds the winner, or the winners if they tie.
    pub fn order(&self) -> &[Vec<u16>] {
        match self {
            Self::ChooseOne { order, .. } | Self::Approve { order, .. } | Self::Rank { order, .. } => order,
        }
    }
}

/// Options by count, highest first, with equal counts in one group.
fn order_by_count(counts: &[u64]) -> Vec<Vec<u16>> {
    let mut groups: BTreeMap<Reverse<u64>, Vec<u16>> = BTreeMap::new();
    for (option, count) in (0..).zip(counts) {
        groups.entry(Reverse(*count)).or_default().push(option);
    }
    groups.into_values().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_rule_for_a_choice() {
        use Choice::{Approve, One, Rank};
        let twice = |option| Err(ChoiceError::OptionNamedTwice { option });
        let unknown = |option| Err(ChoiceError::UnknownOption { option, options: 3 });
        let cases = [
            (One(0), Ok(())),
            (One(2), Ok(())),
            (One(3), unknown(3)),
            (Approve(vec![]), Ok(())),
            (Approve(vec![0, 1, 2]), Ok(())),
            (Approve(vec![0, 3]), unknown(3)),
            (Approve(vec![1, 1]), twice(1)),
            (Approve(vec![2, 0]), Err(ChoiceError::NotAscending { before: 2, after: 0 })),
            (Rank(vec![]), Ok(())),
            (Rank(vec![vec![2], vec![0]]), Ok(())),
            (Rank(vec![vec![0, 1, 2]]), Ok(())),
            (Rank(vec![vec![0], vec![1, u16::MAX]]), unknown(u16::MAX)),
            (Rank(vec![vec![0], vec![1], vec![0]]), twice(0)),
            (Rank(vec![vec![1, 1]]), twice(1)),
            (Rank(vec![vec![1, 0]]), Err(ChoiceError::NotAscending { before: 1, after: 0 })),
            (Rank(vec![vec![1], vec![]]), Err(ChoiceError::EmptyTieGroup { position: 1 })),
        ];
        for (choice, expected) in cases {
            assert_eq!(choice.check(choice.method(), 3), expected, "{choice:?}");
            for method in Method::ALL.into_iter().filter(|method| *method != choice.method()) {
                let error = ChoiceError::WrongForm { method, form: choice.method() };
                assert_eq!(choice.check(method, 3), Err(error));
                if expected.is_ok() {
                    assert_eq!(Accumulator::new(method, 3).add(&choice), Err(error.into()));
                }
            }
            let mut accumulator = Accumulator::new(choice.method(), 3);
            assert_eq!(accumulator.add(&choice), expected.map_err(CountError::Choice), "{choice:?}");
            assert_eq!(accumulator.ballots(), u64::from(expected.is_ok()));
        }
    }

    #[test]
    fn names_of_methods() {
        for method in Method::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        assert_eq!("choose-one".parse(), Ok(Method::ChooseOne));
        assert_eq!("Rank".parse::<Method>(), Err(UnknownMethod("Rank".to_owned())));
    }

    #[test]
    fn equal_counts_are_ties() {
        assert_eq!(order_by_count(&[2, 5, 0, 5, 0]), [vec![1, 3], vec![0], vec![2, 4]]);
        assert_eq!(order_by_count(&[0, 0]), [[0, 1]]);
    }

    #[test]
    fn a_ballot_that_was_not_counted_cannot_be_taken_back() {
        let pairs = [
            (Choice::One(0), Choice::One(1)),
            (Choice::Approve(vec![0, 2]), Choice::Approve(vec![0, 1])),
            (Choice::Rank(vec![vec![0], vec![1]]), Choice::Rank(vec![vec![0], vec![2]])),
            (Choice::Rank(vec![vec![0, 1]]), Choice::Rank(vec![vec![1], vec![0]])),
        ];
        for (counted, other) in pairs {
            let mut accumulator = Accumulator::new(counted.method(), 3);
            assert_eq!(accumulator.remove(&counted), Err(CountError::NotCounted));
            accumulator.add(&counted).unwrap();
            let before = accumulator.clone();
            assert_eq!(accumulator.remove(&other), Err(CountError::NotCounted), "{other:?}");
            assert_eq!(accumulator, before);
            accumulator.remove(&counted).unwrap();
            assert_eq!(accumulator, Accumulator::new(counted.method(), 3));
        }
    }

    #[test]
    fn abstentions_are_ballots() {
        for abstention in [Choice::Approve(vec![]), Choice::Rank(vec![])] {
            let mut accumulator = Accumulator::new(abstention.method(), 2);
            assert_eq!(accumulator.remove(&abstention), Err(CountError::NotCounted));
            accumulator.add(&abstention).unwrap();
            assert_eq!(accumulator.tally().ballots(), 1);
            assert_eq!(accumulator.tally().order(), [[0, 1]]);
            accumulator.remove(&abstention).unwrap();
            assert_eq!(accumulator.ballots(), 0);
        }
    }

    #[test]
    fn a_full_poll_takes_no_more() {
        let mut accumulator = Accumulator::new(Method::Approve, 2);
        accumulator.ballots = MAX_BALLOTS;
        assert_eq!(accumulator.add(&Choice::Approve(vec![0])), Err(CountError::TooManyBallots));
    }

    fn choice(method: Method, options: u16) -> BoxedStrategy<Choice> {
        let numbers: Vec<u16> = (0..options).collect();
        match method {
            Method::ChooseOne => (0..options).prop_map(Choice::One).boxed(),
            Method::Approve => {
                prop::sample::subsequence(numbers, 0..=usize::from(options)).prop_map(Choice::Approve).boxed()
            }
            Method::Rank => {
                let named = prop::sample::subsequence(numbers, 0..=usize::from(options)).prop_shuffle();
                (named, 1..4usize)
                    .prop_map(|(named, size)| {
                        let mut groups: Vec<Vec<u16>> = named.chunks(size).map(<[u16]>::to_vec).collect();
                        groups.iter_mut().for_each(|group| group.sort_unstable());
                        Choice::Rank(groups)
                    })
                    .boxed()
            }
        }
    }

    fn poll() -> impl Strategy<Value = (Method, Vec<Choice>, Vec<Choice>)> {
        prop::sample::select(Method::ALL.to_vec()).prop_flat_map(|method| {
            let ballots = prop::collection::vec(choice(method, 5), 0..20);
            (Just(method), ballots.clone(), ballots)
        })
    }

    proptest! {
        #[test]
        fn votes_taken_back_leave_no_trace((method, kept, replaced) in poll()) {
            let mut accumulator = Accumulator::new(method, 5);
            replaced.iter().chain(&kept).for_each(|choice| accumulator.add(choice).unwrap());
            replaced.iter().for_each(|choice| accumulator.remove(choice).unwrap());
            prop_assert_eq!(accumulator.tally(), Tally::count(method, 5, &kept).unwrap());
            prop_assert_eq!(accumulator.ballots(), kept.len() as u64);
            prop_assert_eq!(accumulator.tally(), Tally::count(method, 5, kept.iter().rev()).unwrap());
        }

        #[test]
        fn every_option_is_in_the_order_once((method, ballots, _) in poll()) {
            let tally = Tally::count(method, 5, &ballots).unwrap();
            let mut options = tally.order().concat();
            options.sort_unstable();
            prop_assert_eq!(options, [0, 1, 2, 3, 4]);
            prop_assert!(tally.order().iter().all(|group| !group.is_empty() && group.is_sorted()));
            prop_assert_eq!(tally.method(), method);
        }
    }
}
