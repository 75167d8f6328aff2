//! The machine that follows the branch with the most work.

use super::{
    message::{
        CompactBlock, MAX_BLOCKS_ASKED, MAX_HEADERS_ANSWERED, MAX_TRANSACTIONS_ASKED, Message, Place,
        Request, Response,
    },
    serving,
};
use crate::{
    machine::{Input, Machine, Output},
    peer::Peer,
    penalty::Penalty,
    time::Time,
    token_bucket::{Rate, TokenBucket},
};
use conclave_ledger::{
    block::{Block, Header},
    chain::Chain,
    hash::BlockHash,
    proof_of_work::{Branch, HeaderError, Target, Tree},
    signed::Height,
    transaction::SharedTransaction,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Headers that lead to less work than the chain has, from one peer: an honest one gives some of each fork.
pub const LOW_WORK: Rate = Rate { per_second: 4, capacity: 4_096 };

/// So many of them at once beyond that are as bad as one after the other, and the end of it.
const MANY_LOW_WORK: usize = 5;

/// Requests of one peer that are looked up in storage at a time; further ones are answered with nothing.
pub const MAX_LOOKUPS: usize = 4;

/// Announced blocks of one peer that are being put together at a time.
pub const MAX_PARTIAL: usize = 4;

/// Blocks that are wanted at a time, whoever is asked.
const MAX_WANTED: usize = 64;

/// What an answer may be late before its peer is blamed, and somebody else asked.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long an answer may take (default `10·Δ`, at least 5 s).
    pub response_timeout: Duration,
    /// How often each peer is asked for headers that were not announced (default `20·Δ`, at least 10 s).
    pub ask_interval: Duration,
    /// How long the next block of a branch may be wanted before the branch counts no more until it comes (default twice
    /// `response_timeout`: one peer may fail).
    pub withheld_after: Duration,
}

impl Config {
    /// The defaults for a network's `Δ`.
    pub fn for_delta(delta: Duration) -> Self {
        let response_timeout = (10 * delta).max(Duration::from_secs(5));
        Self {
            response_timeout,
            ask_interval: (20 * delta).max(Duration::from_secs(10)),
            withheld_after: 2 * response_timeout,
        }
    }
}

