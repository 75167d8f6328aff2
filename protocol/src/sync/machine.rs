//! The sync machine.

use super::message::{MAX_HEIGHTS, MAX_PROOFS, Message, ProvedHeight, ProvedValue, Request, Response};
use super::proofs::{OwnProofs, PeerProofs};
use crate::{
    machine::{Input, Machine, Output},
    peer::Peer,
    penalty::Penalty,
    time::Time,
};
use conclave_ledger::{block::Block, hash::BlockHash, signed::Height};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Most ranges that are under way or wait to be applied.
pub const MAX_IN_FLIGHT: usize = 4;

/// Most requests of one peer that are being answered.
pub const MAX_LOOKUPS: usize = 4;

/// Most single blocks that are being pulled.
pub const MAX_FETCHES: usize = 16;

/// Times in a row that a peer does not bring the heights that it claims (it has none, fails, or is silent), after
/// which the claim is not believed.
const MAX_EMPTY_ANSWERS: u32 = 3;

/// Most peers that are asked for one single block.
const MAX_CANDIDATES: usize = 64;

/// Configuration of the machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long the own height may stand still behind a peer's before heights are pulled (default 150 ms for those
    /// who decide, none for those who follow).
    pub patience: Duration,
    /// Time for one range (default 5 s).
    pub range_timeout: Duration,
    /// How long one single block is waited for before more peers are asked for it (default `Δ/32`). Each time twice as
    /// many are asked as the last time, and who was asked before may still answer: so a block that an honest peer has
    /// is here within a part of `Δ`, however many others keep silent.
    pub block_patience: Duration,
    /// Least time between two announcements to followers (default 50 ms).
    pub announce_interval: Duration,
    /// Time between two questions for all peers' heights (default 30 s).
    pub status_interval: Duration,
    /// How long a peer's proofs must differ before they are asked for (default 100 ms): signatures may be on their way.
    pub proofs_patience: Duration,
    /// Heights asked for at once (default 64).
    pub range: u32,
}

impl Config {
    /// The defaults for a network's `Δ`.
    pub fn for_delta(delta: Duration, follows: bool) -> Self {
        Self {
            patience: if follows { Duration::ZERO } else { Duration::from_millis(150) },
            range_timeout: Duration::from_secs(5),
            block_patience: delta / 32,
            announce_interval: Duration::from_millis(50),
            status_interval: Duration::from_secs(30),
            proofs_patience: Duration::from_millis(100),
            range: 64,
        }
    }
}

/// What the node tells the machine.
#[derive(Clone, Debug)]
pub enum Command {
    /// A peer takes part.
    Joined {
        /// The peer.
        peer: Peer,
        /// Height of its last decision.
        height: Height,
        /// Whether it only follows, and so wants to be told of heights.
        follows: bool,
    },
    /// The own last decided height.
    Height {
        /// The height.
        height: Height,
    },
    /// A peer spoke of a later height than can be kept.
    Behind {
        /// The peer.
        peer: Peer,
        /// The height.
        height: Height,
    },
    /// The proofs that this node has of its last heights.
    Proofs {
        /// The oldest height whose proof is of use here.
        from: Height,
        /// The fingerprint of those since the last block.
        fingerprint: u64,
        /// Whether one of these heights was decided without a certificate, and so may have to give way to what a peer
        /// has, whatever that peer's height.
        uncertain: bool,
    },
    /// A peer has said, to another machine, what it has.
    Told {
        /// The peer.
        peer: Peer,
        /// Height of its last decision.
        height: Height,
        /// Fingerprint of its proofs.
        proofs: u64,
    },
    /// The delivered heights do not follow this node's last one, which was decided without a certificate: one of the
    /// two will have to give way.
    Disputed {
        /// The peer that they came from.
        peer: Peer,
    },
    /// The delivered heights are applied, as far as the own height says.
    Applied,
    /// A delivered height does not hold.
    Rejected {
        /// The peer that it came from.
        peer: Peer,
        /// Why.
        reason: String,
    },
    /// Pull a block from one of these peers.
    FetchBlock {
        /// Its height.
        height: Height,
        /// Its hash.
        hash: BlockHash,
        /// Whom to ask, in this order.
        peers: Vec<Peer>,
    },
    /// What was found for a lookup.
    Found {
        /// Number of the lookup.
        token: u64,
        /// The answer.
        response: Response,
    },
    /// A request got no answer.
    RequestFailed {
        /// Who was asked.
        peer: Peer,
        /// Number of the request.
        number: u64,
    },
}

