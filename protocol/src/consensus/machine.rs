//! The consensus machine: one height at a time, the ones just decided, and what came too early.

use super::{
    config::Config,
    event::{Command, Event, Past},
    instance::{Effect, Instance},
    message::Message,
    record::SignedRecord,
};
use crate::{
    machine::{Input, Machine, Output},
    peer::Peer,
    penalty::Penalty,
    rules::Rule,
    time::Time,
};
use conclave_ledger::{
    keys::PublicKey,
    proof::{Proof, ProofError},
    signed::{Height, SignatureSet, Value},
    validators::ValidatorSet,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Heights beyond the next one whose messages are kept: a node that is slow for a moment catches up by itself.
pub const HEIGHTS_AHEAD: Height = 16;

/// Messages kept for each validator and height ahead.
pub const MESSAGES_AHEAD: usize = 16;

/// Blocks kept for heights ahead, all together.
pub const BLOCKS_AHEAD: usize = 8;

/// Decided heights whose signatures are kept, for late votes, certificates to send, and evidence.
pub const RETIRED_HEIGHTS: usize = 64;

/// A connected validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    key: PublicKey,
    /// Since when, without interruption.
    since: Time,
}

/// A height that was decided without a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Certificateless {
    value: Value,
    set: Arc<ValidatorSet>,
    decided_at: Time,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consensus {
    config: Arc<Config>,
    signed: Vec<SignedRecord>,
    peers: BTreeMap<Peer, Member>,
    shown: BTreeMap<PublicKey, Height>,
    current: Option<Instance>,
    /// Since when the current height is the next one.
    begun: Time,
    /// Whether the others came to the current height at most `Δ` before this node.
    in_step: bool,
    retired: VecDeque<Instance>,
    /// Heights decided without a certificate, which a certificate outranks (R1).
    certificateless: BTreeMap<Height, Certificateless>,
    /// Certificates that contradict such a height, until it is known whether they outrank it.
    contradictions: BTreeMap<Height, (Value, Proof)>,
    ahead: BTreeMap<Height, Vec<(Peer, Message)>>,
    pending: bool,
    /// Heights up to this one are late: signed in before a restart, or gone back to by R1.
    late_until: Option<Height>,
    certificates_due: VecDeque<(Time, Height)>,
    announce_at: Option<Time>,
    /// Fingerprint of the proofs of the last heights.
    proofs: u64,
    outputs: VecDeque<Output<Self>>,
}

