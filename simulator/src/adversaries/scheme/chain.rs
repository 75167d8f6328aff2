//! A short chain: one validator is shown a block at the last moment, on a chain of too few signatures for that window,
//! so that it can no longer pass it on in time.
//!
//! Either a second block beside one that all others decide, which makes it skip; or the only block of the height, which
//! it alone extracts. Rule E2 is what makes it ignore both.

use super::{
    Moment, Plan,
    scene::{Scene, chain_of},
    step::{Act, Step},
};
use conclave_ledger::signed::Kind;

/// The plan.
pub(in crate::adversaries) const PLAN: Plan = plan;

fn plan(scene: &Scene, at: &mut Moment<'_>) -> Vec<Step> {
    let alone = scene.members >= scene.support && at.one_in(3);
    if alone { the_only_block(scene, at) } else { a_second_block(scene, at).unwrap_or_default() }
}

/// The window, and how many sign: most often the last one in which blocks are extracted, and all.
fn moment(scene: &Scene, at: &mut Moment<'_>) -> (u32, usize) {
    let last = scene.last_extracting();
    let window = if at.one_in(3) { 1 + at.below(last as usize + 1) as u32 } else { last };
    (window, 1 + at.below(scene.members))
}

fn a_second_block(scene: &Scene, at: &mut Moment<'_>) -> Option<Vec<Step>> {
    let honest = scene.victims.len();
    // Enough votes for support, too few for a certificate, on the block or on `Skip`.
    let least = scene.support.max((honest + 1).saturating_sub(scene.quorum));
    let most = honest.min(scene.quorum.saturating_sub(1));
    let voters = least + at.below((most + 1).checked_sub(least).filter(|choices| *choices > 0)?);
    let (_, mut steps) = scene.extracted(voters, at);
    let victim = at.pick(&scene.victims)?;
    let (window, signers) = moment(scene, at);
    let chain = chain_of(&scene.other, Kind::Endorse, signers);
    let step = scene.last_moment(victim, window, chain, at);
    steps.push(Step { act: Act::Body(scene.other.clone()), ..step.clone() });
    steps.push(step);
    Some(steps)
}

fn the_only_block(scene: &Scene, at: &mut Moment<'_>) -> Vec<Step> {
    let Some(victim) = at.pick(&scene.victims) else { return Vec::new() };
    let (window, signers) = moment(scene, at);
    let chain = chain_of(&scene.main, Kind::Endorse, signers);
    let step = scene.last_moment(victim, window, chain, at);
    let mut steps = vec![Step { act: Act::Body(scene.main.clone()), ..step.clone() }, step];
    // Support for it is no secret, as far as relays of the coalition make it good.
    let window = (window + 1).clamp(3, scene.members as u32 + 2);
    let support = Act::Support { block: scene.main.hash(), relays: scene.members };
    steps.extend(scene.victims.iter().map(|victim| scene.midway(*victim, window, support.clone())));
    steps
}
