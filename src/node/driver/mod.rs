//! The loop around the logic: inputs from the swarm, the disks, the API and the clock; effects carried out in order.
//!
//! **Behind the log.** An effect that follows an `Append` takes place once that record is on disk: see
//! [`Barrier`].
//!
//! - `modules.rs`: what local modules say and are told; their validations go before everything else.
//! - `talking.rs`: what people say to each other.
//! - `connected.rs`: the peers. `requests.rs`: what callers and peers ask. `notices.rs`: what those who watch are told.

mod connected;
mod modules;
mod notices;
mod requests;
mod talking;

use super::{
    NodeError,
    block_log::{BlockLog, What},
    gossip::Gossip,
    handle::{Handle, NodeEvent, NodeStatus, Outcome, Report, Request},
    known_peers_file,
    metrics::Metrics,
    miner::Miner,
    misbehaviour::Conduct,
    network::{self, Network},
    persistence::{DiskEvent, Persistence},
    solver::Solver,
};
use crate::{
    config::NodeConfig,
    storage::{WalEvent, WriterEvent},
};
use conclave_ledger::hash::TransactionId;
use conclave_protocol::{
    handshake::Command,
    known_peers::{SavedPeers, Source},
    node::{Barrier, Clock, Effect, Input, Node},
    time::Time,
};
use connected::Connected;
use futures::StreamExt;
use libp2p::Multiaddr;
use requests::Submission;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinHandle,
};

/// Requests that are taken at once before the swarm has its turn again.
const REQUESTS_AT_ONCE: usize = 256;

/// Most transactions that callers wait for.
const MAX_WAITING: usize = 65_536;

/// Longest time in which a leaving node waits for its peers.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Both clocks now.
pub(super) fn clock(start: Instant) -> Clock {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Clock { time: network::time_at(start, Instant::now()), unix_ms: since_1970.as_millis() as u64 }
}

/// The loop and its state.
pub(super) struct Driver {
    node: Node,
    conduct: Conduct,
    network: Network,
    persistence: Persistence,
    metrics: Metrics,
    handle: Handle,
    gossip: Gossip,
    start: Instant,
    peers: Vec<Multiaddr>,
    gathered: Vec<Multiaddr>,
    home: PathBuf,
    solver: Solver,
    miner: Miner,
    block_log: BlockLog,
    /// The last writing of the known peers.
    saving: Option<JoinHandle<()>>,
    stops_on_interrupt: bool,
    status: NodeStatus,
    connected: Connected,
    barrier: Barrier,
    submissions: BTreeMap<u64, Submission>,
    next_ticket: u64,
    waiting: BTreeMap<TransactionId, Vec<mpsc::UnboundedSender<Report>>>,
    found: (mpsc::UnboundedSender<Input>, mpsc::UnboundedReceiver<Input>),
    failed: Option<NodeError>,
    leaving_until: Option<Instant>,
    has_left: bool,
}

impl Driver {
    pub(super) fn new(
        node: Node,
        network: Network,
        persistence: Persistence,
        metrics: Metrics,
        handle: Handle,
        start: Instant,
        config: &NodeConfig,
    ) -> Self {
        let found = mpsc::unbounded_channel();
        let status = NodeStatus {
            peer_id: network.swarm.local_peer_id().to_base58(),
            validator: node.validator(),
            ..NodeStatus::default()
        };
        Self {
            node,
            conduct: Conduct::honest(),
            network,
            persistence,
            metrics,
            handle,
            gossip: Gossip::nobody(),
            start,
            peers: config.peers.clone(),
            gathered: config.gathered.clone(),
            home: config.home.clone(),
            solver: Solver::new(found.0.clone()),
            miner: Miner::new(config.mining.threads, found.0.clone()),
            block_log: BlockLog::default(),
            saving: None,
            stops_on_interrupt: config.stops_on_interrupt,
            status,
            connected: Connected::default(),
            barrier: Barrier::default(),
            submissions: BTreeMap::new(),
            next_ticket: 0,
            waiting: BTreeMap::new(),
            found,
            failed: None,
            leaving_until: None,
            has_left: false,
        }
    }

    /// The same with local modules.
    pub(super) fn with_modules(self, gossip: Gossip) -> Self {
        Self { gossip, ..self }
    }

    /// The same with a log of blocks.
    pub(super) fn with_block_log(self, block_log: BlockLog) -> Self {
        Self { block_log, ..self }
    }

    /// The same with another conduct.
    pub(super) fn with_conduct(self, conduct: Conduct) -> Self {
        Self { conduct, ..self }
    }

