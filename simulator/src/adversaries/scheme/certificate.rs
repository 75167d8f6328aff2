//! Withhold the certificate: a leader shows its block so that the honest votes alone are just too few for a
//! certificate, keeps its coalition's votes secret, and completes the certificate for one validator, at the last
//! moment of a window.
//!
//! What the others would decide without it is another value, so everything hangs on rules C1 to C3:
//!
//! - *A certificate on a block.* Just enough validators vote for it, and all are shown a second one: without the
//!   certificate they skip.
//! - *A certificate on `Skip`.* Just enough validators never see the block in time and vote to skip, and the others'
//!   votes and the coalition's second ones are support: without the certificate all decide the block.
//!
//! In windows 1 and 2 the votes or the certificate do (C1); the one who has it decides and has to tell (C2). Later it
//! takes relays, of which the coalition has one too few in the last window (C3).

use super::{
    Moment, Plan,
    scene::{Scene, chain_of},
    step::{Act, Step},
};
use conclave_ledger::signed::{Kind, Value};
use conclave_protocol::peer::Peer;

/// The plan.
pub(in crate::adversaries) const PLAN: Plan = plan;

fn plan(scene: &Scene, at: &mut Moment<'_>) -> Vec<Step> {
    let on_block = on_block(scene, at);
    let on_skip = on_skip(scene, at);
    let (value, mut steps) = match (on_block, on_skip) {
        (Some(one), Some(other)) => {
            if at.one_in(2) {
                one
            } else {
                other
            }
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return Vec::new(),
    };
    if let Some(victim) = at.pick(&scene.victims) {
        steps.push(completion(scene, victim, value, at));
    }
    steps
}

/// Makes what leads to a skip unless the certificate on the main block comes out.
pub(super) fn on_block(scene: &Scene, at: &mut Moment<'_>) -> Option<(Value, Vec<Step>)> {
    let voters = scene.quorum.checked_sub(scene.members).filter(|voters| *voters <= scene.victims.len())?;
    let mut steps = Vec::new();
    for (place, victim) in scene.victims.iter().enumerate() {
        let block = if place < voters { &scene.main } else { &scene.other };
        steps.extend(scene.show(block, *victim));
    }
    if voters == scene.victims.len() {
        // Nobody is left to bring the second block: it comes later.
        let window = scene.members.min(scene.faulty + 1).min(2) as u32;
        for victim in &scene.victims {
            let chain = chain_of(&scene.other, Kind::Endorse, window as usize);
            steps.push(scene.now(*victim, Act::Body(scene.other.clone())));
            steps.push(scene.last_moment(*victim, window, chain, at));
        }
    }
    Some((Value::Block(scene.main.hash()), steps))
}

/// Makes what leads to the main block unless the certificate on `Skip` comes out.
pub(super) fn on_skip(scene: &Scene, at: &mut Moment<'_>) -> Option<(Value, Vec<Step>)> {
    let honest = scene.victims.len();
    // So many vote for the block that the others are just too few for a certificate on `Skip`, and with the coalition enough.
    let least = (honest + 1).saturating_sub(scene.quorum).max(scene.support.saturating_sub(scene.members));
    let most = (honest + scene.members).checked_sub(scene.quorum)?;
    let voters = least + at.below((most + 1).checked_sub(least).filter(|choices| *choices > 0)?);
    let (block, mut steps) = scene.extracted(voters, at);
    let missing = scene.support.saturating_sub(voters);
    if missing > 0 {
        let chain = Act::Chain { block: block.hash(), kind: Kind::Vote, members: missing, with_known: true };
        steps.extend(scene.victims.iter().map(|victim| scene.midway(*victim, 2, chain.clone())));
    }
    Some((Value::Skip, steps))
}

/// Shows the certificate to one validator, at the last moment of a window.
fn completion(scene: &Scene, victim: Peer, value: Value, at: &mut Moment<'_>) -> Step {
    let last = scene.last();
    let window = match at.below(4) {
        0 => 2,
        1 => 3 + at.below(scene.faulty + 1) as u32,
        _ => last,
    };
    let relays = scene.members.min(window.saturating_sub(2) as usize);
    // The votes one by one make a certificate only if windows do not matter.
    let as_votes = match value {
        Value::Block(block) => {
            Act::Chain { block, kind: Kind::Vote, members: scene.members, with_known: true }
        }
        Value::Skip => Act::Skip { members: scene.members },
    };
    let certificate = Act::Certificate { value, relays };
    let act = if at.one_in(3) { as_votes } else { certificate };
    if window == last && at.one_in(2) {
        return scene.midway(victim, window, act);
    }
    scene.last_moment(victim, window, act, at)
}

/// The certificate on a block after the height is over: the others have decided to skip it.
pub(in crate::adversaries) const AFTER_THE_END: Plan = |scene, at| {
    let Some((value, mut steps)) = on_block(scene, at) else { return Vec::new() };
    let window = scene.last() + 2;
    let certificate = Act::Certificate { value, relays: scene.members };
    let shown = 1 + at.below(scene.victims.len());
    steps.extend(
        scene.victims.iter().take(shown).map(|victim| scene.midway(*victim, window, certificate.clone())),
    );
    steps
};
