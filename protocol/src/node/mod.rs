//! The node's logic: the machines, the chain and the pool, and how they are wired to each other.
//!
//! Pure like the machines: the real node drives it over libp2p and disk, a simulator can drive it over virtual
//! time, and what is simulated is what runs. [`Node::handle`] and [`Node::handle_timeout`] take an input;
//! [`Node::poll_effect`] gives what is to be done, in order; [`Node::poll_timeout`] says when to come back.
//!
//! ```text
//!  bytes ──► handshake ──(established)──► channels open ──► consensus, dissemination, sync
//!  Submit ──► pool ──► dissemination ──► other pools          │
//!               └────── pending ──► consensus ◄── build, check ─┴─► chain ──► Decided, storage
//! ```
//!
//! - [`io`]: inputs and effects. [`record`]: the write-ahead log. [`barrier`]: what waits for it.
//! - `messages.rs`: bytes to messages and back, penalties for what is none.
//! - `peers.rs`: what the handshake opens for the other machines.
//! - `deciding.rs`: what consensus hands to the chain. `restoring.rs`: what a restart gives back to both.
//! - `transactions.rs`: dissemination and the pool.
//! - `announcements.rs`: gossipsub, and the local modules.
//! - `mining.rs`: what stands in the place of consensus and sync where proofs of work decide.
//! - `following.rs`: sync and the chain. `proving.rs`: proofs of the last heights, and what outranks what.
//! - `duties.rs`: transactions that a validator sends of its own accord.
//! - `meeting.rs`: whom to meet, and what that costs.

mod announcements;
pub mod barrier;
mod deciding;
mod duties;
mod following;
pub mod io;
pub mod meeting;
mod messages;
mod mining;
mod peers;
mod proving;
pub mod record;
mod restoring;
mod transactions;

pub use barrier::Barrier;
pub use deciding::BODY_TARGET_BYTES;
pub use io::{Channel, Clock, Effect, Input, Notice, Protocol, TransactionOutcome};
pub use record::{LogRecord, MAX_RECORD_BYTES, Milestone};

use crate::{
    announcements::{self as announcing, Announcements},
    consensus::{self, Consensus},
    dissemination::{self, Dissemination},
    handshake::{self, Handshake},
    known_peers::{self, KnownPeers, SavedPeers},
    machine::{Input as MachineInput, Machine},
    mining::{self as mining_machine, Miner, MinerCommand, Mining},
    peer::Peer,
    penalty::Scores,
    rules::Rules,
    sync::{self, Sync},
    time::Time,
};
use conclave_ledger::{
    applications::evidence::Evidence,
    block::{Block, Decided},
    chain::{Chain, Execution},
    hash::{BlockHash, TransactionId},
    keys::{PublicKey, SecretKey, Signature},
    pool::{Pool, PoolLimits},
    proof::Proof,
    signed::{Height, Kind, Value},
};
use meeting::Meeting;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Blocks of the open height and the one before that others may pull from this node.
const BLOCKS_AT_HAND: usize = 8;

/// What the logic is told once.
pub struct Config {
    /// This node, by its libp2p peer id.
    pub peer: Peer,
    /// The key whose peer id that is: what an observer proves.
    pub node_key: SecretKey,
    /// The validator key, on validators.
    pub validator_key: Option<SecretKey>,
    /// Whether it mines, where proofs of work decide.
    pub mines: bool,
    /// What peers are told of the program.
    pub version: String,
    /// How it meets strangers.
    pub meeting: meeting::Config,
    /// Bounds of the pool.
    pub pool: PoolLimits,
    /// Bounds of announcements.
    pub announcements: announcing::Config,
    /// Seed of jitter and challenges; never twice the same.
    pub seed: [u8; 32],
    /// The rules that its machines keep: all of them.
    pub rules: Rules,
}

/// A chain as storage holds it, and what the log holds beyond it.
pub struct Restored {
    /// The chain at the height that the database covers, with what undoes its last heights
    /// ([`Chain::restore_undo`]).
    pub chain: Chain,
    /// Proofs known for the heights since the last block, and for those that can be undone.
    pub proofs: BTreeMap<Height, Proof>,
    /// Records of the log, in order.
    pub log: Vec<LogRecord>,
    /// Who was known.
    pub known_peers: SavedPeers,
}

/// Why a node cannot start from what it has on disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The log says that a height was decided whose block it does not hold.
    #[error("the log says that height {0} was decided but does not hold its block")]
    BlockMissing(Height),
    /// The log's decided height does not fit the chain.
    #[error("height {height} of the log does not fit the database: {error}")]
    Invalid {
        /// The height.
        height: Height,
        /// The rule that it breaks.
        error: String,
    },
}

