//! When all are honest.

use super::world::*;
use crate::machine::Input;

#[test]
fn any_number_of_honest_parties_end_with_the_same_genesis() {
    for parties in [1, 2, 4, 5, 20] {
        let mut world = World::honest(parties);
        world.start();
        world.finish();
        assert_eq!(world.let_go.len(), usize::from(parties), "everybody lets the tracker go");
        let first = world.ends[&1].clone().unwrap();
        assert_eq!(first.genesis.check(), Ok(()));
        for number in 1..=parties {
            assert_eq!(world.ends[&number].as_ref().unwrap(), &first, "party {number} of {parties}");
        }
        let id = first.genesis.network_id();
        assert!(first.signings.iter().all(|signing| signing.is_signed() && signing.genesis == id));
        assert_eq!(first.signings.len(), usize::from(parties));
        assert_eq!(world.now.0, 0, "nobody waits for time to pass");
    }
}

#[test]
fn the_genesis_follows_by_rule() {
    let mut world = World::honest(4);
    world.start();
    world.finish();
    let genesis = world.ends[&1].clone().unwrap().genesis;
    let names: Vec<&str> = genesis.validators.iter().map(|validator| validator.name.as_str()).collect();
    assert_eq!(names, ["party-46", "party-47", "party-48", "party-49"], "in the order of names");
    assert_eq!(genesis.validators[0].key, validator_key(4).public());
    assert_eq!(genesis.created_ms, 1_700_000_002_000, "the lower median of four clocks");
    assert_eq!((genesis.name.as_str(), genesis.delta_ms, genesis.fast), ("lunch", 500, true));
}

#[test]
fn whoever_is_told_of_the_roster_later_loses_nothing() {
    let mut world = World::honest(5);
    for number in [3, 1, 5, 2, 4] {
        assert!(world.ends.is_empty());
        world.register(number, world.seats());
    }
    world.finish();
    assert!(world.ends.values().all(Result::is_ok));
}

#[test]
fn what_was_lost_with_a_connection_is_said_again() {
    let mut world = World::honest(4);
    let mut lost = 0;
    world.meddle = Box::new(move |_, _, message| {
        lost += 1;
        if lost % 3 == 0 { vec![] } else { vec![message] }
    });
    world.start();
    world.meddle = Box::new(|_, _, message| vec![message]);
    for (one, other) in [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)] {
        world.input(one, Input::Disconnected(peer(other)));
        world.input(other, Input::Disconnected(peer(one)));
        world.connect(one, other);
        world.deliver();
    }
    world.finish();
    assert!(world.ends.values().all(Result::is_ok), "{:?}", world.ends);
}

#[test]
fn of_more_than_enough_the_first_take_part_and_the_others_are_told() {
    let mut configs: Vec<_> = (1..=5).map(|number| (number, config(number, 4))).collect();
    configs[0].1.run = 9999;
    let mut world = World::of(configs);
    let mut seats = world.seats();
    seats[0].run = 9999;
    for number in 1..=5 {
        world.register(number, seats.clone());
    }
    world.finish();
    world.assert_found([1], &crate::gather::Reason::Late);
    assert!((2..=5).all(|number| world.ends[&number].is_ok()));
}