/// What the machine tells the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Find this, answered by [`Command::Found`].
    Lookup {
        /// Its number.
        token: u64,
        /// What.
        request: Request,
    },
    /// Verify and apply these, answered by [`Command::Applied`] or [`Command::Rejected`].
    Deliver {
        /// Who gave them.
        peer: Peer,
        /// Heights, ascending, from the next one on.
        heights: Vec<ProvedHeight>,
    },
    /// Proofs that a peer has.
    Proofs {
        /// The peer.
        peer: Peer,
        /// The proofs.
        proofs: Vec<ProvedValue>,
    },
    /// A block that was to be pulled.
    BlockFetched {
        /// The block.
        block: Arc<Block>,
    },
    /// Where catching up is.
    Progress {
        /// The own height.
        height: Height,
        /// The highest that a peer claims.
        target: Height,
    },
    /// No peer is ahead any more.
    CaughtUp {
        /// The own height.
        height: Height,
    },
}

pub(super) struct PeerState {
    pub(super) height: Height,
    follows: bool,
    /// Height and fingerprint that it was last told.
    told: (Height, u64),
    lookups: usize,
    empty_answers: u32,
    /// Number of the last range that it was asked for.
    asked: u64,
    pub(super) proofs: PeerProofs,
}

struct Range {
    peer: Peer,
    /// The request, while there is no answer.
    pending: Option<(u64, Time)>,
    /// How many heights were asked for.
    limit: u32,
    heights: Vec<ProvedHeight>,
}

struct Fetch {
    height: Height,
    /// Who is not asked yet.
    candidates: VecDeque<Peer>,
    /// Requests that are not answered, and of whom.
    asked: Vec<(u64, Peer)>,
    /// How many are asked the next time that patience ends.
    next: usize,
    /// When more are asked; `None` when all are.
    deadline: Option<Time>,
}

impl Fetch {
    fn was_asked(&self, peer: Peer, number: u64) -> bool {
        self.asked.contains(&(number, peer))
    }
}

/// The machine.
pub struct Sync {
    pub(super) config: Config,
    pub(super) height: Height,
    /// Since when a peer has claimed a height that this node has not reached.
    behind_since: Option<Time>,
    hurry: bool,
    pub(super) peers: BTreeMap<Peer, PeerState>,
    /// Ranges by their first height.
    ranges: BTreeMap<Height, Range>,
    /// Who gave the heights that are being applied, and the last of them.
    pub(super) delivered: Option<(Peer, Height)>,
    catching_up: bool,
    fetches: BTreeMap<BlockHash, Fetch>,
    lookups: BTreeMap<u64, Peer>,
    requests: u64,
    announce_at: Option<Time>,
    status_at: Time,
    pub(super) proofs: OwnProofs,
    outputs: VecDeque<Output<Self>>,
}

