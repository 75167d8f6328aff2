//! Sync: catching up from honest and lying peers, single blocks, serving, and the laws of machines.

use super::*;
use crate::{
    machine::{Input, Machine, Output},
    peer::Peer,
    penalty::Severity,
    time::Time,
};
use conclave_ledger::{
    block::{Block, Decided, Header, Skip},
    hash::Hash,
    keys::PublicKey,
    proof::Proof,
    signed::{Height, SignatureSet},
};
use proptest::prelude::*;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

fn peer(number: u8) -> Peer {
    Peer::from_bytes(&[number]).unwrap()
}

fn at(ms: u64) -> Time {
    Time::after_start(Duration::from_millis(ms))
}

fn proved(height: Height) -> ProvedHeight {
    let decided = Decided::Skip(Skip { network: Hash([7; 32]), height, parent: Hash::ZERO });
    ProvedHeight { decided, proof: Proof::Certificate(SignatureSet::default()) }
}

fn block(height: Height, timestamp: u64) -> Block {
    let header = Header {
        network: Hash([7; 32]),
        height,
        parent: Hash::ZERO,
        leader: PublicKey([1; 32]),
        timestamp,
        state: Hash::ZERO,
        proofs: Hash::ZERO,
        transactions: Hash::ZERO,
        work: None,
    };
    Block { header, proofs: Vec::new(), transactions: Vec::new() }
}

fn machine(follows: bool) -> Sync {
    Sync::new(Config::for_delta(Duration::from_millis(400), follows))
}

#[derive(Debug, Default)]
struct Wanted {
    sent: Vec<(Peer, Message)>,
    blamed: Vec<(Peer, Severity)>,
    events: Vec<Event>,
}

impl Wanted {
    fn add(&mut self, more: Self) {
        self.sent.extend(more.sent);
        self.blamed.extend(more.blamed);
        self.events.extend(more.events);
    }

    /// Ranges asked for: whom, number of the request, first height, how many.
    fn ranges(&self) -> Vec<(Peer, u64, Height, u32)> {
        let range = |(peer, message): &(Peer, Message)| match message {
            Message::Request { number, request: Request::Blocks { from, limit } } => {
                Some((*peer, *number, *from, *limit))
            }
            _ => None,
        };
        self.sent.iter().filter_map(range).collect()
    }

    fn blocks(&self) -> Vec<(Peer, u64)> {
        let block = |(peer, message): &(Peer, Message)| match message {
            Message::Request { number, request: Request::Block { .. } } => Some((*peer, *number)),
            _ => None,
        };
        self.sent.iter().filter_map(block).collect()
    }
}

fn drain(machine: &mut Sync) -> Wanted {
    let mut wanted = Wanted::default();
    while let Some(output) = machine.poll_output() {
        match output {
            Output::Send(peer, message) => wanted.sent.push((peer, message)),
            Output::Penalize(peer, penalty) => wanted.blamed.push((peer, penalty.severity)),
            Output::Emit(event) => wanted.events.push(event),
        }
    }
    wanted
}

fn command(machine: &mut Sync, command: Command, ms: u64) -> Wanted {
    machine.handle(Input::Command(command), at(ms));
    drain(machine)
}

fn timeout(machine: &mut Sync, ms: u64) -> Wanted {
    machine.handle_timeout(at(ms));
    drain(machine)
}

fn joined(machine: &mut Sync, number: u8, height: Height, ms: u64) -> Wanted {
    command(machine, Command::Joined { peer: peer(number), height, follows: false }, ms)
}

fn answer(machine: &mut Sync, from: Peer, number: u64, response: Response, ms: u64) -> Wanted {
    machine.handle(Input::Received(from, Message::Response { number, response }), at(ms));
    drain(machine)
}

fn ask(machine: &mut Sync, from: u8, number: u64, request: Request) -> Wanted {
    machine.handle(Input::Received(peer(from), Message::Request { number, request }), at(0));
    drain(machine)
}

