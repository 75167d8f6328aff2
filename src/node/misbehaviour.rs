//! Faults on purpose: an adversary of the simulator between the logic of this node and the driver.
//!
//! It is asked about every input before the logic hears of it and about every effect of the logic before the driver does,
//! and has a deadline of its own. Without one, which is the rule, effects pass as they are. What it does in its node's
//! name is signed with the node's own keys, which is what makes it an attack.

use conclave_ledger::{hash::NetworkId, keys::SecretKey};
use conclave_protocol::{
    node::{Clock, Effect, Input, Node},
    time::Time,
};
use conclave_simulator::adversaries::{Adversary, Coalition, Misbehaviour, Moment};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::VecDeque;

/// How a node behaves.
pub(super) struct Conduct(Option<Attack>);

struct Attack {
    adversary: Box<dyn Adversary>,
    key: SecretKey,
    /// A coalition of one: what this node has seen.
    coalition: Coalition,
    random: ChaCha20Rng,
    /// Effects of the adversary that the driver has not taken yet.
    effects: VecDeque<Effect>,
}

impl Conduct {
    /// It keeps the rules.
    pub(super) fn honest() -> Self {
        Self(None)
    }

    /// It misbehaves with its validator key; `seed` is what it draws its chances from.
    pub(super) fn attack(kind: Misbehaviour, network: NetworkId, key: SecretKey, seed: [u8; 32]) -> Self {
        Self(Some(Attack {
            adversary: kind.adversary(),
            coalition: Coalition::new(network, [key.clone()]),
            key,
            random: ChaCha20Rng::from_seed(seed),
            effects: VecDeque::new(),
        }))
    }

    /// What is to be done next.
    pub(super) fn poll_effect(&mut self, node: &mut Node, clock: Clock) -> Option<Effect> {
        let Some(attack) = &mut self.0 else { return node.poll_effect() };
        while attack.effects.is_empty() {
            let effect = node.poll_effect()?;
            attack.ask(node, clock, |adversary, moment| adversary.effect(effect, moment));
        }
        attack.effects.pop_front()
    }

    /// What the logic is about to be told.
    pub(super) fn overhear(&mut self, input: &Input, node: &Node, clock: Clock) {
        if let Some(attack) = &mut self.0 {
            attack.ask(node, clock, |adversary, moment| adversary.overhear(input, moment));
        }
    }

    /// When [`Conduct::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.0.as_ref().and_then(|attack| attack.adversary.poll_timeout())
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, node: &Node, clock: Clock) {
        if let Some(attack) = &mut self.0
            && attack.adversary.poll_timeout().is_some_and(|due| due <= clock.time)
        {
            attack.ask(node, clock, |adversary, moment| adversary.handle_timeout(moment));
        }
    }
}

impl Attack {
    fn ask(
        &mut self,
        node: &Node,
        clock: Clock,
        ask: impl FnOnce(&mut dyn Adversary, &mut Moment<'_>) -> Vec<Effect>,
    ) {
        let (key, coalition, random) = (&self.key, &mut self.coalition, &mut self.random);
        let mut moment = Moment { clock, node, key, coalition, random };
        self.effects.extend(ask(self.adversary.as_mut(), &mut moment));
    }
}