impl Consensus {
    /// A machine; `signed` is what the write-ahead log holds of this validator's signatures.
    pub fn new(config: Config, signed: Vec<SignedRecord>) -> Self {
        Self {
            config: Arc::new(config),
            late_until: signed.iter().map(|record| record.height).max(),
            signed,
            peers: BTreeMap::new(),
            shown: BTreeMap::new(),
            current: None,
            begun: Time(0),
            in_step: false,
            retired: VecDeque::new(),
            certificateless: BTreeMap::new(),
            contradictions: BTreeMap::new(),
            ahead: BTreeMap::new(),
            pending: false,
            certificates_due: VecDeque::new(),
            announce_at: None,
            proofs: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The height being decided; `None` before the first `Begin`.
    pub fn height(&self) -> Option<Height> {
        self.current.as_ref().map(Instance::height)
    }

    /// Whether the current height is decided.
    pub fn has_decided(&self) -> bool {
        self.current.as_ref().is_some_and(|instance| instance.decision().is_some())
    }

    /// Whether this node needs nobody to tell it how the current height ends: its own clock will, or would if the height
    /// were opened now.
    pub fn is_timed(&self, now: Time) -> bool {
        let current = self.current.as_ref().filter(|instance| instance.decision().is_none());
        current.is_some_and(|instance| (instance.is_open() || self.in_step) && instance.is_timed(now))
    }

    /// Blocks' bodies that the current height holds, at most [`MAX_BODIES`](super::MAX_BODIES).
    pub fn bodies(&self) -> usize {
        self.current.as_ref().map_or(0, Instance::bodies)
    }

    /// Whether the current height is open.
    pub fn is_open(&self) -> bool {
        self.current.as_ref().is_some_and(Instance::is_open)
    }

    fn begin(&mut self, height: Height, validators: Arc<ValidatorSet>, leader: &PublicKey, now: Time) {
        self.in_step = self.is_in_step(height, now);
        self.begun = now;
        if let Some(before) = self.current.take() {
            self.retire(before, height);
        }
        self.retired.retain(|instance| instance.height() < height);
        self.ahead = self.ahead.split_off(&height);
        let oldest = height.saturating_sub(RETIRED_HEIGHTS as Height);
        self.signed.retain(|record| record.height >= oldest);
        self.certificateless = self.certificateless.split_off(&oldest);
        self.contradictions = self.contradictions.split_off(&oldest);
        let late = self.late_until.is_some_and(|until| height <= until);
        self.current =
            Some(Instance::new(self.config.clone(), height, validators, leader, late, &self.signed));
        self.note_timeliness();
        for (peer, message) in self.ahead.remove(&height).unwrap_or_default() {
            self.receive(peer, message, now);
        }
        self.progress(now);
    }

    /// Whether the others come to this height at most `Δ` before this node: it has decided the one before by itself,
    /// and has been in touch with all but `f` validators for `Δ`. Had they decided it before, they would have told this
    /// node by then.
    fn is_in_step(&self, height: Height, now: Time) -> bool {
        self.current.as_ref().is_some_and(|before| {
            let has_decided = before.height() + 1 == height && before.is_announced();
            has_decided && self.in_touch_from(before.set()).is_some_and(|from| from <= now)
        })
    }

    /// From when on a height that is opened here is known to be opened in time: `Δ` after all but `f` validators were
    /// connected, and, unless this node came to the height in step with them, `Δ` after it did. An honest one that had
    /// opened it before would have made this node open it meanwhile.
    fn note_timeliness(&mut self) {
        let Some(current) = &self.current else { return };
        let in_touch = self.in_touch_from(current.set());
        let caught_up = if self.in_step { Time(0) } else { self.begun + self.config.delta };
        if let Some(current) = &mut self.current {
            current.set_timely_from(in_touch, caught_up);
        }
    }

    /// Follows what a height that has become late makes count.
    fn follow(&mut self, now: Time) {
        if let Some(current) = &mut self.current {
            current.follow(now);
        }
        self.drain(now);
    }

    /// `Δ` after all but `f` validators were connected, this one counted; `None` if they are not.
    fn in_touch_from(&self, set: &ValidatorSet) -> Option<Time> {
        let others = (set.len() - set.faulty().min(set.len())).saturating_sub(1);
        let own = self.config.key.as_ref().map(|key| key.public());
        let mut since: BTreeMap<PublicKey, Time> = BTreeMap::new();
        for member in self.peers.values() {
            let counts = set.index_of(&member.key).is_some_and(|index| set.signer(index).is_some());
            if counts && Some(member.key) != own {
                let known = since.entry(member.key).or_insert(member.since);
                *known = member.since.min(*known);
            }
        }
        let mut since: Vec<Time> = since.into_values().collect();
        since.sort_unstable();
        match others.checked_sub(1) {
            None => Some(Time(0)),
            Some(last) => since.get(last).map(|last| *last + self.config.delta),
        }
    }

    fn retire(&mut self, mut instance: Instance, next: Height) {
        if instance.height() < next {
            instance.retire();
            self.keep_retired(instance);
        }
    }

    /// Opens the current height where there is something to decide, and lets the leader build.
    fn progress(&mut self, now: Time) {
        let others = self.peers.len();
        if let Some(instance) = &mut self.current {
            if self.pending && !instance.is_open() {
                instance.open_for_transaction(now);
            }
            // A late leader waits until it would hear from a quorum how far the height is.
            if !instance.is_late() || others + 1 >= instance.set().quorum() {
                instance.build();
            }
        }
        self.drain(now);
    }

    /// Turns the current instance's effects into outputs.
    fn drain(&mut self, now: Time) {
        let Some(instance) = &mut self.current else { return };
        for effect in instance.take_effects() {
            self.carry_out(effect, now);
        }
    }

    fn carry_out(&mut self, effect: Effect, now: Time) {
        match effect {
            Effect::ToAll(message) => {
                self.announce_at = None;
                for peer in self.peers.keys() {
                    self.outputs.push_back(Output::Send(*peer, message.clone()));
                }
            }
            Effect::Event(Event::Append(record)) => {
                self.signed.push(record.clone());
                self.emit(Event::Append(record));
            }
            Effect::Event(Event::Fetch { height, block, .. }) => {
                let peers = self.peers_that_named(&block);
                self.emit(Event::Fetch { height, block, peers });
            }
            Effect::Event(Event::Decide { height, value, block, proof }) => {
                self.announce_at = Some(now + self.config.announce_delay());
                if proof.as_ref().is_some_and(Proof::is_certificate) {
                    if self.config.rules.keep(Rule::C2) {
                        self.certificates_due.push_back((now + self.config.certificate_delay(), height));
                    }
                } else if let Some(instance) = &self.current {
                    let set = instance.set().clone();
                    self.certificateless.insert(height, Certificateless { value, set, decided_at: now });
                }
                self.emit(Event::Decide { height, value, block, proof });
            }
            Effect::Event(Event::Proved { height, value, proof }) => {
                if proof.is_certificate() {
                    self.certificateless.remove(&height);
                }
                self.emit(Event::Proved { height, value, proof });
            }
            Effect::Event(event) => self.emit(event),
        }
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Emit(event));
    }

    fn peers_that_named(&self, block: &conclave_ledger::hash::BlockHash) -> Vec<Peer> {
        let Some(instance) = &self.current else { return Vec::new() };
        let namers = instance.namers(block);
        let named = |member: &Member| {
            instance.set().index_of(&member.key).is_some_and(|index| namers.contains(&index))
        };
        let (mut first, others): (Vec<Peer>, Vec<Peer>) =
            self.peers.keys().partition(|peer| self.peers.get(peer).is_some_and(named));
        first.extend(others);
        first
    }

    // --- Messages --------------------------------------------------------------------------------------------

    fn receive(&mut self, peer: Peer, message: Message, now: Time) {
        let Some(key) = self.peers.get(&peer).map(|member| member.key) else {
            return self
                .penalize(peer, Penalty::serious("a consensus message from a peer that is no validator"));
        };
        let height = message.height();
        let shown = self.shown.entry(key).or_default();
        *shown = message.decided_height().max(*shown);
        let Some(current) = &mut self.current else { return };
        if height > current.height() {
            return self.keep_for_later(peer, message);
        }
        if height == current.height() {
            let Some(index) = current.set().index_of(&key) else {
                return self.penalize(peer, Penalty::slight("a message of a height that it does not decide"));
            };
            // Usually the certificate, or the block that it is on, is on its way; where it is not, sync has both.
            if matches!(message, Message::Decided { .. }) && !current.is_announced() {
                return self.emit(Event::Behind { peer, height: height + 1 });
            }
            if let Err(penalty) = current.receive(index, message, now) {
                self.penalize(peer, penalty);
            }
            return self.progress(now);
        }
        self.receive_retired(peer, &key, message, now);
    }

    fn receive_retired(&mut self, peer: Peer, key: &PublicKey, message: Message, now: Time) {
        if let Message::Certificate { height, value, votes, .. } = &message
            && let Some(verified) = self.contradicted(*height, *value, Proof::Certificate(votes.clone()), now)
        {
            if let Err(error) = verified {
                self.penalize(peer, Penalty::fatal(format!("a certificate: {error}")));
            }
            return;
        }
        let Some(instance) = self.retired.iter_mut().find(|instance| instance.height() == message.height())
        else {
            return;
        };
        let Some(index) = instance.set().index_of(key) else { return };
        let contradicted = matches!(&message, Message::Commit { value, .. }
            if instance.decision().is_some_and(|decision| decision.value != *value));
        let verdict = instance.receive(index, message, now);
        // R1 from the other side: who decided something else learns of the certificate.
        let answer = if contradicted && verdict.is_ok() { instance.relay_certificate() } else { None };
        let effects = instance.take_effects();
        for effect in effects {
            // What is decided is signed no more; only proofs and evidence come out of late messages.
            // The relay in an answer is the exception, and it is logged before it is sent.
            let is_wanted = matches!(
                effect,
                Effect::Event(Event::Proved { .. } | Event::Misbehaved { .. } | Event::Append(_))
            );
            if is_wanted {
                self.carry_out(effect, now);
            }
        }
        answer.into_iter().for_each(|message| self.send(peer, message));
        if let Err(penalty) = verdict {
            self.penalize(peer, penalty);
        }
    }

    /// A certificate from elsewhere: of the current height it is followed like one in a message, of an earlier one it
    /// outranks what was decided without.
    fn certificate(&mut self, height: Height, value: Value, votes: SignatureSet, now: Time) {
        match &mut self.current {
            Some(current) if current.height() == height => {
                // What does not verify has no sender here to be blamed.
                let _ = current.receive_certificate(value, &votes, &SignatureSet::default(), now);
                self.progress(now);
            }
            _ => {
                // As above.
                let _ = self.contradicted(height, value, Proof::Certificate(votes), now);
            }
        }
    }

    /// Notes a certificate on something else than what was decided at `height` without one; `None` if it was not, or
    /// not without.
    fn contradicted(
        &mut self,
        height: Height,
        value: Value,
        proof: Proof,
        now: Time,
    ) -> Option<Result<(), ProofError>> {
        let decided = self.certificateless.get(&height).filter(|decided| decided.value != value)?;
        if !self.config.rules.keep(Rule::R1) {
            return None;
        }
        let verified = proof.verify(self.config.network, height, &value, &decided.set);
        if verified.is_ok() {
            self.accuse(height, value, proof.signatures(), now);
            self.contradictions.insert(height, (value, proof));
        }
        self.repair_contradicted(now);
        Some(verified)
    }

    /// Whoever has voted for this too is accused, whichever of the two values stands in the end.
    fn accuse(&mut self, height: Height, value: Value, votes: &SignatureSet, now: Time) {
        let mut retired = self.retired.iter_mut();
        let Some(instance) = retired.find(|instance| instance.height() == height) else { return };
        // They have been verified.
        let _ = instance.receive_votes(value, votes);
        let effects = instance.take_effects().into_iter();
        let accusations = effects.filter(|effect| matches!(effect, Effect::Event(Event::Misbehaved { .. })));
        accusations.for_each(|effect| self.carry_out(effect, now));
    }

    /// A height that was decided elsewhere, or before a restart: late messages about it are understood, and a
    /// certificate outranks it if it has none itself.
    fn decided(&mut self, past: Past, now: Time) {
        let Past { height, value, proof, leader, validators } = past;
        if !proof.as_ref().is_some_and(Proof::is_certificate) {
            let set = validators.clone();
            self.certificateless.insert(height, Certificateless { value, set, decided_at: now });
        }
        match &mut self.current {
            Some(current) if current.height() == height => current.settled(value, proof),
            _ => {
                let mut instance =
                    Instance::new(self.config.clone(), height, validators, &leader, true, &self.signed);
                instance.settled(value, proof);
                self.keep_retired(instance);
            }
        }
    }

    fn keep_retired(&mut self, instance: Instance) {
        self.retired.push_back(instance);
        if self.retired.len() > RETIRED_HEIGHTS {
            self.retired.pop_front();
        }
    }

    /// When the commits to a height decided without a certificate are here, if they ever are.
    fn commits_due(&self, decided: &Certificateless) -> Time {
        decided.decided_at + self.config.window()
    }

    /// R1: the node goes back to the state before the height and begins it again; everything signed stays signed.
    ///
    /// But not where all honest validators may have decided as it did: a faulty one can keep a certificate to itself until
    /// the height is over. So the commits are waited for, and those of `n − f` make the decision final.
    fn repair_contradicted(&mut self, now: Time) {
        for (height, (value, proof)) in std::mem::take(&mut self.contradictions) {
            let Some(decided) = self.certificateless.get(&height) else { continue };
            let instance = self.retired.iter().find(|instance| instance.height() == height);
            let commits = instance.map_or(0, |instance| instance.count_commits(&decided.value));
            if commits >= decided.set.len() - decided.set.faulty().min(decided.set.len()) {
                continue;
            }
            if now < self.commits_due(decided) {
                self.contradictions.insert(height, (value, proof));
                continue;
            }
            self.late_until = self.height();
            self.certificateless.split_off(&height);
            self.contradictions.clear();
            return self.emit(Event::Repair { height, value, proof });
        }
    }

    fn keep_for_later(&mut self, peer: Peer, message: Message) {
        let (height, current) = (message.height(), self.height().unwrap_or(0));
        if matches!(message, Message::Decided { .. }) {
            return self.emit(Event::Behind { peer, height: height.saturating_add(1) });
        }
        if height > current + HEIGHTS_AHEAD {
            return self.emit(Event::Behind { peer, height });
        }
        let is_block = |message: &Message| matches!(message, Message::Block(_));
        let blocks = self.ahead.values().flatten().filter(|(_, message)| is_block(message)).count();
        let kept = self.ahead.entry(height).or_default();
        let of_peer = kept.iter().filter(|(sender, _)| *sender == peer).count();
        if of_peer < MESSAGES_AHEAD && (!is_block(&message) || blocks < BLOCKS_AHEAD) {
            kept.push((peer, message));
        } else {
            self.emit(Event::Behind { peer, height });
        }
    }

    fn penalize(&mut self, peer: Peer, penalty: Penalty) {
        self.outputs.push_back(Output::Penalize(peer, penalty));
    }

    // --- Peers -----------------------------------------------------------------------------------------------

    /// After a reconnect: what was decided last, then everything said in the open height, in order.
    fn joined(&mut self, peer: Peer, key: PublicKey, now: Time) {
        self.peers.insert(peer, Member { key, since: now });
        self.shown.entry(key).or_default();
        self.note_timeliness();
        self.follow(now);
        if let Some(tip) = self.height().map(|height| height.saturating_sub(1)).filter(|tip| *tip > 0) {
            self.send(peer, Message::Decided { height: tip, proofs: self.proofs });
        }
        let needs = |instance: &&mut Instance| {
            instance
                .decision()
                .is_some_and(|decision| !decision.proof.as_ref().is_some_and(Proof::is_certificate))
        };
        let mut resent: Vec<Message> = Vec::new();
        self.retired.iter_mut().filter(needs).for_each(|instance| resent.extend(instance.resend()));
        if let Some(last) = self.retired.back_mut() {
            resent.extend(last.relay_certificate());
        }
        if let Some(instance) = &mut self.current {
            resent.extend(instance.resend());
        }
        // A relay may have been signed just now: its record goes to the log before the messages.
        let mut records = Vec::new();
        self.retired.iter_mut().for_each(|instance| records.extend(instance.take_effects()));
        records.into_iter().for_each(|effect| self.carry_out(effect, now));
        self.drain(now);
        resent.into_iter().for_each(|message| self.send(peer, message));
        self.progress(now);
    }

    fn send(&mut self, peer: Peer, message: Message) {
        self.outputs.push_back(Output::Send(peer, message));
    }

    /// C2, after its wait: the certificate goes to peers that have not shown that they have decided.
    fn send_certificates(&mut self, now: Time) {
        while let Some((_, height)) = self.certificates_due.pop_front_if(|(due, _)| *due <= now) {
            let behind: Vec<Peer> = self
                .peers
                .iter()
                .filter(|(_, member)| self.shown.get(&member.key).is_none_or(|shown| *shown < height))
                .map(|(peer, _)| *peer)
                .collect();
            let instances = self.retired.iter_mut().chain(self.current.as_mut());
            let Some(instance) = instances.into_iter().find(|instance| instance.height() == height) else {
                continue;
            };
            if behind.is_empty() {
                continue;
            }
            let message = instance.relay_certificate();
            let effects = instance.take_effects();
            effects.into_iter().for_each(|effect| self.carry_out(effect, now));
            for peer in behind {
                message.iter().cloned().for_each(|message| self.send(peer, message));
            }
        }
    }

    /// Proofs that grow after they were announced are announced once more: everybody is to end with the same.
    fn note_proofs(&mut self, fingerprint: u64, now: Time) {
        if self.proofs != fingerprint {
            self.proofs = fingerprint;
            self.announce_at.get_or_insert(now + self.config.announce_delay());
        }
    }

    fn announce(&mut self, now: Time) {
        if self.announce_at.is_some_and(|at| at <= now) {
            self.announce_at = None;
            let decided = self
                .current
                .as_ref()
                .map(|instance| instance.height() - u64::from(instance.decision().is_none()));
            let peers: Vec<Peer> = self.peers.keys().copied().collect();
            if let Some(height) = decided.filter(|height| *height > 0) {
                let message = Message::Decided { height, proofs: self.proofs };
                peers.iter().for_each(|peer| self.send(*peer, message.clone()));
            }
        }
    }
}

impl Machine for Consensus {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, input: Input<Self>, now: Time) {
        match input {
            // A peer takes part once its validator key is known: see `Command::Joined`.
            Input::Connected(_) => {}
            Input::Disconnected(peer) => {
                self.peers.remove(&peer);
                self.note_timeliness();
                self.follow(now);
            }
            Input::Received(peer, message) => self.receive(peer, message, now),
            Input::Command(command) => self.command(command, now),
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        if let Some(instance) = &mut self.current {
            instance.handle_timeout(now);
        }
        self.drain(now);
        self.send_certificates(now);
        self.repair_contradicted(now);
        self.announce(now);
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        let is_message = |output: &Output<Self>| matches!(output, Output::Send(..));
        if !self.config.rules.keep(Rule::WriteAhead)
            && let Some(first) = self.outputs.iter().position(is_message)
        {
            return self.outputs.remove(first);
        }
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        let instance = self.current.as_ref().and_then(Instance::poll_timeout);
        let certificate = self.certificates_due.front().map(|(due, _)| *due);
        let contradicted = self.contradictions.keys().filter_map(|height| self.certificateless.get(height));
        let repair = contradicted.map(|decided| self.commits_due(decided)).min();
        [instance, certificate, repair, self.announce_at].into_iter().flatten().min()
    }
}

impl Consensus {
    fn command(&mut self, command: Command, now: Time) {
        match command {
            Command::Begin { height, validators, leader } => self.begin(height, validators, &leader, now),
            Command::Joined { peer, key } => self.joined(peer, key, now),
            Command::Pending(pending) => {
                self.pending = pending;
                self.progress(now);
            }
            Command::Built { height, block } => {
                self.with_current(height, now, |instance| instance.built(block, now))
            }
            Command::Checked { height, block, verdict } => {
                self.with_current(height, now, |instance| instance.checked(block, verdict, now));
            }
            Command::Block(block) => {
                let height = block.header.height;
                self.with_current(height, now, |instance| instance.receive_block(None, block, now));
            }
            Command::Proposed { height, block, kind, signature } => {
                self.with_current(height, now, |instance| instance.recall_proposal(block, kind, &signature));
            }
            Command::Decided(past) => self.decided(past, now),
            Command::Certificate { height, value, votes } => self.certificate(height, value, votes, now),
            Command::Proofs(fingerprint) => self.note_proofs(fingerprint, now),
            Command::Certified(height) => {
                self.certificateless.remove(&height);
            }
        }
    }

    fn with_current(&mut self, height: Height, now: Time, act: impl FnOnce(&mut Instance)) {
        if let Some(instance) = self.current.as_mut().filter(|instance| instance.height() == height) {
            act(instance);
            self.drain(now);
        }
    }
}