/// What the node tells the machine.
#[derive(Clone, Debug)]
pub enum Command {
    /// This node has mined a block.
    Mined(Arc<Block>),
    /// The branch of [`Event::Adopt`] is the chain now.
    Adopted,
    /// It is not: this block of it breaks a rule, which has a name and a text; or `None`, where the branches part too far
    /// back.
    Refused(Option<(BlockHash, &'static str, String)>),
    /// What the pool has of [`Event::Reconstruct`].
    Reconstructed {
        /// The block.
        block: BlockHash,
        /// Its transactions, where they were found.
        transactions: Vec<Option<SharedTransaction>>,
    },
    /// What storage has for [`Event::Lookup`].
    Found {
        /// The number of the lookup.
        token: u64,
        /// The answer.
        response: Response,
    },
    /// A request was not answered.
    RequestFailed {
        /// Who was asked.
        peer: Peer,
        /// The number of the request.
        number: u64,
    },
}

/// What the machine tells the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Try this branch, which has more work than the chain.
    Adopt(Branch),
    /// Find the transactions of a block in the pool by their short ids.
    Reconstruct {
        /// The block.
        block: BlockHash,
        /// [`short_id`](super::short_id) of each, in order.
        short_ids: Vec<u64>,
    },
    /// Find the answer in storage.
    Lookup {
        /// Its number.
        token: u64,
        /// What is asked.
        request: Request,
    },
    /// Something that a peer gave was refused, by the rule with this name.
    Refused(&'static str),
    /// A peer's chain parts from this node's further back than this node goes.
    Diverged(Peer),
    /// The chain is behind the best headers, or at their end again.
    Behind {
        /// Where the chain is.
        height: Height,
        /// Where the best headers are; the same as `height` at the end.
        target: Height,
    },
}

/// How the tree stands, for those who watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Blocks that were adopted since the start.
    pub adopted: u64,
    /// Blocks that were undone.
    pub undone: u64,
    /// Reorganisations: times that a block was undone.
    pub reorganisations: u64,
    /// Blocks undone by the deepest of them.
    pub deepest: u64,
    /// Forks seen: headers whose height had another one already.
    pub forks: u64,
}

struct Asked {
    number: u64,
    deadline: Time,
    blocks: Vec<BlockHash>,
}

struct PeerState {
    /// The request for headers that it has not answered.
    headers: Option<Asked>,
    /// The request for blocks.
    blocks: Option<Asked>,
    /// When it is asked for headers again.
    ask_at: Time,
    /// The last block that it announced, or that was announced to it.
    knows: Option<BlockHash>,
    low_work: TokenBucket,
    lookups: usize,
    has_diverged: bool,
    /// Whether it was asked for blocks in vain, and has given none since.
    is_slow: bool,
}

/// A block that is being put together.
struct Partial {
    header: Header,
    transactions: Vec<Option<SharedTransaction>>,
    peer: Peer,
    /// The request for what is missing.
    asked: Option<(u64, Time)>,
}

/// The machine.
pub struct Mining {
    config: Config,
    tree: Tree,
    easiest: Target,
    peers: BTreeMap<Peer, PeerState>,
    partial: BTreeMap<BlockHash, Partial>,
    /// Who was asked for a block that is wanted still.
    asked: BTreeMap<BlockHash, BTreeSet<Peer>>,
    /// Since when the next block of a branch is wanted.
    wanted_since: BTreeMap<BlockHash, Time>,
    /// Who gave a block that was not tried yet.
    givers: BTreeMap<BlockHash, Peer>,
    adopting: Option<Branch>,
    lookups: BTreeMap<u64, (Peer, u64)>,
    numbers: u64,
    standing: Standing,
    behind: Option<Height>,
    outputs: VecDeque<Output<Self>>,
}

impl Mining {
    /// The machine of a chain by proof of work; `None` under another engine.
    pub fn new(config: Config, chain: &Chain) -> Option<Self> {
        let easiest = chain.genesis().proof_of_work.as_ref()?.easiest();
        Some(Self {
            config,
            tree: Tree::of(chain)?,
            easiest,
            peers: BTreeMap::new(),
            partial: BTreeMap::new(),
            asked: BTreeMap::new(),
            wanted_since: BTreeMap::new(),
            givers: BTreeMap::new(),
            adopting: None,
            lookups: BTreeMap::new(),
            numbers: 0,
            standing: Standing::default(),
            behind: None,
            outputs: VecDeque::new(),
        })
    }

    /// The tree of the last heights.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What has happened since the start.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Emit(event));
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn send(&mut self, peer: Peer, request: Request, now: Time) -> Asked {
        let number = self.number();
        self.outputs.push_back(Output::Send(peer, Message::Request { number, request }));
        Asked { number, deadline: now + self.config.response_timeout, blocks: Vec::new() }
    }

    /// A rule that what a peer gave breaks.
    fn refuse(&mut self, peer: Peer, rule: &'static str, penalty: Penalty) {
        self.emit(Event::Refused(rule));
        self.outputs.push_back(Output::Penalize(peer, penalty));
    }

    // --- Headers ---------------------------------------------------------------------------------------------

    fn ask_headers(&mut self, peer: Peer, from: Option<BlockHash>, now: Time) {
        if !self.peers.get(&peer).is_some_and(|state| state.headers.is_none() && !state.has_diverged) {
            return;
        }
        let locator = match from {
            Some(from) => self.tree.locator_of(&from),
            None => self.tree.locator(),
        };
        let places = locator.into_iter().map(|(height, hash)| Place { height, hash }).collect();
        let asked = self.send(peer, Request::Headers(places), now);
        if let Some(state) = self.peers.get_mut(&peer) {
            state.headers = Some(asked);
            state.ask_at = now + self.config.ask_interval;
        }
    }

