//! One height: what is known of it, and its clock.
//!
//! The rules are next door, each tagged with its name on the consensus page: [`extraction`] (E1–E3), [`votes`]
//! (V1, C1–C3), [`support`] (S1), [`closing`] (P1–P3 and the end). Here are the tables that they share.
//!
//! Bounds, per height: for each validator one vote, at most two endorsements (one for each of
//! [`BLOCKS_PER_SENDER`] blocks it names), one relay of each kind, one settle and one commit. At most
//! [`BLOCKS_PER_SENDER`] blocks named by each sender, of which at most [`MAX_EXTRACTED`] are extracted; and at most
//! [`MAX_BODIES`] bodies, whoever sends how many.

mod closing;
mod extraction;
mod resend;
mod signatures;
mod support;
mod votes;

use super::{
    config::Config,
    event::{Event, Verdict},
    message::Message,
    record::SignedRecord,
};
use crate::{penalty::Penalty, rules::Rule, time::Time};
use conclave_ledger::{
    block::Block,
    hash::BlockHash,
    keys::{PublicKey, Signature},
    proof::Proof,
    signed::{Height, Kind, SignatureSet, Slot, Value},
    validators::{ValidatorIndex, ValidatorSet},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Most blocks that are extracted in a height; a third is ignored (rule E2).
pub const MAX_EXTRACTED: usize = 2;

/// Most blocks of one height that a sender may name: honest ones name those that they extracted.
pub const BLOCKS_PER_SENDER: usize = MAX_EXTRACTED;

/// Most bodies of blocks that are held in a height: those that are extracted or may still be, and that of a
/// certificate's block. (A second certificate there is not: certificates are unique.)
pub const MAX_BODIES: usize = MAX_EXTRACTED + 1;

/// What an instance wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Send to every connected validator.
    ToAll(Message),
    /// Tell the node.
    Event(Event),
}

/// A certificate or a support on its way: its votes, and who vouches for having accepted it in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Relayed {
    votes: SignatureSet,
    relays: SignatureSet,
    accepted: bool,
}

/// How a height was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) value: Value,
    pub(super) proof: Option<Proof>,
}

/// What has been done of what the clock asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// End of window 1: V1.
    Vote,
    /// End of window 2: S1.
    Support,
    /// Start of window f+3: P1.
    Closing,
    /// End of the last window.
    End,
    /// Nothing more, but for a late close.
    Over,
}

/// One height of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    slot: Slot,
    set: Arc<ValidatorSet>,
    leader: ValidatorIndex,
    me: Option<ValidatorIndex>,
    config: Arc<Config>,
    /// When it was opened here.
    start: Option<Time>,
    /// Its windows may not be those of the others, so it closes by a certificate, by commits, or by P3.
    late: bool,
    /// If it is opened before all but `f` validators have been in touch for long enough, or before this node has been at
    /// this height for long enough, it may have been opened long ago elsewhere: then it is late.
    timely_from: (Option<Time>, Time),
    halted: bool,
    step: Step,

    votes: BTreeMap<ValidatorIndex, (Value, Signature)>,
    /// Votes for blocks by those who have voted for something else already: chain signatures, but no votes.
    second_votes: BTreeMap<BlockHash, SignatureSet>,
    endorsements: BTreeMap<BlockHash, SignatureSet>,
    settles: BTreeMap<ValidatorIndex, (Value, Signature)>,
    commits: BTreeMap<ValidatorIndex, (Value, Signature)>,
    closings: BTreeSet<ValidatorIndex>,

    named: BTreeMap<ValidatorIndex, BTreeSet<BlockHash>>,
    blocks: BTreeMap<BlockHash, Arc<Block>>,
    verdicts: BTreeMap<BlockHash, Option<Verdict>>,
    fetch_at: BTreeMap<BlockHash, Time>,
    extracted: Vec<BlockHash>,
    built: bool,

    certificates: BTreeMap<Value, Relayed>,
    supports: BTreeMap<BlockHash, Relayed>,
    /// When a late close settles (P3), and whether it has.
    settle_at: Option<Time>,
    has_settled: bool,
    misbehaved: BTreeSet<ValidatorIndex>,
    decision: Option<Decision>,
    announced: bool,
    effects: Vec<Effect>,
}

