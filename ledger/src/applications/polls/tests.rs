#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    applications::governance::{
        self,
        testing::{BEGIN, Ledger, secret},
    },
    codec,
    state::key,
    tally::{ChoiceError, MAX_BALLOTS, MAX_OPTIONS, Tally},
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// From here on the polls of these tests take ballots.
const OPENS: u64 = BEGIN + 100;
/// And from here on no longer.
const CLOSES: u64 = BEGIN + 200;

fn keys(numbers: impl IntoIterator<Item = u8>) -> Electorate {
    Electorate::Keys(numbers.into_iter().map(|number| secret(number).public()).collect())
}

fn names(count: u16) -> Vec<String> {
    (0..count).map(|number| format!("option {number}")).collect()
}

/// A poll with three options.
fn question(method: Method, electorate: Electorate, revote: bool) -> Payload {
    let (title, options) = ("What?".into(), names(3));
    Payload::OpenPoll { title, options, method, electorate, opens: OPENS, closes: CLOSES, revote }
}

fn open(ledger: &mut Ledger, by: u8, payload: &Payload) -> Hash {
    ledger.run::<Polls>(&secret(by), payload).unwrap()
}

/// A ledger in which 50 has opened a poll for 10 to 14, at the time at which it opens.
fn opened(method: Method, revote: bool) -> (Ledger, Hash) {
    let mut ledger = Ledger::new(4);
    let poll = open(&mut ledger, 50, &question(method, keys(10..15), revote));
    ledger.timestamp = OPENS;
    (ledger, poll)
}

fn cast(ledger: &mut Ledger, by: u8, poll: Hash, choice: Choice) -> Result<Hash, PollError> {
    ledger.run::<Polls>(&secret(by), &Payload::CastBallot { poll, choice })
}

fn close(ledger: &mut Ledger, by: u8, poll: Hash) -> Result<Hash, PollError> {
    ledger.run::<Polls>(&secret(by), &Payload::ClosePoll { poll })
}

fn counts(tally: &Tally) -> Vec<u64> {
    match tally {
        Tally::ChooseOne { counts, .. } | Tally::Approve { counts, .. } => counts.clone(),
        Tally::Rank { pairwise, .. } => pairwise.concat(),
    }
}

fn final_counts(ledger: &Ledger, poll: &Hash) -> Option<Vec<u64>> {
    final_tally(&ledger.state.view(), poll).map(|tally| counts(&tally))
}

fn entries(ledger: &Ledger, table: &str) -> usize {
    ledger.state.view().prefix(table.as_bytes()).count()
}

#[test]
fn a_poll_is_counted_at_the_end_of_the_height_that_reaches_its_time() {
    let (mut ledger, poll) = opened(Method::ChooseOne, false);
    for (voter, option) in [(10, 1), (11, 1), (12, 0)] {
        cast(&mut ledger, voter, poll, Choice::One(option)).unwrap();
    }
    ledger.timestamp = CLOSES - 1;
    cast(&mut ledger, 13, poll, Choice::One(2)).unwrap();
    ledger.end_height();
    assert_eq!((ledger.timestamp, final_counts(&ledger, &poll)), (CLOSES, None));
    let refused = cast(&mut ledger, 14, poll, Choice::One(2));
    assert_eq!(refused, Err(PollError::TimeIsOver { closes: CLOSES, now: CLOSES }));
    let height = ledger.height;
    ledger.end_height();
    assert_eq!(final_counts(&ledger, &poll), Some(vec![1, 2, 1]));
    let view = super::poll(&ledger.state.view(), &poll).unwrap();
    assert_eq!(view.closing, Some(Closing { height, timestamp: CLOSES, early: false }));
    assert_eq!((view.ballots, view.rules.closed), (4, true));
}