    /// Takes a header that a peer gave; its hash, and whether the peer may give it, unless it is refused. An orphan is left
    /// to the caller.
    fn take_header(
        &mut self,
        peer: Peer,
        header: &Header,
        now: Time,
    ) -> Result<(BlockHash, bool), HeaderError> {
        let before = self.tree.taken();
        let taken = self.tree.add_header(header);
        match &taken {
            Ok(hash) if self.tree.taken() > before => {
                let has_rival = self.tree.active_at(header.height).is_some_and(|rival| rival != hash);
                self.standing.forks += u64::from(has_rival);
                return Ok((*hash, self.pays_for(peer, hash, now)));
            }
            Ok(_) => {}
            Err(HeaderError::Invalid(error)) => {
                let reason = format!("a header at height {} that breaks a rule: {error}", header.height);
                self.refuse(peer, error.name(), Penalty::fatal(reason));
            }
            Err(HeaderError::OnInvalid) => {
                let reason = format!("a header at height {} on an invalid branch", header.height);
                self.refuse(peer, "invalid-branch", Penalty::fatal(reason));
            }
            Err(HeaderError::TooOld(height)) => {
                let reason = format!("a header at height {height}, which forks off too far back");
                self.refuse(peer, "too-old", Penalty::slight(reason));
            }
            Err(HeaderError::Orphan(_)) => {}
        }
        taken.map(|hash| (hash, true))
    }

    /// Whether a header leads somewhere, or its peer may give some that do not.
    fn pays_for(&mut self, peer: Peer, hash: &BlockHash, now: Time) -> bool {
        let is_low = match self.tree.position(hash) {
            Some(position) => position.work() <= self.tree.tip().work(),
            None => true, // It was forgotten at once.
        };
        !is_low || self.peers.get_mut(&peer).is_some_and(|state| state.low_work.take(1, now))
    }

    /// Blames a peer for so many headers that lead nowhere.
    fn refuse_low_work(&mut self, peer: Peer, count: usize) {
        let reason = format!("a flood of headers that lead nowhere, {count} at once");
        let penalty = if count < MANY_LOW_WORK { Penalty::serious(reason) } else { Penalty::fatal(reason) };
        self.refuse(peer, "low-work", penalty);
    }

    fn received_headers(&mut self, peer: Peer, number: u64, headers: Vec<Header>, now: Time) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if state.headers.take_if(|asked| asked.number == number).is_none() {
            return; // It came too late.
        }
        if headers.len() > MAX_HEADERS_ANSWERED
            || headers.windows(2).any(|pair| Some(pair[1].height) != pair[0].height.checked_add(1))
        {
            let penalty = Penalty::fatal("more headers than were asked for, or not one after the other");
            return self.refuse(peer, "headers", penalty);
        }
        let (mut last, before) = (None, self.tree.taken());
        for (header, left) in headers.iter().zip((1..=headers.len()).rev()) {
            match self.take_header(peer, header, now) {
                Ok((hash, true)) => last = Some(hash),
                Ok((_, false)) => return self.refuse_low_work(peer, left),
                Err(HeaderError::Orphan(_) | HeaderError::TooOld(_)) => {
                    self.diverged(peer, header);
                    return;
                }
                Err(_) => return,
            }
        }
        // One that was forgotten at once leads nowhere.
        let last = last.filter(|last| self.tree.position(last).is_some());
        let is_news = self.tree.taken() > before;
        if headers.len() == MAX_HEADERS_ANSWERED && is_news && last.is_some() {
            self.ask_headers(peer, last, now);
        }
    }

