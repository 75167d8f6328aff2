//! The bounds of the table, whom a node meets, what it lets go, and the laws of machines.

use super::*;
use crate::{
    machine::{Input, Machine, Output},
    network_group::NetworkGroup,
    peer::Peer,
    peer_record::{PeerRecord, peer_of_key},
    time::Time,
};
use conclave_ledger::keys::{PublicKey, SecretKey};
use proptest::prelude::*;
use std::{collections::BTreeSet, time::Duration};

const REFRESH: u64 = 600;

fn key(number: u16) -> SecretKey {
    let mut seed = [7; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    SecretKey::from_seed(seed)
}

fn peer(number: u16) -> Peer {
    peer_of_key(&key(number).public())
}

/// The validator key of a node.
fn validator(number: u16) -> PublicKey {
    key(number + 10_000).public()
}

/// A record with an address in 10.`group`.0.0/16.
fn record(number: u16, group: u8) -> PeerRecord {
    PeerRecord::sign(&key(number), 1, &[vec![4, 10, group, 0, 1, 6, 0x1e, 0x14]])
}

fn address(group: u8) -> String {
    format!("/ip4/10.{group}.0.1/tcp/7700")
}

fn in_group(group: u8) -> NetworkGroup {
    NetworkGroup::V4([10, group])
}

fn at(seconds: u64) -> Time {
    Time::after_start(Duration::from_secs(seconds))
}

fn config() -> Config {
    Config {
        peer: peer(0),
        target_connections: 4,
        max_observers: 4,
        max_connections: 512,
        refresh_interval: Duration::from_secs(REFRESH),
        max_attempts: 3,
        max_known_peers: 64,
        seed: [3; 32],
    }
}

fn machine(is_validator: bool) -> KnownPeers {
    let mut machine = KnownPeers::new(config(), at(0));
    set(&mut machine, is_validator, []);
    drain(&mut machine);
    machine
}

fn set<const N: usize>(machine: &mut KnownPeers, includes_this: bool, others: [u16; N]) -> Vec<Event> {
    let others = others.into_iter().map(validator).collect();
    command(machine, Command::Validators { others, includes_this }, 0)
}

fn drain(machine: &mut KnownPeers) -> Vec<Event> {
    std::iter::from_fn(|| machine.poll_output())
        .map(|output| match output {
            Output::Emit(event) => event,
            Output::Send(..) | Output::Penalize(..) => panic!("it speaks to nobody"),
        })
        .collect()
}

fn command(machine: &mut KnownPeers, command: Command, seconds: u64) -> Vec<Event> {
    machine.handle(Input::Command(command), at(seconds));
    drain(machine)
}

fn timeout(machine: &mut KnownPeers, seconds: u64) -> Vec<Event> {
    machine.handle_timeout(at(seconds));
    drain(machine)
}

fn found(machine: &mut KnownPeers, number: u16, group: u8, seconds: u64) -> Vec<Event> {
    let addresses = vec![address(group)];
    let (peer, source, by) = (peer(number), Source::Tracker, None);
    command(machine, Command::Found { peer, addresses, source, by }, seconds)
}

fn met(
    machine: &mut KnownPeers,
    number: u16,
    dialled: bool,
    key: Option<PublicKey>,
    seconds: u64,
) -> Vec<Event> {
    let (peer, record) = (peer(number), Some(record(number, number as u8)));
    let group = in_group(number as u8);
    let mut events = command(machine, Command::Met { peer, validator: key, dialled, group, record }, seconds);
    events.extend(command(machine, Command::Admitted { peer }, seconds));
    events
}

fn dialled(events: &[Event]) -> BTreeSet<Peer> {
    let dial = |event: &Event| match event {
        Event::Dial { peer, .. } => Some(*peer),
        _ => None,
    };
    events.iter().filter_map(dial).collect()
}

fn released(events: &[Event]) -> Vec<(Peer, Release)> {
    let release = |event: &Event| match event {
        Event::Release { peer, why } => Some((*peer, *why)),
        _ => None,
    };
    events.iter().filter_map(release).collect()
}

/// Dials whatever it wants, successfully, until it wants no more.
fn meet_all(machine: &mut KnownPeers, mut wanted: BTreeSet<Peer>, seconds: u64) {
    while let Some(next) = wanted.pop_first() {
        let number = (0..1000).find(|number| peer(*number) == next).unwrap();
        wanted.extend(dialled(&met(machine, number, true, None, seconds)));
    }
}

/// Thousands of identities of one attacker, told by one peer, found in one place, or coming from one place.
#[test]
fn one_place_and_one_teller_fill_only_their_part() {
    let mut machine = machine(true);
    for number in 1..=2000 {
        let by = peer(5000);
        let told = Command::Told { by, record: record(number, (number % 200) as u8), validator: None };
        command(&mut machine, told, 0);
    }
    assert_eq!(machine.table().len(), 8, "an eighth of the table for one teller");
    for number in 2001..=4000 {
        found(&mut machine, number, 201, 0);
    }
    assert_eq!(machine.table().len(), 8 + 16, "a quarter for one part of the network");
    for number in 4001..=5000 {
        let (peer, group) = (peer(number), in_group(202));
        let record = Some(record(number, (number % 200) as u8));
        command(&mut machine, Command::Met { peer, validator: None, dialled: false, group, record }, 0);
        command(&mut machine, Command::Admitted { peer }, 0);
        machine.handle(Input::Disconnected(peer), at(0));
    }
    assert_eq!(machine.table().len(), 8 + 16 + 16, "a quarter, by where they came from");
    // There is room for others, and one that was met takes the place of one that was not.
    for number in 6000..6100 {
        met(&mut machine, number, true, Some(validator(number)), 0);
    }
    let validators = |entry: &Entry| matches!(entry.standing, Standing::Validates(_));
    assert_eq!(machine.table().len(), 64);
    assert!(machine.table().iter().filter(|(_, entry)| validators(entry)).count() >= 24 + 24);
}

#[test]
fn who_cannot_be_reached_is_dropped_after_the_last_attempt() {
    let mut machine = machine(false);
    assert_eq!(dialled(&found(&mut machine, 1, 1, 0)), [peer(1)].into());
    let mut seconds = 0;
    for attempt in 1..=3 {
        assert!(machine.table().get(&peer(1)).is_some(), "attempt {attempt}");
        assert!(dialled(&command(&mut machine, Command::DialFailed { peer: peer(1) }, seconds)).is_empty());
        seconds += 20;
        let again = dialled(&timeout(&mut machine, seconds));
        assert_eq!(again.contains(&peer(1)), attempt < 3);
    }
    assert!(machine.table().is_empty());
}

#[test]
fn a_dial_that_leads_to_nothing_fails_by_itself() {
    let mut machine = machine(false);
    found(&mut machine, 1, 1, 0);
    timeout(&mut machine, 30);
    assert_eq!(machine.table().get(&peer(1)).unwrap().failures, 1);
}

#[test]
fn who_lied_is_forgotten_and_not_learned_again_for_a_while() {
    let mut machine = machine(false);
    found(&mut machine, 1, 1, 0);
    command(&mut machine, Command::KeptOut { peer: peer(1), until: at(60) }, 0);
    assert!(machine.table().is_empty());
    found(&mut machine, 1, 1, 59);
    assert!(machine.table().is_empty());
    found(&mut machine, 1, 1, 60);
    assert_eq!(machine.table().len(), 1);
}

#[test]
fn an_observer_meets_a_few_at_once_and_keeps_the_number_it_should() {
    let mut machine = machine(false);
    let mut wanted = BTreeSet::new();
    for number in 1..=20 {
        wanted.extend(dialled(&found(&mut machine, number, number as u8, 0)));
    }
    assert_eq!(wanted.len(), MAX_MEETING);
    meet_all(&mut machine, wanted, 0);
    let connected = (1..=20).filter(|number| machine.is_connected(&peer(*number))).count();
    assert_eq!(connected, 4);
    // One is lost: another takes its place at once.
    let lost = (1..=20).map(peer).find(|peer| machine.is_connected(peer)).unwrap();
    machine.handle(Input::Disconnected(lost), at(1));
    let events = drain(&mut machine);
    assert_eq!(dialled(&events).len(), 1);
    assert!(!dialled(&events).contains(&lost));
}

#[test]
fn validators_come_first_and_then_other_parts_of_the_network() {
    let mut machine = machine(false);
    // A connection into group 1, so that others are dialled before more of it.
    met(&mut machine, 1, true, None, 0);
    command(&mut machine, Command::Leave, 0);
    for number in 2..=8 {
        found(&mut machine, number, 1, 0);
    }
    found(&mut machine, 20, 20, 0);
    found(&mut machine, 21, 21, 0);
    command(
        &mut machine,
        Command::Told { by: peer(1), record: record(30, 1), validator: Some(validator(30)) },
        0,
    );
    let order = machine.candidates(at(0));
    assert_eq!(order[0], peer(30));
    assert_eq!(BTreeSet::from([order[1], order[2]]), [peer(20), peer(21)].into());
}

#[test]
fn a_validator_looks_for_validators_and_keeps_nobody_else() {
    let mut machine = machine(true);
    assert_eq!(set(&mut machine, true, [1, 2]), [Event::WantPeers { ask: None }]);
    // Somebody unknown could be one; an observer it turns out to be is let go.
    assert_eq!(dialled(&found(&mut machine, 5, 5, 0)), [peer(5)].into());
    let events = met(&mut machine, 5, true, None, 1);
    assert_eq!(released(&events), [(peer(5), Release::NotNeeded)]);
    assert!(dialled(&timeout(&mut machine, 2 * REFRESH)).is_empty(), "it is known to observe");
    // Those who are said to be validators are dialled, those of other sets are not.
    for (number, is_wanted) in [(1, true), (2, true), (3, false)] {
        let key = Some(validator(number));
        let told = Command::Told { by: peer(9), record: record(number, 1), validator: key };
        assert_eq!(dialled(&command(&mut machine, told, 1300)).contains(&peer(number)), is_wanted);
    }
    met(&mut machine, 1, true, Some(validator(1)), 1301);
    met(&mut machine, 2, true, Some(validator(2)), 1301);
    assert!(dialled(&found(&mut machine, 6, 6, 1302)).is_empty(), "nobody is missing");
    assert!(!timeout(&mut machine, 1303).iter().any(|event| matches!(event, Event::WantPeers { .. })));
}

#[test]
fn refreshing_replaces_one_that_is_no_validator_and_no_anchor() {
    let mut machine = machine(false);
    met(&mut machine, 1, true, Some(validator(1)), 0);
    met(&mut machine, 2, true, None, 0);
    met(&mut machine, 3, true, None, 1);
    met(&mut machine, 4, true, None, 2);
    let anchors = machine.anchors();
    assert_eq!(anchors, [peer(2), peer(3)]);
    assert!(dialled(&found(&mut machine, 9, 9, 3)).is_empty(), "there are enough");
    let events = timeout(&mut machine, REFRESH);
    assert!(events.iter().any(|event| matches!(event, Event::WantPeers { ask: Some(_) })), "{events:?}");
    assert_eq!((dialled(&events), released(&events)), ([peer(9)].into(), Vec::new()));
    // The old one goes when the fresh one is there, and not before.
    assert_eq!(released(&met(&mut machine, 9, true, None, REFRESH + 1)), [(peer(4), Release::NotNeeded)]);
    assert!(!machine.is_connected(&peer(4)));
}

#[test]
fn anchors_are_known_over_a_restart_and_dialled_first() {
    let mut first = machine(false);
    for number in 1..=4 {
        met(&mut first, number, true, None, u64::from(number));
    }
    for number in 10..=30 {
        found(&mut first, number, number as u8, 5);
    }
    let saved = first.saved();
    assert_eq!(saved.peers.len(), 25);
    let mut second = machine(false);
    second.restore(saved.clone(), at(0));
    let dials: Vec<Peer> = drain(&mut second)
        .into_iter()
        .filter_map(|event| match event {
            Event::Dial { peer, .. } => Some(peer),
            _ => None,
        })
        .collect();
    assert_eq!(BTreeSet::from([dials[0], dials[1]]), [peer(1), peer(2)].into());
    // New ones take the places of the former, one by one.
    let anchors = |machine: &KnownPeers| -> Vec<Peer> {
        machine.saved().peers.into_iter().filter(|saved| saved.anchor).map(|saved| saved.peer).collect()
    };
    assert_eq!(anchors(&second).len(), ANCHORS);
    met(&mut second, 3, true, None, 1);
    assert_eq!(anchors(&second).len(), ANCHORS);
    assert!(anchors(&second).contains(&peer(3)));
    met(&mut second, 4, true, None, 2);
    assert_eq!(BTreeSet::from_iter(anchors(&second)), [peer(3), peer(4)].into());
    // What was written and means nothing is left out.
    let mut damaged = saved;
    damaged.peers[0].record = Some(conclave_ledger::bytes::Bytes(record(99, 1).envelope().to_vec()));
    damaged.peers.iter_mut().for_each(|saved| saved.addresses.push("x".repeat(1000)));
    let mut third = machine(false);
    third.restore(damaged, at(0));
    assert_eq!(third.table().len(), 24);
    assert!(third.table().iter().all(|(_, entry)| entry.addresses.iter().all(|address| address.len() < 100)));
}

#[test]
fn observers_beyond_the_number_visit_and_then_go() {
    let mut machine = machine(true);
    for number in 1..=6 {
        assert!(released(&met(&mut machine, number, false, None, 0)).is_empty());
    }
    assert_eq!(machine.poll_timeout(), Some(at(ASKS_WITHIN.as_secs())));
    // One does not ask; one does, and is answered in the end.
    command(&mut machine, Command::Asks { peer: peer(6) }, 1);
    command(&mut machine, Command::Asks { peer: peer(1) }, 1);
    assert_eq!(released(&timeout(&mut machine, ASKS_WITHIN.as_secs())), [(peer(5), Release::Full)]);
    timeout(&mut machine, 5);
    command(&mut machine, Command::Answered { peer: peer(6) }, 20);
    command(&mut machine, Command::Answered { peer: peer(1) }, 20);
    assert!(released(&timeout(&mut machine, 20)).is_empty(), "the answer is on its way");
    assert_eq!(released(&timeout(&mut machine, 21)), [(peer(6), Release::Full)]);
    // One asks and is never answered.
    met(&mut machine, 7, false, None, 30);
    command(&mut machine, Command::Asks { peer: peer(7) }, 31);
    assert!(released(&timeout(&mut machine, 30 + VISIT.as_secs())).is_empty());
    assert_eq!(released(&timeout(&mut machine, 31 + VISIT.as_secs())), [(peer(7), Release::Full)]);
    // Beyond the visitors nobody is let in at all.
    for number in 10..=9 + MAX_VISITORS as u16 {
        assert!(released(&met(&mut machine, number, false, None, 100)).is_empty());
    }
    assert_eq!(released(&met(&mut machine, 99, false, None, 100)), [(peer(99), Release::Full)]);
}

/// Whatever is asked for, the parts fit into what there may be in all; and where that is much, they are what is asked for.
#[test]
fn places_fit_into_the_number_of_connections() {
    for max_connections in 4..600 {
        let config = Config { max_connections, max_observers: 64, target_connections: 8, ..config() };
        for dialled in 0..max_connections - 2 {
            let Places { outgoing, settled, visitors } = Places::of_observer(&config, dialled);
            assert!(outgoing.max(dialled) + settled + visitors < max_connections + MAX_VISITORS);
            if outgoing.max(dialled) + visitors < max_connections {
                assert!(outgoing.max(dialled) + settled + visitors < max_connections, "{config:?}");
            }
            assert!(outgoing >= 1 && visitors >= 1);
        }
        let Places { outgoing, settled, visitors } = Places::of_validator(&config, 1);
        assert!(outgoing + settled + visitors < max_connections);
    }
    let eight = Config { max_connections: 8, ..config() };
    let of = |outgoing, settled, visitors| Places { outgoing, settled, visitors };
    assert_eq!(Places::of_observer(&eight, 0), of(3, 3, 1));
    assert_eq!(Places::of_observer(&eight, 5), of(3, 1, 1), "configured peers take places");
    assert_eq!(Places::of_validator(&eight, 3), of(3, 3, 1));
    assert_eq!(Places::of_validator(&eight, 20), of(20, 0, 1));
    assert_eq!(Places::of_observer(&config(), 4), of(4, 4, 16), "room enough");
}

#[test]
fn few_connections_are_divided_between_those_who_dial_and_those_who_are_dialled() {
    let mut machine = KnownPeers::new(Config { max_connections: 8, ..config() }, at(0));
    set(&mut machine, false, []);
    for number in 1..=20 {
        let wanted = dialled(&found(&mut machine, number, number as u8, 0));
        meet_all(&mut machine, wanted, 0);
    }
    assert_eq!(machine.connected.len(), 3, "dialled");
    for number in 30..=33 {
        assert!(released(&met(&mut machine, number, false, None, 1)).is_empty(), "three stay, one visits");
    }
    assert_eq!(released(&met(&mut machine, 34, false, None, 1)), [(peer(34), Release::Full)]);
    assert_eq!(released(&timeout(&mut machine, 1 + ASKS_WITHIN.as_secs())), [(peer(33), Release::Full)]);
    assert_eq!(machine.connected.len(), 6);
}

#[test]
fn a_full_peer_is_asked_again_ever_more_slowly_and_never_dropped() {
    let mut machine = machine(false);
    let mut now = 0;
    assert_eq!(dialled(&found(&mut machine, 1, 1, now)), [peer(1)].into());
    for pause in [5, 10, 20, 40, 60, 60] {
        command(&mut machine, Command::Refused { peer: peer(1), for_want_of_room: true }, now);
        assert!(dialled(&timeout(&mut machine, now + pause - 1)).is_empty());
        now += pause;
        assert_eq!(dialled(&timeout(&mut machine, now)), [peer(1)].into());
    }
    // It has room for a while.
    met(&mut machine, 1, true, None, now);
    machine.handle(Input::Disconnected(peer(1)), at(now + 100));
    assert_eq!(dialled(&timeout(&mut machine, now + 102)), [peer(1)].into());
    command(&mut machine, Command::Refused { peer: peer(1), for_want_of_room: true }, now + 102);
    assert_eq!(dialled(&timeout(&mut machine, now + 107)), [peer(1)].into());
}

/// A tracker that makes up peers, in every part of the network.
#[test]
fn a_tracker_leaves_room_for_what_others_tell() {
    let mut machine = machine(true);
    let tell = |machine: &mut KnownPeers, number: u16, tracker: u16| {
        let (peer, by) = (peer(number), Some(peer(tracker)));
        let addresses = vec![address(number as u8)];
        command(machine, Command::Found { peer, addresses, source: Source::Tracker, by }, 0);
        machine.table().get(&peer).is_some()
    };
    let kept = (1..=1000).filter(|number| tell(&mut machine, *number, 2000)).count();
    assert_eq!(kept, config().max_known_peers / 4);
    assert!(tell(&mut machine, 1001, 2001), "another tracker is heard");
}

#[test]
fn who_knows_nobody_asks_ever_more_slowly() {
    let mut machine = machine(false);
    let mut asked = Vec::new();
    for seconds in 0..REFRESH {
        let events = timeout(&mut machine, seconds);
        if events.iter().any(|event| matches!(event, Event::WantPeers { .. })) {
            asked.push(seconds);
        }
    }
    assert_eq!(asked, [2, 6, 14, 30, 62, 126, 254, 510]);
}

#[test]
fn peers_are_told_of_those_who_were_met_and_of_validators_first() {
    let mut machine = machine(true);
    for number in 1..=20 {
        found(&mut machine, number, number as u8, 0);
    }
    met(&mut machine, 3, false, None, 1);
    met(&mut machine, 4, false, None, 1);
    met(&mut machine, 5, false, Some(validator(5)), 1);
    let chosen = machine.choose(2, &peer(3));
    let peers: Vec<(Peer, Option<PublicKey>)> =
        chosen.iter().map(|(record, key)| (record.peer(), *key)).collect();
    assert_eq!(peers, [(peer(5), Some(validator(5))), (peer(4), None)]);
}

#[test]
fn addresses_are_bounded_and_lose_their_peer_id() {
    let mut machine = machine(true);
    let id = crate::peer_record::multiaddr::base58(peer(1).as_bytes());
    let addresses = (0..50).map(|port| format!("/ip4/10.1.0.1/tcp/{port}/p2p/{id}"));
    let addresses = addresses.chain(["x".repeat(MAX_ADDRESS_BYTES + 1)]).collect();
    command(&mut machine, Command::Found { peer: peer(1), addresses, source: Source::Mdns, by: None }, 0);
    let entry = machine.table().get(&peer(1)).unwrap();
    assert_eq!(entry.addresses.len(), MAX_ADDRESSES_OF_ONE);
    assert!(entry.addresses.iter().all(|address| !address.contains("p2p")), "{:?}", entry.addresses);
}

/// Kind of input, peer, another number; nothing stands for a timeout.
type Step = Option<(u8, u16, u8)>;

fn run(is_validator: bool, steps: &[(u64, Step)]) -> Vec<String> {
    let mut machine = machine(is_validator);
    let (mut now, mut outputs) = (0, Vec::new());
    for (pause, step) in steps {
        now += pause;
        let Some((kind, number, other)) = *step else {
            machine.handle_timeout(at(now));
            let next = machine.poll_timeout();
            assert!(next.is_none_or(|next| next > at(now)), "{next:?} is not after {:?}", at(now));
            outputs.push(format!("{:?}", drain(&mut machine)));
            continue;
        };
        let (whom, key) = (peer(number), (other % 3 == 0).then(|| validator(number)));
        let (group, record) = (in_group(other % 4), record(number, other));
        let (validator, dialled, addresses) = (key, other % 2 == 0, vec![address(other)]);
        let source = Source::ALL[usize::from(other) % 6];
        let for_want_of_room = dialled;
        machine.handle(
            match kind {
                0..=2 => Input::Command(Command::Found { peer: whom, addresses, source, by: None }),
                3 => Input::Command(Command::Told { by: peer(9), record, validator }),
                4 | 5 => {
                    let record = Some(record);
                    Input::Command(Command::Met { peer: whom, validator, dialled, group, record })
                }
                6 | 7 => Input::Command(Command::Admitted { peer: whom }),
                8 => Input::Command(Command::DialFailed { peer: whom }),
                9 => Input::Command(Command::Refused { peer: whom, for_want_of_room }),
                10 => Input::Command(Command::KeptOut { peer: whom, until: at(now + 60) }),
                11 => {
                    let others = (0..4).map(self::validator).collect();
                    Input::Command(Command::Validators { others, includes_this: dialled })
                }
                _ => Input::Disconnected(whom),
            },
            at(now),
        );
        let events = drain(&mut machine);
        assert!(events.len() < 64 && machine.table().len() <= 64, "{events:?}");
        outputs.push(format!("{events:?}"));
    }
    outputs
}

proptest! {
    #[test]
    fn the_laws_hold_for_any_inputs(
        is_validator in any::<bool>(),
        steps in proptest::collection::vec(
            (0u64..400, proptest::option::weighted(0.7, (0u8..14, 0u16..12, any::<u8>()))), 1..80)
    ) {
        prop_assert_eq!(run(is_validator, &steps), run(is_validator, &steps));
    }
}
