//! One simulated process and its machine.

use super::{clock::HostClock, disk::Disk};
use crate::adversaries::{Adversary, Coalition, Misbehaviour, Moment};
use conclave_ledger::{
    block::Header,
    genesis::Genesis,
    hash::{Hash, TransactionId},
    keys::SecretKey,
    signed::Height,
};
use conclave_protocol::{
    node::{Barrier, Clock, Config, Effect, Input, Node, Protocol, RestoreError, meeting},
    peer::Peer,
    rules::Rules,
    time::Time,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Zero bits of the work that observers do here: the rule is tested where it is, and time is virtual.
const ADMISSION_BITS: u8 = 2;

/// Why a process did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StartError {
    #[error("the state on disk does not decode: {0}")]
    Damaged(String),
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// What outlasts a process.
pub(super) struct Host {
    pub(super) number: usize,
    pub(super) peer: Peer,
    /// The validator that it runs.
    pub(super) validator: usize,
    node_key: SecretKey,
    pub(super) validator_key: SecretKey,
    pub(super) misbehaviour: Option<Misbehaviour>,
    pub(super) disk: Disk,
    /// How often it was started.
    pub(super) boot: u32,
    pub(super) clock: HostClock,
    /// It is stopped until then.
    pub(super) paused_until: Option<Time>,
    /// Whether a sync of its log is under way.
    pub(super) is_syncing: bool,
    /// Whether a commit of its database is due.
    pub(super) is_committing: bool,
    /// When its next deadline is, as far as the world knows.
    pub(super) deadline: Option<Time>,
    pub(super) process: Option<Process>,
    random: ChaCha20Rng,
}

/// A process.
pub(super) struct Process {
    pub(super) node: Node,
    pub(super) barrier: Barrier,
    adversary: Option<Box<dyn Adversary>>,
    random: ChaCha20Rng,
    /// Requests of peers that are not answered yet.
    pub(super) inbound: BTreeMap<u64, Asked>,
    pub(super) inbound_numbers: u64,
    /// Its own requests that are not answered yet: over which connection, and their numbers.
    pub(super) outbound: BTreeSet<(u64, Protocol, u64)>,
    /// Transactions that it has decided, and where.
    pub(super) decided: BTreeMap<TransactionId, Height>,
    /// The header whose nonce it searches for, and the number of the search.
    pub(super) work: Option<(u64, Box<Header>)>,
}

/// A request of a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Who asked.
    pub(super) by: usize,
    /// Over which connection.
    pub(super) connection: u64,
    /// Over which protocol.
    pub(super) protocol: Protocol,
    /// The number that the asker knows it by.
    pub(super) number: u64,
}

impl Host {
    /// A host before its first start.
    pub(super) fn new(
        number: usize,
        validator: usize,
        seed: [u8; 32],
        genesis: &Arc<Genesis>,
        clock: HostClock,
        misbehaviour: Option<Misbehaviour>,
    ) -> Self {
        let mut random = ChaCha20Rng::from_seed(seed);
        let mut key_seed = [0; 32];
        random.fill_bytes(&mut key_seed);
        let node_key = SecretKey::from_seed(key_seed);
        Self {
            number,
            peer: peer_of(&node_key),
            validator,
            node_key,
            validator_key: validator_key(validator),
            misbehaviour,
            disk: Disk::new(genesis),
            boot: 0,
            clock,
            paused_until: None,
            is_syncing: false,
            is_committing: false,
            deadline: None,
            process: None,
            random,
        }
    }

    /// Starts a process on what the disk holds.
    pub(super) fn start(
        &mut self,
        genesis: &Arc<Genesis>,
        rules: Rules,
        now: Time,
    ) -> Result<(), StartError> {
        let restored = self.disk.restore(genesis).map_err(|error| StartError::Damaged(error.to_string()))?;
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        let mines = genesis.proof_of_work.is_some();
        let config = Config {
            peer: self.peer,
            node_key: self.node_key.clone(),
            validator_key: Some(self.validator_key.clone()).filter(|_| !mines),
            mines,
            version: "simulated".into(),
            meeting: meeting::Config { admission_bits: ADMISSION_BITS, ..meeting::Config::default() },
            pool: Default::default(),
            announcements: Default::default(),
            rules,
            seed,
        };
        self.boot += 1;
        self.clock.started = now;
        self.deadline = None;
        self.is_syncing = false;
        self.is_committing = false;
        self.paused_until = None;
        let node = Node::new(config, restored, self.clock.at(now))?;
        self.process = Some(Process {
            node,
            barrier: Barrier::default(),
            adversary: self.misbehaviour.map(Misbehaviour::adversary),
            random: ChaCha20Rng::from_seed(seed),
            inbound: BTreeMap::new(),
            inbound_numbers: 0,
            outbound: BTreeSet::new(),
            decided: BTreeMap::new(),
            work: None,
        });
        Ok(())
    }

