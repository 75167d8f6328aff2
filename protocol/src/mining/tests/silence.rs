//! Peers that keep silent, or show headers and hide their blocks: nobody waits for them.

use super::{
    lab::{Lab, parameters, peer},
    lies::{LIAR, blind, number_of_request, send, with_liar},
};
use crate::{
    machine::{Input, Machine},
    mining::{Config, MAX_HEADERS_ANSWERED, Message, Request, Response},
};
use conclave_ledger::{block::Header, proof_of_work::Position};
use std::time::Duration;

fn config() -> Config {
    Config::for_delta(Duration::from_millis(100))
}

/// Headers that follow `position`.
fn headers_after(lab: &Lab, mut position: Position, count: usize) -> Vec<Header> {
    (0..count)
        .map(|miner| {
            let header = blind(lab, &position, (miner % 251) as u8);
            position = position.after(&header, header.hash(), &parameters());
            header
        })
        .collect()
}

/// The first peers, in their order, never answer.
#[test]
fn silent_peers_keep_no_blocks_from_a_newcomer() {
    const HONEST: usize = 4;
    let mut lab = Lab::new(HONEST + 1);
    for _ in 0..40 {
        lab.mine(HONEST);
    }
    (1..HONEST).for_each(|silent| lab.hosts[0].mining.handle(Input::Connected(peer(silent)), lab.now));
    lab.connect(0, HONEST);
    for _ in 1..HONEST {
        lab.wait(config().response_timeout.as_millis() as u64);
    }
    assert_eq!(lab.heights()[0], 40, "each of them is waited for once");
}

/// More headers than blocks are wanted at a time, on which more work was done than on the chain, and no block.
#[test]
fn hidden_blocks_stop_nobody() {
    let mut lab = Lab::new(2);
    lab.connect_all();
    lab.mine(0);
    let hidden = headers_after(&lab, lab.hosts[0].chain.position().unwrap(), 100);
    for victim in 0..2 {
        lab.hosts[victim].mining.handle(Input::Connected(peer(LIAR)), lab.now);
        let sent = lab.hosts[victim].settle(lab.now);
        let number = number_of_request(&sent, |request| matches!(request, Request::Headers(_)));
        let response = Response::Headers(hidden.clone());
        let message = Message::Response { number, response };
        lab.hosts[victim].mining.handle(Input::Received(peer(LIAR), message), lab.now);
        assert_eq!(lab.hosts[victim].mining.tree().best_header().height, 101);
    }
    lab.carry();
    lab.wait(config().withheld_after.as_millis() as u64);
    let tip = *lab.hosts[0].mining.tree().tip();
    assert_eq!(lab.hosts[0].mining.tree().best_header(), &tip, "it waits for them no more");
    // What is mined is told of, and followed.
    lab.carried.clear();
    lab.mine(0);
    assert_eq!((lab.heights(), lab.carried.get("announce")), (vec![2, 2], Some(&1)));
    // A branch of others, with less work than the hidden one, is fetched.
    lab.cut(0, 1);
    for _ in 0..80 {
        lab.mine(0);
    }
    lab.connect(0, 1);
    assert_eq!(lab.heights(), [82, 82]);
}

#[test]
fn a_full_answer_without_news_is_not_followed_by_a_question() {
    let mut lab = with_liar();
    let start = Position::start(&super::lab::genesis());
    let headers = headers_after(&lab, start, MAX_HEADERS_ANSWERED);
    let is_question = |(_, message): &(usize, Message)| {
        matches!(message, Message::Request { request: Request::Headers(_), .. })
    };
    // Its numbers are not known to this test: the first questions are the machine's first requests.
    let mut asked = 0;
    for number in 1..=20 {
        let response = Response::Headers(headers.clone());
        let sent = send(&mut lab, Message::Response { number, response });
        asked += sent.iter().filter(|sent| is_question(sent)).count();
    }
    assert_eq!(asked, 1, "for the first answer, which was news");
}
