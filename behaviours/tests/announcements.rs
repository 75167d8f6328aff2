//! The gate of announcements, on real swarms in memory.

#![allow(clippy::unwrap_used)]

use conclave_behaviours::announcements::{Acceptance, Behaviour, Config, Event, NotPublished};
use futures::StreamExt;
use libp2p::{
    PeerId, Swarm,
    swarm::{
        ConnectionId, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use libp2p_swarm_test::SwarmExt;

const TYPE: u16 = 7;

fn swarm() -> Swarm<Behaviour> {
    Swarm::new_ephemeral_tokio(|keypair| {
        Behaviour::new(&keypair, Config::new("/conclave/test/announcements".into()))
    })
}

async fn pair() -> [Swarm<Behaviour>; 2] {
    let (mut one, mut other) = (swarm(), swarm());
    one.listen().with_memory_addr_external().await;
    other.connect(&mut one).await;
    [one, other]
}

fn ids(swarms: &[Swarm<Behaviour>; 2]) -> [PeerId; 2] {
    swarms.each_ref().map(|swarm| *swarm.local_peer_id())
}

/// Drives both until `found` finds something.
async fn until<T>(
    swarms: &mut [Swarm<Behaviour>; 2],
    mut found: impl FnMut(&mut [Swarm<Behaviour>; 2], usize, SwarmEvent<Event>) -> Option<T>,
) -> T {
    loop {
        let [one, other] = &mut *swarms;
        let (index, event) = tokio::select! {
            event = one.select_next_some() => (0, event),
            event = other.select_next_some() => (1, event),
        };
        if let Some(found) = found(swarms, index, event) {
            return found;
        }
    }
}

/// Publishes from swarm 0 as soon as it knows of a subscriber, and waits for the first copy at swarm 1.
async fn exchange(swarms: &mut [Swarm<Behaviour>; 2], data: &[u8]) {
    let [sender, _] = ids(swarms);
    let mut published = false;
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        if !published && swarms[0].behaviour().subscriptions() > 0 {
            swarms[0].behaviour_mut().publish(TYPE, data, false).unwrap();
            published = true;
        }
        let [one, other] = &mut *swarms;
        tokio::select! {
            _ = one.select_next_some() => {}
            event = other.select_next_some() => {
                if let SwarmEvent::Behaviour(Event::First { peer, origin, data_type, data: found, id, per_author: false }) = event {
                    assert_eq!((peer, origin, data_type, found.as_slice()), (sender, sender, TYPE, data));
                    other.behaviour_mut().answer(id, peer, Acceptance::Drop);
                    return;
                }
            }
            _ = ticks.tick() => {}
        }
    }
}

/// A further connection, dialled by swarm 1; nothing else may happen until it is there.
async fn dial_again(swarms: &mut [Swarm<Behaviour>; 2]) -> ConnectionId {
    let [sender, _] = ids(swarms);
    let address = swarms[0].external_addresses().next().unwrap().clone();
    let options = DialOpts::peer_id(sender).condition(PeerCondition::Always).addresses(vec![address]).build();
    let dialled = options.connection_id();
    swarms[1].dial(options).unwrap();
    until(swarms, |_, index, event| match event {
        SwarmEvent::ConnectionEstablished { connection_id, .. } => {
            (index == 1 && connection_id == dialled).then_some(())
        }
        SwarmEvent::Behaviour(event) => panic!("nothing was to happen, and this did: {event:?}"),
        _ => None,
    })
    .await;
    dialled
}

#[tokio::test]
async fn nothing_is_heard_or_said_before_the_gate_is_open() {
    let mut swarms = pair().await;
    let [sender, receiver] = ids(&swarms);
    swarms[1].behaviour_mut().subscribe(TYPE);
    // The receiver opens first: what it says is held back by the sender, and not lost.
    swarms[1].behaviour_mut().open(sender);
    // Once another connection is there, what was said before it has long arrived.
    dial_again(&mut swarms).await;
    assert_eq!(swarms[0].behaviour().subscriptions(), 0);
    assert_eq!(swarms[0].behaviour_mut().publish(TYPE, b"nobody", true), Err(NotPublished::NobodySubscribed));
    swarms[0].behaviour_mut().open(receiver);
    exchange(&mut swarms, b"heard").await;
}

#[tokio::test]
async fn a_gate_that_closes_and_opens_again_knows_the_subscriptions_again() {
    let mut swarms = pair().await;
    let [sender, receiver] = ids(&swarms);
    swarms[1].behaviour_mut().subscribe(TYPE);
    for round in 0..3 {
        swarms[0].behaviour_mut().open(receiver);
        swarms[1].behaviour_mut().open(sender);
        exchange(&mut swarms, &[round]).await;
        swarms[0].behaviour_mut().close(receiver);
        swarms[1].behaviour_mut().close(sender);
        assert_eq!(swarms[0].behaviour().subscriptions(), 0);
    }
}

#[tokio::test]
async fn another_connection_takes_over_and_subscriptions_are_said_anew() {
    let mut swarms = pair().await;
    let [sender, receiver] = ids(&swarms);
    swarms[1].behaviour_mut().subscribe(TYPE);
    swarms[0].behaviour_mut().open(receiver);
    swarms[1].behaviour_mut().open(sender);
    exchange(&mut swarms, b"over the first").await;
    // A second connection, and the first one closes.
    let second = dial_again(&mut swarms).await;
    // The older of the receiver's connections: numbers are given in order, and few here.
    let mut older = (0..1000).map(ConnectionId::new_unchecked).filter(|id| *id != second);
    older.find(|id| swarms[1].close_connection(*id)).unwrap();
    let mut closed = 0;
    until(&mut swarms, |_, _, event| {
        closed += usize::from(matches!(event, SwarmEvent::ConnectionClosed { .. }));
        (closed == 2).then_some(())
    })
    .await;
    exchange(&mut swarms, b"over the second").await;
}
