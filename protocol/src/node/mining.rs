//! Mining and the chain: what the branch with the most work does to it, and what is worked on.
//!
//! Under the engine of proof of work these stand where consensus and sync stand under the other: what they hand to the
//! chain, the log and the pool is the same.

use super::{
    Channel, Clock, Decided, Effect, LogRecord, Node, Notice, Protocol, deciding::Verified, messages::Encoder,
};
use crate::{
    dissemination, handshake,
    machine::{Input as MachineInput, Machine, Output},
    mining::{self, Command, Event, Message, MinerCommand, MinerEvent, Mining, short_id},
    peer::Peer,
};
use conclave_ledger::{
    block::{Block, Header},
    hash::{BlockHash, TransactionId},
    proof_of_work::{Branch, NotReorganised, Reorganised, reorganise},
    signed::Value,
    transaction::SharedTransaction,
};
use std::{collections::BTreeMap, sync::Arc};

/// What goes over the protocol of sync.
type Exchange = crate::exchange::Message<mining::Request, mining::Response>;

impl Node {
    /// The machine that follows the branch with the most work, under that engine.
    pub fn mining(&self) -> Option<&Mining> {
        self.mining.as_ref()
    }

    pub(super) fn mining_input(&mut self, input: MachineInput<Mining>, clock: Clock) {
        if let Some(mining) = &mut self.mining {
            mining.handle(input, clock.time);
        }
    }

    pub(super) fn mining_command(&mut self, command: Command, clock: Clock) {
        self.mining_input(MachineInput::Command(command), clock);
    }

    pub(super) fn miner_command(&mut self, command: MinerCommand, clock: Clock) {
        if let Some(miner) = &mut self.miner {
            miner.handle(MachineInput::Command(command), clock.time);
        }
    }

    /// Whether a timestamp is so far ahead of this node's clock that the block is not taken now. That is nobody's fault, if
    /// work was done for it: a header without is left to the machine, which blames who gave it.
    pub(super) fn is_early(&self, header: &Header, clock: Clock) -> bool {
        let Some(parameters) = &self.chain.genesis().proof_of_work else { return false };
        let target = header.work.and_then(|seal| seal.target.target());
        header.timestamp > clock.unix_ms.saturating_add(parameters.future_ms())
            && target.is_some_and(|target| target <= parameters.easiest() && target.is_met_by(&header.hash()))
    }

    /// Carries out what the machines of mining want; true if there was anything.
    pub(super) fn drain_mining(&mut self, clock: Clock) -> bool {
        let mut any = false;
        let mut encoder = Encoder::new();
        while let Some(output) = self.mining.as_mut().and_then(Machine::poll_output) {
            any = true;
            match output {
                Output::Send(peer, Message::Announce(compact)) => {
                    let (channel, bytes) = (Channel::Consensus, encoder.encode(compact));
                    self.effects.push_back(Effect::Send { peer, channel, bulk: false, bytes });
                }
                Output::Send(peer, Message::Request { number, request }) => {
                    self.send_exchange(peer, Protocol::Sync, &Exchange::Request { number, request });
                }
                Output::Send(peer, Message::Response { number, response }) => {
                    self.send_exchange(peer, Protocol::Sync, &Exchange::Response { number, response });
                }
                Output::Penalize(peer, penalty) => self.penalize(peer, penalty, clock),
                Output::Emit(event) => self.mining_event(event, clock),
            }
        }
        while let Some(output) = self.miner.as_mut().and_then(Machine::poll_output) {
            any = true;
            if let Output::Emit(event) = output {
                self.miner_event(event, clock);
            }
        }
        any
    }

    fn mining_event(&mut self, event: Event, clock: Clock) {
        match event {
            Event::Adopt(branch) => self.adopt(&branch, clock),
            Event::Reconstruct { block, short_ids } => {
                let transactions = self.find_short_ids(&block, &short_ids);
                self.mining_command(Command::Reconstructed { block, transactions }, clock);
            }
            Event::Lookup { token, request } => self.effects.push_back(Effect::FindBlocks { token, request }),
            Event::Refused(rule) => self.tell(Notice::BlockRefused { rule }),
            Event::Diverged(peer) => self.tell(Notice::Diverged(peer)),
            Event::Behind { height, target } if target > height => {
                self.tell(Notice::CatchingUp { height, target });
            }
            Event::Behind { height, .. } => {
                self.tell(Notice::CaughtUp(height));
                self.miner_command(MinerCommand::Tip, clock);
            }
        }
    }

    /// The pool's transactions with these short ids.
    fn find_short_ids(&self, block: &BlockHash, short_ids: &[u64]) -> Vec<Option<SharedTransaction>> {
        let by_id: BTreeMap<u64, &SharedTransaction> =
            self.pool.iter().map(|transaction| (short_id(block, transaction), transaction)).collect();
        short_ids.iter().map(|id| by_id.get(id).map(|transaction| (*transaction).clone())).collect()
    }

