//! Each adversary does what its name says: what leaves it, and what the others make of that.
//!
//! Validator 0 misbehaves, or the first few do, and validator 0 leads the first height.

mod lab;

use super::Misbehaviour;
use conclave_ledger::{
    hash::BlockHash,
    signed::{Height, Kind, SignatureSet, Slot, Value},
};
use conclave_protocol::{consensus::Message, node::Channel, peer::Peer, time::Time};
use lab::{DELTA, Lab, genesis, key};
use std::collections::{BTreeMap, BTreeSet};

/// A network of four, of which one misbehaves, that has had a record to decide and the time for it.
fn one_height(seed: u64, kind: Misbehaviour) -> Lab {
    let mut lab = Lab::new(seed, 4, 1, kind, 1);
    lab.submit(1, "note");
    lab.run_for(DELTA * 14);
    lab
}

/// The same with several records, one after the other.
fn several_heights(seed: u64, kind: Misbehaviour) -> Lab {
    let mut lab = Lab::new(seed, 4, 1, kind, 1);
    for number in 0..3 {
        lab.submit(1 + number, "note");
        lab.run_for(DELTA * 12);
    }
    lab
}

/// Values that validator 0 voted for at height 1, to whom.
fn votes(lab: &Lab) -> BTreeMap<Value, BTreeSet<Peer>> {
    let slot = Slot { network: genesis(4, 1).network_id(), height: 1 };
    let is_vote = |value: &Value, set: &SignatureSet| {
        set.get(0).is_some_and(|signature| slot.verify(&key(0).public(), Kind::Vote, value, signature))
    };
    let mut votes: BTreeMap<Value, BTreeSet<Peer>> = BTreeMap::new();
    for (_, to, message) in lab.said() {
        let (value, set) = match message {
            Message::Chain { height: 1, block, votes, .. } => (Value::Block(block), votes),
            Message::Skip { height: 1, votes } => (Value::Skip, votes),
            Message::Certificate { height: 1, value, votes, .. } => (value, votes),
            Message::Support { height: 1, block, votes, .. } => (Value::Block(block), votes),
            _ => continue,
        };
        if is_vote(&value, &set) {
            votes.entry(value).or_default().insert(to);
        }
    }
    votes
}

/// Blocks that validator 0 signed a chain on at height 1, to whom.
fn proposals(lab: &Lab) -> BTreeMap<BlockHash, BTreeSet<Peer>> {
    let mut proposals: BTreeMap<BlockHash, BTreeSet<Peer>> = BTreeMap::new();
    for (_, to, message) in lab.said() {
        if let Message::Chain { height: 1, block, votes, endorsements } = message
            && (votes.contains(0) || endorsements.contains(0))
        {
            proposals.entry(block).or_default().insert(to);
        }
    }
    proposals
}

fn decided(lab: &Lab, height: Height) -> BTreeSet<Option<Value>> {
    lab.honest().map(|(_, told)| told.decided.get(&height).copied()).collect()
}

#[test]
fn silent_says_nothing_and_its_turn_is_skipped() {
    let lab = one_height(1, Misbehaviour::Silent);
    assert_eq!(lab.said(), []);
    assert_eq!(decided(&lab, 1), BTreeSet::from([Some(Value::Skip)]));
    assert_eq!(lab.check(), Ok(()));
}

#[test]
fn equivocate_signs_two_blocks_and_the_evidence_is_decided() {
    for seed in 0..6 {
        let lab = one_height(seed, Misbehaviour::Equivocate);
        let voted = votes(&lab);
        assert_eq!(voted.keys().filter(|value| value.block().is_some()).count(), 2, "seed {seed}: {voted:?}");
        assert_eq!(lab.bodies().len(), 2, "seed {seed}");
        assert!(lab.honest().any(|(_, told)| told.misbehaved.contains(&0)), "seed {seed}");
        assert!(lab.told(1).evidence > 0, "seed {seed}: {:?}", lab.told(1).decided);
        assert_eq!(lab.check(), Ok(()), "seed {seed}");
    }
}

#[test]
fn late_says_nothing_before_the_last_moment_of_a_window() {
    let mut lab = Lab::new(2, 4, 1, Misbehaviour::Late, 1);
    lab.left.clear();
    let before = lab.now;
    lab.submit(0, "note");
    // The leader opens its height when it has the record: here, at once.
    let moment = before + (DELTA * 2 - DELTA / 4);
    lab.run_for(DELTA * 10);
    let first = lab.said().iter().map(|(at, ..)| *at).min();
    assert_eq!(first, Some(moment), "it speaks, and not before {moment:?}");
    assert_eq!(lab.check(), Ok(()));
}

