//! Improvise: every member says what comes to its mind, well formed and signed, to whom it likes, when it matters most.
//!
//! Chains with some of the signatures, endorsements and second votes, certificates and support with some of the
//! relays, settles and commits, closings at odd times. Half of the time this is mixed into one of the other plans, of
//! which it then changes everything that was thought of least.

use super::{
    Moment, Plan, certificate, chain,
    scene::Scene,
    step::{Act, Step},
    support,
};
use crate::adversaries::forge::unknown_block;
use conclave_ledger::{
    block::Block,
    signed::{Kind, Value},
};
use std::sync::Arc;

/// Most things that a member says at a height, each to some of the others.
const MAX_ACTS: usize = 12;

/// The plan.
pub(in crate::adversaries) const PLAN: Plan = plan;

fn plan(scene: &Scene, at: &mut Moment<'_>) -> Vec<Step> {
    let leads = at.node.chain().leader() == at.key.public();
    let mut steps = match at.below(6) {
        0 if leads => certificate::PLAN(scene, at),
        1 if leads => support::PLAN(scene, at),
        2 if leads => chain::PLAN(scene, at),
        _ => Vec::new(),
    };
    let acts = at.below(MAX_ACTS + 1);
    for _ in 0..acts {
        let act = act(scene, at);
        let window = 1 + at.below(scene.last() as usize + 1) as u32;
        let listeners = 1 + at.below(scene.victims.len());
        let victims = at.shuffled(scene.victims.clone());
        let at_once = leads && at.one_in(4);
        for victim in victims.into_iter().take(listeners) {
            steps.push(if at_once {
                scene.now(victim, act.clone())
            } else {
                scene.last_moment(victim, window, act.clone(), at)
            });
        }
    }
    steps
}

fn block<'a>(scene: &'a Scene, at: &mut Moment<'_>) -> &'a Arc<Block> {
    if at.one_in(2) { &scene.main } else { &scene.other }
}

fn value(scene: &Scene, at: &mut Moment<'_>) -> Value {
    if at.one_in(3) { Value::Skip } else { Value::Block(block(scene, at).hash()) }
}

fn act(scene: &Scene, at: &mut Moment<'_>) -> Act {
    let some = |at: &mut Moment<'_>| at.below(scene.members + 1);
    match at.below(16) {
        0 | 1 => Act::Body(block(scene, at).clone()),
        2..=5 => Act::Chain {
            block: block(scene, at).hash(),
            kind: if at.one_in(2) { Kind::Vote } else { Kind::Endorse },
            members: 1 + at.below(scene.members),
            with_known: at.one_in(2),
        },
        6 => Act::Skip { members: some(at) },
        7..=9 => Act::Certificate { value: value(scene, at), relays: some(at) },
        10 | 11 => Act::Support { block: block(scene, at).hash(), relays: some(at) },
        12 => Act::Closing,
        13 => Act::Settle(value(scene, at)),
        14 => Act::Commit(value(scene, at)),
        _ => match at.below(8) {
            0 => Act::Decided,
            1 => Act::TooLittleSupport(unknown_block(at)),
            2 => Act::TooLittleSupport(scene.main.hash()),
            _ => Act::Closing,
        },
    }
}
