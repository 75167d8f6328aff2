//! When one of them lies. Party 5 does; what it says is changed on its way, and signed with its keys.

use super::world::*;
use crate::{
    gather::{Message, Reason, Seat, SignedCard, Signing, message::hash_of_roster},
    machine::Input,
};
use conclave_ledger::hash::Hash;
use std::{cell::Cell, rc::Rc};

const LIAR: u8 = 5;

/// A card of the liar with another validator key.
fn other_card(roster: &[Seat]) -> SignedCard {
    let (node, other) = (node_key(LIAR), validator_key(77));
    SignedCard::sign(
        seat(LIAR),
        terms(5),
        hash_of_roster(roster),
        "party-45",
        1_700_000_005_000,
        &node,
        &other,
    )
}

/// Whom the liar treats otherwise, in every split of the four others.
fn splits() -> impl Iterator<Item = Vec<u8>> {
    (1u8..15).map(|mask| (1..5).filter(|number| mask & (1 << (number - 1)) != 0).collect())
}

#[test]
fn a_liar_who_shows_different_keys_is_named_by_all_honest_ones() {
    for fooled in splits() {
        let mut world = World::honest(5);
        let whom = fooled.clone();
        world.meddle = Box::new(move |from, to, message| match message {
            Message::Card { roster, .. } if from == LIAR && whom.contains(&to) => {
                vec![Message::Card { card: other_card(&roster), roster }]
            }
            // The liar itself keeps quiet about what it sees.
            Message::Stopped { .. } if from == LIAR => vec![],
            message => vec![message],
        });
        world.start();
        world.finish();
        for (number, failure) in world.failures(1..5) {
            let lied = failure.claimed_by.is_none() && failure.reason == Reason::Lied(peer(LIAR));
            assert!(lied, "fooled {fooled:?}, party {number}: {failure:?}");
        }
    }
}

#[test]
fn a_liar_who_shows_different_rosters_is_named_by_all_honest_ones() {
    for fooled in splits() {
        let mut world = World::honest(5);
        let whom = fooled.clone();
        world.meddle = Box::new(move |from, to, message| match message {
            Message::Card { mut roster, .. } if from == LIAR && whom.contains(&to) => {
                roster[0] = seat(9);
                let (node, validator) = (node_key(LIAR), validator_key(LIAR));
                let hash = hash_of_roster(&roster);
                let card = SignedCard::sign(seat(LIAR), terms(5), hash, "party-45", 5, &node, &validator);
                vec![Message::Card { card, roster }]
            }
            Message::Stopped { .. } if from == LIAR => vec![],
            message => vec![message],
        });
        world.start();
        world.finish();
        for (number, failure) in world.failures(1..5) {
            let found = failure.claimed_by.is_none();
            let lied = found && failure.reason == Reason::Lied(peer(LIAR));
            assert!(lied, "fooled {fooled:?}, party {number}: {failure:?}");
        }
    }
}

#[test]
fn a_liar_who_signs_two_geneses_is_named_by_all_honest_ones() {
    for fooled in splits() {
        let mut world = World::honest(5);
        let whom = fooled.clone();
        world.meddle = Box::new(move |from, to, message| match message {
            Message::Held { cards, .. } if from == LIAR && whom.contains(&to) => {
                let signing = Signing::sign(seat(LIAR), Hash([9; 32]), &node_key(LIAR), &validator_key(LIAR));
                vec![Message::Held { cards, signing }]
            }
            message => vec![message],
        });
        world.start();
        world.finish();
        // Who holds all five signatures on what it signed itself may go on; the others name the liar.
        for (number, end) in world.ends.iter().filter(|(number, _)| **number != LIAR) {
            if let Err(failure) = end {
                let names = failure.reason.names();
                assert!(names.contains(&peer(LIAR)), "fooled {fooled:?}, party {number}: {failure:?}");
            }
        }
        let geneses: Vec<_> =
            world.ends.values().flatten().map(|gathered| gathered.genesis.network_id()).collect();
        assert!(geneses.windows(2).all(|pair| pair[0] == pair[1]), "never two");
    }
}

#[test]
fn a_signature_given_to_one_reaches_all() {
    let mut world = World::honest(5);
    world.meddle = Box::new(|from, to, message| match message {
        Message::Held { .. } | Message::Complete { .. } if from == LIAR && to != 1 => vec![],
        message => vec![message],
    });
    world.start();
    world.finish();
    assert!((1..5).all(|number| world.ends[&number].is_ok()), "{:?}", world.ends);
}