impl Instance {
    /// The height as it follows from the decided chain; `signed` is what the log holds of it.
    pub(super) fn new(
        config: Arc<Config>,
        height: Height,
        set: Arc<ValidatorSet>,
        leader: &PublicKey,
        late: bool,
        signed: &[SignedRecord],
    ) -> Self {
        let me = config.key.as_ref().and_then(|key| set.index_of(&key.public()));
        let mut instance = Self {
            slot: Slot { network: config.network, height },
            leader: set.index_of(leader).unwrap_or(0),
            me: me.filter(|me| set.signer(*me).is_some()),
            set,
            config,
            start: None,
            late,
            timely_from: (None, Time(0)),
            halted: false,
            step: Step::Vote,
            votes: BTreeMap::new(),
            second_votes: BTreeMap::new(),
            endorsements: BTreeMap::new(),
            settles: BTreeMap::new(),
            commits: BTreeMap::new(),
            closings: BTreeSet::new(),
            named: BTreeMap::new(),
            blocks: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            fetch_at: BTreeMap::new(),
            extracted: Vec::new(),
            built: false,
            certificates: BTreeMap::new(),
            supports: BTreeMap::new(),
            settle_at: None,
            has_settled: false,
            misbehaved: BTreeSet::new(),
            decision: None,
            announced: false,
            effects: Vec::new(),
        };
        if let Some(me) = instance.me {
            signed
                .iter()
                .filter(|record| record.height == height)
                .for_each(|record| instance.recall(me, record));
        }
        instance
    }

    /// Puts a signature from the log where it was: it is sent again, and none is made in its place.
    fn recall(&mut self, me: ValidatorIndex, record: &SignedRecord) {
        let SignedRecord { kind, value, signature, .. } = record.clone();
        match (kind, value) {
            (Kind::Vote, _) => {
                self.votes.insert(me, (value, signature));
                // The leader's own vote is the only one that it could build a block for.
                self.built |= me == self.leader;
                if let Value::Block(block) = value {
                    self.name(me, block);
                }
            }
            (Kind::Endorse, Value::Block(block)) => {
                self.endorsements.entry(block).or_default().insert(me, signature);
                self.built |= me == self.leader;
                self.name(me, block);
            }
            (Kind::Settle, _) => {
                self.settles.insert(me, (value, signature));
            }
            (Kind::Commit, _) => {
                self.commits.insert(me, (value, signature));
            }
            // A relay says that something was accepted in time, which a restarted node cannot say again.
            (Kind::RelayCertificate | Kind::RelaySupport | Kind::Endorse, _) => {}
        }
    }

    /// Puts the leader's signature from the log beside this node's own, so that the chain can be said again.
    pub(super) fn recall_proposal(&mut self, block: BlockHash, kind: Kind, signature: &Signature) {
        let (leader, value) = (self.leader, Value::Block(block));
        // What does not verify is as good as not there: the leader will say it again.
        let _ = match kind {
            Kind::Vote => self.add_vote(leader, value, signature),
            Kind::Endorse => self.add_endorsement(leader, block, signature),
            _ => Ok(()),
        };
    }

    /// The decision as the chain has it: nothing is left to be done about it.
    pub(super) fn settled(&mut self, value: Value, proof: Option<Proof>) {
        if let Some(Proof::Certificate(votes)) = &proof {
            let votes = votes.clone();
            self.certificates
                .insert(value, Relayed { votes, relays: SignatureSet::default(), accepted: true });
        }
        self.decision = Some(Decision { value, proof });
        (self.step, self.announced) = (Step::Over, true);
        self.retire();
    }