#[test]
fn a_closed_poll_never_changes() {
    let (mut ledger, poll) = opened(Method::ChooseOne, true);
    cast(&mut ledger, 10, poll, Choice::One(1)).unwrap();
    close(&mut ledger, 50, poll).unwrap();
    assert_eq!(cast(&mut ledger, 11, poll, Choice::One(1)), Err(PollError::Closed), "in the same block");
    let height = ledger.height;
    ledger.end_height();
    let closed = super::poll(&ledger.state.view(), &poll);
    let closing = Closing { height, timestamp: OPENS, early: true };
    assert_eq!(closed.as_ref().unwrap().closing, Some(closing));
    assert_eq!(final_counts(&ledger, &poll), Some(vec![0, 1, 0]));
    assert_eq!(cast(&mut ledger, 11, poll, Choice::One(1)), Err(PollError::Closed));
    assert_eq!(close(&mut ledger, 50, poll), Err(PollError::Closed));
    ledger.timestamp = CLOSES;
    ledger.end_height();
    assert_eq!(cast(&mut ledger, 10, poll, Choice::One(2)), Err(PollError::Closed));
    assert_eq!(super::poll(&ledger.state.view(), &poll), closed);
    assert_eq!(final_counts(&ledger, &poll), Some(vec![0, 1, 0]));
    assert_eq!(entries(&ledger, "polls/due/"), 0);
}

#[test]
fn definitions_that_break_a_rule_are_refused() {
    type Edit = fn(&mut Definition);
    struct Definition {
        title: String,
        options: Vec<String>,
        electorate: Electorate,
        opens: u64,
        closes: u64,
    }
    let allowed: [Edit; 7] = [
        |_| {},
        |poll| poll.title = "t".repeat(MAX_TITLE_BYTES),
        |poll| poll.options = names(2),
        |poll| poll.options = names(MAX_OPTIONS),
        |poll| poll.options[0] = "o".repeat(MAX_OPTION_BYTES),
        |poll| poll.opens = 0,
        |poll| (poll.opens, poll.closes) = (0, BEGIN + 2),
    ];
    let refused: [(Edit, PollError); 13] = [
        (|poll| poll.title.clear(), PollError::Title(0)),
        (|poll| poll.title = "t".repeat(MAX_TITLE_BYTES + 1), PollError::Title(257)),
        (|poll| poll.title = "red\u{1b}[31m".into(), PollError::Title(8)),
        (|poll| poll.options = names(1), PollError::OptionCount(1)),
        (|poll| poll.options = names(1001), PollError::OptionCount(1001)),
        (|poll| poll.options[2].clear(), PollError::Option { option: 2, bytes: 0 }),
        (|poll| poll.options[1] = "o".repeat(257), PollError::Option { option: 1, bytes: 257 }),
        (|poll| poll.options[1] = "\n".into(), PollError::Option { option: 1, bytes: 1 }),
        (
            |poll| poll.options[2] = "option 0".into(),
            PollError::DuplicateOption { option: 2, name: "option 0".into() },
        ),
        (|poll| poll.electorate = keys([]), PollError::EmptyElectorate),
        (|poll| poll.electorate = keys([1, 2, 1]), PollError::DuplicateElector(secret(1).public())),
        (|poll| poll.closes = OPENS, PollError::ClosesBeforeOpening { opens: OPENS, closes: OPENS }),
        (
            |poll| (poll.opens, poll.closes) = (0, BEGIN + 1),
            PollError::ClosesInPast { closes: BEGIN + 1, now: BEGIN + 1 },
        ),
    ];
    let ledger = Ledger::new(4);
    let check = |edit: Edit| {
        let mut poll = Definition {
            title: "What?".into(),
            options: names(3),
            electorate: keys(10..15),
            opens: OPENS,
            closes: CLOSES,
        };
        edit(&mut poll);
        let Definition { title, options, electorate, opens, closes } = poll;
        let method = Method::Rank;
        let payload = Payload::OpenPoll { title, options, method, electorate, opens, closes, revote: false };
        ledger.check::<Polls>(&secret(50), &payload)
    };
    allowed.into_iter().enumerate().for_each(|(case, edit)| assert_eq!(check(edit), Ok(()), "case {case}"));
    refused.into_iter().for_each(|(edit, refusal)| assert_eq!(check(edit), Err(refusal)));
}

