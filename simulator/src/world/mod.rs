//! A world: hosts, the network between them, people who submit transactions, and virtual time.
//!
//! What runs on a host is [`Node`](conclave_protocol::node::Node), all machines and the ledger, wired as in the real
//! program; messages travel as bytes. The world stands in for libp2p (`links.rs`), the disk (`disk.rs`), the clocks
//! (`clock.rs`) and the clients (`clients.rs`). It does nothing that the scenario does not ask for, and draws everything
//! that is left to chance from the scenario's seed, in the order of events: the same scenario gives the same run.
//!
//! - `event.rs`: what is going to happen. `carrying.rs`: what hosts want done. `network.rs`: dials, connections, packets.
//! - `faults.rs`: crashes, pauses, cuts. `mining.rs`: the search for proofs of work.

mod carrying;
mod clients;
mod clock;
mod disk;
mod event;
mod faults;
mod host;
mod links;
mod mining;
mod network;

use crate::{
    adversaries::Coalition,
    latency::below,
    observation::{Observation, Observed},
    scenario::Scenario,
    watch::Watch,
};
pub(crate) use mining::EASIEST_BITS;

use clients::Clients;
use clock::HostClock;
use conclave_ledger::{
    genesis::{Engine, FORMAT, Genesis},
    validators::{FaultBound, Validator},
};
use conclave_protocol::{handshake, node::Input, peer::Peer, time::Time};
use event::{Event, Queue};
use host::Host;
use links::Links;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// What was sent, all hosts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames of the consensus channel that are no bodies.
    pub votes: u64,
    /// Their bytes.
    pub vote_bytes: u64,
    /// Frames that are bodies of blocks.
    pub bodies: u64,
    /// Their bytes.
    pub body_bytes: u64,
    /// Frames of the transactions' channel.
    pub transactions: u64,
    /// Their bytes.
    pub transaction_bytes: u64,
    /// Requests and responses of all protocols.
    pub exchanges: u64,
    /// Their bytes.
    pub exchange_bytes: u64,
}

/// What a run has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When it ended, in true time.
    pub ended: Time,
    /// Hash of everything that happened, in order.
    pub digest: [u8; 32],
    /// Things that happened.
    pub events: u64,
    /// The last height that all honest hosts have decided.
    pub height: u64,
    /// What was sent.
    pub traffic: Traffic,
}

/// A world.
pub struct World<'w> {
    scenario: &'w Scenario,
    watch: &'w mut dyn Watch,
    genesis: Arc<Genesis>,
    now: Time,
    queue: Queue,
    links: Links,
    hosts: Vec<Host>,
    by_peer: BTreeMap<Peer, usize>,
    clients: Clients,
    coalition: Coalition,
    random: ChaCha20Rng,
    cuts: u32,
    traffic: Traffic,
    digest: Sha256,
    events: u64,
    /// Since when there has been nothing left to do, and at which height.
    quiet_since: Option<(Time, u64)>,
}

impl<'w> World<'w> {
    /// The world of a scenario, at its start.
    pub fn new(scenario: &'w Scenario, watch: &'w mut dyn Watch) -> Self {
        let mut random = ChaCha20Rng::seed_from_u64(scenario.seed);
        let genesis = Arc::new(genesis_of(scenario));
        let hosts = (0..scenario.validators + scenario.twins).map(|number| {
            let validator = if number < scenario.validators { number } else { number - scenario.validators };
            let mut seed = [0; 32];
            random.fill_bytes(&mut seed);
            let drift = either_way(u64::from(scenario.clock_drift), &mut random);
            let offset_ms = either_way(scenario.clock_offset.as_millis() as u64, &mut random);
            let clock = HostClock { started: Time(0), drift, offset_ms };
            let adversary = scenario.adversaries.iter().find(|(of, _)| *of == validator);
            Host::new(number, validator, seed, &genesis, clock, adversary.map(|(_, kind)| *kind))
        });
        let hosts: Vec<Host> = hosts.collect();
        let members = scenario.adversaries.iter().map(|(number, _)| host::validator_key(*number));
        let mut world = Self {
            now: Time(0),
            queue: Queue::default(),
            links: Links::default(),
            by_peer: hosts.iter().map(|host| (host.peer, host.number)).collect(),
            clients: Clients::new(scenario, genesis.network_id()),
            coalition: Coalition::new(genesis.network_id(), members),
            cuts: 0,
            traffic: Traffic::default(),
            digest: Sha256::new(),
            events: 0,
            quiet_since: None,
            scenario,
            watch,
            genesis,
            hosts,
            random,
        };
        world.schedule();
        (0..world.hosts.len()).for_each(|host| world.start(host));
        world
    }

    /// The network's id.
    pub fn network(scenario: &Scenario) -> [u8; 32] {
        genesis_of(scenario).network_id().0
    }