#[test]
fn withhold_certificate_leaves_the_honest_votes_one_short_and_completes_them_for_one() {
    let (mut completed, mut secrets) = (0, 0);
    for seed in 0..6 {
        let lab = one_height(seed, Misbehaviour::WithholdCertificate);
        let voted = votes(&lab);
        secrets += voted.iter().filter(|(_, to)| to.len() == 1).count();
        let certificates = lab.said().into_iter().filter(|(_, _, message)| match message {
            Message::Certificate { votes, .. } => votes.len() == 3,
            _ => false,
        });
        completed += certificates.count();
        assert!(lab.honest().any(|(_, told)| told.misbehaved.contains(&0)) || proposals(&lab).len() == 1);
    }
    assert!(
        completed > 0 && secrets > 0,
        "in six runs: {completed} certificates, {secrets} votes shown to one"
    );
}

#[test]
fn late_certificate_shows_one_after_the_others_have_skipped() {
    let lab = one_height(3, Misbehaviour::LateCertificate);
    let end = DELTA * 8;
    let certificates: Vec<_> = lab
        .said()
        .into_iter()
        .filter(|(_, _, message)| matches!(message, Message::Certificate { height: 1, .. }))
        .collect();
    assert!(!certificates.is_empty());
    for (at, _, message) in certificates {
        let Message::Certificate { value, votes, .. } = message else { continue };
        assert!(at.since(Time(0)) > end && votes.len() == 3 && value.block().is_some());
    }
}

#[test]
fn withhold_support_keeps_its_vote_for_one() {
    let mut supported = 0;
    for seed in 0..6 {
        let lab = one_height(seed, Misbehaviour::WithholdSupport);
        let for_blocks: Vec<_> =
            votes(&lab).into_iter().filter(|(value, _)| value.block().is_some()).collect();
        assert!(for_blocks.iter().all(|(_, to)| to.len() == 1), "seed {seed}: {for_blocks:?}");
        supported += for_blocks.len();
        assert_eq!(lab.check(), Ok(()), "seed {seed}");
    }
    assert!(supported > 0, "in six runs nobody was shown support");
}

#[test]
fn short_chain_shows_one_a_second_block_late() {
    let lab = one_height(1, Misbehaviour::ShortChain);
    let proposed = proposals(&lab);
    assert_eq!(proposed.len(), 2, "{proposed:?}");
    assert!(proposed.values().any(|to| to.len() == 1), "{proposed:?}");
    assert_eq!(lab.check(), Ok(()));
}

#[test]
fn withhold_block_names_a_block_to_all_and_gives_it_to_one_at_most() {
    let mut skipped = 0;
    for seed in 0..6 {
        let lab = one_height(seed, Misbehaviour::WithholdBlock);
        assert_eq!(proposals(&lab).values().map(BTreeSet::len).max(), Some(3), "seed {seed}");
        let bodies: BTreeSet<Peer> = lab
            .said()
            .into_iter()
            .filter(|(_, _, message)| matches!(message, Message::Block(_)))
            .map(|(_, to, _)| to)
            .collect();
        assert!(bodies.len() <= 1, "seed {seed}: {bodies:?}");
        skipped += usize::from(decided(&lab, 1) == BTreeSet::from([Some(Value::Skip)]));
        assert_eq!(lab.check(), Ok(()), "seed {seed}");
    }
    assert!(skipped > 0, "in six runs everybody got the body");
}

#[test]
fn invalid_votes_are_blamed_or_evidence() {
    for seed in 0..6 {
        let lab = one_height(seed, Misbehaviour::InvalidVotes);
        let seen = lab.honest().any(|(_, told)| !told.blamed.is_empty() || !told.misbehaved.is_empty());
        assert!(seen, "seed {seed}");
        assert_eq!(lab.check(), Ok(()), "seed {seed}");
        assert!(lab.height() > 0, "seed {seed}");
    }
}

#[test]
fn wrong_state_is_skipped_and_seen() {
    for seed in [1, 2, 3] {
        let lab = one_height(seed, Misbehaviour::WrongState);
        assert_eq!(decided(&lab, 1), BTreeSet::from([Some(Value::Skip)]), "seed {seed}");
        assert_eq!(proposals(&lab).len(), 1, "seed {seed}: one block, and not the good one");
        assert_eq!(lab.check(), Ok(()), "seed {seed}");
    }
}