#[test]
fn ballots_that_break_a_rule_are_refused() {
    let (mut ledger, poll) = opened(Method::Approve, false);
    let ballot = || Choice::Approve(vec![0, 2]);
    let unknown = Hash([3; 32]);
    assert_eq!(cast(&mut ledger, 10, unknown, ballot()), Err(PollError::UnknownPoll(unknown)));
    ledger.timestamp = OPENS - 1;
    let early = Err(PollError::NotYetOpen { opens: OPENS, now: OPENS - 1 });
    assert_eq!(cast(&mut ledger, 10, poll, ballot()), early);
    ledger.timestamp = OPENS;
    for stranger in [0, 50, 100] {
        let refused = Err(PollError::NotElector(secret(stranger).public()));
        assert_eq!(cast(&mut ledger, stranger, poll, ballot()), refused);
    }
    let unknown_option = ChoiceError::UnknownOption { option: 3, options: 3 };
    assert_eq!(cast(&mut ledger, 10, poll, Choice::Approve(vec![3])), Err(unknown_option.into()));
    let wrong_form = ChoiceError::WrongForm { method: Method::Approve, form: Method::ChooseOne };
    assert_eq!(cast(&mut ledger, 10, poll, Choice::One(0)), Err(wrong_form.into()));
    cast(&mut ledger, 10, poll, ballot()).unwrap();
    let again = Err(PollError::AlreadyCast(secret(10).public()));
    assert_eq!(cast(&mut ledger, 10, poll, Choice::Approve(vec![1])), again);
    ledger.timestamp = CLOSES;
    let late = Err(PollError::TimeIsOver { closes: CLOSES, now: CLOSES });
    assert_eq!(cast(&mut ledger, 11, poll, ballot()), late);
    ledger.end_height();
    assert_eq!(final_counts(&ledger, &poll), Some(vec![1, 0, 1]));
}

#[test]
fn a_full_poll_takes_no_new_voter() {
    let (mut ledger, poll) = opened(Method::ChooseOne, true);
    cast(&mut ledger, 10, poll, Choice::One(0)).unwrap();
    ledger.state.apply([(key("polls/cast/", &[&poll.0]), Some(codec::encode(&MAX_BALLOTS)))].into());
    assert_eq!(cast(&mut ledger, 11, poll, Choice::One(0)), Err(PollError::Full));
    cast(&mut ledger, 10, poll, Choice::One(1)).unwrap();
}

#[test]
fn the_last_ballot_counts_where_voting_again_is_allowed() {
    let (mut ledger, poll) = opened(Method::ChooseOne, true);
    cast(&mut ledger, 10, poll, Choice::One(0)).unwrap();
    cast(&mut ledger, 11, poll, Choice::One(0)).unwrap();
    let last = cast(&mut ledger, 10, poll, Choice::One(2)).unwrap();
    let view = ledger.state.view();
    let ballot = Ballot { choice: Choice::One(2), transaction: last };
    assert_eq!(ballot_of(&view, &poll, &secret(10).public()), Some(ballot));
    assert_eq!(ballot_of(&view, &poll, &secret(12).public()), None);
    let Some(Standing::Preliminary(tally)) = tally(&view, &poll) else { panic!("the poll is open") };
    assert_eq!((tally.ballots(), counts(&tally)), (2, vec![1, 0, 1]));
    ledger.timestamp = CLOSES;
    ledger.end_height();
    let Some(Standing::Final(tally)) = super::tally(&ledger.state.view(), &poll) else {
        panic!("it is closed")
    };
    assert_eq!((tally.ballots(), counts(&tally)), (2, vec![1, 0, 1]));
}

#[test]
fn the_author_closes_early_and_anybody_late() {
    let (mut ledger, poll) = opened(Method::ChooseOne, false);
    let unknown = Hash([3; 32]);
    assert_eq!(close(&mut ledger, 50, unknown), Err(PollError::UnknownPoll(unknown)));
    let not_author = PollError::NotAuthor { author: secret(50).public(), closes: CLOSES };
    ledger.timestamp = CLOSES - 1;
    for other in [0, 10, 51] {
        assert_eq!(close(&mut ledger, other, poll), Err(not_author.clone()));
    }
    ledger.check::<Polls>(&secret(50), &Payload::ClosePoll { poll }).unwrap();
    ledger.timestamp = CLOSES + 7;
    close(&mut ledger, 51, poll).unwrap();
    ledger.end_height();
    let closing = super::poll(&ledger.state.view(), &poll).unwrap().closing.unwrap();
    assert_eq!((closing.timestamp, closing.early), (CLOSES + 7, false));
}

#[test]
fn an_author_cancels_a_poll_that_is_not_open_yet() {
    let mut ledger = Ledger::new(4);
    let poll = open(&mut ledger, 50, &question(Method::Rank, Electorate::Anyone, false));
    close(&mut ledger, 50, poll).unwrap();
    ledger.end_height();
    assert_eq!(final_tally(&ledger.state.view(), &poll).map(|tally| tally.ballots()), Some(0));
}