/// The node's logic.
pub struct Node {
    config: Config,
    chain: Chain,
    pool: Pool,
    scores: Scores,
    handshake: Handshake,
    meeting: Meeting,
    consensus: Option<Consensus>,
    /// In the place of consensus and sync, where proofs of work decide.
    mining: Option<Mining>,
    miner: Option<Miner>,
    dissemination: Dissemination,
    sync: Sync,
    announcements: Announcements,
    /// Peers whose handshake is done, with what they proved.
    peers: BTreeMap<Peer, handshake::Role>,
    /// The last decided height of each, as far as it has spoken of it.
    heights: BTreeMap<Peer, Height>,
    /// Channels that have opened since the handshake.
    opened: BTreeSet<(Peer, Channel)>,
    /// Proofs of the last block, of the heights since, and of those that can be undone.
    proofs: BTreeMap<Height, Proof>,
    executions: BTreeMap<BlockHash, Execution>,
    /// Blocks of the open height and of the last decided one, which storage may not hold yet.
    at_hand: VecDeque<(BlockHash, Arc<Block>)>,
    /// Blocks of the open height that the log holds.
    logged: BTreeSet<BlockHash>,
    /// The leader's signatures on blocks of the open height that this node signs for.
    proposed: BTreeMap<BlockHash, (Kind, Signature)>,
    opened_at: Option<Time>,
    /// When peers are told again of what made the open height open here, unless it is decided by then.
    remind_at: Option<Time>,
    last_resume: Option<Height>,
    /// Evidence whose height is not decided yet.
    evidence: Vec<Evidence>,
    failed: bool,
    effects: VecDeque<Effect>,
}

impl Node {
    /// A node at its start. Decided heights that only the log holds are applied again; storage is told of them
    /// as of new ones.
    ///
    /// # Errors
    /// When log and database do not fit each other.
    pub fn new(config: Config, restored: Restored, clock: Clock) -> Result<Self, RestoreError> {
        let genesis = restored.chain.genesis().clone();
        let delta = Duration::from_millis(genesis.delta_ms);
        let signed = restored.log.iter().filter_map(|record| match record {
            LogRecord::Signed(signed) => Some(signed.clone()),
            _ => None,
        });
        let is_mined = genesis.proof_of_work.is_some();
        let consensus = config.validator_key.clone().filter(|_| !is_mined).map(|key| {
            let consensus_config = consensus::Config {
                network: restored.chain.network(),
                delta,
                fast: genesis.fast,
                key: Some(key),
                rules: config.rules,
            };
            Consensus::new(consensus_config, signed.collect())
        });
        let is_validator = consensus.is_some();
        let mut node = Self {
            handshake: Handshake::new(peers::handshake_config(&config, &restored.chain)),
            meeting: Meeting::new(&config, &restored.chain, clock.time),
            consensus,
            mining: None,
            miner: (is_mined && config.mines).then(Miner::default),
            dissemination: Dissemination::new(dissemination::Config::for_delta(delta)),
            sync: Sync::new(sync::Config::for_delta(delta, !is_validator)),
            pool: Pool::new(config.pool.clone()),
            announcements: Announcements::new(config.announcements.clone()),
            config,
            chain: restored.chain,
            scores: Scores::default(),
            peers: BTreeMap::new(),
            heights: BTreeMap::new(),
            opened: BTreeSet::new(),
            proofs: restored.proofs,
            executions: BTreeMap::new(),
            at_hand: VecDeque::new(),
            logged: BTreeSet::new(),
            proposed: BTreeMap::new(),
            opened_at: None,
            remind_at: None,
            last_resume: None,
            evidence: Vec::new(),
            failed: false,
            effects: VecDeque::new(),
        };
        let open = node.replay(restored.log)?;
        node.mining = Mining::new(mining_machine::Config::for_delta(delta), &node.chain);
        node.recall_decisions(clock);
        node.begin(clock);
        node.meeting.known.restore(restored.known_peers, clock.time);
        node.recall_blocks(open, clock);
        node.settle(clock);
        Ok(node)
    }