    /// Headers that do not follow what is known here: its chain parts from this one below the root, if it does not lie.
    fn diverged(&mut self, peer: Peer, header: &Header) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if header.height <= self.tree.root_height() + 1 {
            state.has_diverged = true;
            self.emit(Event::Diverged(peer));
        } else {
            let penalty = Penalty::serious("headers that do not follow what it was asked for");
            self.refuse(peer, "headers", penalty);
        }
    }

    // --- Announcements ---------------------------------------------------------------------------------------

    fn announced(&mut self, peer: Peer, compact: CompactBlock, now: Time) {
        match self.take_header(peer, &compact.header, now) {
            Ok((_, false)) => self.refuse_low_work(peer, 1),
            Ok((hash, true)) => {
                if let Some(state) = self.peers.get_mut(&peer) {
                    state.knows = Some(hash);
                }
                self.put_together(peer, hash, compact);
            }
            Err(HeaderError::Orphan(_)) => {
                // Before anything else is done for it: is there any work behind it?
                let target = compact.header.work.and_then(|seal| seal.target.target());
                let hash = compact.header.hash();
                match target.filter(|target| *target <= self.easiest && target.is_met_by(&hash)) {
                    Some(_) => self.ask_headers(peer, None, now),
                    None => {
                        let reason = format!("a header at height {} without work", compact.header.height);
                        self.refuse(peer, "hash", Penalty::fatal(reason));
                    }
                }
            }
            Err(_) => {}
        }
    }

    fn put_together(&mut self, peer: Peer, hash: BlockHash, compact: CompactBlock) {
        let could_win =
            self.tree.position(&hash).is_some_and(|position| position.work() > self.tree.tip().work());
        let of_peer = self.partial.values().filter(|partial| partial.peer == peer).count();
        if !could_win
            || !self.tree.lacks_block(&hash)
            || self.partial.contains_key(&hash)
            || of_peer >= MAX_PARTIAL
        {
            return;
        }
        let CompactBlock { header, short_ids } = compact;
        self.partial.insert(hash, Partial { header, transactions: Vec::new(), peer, asked: None });
        self.emit(Event::Reconstruct { block: hash, short_ids });
    }

    fn reconstructed(&mut self, hash: BlockHash, transactions: Vec<Option<SharedTransaction>>, now: Time) {
        let Some(mut partial) = self.partial.remove(&hash) else { return };
        let missing = transactions.iter().zip(0u32..).filter(|(found, _)| found.is_none());
        let indexes: Vec<u32> = missing.map(|(_, index)| index).collect();
        partial.transactions = transactions;
        if indexes.is_empty() {
            return self.completed(partial, hash);
        }
        // Where too much is missing, or the announcer is gone, the whole block is asked for.
        if indexes.len() <= MAX_TRANSACTIONS_ASKED && self.peers.contains_key(&partial.peer) {
            let block = Place { height: partial.header.height, hash };
            let asked = self.send(partial.peer, Request::Transactions { block, indexes }, now);
            partial.asked = Some((asked.number, asked.deadline));
            self.partial.insert(hash, partial);
        }
    }

    fn received_transactions(&mut self, peer: Peer, number: u64, found: Vec<SharedTransaction>) {
        let is_it = |partial: &Partial| {
            partial.peer == peer && partial.asked.is_some_and(|(asked, _)| asked == number)
        };
        let hash = self.partial.iter().find(|(_, partial)| is_it(partial)).map(|(hash, _)| *hash);
        let Some((hash, mut partial)) = hash.and_then(|hash| Some((hash, self.partial.remove(&hash)?)))
        else {
            return;
        };
        let missing = partial.transactions.iter_mut().filter(|slot| slot.is_none());
        let mut found = found.into_iter();
        missing.zip(&mut found).for_each(|(slot, transaction)| *slot = Some(transaction));
        self.completed(partial, hash);
    }

    fn completed(&mut self, partial: Partial, hash: BlockHash) {
        let Partial { header, transactions, peer, .. } = partial;
        if let Some(transactions) = transactions.into_iter().collect::<Option<Vec<_>>>() {
            let block = Block { header, proofs: Vec::new(), transactions };
            // If it is not whole, two transactions share a short id: the whole block is asked for.
            if block.is_whole() && self.tree.add_block(Arc::new(block)).is_ok() {
                self.givers.insert(hash, peer);
            }
        }
    }

    // --- Blocks ----------------------------------------------------------------------------------------------

    fn received_blocks(&mut self, peer: Peer, number: u64, blocks: Vec<Arc<Block>>) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(asked) = state.blocks.take_if(|asked| asked.number == number) else { return };
        state.is_slow &= blocks.is_empty();
        for block in blocks {
            let hash = block.hash();
            if !asked.blocks.contains(&hash) {
                return self.refuse(peer, "blocks", Penalty::fatal("a block that it was not asked for"));
            }
            if !block.is_whole() {
                let penalty = Penalty::fatal("a block whose body is not that of its header");
                return self.refuse(peer, "body", penalty);
            }
            if self.tree.add_block(block).is_ok() {
                self.givers.insert(hash, peer);
            }
        }
    }

    /// Asks peers that have nothing to answer for blocks that are wanted, each peer once for each block. What a slow peer is
    /// asked for is not under way.
    fn ask_blocks(&mut self, now: Time) {
        let missing = self.tree.missing(MAX_WANTED);
        let wanted: BTreeSet<BlockHash> = missing.iter().map(|(_, hash)| *hash).collect();
        self.asked.retain(|hash, _| wanted.contains(hash));
        self.note_wanted(&wanted, now);
        let mut under_way: BTreeSet<BlockHash> = self.partial.keys().copied().collect();
        for state in self.peers.values().filter(|state| !state.is_slow) {
            under_way.extend(state.blocks.iter().flat_map(|asked| asked.blocks.iter().copied()));
        }
        let mut idle: Vec<(bool, Peer)> = Vec::new();
        for (peer, state) in self.peers.iter().filter(|(_, state)| state.blocks.is_none()) {
            idle.push((state.is_slow, *peer));
        }
        idle.sort();
        for (_, peer) in idle {
            let places: Vec<Place> = missing
                .iter()
                .filter(|(_, hash)| !under_way.contains(hash))
                .filter(|(_, hash)| !self.asked.get(hash).is_some_and(|asked| asked.contains(&peer)))
                .take(MAX_BLOCKS_ASKED)
                .map(|(height, hash)| Place { height: *height, hash: *hash })
                .collect();
            if places.is_empty() {
                continue;
            }
            let blocks: Vec<BlockHash> = places.iter().map(|place| place.hash).collect();
            for hash in &blocks {
                under_way.insert(*hash);
                self.asked.entry(*hash).or_default().insert(peer);
            }
            let asked = self.send(peer, Request::Blocks(places), now);
            if let Some(state) = self.peers.get_mut(&peer) {
                state.blocks = Some(Asked { blocks, ..asked });
            }
        }
    }

    /// Remembers since when the next block of each branch is wanted.
    fn note_wanted(&mut self, wanted: &BTreeSet<BlockHash>, now: Time) {
        let tree = &self.tree;
        let is_next = |hash: &BlockHash| tree.is_next(hash) && !tree.is_withheld(hash);
        self.wanted_since.retain(|hash, _| wanted.contains(hash) && is_next(hash));
        for hash in wanted.iter().filter(|hash| is_next(hash)) {
            self.wanted_since.entry(*hash).or_insert(now);
        }
    }

    /// Branches whose next block nobody gives count no more; whether there are such.
    fn pass_over(&mut self, now: Time) -> bool {
        let late = self.wanted_since.extract_if(.., |_, since| *since + self.config.withheld_after <= now);
        let late: Vec<BlockHash> = late.map(|(hash, _)| hash).collect();
        late.iter().for_each(|hash| self.tree.withhold(*hash));
        if !late.is_empty() {
            // Whoever waits for the branch is told not to.
            self.behind = None;
            let height = self.tree.tip().height;
            self.emit(Event::Behind { height, target: height });
        }
        !late.is_empty()
    }

    /// Lets those be asked again for a block who were asked for it in vain, if everybody was.
    fn ask_again(&mut self) {
        let peers = &self.peers;
        self.asked.retain(|_, asked| !peers.keys().all(|peer| asked.contains(peer)));
    }

    // --- The chain -------------------------------------------------------------------------------------------

    /// Tries what could win, and asks for what it lacks.
    fn follow(&mut self, now: Time) {
        if self.adopting.is_none() {
            match self.tree.best() {
                Some(branch) => {
                    self.adopting = Some(branch.clone());
                    self.emit(Event::Adopt(branch));
                }
                None => self.pass_over_too_long(),
            }
        }
        self.ask_blocks(now);
        let (height, target) =
            (self.tree.tip().height, self.tree.best_header().height.max(self.tree.tip().height));
        // One or two blocks are on their way all the time.
        let behind = (target > height + 2 || (self.behind.is_some() && target > height)).then_some(target);
        if behind != self.behind && (behind.is_some() || self.adopting.is_none()) {
            self.behind = behind;
            self.emit(Event::Behind { height, target: behind.unwrap_or(height) });
        }
    }

    /// What has more work, and takes more blocks for it than can be tried, is for people to decide about.
    fn pass_over_too_long(&mut self) {
        while let Some(first) = self.tree.pass_over_too_long() {
            self.emit(Event::Refused("too-long"));
            if let Some(giver) = self.givers.remove(&first) {
                self.emit(Event::Diverged(giver));
            }
        }
    }

    fn adopted(&mut self) {
        let Some(branch) = self.adopting.take() else { return };
        let undone = self.tree.tip().height - branch.fork;
        self.standing.adopted += branch.blocks.len() as u64;
        self.standing.undone += undone;
        self.standing.reorganisations += u64::from(undone > 0);
        self.standing.deepest = self.standing.deepest.max(undone);
        if let Some(last) = branch.blocks.last() {
            let hash = last.hash();
            self.tree.adopted(hash);
            self.announce(last, hash);
        }
        self.givers
            .retain(|hash, _| self.tree.valid_block(hash).is_none() && self.tree.block(hash).is_some());
    }

    /// Tells every peer that does not know it of the chain's end, unless it is on the way to another.
    fn announce(&mut self, block: &Block, hash: BlockHash) {
        if self.tree.best_header().hash != hash {
            return;
        }
        let compact = CompactBlock::of(block);
        for (peer, state) in &mut self.peers {
            if state.knows != Some(hash) {
                state.knows = Some(hash);
                self.outputs.push_back(Output::Send(*peer, Message::Announce(compact.clone())));
            }
        }
    }

    fn refused(&mut self, invalid: Option<(BlockHash, &'static str, String)>) {
        let Some(branch) = self.adopting.take() else { return };
        let (hash, rule, reason) = match (invalid, branch.blocks.first()) {
            (Some(invalid), _) => invalid,
            (None, Some(first)) => (first.hash(), "too-old", "the branch parts too far back".into()),
            (None, None) => return,
        };
        self.tree.invalidate(hash);
        match self.givers.remove(&hash) {
            Some(peer) => self.refuse(peer, rule, Penalty::fatal(format!("an invalid block: {reason}"))),
            None => self.emit(Event::Refused(rule)),
        }
    }

    // --- Peers -----------------------------------------------------------------------------------------------

    /// A peer is there, or what it was told meanwhile is lost, because its channel was closed: it is asked, and keeps what
    /// it has done.
    fn connected(&mut self, peer: Peer, now: Time) {
        let state = self.peers.entry(peer).or_insert_with(|| PeerState {
            headers: None,
            blocks: None,
            ask_at: now,
            knows: None,
            low_work: TokenBucket::new(LOW_WORK, now),
            lookups: 0,
            has_diverged: false,
            is_slow: false,
        });
        state.knows = None;
        self.ask_headers(peer, None, now);
    }

    fn disconnected(&mut self, peer: Peer) {
        self.peers.remove(&peer);
        self.partial.retain(|_, partial| partial.peer != peer);
        self.lookups.retain(|_, (asker, _)| *asker != peer);
    }

    /// A request that was not answered in time, or failed.
    fn missed(&mut self, peer: Peer) {
        self.outputs.push_back(Output::Penalize(peer, Penalty::slight("a request that it did not answer")));
    }

    fn request_failed(&mut self, peer: Peer, number: u64) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let is_it = |asked: &mut Asked| asked.number == number;
        let is_slow = state.blocks.take_if(is_it).is_some();
        state.is_slow |= is_slow;
        let mut failed = is_slow || state.headers.take_if(is_it).is_some();
        let before = self.partial.len();
        self.partial.retain(|_, partial| {
            !(partial.peer == peer && partial.asked.is_some_and(|(asked, _)| asked == number))
        });
        failed |= self.partial.len() < before;
        if failed {
            self.missed(peer);
        }
    }

    fn requested(&mut self, peer: Peer, number: u64, request: Request) {
        if let Some(response) = serving::respond_from(&self.tree, &request) {
            self.outputs.push_back(Output::Send(peer, Message::Response { number, response }));
            return;
        }
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if state.lookups >= MAX_LOOKUPS {
            let response = serving::respond(&request, |_| None);
            self.outputs.push_back(Output::Send(peer, Message::Response { number, response }));
            return;
        }
        state.lookups += 1;
        let token = self.number();
        self.lookups.insert(token, (peer, number));
        self.emit(Event::Lookup { token, request });
    }

    fn found(&mut self, token: u64, response: Response) {
        if let Some((peer, number)) = self.lookups.remove(&token)
            && let Some(state) = self.peers.get_mut(&peer)
        {
            state.lookups = state.lookups.saturating_sub(1);
            self.outputs.push_back(Output::Send(peer, Message::Response { number, response }));
        }
    }
}