    /// Bodies that are held.
    pub(super) fn bodies(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn height(&self) -> Height {
        self.slot.height
    }

    pub(super) fn set(&self) -> &Arc<ValidatorSet> {
        &self.set
    }

    pub(super) fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref()
    }

    /// Whether the node was told of the decision, which takes its block.
    pub(super) fn is_announced(&self) -> bool {
        self.announced
    }

    pub(super) fn is_open(&self) -> bool {
        self.start.is_some()
    }

    /// From when on a height that is opened here is opened in time, by who is in touch and by when this node came to it.
    /// When validators were lost or came back since it was opened, messages may have taken longer than `Δ`, and its
    /// windows say nothing any more.
    pub(super) fn set_timely_from(&mut self, in_touch: Option<Time>, caught_up: Time) {
        self.timely_from = (in_touch, caught_up);
        if self.decision.is_none() && self.start.is_some_and(|start| !self.is_timely(start)) {
            self.late = true;
        }
    }

    fn is_timely(&self, start: Time) -> bool {
        let (in_touch, caught_up) = self.timely_from;
        in_touch.is_some_and(|from| from <= start) && caught_up <= start
    }

    /// Whether this node can tell by its own clock how the height ends; one that is not open yet, if it were opened now.
    pub(super) fn is_timed(&self, now: Time) -> bool {
        !self.is_untimed() && self.is_timely(self.start.unwrap_or(now))
    }

    pub(super) fn is_late(&self) -> bool {
        self.late
    }

    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn emit(&mut self, event: Event) {
        self.effects.push(Effect::Event(event));
    }

    fn send_to_all(&mut self, message: Message) {
        self.effects.push(Effect::ToAll(message));
    }

    // --- The clock -------------------------------------------------------------------------------------------

    fn keeps(&self, rule: Rule) -> bool {
        self.config.rules.keep(rule)
    }

    fn f(&self) -> u32 {
        self.set.faulty() as u32
    }

    /// The window that `now` is in, from 1; 1 before the height is open.
    fn window(&self, now: Time) -> u32 {
        let elapsed = self.start.map_or(Duration::ZERO, |start| now.since(start));
        let windows = elapsed.as_micros() / self.config.window().as_micros().max(1);
        u32::try_from(windows).unwrap_or(u32::MAX - 1) + 1
    }

    /// Whether the windows of this node no longer say anything about those of the others.
    fn is_untimed(&self) -> bool {
        self.late || self.halted
    }

    /// When `step` is due: at the end of that many windows after the start.
    fn due(&self, step: Step) -> Option<Time> {
        let f = self.f();
        let windows = match (self.config.fast, step) {
            (_, Step::Over) => return None,
            (true, Step::Vote) => 1,
            (true, Step::Support) => 2,
            (true, Step::Closing) => f + 2,
            (true, Step::End) => f + 3,
            (false, Step::End) => f + 1,
            (false, _) => 0,
        };
        self.start.map(|start| start + self.config.window() * windows)
    }

