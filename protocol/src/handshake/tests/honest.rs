//! Honest nodes find together, whatever the delays.

use super::{world::World, *};

#[test]
fn one_dials_and_both_learn_what_the_other_proved() {
    let mut world = World::new(1);
    world.add(0, config(0, 0));
    let observer = Config { role: Role::Observer(node_key(1).public()), key: node_key(1), ..config(1, 1) };
    world.add(1, observer);
    world.command(1, Command::Height(12));
    let record = PeerRecord::sign(&node_key(1), 3, &[vec![4, 127, 0, 0, 1, 6, 0, 80]]);
    world.command(1, Command::Record(record.clone()));
    world.introduce(0, 1);
    world.run_until(at(1000));
    let established: Vec<_> =
        world.told.iter().filter(|(_, _, event)| matches!(event, Event::Established { .. })).collect();
    assert_eq!(established.len(), 2, "{:?}", world.told);
    for (_, node, event) in established {
        let version = "conclave/test".to_owned();
        let expected = match node {
            0 => Event::Established {
                peer: peer(1),
                role: Role::Observer(node_key(1).public()),
                direction: Direction::Dialled,
                record: Some(record.clone()),
                height: 12,
                version,
            },
            _ => Event::Established {
                peer: peer(0),
                role: Role::Validator(validator_key(0).public()),
                direction: Direction::Accepted,
                record: None,
                height: 0,
                version,
            },
        };
        assert_eq!(*event, expected);
    }
    assert!(world.blamed.is_empty(), "{:?}", world.blamed);
}

/// Both nodes dial at once, over connections of all delays: within a second both take part over one connection,
/// and nobody is refused or blamed for the race.
#[test]
fn two_that_dial_at_once_keep_one_connection() {
    let mut failures = Vec::new();
    for seed in 0..300 {
        let mut world = World::new(seed);
        for node in 0..2 {
            world.add(node, config(node, node));
            // No address names its peer, so that neither waits for the other out of courtesy.
            let address = (1 - node).to_string();
            world.command(node, Command::AddAddress { peer: None, address });
        }
        world.run_until(at(1000));
        let refused: Vec<_> =
            world.told.iter().filter(|(_, _, event)| matches!(event, Event::Refused { .. })).collect();
        let together = world.taking_part(0, 1) == 1 && world.taking_part(1, 0) == 1;
        if !together || world.whole_connections() != 1 || !refused.is_empty() || !world.blamed.is_empty() {
            failures.push((
                seed,
                together,
                world.whole_connections(),
                format!("{refused:?} {:?}", world.blamed),
            ));
        }
    }
    assert!(failures.is_empty(), "{} seeds fail, the first: {:?}", failures.len(), failures.first());
}

/// A node that was restarted takes part again within a second, although the others still hold its old connection.
#[test]
fn a_restarted_node_takes_part_at_once() {
    for seed in 0..100 {
        for restarted in 0..2 {
            let other = 1 - restarted;
            let mut world = World::new(seed);
            for node in 0..2 {
                world.add(node, config(node, node));
                world.introduce(node, 1 - node);
            }
            world.run_until(at(10_000));
            assert_eq!((world.taking_part(0, 1), world.taking_part(1, 0)), (1, 1), "seed {seed}: before");
            world.restart(restarted, config(restarted, 50));
            world.told.clear();
            world.introduce(restarted, other);
            world.run_until(at(11_000));
            // The other one lost the old connection and has a new one; the restarted one has one for the first time.
            let balance = (world.taking_part(other, restarted), world.taking_part(restarted, other));
            assert_eq!(balance, (0, 1), "seed {seed}, node {restarted}: {:?}", world.told);
            let last = world.told.iter().rev().find(|(_, node, event)| {
                *node == other && matches!(event, Event::Established { .. } | Event::Lost { .. })
            });
            assert!(matches!(last, Some((_, _, Event::Established { .. }))), "seed {seed}: {:?}", world.told);
            assert!(world.blamed.is_empty(), "seed {seed}: {:?}", world.blamed);
        }
    }
}

#[test]
fn a_node_that_leaves_tells_the_others_and_waits_for_them() {
    let mut world = World::new(3);
    for node in 0..3 {
        world.add(node, config(node, node));
    }
    world.introduce(0, 1);
    world.introduce(0, 2);
    world.run_until(at(1000));
    world.command(0, Command::Leave);
    world.run_until(at(1499));
    let left = world.told.iter().filter(|(_, node, event)| *node == 0 && *event == Event::Left).count();
    assert_eq!(left, 1, "before the goodbye's timeout, because both acknowledged");
    for other in [1, 2] {
        assert_eq!(world.taking_part(other, 0), 0, "node {other} knows that it is gone");
    }
}

#[test]
fn leaving_ends_although_nobody_acknowledges() {
    let mut world = World::new(4);
    world.add(0, config(0, 0));
    world.add(1, config(1, 1));
    world.introduce(0, 1);
    world.run_until(at(1000));
    world.nodes.remove(&1);
    world.command(0, Command::Leave);
    world.run_until(at(1499));
    assert!(!world.told.iter().any(|(_, _, event)| *event == Event::Left), "it waits");
    world.run_until(at(1500));
    assert!(world.told.iter().any(|(_, _, event)| *event == Event::Left), "but not for ever");
}

#[test]
fn silence_is_refused_after_the_timeout_and_no_sooner() {
    for direction in [Direction::Dialled, Direction::Accepted] {
        let mut machine = Handshake::new(config(0, 0));
        connect(&mut machine, peer(1), 5, direction, at(0));
        machine.handle_timeout(at(1999));
        assert!(drain(&mut machine).events.is_empty());
        machine.handle_timeout(at(2000));
        let events = drain(&mut machine).events;
        let refused = Event::Refused { peer: peer(1), reason: RefusalReason::Timeout, by: RefusedBy::Us };
        assert!(events.contains(&refused), "{events:?}");
        let is_close = |event: &Event| matches!(event, Event::CloseConnection { connection: 5, .. });
        assert!(events.iter().any(is_close), "{events:?}");
    }
}