#[test]
fn heights_that_are_being_applied_are_not_asked_for_again() {
    let mut machine = machine(true);
    let asked = joined(&mut machine, 1, 1000, 0).ranges();
    assert_eq!(asked, [(peer(1), 1, 1, 64)]);
    let answered = answer(&mut machine, peer(1), 1, Response::Blocks(vec![proved(1), proved(2)]), 1);
    assert!(answered.events.iter().any(|event| matches!(event, Event::Deliver { .. })), "{answered:?}");
    // The next range is asked for at once, and begins behind what is being applied.
    assert_eq!(answered.ranges(), [(peer(1), 2, 3, 64)]);
    assert_eq!(joined(&mut machine, 2, 1000, 1).ranges(), [(peer(2), 3, 67, 64)]);
    let due = machine.poll_timeout();
    assert!(timeout(&mut machine, 2).sent.is_empty(), "a timeout that is not due asks for nothing");
    assert_eq!(machine.poll_timeout(), due);
}

/// Peers 1 to 4 have 1,000 heights; `serve` says what each of them answers. Gives the own height at the end, who was
/// fatally blamed, and who was asked.
fn catch_up(
    serve: impl Fn(u8, Height, u32) -> Option<Vec<ProvedHeight>>,
) -> (Height, BTreeSet<Peer>, BTreeSet<Peer>) {
    let mut machine = machine(true);
    let (mut height, mut now) = (0, 0);
    let (mut blamed, mut asked) = (BTreeSet::new(), BTreeSet::new());
    let mut wanted = Wanted::default();
    for number in 1..=4 {
        wanted.add(joined(&mut machine, number, 1000, now));
    }
    for _ in 0..2000 {
        let mut next = Wanted::default();
        let fatal = wanted.blamed.iter().filter(|(_, severity)| *severity == Severity::Fatal);
        for (whom, _) in fatal {
            if blamed.insert(*whom) {
                machine.handle(Input::Disconnected(*whom), at(now));
                next.add(drain(&mut machine));
            }
        }
        for (whom, number, from, limit) in wanted.ranges() {
            asked.insert(whom);
            assert!(!blamed.contains(&whom), "a peer that is gone is asked");
            if let Some(heights) = serve(whom.as_bytes()[0], from, limit) {
                next.add(answer(&mut machine, whom, number, Response::Blocks(heights), now));
            }
        }
        for event in &wanted.events {
            let Event::Deliver { peer, heights } = event else { continue };
            let mut verdict = Command::Applied;
            for proved in heights {
                assert_eq!(proved.decided.height(), height + 1, "in order, without holes");
                if proved.decided.parent() != Hash::ZERO {
                    verdict = Command::Rejected { peer: *peer, reason: "forged".to_owned() };
                    break;
                }
                height += 1;
            }
            next.add(command(&mut machine, Command::Height { height }, now));
            next.add(command(&mut machine, verdict, now));
        }
        if next.sent.is_empty() && next.events.is_empty() && next.blamed.is_empty() {
            if height == 1000 {
                break;
            }
            let Some(due) = machine.poll_timeout() else { break };
            now = due.0 / 1000;
            next.add(timeout(&mut machine, now));
        }
        wanted = next;
    }
    (height, blamed, asked)
}

fn honest(from: Height, limit: u32) -> Vec<ProvedHeight> {
    (from..=1000).take(limit as usize).map(proved).collect()
}

#[test]
fn heights_come_from_several_peers_at_once_and_in_order() {
    let (height, blamed, asked) = catch_up(|_, from, limit| Some(honest(from, limit)));
    assert_eq!((height, blamed.len(), asked.len()), (1000, 0, 4));
}

#[test]
fn short_answers_leave_no_holes() {
    let (height, blamed, _) =
        catch_up(|number, from, limit| Some(honest(from, limit.min(u32::from(number) * 3))));
    assert_eq!((height, blamed.len()), (1000, 0));
}

/// One fault for each kind; peer 1 is the liar, and everybody else is honest.
#[test]
fn a_liar_is_thrown_out_and_the_others_bring_what_it_did_not() {
    type Lie = fn(Height, u32) -> Vec<ProvedHeight>;
    let table: [(&str, Lie); 4] = [
        ("other heights", |from, limit| honest(from + 1, limit)),
        ("a hole", |from, _| vec![proved(from), proved(from + 2)]),
        ("more than was asked for", |from, limit| honest(from, limit + 1)),
        ("forged", |from, limit| {
            let mut heights = honest(from, limit);
            let height = from + heights.len() as Height / 2;
            let decided = Decided::Skip(Skip { network: Hash([7; 32]), height, parent: Hash([1; 32]) });
            if let Some(last) = heights.get_mut((height - from) as usize) {
                last.decided = decided;
            }
            heights
        }),
    ];
    for (name, lie) in table {
        let (height, blamed, _) = catch_up(|number, from, limit| {
            Some(if number == 1 { lie(from, limit) } else { honest(from, limit) })
        });
        assert_eq!(height, 1000, "{name}");
        assert_eq!(blamed, BTreeSet::from([peer(1)]), "{name}");
    }
}