    /// The next deadline.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        let fetch = self.fetch_at.values().copied().min();
        if self.decision.is_some() {
            return fetch;
        }
        [self.due(self.step), fetch, self.settle_at].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        // A process that was stopped for longer than Δ no longer knows what arrived when.
        if self.due(self.step).is_some_and(|due| due + self.config.delta < now) && self.decision.is_none() {
            self.late = true;
        }
        while self.decision.is_none() && self.due(self.step).is_some_and(|due| due <= now) {
            match self.step {
                Step::Vote => self.end_first_window(),
                Step::Support => self.end_second_window(now),
                Step::Closing => self.start_last_window(),
                Step::End => self.end_last_window(now),
                Step::Over => {}
            }
            self.step = match self.step {
                Step::Vote => Step::Support,
                Step::Support => Step::Closing,
                Step::Closing => Step::End,
                Step::End | Step::Over => Step::Over,
            };
        }
        self.fetch_missing(now);
        if self.decision.is_none() {
            // This node's own vote may have completed a certificate, or lateness made known things count.
            self.progress(now);
        }
    }

    /// Follows what may have become applicable by a change of what is known of the others.
    pub(super) fn follow(&mut self, now: Time) {
        if self.is_open() && self.decision.is_none() {
            self.progress(now);
        }
    }

    /// Opens the height for a transaction that waits, and follows what was kept for this moment.
    pub(super) fn open_for_transaction(&mut self, now: Time) {
        if self.decision.is_none() {
            self.open(now);
            self.progress(now);
        }
    }

    /// Opens the height: its windows begin.
    fn open(&mut self, now: Time) {
        if self.start.is_none() && self.decision.is_none() {
            self.start = Some(now);
            self.late |= !self.is_timely(now);
            self.emit(Event::Opened { height: self.height() });
            if !self.config.fast {
                self.step = if self.late { Step::Closing } else { Step::End };
            }
        }
    }

    /// Follows every rule that new knowledge may have made applicable.
    fn progress(&mut self, now: Time) {
        self.extract(now);
        self.assemble_certificates(now);
        self.count_settles(now);
        self.late_close(now);
    }

    // --- Messages --------------------------------------------------------------------------------------------

    /// Takes a message of this height from the validator at `sender`, and follows what is good of it, although some of
    /// it may not be.
    pub(super) fn receive(
        &mut self,
        sender: ValidatorIndex,
        message: Message,
        now: Time,
    ) -> Result<(), Penalty> {
        let verdict = self.learn(sender, message, now);
        if self.decision.is_none() {
            self.progress(now);
        } else {
            self.improve_proof();
        }
        verdict
    }

    fn learn(&mut self, sender: ValidatorIndex, message: Message, now: Time) -> Result<(), Penalty> {
        match message {
            Message::Block(block) => self.receive_block(Some(sender), block, now),
            Message::Chain { block, votes, endorsements, .. } => {
                self.receive_chain(sender, block, &votes, &endorsements, now)?;
            }
            Message::Skip { votes, .. } => self.receive_votes(Value::Skip, &votes)?,
            Message::Certificate { value, votes, relays, .. } => {
                self.receive_certificate(value, &votes, &relays, now)?;
            }
            Message::Support { block, votes, relays, .. } => {
                self.receive_support(sender, block, &votes, &relays, now)?;
            }
            Message::Closing { .. } => {
                if self.set.signer(sender).is_some() {
                    self.closings.insert(sender);
                }
            }
            Message::Settle { value, settles, .. } => self.receive_settles(value, &settles)?,
            Message::Commit { value, commits, .. } => self.receive_commits(value, &commits, now)?,
            Message::Decided { .. } => {}
        }
        Ok(())
    }

    /// The decision is made: nothing is left to the clock but to pull the block if it is not here yet.
    fn decide(&mut self, value: Value, proof: Option<Proof>, now: Time) {
        if self.decision.is_some() {
            return;
        }
        self.decision = Some(Decision { value, proof });
        self.fetch_at.clear();
        match value {
            Value::Block(block) if !self.blocks.contains_key(&block) => {
                self.fetch_at.insert(block, now + self.config.fetch_delay());
            }
            _ => self.announce(),
        }
    }

    /// Tells the node of the decision, once its block is at hand.
    fn announce(&mut self) {
        let Some(Decision { value, proof }) = self.decision.clone() else { return };
        let block = value.block().and_then(|hash| self.blocks.get(&hash).cloned());
        if !self.announced && (block.is_some() || value == Value::Skip) {
            self.announced = true;
            self.emit(Event::Decide { height: self.height(), value, block, proof });
        }
    }

    /// Keeps what late messages need, and lets go of the blocks.
    pub(super) fn retire(&mut self) {
        self.blocks.clear();
        self.verdicts.clear();
        self.fetch_at.clear();
        self.announced = true;
    }
}