    /// Whether its process runs.
    pub(super) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// The last height that it has decided; 0 when it is down.
    pub(super) fn height(&self) -> Height {
        self.process.as_ref().map_or(0, |process| process.node.chain().tip().height)
    }

    /// Height and hash of that; none when it is down.
    pub(super) fn tip(&self) -> Option<(Height, Hash)> {
        self.process.as_ref().map(|process| process.node.chain().tip()).map(|tip| (tip.height, tip.hash))
    }

    /// Whether it searches for a nonce.
    pub(super) fn is_mining(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.work.is_some())
    }

    /// The effects of an input, the adversary's in their place.
    pub(super) fn input(&mut self, input: Input, now: Time, coalition: &mut Coalition) -> Vec<Effect> {
        let clock = self.clock.at(now);
        let Some(process) = &mut self.process else { return Vec::new() };
        let mut effects = process.ask(clock, &self.validator_key, coalition, |adversary, moment| {
            adversary.overhear(&input, moment)
        });
        process.node.handle(input, clock);
        effects.extend(process.effects(clock, &self.validator_key, coalition));
        effects
    }

    /// The effects of what is due.
    pub(super) fn handle_timeout(&mut self, now: Time, coalition: &mut Coalition) -> Vec<Effect> {
        let clock = self.clock.at(now);
        let Some(process) = &mut self.process else { return Vec::new() };
        let mut effects = Vec::new();
        if process.adversary.as_ref().and_then(|one| one.poll_timeout()).is_some_and(|due| due <= clock.time)
        {
            effects = process.ask(clock, &self.validator_key, coalition, |adversary, moment| {
                adversary.handle_timeout(moment)
            });
        }
        if process.node.poll_timeout().is_some_and(|due| due <= clock.time) {
            process.node.handle_timeout(clock);
        }
        effects.extend(process.effects(clock, &self.validator_key, coalition));
        effects
    }

    /// What the node has to say of its own accord: after its start.
    pub(super) fn effects(&mut self, now: Time, coalition: &mut Coalition) -> Vec<Effect> {
        let clock = self.clock.at(now);
        let Some(process) = &mut self.process else { return Vec::new() };
        process.effects(clock, &self.validator_key, coalition)
    }

    /// When it wants to be called, in true time.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        let process = self.process.as_ref()?;
        let adversary = process.adversary.as_ref().and_then(|adversary| adversary.poll_timeout());
        let due = [process.node.poll_timeout(), adversary].into_iter().flatten().min()?;
        Some(self.clock.when(due))
    }
}

impl Process {
    fn effects(&mut self, clock: Clock, key: &SecretKey, coalition: &mut Coalition) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(effect) = self.node.poll_effect() {
            if self.adversary.is_none() {
                effects.push(effect);
            } else {
                effects.extend(self.ask(clock, key, coalition, |one, moment| one.effect(effect, moment)));
            }
        }
        effects
    }

    fn ask(
        &mut self,
        clock: Clock,
        key: &SecretKey,
        coalition: &mut Coalition,
        ask: impl FnOnce(&mut dyn Adversary, &mut Moment<'_>) -> Vec<Effect>,
    ) -> Vec<Effect> {
        let Some(adversary) = &mut self.adversary else { return Vec::new() };
        let mut moment = Moment { clock, node: &self.node, key, coalition, random: &mut self.random };
        ask(adversary.as_mut(), &mut moment)
    }
}

/// The key of a validator: its number, and nothing else, so that a run's keys are those of every run.
pub(super) fn validator_key(number: usize) -> SecretKey {
    let mut seed = [0x5e; 32];
    seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
    SecretKey::from_seed(seed)
}

/// The peer id of a node key: the identity multihash of its protobuf form, as libp2p makes it of Ed25519 keys.
fn peer_of(key: &SecretKey) -> Peer {
    let bytes = [&[0x00, 0x24, 0x08, 0x01, 0x12, 0x20], key.public().as_bytes().as_slice()].concat();
    Peer::from_bytes(&bytes).expect("it has 38 bytes")
}
