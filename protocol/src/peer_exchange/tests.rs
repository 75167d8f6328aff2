//! Honest exchanges, answers that do not hold, and the laws of machines.

use super::*;
use crate::{
    admission::Puzzle,
    machine::{Input, Machine, Output},
    peer::Peer,
    peer_record::{PeerRecord, peer_of_key},
    penalty::{Penalty, Severity},
    time::Time,
};
use conclave_ledger::{bytes::Bytes, hash::Hash, keys::SecretKey};
use proptest::prelude::*;
use std::time::Duration;

const BITS: u8 = 6;

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

fn peer(number: u8) -> Peer {
    peer_of_key(&key(number).public())
}

fn told(number: u8) -> Told {
    let record = PeerRecord::sign(&key(number), 1, &[vec![4, 10, 0, 0, number, 6, 0, 80]]);
    Told { record: Bytes(record.envelope().to_vec()), validator: None }
}

fn at(seconds: u64) -> Time {
    Time::after_start(Duration::from_secs(seconds))
}

fn machine(number: u8) -> PeerExchange {
    PeerExchange::new(Config { network: Hash([7; 32]), peer: peer(number), bits: BITS, seed: [number; 32] })
}

#[derive(Debug, Default)]
struct Wanted {
    sent: Vec<(Peer, Message)>,
    blamed: Vec<(Peer, Penalty)>,
    events: Vec<Event>,
}

fn drain(machine: &mut PeerExchange) -> Wanted {
    let mut wanted = Wanted::default();
    while let Some(output) = machine.poll_output() {
        match output {
            Output::Send(peer, message) => wanted.sent.push((peer, message)),
            Output::Penalize(peer, penalty) => wanted.blamed.push((peer, penalty)),
            Output::Emit(event) => wanted.events.push(event),
        }
    }
    wanted
}

fn command(machine: &mut PeerExchange, command: Command, seconds: u64) -> Wanted {
    machine.handle(Input::Command(command), at(seconds));
    drain(machine)
}

fn receive(machine: &mut PeerExchange, from: u8, message: Message, seconds: u64) -> Wanted {
    machine.handle(Input::Received(peer(from), message), at(seconds));
    drain(machine)
}

fn question(number: u64) -> Message {
    Message::Request { number, request: Request::Peers { limit: 2, nonce: 5, bits: BITS } }
}

fn solve(puzzle: &Puzzle) -> u64 {
    puzzle.search().attempt(0, 1 << 20).unwrap()
}

fn refusal(wanted: &Wanted) -> Option<Refusal> {
    wanted.sent.iter().find_map(|(_, message)| match message {
        Message::Response { response: Response::Refused(reason), .. } => Some(*reason),
        _ => None,
    })
}

/// Node 0 asks node 1, an observer, which works for its answer.
#[test]
fn an_observer_works_for_what_it_says() {
    let (mut asker, mut responder) = (machine(0), machine(1));
    let mut wanted = command(&mut asker, Command::Ask { peer: peer(1), exempt: false }, 0);
    let (_, message) = wanted.sent.remove(0);
    assert!(command(&mut asker, Command::Ask { peer: peer(1), exempt: false }, 0).sent.is_empty());
    command(&mut responder, Command::MayAsk { peer: peer(0) }, 0);
    let wanted = receive(&mut responder, 0, message, 0);
    let [Event::Asked { by }, Event::Solve { ticket, puzzle }] = wanted.events[..] else {
        panic!("{wanted:?}")
    };
    assert_eq!(by, peer(0));
    let solved = Command::Solved { ticket, solution: solve(&puzzle) };
    let wanted = command(&mut responder, solved, 2);
    let [Event::Choose { peer: to, number, limit: MAX_RECORDS, solution }] = wanted.events[..] else {
        panic!("{wanted:?}")
    };
    let chosen = Command::Chosen { peer: to, number, solution, peers: vec![told(5), told(6)] };
    let (_, answer) = command(&mut responder, chosen, 2).sent.remove(0);
    let wanted = receive(&mut asker, 1, answer, 3);
    let [Event::Learned { by, peers }] = &wanted.events[..] else { panic!("{wanted:?}") };
    let names: Vec<Peer> = peers.iter().map(|(record, _)| record.peer()).collect();
    assert_eq!((*by, names), (peer(1), vec![peer(5), peer(6)]));
}

