//! What a host wants done: its log first, then what waited for it.

use super::{
    World,
    event::{Dialled, Event},
    host::Host,
    network,
};
use crate::{latency::between, observation::Observation};
use conclave_ledger::codec;
use conclave_protocol::{
    node::{Effect, Notice},
    penalty::Severity,
};
use std::time::Duration;

/// How long after a decision the database takes it, as in the real program.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

/// How long it takes to find what a peer asks for.
const LOOKUP_TIME: Duration = Duration::from_micros(300);

/// Attempts of a search for work, many more than the few bits of a simulated network need.
const ATTEMPTS: u64 = 1 << 20;

impl World<'_> {
    /// Carries out effects, in order; those that follow a record wait until it is on disk.
    pub(super) fn carry_out(&mut self, number: usize, effects: Vec<Effect>) {
        for effect in effects {
            let host = &mut self.hosts[number];
            if let Effect::Append(record) = effect {
                host.disk.append(&record);
                self.sync(number);
                continue;
            }
            let (appended, synced) = (host.disk.appended(), host.disk.synced());
            let Some(process) = &mut host.process else { return };
            if let Some(effect) = process.barrier.pass(effect, appended, synced) {
                self.take_place(number, effect);
            }
        }
        self.call_back(number);
    }

    /// Makes sure that the host is called when it wants to be.
    fn call_back(&mut self, number: usize) {
        let host = &mut self.hosts[number];
        let due = host.poll_timeout().map(|due| due.max(self.now));
        if let Some(due) = due
            && host.deadline.is_none_or(|known| due < known || known < self.now)
        {
            host.deadline = Some(due);
            self.queue.put(due, Event::Deadline { host: number, boot: host.boot });
        }
    }

    /// Begins to sync a log, unless that is under way: then what was appended meanwhile shares the next one.
    fn sync(&mut self, number: usize) {
        let (least, most) = self.scenario.disk;
        let host = &mut self.hosts[number];
        if !host.is_syncing && host.disk.appended() > host.disk.synced() {
            host.is_syncing = true;
            let (boot, sequence) = (host.boot, host.disk.appended());
            let at = self.now + between(least, most, &mut self.random);
            self.queue.put(at, Event::Synced { host: number, boot, sequence });
        }
    }

    pub(super) fn synced(&mut self, number: usize, boot: u32, sequence: u64) {
        if !self.is_running(number, boot) {
            return;
        }
        let now = self.now;
        let host = &mut self.hosts[number];
        host.is_syncing = false;
        for record in host.disk.sync(sequence) {
            let what = Observation::Logged { host: number, record };
            self.watch.observe(&crate::observation::Observed { at: now, what });
        }
        let synced = host.disk.synced();
        let mut free = Vec::new();
        if let Some(process) = &mut host.process {
            while let Some(effect) = process.barrier.release(synced) {
                free.push(effect);
            }
        }
        free.into_iter().for_each(|effect| self.take_place(number, effect));
        self.sync(number);
        self.call_back(number);
    }

    fn take_place(&mut self, number: usize, effect: Effect) {
        match effect {
            Effect::Dial(address) => {
                if let Some(to) = network::host_at(&address) {
                    self.dial(number, to, Dialled::Address(address));
                }
            }
            Effect::DialPeer { peer, .. } => {
                if let Some(to) = self.by_peer.get(&peer).copied() {
                    self.dial(number, to, Dialled::Peer);
                }
            }
            Effect::CloseConnection { connection, at_once, .. } => {
                let grace = if at_once { Duration::ZERO } else { network::CLOSING_GRACE };
                self.queue.put(self.now + grace, Event::Close { connection });
            }
            Effect::OpenChannels(peer) => {
                self.by_peer.get(&peer).copied().into_iter().for_each(|to| self.open_channels(number, to));
            }
            Effect::CloseChannels(peer) => {
                if let Some(to) = self.by_peer.get(&peer) {
                    self.links.close(number, *to);
                }
            }
            Effect::Send { peer, channel, bulk, bytes } => {
                if let Some(to) = self.by_peer.get(&peer).copied() {
                    self.send_frame(number, to, channel, bulk, bytes);
                }
            }
            Effect::Request { peer, protocol, number: request, bytes } => {
                if let Some(to) = self.by_peer.get(&peer).copied() {
                    self.request(number, to, protocol, request, bytes);
                }
            }
            Effect::Respond { number: request, bytes, .. } => self.respond(number, request, Some(bytes)),
            Effect::Ignore { number: request } => self.respond(number, request, None),
            Effect::Lookup { token, request } => {
                let boot = self.hosts[number].boot;
                self.queue
                    .put(self.now + LOOKUP_TIME, Event::LookedUp { host: number, boot, token, request });
            }
            Effect::Solve { ticket, puzzle } => {
                if let Some(solution) = puzzle.search().attempt(0, ATTEMPTS) {
                    let boot = self.hosts[number].boot;
                    self.queue.put(self.now, Event::Solved { host: number, boot, ticket, solution });
                }
            }
            Effect::Mine { ticket, header } => self.mine(number, ticket, header),
            Effect::StopMining => {
                if let Some(process) = &mut self.hosts[number].process {
                    process.work = None;
                }
            }
            Effect::FindBlocks { token, request } => {
                let boot = self.hosts[number].boot;
                self.queue
                    .put(self.now + LOOKUP_TIME, Event::BlocksFound { host: number, boot, token, request });
            }
            Effect::Submitted { ticket, verdicts } => self.submitted(ticket, &verdicts),
            Effect::Decided { decided, applied, proof, micros } => {
                self.hosts[number].disk.decided(&decided, &applied, &proof);
                self.commit_later(number);
                let record = codec::encode(decided.as_ref());
                self.note(b'd', number, &record);
                let proof = proof.as_ref().map(codec::encode);
                let was_opened = micros.is_some();
                let height = applied.height;
                let proof = proof.as_deref();
                let record = record.as_slice();
                self.observe(Observation::Decided { host: number, height, record, proof, was_opened });
                self.acknowledge(number, height, &applied.transactions);
            }
            Effect::Proved { height, proof } => {
                self.hosts[number].disk.proved(height, &proof);
                self.commit_later(number);
                let proof = codec::encode(&proof);
                self.observe(Observation::Proved { host: number, height, proof: &proof });
            }
            Effect::RolledBack { height, changes } => {
                self.hosts[number].disk.rolled_back(height, changes);
                self.commit_later(number);
                self.forget_from(number, height);
                self.observe(Observation::RolledBack { host: number, height });
            }
            Effect::Tell(notice) => self.notice(number, &notice),
            // The log was served before; nobody finds, announces or writes down peers here.
            Effect::Append(_)
            | Effect::Dropped(_)
            | Effect::CancelSolve(_)
            | Effect::SavePeers(_)
            | Effect::AskTrackers
            | Effect::OpenAnnouncements(_)
            | Effect::Announcements(_) => {}
        }
    }

    fn commit_later(&mut self, number: usize) {
        let host = &mut self.hosts[number];
        if !host.is_committing && host.disk.is_behind() {
            host.is_committing = true;
            let boot = host.boot;
            self.queue.put(self.now + COMMIT_INTERVAL, Event::Commit { host: number, boot });
        }
    }

    fn notice(&mut self, number: usize, notice: &Notice) {
        match notice {
            Notice::Opened { height, leader } => {
                let leads = |host: &Host| host.validator_key.public() == *leader;
                let leader = self.hosts.iter().find(|host| leads(host)).map_or(0, |host| host.validator);
                self.observe(Observation::Opened { host: number, height: *height, leader });
            }
            Notice::Halted { height, .. } => {
                self.observe(Observation::Halted { host: number, height: *height });
            }
            Notice::Failed(reason) => self.observe(Observation::Failed { host: number, reason }),
            Notice::PeerConnected { peer, validator, .. } => {
                if let Some(peer) = self.by_peer.get(peer).copied() {
                    let key = validator.map(|key| key.0);
                    self.observe(Observation::Met { host: number, peer, key });
                }
            }
            Notice::PeerPenalized { peer, severity, reason } => {
                if let Some(whom) = self.by_peer.get(peer).copied() {
                    let is_fatal = *severity == Severity::Fatal;
                    self.observe(Observation::Blamed { by: number, whom, is_fatal, reason });
                }
            }
            _ => {}
        }
    }
}
