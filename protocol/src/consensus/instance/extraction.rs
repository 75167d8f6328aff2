//! Rules E1–E3: blocks, chains and extraction.

use super::{BLOCKS_PER_SENDER, Event, Instance, MAX_EXTRACTED};
use crate::{
    consensus::{event::Verdict, message::Message},
    penalty::Penalty,
    rules::Rule,
    time::Time,
};
use conclave_ledger::{
    block::Block,
    hash::BlockHash,
    signed::{Kind, SignatureSet, Value},
    validators::ValidatorIndex,
};
use std::{collections::BTreeSet, sync::Arc};

impl Instance {
    /// E1, first half: the leader asks for a block when its height is open.
    ///
    /// A late leader asks only if nobody has voted to skip: the others' first window may be over.
    pub(in crate::consensus) fn build(&mut self) {
        let skips = self.count_votes(&Value::Skip);
        let my_turn = self.me == Some(self.leader) && self.is_open() && self.decision.is_none();
        if my_turn && !self.built && self.my_vote().is_none() && (skips == 0 || !self.late) {
            self.built = true;
            self.emit(Event::Build { height: self.height() });
        }
    }

    /// E1, second half: the leader votes for its block and sends block and vote to all. Without a block it may be
    /// asked again, but only for a moment: a block whose chain reached the others after their first window would be
    /// extracted, and with `f ≥ n/3` supported, by its leader alone.
    pub(in crate::consensus) fn built(&mut self, block: Option<Arc<Block>>, now: Time) {
        let Some(block) = block else {
            self.built = false;
            return;
        };
        // A late leader has waited for a quorum of peers, and its clock decides nothing.
        let too_late = if self.is_untimed() {
            self.config.fast && self.window(now) > 1
        } else {
            self.start.is_none_or(|start| now.since(start) > self.config.build_delay())
        };
        if self.decision.is_some() || self.my_vote().is_some() || too_late {
            return;
        }
        let hash = block.hash();
        // The body alone binds nobody, so it need not wait for the log.
        self.send_to_all(Message::Block(block.clone()));
        self.name(self.leader, hash);
        self.blocks.insert(hash, block);
        self.extracted.push(hash);
        self.verdicts.insert(hash, Some(Verdict { valid: true, timely: true }));
        self.sign_extracted(now);
        self.progress(now);
    }

    /// Blocks that somebody named.
    pub(super) fn candidates(&self) -> impl Iterator<Item = BlockHash> + use<> {
        self.named.values().flatten().copied().collect::<BTreeSet<_>>().into_iter()
    }

    /// Notes that `sender` names `block`; false if it has named too many.
    pub(super) fn name(&mut self, sender: ValidatorIndex, block: BlockHash) -> bool {
        let named = self.named.entry(sender).or_default();
        named.contains(&block) || (named.len() < BLOCKS_PER_SENDER && named.insert(block))
    }

    pub(super) fn receive_chain(
        &mut self,
        sender: ValidatorIndex,
        block: BlockHash,
        votes: &SignatureSet,
        endorsements: &SignatureSet,
        now: Time,
    ) -> Result<(), Penalty> {
        if !votes.contains(self.leader) && !endorsements.contains(self.leader) {
            return Err(Penalty::fatal("a chain without the leader's signature"));
        }
        if !self.name(sender, block) {
            return Err(Penalty::serious(format!(
                "chains on more than {BLOCKS_PER_SENDER} blocks of one height"
            )));
        }
        self.receive_votes(Value::Block(block), votes)?;
        for (signer, signature) in endorsements.iter() {
            self.add_endorsement(signer, block, signature)?;
        }
        self.check_double_proposal();
        if self.decision.is_none() && self.is_extractable(&block, now) {
            self.pull(block, now);
        }
        self.open_for_block(&block, now);
        Ok(())
    }