#[test]
fn tamper_changes_bodies_and_transactions_that_nobody_has_signed() {
    let mut lab = Lab::new(1, 4, 1, Misbehaviour::Tamper, 1);
    lab.submit(0, "note");
    lab.run_for(DELTA * 14);
    let bodies: Vec<_> = lab
        .said()
        .into_iter()
        .filter_map(|(_, _, message)| match message {
            Message::Block(block) => Some(block),
            _ => None,
        })
        .collect();
    assert!(!bodies.is_empty());
    for body in bodies {
        let root = conclave_ledger::block::Block::transactions_root(&body.transactions);
        let proofs = conclave_ledger::block::Block::proofs_hash(&body.proofs);
        assert!((root, proofs) != (body.header.transactions, body.header.proofs), "a body that fits");
    }
    assert!(lab.left.iter().any(|(_, _, channel, _)| *channel == Channel::Transactions));
    assert!(lab.honest().all(|(_, told)| told.blamed.iter().any(|(by, _)| *by == 0)));
    assert_eq!(lab.check(), Ok(()));
}

#[test]
fn spam_is_bounded_and_the_others_go_on() {
    let lab = several_heights(1, Misbehaviour::Spam);
    let frames = lab.left.iter().filter(|(_, _, channel, _)| *channel == Channel::Transactions).count();
    let bursts = lab.now.since(Time(0)).as_micros() / super::spam::INTERVAL.as_micros();
    assert!((20..=3 * bursts as usize + 100).contains(&frames), "{frames} frames");
    assert_eq!(lab.check(), Ok(()));
    assert!(lab.height() >= 3);
}

#[test]
fn garbage_is_blamed_and_ends_the_connection() {
    for seed in 0..4 {
        let lab = several_heights(seed, Misbehaviour::Garbage);
        assert!(lab.honest().all(|(_, told)| told.blamed.iter().any(|(by, _)| *by == 0) && told.lost > 0));
        assert_eq!(lab.check(), Ok(()), "seed {seed}");
        assert!(lab.height() >= 3, "seed {seed}");
    }
}

#[test]
fn lying_sync_claims_heights_that_it_does_not_bring() {
    let mut blamed = 0;
    for seed in 0..4 {
        let lab = several_heights(seed, Misbehaviour::LyingSync);
        let claims = lab.said().into_iter().filter(|(_, _, message)| match message {
            Message::Decided { height, .. } => *height > 100,
            _ => false,
        });
        blamed += claims.count();
        assert_eq!(lab.check(), Ok(()), "seed {seed}");
    }
    assert!(blamed > 0, "in four runs it claimed nothing");
}

#[test]
fn impersonate_passes_a_proof_on_that_names_others() {
    let mut blamed = 0;
    for seed in 0..4 {
        let lab = several_heights(seed, Misbehaviour::Impersonate);
        let by_liar = |told: &lab::Told| {
            told.blamed.iter().any(|(by, reason)| *by == 0 && reason.contains("did not prove the key"))
        };
        blamed += lab.honest().filter(|(_, told)| by_liar(told)).count();
        assert_eq!(lab.check(), Ok(()), "seed {seed}");
        assert!(lab.height() >= 3, "seed {seed}");
    }
    assert!(blamed > 0, "in four runs nobody was shown another's proof");
}

#[test]
fn improvise_says_what_no_rule_makes_a_node_say() {
    let mut kinds = BTreeSet::new();
    for seed in 0..6 {
        let lab = one_height(seed, Misbehaviour::Improvise);
        for (_, _, message) in lab.said() {
            kinds.insert(match message {
                Message::Block(_) => "block",
                Message::Chain { .. } => "chain",
                Message::Skip { .. } => "skip",
                Message::Certificate { .. } => "certificate",
                Message::Support { .. } => "support",
                Message::Closing { .. } => "closing",
                Message::Settle { .. } => "settle",
                Message::Commit { .. } => "commit",
                Message::Decided { .. } => "decided",
            });
        }
    }
    assert!(kinds.len() >= 6, "{kinds:?}");
}

#[test]
fn the_same_seed_makes_every_adversary_do_the_same() {
    for kind in Misbehaviour::OF_VALIDATORS {
        let run = || one_height(9, kind).left;
        assert_eq!(run(), run(), "{}", kind.name());
    }
}

#[test]
fn every_name_is_read_back() {
    for kind in Misbehaviour::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
        assert!(!kind.describe().is_empty());
    }
    let error = "loud".parse::<Misbehaviour>().map_err(|error| error.to_string());
    assert!(error.is_err_and(|error| error.contains("loud") && error.contains("equivocate")));
}