    /// Runs until the node has left, or must not go on.
    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut disk: mpsc::UnboundedReceiver<DiskEvent>,
    ) -> Result<(), NodeError> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(NodeError::Signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(NodeError::Signals)?;
        let mut stopping = self.handle.stopping.subscribe();
        self.metrics.height.set(self.node.chain().tip().height as i64);
        for address in std::mem::take(&mut self.gathered) {
            if let Some(peer) = network::peer_in(&address).and_then(|id| network::peer_of(&id)) {
                let addresses = vec![address.to_string()];
                self.input(Input::Found { peer, addresses, source: Source::Tracker, by: None });
            }
        }
        for address in std::mem::take(&mut self.peers) {
            let peer = network::peer_in(&address).and_then(|id| network::peer_of(&id));
            self.input(Input::Handshake(Command::AddAddress { peer, address: address.to_string() }));
        }
        self.listen_to_people();
        self.carry_out();
        let mut batch = Vec::with_capacity(REQUESTS_AT_ONCE);
        while self.failed.is_none() && !self.is_gone() {
            self.take_validations();
            let deadline = self.deadline();
            let timer = tokio::time::sleep_until(deadline.into());
            tokio::select! {
                event = self.network.swarm.select_next_some() => {
                    let inputs = self.network.translate(event);
                    self.metrics.connections.set(self.network.connections().into());
                    self.network.denied().for_each(|by| self.metrics.denied(by));
                    self.network.unsent().into_iter().for_each(|(channel, n)| self.metrics.unsent(channel, n));
                    inputs.into_iter().for_each(|input| self.input(input));
                }
                Some(event) = disk.recv() => {
                    self.disk(event);
                    while let Ok(event) = disk.try_recv() {
                        self.disk(event);
                    }
                }
                Some(validation) = self.gossip.intake.validations.recv() => self.input(Input::Module(validation)),
                Some(said) = self.gossip.intake.commands.recv() => self.module(said),
                count = requests.recv_many(&mut batch, REQUESTS_AT_ONCE), if !self.persistence.is_congested() => {
                    debug_assert!(count > 0, "the driver holds a handle, so the queue is never closed");
                    batch.drain(..).for_each(|request| self.request(request));
                }
                Some(input) = self.found.1.recv() => self.input(input),
                () = timer => self.timeout(),
                _ = interrupt.recv(), if self.stops_on_interrupt => self.leave(),
                _ = terminate.recv() => self.leave(),
                Ok(()) = stopping.changed() => self.leave(),
            }
            self.carry_out();
        }
        self.save_at_last().await;
        self.persistence.close();
        tracing::info!(height = self.node.chain().tip().height, "the node has stopped");
        self.failed.map_or(Ok(()), Err)
    }

    fn is_gone(&self) -> bool {
        (self.has_left && self.network.has_left_trackers())
            || self.leaving_until.is_some_and(|until| until <= Instant::now())
    }

    fn leave(&mut self) {
        if self.leaving_until.is_none() {
            tracing::info!("leaving");
            self.leaving_until = Some(Instant::now() + LEAVE_TIMEOUT);
            self.network.leave_trackers();
            self.input(Input::Handshake(Command::Leave));
        }
    }

    fn deadline(&self) -> Instant {
        let due = [self.node.poll_timeout(), self.conduct.poll_timeout()].into_iter().flatten().min();
        let machine = due.map(|Time(micros)| self.start + Duration::from_micros(micros));
        let far = Instant::now() + Duration::from_secs(3600);
        let network =
            [self.network.next_closing(), self.network.next_tracking(), self.network.next_finding()];
        let due = [machine, self.leaving_until].into_iter().chain(network);
        due.flatten().min().map_or(far, |due| due.min(far))
    }

    fn timeout(&mut self) {
        self.network.close_due();
        self.network.track();
        self.network.find();
        let clock = clock(self.start);
        if self.node.poll_timeout().is_some_and(|due| due <= clock.time) {
            self.node.handle_timeout(clock);
        }
        self.conduct.handle_timeout(&self.node, clock);
    }

    fn input(&mut self, input: Input) {
        let clock = clock(self.start);
        self.conduct.overhear(&input, &self.node, clock);
        self.node.handle(input, clock);
    }

    fn disk(&mut self, event: DiskEvent) {
        match event {
            DiskEvent::Wal(WalEvent::Synced { ticket, .. }) => {
                self.metrics.log_syncs.inc();
                if let Err(error) = self.persistence.synced(ticket) {
                    self.failed = Some(error);
                }
                while let Some(effect) = self.barrier.release(self.persistence.synced_up_to()) {
                    self.take_place(effect);
                }
            }
            DiskEvent::Wal(WalEvent::Failed(error)) => {
                self.failed = Some(NodeError::LogFailed(error.to_string()));
            }
            DiskEvent::Writer(WriterEvent::Committed { batches, wal_sequence, .. }) => {
                self.persistence.committed(batches, wal_sequence);
            }
            DiskEvent::Writer(WriterEvent::Failed(error)) => {
                self.failed = Some(NodeError::DatabaseFailed(error.to_string()));
            }
        }
    }

    /// Takes the logic's effects, in order: what follows an unsynced record waits.
    fn carry_out(&mut self) {
        self.metrics.pool_transactions.set(self.node.pool().len() as i64);
        self.metrics.pool_bytes.set(self.node.pool().bytes() as i64);
        self.gossip.metrics.peer_subscriptions.set(self.network.subscriptions() as i64);
        self.gossip.metrics.module_subscriptions.set(self.node.module_subscriptions() as i64);
        while let Some(effect) = self.conduct.poll_effect(&mut self.node, clock(self.start)) {
            match effect {
                Effect::Append(record) => {
                    if let Err(error) = self.persistence.append(&record) {
                        self.failed = Some(error);
                    }
                }
                effect => {
                    let (appended, synced) = (self.persistence.appended(), self.persistence.synced_up_to());
                    if let Some(effect) = self.barrier.pass(effect, appended, synced) {
                        self.take_place(effect);
                    }
                }
            }
        }
    }

    fn take_place(&mut self, effect: Effect) {
        match effect {
            Effect::Send { channel, ref bytes, .. } => {
                self.metrics.sent(channel, bytes.len());
                self.send_to_network(effect);
            }
            Effect::Lookup { token, request } => self.look_up(token, request),
            Effect::Submitted { ticket, verdicts } => self.submitted(ticket, verdicts),
            Effect::Dropped(dropped) => {
                for (id, reason) in dropped {
                    self.answer(&id, &Outcome::Dropped(reason));
                }
            }
            Effect::Decided { decided, applied, proof, micros } => {
                self.persistence.decided(&decided, &applied, &proof);
                self.block_log.note(What::Adopted, &decided);
                self.status.halted = None;
                let transactions = applied.transactions.len();
                self.metrics.decided(applied.height, transactions, decided.block().is_some(), micros);
                if !self.waiting.is_empty() {
                    for (id, index) in applied.transactions.iter().zip(0..) {
                        let outcome = Outcome::Decided { height: applied.height, block: applied.hash, index };
                        self.answer(id, &outcome);
                    }
                }
                tracing::debug!(height = applied.height, transactions, micros, "decided");
                self.publish(NodeEvent::Decided { decided, applied, micros });
            }
            Effect::Proved { height, proof } => {
                self.persistence.proved(height, &proof);
            }
            Effect::RolledBack { height, changes } => {
                self.persistence.rolled_back(height, changes, &self.handle.database);
                if self.node.mining().is_none() {
                    tracing::error!(
                        height,
                        "going back: a certificate contradicts what was decided without one"
                    );
                }
                self.publish(NodeEvent::RolledBack { height });
            }
            Effect::Solve { ticket, puzzle } => self.solver.solve(ticket, puzzle),
            Effect::CancelSolve(ticket) => self.solver.cancel(ticket),
            Effect::Mine { ticket, header } => self.miner.mine(ticket, &header),
            Effect::StopMining => self.miner.stop(),
            Effect::FindBlocks { token, request } => self.find_blocks(token, request),
            Effect::SavePeers(saved) => {
                self.metrics.known_peers(self.node.known_peers().table());
                self.save_peers(saved);
            }
            Effect::AskTrackers => {
                self.network.ask_trackers();
                self.network.ask_finders();
            }
            Effect::Tell(notice) => self.notice(notice),
            Effect::Announcements(event) => self.announcements(event),
            Effect::Append(_) => {}
            effect => self.send_to_network(effect),
        }
    }

    /// Writes down who is known, away from the loop.
    fn save_peers(&mut self, saved: SavedPeers) {
        if self.saving.as_ref().is_none_or(JoinHandle::is_finished) {
            let home = self.home.clone();
            self.saving = Some(tokio::task::spawn_blocking(move || write_peers(&home, &saved)));
        }
    }

    /// Writes down who is known when the node stops.
    async fn save_at_last(&mut self) {
        if let Some(saving) = self.saving.take() {
            // Whatever became of it: now comes what is newer.
            let _ = saving.await;
        }
        write_peers(&self.home, &self.node.known_peers().saved());
    }

    fn send_to_network(&mut self, effect: Effect) {
        let inputs = self.network.carry_out(effect);
        inputs.into_iter().for_each(|input| self.input(input));
    }

    fn answer(&mut self, id: &TransactionId, outcome: &Outcome) {
        for reply in self.waiting.remove(id).into_iter().flatten() {
            // The caller may have gone meanwhile.
            let _ = reply.send((*id, outcome.clone()));
        }
    }

    fn publish(&self, event: NodeEvent) {
        // Nobody may be listening.
        let _ = self.handle.events.send(event);
    }
}

/// The file is a help for the next start; without it the node starts from its configuration.
fn write_peers(home: &Path, saved: &SavedPeers) {
    if let Err(error) = known_peers_file::write(home, saved) {
        tracing::warn!(home = %home.display(), %error, "the known peers cannot be written down");
    }
}
