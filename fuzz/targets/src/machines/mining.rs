//! Following the branch with the most work, with peers that have mined what they say, and peers that have not.

use super::admission::any_peer;
use crate::{
    draw::{self, below, chance},
    laws::Subject,
    world,
};
use arbitrary::Unstructured;
use conclave_ledger::{
    block::{Block, Decided},
    chain::{Chain, NothingKnown},
    genesis::{Engine, Genesis},
    keys::PublicKey,
    proof_of_work::{Nonce, NotReorganised, Parameters, SealSearch, reorganise},
};
use conclave_protocol::{
    machine::{Input, Machine, Output},
    mining::{
        Command, CompactBlock, Config, Event, MAX_LOOKUPS, Message, Mining, Request, Response, respond,
    },
    peer::Peer,
    time::Time,
};
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

/// Blocks of a chain and of a branch, all of which keep the rules.
static BLOCKS: LazyLock<Vec<Arc<Block>>> = LazyLock::new(|| {
    let mut blocks = Vec::new();
    for miner in [1, 2] {
        let mut chain = chain();
        for _ in 0..4 {
            let now = chain.tip().timestamp + 1_000;
            let Some(mut block) = chain.template(PublicKey([miner; 32]), now, false, []) else { break };
            let nonce = SealSearch::new(&block.header).and_then(|mut search| search.find(0, u64::MAX));
            if let (Some(seal), Some(nonce)) = (&mut block.header.work, nonce) {
                seal.nonce = Nonce(nonce.to_be_bytes());
            }
            let block = Arc::new(block);
            if chain.apply(&Decided::Block(block.clone()), None, &NothingKnown, false).is_err() {
                break;
            }
            blocks.push(block);
        }
    }
    assert_eq!(blocks.len(), 8, "the blocks keep the rules");
    blocks
});

fn chain() -> Chain {
    let mut genesis: Genesis = world::GENESIS.as_ref().clone();
    genesis.engine = Engine::ProofOfWork;
    genesis.validators.clear();
    genesis.proof_of_work =
        Some(Parameters { leading_zero_bits: 1, mine_empty: true, ..Parameters::default() });
    Chain::new(Arc::new(genesis))
}

pub(super) struct Branching {
    machine: Mining,
    chain: Chain,
    asked: Vec<(Peer, u64, Request)>,
    lookups: Vec<(u64, Request)>,
    /// What the machine wants to be told of what it has asked its own node.
    owed: Vec<Command>,
}

impl Branching {
    fn message(&mut self, source: &mut Unstructured<'_>) -> Option<Message> {
        let block = &BLOCKS[below(source, BLOCKS.len())];
        Some(match below(source, 6) {
            0 => Message::Announce(CompactBlock::of(block)),
            1 => Message::Announce(draw::value(source, &world::KNOWN).ok()?),
            2 => Message::Request {
                number: draw::number(source, &world::KNOWN),
                request: draw::value(source, &world::KNOWN).ok()?,
            },
            3 => Message::Response {
                number: draw::number(source, &world::KNOWN),
                response: draw::value(source, &world::KNOWN).ok()?,
            },
            4 => {
                let mut compact = CompactBlock::of(block);
                compact.header.timestamp = draw::number(source, &world::KNOWN);
                compact.header.height = draw::number(source, &world::KNOWN);
                Message::Announce(compact)
            }
            _ => return None,
        })
    }

    /// What a peer answers to what it was asked: true, or rather something else.
    fn answer(&mut self, source: &mut Unstructured<'_>) -> Option<(Peer, Message)> {
        if self.asked.is_empty() {
            return None;
        }
        let (peer, number, request) = self.asked.swap_remove(below(source, self.asked.len()));
        let from = below(source, 2) * 4;
        let read =
            |height: u64| BLOCKS[from..from + 4].get(usize::try_from(height).ok()?.checked_sub(1)?).cloned();
        let response = match chance(source, 32) {
            true => draw::value(source, &world::KNOWN).ok()?,
            false => respond(&request, read),
        };
        Some((peer, Message::Response { number, response }))
    }
}

impl Subject for Branching {
    type Machine = Mining;

    fn new(_: &mut Unstructured<'_>) -> Self {
        let chain = chain();
        let machine = Mining::new(Config::for_delta(Duration::from_millis(500)), &chain);
        let machine = machine.expect("the chain is one by proof of work");
        Self { machine, chain, asked: Vec::new(), lookups: Vec::new(), owed: Vec::new() }
    }

    fn machine(&mut self) -> &mut Mining {
        &mut self.machine
    }

    fn own(&self) -> Peer {
        world::peer(0)
    }

    fn input(&mut self, source: &mut Unstructured<'_>, now: Time) {
        // The node answers before anything else happens.
        for command in std::mem::take(&mut self.owed) {
            self.machine.handle(Input::Command(command), now);
        }
        let peer = any_peer(source);
        let input = match below(source, 9) {
            0 | 1 => Some(Input::Connected(peer)),
            2 => Some(Input::Disconnected(peer)),
            3 | 4 => self.message(source).map(|message| Input::Received(peer, message)),
            5 | 6 => self.answer(source).map(|(peer, message)| Input::Received(peer, message)),
            7 if !self.lookups.is_empty() => {
                let (token, request) = self.lookups.swap_remove(below(source, self.lookups.len()));
                let response = respond(&request, |_| None);
                Some(Input::Command(Command::Found { token, response }))
            }
            7 if !self.asked.is_empty() => {
                let (peer, number, _) = self.asked.swap_remove(below(source, self.asked.len()));
                Some(Input::Command(Command::RequestFailed { peer, number }))
            }
            _ => {
                let block = BLOCKS[below(source, BLOCKS.len())].clone();
                Some(Input::Command(Command::Mined(block)))
            }
        };
        if let Some(input) = input {
            self.machine.handle(input, now);
        }
    }

    fn heed(&mut self, output: Output<Mining>, _: Time) {
        match output {
            Output::Send(peer, Message::Request { number, request }) => {
                self.asked.push((peer, number, request))
            }
            Output::Send(_, Message::Response { response: Response::Blocks(blocks), .. }) => {
                assert!(blocks.iter().all(|block| block.is_whole()), "gives a block that is not whole");
            }
            Output::Emit(Event::Lookup { token, request }) => self.lookups.push((token, request)),
            Output::Emit(Event::Reconstruct { block, short_ids }) => {
                let transactions = vec![None; short_ids.len()];
                self.owed.push(Command::Reconstructed { block, transactions });
            }
            Output::Emit(Event::Adopt(branch)) => {
                let before = self.chain.position();
                let done = reorganise(&mut self.chain, branch.fork, &branch.blocks, &NothingKnown);
                self.owed.push(match done {
                    Ok(_) => {
                        let work = |position: Option<conclave_ledger::proof_of_work::Position>| {
                            position.map(|position| position.work())
                        };
                        assert!(work(self.chain.position()) > work(before), "adopts a branch with less work");
                        Command::Adopted
                    }
                    Err(NotReorganised::Invalid { hash, error, .. }) => {
                        Command::Refused(Some((hash, error.name(), error.to_string())))
                    }
                    Err(NotReorganised::TooDeep(_)) => Command::Refused(None),
                });
            }
            _ => {}
        }
    }

    fn check(&mut self) {
        let most = MAX_LOOKUPS * world::NODES;
        assert!(self.lookups.len() <= most, "{} lookups", self.lookups.len());
    }
}
