//! Against libp2p's server.

use super::*;
use libp2p::{PeerId, rendezvous};

fn server(max_ttl: u64) -> Swarm<rendezvous::server::Behaviour> {
    Swarm::new_ephemeral_tokio(|_| {
        let config = rendezvous::server::Config::default().with_min_ttl(1).with_max_ttl(max_ttl);
        rendezvous::server::Behaviour::new(config)
    })
}

const TTL: Duration = Duration::from_secs(60);

async fn discover(client: &mut Swarm<Behaviour>, tracker: PeerId, since: Since) -> Vec<Record> {
    client.behaviour_mut().discover(tracker, namespace(), since, 10).unwrap();
    match next(client).await {
        Event::Discovered { records, ignored: 0, .. } => records,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn registers_refreshes_is_found_and_leaves() {
    let (mut swarm, key, tracker) = client(server(7200)).await;
    let me = key.public().to_peer_id();
    for sequence in 1..4 {
        let said = record(&key, 7700 + sequence as u16, sequence);
        swarm.behaviour_mut().register(tracker, namespace(), said, TTL).unwrap();
        let registered = Event::Registered { tracker, namespace: namespace(), ttl: TTL };
        assert_eq!(next(&mut swarm).await, registered);
        let found = discover(&mut swarm, tracker, Since::Beginning).await;
        assert_eq!(found.len(), 1, "a refresh takes the place of what was there");
        assert_eq!((found[0].peer, found[0].sequence), (me, sequence));
    }
    swarm.behaviour_mut().unregister(tracker, namespace()).unwrap();
    assert_eq!(next(&mut swarm).await, Event::Unregistered { tracker, namespace: namespace() });
    assert_eq!(discover(&mut swarm, tracker, Since::Beginning).await, []);
}

#[tokio::test]
async fn with_a_cookie_only_what_is_new_is_told() {
    let (mut swarm, key, tracker) = client(server(7200)).await;
    swarm.behaviour_mut().register(tracker, namespace(), record(&key, 1, 1), TTL).unwrap();
    next(&mut swarm).await;
    assert_eq!(discover(&mut swarm, tracker, Since::LastTime).await.len(), 1);
    assert_eq!(discover(&mut swarm, tracker, Since::LastTime).await.len(), 0);
    assert_eq!(discover(&mut swarm, tracker, Since::Beginning).await.len(), 1);
    swarm.behaviour_mut().register(tracker, namespace(), record(&key, 2, 2), TTL).unwrap();
    next(&mut swarm).await;
    assert_eq!(discover(&mut swarm, tracker, Since::LastTime).await[0].sequence, 2);
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let (mut swarm, key, tracker) = client(server(60)).await;
    let too_long = Duration::from_secs(61);
    swarm.behaviour_mut().register(tracker, namespace(), record(&key, 1, 1), too_long).unwrap();
    let Event::Failed { asked: Asked::Register, reason, .. } = next(&mut swarm).await else { panic!() };
    assert!(reason.contains("invalid time to live"), "{reason}");
    let foreign = record(&Keypair::generate_ed25519(), 1, 1);
    swarm.behaviour_mut().register(tracker, namespace(), foreign, TTL).unwrap();
    let Event::Failed { asked: Asked::Register, reason, .. } = next(&mut swarm).await else { panic!() };
    assert!(reason.contains("not authorized"), "{reason}");
}

#[tokio::test]
async fn nobody_there_is_a_failure() {
    let (mut swarm, _, _) = client(server(60)).await;
    let nobody = PeerId::random();
    swarm.behaviour_mut().discover(nobody, namespace(), Since::Beginning, 10).unwrap();
    let Event::Failed { tracker, asked: Asked::Discover, .. } = next(&mut swarm).await else { panic!() };
    assert_eq!(tracker, nobody);
}
