//! When somebody is missing or wants something else.

use super::world::*;
use crate::{
    gather::{Failure, Reason},
    time::Time,
};
use conclave_ledger::validators::FaultBound;
use std::time::Duration;

#[test]
fn too_few_end_after_the_time_limit_and_say_who_was_there() {
    let mut world = World::of((1..=4).map(|number| (number, config(number, 5))));
    world.start();
    world.finish();
    let mut registered: Vec<_> = (1..=4).map(peer).collect();
    registered.sort_unstable();
    world.assert_found(1..=4, &Reason::TooFew { registered, parties: 5 });
    assert_eq!(world.now, Time(0) + Duration::from_secs(600));
}

#[test]
fn one_who_never_answers_is_named_by_all() {
    let mut world = World::honest(5);
    world.cut = (1..5).map(|number| (number, 5)).collect();
    world.start();
    world.finish();
    world.assert_found(1..=4, &Reason::NoCard(vec![peer(5)]));
}

#[test]
fn one_who_is_cut_off_from_one_is_named_and_the_mesh_is_not_complete() {
    let mut world = World::honest(4);
    world.cut = [(1, 2)].into();
    world.start();
    world.finish();
    world.assert_found([1], &Reason::NoCard(vec![peer(2)]));
    world.assert_found([2], &Reason::NoCard(vec![peer(1)]));
    for (number, failure) in world.failures([3, 4]) {
        let names = failure.reason.names();
        assert!(names.contains(&peer(1)) || names.contains(&peer(2)), "party {number}: {failure:?}");
    }
}

#[test]
fn terms_that_differ_are_named_with_the_point() {
    for (field, change) in [
        ("delay bound Δ", (|config| config.terms.delta_ms = 1) as fn(&mut crate::gather::Config)),
        ("name of the network", |config| config.terms.name = "dinner".into()),
        ("number that may be faulty", |config| config.terms.faulty = FaultBound::Half),
        ("choice between fast and textbook", |config| config.terms.fast = false),
    ] {
        let mut configs: Vec<_> = (1..=4).map(|number| (number, config(number, 4))).collect();
        change(&mut configs[2].1);
        let mut world = World::of(configs);
        world.start();
        world.finish();
        world.assert_found([1, 2, 4], &Reason::OtherTerms { peer: peer(3), field: field.into() });
        let [(_, failure)] = &world.failures([3])[..] else { panic!() };
        assert!(matches!(&failure.reason, Reason::OtherTerms { .. }), "{failure:?}");
    }
}

#[test]
fn names_and_keys_are_ones_own() {
    type Change = fn(&mut crate::gather::Config);
    type IsIt = fn(Reason) -> bool;
    let cases: [(Change, IsIt); 3] = [
        (
            |config| config.name = "party-49".into(),
            |reason| matches!(reason, Reason::SameName(a, b) if a != b),
        ),
        (|config| config.validator_key = validator_key(1), |reason| matches!(reason, Reason::SameKey(..))),
        (
            |config| config.name = "a\nb".into(),
            |reason| matches!(reason, Reason::Unusable { peer: Some(who), .. } if who == peer(3)),
        ),
    ];
    for (change, expected) in cases {
        let mut configs: Vec<_> = (1..=4).map(|number| (number, config(number, 4))).collect();
        change(&mut configs[2].1);
        let mut world = World::of(configs);
        world.start();
        world.finish();
        for (number, failure) in world.failures(1..=4) {
            assert!(failure.reason.names().contains(&peer(3)), "party {number}: {failure:?}");
            assert!(expected(failure.reason.clone()), "party {number}: {failure:?}");
        }
    }
}

#[test]
fn rosters_that_differ_say_in_whom() {
    let mut world = World::honest(4);
    let mut other = world.seats();
    other[3] = seat(9);
    for number in 1..=3 {
        world.register(number, if number == 1 { other.clone() } else { world.seats() });
    }
    world.finish();
    let reason = Reason::OtherRoster { peer: peer(1), only_here: vec![peer(4)], only_there: vec![peer(9)] };
    world.assert_found([2, 3], &reason);
    assert!(reason.describe(|who| format!("<{who:?}>")).contains("another roster"));
}

#[test]
fn one_who_began_again_is_named() {
    let mut world = World::honest(4);
    let mut old = world.seats();
    old[3].run = 7;
    for number in 1..=4 {
        world.register(number, if number == 1 { old.clone() } else { world.seats() });
    }
    world.finish();
    world.assert_found([1], &Reason::BeganAgain(peer(4)));
    world.assert_named([2, 3], 4);
}

#[test]
fn a_failure_reads_as_a_sentence() {
    let who = |number: &crate::peer::Peer| if *number == peer(1) { "anna".into() } else { "ben".to_owned() };
    let claimed = Failure { claimed_by: Some(peer(1)), reason: Reason::NoCard(vec![peer(2)]) };
    assert_eq!(claimed.describe(who), "anna stopped, saying: no word in time from ben");
    let few = Reason::TooFew { registered: vec![peer(1)], parties: 3 };
    assert_eq!(few.describe(who), "2 of 3 did not register in time; there were: anna");
}