impl Sync {
    /// A machine without peers, at height 0.
    pub fn new(config: Config) -> Self {
        Self {
            status_at: Time(0) + config.status_interval,
            config,
            height: 0,
            behind_since: None,
            hurry: true,
            peers: BTreeMap::new(),
            ranges: BTreeMap::new(),
            delivered: None,
            catching_up: false,
            fetches: BTreeMap::new(),
            lookups: BTreeMap::new(),
            requests: 0,
            announce_at: None,
            proofs: OwnProofs::default(),
            outputs: VecDeque::new(),
        }
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Emit(event));
    }

    pub(super) fn request(&mut self, peer: Peer, request: Request) -> u64 {
        self.requests += 1;
        let number = self.requests;
        self.outputs.push_back(Output::Send(peer, Message::Request { number, request }));
        number
    }

    /// The highest height that a believed peer claims.
    fn target(&self) -> Height {
        self.peers.values().map(|peer| peer.height).max().unwrap_or(0)
    }

    fn learn(&mut self, peer: Peer, height: Height) {
        if let Some(state) = self.peers.get_mut(&peer)
            && height > state.height
            && state.empty_answers < MAX_EMPTY_ANSWERS
        {
            state.height = height;
        }
    }

    // --- Catching up -----------------------------------------------------------------------------------------

    /// When heights are to be pulled, if this node is behind.
    fn fetch_from(&self) -> Option<Time> {
        let since = self.behind_since?;
        Some(if self.hurry || self.catching_up { since } else { since + self.config.patience })
    }

    fn progress(&mut self, now: Time) {
        self.ranges = self.ranges.split_off(&self.height.saturating_add(1));
        if self.target() <= self.height {
            self.behind_since = None;
            // Those who decide hurry at the start only, until they have seen the tip.
            self.hurry &= self.peers.is_empty();
        } else {
            self.behind_since.get_or_insert(now);
        }
        if self.fetch_from().is_some_and(|at| at <= now) {
            self.catching_up = true;
            // What is delivered makes room for another range.
            self.deliver();
            self.ask_ranges(now);
        } else if self.catching_up && self.target() <= self.height {
            (self.catching_up, self.hurry) = (false, false);
            self.ranges.clear();
            self.emit(Event::CaughtUp { height: self.height });
        } else {
            self.deliver();
        }
    }

    fn ask_ranges(&mut self, now: Time) {
        // What is being applied is not asked for again.
        let applying = self.delivered.map_or(0, |(_, last)| last);
        let mut from = self.height.max(applying) + 1;
        let step = Height::from(self.config.range.min(MAX_HEIGHTS));
        while self.ranges.len() < MAX_IN_FLIGHT {
            if let Some(range) = self.ranges.get(&from) {
                from += if range.pending.is_some() { step } else { range.heights.len() as Height };
                continue;
            }
            // Who has answered can be asked again although the answer still waits to be applied.
            let pending = self.ranges.values().filter(|range| range.pending.is_some());
            let busy: BTreeSet<Peer> = pending.map(|range| range.peer).collect();
            let free =
                self.peers.iter().filter(|(peer, state)| state.height >= from && !busy.contains(*peer));
            // Those who brought what they claimed come first, then those who were not asked for the longest time.
            let Some(peer) =
                free.min_by_key(|(_, state)| (state.empty_answers, state.asked)).map(|(peer, _)| *peer)
            else {
                break;
            };
            // Up to the next range that is under way, so that ranges never overlap.
            let gap = self.ranges.range(from..).next().map_or(step, |(next, _)| (next - from).min(step));
            let limit = gap as u32;
            let number = self.request(peer, Request::Blocks { from, limit });
            if let Some(state) = self.peers.get_mut(&peer) {
                state.asked = number;
            }
            let pending = Some((number, now + self.config.range_timeout));
            self.ranges.insert(from, Range { peer, pending, limit, heights: Vec::new() });
        }
    }

    fn deliver(&mut self) {
        let next = self.height + 1;
        if self.delivered.is_none()
            && self.ranges.get(&next).is_some_and(|range| range.pending.is_none())
            && let Some(range) = self.ranges.remove(&next)
        {
            self.delivered = range.heights.last().map(|last| (range.peer, last.decided.height()));
            self.emit(Event::Progress { height: self.height, target: self.target() });
            self.emit(Event::Deliver { peer: range.peer, heights: range.heights });
        }
    }

    fn received_range(&mut self, peer: Peer, number: u64, heights: Vec<ProvedHeight>) {
        let mut ranges = self.ranges.iter_mut();
        let Some((from, range)) = ranges
            .find(|(_, range)| range.peer == peer && range.pending.is_some_and(|(sent, _)| sent == number))
        else {
            return;
        };
        let from = *from;
        let in_order = heights.iter().zip(from..).all(|(proved, height)| proved.decided.height() == height);
        if !in_order || heights.len() > range.limit as usize {
            self.ranges.remove(&from);
            return self.blame(peer, "heights that were not asked for");
        }
        if heights.is_empty() {
            self.ranges.remove(&from);
            if let Some(state) = self.peers.get_mut(&peer) {
                state.height = state.height.min(from - 1);
            }
            return self.missed(peer, "heights that it claimed to have");
        }
        if let Some(state) = self.peers.get_mut(&peer) {
            state.empty_answers = 0;
        }
        (range.pending, range.heights) = (None, heights);
    }

    /// A peer did not bring what it claims to have.
    fn missed(&mut self, peer: Peer, reason: &str) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.empty_answers = state.empty_answers.saturating_add(1);
            if state.empty_answers >= MAX_EMPTY_ANSWERS {
                state.height = state.height.min(self.height);
            }
        }
        self.outputs.push_back(Output::Penalize(peer, Penalty::slight(reason)));
    }

    /// Throws away everything of a peer that is not applied.
    pub(super) fn forget_ranges(&mut self, peer: Peer) {
        self.ranges.retain(|_, range| range.peer != peer);
    }

    pub(super) fn blame(&mut self, peer: Peer, reason: &str) {
        self.forget_ranges(peer);
        if let Some(state) = self.peers.get_mut(&peer) {
            state.height = 0;
            state.empty_answers = MAX_EMPTY_ANSWERS;
        }
        self.outputs.push_back(Output::Penalize(peer, Penalty::fatal(reason)));
    }

    // --- Single blocks ---------------------------------------------------------------------------------------

    fn fetch_block(&mut self, height: Height, hash: BlockHash, peers: Vec<Peer>, now: Time) {
        if let Some(fetch) = self.fetches.get_mut(&hash) {
            for peer in peers {
                let is_known =
                    fetch.candidates.contains(&peer) || fetch.asked.iter().any(|(_, asked)| *asked == peer);
                if fetch.candidates.len() + fetch.asked.len() < MAX_CANDIDATES && !is_known {
                    fetch.candidates.push_back(peer);
                }
            }
        } else if self.fetches.len() < MAX_FETCHES {
            let candidates = peers.into_iter().take(MAX_CANDIDATES).collect();
            let fetch = Fetch { height, candidates, asked: Vec::new(), next: 1, deadline: Some(now) };
            self.fetches.insert(hash, fetch);
        }
        self.ask_blocks(now);
    }

    /// Asks more candidates for each block that has not come in time, twice as many as the last time.
    fn ask_blocks(&mut self, now: Time) {
        let is_due = |fetch: &Fetch| fetch.deadline.is_some_and(|due| due <= now);
        let due = self.fetches.iter().filter(|(_, fetch)| is_due(fetch)).map(|(hash, _)| *hash);
        for hash in due.collect::<Vec<_>>() {
            if let Some(fetch) = self.fetches.get_mut(&hash) {
                let count = fetch.next;
                fetch.next = (count * 2).min(MAX_CANDIDATES);
                fetch.deadline = Some(now + self.config.block_patience.max(Duration::from_millis(1)));
                self.ask_block(hash, count);
            }
        }
    }

    /// Asks so many candidates for a block; it is given up when nobody is left who could bring it.
    fn ask_block(&mut self, hash: BlockHash, count: usize) {
        let Some(mut fetch) = self.fetches.remove(&hash) else { return };
        fetch.candidates.retain(|peer| self.peers.contains_key(peer));
        let next: Vec<Peer> = fetch.candidates.drain(..count.min(fetch.candidates.len())).collect();
        for peer in next {
            let number = self.request(peer, Request::Block { height: fetch.height, hash });
            fetch.asked.push((number, peer));
        }
        if fetch.candidates.is_empty() {
            fetch.deadline = None;
        }
        if !fetch.asked.is_empty() {
            self.fetches.insert(hash, fetch);
        }
    }

    fn received_block(&mut self, peer: Peer, number: u64, block: Option<Arc<Block>>) {
        let Some(hash) = self.fetched_by(peer, number) else { return };
        match block {
            Some(block) if block.hash() == hash => {
                self.fetches.remove(&hash);
                self.emit(Event::BlockFetched { block });
            }
            Some(_) => {
                self.outputs
                    .push_back(Output::Penalize(peer, Penalty::fatal("another block than was asked for")));
                self.next_candidate(hash, peer);
            }
            None => self.next_candidate(hash, peer),
        }
    }

    /// The block that a peer was asked for with this number.
    fn fetched_by(&self, peer: Peer, number: u64) -> Option<BlockHash> {
        self.fetches.iter().find(|(_, fetch)| fetch.was_asked(peer, number)).map(|(hash, _)| *hash)
    }

    /// A peer does not bring the block: another one is asked at once.
    fn next_candidate(&mut self, hash: BlockHash, failed: Peer) {
        if let Some(fetch) = self.fetches.get_mut(&hash) {
            fetch.asked.retain(|(_, asked)| *asked != failed);
            self.ask_block(hash, 1);
        }
    }

    // --- Serving ---------------------------------------------------------------------------------------------

    fn receive_request(&mut self, peer: Peer, number: u64, request: Request, now: Time) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if let Request::Status { height, proofs } = request {
            state.empty_answers = 0;
            self.learn(peer, height);
            self.told(peer, height, proofs, now);
            let response = Response::Status { height: self.height, proofs: self.proofs.fingerprint };
            return self.outputs.push_back(Output::Send(peer, Message::Response { number, response }));
        }
        if state.lookups >= MAX_LOOKUPS {
            let reason = format!("more than {MAX_LOOKUPS} requests at a time");
            self.outputs.push_back(Output::Penalize(peer, Penalty::slight(reason)));
            let nothing = match request {
                Request::Block { .. } => Response::Block(None),
                Request::Proofs { .. } => Response::Proofs(Vec::new()),
                _ => Response::Blocks(Vec::new()),
            };
            return self
                .outputs
                .push_back(Output::Send(peer, Message::Response { number, response: nothing }));
        }
        state.lookups += 1;
        self.lookups.insert(number, peer);
        let request = match request {
            Request::Blocks { from, limit } => Request::Blocks { from, limit: limit.min(MAX_HEIGHTS) },
            Request::Proofs { from, limit } => Request::Proofs { from, limit: limit.min(MAX_PROOFS) },
            other => other,
        };
        self.emit(Event::Lookup { token: number, request });
    }

    fn found(&mut self, token: u64, response: Response) {
        if let Some(peer) = self.lookups.remove(&token) {
            if let Some(state) = self.peers.get_mut(&peer) {
                state.lookups = state.lookups.saturating_sub(1);
            }
            self.outputs.push_back(Output::Send(peer, Message::Response { number: token, response }));
        }
    }

    // --- Heights ---------------------------------------------------------------------------------------------

    fn set_height(&mut self, height: Height, now: Time) {
        if height != self.height {
            (self.height, self.behind_since) = (height, None);
            self.announce_soon(now);
        }
        self.fetches.retain(|_, fetch| fetch.height > height);
    }

    /// Followers are told within a moment.
    pub(super) fn announce_soon(&mut self, now: Time) {
        if self.peers.values().any(|peer| peer.follows) {
            self.announce_at.get_or_insert(now + self.config.announce_interval);
        }
    }

    fn announce(&mut self, now: Time) {
        let (height, proofs) = (self.height, self.proofs.fingerprint);
        if self.announce_at.is_some_and(|at| at <= now) {
            self.announce_at = None;
            let news = (height, proofs);
            let followers = self.peers.iter_mut().filter(|(_, state)| state.follows && state.told != news);
            let followers: Vec<Peer> = followers
                .map(|(peer, state)| {
                    state.told = news;
                    *peer
                })
                .collect();
            for peer in followers {
                self.request(peer, Request::Status { height, proofs });
            }
        }
        if self.status_at <= now {
            self.status_at = now + self.config.status_interval;
            let peers: Vec<Peer> = self.peers.keys().copied().collect();
            for peer in peers {
                self.request(peer, Request::Status { height, proofs });
            }
        }
    }

    fn request_failed(&mut self, peer: Peer, number: u64) {
        let of_range =
            |range: &Range| range.peer == peer && range.pending.is_some_and(|(sent, _)| sent == number);
        let before = self.ranges.len();
        self.ranges.retain(|_, range| !of_range(range));
        if self.ranges.len() < before {
            self.missed(peer, "a request for heights that failed");
        }
        if let Some(hash) = self.fetched_by(peer, number) {
            self.next_candidate(hash, peer);
        }
        self.proofs_failed(peer, number);
    }

    fn command(&mut self, command: Command, now: Time) {
        match command {
            Command::Joined { peer, height, follows } => {
                let state = PeerState {
                    height,
                    follows,
                    told: (0, 0),
                    lookups: 0,
                    empty_answers: 0,
                    asked: 0,
                    proofs: PeerProofs::default(),
                };
                self.peers.insert(peer, state);
                if follows && self.height >= height && self.height > 0 {
                    self.announce_at.get_or_insert(now);
                }
            }
            Command::Height { height } => self.set_height(height, now),
            Command::Proofs { from, fingerprint, uncertain } => {
                self.set_proofs(from, fingerprint, uncertain, now)
            }
            Command::Told { peer, height, proofs } => self.told(peer, height, proofs, now),
            Command::Disputed { peer } => self.disputed(peer),
            Command::Behind { peer, height } => {
                self.learn(peer, height.saturating_sub(1));
                self.hurry |= height > self.height.saturating_add(2);
            }
            Command::Applied => self.delivered = None,
            Command::Rejected { peer, reason } => {
                self.delivered = None;
                self.blame(peer, &reason);
            }
            Command::FetchBlock { height, hash, peers } => self.fetch_block(height, hash, peers, now),
            Command::Found { token, response } => self.found(token, response),
            Command::RequestFailed { peer, number } => self.request_failed(peer, number),
        }
    }
}