#[test]
fn a_silent_peer_delays_but_does_not_stop() {
    let (height, blamed, _) = catch_up(|number, from, limit| (number != 1).then(|| honest(from, limit)));
    assert_eq!((height, blamed.len()), (1000, 0));
}

/// A height that nobody has is believed for a few attempts, however they fail, and then the node is at the tip.
#[test]
fn a_claim_that_is_never_kept_is_not_believed_for_ever() {
    for fault in ["empty", "silent", "failed"] {
        let mut machine = machine(true);
        let mut wanted = joined(&mut machine, 1, u64::MAX, 0);
        let (mut now, mut requests, mut caught_up) = (0, 0, false);
        while now < 60_000 && requests < 1000 && !caught_up {
            let ranges = wanted.ranges();
            requests += ranges.len();
            let mut next = Wanted::default();
            for (whom, number, ..) in ranges {
                let more = match fault {
                    "empty" => answer(&mut machine, whom, number, Response::Blocks(Vec::new()), now),
                    "failed" => command(&mut machine, Command::RequestFailed { peer: whom, number }, now),
                    _ => Wanted::default(),
                };
                next.add(more);
            }
            if next.sent.is_empty() && next.events.is_empty() {
                now = machine.poll_timeout().map_or(60_000, |due| due.0 / 1000);
                next = timeout(&mut machine, now);
            }
            caught_up = next.events.iter().any(|event| matches!(event, Event::CaughtUp { .. }));
            wanted = next;
        }
        assert!(caught_up && requests < 30, "{fault}: caught up: {caught_up}, {requests} requests, {now} ms");
    }
}

#[test]
fn a_response_counts_from_the_one_that_was_asked() {
    let mut machine = machine(true);
    joined(&mut machine, 2, 0, 0);
    let (whom, number, from, limit) = joined(&mut machine, 1, 10, 0).ranges()[0];
    assert_eq!(whom, peer(1));
    let wanted = answer(&mut machine, peer(2), number, Response::Blocks(vec![proved(from + 5)]), 0);
    assert!(wanted.blamed.iter().all(|(blamed, _)| *blamed != peer(1)), "{wanted:?}");
    let wanted = answer(&mut machine, peer(1), number, Response::Blocks(honest(from, limit.min(10))), 0);
    assert!(wanted.events.iter().any(|event| matches!(event, Event::Deliver { .. })), "{wanted:?}");
}

/// Who decides waits for consensus before it asks; after its start, and when told that it is behind, it does not.
#[test]
fn who_decides_is_patient_but_not_at_the_start() {
    assert_eq!(joined(&mut machine(false), 1, 5, 0).ranges().len(), 1, "at the start");

    let at_tip = || {
        let mut machine = machine(false);
        command(&mut machine, Command::Height { height: 5 }, 0);
        joined(&mut machine, 1, 5, 10);
        machine
    };
    let status = |height| Request::Status { height, proofs: 0 };
    let later = Input::Received(peer(1), Message::Request { number: 9, request: status(6) });
    let mut patient = at_tip();
    patient.handle(later, at(60_000));
    assert!(drain(&mut patient).ranges().is_empty(), "at once");
    assert!(timeout(&mut patient, 60_149).ranges().is_empty(), "too early");
    assert_eq!(timeout(&mut patient, 60_150).ranges().len(), 1, "consensus had its time");

    let mut behind = at_tip();
    let wanted = command(&mut behind, Command::Behind { peer: peer(1), height: 9 }, 60_000);
    assert_eq!(wanted.ranges().len(), 1, "consensus says that it is far behind");
}

#[test]
fn catching_up_shows_where_it_is_and_ends() {
    let mut machine = machine(true);
    let (whom, number, from, _) = joined(&mut machine, 1, 3, 0).ranges()[0];
    let wanted = answer(&mut machine, whom, number, Response::Blocks((1..=3).map(proved).collect()), 1);
    assert_eq!(from, 1);
    assert_eq!(wanted.events[0], Event::Progress { height: 0, target: 3 });
    command(&mut machine, Command::Height { height: 3 }, 2);
    let wanted = command(&mut machine, Command::Applied, 2);
    let caught_up = Event::CaughtUp { height: 3 };
    let events: Vec<_> = wanted.events.into_iter().chain(drain(&mut machine).events).collect();
    assert!(events.is_empty() || events == [caught_up], "{events:?}");
}

