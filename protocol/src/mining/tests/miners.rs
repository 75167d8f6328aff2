//! When work is done.

use super::lab::{at, mine, record};
use crate::{
    machine::{Input, Machine, Output},
    mining::{Miner, MinerCommand, MinerEvent, tests::lab::genesis},
};
use conclave_ledger::{block::Block, chain::Chain};
use std::sync::Arc;

fn events(miner: &mut Miner) -> Vec<MinerEvent> {
    std::iter::from_fn(|| miner.poll_output())
        .map(|output| match output {
            Output::Emit(event) => event,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn template() -> Arc<Block> {
    mine(&Chain::new(genesis()), 1, &[record("one")])
}

fn tell(miner: &mut Miner, command: MinerCommand, ms: u64) -> Vec<MinerEvent> {
    miner.handle(Input::Command(command), at(ms));
    events(miner)
}

#[test]
fn work_begins_with_a_template_and_ends_with_the_tip() {
    let (mut miner, template) = (Miner::default(), template());
    assert_eq!(tell(&mut miner, MinerCommand::Pool, 0), [MinerEvent::Build]);
    assert_eq!(tell(&mut miner, MinerCommand::Tip, 0), [], "it is being built");
    let work = MinerEvent::Work { ticket: 1, template: template.clone() };
    assert_eq!(tell(&mut miner, MinerCommand::Built(Some(template.clone())), 0), [work]);
    // More transactions: not at once, as each may come by itself.
    assert_eq!(tell(&mut miner, MinerCommand::Pool, 100), []);
    assert_eq!(miner.poll_timeout(), Some(at(500)));
    miner.handle_timeout(at(500));
    assert_eq!(events(&mut miner), [MinerEvent::Build]);
    let work = MinerEvent::Work { ticket: 2, template: template.clone() };
    assert_eq!(tell(&mut miner, MinerCommand::Built(Some(template.clone())), 500), [work]);
    assert_eq!(tell(&mut miner, MinerCommand::Tip, 600), [MinerEvent::Rest, MinerEvent::Build]);
    assert_eq!(tell(&mut miner, MinerCommand::Built(None), 600), []);
    assert_eq!(miner.poll_timeout(), None, "nothing to work for");
    assert_eq!(tell(&mut miner, MinerCommand::Found { ticket: 2, nonce: 7 }, 700), [], "too late");
}

#[test]
fn what_is_found_is_put_into_the_block() {
    let (mut miner, template) = (Miner::default(), template());
    tell(&mut miner, MinerCommand::Tip, 0);
    tell(&mut miner, MinerCommand::Built(Some(template.clone())), 0);
    let found = tell(&mut miner, MinerCommand::Found { ticket: 1, nonce: 0x0102 }, 10);
    let [MinerEvent::Mined(block)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(block.header.work.unwrap().nonce.0, [0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(block.transactions, template.transactions);
    assert_eq!(tell(&mut miner, MinerCommand::Found { ticket: 1, nonce: 9 }, 10), [], "once");
    // An old template is built anew although nothing has changed.
    tell(&mut miner, MinerCommand::Tip, 20);
    tell(&mut miner, MinerCommand::Built(Some(template)), 20);
    assert_eq!(miner.poll_timeout(), Some(at(5_020)));
}