    /// A block from the leader, from a pull or the log (`sender` is `None`), or from anybody who resends it.
    ///
    /// A body is large and binds nobody, so only two kinds of it are kept: those that the rules ask for now, and, as
    /// long as there is room, those that the leader (or this node's own request) brings before their chain, which
    /// waits for the leader's log. What is dropped here is pulled as soon as a chain asks for it.
    pub(in crate::consensus) fn receive_block(
        &mut self,
        sender: Option<ValidatorIndex>,
        block: Arc<Block>,
        now: Time,
    ) {
        let hash = block.hash();
        if block.header.height != self.height()
            || block.transactions.is_empty()
            || self.blocks.contains_key(&hash)
        {
            return;
        }
        let is_early = sender.is_none_or(|sender| sender == self.leader);
        let has_room = is_early && self.decision.is_none() && self.spare_bodies() > 0;
        if !self.is_named_by_certificate(&hash) && !self.is_extractable(&hash, now) && !has_room {
            return;
        }
        self.blocks.insert(hash, block);
        self.fetch_at.remove(&hash);
        self.open_for_block(&hash, now);
        if self.decision.is_some() {
            self.announce();
        } else {
            self.progress(now);
        }
        self.drop_bodies();
    }

    /// Whether a certificate, or the decision, is on `block`.
    fn is_named_by_certificate(&self, block: &BlockHash) -> bool {
        let value = Value::Block(*block);
        self.certificates.contains_key(&value)
            || self.decision.as_ref().is_some_and(|decision| decision.value == value)
    }

    /// How many chain signatures E2 asks for now; none when the time for it is over.
    fn signatures_to_extract(&self, now: Time) -> Option<usize> {
        let window = self.window(now);
        match self.is_untimed() || (window <= self.f() + 1 && !self.keeps(Rule::E2)) {
            true => Some(1),
            false => (window <= self.f() + 1).then_some(window as usize),
        }
    }

    /// Whether `block` is extracted, or would be if its body were here and the height open.
    fn is_extractable(&self, block: &BlockHash, now: Time) -> bool {
        let needed = self.signatures_to_extract(now);
        self.extracted.contains(block)
            || (needed.is_some_and(|needed| self.chain_length(block) >= needed) && self.may_extract(block))
    }

    /// How many more bodies may wait for their chains.
    fn spare_bodies(&self) -> usize {
        let held = self.blocks.keys().filter(|hash| !self.is_named_by_certificate(hash));
        MAX_EXTRACTED.saturating_sub(held.count())
    }

    /// Drops bodies that wait for their chains until there are no more than may be extracted.
    fn drop_bodies(&mut self) {
        let held = self.blocks.keys().filter(|hash| !self.is_named_by_certificate(hash));
        let (extracted, waiting): (Vec<BlockHash>, Vec<BlockHash>) =
            held.partition(|hash| self.extracted.contains(hash));
        let room = MAX_EXTRACTED.saturating_sub(extracted.len());
        for hash in waiting.iter().skip(room) {
            self.blocks.remove(hash);
        }
    }

    /// Pulls a block that a chain names, unless it comes by itself within a moment.
    fn pull(&mut self, block: BlockHash, now: Time) {
        if !self.blocks.contains_key(&block) {
            self.fetch_at.entry(block).or_insert(now + self.config.fetch_delay());
        }
    }

    /// A non-empty block with the leader's signature opens the height; a chain without its block does not.
    fn open_for_block(&mut self, block: &BlockHash, now: Time) {
        if !self.is_open()
            && self.blocks.contains_key(block)
            && self.chain_signature(self.leader, block).is_some()
        {
            self.open(now);
        }
    }

    /// E2: a complete chain with at least as many signatures as the window's number makes the node extract.
    pub(super) fn extract(&mut self, now: Time) {
        if !self.is_open() {
            return;
        }
        for block in self.candidates() {
            let is_new = !self.extracted.contains(&block) && self.is_extractable(&block, now);
            if is_new && self.blocks.contains_key(&block) {
                self.extracted.push(block);
                self.ask_verdict(block);
            } else if is_new {
                self.pull(block, now);
            }
        }
        self.reconsider_supports(now);
        self.drop_bodies();
        if self.extracted.len() == MAX_EXTRACTED {
            self.fetch_at.clear();
        }
        self.sign_extracted(now);
    }