    /// Takes an input.
    pub fn handle(&mut self, input: Input, clock: Clock) {
        match input {
            Input::Handshake(command) => {
                self.overhear(&command, clock);
                let closed = match &command {
                    handshake::Command::ConnectionClosed { peer, .. } => Some(*peer),
                    _ => None,
                };
                self.handshake.handle(MachineInput::Command(command), clock.time);
                closed.into_iter().for_each(|peer| self.closed_early(peer, clock));
            }
            Input::ChannelOpened(peer, channel) => self.channel_opened(peer, channel, clock),
            Input::ChannelClosed(peer, channel) => self.channel_closed(peer, channel, clock),
            Input::ChannelEarly(peer, channel) => self.channel_early(peer, channel, clock),
            Input::Frame(peer, channel, bytes) => self.receive_frame(peer, channel, &bytes, clock),
            Input::Malformed(peer, what) => self.penalize(peer, crate::penalty::Penalty::fatal(what), clock),
            Input::Request { peer, protocol, number, bytes } => {
                self.receive_request(peer, protocol, number, &bytes, clock);
            }
            Input::Response { peer, protocol, number, bytes } => {
                self.receive_response(peer, protocol, number, &bytes, clock);
            }
            Input::RequestFailed { peer, protocol, number } => {
                self.request_failed(peer, protocol, number, clock)
            }
            Input::Submit { ticket, transactions } => self.submit(ticket, transactions, clock),
            Input::Found { peer, addresses, source, by } => {
                self.known_command(known_peers::Command::Found { peer, addresses, source, by }, clock);
            }
            Input::DialFailed(peer) => {
                self.known_command(known_peers::Command::DialFailed { peer }, clock);
            }
            Input::RemoteAddress { peer, address } => self.remote_address(peer, &address),
            Input::OwnAddresses(addresses) => self.own_addresses(addresses, clock),
            Input::Solved { ticket, solution } => self.solved(ticket, solution, clock),
            Input::Announcement(peer, message) => self.receive_announcement(peer, message, clock),
            Input::Module(command) => self.module_command(command, clock),
            Input::Mined { ticket, nonce } => {
                self.miner_command(MinerCommand::Found { ticket, nonce }, clock)
            }
            Input::BlocksFound { token, response } => {
                self.mining_command(mining_machine::Command::Found { token, response }, clock);
            }
            Input::LookedUp { token, response } => {
                self.sync.handle(MachineInput::Command(sync::Command::Found { token, response }), clock.time);
            }
        }
        self.settle(clock);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, clock: Clock) {
        self.handshake.handle_timeout(clock.time);
        self.meeting.handle_timeout(clock.time);
        self.dissemination.handle_timeout(clock.time);
        self.sync.handle_timeout(clock.time);
        self.announcements.handle_timeout(clock.time);
        if let Some(consensus) = &mut self.consensus {
            consensus.handle_timeout(clock.time);
        }
        if let Some(mining) = &mut self.mining {
            mining.handle_timeout(clock.time);
        }
        if let Some(miner) = &mut self.miner {
            miner.handle_timeout(clock.time);
        }
        self.remind(clock);
        self.settle(clock);
    }

    /// When [`Node::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Time> {
        let consensus = self.consensus.as_ref().and_then(Machine::poll_timeout);
        let others = [
            self.handshake.poll_timeout(),
            self.meeting.poll_timeout(),
            self.dissemination.poll_timeout(),
            self.sync.poll_timeout(),
            self.announcements.poll_timeout(),
            consensus,
            self.mining.as_ref().and_then(Machine::poll_timeout),
            self.miner.as_ref().and_then(Machine::poll_timeout),
            self.remind_at,
        ];
        others.into_iter().flatten().min()
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The validator key of this node.
    pub fn validator(&self) -> Option<PublicKey> {
        self.validator_key()
    }

    /// The chain at its tip.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// What waits to be decided.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Peers whose handshake is done, with what they proved.
    pub fn peers(&self) -> &BTreeMap<Peer, handshake::Role> {
        &self.peers
    }

    /// Who is known, and who of them is connected.
    pub fn known_peers(&self) -> &KnownPeers {
        &self.meeting.known
    }

    /// The last decided height of a peer whose handshake is done, by its own words and unproved.
    pub fn height_of(&self, peer: &Peer) -> Option<Height> {
        self.heights.get(peer).copied()
    }

    /// Drains every machine until none has an output left.
    fn settle(&mut self, clock: Clock) {
        loop {
            let handshake = self.drain_handshake(clock);
            let meeting = self.drain_meeting(clock);
            let consensus = self.drain_consensus(clock);
            let mining = self.drain_mining(clock);
            let dissemination = self.drain_dissemination(clock);
            let sync = self.drain_sync(clock);
            let announcements = self.drain_announcements(clock);
            if !(handshake || meeting || consensus || mining || dissemination || sync || announcements) {
                break;
            }
        }
    }

    fn tell(&mut self, notice: Notice) {
        self.effects.push_back(Effect::Tell(notice));
    }

    /// Stops taking part: what is wrong needs a person.
    fn fail(&mut self, reason: String) {
        if !self.failed {
            self.failed = true;
            self.consensus = None;
            self.tell(Notice::Failed(reason));
        }
    }

    fn validator_key(&self) -> Option<PublicKey> {
        self.config.validator_key.as_ref().map(SecretKey::public)
    }

    fn remember(&mut self, block: Arc<Block>) {
        let hash = block.hash();
        if !self.at_hand.iter().any(|(known, _)| *known == hash) {
            self.at_hand.push_back((hash, block));
            if self.at_hand.len() > BLOCKS_AT_HAND {
                self.at_hand.pop_front();
            }
        }
    }

    fn block_at_hand(&self, hash: &BlockHash) -> Option<Arc<Block>> {
        self.at_hand.iter().find(|(known, _)| known == hash).map(|(_, block)| block.clone())
    }

    fn consensus_command(&mut self, command: consensus::Command, clock: Clock) {
        if let Some(consensus) = &mut self.consensus {
            consensus.handle(MachineInput::Command(command), clock.time);
        }
    }

    fn sync_command(&mut self, command: sync::Command, clock: Clock) {
        self.sync.handle(MachineInput::Command(command), clock.time);
    }

    fn drop_transactions(&mut self, dropped: Vec<(TransactionId, String)>, clock: Clock) {
        if !dropped.is_empty() {
            let gone = dropped.iter().map(|(id, _)| *id).collect();
            self.dissemination.handle(MachineInput::Command(dissemination::Command::Gone(gone)), clock.time);
            self.effects.push_back(Effect::Dropped(dropped));
        }
    }
}