#[test]
fn nobody_is_asked_more_often_than_is_answered() {
    let mut asker = machine(0);
    let mut asked = Vec::new();
    for second in 0..30 {
        let wanted = command(&mut asker, Command::Ask { peer: peer(1), exempt: true }, second);
        for (_, message) in wanted.sent {
            let Message::Request { number, .. } = message else { panic!("{message:?}") };
            asked.push(second);
            let response = Response::Refused(Refusal::Busy);
            receive(&mut asker, 1, Message::Response { number, response }, second);
        }
    }
    assert_eq!(asked, [0, 10, 20]);
}

#[test]
fn a_validator_answers_at_once() {
    let mut responder = machine(1);
    responder.set_exempt(true);
    command(&mut responder, Command::MayAsk { peer: peer(0) }, 0);
    let wanted = receive(&mut responder, 0, question(7), 0);
    let choose = Event::Choose { peer: peer(0), number: 7, limit: 2, solution: None };
    assert_eq!(wanted.events, [choose]);
}

#[test]
fn only_the_admitted_are_answered_and_not_too_often() {
    let mut responder = machine(1);
    let wanted = receive(&mut responder, 0, question(1), 0);
    assert_eq!((refusal(&wanted), wanted.blamed.len()), (Some(Refusal::NotAdmitted), 1));
    command(&mut responder, Command::MayAsk { peer: peer(0) }, 0);
    assert_eq!(refusal(&receive(&mut responder, 0, question(2), 0)), None);
    assert_eq!(refusal(&receive(&mut responder, 0, question(3), 4)), Some(Refusal::TooSoon));
    let hard = Request::Peers { limit: 1, nonce: 1, bits: 40 };
    command(&mut responder, Command::MayAsk { peer: peer(2) }, 0);
    let wanted = receive(&mut responder, 2, Message::Request { number: 4, request: hard }, 0);
    assert_eq!(refusal(&wanted), Some(Refusal::TooHard));
    for number in 10..10 + MAX_WAITING as u8 {
        command(&mut responder, Command::MayAsk { peer: peer(number) }, 0);
        let wanted = receive(&mut responder, number, question(u64::from(number)), 0);
        assert_eq!(wanted.events, [Event::Asked { by: peer(number) }], "one is solved at a time");
        assert!(refusal(&wanted).is_none());
    }
    command(&mut responder, Command::MayAsk { peer: peer(30) }, 0);
    assert_eq!(refusal(&receive(&mut responder, 30, question(5), 0)), Some(Refusal::Busy));
    // Those who went away, or wait for too long, are not worked for.
    responder.handle(Input::Disconnected(peer(0)), at(1));
    let wanted = drain(&mut responder);
    assert!(matches!(wanted.events[..], [Event::Cancel { ticket: 1 }, Event::Solve { .. }]), "{wanted:?}");
    responder.handle_timeout(at(60));
    assert!(matches!(drain(&mut responder).events[..], [Event::Cancel { .. }]));
}