#[test]
fn validators_vote_while_they_are_validators_in_good_standing() {
    let mut ledger = Ledger::new(4);
    let poll = open(&mut ledger, 50, &question(Method::ChooseOne, Electorate::Validators, true));
    ledger.timestamp = OPENS;
    cast(&mut ledger, 3, poll, Choice::One(1)).unwrap();
    let not_elector = |by| Err(PollError::NotElector(secret(by).public()));
    assert_eq!(cast(&mut ledger, 100, poll, Choice::One(1)), not_elector(100));
    assert_eq!(is_elector(&ledger.state.view(), &poll, &secret(2).public()), Some(true));
    let mut view = ledger.state.view();
    governance::suspend(&mut view, &secret(3).public());
    let changes = view.into_changes();
    ledger.state.apply(changes);
    assert_eq!(cast(&mut ledger, 3, poll, Choice::One(2)), not_elector(3));
    close(&mut ledger, 50, poll).unwrap();
    ledger.end_height();
    assert_eq!(final_counts(&ledger, &poll), Some(vec![0, 1, 0]), "it was a validator when it voted");
}

#[test]
fn anyone_votes_and_stays_unknown() {
    let mut ledger = Ledger::new(4);
    let poll = open(&mut ledger, 50, &question(Method::ChooseOne, Electorate::Anyone, false));
    ledger.timestamp = OPENS;
    cast(&mut ledger, 77, poll, Choice::One(1)).unwrap();
    assert!(!Polls::knows(&secret(77).public(), &ledger.state.view()));
    assert_eq!(electors(&ledger.state.view(), &poll), []);
}

#[test]
fn electors_are_known_while_a_poll_that_lists_them_is_not_closed() {
    let mut ledger = Ledger::new(4);
    let first = open(&mut ledger, 50, &question(Method::ChooseOne, keys([10, 11]), false));
    let second = open(&mut ledger, 50, &question(Method::ChooseOne, keys([11, 12]), false));
    let known = |ledger: &Ledger| {
        [10, 11, 12, 50].map(|number| Polls::knows(&secret(number).public(), &ledger.state.view()))
    };
    assert_eq!(known(&ledger), [true, true, true, false]);
    close(&mut ledger, 50, first).unwrap();
    ledger.end_height();
    assert_eq!(known(&ledger), [false, true, true, false]);
    close(&mut ledger, 50, second).unwrap();
    ledger.end_height();
    assert_eq!(known(&ledger), [false; 4]);
    assert_eq!(entries(&ledger, "polls/known/"), 0);
    let mut expected = [11, 12].map(|number| secret(number).public());
    expected.sort();
    assert_eq!(electors(&ledger.state.view(), &second), expected);
}

#[test]
fn one_height_counts_no_more_than_its_bound_but_one_poll_at_least() {
    let mut ledger = Ledger::new(4);
    let large = Payload::OpenPoll {
        title: "Which of very many?".into(),
        options: names(700),
        method: Method::Rank,
        electorate: Electorate::Anyone,
        opens: 0,
        closes: CLOSES,
        revote: false,
    };
    // 700³ steps each: two fit into a height, a third does not.
    let mut polls: Vec<Hash> = (0..5).map(|_| open(&mut ledger, 50, &large)).collect();
    polls.sort();
    ledger.timestamp = CLOSES;
    for counted in [2, 4, 5] {
        ledger.end_height();
        let found = polls.iter().filter(|poll| final_tally(&ledger.state.view(), poll).is_some()).count();
        assert_eq!(found, counted);
        if let Some(waiting) = polls.get(counted) {
            let view = super::poll(&ledger.state.view(), waiting).unwrap();
            assert_eq!((view.phase(CLOSES), view.closing), (Phase::Counting, None));
            let refused = cast(&mut ledger, 10, *waiting, Choice::Rank(vec![]));
            assert!(matches!(refused, Err(PollError::TimeIsOver { .. })), "{refused:?}");
        }
    }
}

