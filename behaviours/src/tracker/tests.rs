//! Tests over real swarms: with our own client, and with libp2p's.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::rendezvous::{self, Asked, Namespace, SignedRecord, Since};
use futures::StreamExt;
use libp2p::{
    PeerId, Swarm,
    identity::Keypair,
    swarm::{NetworkBehaviour, SwarmEvent},
};
use libp2p_swarm_test::SwarmExt;

/// How long anything may take before a test gives up; nothing waits that long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

const TTL: Duration = Duration::from_secs(60);

fn namespace() -> Namespace {
    Namespace::new("lunch").unwrap()
}

/// A tracker that runs on its own, and its address.
async fn tracker<B>(make: impl FnOnce() -> B) -> (PeerId, libp2p::Multiaddr)
where
    B: NetworkBehaviour + Send,
    B::ToSwarm: std::fmt::Debug + Send,
{
    let mut tracker = Swarm::new_ephemeral_tokio(|_| make());
    let (_, address) = tracker.listen().with_tcp_addr_external().await;
    let id = *tracker.local_peer_id();
    tokio::spawn(async move {
        loop {
            tracker.select_next_some().await;
        }
    });
    (id, address)
}

/// A client that is connected to the tracker.
async fn client(at: &(PeerId, libp2p::Multiaddr)) -> (Swarm<rendezvous::Behaviour>, Keypair) {
    let mut keys = None;
    let mut client = Swarm::new_ephemeral_tokio(|key| {
        keys = Some(key);
        rendezvous::Behaviour::default()
    });
    client.dial_and_wait(at.1.clone().with_p2p(at.0).unwrap()).await;
    (client, keys.unwrap())
}

async fn next<B>(client: &mut Swarm<B>) -> B::ToSwarm
where
    B: NetworkBehaviour,
{
    let event = async {
        loop {
            if let SwarmEvent::Behaviour(event) = client.select_next_some().await {
                return event;
            }
        }
    };
    tokio::time::timeout(PATIENCE, event).await.unwrap()
}

async fn register(at: &(PeerId, libp2p::Multiaddr), under: Namespace) -> rendezvous::Event {
    let (mut swarm, key) = client(at).await;
    let record = SignedRecord::new(&key, &["/ip4/192.0.2.7/tcp/1".parse().unwrap()], 1).unwrap();
    swarm.behaviour_mut().register(at.0, under, record, TTL).unwrap();
    next(&mut swarm).await
}