impl Machine for Sync {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, input: Input<Self>, now: Time) {
        match input {
            // A peer takes part once its height is known: see `Command::Joined`.
            Input::Connected(_) => {}
            Input::Disconnected(peer) => {
                self.peers.remove(&peer);
                self.forget_ranges(peer);
                self.lookups.retain(|_, asker| *asker != peer);
                let asked = |fetch: &Fetch| fetch.asked.iter().any(|(_, asked)| *asked == peer);
                let of_it = self.fetches.iter().filter(|(_, fetch)| asked(fetch)).map(|(hash, _)| *hash);
                for hash in of_it.collect::<Vec<_>>() {
                    self.next_candidate(hash, peer);
                }
            }
            Input::Received(peer, Message::Request { number, request }) => {
                self.receive_request(peer, number, request, now);
            }
            Input::Received(peer, Message::Response { number, response }) => match response {
                Response::Status { height, proofs } => {
                    self.learn(peer, height);
                    self.told(peer, height, proofs, now);
                }
                Response::Proofs(proofs) => self.received_proofs(peer, number, proofs),
                Response::Blocks(heights) => self.received_range(peer, number, heights),
                Response::Block(block) => self.received_block(peer, number, block),
            },
            Input::Command(command) => self.command(command, now),
        }
        self.progress(now);
    }

    fn handle_timeout(&mut self, now: Time) {
        let late = |range: &Range| range.pending.is_some_and(|(_, deadline)| deadline <= now);
        let slow: Vec<Peer> =
            self.ranges.values().filter(|range| late(range)).map(|range| range.peer).collect();
        self.ranges.retain(|_, range| !late(range));
        for peer in slow {
            self.missed(peer, "a range that did not come in time");
        }
        self.ask_blocks(now);
        self.announce(now);
        self.ask_proofs(now);
        self.progress(now);
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        let ranges =
            self.ranges.values().filter_map(|range| range.pending.map(|(_, deadline)| deadline)).min();
        let fetches = self.fetches.values().filter_map(|fetch| fetch.deadline).min();
        let patience = self.fetch_from().filter(|_| !self.catching_up);
        let status = (!self.peers.is_empty()).then_some(self.status_at);
        [ranges, fetches, patience, self.announce_at, status, self.proofs.ask_at].into_iter().flatten().min()
    }
}