    /// The validators' public keys, by number.
    pub fn validator_keys(scenario: &Scenario) -> Vec<[u8; 32]> {
        (0..scenario.validators).map(|number| host::validator_key(number).public().0).collect()
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Outcome {
        while self.queue.next_at().is_some_and(|at| at <= self.scenario.end) {
            let Some((at, event)) = self.queue.pop() else { break };
            self.now = at.max(self.now);
            self.happen(event);
            if self.is_over() {
                break;
            }
        }
        let height = self.honest().map(|host| self.hosts[host].height()).min().unwrap_or_default();
        let (ended, events, traffic) = (self.now, self.events, self.traffic);
        Outcome { ended, digest: self.digest.finalize().into(), events, height, traffic }
    }

    fn schedule(&mut self) {
        for (number, (at, _)) in self.scenario.faults.iter().enumerate() {
            self.queue.put(*at, Event::Fault(number));
        }
        for (number, (at, _)) in self.scenario.load.iter().enumerate() {
            self.queue.put(*at, Event::Submit(number));
        }
        self.queue.put(self.now + self.scenario.delta, Event::Look);
    }

    /// Starts a host's process and tells it of the others.
    fn start(&mut self, number: usize) {
        let host = &mut self.hosts[number];
        if let Err(error) = host.start(&self.genesis, self.scenario.rules, self.now) {
            let reason = error.to_string();
            return self.observe(Observation::Failed { host: number, reason: &reason });
        }
        let boot = host.boot;
        self.observe(Observation::Started { host: number, boot });
        self.settle(number);
        for other in 0..self.hosts.len() {
            if other != number && self.dials(number, other) {
                let peer = Some(self.hosts[other].peer);
                let address = network::address_of(other);
                self.input(number, Input::Handshake(handshake::Command::AddAddress { peer, address }));
            }
        }
    }

    /// Whether a host has another in its configuration. One of two suffices, and sometimes both have.
    fn dials(&self, host: usize, other: usize) -> bool {
        self.are_acquainted(host, other) && (host > other || (host + other).is_multiple_of(5))
    }

    /// Whether two hosts know of each other: all do, but twins share out the others, and do not know themselves.
    fn are_acquainted(&self, host: usize, other: usize) -> bool {
        let (a, b) = (self.hosts[host].validator, self.hosts[other].validator);
        let twins = self.scenario.twins;
        let knows = |twin: usize, of: usize, other: usize| {
            let drawn = Sha256::digest(
                [self.scenario.seed.to_be_bytes(), [of as u8, other as u8, 0, 0, 0, 0, 0, 0]].concat(),
            );
            of >= twins || (drawn[0] % 2 == 0) == (twin < self.scenario.validators)
        };
        a != b && knows(host, a, other) && knows(other, b, host)
    }

    /// Hosts that keep the rules, by number.
    fn honest(&self) -> impl Iterator<Item = usize> + use<> {
        self.scenario.honest().collect::<Vec<_>>().into_iter()
    }

    fn happen(&mut self, event: Event) {
        self.events += 1;
        self.watch.moment(self.now);
        match event {
            Event::Look => {
                self.look();
                self.queue.put(self.now + self.scenario.delta, Event::Look);
            }
            Event::Fault(number) => self.fault(number),
            Event::Submit(number) => self.submit(number),
            Event::BreakConnections(cut) => self.break_connections(cut),
            event => {
                if let Some(until) = self.concerns(&event).and_then(|host| self.hosts[host].paused_until)
                    && until > self.now
                {
                    return self.queue.put(until, event);
                }
                self.happen_at_host(event);
            }
        }
    }

    /// The host whose process has to run for an event to take place.
    fn concerns(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Arrival { to, .. } => Some(*to),
            Event::Established { connection, side }
            | Event::Closed { connection, side }
            | Event::ChannelsOpened { connection, side } => {
                self.links.get(*connection).map(|connection| connection.ends[*side])
            }
            Event::Commit { host, .. }
            | Event::LookedUp { host, .. }
            | Event::BlocksFound { host, .. }
            | Event::Mined { host, .. }
            | Event::Solved { host, .. }
            | Event::RequestTimeout { host, .. }
            | Event::Deadline { host, .. } => Some(*host),
            _ => None,
        }
    }

    fn happen_at_host(&mut self, event: Event) {
        match event {
            Event::Deadline { host, boot } => {
                if self.is_running(host, boot) && self.hosts[host].deadline.is_some_and(|due| due <= self.now)
                {
                    self.hosts[host].deadline = None;
                    let effects = self.hosts[host].handle_timeout(self.now, &mut self.coalition);
                    self.carry_out(host, effects);
                }
            }
            Event::Synced { host, boot, sequence } => self.synced(host, boot, sequence),
            Event::Commit { host, boot } => {
                if self.is_running(host, boot) {
                    self.hosts[host].is_committing = false;
                    self.hosts[host].disk.commit();
                }
            }
            Event::LookedUp { host, boot, token, request } => {
                if self.is_running(host, boot) {
                    let response = self.hosts[host].disk.look_up(request);
                    self.input(host, Input::LookedUp { token, response });
                }
            }
            Event::BlocksFound { host, boot, token, request } => {
                if self.is_running(host, boot) {
                    let response = self.hosts[host].disk.find_blocks(&request);
                    self.input(host, Input::BlocksFound { token, response });
                }
            }
            Event::Mined { host, boot, ticket } => self.mined(host, boot, ticket),
            Event::Solved { host, boot, ticket, solution } => {
                if self.is_running(host, boot) {
                    self.input(host, Input::Solved { ticket, solution });
                }
            }
            event => self.happen_on_network(event),
        }
    }

