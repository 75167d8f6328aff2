//! Many strangers, none with more than eight connections: they find each other at a tracker, which dies; more come by
//! two other ways, ordinary nodes that are asked for peers and a Kademlia table; and what one of them announces reaches
//! all others, once each.
//!
//! Twelve and four strangers by default; `CONCLAVE_TEST_STRANGERS=30+10` for as many as that.

use super::{
    BITS, Observer,
    hub::Hub,
    network::{Network, PATIENCE, eventually, sample},
    tracker::Tracker,
};
use conclave::{client::Client, gossip_api::client::Client as Module};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Most connections of a node.
const MOST: usize = 8;

/// How many of the strangers are in the Kademlia table, too. More would only cost connections: who has found them is told
/// of the others.
const IN_TABLE: usize = 3;

/// What is announced.
const DATA_TYPE: u16 = 1337;

/// How many come first, and how many later.
fn numbers() -> (usize, usize) {
    let Ok(asked) = std::env::var("CONCLAVE_TEST_STRANGERS") else { return (12, 4) };
    let parsed =
        asked.split_once('+').and_then(|(first, more)| Some((first.parse().ok()?, more.parse().ok()?)));
    parsed.unwrap_or_else(|| panic!("CONCLAVE_TEST_STRANGERS is {asked:?}, and should be such as 30+10"))
}

/// What every node is told: it asks for others often enough that nobody has to wait for long.
const FLAGS: [&str; 8] = [
    "--admission-bits",
    BITS,
    "--max-connections",
    "8",
    "--refresh-interval-s",
    "10",
    "--gossip-listen",
    "127.0.0.1:0",
];

/// Looks at all nodes, again and again: how many peers and connections each has.
struct Watch {
    clients: Arc<Mutex<Vec<Client>>>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    looks: usize,
    most: usize,
    too_many: Option<String>,
}

