//! The laws of machines, under inputs in any order.

use super::world::*;
use crate::{
    gather::{Command, Gather, Message, Reason, Seat, SignedCard, Signing, message::hash_of_roster},
    machine::{Input, Machine, Output},
    time::Time,
};
use conclave_ledger::hash::Hash;
use proptest::prelude::*;
use std::time::Duration;

fn seats() -> impl Strategy<Value = Vec<Seat>> {
    proptest::collection::vec((1u8..6, 0u64..2), 0..6).prop_map(|list| {
        let seat = |(number, later): (u8, u64)| Seat { run: seat(number).run + later, ..seat(number) };
        list.into_iter().map(seat).collect()
    })
}

fn card() -> impl Strategy<Value = SignedCard> {
    (1u8..6, 1u8..6, 0u64..3, any::<bool>()).prop_map(|(number, key, clock, whole)| {
        let roster: Vec<Seat> = if whole { (1..=4).map(seat).collect() } else { Vec::new() };
        let hash = hash_of_roster(&roster);
        let (node, validator) = (node_key(number), validator_key(key));
        SignedCard::sign(seat(number), terms(4), hash, "any", clock, &node, &validator)
    })
}

fn signing() -> impl Strategy<Value = Signing> {
    (1u8..6, 0u8..3).prop_map(|(number, what)| {
        Signing::sign(seat(number), Hash([what; 32]), &node_key(number), &validator_key(number))
    })
}

fn message() -> impl Strategy<Value = Message> {
    let cards = || proptest::collection::vec(card(), 0..4);
    let signings = || proptest::collection::vec(signing(), 0..4);
    prop_oneof![
        (card(), seats()).prop_map(|(card, roster)| Message::Card { card, roster }),
        (cards(), signing()).prop_map(|(cards, signing)| Message::Held { cards, signing }),
        signings().prop_map(|signings| Message::Complete { signings }),
        (cards(), signings()).prop_map(|(cards, signings)| Message::Stopped {
            reason: Reason::Late,
            cards,
            signings
        }),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Connected(u8),
    Disconnected(u8),
    Received(u8, Box<Message>),
    Registered(Vec<Seat>),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u8..6).prop_map(Step::Connected),
        (1u8..6).prop_map(Step::Disconnected),
        (1u8..6, message()).prop_map(|(from, message)| Step::Received(from, Box::new(message))),
        seats().prop_map(Step::Registered),
        Just(Step::Registered((1..=4).map(seat).collect())),
        (0u64..40_000_000).prop_map(Step::Wait),
    ]
}

fn run(steps: &[Step]) -> Vec<String> {
    let mut now = Time(0);
    let mut party = Gather::new(config(1, 4), now);
    let mut outputs = Vec::new();
    let mut sent = 0;
    for step in steps {
        match step.clone() {
            Step::Connected(number) => party.handle(Input::Connected(peer(number)), now),
            Step::Disconnected(number) => party.handle(Input::Disconnected(peer(number)), now),
            Step::Received(from, message) => party.handle(Input::Received(peer(from), *message), now),
            Step::Registered(seats) => party.handle(Input::Command(Command::Registered(seats)), now),
            Step::Wait(micros) => {
                now = now + Duration::from_micros(micros);
                // A timeout that may not be due is harmless.
                party.handle_timeout(now);
                assert!(party.poll_timeout().is_none_or(|at| at > now));
            }
        }
        while let Some(output) = party.poll_output() {
            if let Output::Send(_, message) = &output {
                assert!(message.encode().len() <= crate::gather::MAX_MESSAGE_BYTES);
                sent += 1;
            }
            outputs.push(match output {
                Output::Send(to, message) => format!("{to:?} {message:?}"),
                Output::Penalize(whom, penalty) => format!("{whom:?} {penalty:?}"),
                Output::Emit(event) => format!("{event:?}"),
            });
        }
    }
    assert!(sent <= steps.len() * 6, "what is said again is bounded");
    outputs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics_deadlines_move_on_and_the_same_inputs_give_the_same_outputs(
        steps in proptest::collection::vec(step(), 0..40)
    ) {
        prop_assert_eq!(run(&steps), run(&steps));
    }

    #[test]
    fn bytes_that_are_no_message_are_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(message) = Message::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes);
        }
    }

    #[test]
    fn messages_read_back(message in message()) {
        prop_assert_eq!(Message::decode(&message.encode()), Some(message));
    }
}