#[test]
fn one_block_is_pulled_from_ever_more_peers() {
    let (wanted_block, other) = (block(5, 1), block(5, 2));
    let hash = wanted_block.hash();
    let mut machine = machine(false);
    for number in 1..=5 {
        joined(&mut machine, number, 0, 0);
    }
    let fetch = Command::FetchBlock { height: 5, hash, peers: (1..=5).map(peer).collect() };
    let asked = command(&mut machine, fetch, 0).blocks();
    assert_eq!(asked[0].0, peer(1));
    // The first does not have it, the second lies, the third is silent; the fourth fails, the fifth has it.
    let next = answer(&mut machine, peer(1), asked[0].1, Response::Block(None), 1).blocks();
    assert_eq!(next[0].0, peer(2));
    let wanted = answer(&mut machine, peer(2), next[0].1, Response::Block(Some(Arc::new(other))), 2);
    assert_eq!(wanted.blamed, [(peer(2), Severity::Fatal)]);
    assert_eq!(wanted.blocks()[0].0, peer(3));
    let due = machine.poll_timeout().unwrap();
    assert_eq!(due, at(0) + Config::for_delta(Duration::from_millis(400), false).block_patience);
    let asked_at = due.0.div_ceil(1000);
    let next = timeout(&mut machine, asked_at).blocks();
    assert_eq!(
        next.iter().map(|(peer, _)| *peer).collect::<Vec<_>>(),
        [peer(4), peer(5)],
        "two more at once"
    );
    let failed = Command::RequestFailed { peer: peer(4), number: next[0].1 };
    assert!(command(&mut machine, failed, 103).blocks().is_empty(), "nobody is left to ask");
    let wanted = answer(&mut machine, peer(5), next[1].1, Response::Block(Some(Arc::new(wanted_block))), 104);
    assert!(
        matches!(&wanted.events[..], [Event::BlockFetched { block }] if block.hash() == hash),
        "{wanted:?}"
    );
}

#[test]
fn every_request_is_answered_and_no_peer_has_more_than_its_share_of_lookups() {
    let mut machine = machine(false);
    command(&mut machine, Command::Height { height: 7 }, 0);
    joined(&mut machine, 1, 0, 0);
    let response = |wanted: &Wanted| {
        wanted.sent.iter().find_map(|(_, message)| match message {
            Message::Response { number, response } => Some((*number, response.clone())),
            Message::Request { .. } => None,
        })
    };
    let wanted = ask(&mut machine, 1, 50, Request::Status { height: 0, proofs: 0 });
    assert_eq!(response(&wanted), Some((50, Response::Status { height: 7, proofs: 0 })));
    for number in 0..MAX_LOOKUPS as u64 {
        let wanted = ask(&mut machine, 1, number, Request::Blocks { from: 1, limit: u32::MAX });
        let [Event::Lookup { token, request: Request::Blocks { from: 1, limit } }] = &wanted.events[..]
        else {
            panic!("{wanted:?}")
        };
        assert_eq!(*token, number);
        assert!(*limit <= MAX_HEIGHTS, "storage is asked for {limit} heights");
    }
    let wanted = ask(&mut machine, 1, 99, Request::Blocks { from: 1, limit: 1 });
    assert_eq!((wanted.events.len(), wanted.blamed.len()), (0, 1));
    assert_eq!(response(&wanted), Some((99, Response::Blocks(Vec::new()))), "the other side must not wait");
    let found = Command::Found { token: 0, response: Response::Blocks(vec![proved(1)]) };
    let wanted = command(&mut machine, found, 0);
    assert_eq!(response(&wanted), Some((0, Response::Blocks(vec![proved(1)]))));
    assert_eq!(ask(&mut machine, 1, 100, Request::Blocks { from: 1, limit: 1 }).events.len(), 1);
}

