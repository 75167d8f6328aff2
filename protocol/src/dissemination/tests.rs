//! Dissemination: copies and delays between honest nodes, what a liar gets out of it, and the laws of machines.

use super::*;
use crate::{
    machine::{Input, Machine, Output},
    peer::Peer,
    penalty::Severity,
    time::Time,
};
use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    codec,
    hash::{Hash, TransactionId},
    keys::{PublicKey, Signature},
    transaction::{Request, SharedTransaction, Transaction},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const DELTA: Duration = Duration::from_millis(400);

fn peer(number: u8) -> Peer {
    Peer::from_bytes(&[number]).unwrap()
}

fn at(ms: u64) -> Time {
    Time::after_start(Duration::from_millis(ms))
}

/// A transaction whose signature nobody looks at here.
fn transaction(number: u64, bytes: usize) -> SharedTransaction {
    let mut data = number.to_be_bytes().to_vec();
    data.resize(bytes.max(8), 0);
    let request = Request {
        network: Hash([7; 32]),
        sender: PublicKey([1; 32]),
        expires: 1000,
        payload: Payload::Record(Record { kind: "test".to_owned(), data: Bytes(data) }),
    };
    Transaction { request, signature: Signature([0; 64]), stamp: None }.into()
}

fn machine() -> Dissemination {
    Dissemination::new(Config::for_delta(DELTA))
}

#[derive(Debug, Default)]
struct Wanted {
    sent: Vec<(Peer, Message)>,
    blamed: Vec<(Peer, Severity)>,
    events: Vec<Event>,
}