    /// Two blocks at most: those signed before a restart count, so that no third is ever signed.
    fn may_extract(&self, block: &BlockHash) -> bool {
        let is_mine = |block: &BlockHash| self.me.is_some_and(|me| self.chain_signature(me, block).is_some());
        let signed = self.votes.values().filter_map(|(voted, _)| voted.block());
        let signed = signed.chain(self.endorsements.keys().copied()).filter(is_mine);
        let spent: BTreeSet<BlockHash> = signed.chain(self.extracted.iter().copied()).collect();
        !self.extracted.contains(block) && (spent.contains(block) || spent.len() < MAX_EXTRACTED)
    }

    fn ask_verdict(&mut self, block: BlockHash) {
        if let (Some(body), false) = (self.blocks.get(&block).cloned(), self.verdicts.contains_key(&block)) {
            self.verdicts.insert(block, None);
            self.emit(Event::Check { block: body });
        }
    }

    /// The ledger's verdict on a block.
    pub(in crate::consensus) fn checked(&mut self, block: BlockHash, verdict: Verdict, now: Time) {
        if self.decision.is_none() && self.verdicts.get(&block) == Some(&None) {
            let valid = verdict.valid || !self.keeps(Rule::E3);
            self.verdicts.insert(block, Some(Verdict { valid, ..verdict }));
            self.progress(now);
        }
    }

    /// E2 and E3: signs what was extracted, a vote in window 1 if it is unspent and the block valid, an endorsement
    /// otherwise, and sends the longer chain to all.
    pub(super) fn sign_extracted(&mut self, now: Time) {
        let Some(me) = self.me else { return };
        for block in self.extracted.clone() {
            let Some(Some(verdict)) = self.verdicts.get(&block).copied() else { continue };
            if self.chain_signature(me, &block).is_some() {
                continue;
            }
            let value = Value::Block(block);
            if let Some((kind, signature)) = self.chain_signature(self.leader, &block) {
                self.emit(Event::Proposed { block, kind, signature });
            }
            let votes = self.config.fast
                && self.window(now) == 1
                && self.my_vote().is_none()
                && verdict.valid
                && verdict.timely;
            if votes {
                if let Some((me, signature)) = self.sign(Kind::Vote, value) {
                    self.votes.insert(me, (value, signature));
                }
            } else if let Some((me, signature)) = self.sign(Kind::Endorse, value) {
                self.endorsements.entry(block).or_default().insert(me, signature);
            }
            let chain = self.chain(&block);
            self.send_to_all(chain);
        }
    }

    /// The longest known chain on `block`.
    pub(super) fn chain(&self, block: &BlockHash) -> Message {
        let (votes, endorsements) = self.chain_signatures(block);
        Message::Chain { height: self.height(), block: *block, votes, endorsements }
    }

    /// Pulls blocks that are named and did not come by themselves; asked again until they are here.
    pub(super) fn fetch_missing(&mut self, now: Time) {
        let due: Vec<BlockHash> =
            self.fetch_at.iter().filter(|(_, at)| **at <= now).map(|(block, _)| *block).collect();
        for block in due {
            if !self.is_named_by_certificate(&block) && !self.is_extractable(&block, now) {
                self.fetch_at.remove(&block);
                continue;
            }
            self.fetch_at.insert(block, now + self.config.delta);
            self.emit(Event::Fetch { height: self.height(), block, peers: Vec::new() });
        }
    }

    /// Validators that named `block`, who can be asked for it.
    pub(in crate::consensus) fn namers(&self, block: &BlockHash) -> Vec<ValidatorIndex> {
        self.named.iter().filter(|(_, blocks)| blocks.contains(block)).map(|(sender, _)| *sender).collect()
    }
}