#[test]
fn followers_hear_of_heights_not_too_often_and_always_of_the_last() {
    let mut machine = machine(false);
    command(&mut machine, Command::Joined { peer: peer(1), height: 0, follows: true }, 0);
    joined(&mut machine, 2, 0, 0);
    let mut told = Vec::new();
    for ms in 0..200 {
        let mut wanted = Wanted::default();
        if ms < 100 {
            wanted = command(&mut machine, Command::Height { height: ms + 1 }, ms);
        }
        wanted.sent.extend(timeout(&mut machine, ms).sent);
        for (whom, message) in wanted.sent {
            let Message::Request { request: Request::Status { height, .. }, .. } = message else { continue };
            assert_eq!(whom, peer(1));
            told.push((ms, height));
        }
    }
    assert_eq!(told.last().map(|(_, height)| *height), Some(100));
    assert!(told.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 50), "{told:?}");
    assert!(told.len() >= 2, "{told:?}");
}

fn response() -> impl Strategy<Value = Response> {
    prop_oneof![
        any::<u64>().prop_map(|height| Response::Status { height, proofs: height % 3 }),
        (0u64..200, 0usize..80)
            .prop_map(|(from, count)| Response::Blocks((from..).take(count).map(proved).collect())),
        (0u64..4).prop_map(|timestamp| Response::Block(Some(Arc::new(block(5, timestamp))))),
        Just(Response::Block(None)),
    ]
}

/// Kind of input, number, peer, response, height; nothing stands for a timeout.
type Step = Option<(u8, u64, u8, Response, u64)>;

fn input() -> impl Strategy<Value = Step> {
    proptest::option::weighted(
        0.8,
        (0u8..12, 0u64..12, 0u8..4, response(), prop_oneof![0u64..300, any::<u64>()]),
    )
}

fn run(steps: &[(u64, Step)]) -> Vec<String> {
    let mut machine = machine(false);
    let (mut now, mut outputs) = (0, Vec::new());
    for (pause, step) in steps {
        now += pause;
        let Some((kind, number, whom, response, height)) = step.clone() else {
            machine.handle_timeout(at(now));
            let next = machine.poll_timeout();
            assert!(next.is_none_or(|next| next > at(now)), "{next:?} is not after {:?}", at(now));
            outputs.push(format!("{:?}", drain(&mut machine)));
            continue;
        };
        let from = peer(whom);
        let hash = block(5, number % 4).hash();
        machine.handle(
            match kind {
                0 | 1 => Input::Command(Command::Joined { peer: from, height, follows: number % 2 == 0 }),
                2 => Input::Disconnected(from),
                3 => Input::Command(Command::Height { height: height.min(1 << 60) }),
                4 => Input::Command(Command::Behind { peer: from, height }),
                5 => Input::Command(Command::Applied),
                6 => Input::Command(Command::Rejected { peer: from, reason: "any".to_owned() }),
                7 => Input::Command(Command::FetchBlock { height, hash, peers: (0..4).map(peer).collect() }),
                8 => Input::Command(Command::RequestFailed { peer: from, number }),
                9 => Input::Command(Command::Found { token: number, response }),
                10 => {
                    let request = match number % 3 {
                        0 => Request::Status { height, proofs: height % 3 },
                        1 => Request::Blocks { from: height, limit: number as u32 },
                        _ => Request::Block { height, hash },
                    };
                    Input::Received(from, Message::Request { number, request })
                }
                _ => Input::Received(from, Message::Response { number, response }),
            },
            at(now),
        );
        let wanted = drain(&mut machine);
        assert!(wanted.sent.len() + wanted.events.len() + wanted.blamed.len() < 64, "{wanted:?}");
        outputs.push(format!("{wanted:?}"));
    }
    outputs
}

proptest! {
    #[test]
    fn the_laws_hold_for_any_inputs(steps in proptest::collection::vec((0u64..2000, input()), 1..80)) {
        prop_assert_eq!(run(&steps), run(&steps));
    }
}

// --- Proofs --------------------------------------------------------------------------------------------------------

/// Proofs asked for: whom, number of the request, first height.
fn proofs_asked(wanted: &Wanted) -> Vec<(Peer, u64, Height)> {
    let asked = |(peer, message): &(Peer, Message)| match message {
        Message::Request { number, request: Request::Proofs { from, .. } } => Some((*peer, *number, *from)),
        _ => None,
    };
    wanted.sent.iter().filter_map(asked).collect()
}

/// A machine at height 5 with fingerprint 1, and two peers.
fn at_height_five() -> Sync {
    let mut machine = machine(false);
    joined(&mut machine, 1, 5, 0);
    joined(&mut machine, 2, 5, 0);
    command(&mut machine, Command::Height { height: 5 }, 0);
    command(&mut machine, Command::Proofs { from: 4, fingerprint: 1, uncertain: false }, 0);
    machine
}