fn drain(machine: &mut Dissemination) -> Wanted {
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

fn handle(machine: &mut Dissemination, input: Input<Dissemination>, ms: u64) -> Wanted {
    machine.handle(input, at(ms));
    drain(machine)
}

fn receive(machine: &mut Dissemination, from: u8, message: Message, ms: u64) -> Wanted {
    handle(machine, Input::Received(peer(from), message), ms)
}

fn submit(machine: &mut Dissemination, transaction: SharedTransaction) -> TransactionId {
    let id = transaction.id();
    machine.handle(Input::Command(Command::Submitted(transaction)), at(0));
    id
}

/// Nodes of which every two are connected by a channel with a fixed delay; each admits what it is asked to check.
struct World {
    nodes: BTreeMap<u8, Dissemination>,
    agenda: BTreeMap<(Time, u64), (u8, u8, Message)>,
    /// Channels (from, to) on which nothing arrives.
    cut: BTreeSet<(u8, u8)>,
    copies: usize,
    admitted: BTreeMap<(u8, TransactionId), Time>,
    next: u64,
}

impl World {
    const DELAY: Duration = Duration::from_millis(5);

    fn new(size: u8) -> Self {
        let mut nodes = BTreeMap::new();
        for number in 0..size {
            let mut node = machine();
            for other in (0..size).filter(|other| *other != number) {
                node.handle(Input::Connected(peer(other)), at(0));
            }
            nodes.insert(number, node);
        }
        let (agenda, cut, admitted) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { nodes, agenda, cut, copies: 0, admitted, next: 0 }
    }

    fn drain(&mut self, number: u8, now: Time) {
        loop {
            let wanted = drain(self.nodes.get_mut(&number).unwrap());
            assert!(wanted.blamed.is_empty(), "{:?}", wanted.blamed);
            if wanted.sent.is_empty() && wanted.events.is_empty() {
                return;
            }
            for (to, message) in wanted.sent {
                let to = to.as_bytes()[0];
                if self.cut.contains(&(number, to)) {
                    continue;
                }
                if let Message::Transactions(transactions) = &message {
                    self.copies += transactions.len();
                }
                self.next += 1;
                self.agenda.insert((now + Self::DELAY, self.next), (number, to, message));
            }
            for Event::Check { peer, transactions } in wanted.events {
                for transaction in transactions {
                    self.admitted.entry((number, transaction.id())).or_insert(now);
                    let command = Command::Admitted { transaction, peer };
                    self.nodes.get_mut(&number).unwrap().handle(Input::Command(command), now);
                }
            }
        }
    }

    fn run_until(&mut self, end: Time) {
        for _ in 0..100_000 {
            let arrival = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let timeouts =
                self.nodes.iter().filter_map(|(number, node)| Some((node.poll_timeout()?, *number)));
            let timeout = timeouts.min();
            match (arrival, timeout) {
                (Some(now), timeout) if now <= end && timeout.is_none_or(|(at, _)| now <= at) => {
                    let (from, to, message) = self.agenda.pop_first().unwrap().1;
                    let input = Input::Received(peer(from), message);
                    self.nodes.get_mut(&to).unwrap().handle(input, now);
                    self.drain(to, now);
                }
                (_, Some((now, number))) if now <= end => {
                    self.nodes.get_mut(&number).unwrap().handle_timeout(now);
                    self.drain(number, now);
                }
                _ => return,
            }
        }
        panic!("the network never comes to rest");
    }
}

#[test]
fn every_other_node_gets_one_copy_and_hears_nothing_of_what_is_decided_in_time() {
    for size in [2, 4, 7] {
        let mut world = World::new(size);
        let id = submit(world.nodes.get_mut(&0).unwrap(), transaction(1, 8));
        world.drain(0, at(0));
        world.run_until(at(49));
        world
            .nodes
            .values_mut()
            .for_each(|node| node.handle(Input::Command(Command::Gone(vec![id])), at(49)));
        world.run_until(at(10_000));
        assert_eq!(world.copies, usize::from(size) - 1);
        assert!(world.nodes.values().all(|node| node.poll_timeout().is_none()), "nothing is left to be done");
    }
}

/// Rule: who has it makes sure that all honest nodes have it within Δ, although the origin told one node only.
#[test]
fn all_have_it_within_delta_although_the_origin_tells_one() {
    for told in 1..7 {
        let mut world = World::new(7);
        world.cut = (1..7).filter(|other| *other != told).map(|other| (0, other)).collect();
        let id = submit(world.nodes.get_mut(&0).unwrap(), transaction(1, 8));
        world.drain(0, at(0));
        world.run_until(at(10_000));
        let first = world.admitted[&(told, id)];
        for node in 1..7 {
            let when = world.admitted.get(&(node, id)).unwrap_or_else(|| panic!("node {node} never had it"));
            assert!(when.since(first) < DELTA, "node {node} had it {:?} after the first", when.since(first));
        }
        assert_eq!(world.copies, 6, "each node needs one copy");
    }
}

#[test]
fn a_silent_announcer_is_passed_over() {
    let mut machine = machine();
    for number in 1..4 {
        machine.handle(Input::Connected(peer(number)), at(0));
    }
    let id = transaction(1, 8).id();
    let first = receive(&mut machine, 1, Message::Have(vec![id]), 0);
    assert_eq!(first.sent, [(peer(1), Message::Want(vec![id]))]);
    assert!(receive(&mut machine, 2, Message::Have(vec![id]), 10).sent.is_empty(), "one is asked at a time");
    assert!(receive(&mut machine, 3, Message::Have(vec![id]), 20).sent.is_empty());
    for next in [2, 3] {
        let due = machine.poll_timeout().unwrap();
        machine.handle_timeout(due);
        assert_eq!(drain(&mut machine).sent, [(peer(next), Message::Want(vec![id]))]);
    }
    let due = machine.poll_timeout().unwrap();
    machine.handle_timeout(due);
    assert_eq!(
        (drain(&mut machine).sent.len(), machine.poll_timeout()),
        (0, None),
        "nobody is left to be asked"
    );
}

#[test]
fn who_connects_is_told_of_everything_that_waits() {
    let mut machine = machine();
    let ids: BTreeSet<_> =
        (0..MAX_ITEMS as u64 + 1).map(|number| submit(&mut machine, transaction(number, 8))).collect();
    drain(&mut machine);
    let wanted = handle(&mut machine, Input::Connected(peer(1)), 0);
    let mut told = BTreeSet::new();
    for (_, message) in wanted.sent {
        let Message::Have(ids) = message else { panic!("{message:?}") };
        assert!(ids.len() <= MAX_ITEMS);
        told.extend(ids);
    }
    assert_eq!(told, ids);
}

#[test]
fn what_is_queued_goes_out_in_full_messages_within_their_bounds() {
    for (count, bytes, messages) in [(300, 8, 1), (MAX_ITEMS + 1, 8, 2), (40, 30_000, 5)] {
        let mut machine = machine();
        machine.handle(Input::Connected(peer(1)), at(0));
        for number in 0..count {
            submit(&mut machine, transaction(number as u64, bytes));
        }
        let wanted = drain(&mut machine);
        assert_eq!(wanted.sent.len(), messages, "{count} of {bytes} bytes");
        for (_, message) in wanted.sent {
            let bytes = codec::encode(&message);
            assert!(bytes.len() <= MAX_MESSAGE_BYTES);
            assert_eq!(codec::decode::<Message>(&bytes, MAX_MESSAGE_BYTES), Ok(message));
        }
    }
}

#[test]
fn a_longer_list_than_allowed_is_fatal() {
    let ids = vec![Hash([1; 32]); MAX_ITEMS + 1];
    let transactions = vec![transaction(1, 8); MAX_ITEMS + 1];
    for message in [Message::Have(ids.clone()), Message::Want(ids), Message::Transactions(transactions)] {
        let mut machine = machine();
        machine.handle(Input::Connected(peer(1)), at(0));
        let wanted = receive(&mut machine, 1, message, 0);
        assert_eq!(
            (wanted.blamed, wanted.sent, wanted.events),
            (vec![(peer(1), Severity::Fatal)], vec![], vec![])
        );
    }
}

/// A question of a few bytes must not be worth megabytes again and again.
#[test]
fn asking_again_for_the_same_brings_nothing() {
    let mut machine = machine();
    let id = submit(&mut machine, transaction(1, 30_000));
    drain(&mut machine);
    handle(&mut machine, Input::Connected(peer(1)), 0);
    let copies = |wanted: &Wanted| {
        let lengths = wanted.sent.iter().map(|(_, message)| match message {
            Message::Transactions(transactions) => transactions.len(),
            _ => 0,
        });
        lengths.sum::<usize>()
    };
    assert_eq!(copies(&receive(&mut machine, 1, Message::Want(vec![id; MAX_ITEMS]), 0)), 1);
    assert_eq!(copies(&receive(&mut machine, 1, Message::Want(vec![id]), 1)), 0);
    // On a new connection what was on its way may be lost, and it is sent again.
    handle(&mut machine, Input::Disconnected(peer(1)), 2);
    handle(&mut machine, Input::Connected(peer(1)), 2);
    assert_eq!(copies(&receive(&mut machine, 1, Message::Want(vec![id]), 3)), 1);
}

/// One that announces what does not exist must not keep others' announcements from being heard.
#[test]
fn invented_announcements_leave_room_for_true_ones() {
    let mut machine = machine();
    machine.handle(Input::Connected(peer(1)), at(0));
    machine.handle(Input::Connected(peer(2)), at(0));
    let invented: Vec<_> = (0..2 * MAX_WANTED as u64).map(|number| transaction(number, 8).id()).collect();
    for part in invented.chunks(MAX_ITEMS) {
        receive(&mut machine, 1, Message::Have(part.to_vec()), 0);
    }
    let id = transaction(u64::MAX, 8).id();
    let wanted = receive(&mut machine, 2, Message::Have(vec![id]), 1);
    assert_eq!(wanted.sent, [(peer(2), Message::Want(vec![id]))]);
}

fn refused(machine: &mut Dissemination, from: u8, count: usize, ms: u64) -> Vec<(Peer, Severity)> {
    let command = Command::Refused { peer: peer(from), count, is_validator: from == VALIDATOR };
    handle(machine, Input::Command(command), ms).blamed
}

/// The number of a peer that is a validator.
const VALIDATOR: u8 = 9;

/// All that is pulled of a peer may be refused at once; more than that, and more than the rate afterwards, is an offence
/// of that peer alone, also on a new connection.
#[test]
fn a_peer_whose_transactions_are_refused_without_end_is_blamed() {
    let mut machine = machine();
    for from in [1, 2, VALIDATOR] {
        machine.handle(Input::Connected(peer(from)), at(0));
    }
    for _ in 0..MAX_WANTED_OF_PEER / MAX_ITEMS {
        assert_eq!(refused(&mut machine, 1, MAX_ITEMS, 0), []);
        assert_eq!(refused(&mut machine, VALIDATOR, MAX_ITEMS, 0), []);
    }
    let slight = [(peer(1), Severity::Slight)];
    assert_eq!(refused(&mut machine, 1, 1, 0), slight);
    assert_eq!(refused(&mut machine, 1, MANY_REFUSED - 1, 0), slight);
    assert_eq!(refused(&mut machine, 1, MANY_REFUSED, 0), [(peer(1), Severity::Serious)]);
    assert_eq!(refused(&mut machine, VALIDATOR, MAX_ITEMS, 0), [(peer(VALIDATOR), Severity::Slight)]);
    assert_eq!(refused(&mut machine, 2, MAX_ITEMS, 0), []);
    handle(&mut machine, Input::Disconnected(peer(1)), 0);
    handle(&mut machine, Input::Connected(peer(1)), 0);
    assert_eq!(refused(&mut machine, 1, 1, 0), slight);
    let rate = Config::for_delta(DELTA).refused.per_second as usize;
    assert_eq!(refused(&mut machine, 1, rate, 1000), []);
    assert_eq!(refused(&mut machine, 1, 1, 1000), slight);
}

#[test]
fn buckets_of_refusals_are_bounded() {
    let mut machine = machine();
    for number in 0..2 * MAX_BUCKETS as u32 {
        let peer = Peer::from_bytes(&number.to_be_bytes()).unwrap();
        machine.handle(
            Input::Command(Command::Refused { peer, count: MAX_WANTED_OF_PEER, is_validator: false }),
            at(0),
        );
    }
    assert_eq!(machine.refused_buckets(), MAX_BUCKETS);
}

#[derive(Clone, Debug)]
enum Step {
    Connected(u8),
    Disconnected(u8),
    Transactions(u8, Vec<u64>),
    Have(u8, Vec<u64>),
    Want(u8, Vec<u64>),
    Submitted(u64),
    Admitted(u8, u64),
    Refused(u8, usize),
    Gone(Vec<u64>),
    Timeout,
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let numbers = || proptest::collection::vec(0u64..20, 0..6);
    let step = prop_oneof![
        (0u8..4).prop_map(Step::Connected),
        (0u8..4).prop_map(Step::Disconnected),
        (0u8..4, numbers()).prop_map(|(from, numbers)| Step::Transactions(from, numbers)),
        (0u8..4, numbers()).prop_map(|(from, numbers)| Step::Have(from, numbers)),
        (0u8..4, numbers()).prop_map(|(from, numbers)| Step::Want(from, numbers)),
        (0u64..20).prop_map(Step::Submitted),
        (0u8..4, 0u64..20).prop_map(|(from, number)| Step::Admitted(from, number)),
        (0u8..4, 1usize..5000).prop_map(|(from, count)| Step::Refused(from, count)),
        numbers().prop_map(Step::Gone),
        Just(Step::Timeout),
    ];
    (0u64..200, step)
}

fn run(steps: &[(u64, Step)]) -> Vec<String> {
    let mut machine = machine();
    let (mut now, mut outputs) = (0, Vec::new());
    let ids = |numbers: &[u64]| numbers.iter().map(|number| transaction(*number, 8).id()).collect::<Vec<_>>();
    for (pause, step) in steps {
        now += pause;
        let input = match step {
            Step::Connected(from) => Input::Connected(peer(*from)),
            Step::Disconnected(from) => Input::Disconnected(peer(*from)),
            Step::Transactions(from, numbers) => {
                let transactions = numbers.iter().map(|number| transaction(*number, 8)).collect();
                Input::Received(peer(*from), Message::Transactions(transactions))
            }
            Step::Have(from, numbers) => Input::Received(peer(*from), Message::Have(ids(numbers))),
            Step::Want(from, numbers) => Input::Received(peer(*from), Message::Want(ids(numbers))),
            Step::Submitted(number) => Input::Command(Command::Submitted(transaction(*number, 8))),
            Step::Admitted(from, number) => {
                let (transaction, peer) = (transaction(*number, 8), peer(*from));
                Input::Command(Command::Admitted { transaction, peer })
            }
            Step::Refused(from, count) => Input::Command(Command::Refused {
                peer: peer(*from),
                count: *count,
                is_validator: from % 2 == 1,
            }),
            Step::Gone(numbers) => Input::Command(Command::Gone(ids(numbers))),
            Step::Timeout => {
                machine.handle_timeout(at(now));
                let next = machine.poll_timeout();
                assert!(next.is_none_or(|next| next > at(now)), "{next:?} is not after {:?}", at(now));
                outputs.push(format!("{:?}", drain(&mut machine)));
                continue;
            }
        };
        let wanted = handle(&mut machine, input, now);
        assert!(wanted.sent.len() + wanted.events.len() + wanted.blamed.len() < 64, "{wanted:?}");
        outputs.push(format!("{wanted:?}"));
    }
    outputs
}

proptest! {
    #[test]
    fn the_laws_hold_for_any_inputs(steps in proptest::collection::vec(step(), 1..80)) {
        prop_assert_eq!(run(&steps), run(&steps));
    }
}