#[test]
fn a_signature_kept_back_is_named() {
    let mut world = World::honest(5);
    world.meddle = Box::new(|from, _, message| match message {
        Message::Held { .. } | Message::Complete { .. } if from == LIAR => vec![],
        message => vec![message],
    });
    world.start();
    world.finish();
    world.assert_found(1..5, &Reason::NoSignature(vec![peer(LIAR)]));
}

#[test]
fn another_partys_key_cannot_be_brought() {
    let mut world = World::honest(5);
    world.meddle = Box::new(|from, _, message| match message {
        Message::Card { mut card, roster } if from == LIAR => {
            card.card.validator.key = validator_key(88).public();
            let node = node_key(LIAR);
            let resigned = SignedCard::sign(
                seat(LIAR),
                terms(5),
                hash_of_roster(&roster),
                "party-45",
                1,
                &node,
                &validator_key(LIAR),
            );
            let mut foreign = resigned.card;
            foreign.validator.key = validator_key(88).public();
            let bytes =
                [b"conclave/gather/card/1".as_slice(), &conclave_ledger::codec::encode(&foreign)].concat();
            let signature = node.sign(&bytes);
            vec![Message::Card { card: SignedCard { card: foreign, signature }, roster }]
        }
        // Whoever shows both cards proves that it lies; this one keeps quiet.
        _ if from == LIAR => vec![],
        message => vec![message],
    });
    world.start();
    world.finish();
    world.assert_found(1..5, &Reason::ForeignKey(peer(LIAR)));
}

#[test]
fn old_statements_of_an_honest_party_prove_nothing_against_it() {
    let mut world = World::honest(5);
    let old_seat = Seat { run: 3, ..seat(1) };
    let hash = hash_of_roster(&world.seats());
    let (node, validator) = (node_key(1), validator_key(1));
    let old = SignedCard::sign(old_seat, terms(5), hash, "party-49", 2, &node, &validator);
    let old_signing = Signing::sign(old_seat, Hash([1; 32]), &node, &validator);
    world.meddle = Box::new(move |from, _, message| match message {
        Message::Held { mut cards, signing } if from == LIAR => {
            cards.insert(0, old.clone());
            cards.retain(|card| card.card.seat != seat(1));
            vec![Message::Complete { signings: vec![old_signing] }, Message::Held { cards, signing }]
        }
        message => vec![message],
    });
    world.start();
    world.finish();
    assert!((1..5).all(|number| world.ends[&number].is_ok()), "{:?}", world.ends);
}

#[test]
fn what_nobody_signed_is_worth_nothing() {
    let mut world = World::honest(5);
    let spoilt = Rc::new(Cell::new(0));
    let count = spoilt.clone();
    world.meddle = Box::new(move |from, _, message| match message {
        Message::Held { mut cards, signing } if from == LIAR => {
            // What it says of the others is forged; its own is good.
            for card in cards.iter_mut().filter(|card| card.card.seat.peer != peer(LIAR)) {
                card.card.created_ms += 1;
                count.set(count.get() + 1);
            }
            vec![Message::Held { cards, signing }]
        }
        Message::Complete { mut signings } if from == LIAR => {
            for signing in signings.iter_mut().filter(|signing| signing.seat.peer != peer(LIAR)) {
                signing.by_validator.0[0] ^= 1;
            }
            vec![Message::Complete { signings }]
        }
        message => vec![message],
    });
    world.start();
    world.finish();
    assert!(spoilt.get() >= 16);
    assert!((1..5).all(|number| world.ends[&number].is_ok()), "{:?}", world.ends);
}

#[test]
fn a_claim_is_told_as_the_claim_of_who_makes_it() {
    let mut world = World::honest(5);
    world.meddle = Box::new(|from, _, message| match message {
        Message::Card { card, .. } if from == LIAR => {
            vec![Message::Stopped { reason: Reason::Lied(peer(1)), cards: vec![card], signings: vec![] }]
        }
        message => vec![message],
    });
    world.start();
    world.finish();
    for (number, failure) in world.failures(1..5) {
        assert_eq!(failure.claimed_by, Some(peer(LIAR)), "party {number}: {failure:?}");
    }
}

#[test]
fn strangers_are_not_heard() {
    let mut world = World::honest(4);
    world.start();
    let stranger = Message::Stopped { reason: Reason::Late, cards: vec![], signings: vec![] };
    world.input(1, Input::Received(peer(30), stranger));
    world.finish();
    assert!(world.ends.values().all(Result::is_ok));
    let mut world = World::honest(4);
    world.register(1, world.seats());
    let stranger = Message::Stopped { reason: Reason::Late, cards: vec![], signings: vec![] };
    world.input(1, Input::Received(peer(30), stranger));
    assert_eq!(world.penalties.get(&1), Some(&1));
}