    fn adopt(&mut self, branch: &Branch, clock: Clock) {
        let known = Verified { pool: &self.pool, proofs: &self.proofs };
        let command = match reorganise(&mut self.chain, branch.fork, &branch.blocks, &known) {
            Ok(done) => {
                self.reorganised(done, clock);
                Command::Adopted
            }
            Err(NotReorganised::Invalid { hash, height, error }) => {
                let reason = format!("height {height}: {error}");
                Command::Refused(Some((hash, error.name(), reason)))
            }
            Err(NotReorganised::TooDeep(_)) => Command::Refused(None),
        };
        let was_adopted = matches!(command, Command::Adopted);
        self.mining_command(command, clock);
        match was_adopted {
            true => self.begin_mining(clock),
            // What waited for the branch waits no more.
            false => self.miner_command(MinerCommand::Pool, clock),
        }
    }

    /// What the log, storage, the pool and those who watch are told of a reorganisation.
    fn reorganised(&mut self, done: Reorganised, clock: Clock) {
        let Reorganised { undone, changes, adopted } = done;
        if let Some(first) = undone.first() {
            let height = first.header.height;
            self.effects.push_back(Effect::Append(LogRecord::RolledBack { height }));
            self.effects.push_back(Effect::RolledBack { height, changes });
            self.tell(Notice::Undone(undone.clone()));
        }
        let mut gone: Vec<TransactionId> = Vec::new();
        for (block, applied) in adopted {
            let (height, value) = (applied.height, Value::Block(applied.hash));
            self.effects.push_back(Effect::Append(LogRecord::Block(block.clone())));
            self.effects.push_back(Effect::Append(LogRecord::Decided { height, value, proof: None }));
            gone.extend(&applied.transactions);
            let (decided, applied) = (Arc::new(Decided::Block(block)), Arc::new(applied));
            self.effects.push_back(Effect::Decided { decided, applied, proof: None, micros: None });
        }
        gone.iter().for_each(|id| drop(self.pool.remove(id)));
        let command = dissemination::Command::Gone(gone);
        self.dissemination.handle(MachineInput::Command(command), clock.time);
        self.wait_again(&undone, clock);
    }

    /// The transactions of blocks that were undone wait again, and are told of again.
    fn wait_again(&mut self, undone: &[Arc<Block>], clock: Clock) {
        let transactions: Vec<SharedTransaction> =
            undone.iter().flat_map(|block| block.transactions.iter().cloned()).collect();
        let broken = self.pool.readmit(transactions.iter().cloned(), &self.chain, clock.unix_ms);
        let broken = broken.into_iter().map(|(id, error)| (id, error.to_string())).collect();
        self.drop_transactions(broken, clock);
        for transaction in transactions {
            if self.pool.get(&transaction.id()).is_some() {
                let command = dissemination::Command::Submitted(transaction);
                self.dissemination.handle(MachineInput::Command(command), clock.time);
            }
        }
    }

    /// Tells everybody that the chain has another tip.
    pub(super) fn begin_mining(&mut self, clock: Clock) {
        let tip = self.chain.tip().height;
        self.handshake.handle(MachineInput::Command(handshake::Command::Height(tip)), clock.time);
        self.update_pending(clock);
        self.miner_command(MinerCommand::Tip, clock);
    }

    fn miner_event(&mut self, event: MinerEvent, clock: Clock) {
        match event {
            MinerEvent::Build => {
                let template = self.build_template(clock).map(Arc::new);
                self.miner_command(MinerCommand::Built(template), clock);
            }
            MinerEvent::Work { ticket, template } => {
                let header = Box::new(template.header.clone());
                self.effects.push_back(Effect::Mine { ticket, header });
            }
            MinerEvent::Rest => self.effects.push_back(Effect::StopMining),
            MinerEvent::Mined(block) => {
                self.mining_command(Command::Mined(block), clock);
                // Whatever became of it, the template is used up.
                self.miner_command(MinerCommand::Pool, clock);
            }
        }
    }

    /// What to work on, if there is anything, and the node is not behind.
    fn build_template(&self, clock: Clock) -> Option<Block> {
        let tree = self.mining.as_ref()?.tree();
        let is_behind = tree.best_header().height > tree.tip().height + 1;
        if is_behind || self.failed {
            return None;
        }
        let breaks_tie = tree.has_rival();
        self.chain.template(self.config.node_key.public(), clock.unix_ms, breaks_tie, self.pool.iter())
    }

    pub(super) fn announced_block(&mut self, peer: Peer, compact: mining::CompactBlock, clock: Clock) {
        if self.is_early(&compact.header, clock) {
            return self.tell(Notice::BlockRefused { rule: "future" });
        }
        self.spoke_of(peer, compact.header.height);
        self.mining_input(MachineInput::Received(peer, Message::Announce(compact)), clock);
        self.break_tie(clock);
    }

    /// A chain that rests goes on for as long as another branch has as much work.
    fn break_tie(&mut self, clock: Clock) {
        if self.mining.as_ref().is_some_and(|mining| mining.tree().has_rival()) {
            self.miner_command(MinerCommand::Pool, clock);
        }
    }

    pub(super) fn mining_response(
        &mut self,
        peer: Peer,
        number: u64,
        mut response: mining::Response,
        clock: Clock,
    ) {
        if let mining::Response::Headers(headers) = &mut response {
            if let Some(early) = headers.iter().position(|header| self.is_early(header, clock)) {
                headers.truncate(early);
                self.tell(Notice::BlockRefused { rule: "future" });
            }
            if let Some(last) = headers.last() {
                self.spoke_of(peer, last.height);
            }
        }
        self.mining_input(MachineInput::Received(peer, Message::Response { number, response }), clock);
        self.break_tie(clock);
    }
}