fn reason(event: rendezvous::Event) -> String {
    match event {
        rendezvous::Event::Failed { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn our_own_client_registers_finds_and_leaves() {
    let at = tracker(|| Behaviour::new(Config::default())).await;
    let (mut swarm, key) = client(&at).await;
    for sequence in 1..3 {
        let record = SignedRecord::new(&key, &["/ip4/192.0.2.7/tcp/1".parse().unwrap()], sequence).unwrap();
        swarm.behaviour_mut().register(at.0, namespace(), record, TTL).unwrap();
        let registered = rendezvous::Event::Registered { tracker: at.0, namespace: namespace(), ttl: TTL };
        assert_eq!(next(&mut swarm).await, registered);
        for (since, found) in [(Since::Beginning, 1), (Since::LastTime, 0), (Since::Beginning, 1)] {
            swarm.behaviour_mut().discover(at.0, namespace(), since, 10).unwrap();
            let event = next(&mut swarm).await;
            let rendezvous::Event::Discovered { records, ignored: 0, .. } = event else {
                panic!("{event:?}")
            };
            assert_eq!(records.len(), found, "{since:?}");
            assert!(records.iter().all(|record| record.sequence == sequence));
        }
    }
    swarm.behaviour_mut().unregister(at.0, namespace()).unwrap();
    next(&mut swarm).await;
    swarm.behaviour_mut().discover(at.0, namespace(), Since::Beginning, 10).unwrap();
    assert!(
        matches!(next(&mut swarm).await, rendezvous::Event::Discovered { records, .. } if records.is_empty())
    );
}

#[tokio::test]
async fn libp2ps_client_understands_this_server() {
    use libp2p::rendezvous::{Namespace, client};
    let at = tracker(|| Behaviour::new(Config::default())).await;
    let mut swarm = Swarm::new_ephemeral_tokio(client::Behaviour::new);
    swarm.add_external_address("/ip4/192.0.2.7/tcp/1".parse().unwrap());
    swarm.dial_and_wait(at.1.clone().with_p2p(at.0).unwrap()).await;
    let under = || Namespace::from_static("lunch");
    swarm.behaviour_mut().register(under(), at.0, Some(60)).unwrap();
    let event = next(&mut swarm).await;
    assert!(matches!(event, client::Event::Registered { ttl: 60, .. }), "{event:?}");
    let mut cookie = None;
    for expected in [1, 0] {
        swarm.behaviour_mut().discover(Some(under()), cookie, None, at.0);
        let event = next(&mut swarm).await;
        let client::Event::Discovered { registrations, cookie: new, .. } = event else { panic!("{event:?}") };
        assert_eq!(registrations.len(), expected);
        cookie = Some(new);
    }
    swarm.behaviour_mut().discover(None, None, None, at.0);
    let event = next(&mut swarm).await;
    assert!(matches!(event, client::Event::DiscoverFailed { .. }), "nobody lists all networks: {event:?}");
}

#[tokio::test]
async fn a_record_must_be_that_of_who_sends_it() {
    let at = tracker(|| Behaviour::new(Config::default())).await;
    let (mut swarm, key) = client(&at).await;
    let foreign = SignedRecord::new(&Keypair::generate_ed25519(), &[], 1).unwrap();
    swarm.behaviour_mut().register(at.0, namespace(), foreign, TTL).unwrap();
    assert!(reason(next(&mut swarm).await).contains("another peer"));
    let long = SignedRecord::new(&key, &vec![format!("/dns/{}", "x".repeat(400)).parse().unwrap(); 16], 1);
    swarm.behaviour_mut().register(at.0, namespace(), long.unwrap(), TTL).unwrap();
    assert!(reason(next(&mut swarm).await).contains("signed"));
}

#[tokio::test]
async fn many_identities_of_one_address_block_are_bounded_and_others_are_served() {
    let config = Config { max_per_block: 3, ..Config::default() };
    let at = tracker(|| Behaviour::new(config)).await;
    for _ in 0..3 {
        let event = register(&at, namespace()).await;
        assert!(matches!(event, rendezvous::Event::Registered { .. }), "{event:?}");
    }
    assert!(reason(register(&at, namespace()).await).contains("near this one"));
    let (mut swarm, _) = client(&at).await;
    swarm.behaviour_mut().discover(at.0, namespace(), Since::Beginning, 10).unwrap();
    assert!(
        matches!(next(&mut swarm).await, rendezvous::Event::Discovered { records, .. } if records.len() == 3)
    );
}

#[tokio::test]
async fn who_asks_too_often_is_refused_until_the_bucket_fills_again() {
    let config = Config { per_peer: Rate { at_once: 5, per_second: 0 }, ..Config::default() };
    let at = tracker(|| Behaviour::new(config)).await;
    let (mut swarm, _) = client(&at).await;
    for number in 0..8 {
        swarm.behaviour_mut().discover(at.0, namespace(), Since::Beginning, 10).unwrap();
        let event = next(&mut swarm).await;
        match event {
            rendezvous::Event::Discovered { .. } => assert!(number < 5),
            event => assert!(number >= 5 && reason(event).contains("less often")),
        }
    }
    let (mut other, _) = client(&at).await;
    other.behaviour_mut().discover(at.0, namespace(), Since::Beginning, 10).unwrap();
    assert!(matches!(next(&mut other).await, rendezvous::Event::Discovered { .. }));
}

#[tokio::test]
async fn a_cookie_of_another_run_counts_as_none() {
    let first = tracker(|| Behaviour::new(Config::default())).await;
    let second = tracker(|| Behaviour::new(Config::default())).await;
    assert!(matches!(register(&second, namespace()).await, rendezvous::Event::Registered { .. }));
    use libp2p::rendezvous::{Namespace, client};
    let mut swarm = Swarm::new_ephemeral_tokio(client::Behaviour::new);
    let mut cookie = None;
    for (at, found) in [(first, 0), (second, 1)] {
        swarm.dial_and_wait(at.1.with_p2p(at.0).unwrap()).await;
        swarm.behaviour_mut().discover(Some(Namespace::from_static("lunch")), cookie, None, at.0);
        let event = next(&mut swarm).await;
        let client::Event::Discovered { registrations, cookie: new, .. } = event else { panic!("{event:?}") };
        assert_eq!(registrations.len(), found);
        cookie = Some(new);
    }
}

#[tokio::test]
async fn garbage_is_no_reason_to_stop() {
    use crate::exchange;
    let at = tracker(|| Behaviour::new(Config::default())).await;
    let config = exchange::Config {
        name: rendezvous::PROTOCOL.to_string(),
        max_request_bytes: 1 << 20,
        max_response_bytes: 1 << 20,
        timeout: Duration::from_secs(5),
        max_concurrent: 8,
        framing: exchange::Framing::Substream,
    };
    let mut swarm = Swarm::new_ephemeral_tokio(|_| exchange::behaviour(&config));
    for bytes in [vec![], vec![0], vec![0xff; 20], vec![5, 1, 2], vec![2, 8, 3], vec![0xff, 0xff, 0x7f, 1]] {
        swarm.dial_and_wait(at.1.clone().with_p2p(at.0).unwrap()).await;
        swarm.behaviour_mut().send_request(&at.0, bytes);
        next(&mut swarm).await;
    }
    let registered = register(&at, namespace()).await;
    assert!(matches!(registered, rendezvous::Event::Registered { .. }), "{registered:?}");
    let (mut swarm, _) = client(&at).await;
    swarm.behaviour_mut().unregister(at.0, namespace()).unwrap();
    let event = next(&mut swarm).await;
    assert!(!matches!(event, rendezvous::Event::Failed { asked: Asked::Register, .. }));
}
