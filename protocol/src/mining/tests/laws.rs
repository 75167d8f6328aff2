//! The laws of machines, under whatever peers send.

use super::lab::{Host, Lab, at, mine, peer, record};
use crate::{
    machine::{Input, Machine},
    mining::{Command, CompactBlock, Message, Place, Request, Response},
};
use conclave_ledger::{block::Block, hash::Hash, proof_of_work::Nonce};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

/// A chain of four blocks, and one that forks off.
static MATERIAL: LazyLock<Vec<Arc<Block>>> = LazyLock::new(|| {
    let mut lab = Lab::new(1);
    let fork = mine(&lab.hosts[0].chain, 9, &[record("fork")]);
    let mut blocks: Vec<Arc<Block>> = (0..4)
        .map(|number| {
            lab.submit(&record(&number.to_string()), &[0]);
            lab.mine(0)
        })
        .collect();
    blocks.push(fork);
    blocks
});

/// What a peer may say, out of numbers: true blocks and such that are wrong at one place.
fn message(blocks: &[Arc<Block>], what: u8, which: usize, change: u8, number: u64) -> Message {
    let mut block = blocks[which % blocks.len()].as_ref().clone();
    match change {
        0 => block.header.timestamp ^= 1,
        1 => block.header.parent = Hash([7; 32]),
        2 => block.header.work = None,
        3 => block.header.height = block.header.height.wrapping_sub(2),
        4 => block.transactions.clear(),
        5 => block.header.work.as_mut().unwrap().nonce = Nonce([0xff; 8]),
        6 => block.header.height = u64::MAX,
        _ => {}
    }
    let place = Place { height: block.header.height, hash: block.hash() };
    match what % 8 {
        0 => Message::Announce(CompactBlock::of(&block)),
        1 => Message::Request { number, request: Request::Headers(vec![place; which % 70]) },
        2 => Message::Request { number, request: Request::Blocks(vec![place; which % 20]) },
        3 => {
            let indexes = vec![which as u32, number as u32];
            Message::Request { number, request: Request::Transactions { block: place, indexes } }
        }
        4 => {
            let headers = blocks.iter().map(|block| block.header.clone()).take(which % 6);
            Message::Response { number, response: Response::Headers(headers.collect()) }
        }
        5 => Message::Response { number, response: Response::Headers(vec![block.header]) },
        6 => Message::Response {
            number,
            response: Response::Blocks(std::iter::repeat_n(Arc::new(block), which % 3).collect()),
        },
        _ => Message::Response { number, response: Response::Transactions(block.transactions) },
    }
}

#[derive(Clone, Debug)]
enum Step {
    Connect(usize),
    Disconnect(usize),
    Say { from: usize, what: u8, which: usize, change: u8, number: u64 },
    Fail(usize, u64),
    Wait(u64),
    Mined(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0usize..3).prop_map(Step::Connect),
        (0usize..3).prop_map(Step::Disconnect),
        (0usize..3, any::<u8>(), 0usize..100, 0u8..20, 0u64..40).prop_map(
            |(from, what, which, change, number)| { Step::Say { from, what, which, change, number } }
        ),
        (0usize..3, 0u64..40).prop_map(|(from, number)| Step::Fail(from, number)),
        (0u64..20_000).prop_map(Step::Wait),
        (0usize..5).prop_map(Step::Mined),
    ]
}

/// Plays the steps and gives all that the machine wanted.
fn play(blocks: &[Arc<Block>], steps: &[Step]) -> (Vec<String>, u64) {
    let (mut host, mut now, mut log) = (Host::new(), 0, Vec::new());
    for step in steps {
        match step.clone() {
            Step::Connect(from) => host.mining.handle(Input::Connected(peer(from)), at(now)),
            Step::Disconnect(from) => host.mining.handle(Input::Disconnected(peer(from)), at(now)),
            Step::Say { from, what, which, change, number } => {
                let message = message(blocks, what, which, change, number);
                host.mining.handle(Input::Received(peer(from), message), at(now));
            }
            Step::Fail(from, number) => {
                let command = Command::RequestFailed { peer: peer(from), number };
                host.mining.handle(Input::Command(command), at(now));
            }
            Step::Wait(ms) => {
                now += ms;
                host.mining.handle_timeout(at(now));
                assert!(host.mining.poll_timeout().is_none_or(|next| next > at(now)));
            }
            Step::Mined(which) => {
                host.mining.handle(Input::Command(Command::Mined(blocks[which].clone())), at(now));
            }
        }
        log.extend(host.settle(at(now)).into_iter().map(|sent| format!("{sent:?}")));
        log.extend(host.blamed.drain(..).map(|blame| format!("{blame:?}")));
        assert_eq!(host.mining.tree().tip(), &host.chain.position().unwrap());
    }
    (log, host.chain.tip().height)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_peers_say(steps in proptest::collection::vec(step(), 0..60)) {
        prop_assert_eq!(play(&MATERIAL, &steps), play(&MATERIAL, &steps), "the same inputs, the same outputs");
    }
}