#[test]
fn a_poll_that_is_larger_than_the_bound_is_counted_alone() {
    let mut ledger = Ledger::new(4);
    let payload = question(Method::ChooseOne, Electorate::Anyone, false);
    let polls = [0; 2].map(|_| open(&mut ledger, 50, &payload));
    let pretended = Some(codec::encode(&(COUNTING_STEPS_PER_HEIGHT + 1)));
    let cast = polls.map(|poll| (key("polls/cast/", &[&poll.0]), pretended.clone()));
    ledger.state.apply(cast.into());
    ledger.timestamp = CLOSES;
    for counted in [1, 2] {
        ledger.end_height();
        let view = ledger.state.view();
        assert_eq!(polls.iter().filter(|poll| final_tally(&view, poll).is_some()).count(), counted);
    }
}

#[test]
fn polls_are_listed_the_newest_first_and_in_pages() {
    let mut ledger = Ledger::new(4);
    let payload = question(Method::ChooseOne, Electorate::Anyone, false);
    let mut newest_first: Vec<Hash> = (0..MAX_PAGE + 5).map(|_| open(&mut ledger, 50, &payload)).collect();
    newest_first.reverse();
    let view = ledger.state.view();
    let page = |before, limit| -> Vec<Hash> {
        polls(&view, before, limit).into_iter().map(|poll| poll.id).collect()
    };
    assert_eq!(page(None, 3), newest_first[..3]);
    assert_eq!(page(None, usize::MAX), newest_first[..MAX_PAGE]);
    assert_eq!(page(Some(5), usize::MAX), newest_first[MAX_PAGE..]);
    assert_eq!(page(Some(0), 10), []);
    let last = &polls(&view, None, 3)[2];
    assert_eq!(page(Some(last.rules.number), 2), newest_first[3..5]);
}

#[test]
fn a_poll_has_its_phases() {
    let (mut ledger, poll) = opened(Method::ChooseOne, false);
    let view = super::poll(&ledger.state.view(), &poll).unwrap();
    let phases = [OPENS - 1, OPENS, CLOSES - 1, CLOSES].map(|now| view.phase(now));
    assert_eq!(phases, [Phase::Scheduled, Phase::Open, Phase::Open, Phase::Counting]);
    assert_eq!(view.text, Text { title: "What?".into(), options: names(3) });
    assert_eq!(view.rules.electorate, ElectorateKind::Keys(5));
    close(&mut ledger, 50, poll).unwrap();
    ledger.end_height();
    assert_eq!(super::poll(&ledger.state.view(), &poll).unwrap().phase(OPENS), Phase::Closed);
    assert_eq!(super::poll(&ledger.state.view(), &Hash([9; 32])), None);
}

#[test]
fn payloads_read_back() {
    let poll = Hash([1; 32]);
    for payload in [
        question(Method::Rank, keys([1, 2]), true),
        question(Method::Approve, Electorate::Validators, false),
        question(Method::ChooseOne, Electorate::Anyone, false),
        Payload::CastBallot { poll, choice: Choice::Rank(vec![vec![1], vec![0, 2]]) },
        Payload::ClosePoll { poll },
    ] {
        assert_eq!(codec::decode(&codec::encode(&payload), 1 << 10), Ok(payload));
    }
}

/// What the model below knows of a poll.
struct Expected {
    id: Hash,
    method: Method,
    voters: Option<Vec<u8>>,
    revote: bool,
    closes: u64,
    is_stopped: bool,
    ballots: BTreeMap<u8, Choice>,
}