    /// Whether the process that was meant still runs.
    fn is_running(&self, host: usize, boot: u32) -> bool {
        self.hosts[host].is_up() && self.hosts[host].boot == boot
    }

    fn input(&mut self, host: usize, input: Input) {
        let effects = self.hosts[host].input(input, self.now, &mut self.coalition);
        self.carry_out(host, effects);
    }

    /// Carries out what a host wants of its own accord.
    fn settle(&mut self, host: usize) {
        let effects = self.hosts[host].effects(self.now, &mut self.coalition);
        self.carry_out(host, effects);
    }

    fn observe(&mut self, what: Observation<'_>) {
        self.watch.observe(&Observed { at: self.now, what });
    }

    /// Takes note of something for the digest of the run.
    fn note(&mut self, what: u8, host: usize, bytes: &[u8]) {
        self.digest.update([what]);
        self.digest.update(self.now.0.to_be_bytes());
        self.digest.update((host as u64).to_be_bytes());
        self.digest.update((bytes.len() as u64).to_be_bytes());
        self.digest.update(bytes);
    }

    /// Looks how much everybody holds, and whether anything is left to do.
    fn look(&mut self) {
        for number in 0..self.hosts.len() {
            let Some(process) = &self.hosts[number].process else { continue };
            let (pool, known) = (process.node.pool(), process.node.known_peers().table());
            let (pool_transactions, pool_bytes, known_peers) = (pool.len(), pool.bytes(), known.len());
            let headers = process.node.mining().map_or(0, |mining| mining.tree().len());
            let host = number;
            self.observe(Observation::Holds { host, pool_transactions, pool_bytes, known_peers, headers });
        }
        let quiet_at = self.is_quiet().then(|| self.honest().map(|host| self.hosts[host].height()).max());
        self.quiet_since = match (quiet_at.flatten(), self.quiet_since) {
            (Some(height), Some((since, before))) if height == before => Some((since, height)),
            (Some(height), _) => Some((self.now, height)),
            (None, _) => None,
        };
    }

    /// Whether everybody has decided everything.
    fn is_quiet(&self) -> bool {
        let honest = || self.honest().map(|host| &self.hosts[host]);
        let last_fault = self.scenario.faults.last().map_or(Time(0), |(at, _)| *at);
        let tips = || honest().map(Host::tip);
        self.now > last_fault
            && self.clients.are_served()
            && honest()
                .all(|host| host.process.as_ref().is_some_and(|process| process.node.pool().is_empty()))
            && honest().all(|host| !host.is_mining())
            // What is decided and not on disk yet has not been told to anybody.
            && honest().all(|host| !host.is_syncing)
            && tips().min() == tips().max()
    }

    /// Whether it has been quiet for as long as anything may take, and still is: between two looks a height may have begun.
    fn is_over(&self) -> bool {
        let patience = self.scenario.delta * 4;
        self.quiet_since.is_some_and(|(since, _)| self.now.since(since) >= patience) && self.is_quiet()
    }
}

/// The genesis file of a scenario.
fn genesis_of(scenario: &Scenario) -> Genesis {
    let keys: Vec<_> = (0..scenario.validators).map(|number| host::validator_key(number).public()).collect();
    let validator = |(number, key): (usize, &_)| Validator { name: format!("v{number}"), key: *key };
    let parameters = scenario.miners.as_ref().map(mining::parameters);
    // Those who would decide under the other engine are the ones who send transactions under this one.
    let (validators, senders) = match parameters {
        None => (keys.iter().enumerate().map(validator).collect(), Vec::new()),
        Some(_) => (Vec::new(), keys),
    };
    Genesis {
        format: FORMAT,
        name: "simulated".into(),
        engine: if parameters.is_some() { Engine::ProofOfWork } else { Engine::default() },
        fast: scenario.fast,
        faulty: FaultBound::Exactly(scenario.faulty),
        delta_ms: scenario.delta.as_millis() as u64,
        created_ms: clock::EPOCH_MS - 60_000,
        stamp_bits: 16,
        proof_of_work: parameters,
        limits: Default::default(),
        validators,
        senders,
        records: Vec::new(),
    }
}

/// Evenly distributed between `-most` and `most`.
fn either_way(most: u64, random: &mut ChaCha20Rng) -> i64 {
    below(2 * most + 1, random) as i64 - most as i64
}