fn told(machine: &mut Sync, number: u8, height: Height, proofs: u64, ms: u64) -> Wanted {
    command(machine, Command::Told { peer: peer(number), height, proofs }, ms)
}

#[test]
fn proofs_that_differ_for_a_while_are_asked_for_once() {
    let mut machine = at_height_five();
    assert!(proofs_asked(&told(&mut machine, 1, 5, 2, 10)).is_empty(), "signatures may be on their way");
    let asked = proofs_asked(&timeout(&mut machine, 110));
    let [(who, number, 4)] = asked[..] else { panic!("{asked:?}") };
    assert_eq!(who, peer(1));
    assert!(proofs_asked(&told(&mut machine, 1, 5, 3, 120)).is_empty(), "one at a time");
    let proofs = vec![ProvedValue {
        height: 5,
        value: conclave_ledger::signed::Value::Skip,
        proof: Proof::Certificate(SignatureSet::default()),
    }];
    assert!(answer(&mut machine, who, number + 7, Response::Proofs(proofs.clone()), 130).events.is_empty());
    let wanted = answer(&mut machine, who, number, Response::Proofs(proofs.clone()), 130);
    assert_eq!(wanted.events, [Event::Proofs { peer: who, proofs }]);
    // What it said meanwhile is asked for next, and then nothing is left to ask.
    told(&mut machine, 1, 5, 3, 140);
    let asked = proofs_asked(&timeout(&mut machine, 240));
    assert_eq!(asked.len(), 1);
    answer(&mut machine, who, asked[0].1, Response::Proofs(Vec::new()), 250);
    told(&mut machine, 1, 5, 3, 260);
    assert!(proofs_asked(&timeout(&mut machine, 5_000)).is_empty());
}

#[test]
fn proofs_that_soon_agree_or_are_of_another_height_are_not_asked_for() {
    let mut machine = at_height_five();
    told(&mut machine, 1, 5, 2, 10);
    command(&mut machine, Command::Proofs { from: 4, fingerprint: 2, uncertain: false }, 50);
    told(&mut machine, 2, 4, 9, 60);
    told(&mut machine, 2, 6, 9, 60);
    assert!(proofs_asked(&timeout(&mut machine, 140)).is_empty());
    // When this node gets there, they are.
    command(&mut machine, Command::Height { height: 6 }, 200);
    command(&mut machine, Command::Proofs { from: 6, fingerprint: 3, uncertain: false }, 200);
    let asked = proofs_asked(&timeout(&mut machine, 300));
    assert!(matches!(asked[..], [(who, _, 6)] if who == peer(2)), "{asked:?}");
}

#[test]
fn followers_are_told_of_proofs_that_grow() {
    let mut machine = at_height_five();
    command(&mut machine, Command::Joined { peer: peer(3), height: 5, follows: true }, 0);
    timeout(&mut machine, 60);
    command(&mut machine, Command::Proofs { from: 4, fingerprint: 8, uncertain: false }, 100);
    let wanted = timeout(&mut machine, 150);
    let status = |(to, message): &(Peer, Message)| {
        *to == peer(3)
            && matches!(message, Message::Request { request: Request::Status { height: 5, proofs: 8 }, .. })
    };
    assert!(wanted.sent.iter().any(status), "{wanted:?}");
}

#[test]
fn a_peer_on_another_branch_is_asked_for_its_proofs_and_not_blamed_but_not_followed_for_ever() {
    let mut machine = at_height_five();
    told(&mut machine, 1, 9, 4, 0);
    command(&mut machine, Command::Behind { peer: peer(1), height: 10 }, 0);
    let mut asked = 0;
    for round in 1..20 {
        let ms = round * 1_000;
        let ranges = timeout(&mut machine, ms).ranges();
        let Some((who, number, from, _)) = ranges.first().copied() else { continue };
        answer(&mut machine, who, number, Response::Blocks(vec![proved(from)]), ms);
        let wanted = command(&mut machine, Command::Disputed { peer: who }, ms);
        assert!(wanted.blamed.is_empty());
        let proofs = proofs_asked(&wanted);
        assert_eq!(proofs.len(), 1);
        answer(&mut machine, who, proofs[0].1, Response::Proofs(Vec::new()), ms);
        asked += 1;
    }
    assert!((1..=3).contains(&asked), "{asked}");
}
