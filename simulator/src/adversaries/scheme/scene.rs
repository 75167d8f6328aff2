//! Where a plan is made: who is there, and the blocks to play with.

use super::{
    Moment,
    step::{Act, Step, members},
};
use crate::adversaries::forge::{twin, with_header};
use conclave_ledger::{block::Block, signed::Kind};
use conclave_protocol::peer::Peer;
use std::{sync::Arc, time::Duration};

/// See the module. The letters are those of the consensus protocol.
pub(in crate::adversaries) struct Scene {
    /// f.
    pub(super) faulty: usize,
    /// q.
    pub(super) quorum: usize,
    /// n − q + 1.
    pub(super) support: usize,
    /// Number of members whose signatures count.
    pub(super) members: usize,
    /// Honest validators, in an order of chance.
    pub(super) victims: Vec<Peer>,
    /// Δ.
    pub(super) delta: Duration,
    /// The block that is to be decided by some. A leader's own node does not know it, so that it does not decide it by
    /// what its coalition keeps secret.
    pub(super) main: Arc<Block>,
    /// Another one.
    pub(super) other: Arc<Block>,
}

impl Scene {
    /// The scene at the present height; none while no block is known.
    pub(super) fn of(at: &mut Moment<'_>) -> Option<Self> {
        let (set, height) = (at.set(), at.height());
        let leader = at.node.chain().leader();
        let known: Vec<Arc<Block>> = at.coalition.height(height).blocks.values().cloned().collect();
        let own = known.iter().find(|block| block.header.leader == leader)?.clone();
        let main = if at.coalition.is_member(&leader) {
            known.iter().find(|block| block.hash() != own.hash()).cloned().unwrap_or_else(|| twin(&own, 1))
        } else {
            own.clone()
        };
        at.coalition.propose(main.clone());
        at.coalition.height(height).leader = Some(leader);
        let victims = at.victims();
        let is_active = |key: &_| set.index_of(key).is_some_and(|index| set.signer(index).is_some());
        Some(Self {
            faulty: set.faulty(),
            quorum: set.quorum(),
            support: set.support(),
            members: members(at).iter().filter(|key| is_active(key)).count(),
            victims: at.shuffled(victims),
            delta: at.delta(),
            main,
            other: own,
        })
    }

    /// The last window, f+3.
    pub(super) fn last(&self) -> u32 {
        self.faulty as u32 + 3
    }

    /// The last one in which blocks are extracted, f+1.
    pub(super) fn last_extracting(&self) -> u32 {
        self.faulty as u32 + 1
    }

    /// A step at once.
    pub(super) fn now(&self, to: Peer, act: Act) -> Step {
        Step { to, window: 1, before_end: self.delta * 2, act }
    }

    /// A step at a last moment of a window, which is somewhere in its second half and most often late in that.
    pub(super) fn last_moment(&self, to: Peer, window: u32, act: Act, at: &mut Moment<'_>) -> Step {
        Step { to, window, before_end: self.last_moment_before_end(at), act }
    }

    fn last_moment_before_end(&self, at: &mut Moment<'_>) -> Duration {
        let most = match at.below(4) {
            0 => self.delta,
            1 => self.delta / 2,
            _ => self.delta / 5,
        };
        at.part_of(most)
    }

    /// A step somewhere in the middle of a window.
    pub(super) fn midway(&self, to: Peer, window: u32, act: Act) -> Step {
        Step { to, window, before_end: self.delta, act }
    }

    /// A block and its chain of one signature, at once. The leader endorses, so that its vote is still to be shown.
    pub(super) fn show(&self, block: &Arc<Block>, to: Peer) -> [Step; 2] {
        [self.now(to, Act::Body(block.clone())), self.now(to, chain_of(block, Kind::Endorse, 1))]
    }

    /// Makes every honest validator extract the main block, and the first `voters` of them vote for it.
    ///
    /// Voters see it at the last moment of window 1, so that what they pass on reaches the others in window 2. Without
    /// voters, all extract it in window 2 on two members' signatures; or, where one member is alone, in window 1 from a
    /// timestamp that is too far ahead to vote for.
    pub(super) fn extracted(&self, voters: usize, at: &mut Moment<'_>) -> (Arc<Block>, Vec<Step>) {
        let main = &self.main;
        if voters > 0 {
            let before_end = self.last_moment_before_end(at);
            let step = |victim: &Peer| {
                let body = self.now(*victim, Act::Body(main.clone()));
                [body, Step { to: *victim, window: 1, before_end, act: chain_of(main, Kind::Endorse, 1) }]
            };
            return (main.clone(), self.victims.iter().take(voters).flat_map(step).collect());
        }
        if self.members >= 2 && self.faulty >= 1 {
            let step = |victim: &Peer| {
                let body = self.now(*victim, Act::Body(main.clone()));
                [body, self.midway(*victim, 2, chain_of(main, Kind::Endorse, 2))]
            };
            return (main.clone(), self.victims.iter().flat_map(step).collect());
        }
        let ahead = 20 * self.delta.as_millis() as u64 + 1000;
        let untimely = with_header(main, |header| header.timestamp = header.timestamp.saturating_add(ahead));
        let steps = self.victims.iter().flat_map(|victim| self.show(&untimely, *victim)).collect();
        (untimely, steps)
    }
}

/// A chain of members' signatures alone.
pub(super) fn chain_of(block: &Arc<Block>, kind: Kind, members: usize) -> Act {
    Act::Chain { block: block.hash(), kind, members, with_known: false }
}