#[test]
fn answers_that_do_not_hold_are_blamed() {
    type Answer = fn(u64) -> (Option<u64>, Vec<Told>);
    // A record of node 5 that node 6 has signed.
    fn forged() -> Told {
        let mut forged = told(5);
        let other = told(6).record.0;
        let length = forged.record.0.len();
        forged.record.0[length - 64..].copy_from_slice(&other[length - 64..]);
        forged
    }
    let table: [(Severity, Answer); 5] = [
        (Severity::Fatal, |solution| (Some(solution), vec![told(5), forged()])),
        (Severity::Fatal, |solution| {
            (Some(solution), vec![Told { record: Bytes(b"nonsense".to_vec()), validator: None }])
        }),
        (Severity::Fatal, |solution| (Some(solution), vec![told(5); usize::from(MAX_RECORDS) + 1])),
        (Severity::Fatal, |solution| (Some(!solution), vec![told(5)])),
        (Severity::Serious, |_| (None, vec![told(5)])),
    ];
    for (severity, answer) in table {
        let mut asker = machine(0);
        let wanted = command(&mut asker, Command::Ask { peer: peer(1), exempt: false }, 0);
        let (_, Message::Request { number, request: Request::Peers { nonce, bits, .. } }) = wanted.sent[0]
        else {
            panic!("{wanted:?}")
        };
        let (solution, peers) = answer(solve(&asker.puzzle(peer(0), peer(1), nonce, bits)));
        let response = Response::Peers { solution, peers };
        let wanted = receive(&mut asker, 1, Message::Response { number, response }, 1);
        assert_eq!(wanted.events, [Event::Refused { by: peer(1) }]);
        assert_eq!(wanted.blamed[0].1.severity, severity, "{}", wanted.blamed[0].1.reason);
    }
}

#[test]
fn messages_read_back_and_stay_in_their_bound() {
    use crate::peer_record::MAX_RECORD_BYTES;
    use conclave_ledger::codec::{decode, encode};
    let request = Request::Peers { limit: u16::MAX, nonce: u64::MAX, bits: u8::MAX };
    assert_eq!(decode::<Request>(&encode(&request), MAX_REQUEST_BYTES), Ok(request));
    let largest = Told { record: Bytes(vec![255; MAX_RECORD_BYTES]), validator: Some(key(1).public()) };
    let peers = vec![largest; usize::from(MAX_RECORDS)];
    let response = Response::Peers { solution: Some(u64::MAX), peers };
    assert_eq!(decode::<Response>(&encode(&response), MAX_RESPONSE_BYTES), Ok(response));
}

/// Kind of input, peer, another number; nothing stands for a timeout.
type Step = Option<(u8, u8, u64)>;

fn run(steps: &[(u64, Step)]) -> Vec<String> {
    let mut machine = machine(0);
    let (mut now, mut outputs) = (0, Vec::new());
    for (pause, step) in steps {
        now += pause;
        match *step {
            None => {
                machine.handle_timeout(at(now));
                let next = machine.poll_timeout();
                assert!(next.is_none_or(|next| next > at(now)), "{next:?} is not after {:?}", at(now));
            }
            Some((kind, whom, other)) => {
                let response =
                    |response| Input::Received(peer(whom), Message::Response { number: other, response });
                machine.handle(
                    match kind {
                        0 | 1 => Input::Command(Command::MayAsk { peer: peer(whom) }),
                        2 => Input::Command(Command::Ask { peer: peer(whom), exempt: other % 2 == 0 }),
                        3 => Input::Command(Command::Solved { ticket: other, solution: other }),
                        4 => Input::Command(Command::RequestFailed { peer: peer(whom), number: other }),
                        5 | 6 => Input::Received(peer(whom), question(other)),
                        7 => response(Response::Refused(Refusal::Busy)),
                        8 => response(Response::Peers { solution: None, peers: vec![told(whom)] }),
                        _ => Input::Disconnected(peer(whom)),
                    },
                    at(now),
                );
            }
        }
        let wanted = drain(&mut machine);
        assert!(wanted.sent.len() + wanted.events.len() + wanted.blamed.len() < 64, "{wanted:?}");
        outputs.push(format!("{wanted:?}"));
    }
    outputs
}

proptest! {
    #[test]
    fn the_laws_hold_for_any_inputs(
        steps in proptest::collection::vec(
            (0u64..20, proptest::option::weighted(0.8, (0u8..10, 0u8..6, 0u64..12))), 1..100)
    ) {
        prop_assert_eq!(run(&steps), run(&steps));
    }
}