impl Watch {
    fn start(network: &Network) -> Self {
        let watch = Self { clients: Arc::default(), seen: Arc::default() };
        let (clients, seen) = (watch.clients.clone(), watch.seen.clone());
        network.spawn(async move {
            loop {
                let now = clients.lock().unwrap().clone();
                for (number, client) in now.iter().enumerate() {
                    // A node may be gone.
                    let (Ok(peers), Ok(metrics)) = (client.peers().await, client.metrics().await) else {
                        continue;
                    };
                    let connections = sample(&metrics, "conclave_connections", &[]) as usize;
                    let mut seen = seen.lock().unwrap();
                    seen.looks += 1;
                    seen.most = seen.most.max(peers.peers.len()).max(connections);
                    if seen.most > MOST && seen.too_many.is_none() {
                        let peers = peers.peers.len();
                        seen.too_many =
                            Some(format!("node {number}: {peers} peers, {connections} connections"));
                    }
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        watch
    }

    fn add(&self, client: Client) {
        self.clients.lock().unwrap().push(client);
    }

    fn check(&self) {
        let seen = self.seen.lock().unwrap();
        assert!(seen.too_many.is_none(), "{:?}", seen.too_many);
        println!("looked {} times: at most {} connections of one node", seen.looks, seen.most);
    }
}

/// Waits until every one of `who` knows the addresses of all of `whom` but itself.
fn wait_known(network: &Network, who: &[Observer], whom: &BTreeSet<String>) {
    for observer in who {
        eventually(&format!("{} knows all", observer.name), || {
            let known = network.block_on(observer.client().known_peers()).ok()?.peers;
            let known: BTreeSet<String> = known.into_iter().map(|peer| peer.peer_id).collect();
            let unknown = whom.difference(&known).filter(|id| **id != observer.id()).count();
            (unknown == 0).then_some(())
        });
    }
}

/// Waits until a newcomer knows somebody by `source`, and checks that no tracker has helped.
fn check_way(network: &Network, newcomer: &Observer, source: &str) {
    let told_by = |wanted: &str| {
        let known = network.block_on(newcomer.client().known_peers()).ok()?.peers;
        Some(known.iter().any(|peer| peer.sources.iter().any(|source| source == wanted)))
    };
    eventually(&format!("{} knows somebody by {source}", newcomer.name), || told_by(source)?.then_some(()));
    assert_eq!(told_by("tracker"), Some(false), "{} knows of no tracker", newcomer.name);
}

/// Waits until every node is connected and knows that each of its peers takes announcements, besides what people say.
fn wait_subscribed(network: &Network, clients: &[Client]) {
    for (number, client) in clients.iter().enumerate() {
        eventually(&format!("the peers of node {number} take announcements"), || {
            let metrics = network.block_on(client.metrics()).ok()?;
            let peers = sample(&metrics, "conclave_peers", &[]);
            let subscriptions = sample(&metrics, "conclave_announcement_peer_subscriptions", &[]);
            (peers >= 2.0 && subscriptions >= 2.0 * peers).then_some(())
        });
    }
}

/// Modules that call everything valid, one at each place; what each is notified of comes with its number.
fn listen(network: &Network, places: &[SocketAddr]) -> mpsc::UnboundedReceiver<(usize, Vec<u8>)> {
    let (notified, notifications) = mpsc::unbounded_channel();
    for (number, place) in places.iter().copied().enumerate() {
        let mut module = network.block_on(Module::connect(place)).unwrap();
        network.block_on(module.notify(DATA_TYPE)).unwrap();
        let notified = notified.clone();
        network.spawn(async move {
            while let Ok(Some(notification)) = module.next().await {
                module.validate(notification.id, true).await.unwrap();
                // The test may have ended.
                let _ = notified.send((number, notification.data));
            }
        });
    }
    notifications
}

/// Announces and hangs up.
fn announce(network: &Network, at: SocketAddr, data: &[u8]) {
    network.block_on(async {
        let mut module = Module::connect(at).await.unwrap();
        module.announce(0, DATA_TYPE, data.to_vec()).await.unwrap();
        module.hang_up().await.unwrap();
    });
}

#[test]
fn strangers_find_each_other_outlive_their_tracker_and_hear_what_a_newcomer_announces() {
    let (first, more) = numbers();
    let begun = Instant::now();
    let mut network = Network::start_some(4, 0, 200);
    let tracker = Tracker::start(&network.home.join("tracker"));
    let hub = Hub::start(&network.home);
    let in_table = ["--kademlia", "--kademlia-peer", &hub.address];
    let watch = Watch::start(&network);
    let at_tracker = [FLAGS.as_slice(), &["--tracker", &tracker.address]].concat();
    for node in 0..4 {
        network.run_with(node, &at_tracker);
        watch.add(network.client(node));
    }
    let mut observers = Observer::start_all(&network, 1..first + 1, |number| {
        let table = if number <= IN_TABLE { &in_table[..] } else { &[] };
        at_tracker.iter().chain(table).copied().map(String::from).collect()
    });
    observers.iter().for_each(|observer| watch.add(observer.client()));
    let validators = (0..4).map(|node| {
        eventually("the validator is up", || {
            Some(network.block_on(network.client(node).status()).ok()?.peer_id)
        })
    });
    let all: BTreeSet<String> = validators.chain(observers.iter().map(Observer::id)).collect();
    wait_known(&network, &observers, &all);
    println!("{first} strangers know the four validators and each other after {:.1?}", begun.elapsed());
    super::check_follows(&network, &observers, 1, "with the tracker");

    tracker.kill();
    let begun = Instant::now();
    let ways: Vec<String> = observers
        .iter()
        .skip(IN_TABLE)
        .take(first.div_ceil(4))
        .map(|observer| observer.address(&network))
        .collect();
    // By turns: those of an even number know an ordinary node, the others a peer of the table that is no node at all.
    let by_node = |number: usize| number.is_multiple_of(2);
    let numbers = first + 1..first + more + 1;
    let newcomers = Observer::start_all(&network, numbers.clone(), |number| {
        let by_peer = ["--peer", &ways[number % ways.len()]];
        let way = if by_node(number) { &by_peer[..] } else { &in_table };
        FLAGS.iter().chain(way).copied().map(String::from).collect()
    });
    newcomers.iter().for_each(|newcomer| watch.add(newcomer.client()));
    for (number, newcomer) in numbers.zip(&newcomers) {
        check_way(&network, newcomer, if by_node(number) { "peer-exchange" } else { "kademlia" });
    }
    observers.extend(newcomers);
    super::check_follows(&network, &observers, 2, "without it");
    println!(
        "{more} more have joined, half of them by way of {} nodes, half by the table, after {:.1?}",
        ways.len(),
        begun.elapsed()
    );

    let mut places: Vec<SocketAddr> = (0..4).map(|node| network.gossip(node)).collect();
    places.extend(observers.iter().map(Observer::gossip));
    // The last newcomer announces, and a module there is another subscriber; a stranger says afterwards that this was all.
    let announcer = *places.last().unwrap();
    let mut notifications = listen(&network, &places);
    let clients = watch.clients.lock().unwrap().clone();
    wait_subscribed(&network, &clients);
    let begun = Instant::now();
    announce(&network, announcer, b"from a newcomer");
    let mut times: BTreeMap<(usize, Vec<u8>), usize> = BTreeMap::new();
    let mut hear = |data: &[u8], who: &dyn Fn(usize) -> bool| {
        let wanted = (0..places.len()).filter(|number| who(*number)).count();
        let is_wanted = |((number, heard), _): &(&(usize, Vec<u8>), &usize)| who(*number) && heard == data;
        while times.iter().filter(is_wanted).count() < wanted {
            let next = async { tokio::time::timeout(PATIENCE, notifications.recv()).await };
            let heard = network.block_on(next);
            let reached = times.iter().filter(is_wanted).count();
            let heard = heard.unwrap_or_else(|_| panic!("it reached {reached} of {wanted}")).unwrap();
            *times.entry(heard).or_default() += 1;
        }
    };
    hear(b"from a newcomer", &|_| true);
    println!("an announcement has reached all {} nodes after {:.1?}", places.len(), begun.elapsed());
    announce(&network, places[4], b"that was all");
    hear(b"that was all", &|_| true);
    assert!(times.values().all(|times| *times == 1), "once each: {times:?}");
    assert_eq!(times.len(), 2 * places.len());
    watch.check();
}
