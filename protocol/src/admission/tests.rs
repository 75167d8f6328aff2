//! Honest admissions, every way of cheating, the limits, and the laws of machines.

use super::*;
use crate::{
    machine::{Input, Machine, Output},
    network_group::NetworkGroup,
    peer::Peer,
    penalty::{Penalty, Severity},
    time::Time,
};
use conclave_ledger::hash::Hash;
use proptest::prelude::*;
use std::time::Duration;

const BITS: u8 = 8;

fn peer(number: u16) -> Peer {
    Peer::from_bytes(&[&[0; 36][..], &number.to_be_bytes()].concat()).unwrap()
}

fn at(seconds: u64) -> Time {
    Time::after_start(Duration::from_secs(seconds))
}

fn machine(number: u16) -> Admission {
    Admission::new(Config {
        network: Hash([7; 32]),
        peer: peer(number),
        bits: BITS,
        expiry: Duration::from_secs(60),
        remember: Duration::from_secs(3600),
        seed: [number as u8; 32],
    })
}

#[derive(Debug, Default)]
struct Wanted {
    sent: Vec<(Peer, Message)>,
    blamed: Vec<(Peer, Penalty)>,
    events: Vec<Event>,
}

fn drain(machine: &mut Admission) -> Wanted {
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

fn command(machine: &mut Admission, command: Command, now: Time) -> Wanted {
    machine.handle(Input::Command(command), now);
    drain(machine)
}

fn group() -> NetworkGroup {
    NetworkGroup::V4([192, 0])
}

fn accepted(machine: &mut Admission, number: u16, now: Time) -> Wanted {
    let (peer, group) = (peer(number), group());
    command(machine, Command::Joined { peer, group, dialled: false, exempt: false }, now)
}

fn dialled(machine: &mut Admission, number: u16, now: Time) -> Wanted {
    let (peer, group) = (peer(number), group());
    command(machine, Command::Joined { peer, group, dialled: true, exempt: false }, now)
}

fn ask(machine: &mut Admission, from: u16, request: Request, now: Time) -> Wanted {
    machine.handle(Input::Received(peer(from), Message::Request { number: 1 << 40, request }), now);
    drain(machine)
}

fn nonce_in(wanted: &Wanted) -> u64 {
    match wanted.sent[..] {
        [(_, Message::Request { request: Request::Challenge { nonce, bits: BITS }, .. })] => nonce,
        _ => panic!("no challenge: {wanted:?}"),
    }
}

fn solution(verifier: u16, prover: u16, nonce: u64) -> u64 {
    let (purpose, network) = (Purpose::Admission, Hash([7; 32]));
    let (verifier, prover) = (peer(verifier), peer(prover));
    let puzzle = Puzzle { purpose, network, verifier, prover, nonce, bits: BITS };
    puzzle.search().attempt(0, 1 << 20).unwrap()
}

fn answer_in(wanted: &Wanted) -> Option<Response> {
    wanted.sent.iter().find_map(|(_, message)| match message {
        Message::Response { response, .. } => Some(*response),
        Message::Request { .. } => None,
    })
}

/// Node 1 dialled node 0 and does its work.
#[test]
fn who_works_is_admitted_and_told_so_on_both_sides() {
    let (mut verifier, mut prover) = (machine(0), machine(1));
    let nonce = nonce_in(&accepted(&mut verifier, 1, at(0)));
    dialled(&mut prover, 0, at(0));
    let wanted = ask(&mut prover, 0, Request::Challenge { nonce, bits: BITS }, at(0));
    let [Event::Solve { ticket, puzzle }] = wanted.events[..] else { panic!("{wanted:?}") };
    let solution = puzzle.search().attempt(0, 1 << 20).unwrap();
    let wanted = command(&mut prover, Command::Solved { ticket, solution }, at(3));
    let [(to, Message::Request { number, request })] = wanted.sent[..] else { panic!("{wanted:?}") };
    assert_eq!(to, peer(0));
    let wanted = ask(&mut verifier, 1, request, at(3));
    assert_eq!(answer_in(&wanted), Some(Response::Admitted));
    assert_eq!(wanted.events, [Event::Admitted { peer: peer(1), outcome: Outcome::Worked }]);
    prover
        .handle(Input::Received(peer(0), Message::Response { number, response: Response::Admitted }), at(3));
    assert_eq!(drain(&mut prover).events, [Event::AdmittedBy { peer: peer(0) }]);
    assert_eq!(verifier.poll_timeout(), None);

    // After a reconnect the work still counts, for an hour.
    verifier.handle(Input::Disconnected(peer(1)), at(4));
    let wanted = accepted(&mut verifier, 1, at(3602));
    assert_eq!(wanted.events, [Event::Admitted { peer: peer(1), outcome: Outcome::Remembered }]);
    assert!(matches!(wanted.sent[..], [(_, Message::Request { request: Request::Welcome, .. })]));
    verifier.handle(Input::Disconnected(peer(1)), at(3603));
    nonce_in(&accepted(&mut verifier, 1, at(3603)));
}

#[test]
fn validators_and_those_whom_one_dialled_need_no_work() {
    let mut verifier = machine(0);
    let validator = Command::Joined { peer: peer(1), group: group(), dialled: false, exempt: true };
    let exempt = |number| [Event::Admitted { peer: peer(number), outcome: Outcome::Exempt }];
    assert_eq!(command(&mut verifier, validator, at(0)).events, exempt(1));
    assert_eq!(dialled(&mut verifier, 2, at(0)).events, exempt(2));
}

/// Peer 1 is challenged by node 0 at 0 s, as is peer 2; the answer comes from peer 1.
#[test]
fn every_answer_that_is_not_right_has_its_own_reason() {
    type Answer = fn(&mut Admission, u64, u64) -> (u64, u64);
    let table: [(Refusal, Option<Severity>, u64, Answer); 8] = [
        (Refusal::NoWork, Some(Severity::Fatal), 1, |_, nonce, _| (nonce, 0)),
        // Somebody else did the work, on this peer's challenge but in its own name.
        (Refusal::NoWork, Some(Severity::Fatal), 1, |_, nonce, _| (nonce, solution(0, 2, nonce))),
        // The work was done for another verifier.
        (Refusal::NoWork, Some(Severity::Fatal), 1, |_, nonce, _| (nonce, solution(3, 1, nonce))),
        // Somebody else's challenge with its right answer.
        (Refusal::ForeignChallenge, Some(Severity::Fatal), 1, |_, _, other| (other, solution(0, 2, other))),
        (Refusal::UnknownChallenge, Some(Severity::Serious), 1, |_, nonce, _| {
            (nonce ^ 1, solution(0, 1, nonce ^ 1))
        }),
        (Refusal::Expired, None, 60, |_, nonce, _| (nonce, solution(0, 1, nonce))),
        // The deadline has passed and was noticed.
        (Refusal::Expired, None, 61, |machine, nonce, _| {
            machine.handle_timeout(at(61));
            drain(machine);
            (nonce, solution(0, 1, nonce))
        }),
        (Refusal::Replayed, Some(Severity::Serious), 1, |machine, nonce, _| {
            let solution = solution(0, 1, nonce);
            let first = ask(machine, 1, Request::Solution { nonce, solution }, at(1));
            assert_eq!(answer_in(&first), Some(Response::Admitted));
            (nonce, solution)
        }),
    ];
    for (reason, severity, second, answer) in table {
        let mut verifier = machine(0);
        let (nonce, other) =
            (nonce_in(&accepted(&mut verifier, 1, at(0))), nonce_in(&accepted(&mut verifier, 2, at(0))));
        let (nonce, solution) = answer(&mut verifier, nonce, other);
        let wanted = ask(&mut verifier, 1, Request::Solution { nonce, solution }, at(second));
        assert_eq!(answer_in(&wanted), Some(Response::Refused(reason)));
        assert_eq!(wanted.events, [Event::Refused { peer: peer(1), reason }]);
        assert_eq!(wanted.blamed.first().map(|(_, penalty)| penalty.severity), severity, "{reason:?}");
    }
}

#[test]
fn an_answer_to_the_challenge_of_an_earlier_connection_is_known_as_such() {
    let mut verifier = machine(0);
    let nonce = nonce_in(&accepted(&mut verifier, 1, at(0)));
    verifier.handle(Input::Disconnected(peer(1)), at(1));
    assert_ne!(nonce_in(&accepted(&mut verifier, 1, at(2))), nonce);
    let request = Request::Solution { nonce, solution: solution(0, 1, nonce) };
    assert_eq!(answer_in(&ask(&mut verifier, 1, request, at(3))), Some(Response::Refused(Refusal::Expired)));
}

#[test]
fn silence_ends_the_connection_after_a_minute() {
    let mut verifier = machine(0);
    accepted(&mut verifier, 1, at(0));
    assert_eq!(verifier.poll_timeout(), Some(at(60)));
    verifier.handle_timeout(at(59));
    assert!(drain(&mut verifier).events.is_empty());
    verifier.handle_timeout(at(60));
    let expired = [Event::Refused { peer: peer(1), reason: Refusal::Expired }];
    assert_eq!(drain(&mut verifier).events, expired);
}

#[test]
fn a_node_works_for_nobody_whom_it_did_not_dial() {
    let mut prover = machine(1);
    let wanted = ask(&mut prover, 0, Request::Challenge { nonce: 5, bits: BITS }, at(0));
    assert_eq!((answer_in(&wanted), wanted.events.len()), (Some(Response::Accepted), 0));
    assert!(wanted.blamed.is_empty(), "it may have crossed the end of our own dial");
    // It had: the challenge is not lost.
    let wanted = dialled(&mut prover, 0, at(1));
    assert!(wanted.events.iter().any(|event| matches!(event, Event::Solve { .. })), "{wanted:?}");
    // One that is long past is.
    ask(&mut prover, 3, Request::Challenge { nonce: 5, bits: BITS }, at(0));
    let wanted = dialled(&mut prover, 3, at(10));
    assert!(!wanted.events.iter().any(|event| matches!(event, Event::Solve { .. })), "{wanted:?}");
}

#[test]
fn two_are_solved_at_once_and_the_others_wait() {
    let mut prover = machine(1);
    let mut started = Vec::new();
    for number in 10..20 {
        dialled(&mut prover, number, at(0));
        let wanted = ask(&mut prover, number, Request::Challenge { nonce: 5, bits: BITS }, at(0));
        started.extend(wanted.events);
    }
    let tickets: Vec<u64> = started
        .iter()
        .filter_map(|event| match event {
            Event::Solve { ticket, .. } => Some(*ticket),
            _ => None,
        })
        .collect();
    assert_eq!(tickets.len(), MAX_SOLVING);
    let wanted = command(&mut prover, Command::Solved { ticket: tickets[0], solution: 1 }, at(1));
    assert!(matches!(wanted.events[..], [Event::Solve { puzzle, .. }] if puzzle.verifier == peer(12)));
    // A peer that goes away frees its place, and a minute frees all.
    prover.handle(Input::Disconnected(peer(11)), at(2));
    let wanted = drain(&mut prover);
    let (cancelled, next) = (wanted.events[0], wanted.events[1]);
    assert_eq!(cancelled, Event::Cancel { ticket: tickets[1] });
    assert!(matches!(next, Event::Solve { puzzle, .. } if puzzle.verifier == peer(13)));
    prover.handle_timeout(at(60));
    let wanted = drain(&mut prover);
    assert!(matches!(wanted.events[..], [Event::Cancel { .. }, Event::Cancel { .. }]), "{wanted:?}");
    assert_eq!(prover.poll_timeout(), None);
}

#[test]
fn far_too_much_work_is_refused() {
    let mut prover = machine(1);
    dialled(&mut prover, 0, at(0));
    let wanted = ask(&mut prover, 0, Request::Challenge { nonce: 5, bits: BITS + MAX_EXTRA_BITS + 1 }, at(0));
    assert_eq!(answer_in(&wanted), Some(Response::Refused(Refusal::TooHard)));
    assert_eq!(wanted.events, [Event::RefusedBy { peer: peer(0), reason: Refusal::TooHard }]);
    let wanted = ask(&mut prover, 0, Request::Challenge { nonce: 5, bits: BITS + MAX_EXTRA_BITS }, at(0));
    assert!(matches!(wanted.events[..], [Event::Solve { .. }]));
}

/// Identities without number from one place leave room for everybody else.
#[test]
fn one_part_of_the_network_cannot_take_all_places() {
    let mut verifier = machine(0);
    let mut busy = 0;
    for number in 1..=2000 {
        let wanted = accepted(&mut verifier, number, at(0));
        busy += usize::from(wanted.events == [Event::Refused { peer: peer(number), reason: Refusal::Busy }]);
    }
    assert_eq!(busy, 2000 - MAX_OUTSTANDING_IN_GROUP);
    let group = NetworkGroup::V4([198, 51]);
    let elsewhere = Command::Joined { peer: peer(3000), group, dialled: false, exempt: false };
    nonce_in(&command(&mut verifier, elsewhere, at(0)));
}

#[test]
fn messages_read_back_and_stay_in_their_bound() {
    use conclave_ledger::codec::{decode, encode};
    for request in [
        Request::Challenge { nonce: u64::MAX, bits: u8::MAX },
        Request::Welcome,
        Request::Solution { nonce: u64::MAX, solution: u64::MAX },
    ] {
        assert_eq!(decode::<Request>(&encode(&request), MAX_MESSAGE_BYTES), Ok(request));
    }
    for response in [Response::Accepted, Response::Admitted, Response::Refused(Refusal::ForeignChallenge)] {
        assert_eq!(decode::<Response>(&encode(&response), MAX_MESSAGE_BYTES), Ok(response));
    }
}

/// Kind of input, peer, two numbers; nothing stands for a timeout.
type Step = Option<(u8, u16, u64, u8)>;

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
            Some((kind, number, other, bits)) => {
                let peer = peer(number);
                let received = |message| Input::Received(peer, message);
                let request = |request| received(Message::Request { number: other, request });
                let response = |response| received(Message::Response { number: other, response });
                machine.handle(
                    match kind {
                        0..=2 => Input::Command(Command::Joined {
                            peer,
                            group: group(),
                            dialled: bits % 2 == 0,
                            exempt: bits % 3 == 0,
                        }),
                        3 => Input::Disconnected(peer),
                        4 => Input::Command(Command::Solved { ticket: other, solution: other }),
                        5 => Input::Command(Command::RequestFailed { peer, number: other }),
                        6 | 7 => request(Request::Challenge { nonce: other, bits }),
                        8 => request(Request::Welcome),
                        9 => request(Request::Solution { nonce: other, solution: other }),
                        10 => response(Response::Admitted),
                        11 => response(Response::Refused(Refusal::Expired)),
                        _ => response(Response::Accepted),
                    },
                    at(now),
                );
            }
        }
        let wanted = drain(&mut machine);
        assert!(wanted.sent.len() + wanted.events.len() + wanted.blamed.len() < 80, "{wanted:?}");
        outputs.push(format!("{wanted:?}"));
    }
    outputs
}

proptest! {
    #[test]
    fn the_laws_hold_for_any_inputs(
        steps in proptest::collection::vec(
            (0u64..20, proptest::option::weighted(0.8, (0u8..13, 0u16..6, 0u64..12, 0u8..30))), 1..100)
    ) {
        prop_assert_eq!(run(&steps), run(&steps));
    }
}