impl Machine for Mining {
    type Message = Message;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, input: Input<Self>, now: Time) {
        match input {
            Input::Connected(peer) => self.connected(peer, now),
            Input::Disconnected(peer) => self.disconnected(peer),
            Input::Received(peer, _) if !self.peers.contains_key(&peer) => {}
            Input::Received(peer, Message::Announce(compact)) => self.announced(peer, compact, now),
            Input::Received(peer, Message::Request { number, request }) => {
                self.requested(peer, number, request)
            }
            Input::Received(peer, Message::Response { number, response }) => match response {
                Response::Headers(headers) => self.received_headers(peer, number, headers, now),
                Response::Blocks(blocks) => self.received_blocks(peer, number, blocks),
                Response::Transactions(found) => self.received_transactions(peer, number, found),
            },
            Input::Command(Command::Mined(block)) => {
                if block.is_whole() {
                    // One that the tree refuses was overtaken while it was mined.
                    let _ = self.tree.add_block(block);
                }
            }
            Input::Command(Command::Adopted) => self.adopted(),
            Input::Command(Command::Refused(invalid)) => self.refused(invalid),
            Input::Command(Command::Reconstructed { block, transactions }) => {
                self.reconstructed(block, transactions, now);
            }
            Input::Command(Command::Found { token, response }) => self.found(token, response),
            Input::Command(Command::RequestFailed { peer, number }) => self.request_failed(peer, number),
        }
        self.follow(now);
    }

    fn handle_timeout(&mut self, now: Time) {
        let mut late = Vec::new();
        for (peer, state) in &mut self.peers {
            let is_late = |asked: &mut Asked| asked.deadline <= now;
            let is_slow = state.blocks.take_if(is_late).is_some();
            state.is_slow |= is_slow;
            if state.headers.take_if(is_late).is_some() || is_slow {
                late.push(*peer);
            }
        }
        let is_late = |partial: &Partial| partial.asked.is_some_and(|(_, deadline)| deadline <= now);
        late.extend(
            self.partial.extract_if(.., |_, partial| is_late(partial)).map(|(_, partial)| partial.peer),
        );
        let is_due = !late.is_empty();
        late.into_iter().for_each(|peer| self.missed(peer));
        let due = self.peers.iter_mut().filter(|(_, state)| state.ask_at <= now);
        let due: Vec<Peer> = due
            .map(|(peer, state)| {
                state.ask_at = now + self.config.ask_interval;
                *peer
            })
            .collect();
        if !due.is_empty() {
            // Whoever lacked a block may have it now.
            self.ask_again();
        }
        let is_due = is_due | !due.is_empty() | self.pass_over(now);
        due.into_iter().for_each(|peer| self.ask_headers(peer, None, now));
        if is_due {
            self.follow(now);
        }
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        let of_peers = self.peers.values().flat_map(|state| {
            let asked = [&state.headers, &state.blocks].into_iter().flatten().map(|asked| asked.deadline);
            asked.chain([state.ask_at])
        });
        let of_wanted = self.wanted_since.values().map(|since| *since + self.config.withheld_after);
        let of_partial =
            self.partial.values().filter_map(|partial| partial.asked.map(|(_, deadline)| deadline));
        of_peers.chain(of_wanted).chain(of_partial).min()
    }
}
