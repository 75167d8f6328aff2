//! The laws of every machine, by seed: random messages of a hostile peer, and timeouts at any moment.

use super::lab::*;
use crate::{
    consensus::{Command, Event, MAX_BODIES, Message},
    machine::Machine,
};
use conclave_ledger::signed::{Kind, SignatureSet, Value};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// One of anything that could be said: real signatures, forged ones, those of nobody, at near and at absurd heights.
fn message(random: &mut ChaCha20Rng) -> Message {
    let mut draw = |below: u32| random.next_u32() % below;
    let height = [1, 1, 1, 1, 2, 0, 17, u64::MAX][draw(8) as usize];
    let number = u64::from(draw(5));
    let block = block(height, draw(2) as usize, number);
    let hash = block.hash();
    let value = if draw(2) == 0 { Value::Skip } else { Value::Block(hash) };
    let kinds =
        [Kind::Vote, Kind::Endorse, Kind::RelayCertificate, Kind::RelaySupport, Kind::Commit, Kind::Settle];
    let (is_forger, what) = (draw(8) == 0, draw(9));
    let mut set = |kind: Kind, value: Value| -> SignatureSet {
        let kind = if is_forger { kinds[draw(6) as usize] } else { kind };
        // Index 1 is the machine under test: its key is nobody else's.
        let signers: Vec<usize> = [0, 2, 3].into_iter().filter(|_| draw(3) > 0).collect();
        let foreign = (draw(40) == 0).then_some(600);
        signatures(height, kind, value, &signers)
            .iter()
            .map(|(signer, signature)| (foreign.unwrap_or(signer), *signature))
            .collect()
    };
    let of_block = Value::Block(hash);
    let (first, second) = match number {
        0 => (Kind::Vote, Kind::Endorse),
        _ => (Kind::Endorse, Kind::Vote),
    };
    match what {
        0 => body(&block),
        1 => {
            let (votes, endorsements) = (set(first, of_block), set(second, of_block));
            Message::Chain { height, block: hash, votes, endorsements }
        }
        2 => Message::Skip { height, votes: set(Kind::Vote, Value::Skip) },
        3 => {
            let (votes, relays) = (set(Kind::Vote, value), set(Kind::RelayCertificate, value));
            Message::Certificate { height, value, votes, relays }
        }
        4 => {
            let (votes, relays) = (set(Kind::Vote, of_block), set(Kind::RelaySupport, of_block));
            Message::Support { height, block: hash, votes, relays }
        }
        5 => Message::Closing { height },
        6 => Message::Settle { height, value, settles: set(Kind::Settle, value) },
        7 => Message::Commit { height, value, commits: set(Kind::Commit, value) },
        _ => Message::Decided { height, proofs: number },
    }
}

/// A hostile hour, as a trace. The lab checks that deadlines move on and that signatures are logged before they leave.
fn trace(seed: u64, spurious: bool) -> String {
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    let faulty = 1 + (seed % 3) as u16;
    let mut lab = {
        let config = config(1, !seed.is_multiple_of(5));
        if seed.is_multiple_of(7) {
            Lab::just_joined(config, Vec::new(), 4, faulty)
        } else {
            Lab::with(config, Vec::new(), 4, faulty)
        }
    };
    lab.invalid.insert(block(1, 0, 2).hash());
    let mut windows = 0.0;
    for _ in 0..120 {
        if random.next_u32().is_multiple_of(4) {
            windows += f64::from(random.next_u32() % 100) / 200.0;
            lab.advance_to(windows);
        }
        let from = [0, 2, 3, 9][random.next_u32() as usize % 4];
        let message = message(&mut random);
        lab.receive(from, message);
        assert!(lab.machine.bodies() <= MAX_BODIES, "seed {seed}: bodies are bounded");
        if spurious {
            let due = lab.machine.poll_timeout();
            lab.timeout();
            assert_eq!(
                due,
                lab.machine.poll_timeout(),
                "seed {seed}: a timeout that is not due moves no deadline"
            );
        }
        if random.next_u32().is_multiple_of(30) {
            lab.command(Command::Pending(random.next_u32().is_multiple_of(2)));
        }
    }
    let votes = lab.signed().iter().filter(|(kind, _)| *kind == Kind::Vote).count();
    let endorsed = lab.signed().iter().filter(|(kind, _)| *kind == Kind::Endorse).count();
    let decisions =
        lab.events.iter().filter(|event| matches!(event, Event::Decide { height: 1, .. })).count();
    assert!(votes <= 1 && endorsed <= 2 && decisions <= 1, "seed {seed}: {votes} {endorsed} {decisions}");
    assert!(lab.penalties.iter().all(|(liar, _)| *liar != peer(1)), "seed {seed}");
    format!("{:?}{:?}{:?}", lab.sent, lab.events, lab.penalties)
}

#[test]
fn hostile_messages_do_no_harm_and_the_same_ones_give_the_same_outputs() {
    for seed in 0..150 {
        assert!(trace(seed, false) == trace(seed, false), "seed {seed}: two runs differ");
    }
}

#[test]
fn timeouts_that_are_not_due_change_nothing() {
    for seed in 0..80 {
        assert!(
            trace(seed, false) == trace(seed, true),
            "seed {seed}: a timeout that was not due changed the run"
        );
    }
}
