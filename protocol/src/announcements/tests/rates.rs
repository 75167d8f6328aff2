//! What somebody gets who sends too much.

use super::*;
use crate::token_bucket::Rate;

fn slow() -> Config {
    let rate = |messages: u64| Rate { per_second: LEAST_COST, capacity: messages * LEAST_COST };
    Config { origin: rate(10), peer: rate(30), ..Config::default() }
}

fn count(wanted: &[Wanted], outcome: Outcome) -> usize {
    wanted.iter().flat_map(Wanted::outcomes).filter(|found| *found == outcome).count()
}

#[test]
fn an_origin_that_publishes_too_fast_is_blamed_by_its_neighbours_only() {
    for (from, blamed) in [(9, 5), (1, 0)] {
        let mut world = World::new(slow());
        world.subscribe(1);
        let wanted: Vec<Wanted> =
            (0..15).map(|number| world.first(from, 9, envelope(0, &[number]))).collect();
        assert_eq!(count(&wanted, Outcome::OriginTooFast), 5);
        assert_eq!(wanted.iter().map(|wanted| wanted.blamed.len()).sum::<usize>(), blamed);
        assert_eq!(world.first(1, 8, envelope(0, b"of another")).notified().len(), 1);
        world.now += 1000;
        assert_eq!(world.first(1, 9, envelope(0, b"a second later")).notified().len(), 1);
    }
}

#[test]
fn a_peer_that_brings_too_much_of_many_origins_is_slowed_down_without_blame() {
    let mut world = World::new(slow());
    world.subscribe(1);
    let wanted: Vec<Wanted> =
        (0..40).map(|number| world.first(1, 100 + number, envelope(0, &[number]))).collect();
    assert_eq!(count(&wanted, Outcome::PeerTooFast), 10);
    assert!(wanted.iter().all(|wanted| wanted.blamed.is_empty()));
    assert_eq!(world.first(2, 8, envelope(0, b"by another")).notified().len(), 1);
}

#[test]
fn a_node_stays_under_the_rate_that_others_allow() {
    let (mut sender, mut receiver) = (World::new(slow()), World::new(slow()));
    receiver.subscribe(1);
    let mut sent: Vec<Wanted> = (0..60).map(|number| sender.announce(1, 0, &[number])).collect();
    let mut taken = 0;
    while let Some(due) = sent.pop().or_else(|| sender.machine.poll_timeout().map(|_| Wanted::default())) {
        for event in due.events {
            if let Event::Publish { bytes, .. } = event {
                receiver.now = sender.now;
                let wanted = receiver.first(9, 9, bytes.to_vec());
                assert_eq!(wanted.blamed, []);
                taken += wanted.notified().len();
            }
        }
        if sent.is_empty() && sender.machine.poll_timeout().is_some() {
            sent.push(sender.pass(100));
        }
    }
    assert_eq!(taken, 60, "all of them arrive, the later ones later");
    assert!(sender.now > 50_000);
}

#[test]
fn the_same_message_again_from_the_same_peer_is_blamed_from_another_it_is_not() {
    let mut world = World::with_modules(1);
    let mut copy = |from: u8| {
        world
            .machine
            .handle(Input::Received(peer(from), Message::Copy { id: Hash([1; 32]), bytes: 9 }), at(0));
        world.drain()
    };
    for from in 0..100 {
        assert_eq!(copy(from).blamed, []);
    }
    for _ in 0..3 {
        let wanted = copy(7);
        assert_eq!(wanted.blamed, [(peer(7), Severity::Slight)]);
        assert_eq!(wanted.outcomes(), [Outcome::Copy, Outcome::Duplicate, Outcome::CopyAgain]);
    }
}

#[test]
fn a_peer_that_floods_copies_is_blamed_whatever_they_are() {
    let copies = Rate { per_second: LEAST_COST, capacity: 20 * LEAST_COST };
    let mut world = World::new(Config { copies, ..Config::default() });
    let mut blamed = 0;
    for number in 0..30 {
        let copy = Message::Copy { id: Hash([number; 32]), bytes: 9 };
        world.machine.handle(Input::Received(peer(1), copy), at(0));
        blamed += world.drain().blamed.len();
    }
    assert_eq!(blamed, 10);
}

#[test]
fn what_is_in_validation_and_what_waits_is_bounded() {
    let mut world = World::new(Config { cache_size: 5, ..Config::default() });
    world.subscribe(1);
    let wanted: Vec<Wanted> = (0..8).map(|number| world.receive(0, &[number])).collect();
    assert_eq!(count(&wanted, Outcome::Busy), 3);
    assert!(wanted.iter().all(|wanted| wanted.blamed.is_empty()));
    let mut world = World::new(slow());
    let wanted: Vec<Wanted> =
        (0..MAX_WAITING as u32 + 99).map(|number| world.announce(1, 0, &number.to_be_bytes())).collect();
    assert!(count(&wanted, Outcome::PublishedTooFast) > 80);
    assert!(count(&wanted, Outcome::Announced) >= MAX_WAITING);
}
