//! Withhold the support: all extract a leader's block, and fewer vote for it than support takes; the coalition's own
//! votes, which it has kept, complete the support for one validator, at the last moment of a window.
//!
//! Who accepts it decides the block at the end, and the others skip, unless rule S1 makes them agree on it.

use super::{
    Moment, Plan, certificate,
    scene::Scene,
    step::{Act, Step},
};
use conclave_ledger::signed::Kind;

/// The plan.
pub(in crate::adversaries) const PLAN: Plan = plan;

fn plan(scene: &Scene, at: &mut Moment<'_>) -> Vec<Step> {
    let honest = scene.victims.len();
    let least = (honest + 1).saturating_sub(scene.quorum).max(scene.support.saturating_sub(scene.members));
    if least >= scene.support {
        return certificate::PLAN(scene, at);
    }
    let voters = least + at.below(scene.support - least);
    let (block, mut steps) = scene.extracted(voters, at);
    let Some(victim) = at.pick(&scene.victims) else { return steps };
    let window = match at.below(4) {
        0 => 2,
        1 => 3 + at.below(scene.faulty + 1) as u32,
        _ => scene.last(),
    };
    let act = if window == 2 {
        let (kind, members) = (Kind::Vote, scene.members);
        Act::Chain { block: block.hash(), kind, members, with_known: true }
    } else {
        let relays = scene.members.min(window as usize - 2);
        Act::Support { block: block.hash(), relays }
    };
    steps.push(if window == scene.last() && at.one_in(2) {
        scene.midway(victim, window, act)
    } else {
        scene.last_moment(victim, window, act, at)
    });
    steps
}
