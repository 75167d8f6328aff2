//! The same announcement again and again, from one peer and from a hundred: every module is notified of it once, whoever
//! repeats it is blamed and goes, and what others announce meanwhile arrives. How much later is printed (`--nocapture`).

use super::{PENALTIES, check_undisturbed, crowds::say, network_id, peer::Attacker};
use crate::network::{Network, eventually};
use conclave::gossip_api::client::Client as Module;
use conclave_ledger::{bytes::Bytes, hash::NetworkId};
use conclave_protocol::announcements::Announcement;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, mpsc};

const ANNOUNCEMENTS: &str = "conclave_announcements_total";

/// Type of what is repeated, and of what honest modules announce.
const DATA_TYPE: u16 = 1337;

/// Work of a fraction of a second in a program that is not optimised.
const BITS: u8 = 8;

/// How often each attacker sends the same, if it is let: ten times what costs it the connection.
const TIMES: usize = 1_000;

/// Attackers, each with an identity of its own.
const IDENTITIES: usize = 100;

/// How many of them come in at a time: each does its work first.
const AT_THE_DOOR: usize = 8;

/// Nodes that run, each with a module.
const NODES: usize = 3;

/// Three validators of four with a socket for modules, and room for all attackers at once.
fn three_with_modules() -> Network {
    let mut network = Network::start_some(4, 0, 200);
    let flags = ["--admission-bits", "8", "--max-observers", "200", "--gossip-listen", "127.0.0.1:0"];
    (0..NODES).for_each(|node| network.run_with(node, &flags));
    (0..NODES).for_each(|node| network.wait_connected(node, NODES - 1));
    network
}

/// What the modules at all nodes are notified of.
struct Heard {
    notifications: mpsc::UnboundedReceiver<(usize, Vec<u8>, Instant)>,
    /// How often the repeated announcement was notified, by node.
    repeated: Vec<Arc<AtomicUsize>>,
}

impl Heard {
    /// A module at each node that calls everything valid; `repeated` is what attackers send.
    fn at_all(network: &Network, repeated: &'static [u8]) -> Self {
        let (sender, notifications) = mpsc::unbounded_channel();
        let counts: Vec<Arc<AtomicUsize>> = (0..NODES).map(|_| Arc::default()).collect();
        for (node, count) in counts.iter().cloned().enumerate() {
            let mut module = network.block_on(Module::connect(network.gossip(node))).unwrap();
            network.block_on(module.notify(DATA_TYPE)).unwrap();
            let sender = sender.clone();
            network.spawn(async move {
                while let Ok(Some(notification)) = module.next().await {
                    let at = Instant::now();
                    module.validate(notification.id, true).await.unwrap();
                    if notification.data == repeated {
                        count.fetch_add(1, Ordering::Relaxed);
                    } else {
                        // The test may have ended.
                        let _ = sender.send((node, notification.data, at));
                    }
                }
            });
        }
        for node in 0..NODES {
            // Two types each: the modules', and what people say.
            let subscribed = 2.0 * (NODES - 1) as f64;
            network.wait_metric(node, "conclave_announcement_peer_subscriptions", &[], subscribed);
        }
        Self { notifications, repeated: counts }
    }

