//! A selfish miner among honest ones.

use super::network::{chain, find, miner_of, parameters, take};
use crate::latency::{below, chance};
use conclave_ledger::{
    block::Block,
    proof_of_work::{Position, Tree},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::sync::Arc;

/// What a selfish miner won.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelfishPoint {
    /// Its share of the hash rate, `α`.
    pub hash_share: f64,
    /// Share of the others that works on its branch when two are equal, `γ`.
    pub gamma: f64,
    /// Its share of the chain's blocks.
    pub measured: f64,
    /// The same by the formula.
    pub predicted: f64,
}

/// What a selfish miner wins by the formula of Eyal and Sirer.
pub fn eyal_sirer(alpha: f64, gamma: f64) -> f64 {
    let top = alpha * (1.0 - alpha).powi(2) * (4.0 * alpha + gamma * (1.0 - 2.0 * alpha)) - alpha.powi(3);
    top / (1.0 - alpha * (1.0 + (2.0 - alpha) * alpha))
}

/// The honest side: what is public, as those see it whom the selfish miner's blocks reach late, and early.
struct Public {
    late: Tree,
    early: Tree,
}

impl Public {
    fn publish(&mut self, block: &Arc<Block>, is_selfish: bool, rival: Option<&Arc<Block>>) {
        let hash = block.hash();
        // Of two that are public at the same moment each side sees another one first.
        match rival {
            Some(rival) => {
                let (selfish, honest) = if is_selfish { (block, rival) } else { (rival, block) };
                take(&mut self.early, &selfish.hash(), selfish);
                take(&mut self.late, &honest.hash(), honest);
                take(&mut self.early, &honest.hash(), honest);
                take(&mut self.late, &selfish.hash(), selfish);
            }
            None => {
                take(&mut self.early, &hash, block);
                take(&mut self.late, &hash, block);
            }
        }
    }

    fn height(&self) -> u64 {
        self.late.tip().height
    }
}

/// Simulates `blocks` blocks that come to the selfish miner with the chance `alpha_per_mille`, and of the others'
/// `gamma_per_mille` to those who work on its branch when two are equal.
pub fn selfish(alpha_per_mille: u16, gamma_per_mille: u16, blocks: u64, seed: u64) -> SelfishPoint {
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    let chain = chain();
    let tree = || Tree::of(&chain).expect("the chain is one by proof of work");
    let mut public = Public { late: tree(), early: tree() };
    // Blocks that the selfish miner has not published, after the fork.
    let mut private: Vec<Arc<Block>> = Vec::new();
    let mut private_tip: Position = *public.late.tip();
    // Whether its branch and the others' are public and equal.
    let mut race = false;
    let (mut settled, mut wins, mut counted) = (0u64, 0u64, 0u64);
    for number in 1..=blocks {
        if chance(alpha_per_mille, &mut random) {
            let block = find(chain.network(), &private_tip, 0, number);
            private_tip = private_tip.after(&block.header, block.hash(), &parameters());
            if race {
                // Its branch is longer now, and everybody follows.
                public.publish(&block, true, None);
                race = false;
            } else {
                private.push(block);
            }
        } else {
            let sees_selfish = chance(gamma_per_mille, &mut random);
            let parent = if sees_selfish { *public.early.tip() } else { *public.late.tip() };
            let lead = private_tip.height.saturating_sub(public.height());
            let miner = 1 + below(1_000_000, &mut random) as usize;
            let block = find(chain.network(), &parent, miner, number);
            if race || lead == 0 {
                // Whatever it was built on is the longer branch now.
                public.publish(&block, false, None);
                private.clear();
                private_tip = *public.late.tip();
                race = false;
            } else if lead == 1 && private.len() == 1 {
                // The others have caught up: it publishes, and hopes that others work on its branch.
                let mine = private.remove(0);
                public.publish(&mine, true, Some(&block));
                race = true;
            } else if lead == 2 {
                // Everything at once, and the others' work is in vain.
                public.publish(&block, false, None);
                private.drain(..).for_each(|mine| public.publish(&mine, true, None));
            } else {
                // One block for each of theirs.
                public.publish(&block, false, None);
                let mine = private.remove(0);
                public.publish(&mine, true, None);
            }
        }
        // Up to where the branches part nothing changes any more, however long ago that was.
        if private.is_empty() && !race {
            settled = public.height();
        }
        while counted < settled {
            counted += 1;
            let hash = public.late.active_at(counted);
            let block = hash.and_then(|hash| public.late.block(hash));
            wins += u64::from(block.is_some_and(|block| miner_of(&block.header) == 0));
        }
    }
    let (alpha, gamma) = (f64::from(alpha_per_mille) / 1000.0, f64::from(gamma_per_mille) / 1000.0);
    SelfishPoint {
        hash_share: alpha,
        gamma,
        measured: wins as f64 / counted.max(1) as f64,
        predicted: eyal_sirer(alpha, gamma),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_has_its_known_thresholds() {
        // Profitable from a third on where nobody works on its branch, from a quarter on with half of them (section 4.4).
        assert!((eyal_sirer(1.0 / 3.0, 0.0) - 1.0 / 3.0).abs() < 1e-9);
        assert!((eyal_sirer(0.25, 0.5) - 0.25).abs() < 1e-9);
        assert!(eyal_sirer(0.2, 0.0) < 0.2 && eyal_sirer(0.4, 0.0) > 0.4);
    }

    #[test]
    fn a_selfish_miner_wins_what_the_formula_says() {
        // At 450 its branch is often hidden for hundreds of blocks.
        for (alpha, gamma) in [(200, 0), (300, 500), (400, 0), (400, 1000), (450, 0)] {
            let point = selfish(alpha, gamma, 50_000, 11);
            assert!((point.measured - point.predicted).abs() < 0.02, "{point:?}");
        }
    }
}