impl Expected {
    /// Counts the ballots anew, in the simplest way.
    fn recount(&self) -> Vec<u64> {
        let count = |fits: &dyn Fn(&Choice) -> bool| {
            self.ballots.values().filter(|choice| fits(choice)).count() as u64
        };
        match self.method {
            Method::ChooseOne => {
                (0..3).map(|option| count(&|choice| *choice == Choice::One(option))).collect()
            }
            Method::Approve => (0..3)
                .map(|option| {
                    count(&|choice| matches!(choice, Choice::Approve(named) if named.contains(&option)))
                })
                .collect(),
            Method::Rank => {
                let place = |groups: &Vec<Vec<u16>>, option| {
                    groups.iter().position(|group| group.contains(&option)).unwrap_or(groups.len())
                };
                let above = |choice: &Choice, better, worse| match choice {
                    Choice::Rank(groups) => place(groups, better) < place(groups, worse),
                    _ => false,
                };
                (0..9).map(|pair| count(&|choice| above(choice, pair / 3, pair % 3))).collect()
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Open { method: Method, voters: Option<Vec<u8>>, revote: bool, lasts: u64 },
    Cast { poll: usize, voter: u8, choice: Choice },
    Close { poll: usize, by_author: bool },
    EndHeight { wait: u64 },
}

fn choice() -> impl Strategy<Value = Choice> {
    let some = || prop::sample::subsequence(vec![0u16, 1, 2], 0..=3);
    prop_oneof![
        (0u16..4).prop_map(Choice::One),
        some().prop_map(Choice::Approve),
        some()
            .prop_shuffle()
            .prop_map(|order| Choice::Rank(order.into_iter().map(|option| vec![option]).collect())),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let voters = prop::option::of(prop::sample::subsequence((10..16).collect::<Vec<u8>>(), 1..=6));
    let method = prop::sample::select(Method::ALL.to_vec());
    prop_oneof![
        1 => (method, voters, any::<bool>(), 1..40u64)
            .prop_map(|(method, voters, revote, lasts)| Step::Open { method, voters, revote, lasts }),
        12 => (0..4usize, 10..16u8, choice())
            .prop_map(|(poll, voter, choice)| Step::Cast { poll, voter, choice }),
        1 => (0..4usize, any::<bool>()).prop_map(|(poll, by_author)| Step::Close { poll, by_author }),
        2 => (0..6u64).prop_map(|wait| Step::EndHeight { wait }),
    ]
}

/// Takes a step in the ledger and in the model, which must agree on whether it is allowed.
fn take(step: Step, ledger: &mut Ledger, model: &mut Vec<Expected>) -> Result<(), TestCaseError> {
    let now = ledger.timestamp;
    match step {
        Step::Open { method, voters, revote, lasts } => {
            let electorate = voters.clone().map_or(Electorate::Anyone, keys);
            let (title, options, closes) = ("What?".into(), names(3), now + lasts);
            let payload =
                Payload::OpenPoll { title, options, method, electorate, opens: now, closes, revote };
            let id = open(ledger, 50, &payload);
            let (is_stopped, ballots) = (false, BTreeMap::new());
            model.push(Expected { id, method, voters, revote, closes, is_stopped, ballots });
        }
        Step::Cast { poll, voter, choice } => {
            let Some(poll) = model.get_mut(poll) else { return Ok(()) };
            let allowed = now < poll.closes
                && !poll.is_stopped
                && poll.voters.as_ref().is_none_or(|voters| voters.contains(&voter))
                && (poll.revote || !poll.ballots.contains_key(&voter))
                && choice.method() == poll.method
                && choice != Choice::One(3);
            let result = cast(ledger, voter, poll.id, choice.clone());
            prop_assert_eq!(result.is_ok(), allowed, "{:?}", result);
            if allowed {
                poll.ballots.insert(voter, choice);
            }
        }
        Step::Close { poll, by_author } => {
            let Some(poll) = model.get_mut(poll) else { return Ok(()) };
            let is_counted = final_tally(&ledger.state.view(), &poll.id).is_some();
            let allowed = !poll.is_stopped && !is_counted && (by_author || now >= poll.closes);
            let result = close(ledger, if by_author { 50 } else { 51 }, poll.id);
            prop_assert_eq!(result.is_ok(), allowed, "{:?}", result);
            poll.is_stopped |= allowed;
        }
        Step::EndHeight { wait } => {
            ledger.end_height();
            for poll in model.iter_mut() {
                poll.is_stopped |= now >= poll.closes;
                let found = final_tally(&ledger.state.view(), &poll.id);
                prop_assert_eq!(found.is_some(), poll.is_stopped);
            }
            ledger.timestamp += wait;
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_tally_equals_a_recount(steps in prop::collection::vec(step(), 1..120)) {
        let mut ledger = Ledger::new(1);
        let mut model = Vec::new();
        for step in steps {
            take(step, &mut ledger, &mut model)?;
        }
        for poll in model {
            let view = ledger.state.view();
            let found = match tally(&view, &poll.id) {
                Some(Standing::Final(tally) | Standing::Preliminary(tally)) => tally,
                None => panic!("every poll has a tally"),
            };
            prop_assert_eq!(found.ballots(), poll.ballots.len() as u64);
            prop_assert_eq!(super::poll(&view, &poll.id).unwrap().ballots, found.ballots());
            prop_assert_eq!(counts(&found), poll.recount(), "{:?}", poll.ballots);
        }
    }
}