    /// How often each node's module was notified of what is repeated.
    fn counts(&self) -> Vec<usize> {
        self.repeated.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Announces at node 1 until `goes_on` says no; how long each took to the module at the attacked node.
    fn announce_meanwhile(
        &mut self,
        network: &Network,
        name: &str,
        goes_on: impl Fn() -> bool,
    ) -> Vec<Duration> {
        let (mut times, mut module) =
            (Vec::new(), network.block_on(Module::connect(network.gossip(1))).unwrap());
        while times.len() < 20 || (goes_on() && times.len() < 2000) {
            let data = format!("{name} {}", times.len()).into_bytes();
            let start = Instant::now();
            network.block_on(module.announce(0, DATA_TYPE, data.clone())).unwrap();
            let mut reached = 0;
            // The module at node 1 is another one: it is notified, too.
            while reached < NODES {
                let next =
                    async { tokio::time::timeout(super::network::PATIENCE, self.notifications.recv()).await };
                let (node, heard, at) = network.block_on(next).expect("honest announcements arrive").unwrap();
                assert_eq!(heard, data, "each once, and in order");
                reached += 1;
                if node == 0 {
                    times.push(at - start);
                }
            }
        }
        times.sort();
        times
    }
}

/// Comes in, works, and sends the same until it is thrown out; how often it was let.
async fn repeat(
    network: NetworkId,
    address: &str,
    announcement: &Announcement,
    door: Arc<Semaphore>,
) -> usize {
    let mut attacker = Attacker::announcing(network);
    let place = door.acquire_owned().await.unwrap();
    let node = attacker.dial(address).await.unwrap();
    attacker.be_admitted(node, BITS).await.unwrap();
    attacker.subscribed(announcement.data_type).await;
    drop(place);
    for time in 0..TIMES {
        // A queue that is full empties as the swarm works.
        let sent = attacker.publish(announcement);
        if attacker.closed_within(node, Duration::from_millis(2)).await {
            return time + usize::from(sent.is_ok());
        }
    }
    TIMES
}

/// Runs so many attackers against node 0, and checks that everybody was notified once and everybody who repeats is gone.
fn attack(name: &str, identities: usize, repeated: &'static [u8]) {
    let network = three_with_modules();
    let mut heard = Heard::at_all(&network, repeated);
    let (id, address) = (network_id(&network), network.addresses(0)[0].clone());
    let before = heard.announce_meanwhile(&network, "before", || false);
    let attack = network.spawn(async move {
        let announcement = Announcement { ttl: 0, data_type: DATA_TYPE, data: Bytes(repeated.to_vec()) };
        let door = Arc::new(Semaphore::new(AT_THE_DOOR));
        let each = (0..identities).map(|_| {
            let (address, announcement, door) = (address.clone(), announcement.clone(), door.clone());
            tokio::spawn(async move { repeat(id, &address, &announcement, door).await })
        });
        futures::future::join_all(each.collect::<Vec<_>>()).await
    });
    let during = heard.announce_meanwhile(&network, "during", || !attack.is_finished());
    let sent: Vec<usize> = network.block_on(attack).unwrap().into_iter().map(Result::unwrap).collect();
    say("an announcement", name, &before, &during);
    println!(
        "{} copies were sent, {} honest announcements meanwhile",
        sent.iter().sum::<usize>(),
        during.len()
    );
    // Nobody could go on for long.
    assert!(sent.iter().all(|times| *times < TIMES), "{sent:?}");
    heard.announce_meanwhile(&network, "after", || false);
    assert_eq!(heard.counts(), vec![1; NODES], "everybody was notified once");
    let counted = |outcome| network.metric(0, ANNOUNCEMENTS, &[("outcome", outcome)]);
    // It takes a hundred offences to be thrown out, and some fade meanwhile.
    let offences = 100.0 * identities as f64;
    assert!(counted("copy_again") >= offences, "{} sent again", counted("copy_again"));
    assert!(counted("duplicate") >= counted("copy_again"));
    assert!(network.metric(0, PENALTIES, &[("severity", "slight")]) >= offences);
    eventually("the attackers are gone", || {
        let peers = network.block_on(network.client(0).peers()).ok()?.peers;
        (peers.len() == NODES - 1).then_some(())
    });
    for node in 1..NODES {
        assert_eq!(network.metric(node, PENALTIES, &[]), 0.0, "node {node} blames nobody for it");
    }
    check_undisturbed(&network, "the same has been announced again and again");
}

#[test]
fn the_same_announcement_again_and_again_is_notified_once() {
    attack("one peer repeats an announcement", 1, b"again and again");
}

#[test]
fn the_same_announcement_from_a_hundred_identities_is_notified_once() {
    attack("a hundred identities repeat an announcement", IDENTITIES, b"from everybody");
}
