//! Connecting to a multiaddress.

use super::node::{Control, TestNode};
use crate::{
    client::ClientError,
    node::handle::{NodeEvent, NodeStatus, NotDialled, PeerInfo},
};
use libp2p::PeerId;

fn peer(id: &PeerId) -> PeerInfo {
    PeerInfo {
        peer_id: id.to_base58(),
        validator: None,
        name: None,
        height: 3,
        version: "v".into(),
        address: "/ip4/127.0.0.1/tcp/1".into(),
    }
}

/// What the API answers to a client that connects: the peer id, or the problem's status and detail.
async fn connect(node: &TestNode, address: &str) -> Result<String, (u16, String)> {
    match node.client.connect(address).await {
        Ok(peer) => Ok(peer.peer_id),
        Err(ClientError::Problem(problem)) => Err((problem.status, problem.detail)),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn addresses_that_nobody_could_dial_are_refused() {
    let node = TestNode::start().await;
    let own = PeerId::random();
    let status = NodeStatus { peer_id: own.to_base58(), ..NodeStatus::default() };
    node.control(Control::Status(status)).await;
    let long = format!("/dns/{}/tcp/1", "x".repeat(300));
    for (address, part) in [
        ("".to_owned(), "/ip4/192.0.2.7/tcp/7700"),
        ("localhost:7700".into(), "not a multiaddress"),
        ("/ip4/127.0.0.1/tcp/70000".into(), "not a multiaddress"),
        (long, "at most 256 bytes"),
        (format!("/p2p/{own}"), "does not say where"),
        (format!("/ip4/127.0.0.1/tcp/1/p2p/{own}"), "this node itself"),
    ] {
        let (status, detail) = connect(&node, &address).await.unwrap_err();
        assert_eq!(status, 400, "{address}: {detail}");
        assert!(detail.contains(part), "{address}: {detail}");
    }
    for (body, part) in [("{}", "address"), ("{\"address\":\"\",\"x\":1}", "unknown field"), ("[", "EOF")] {
        let detail = node.post("/v1/peers", "application/json", body.as_bytes()).await.problem(400, None);
        assert!(detail.contains(part), "{body}: {detail}");
    }
    node.post("/v1/peers", "text/plain", b"{}").await.problem(415, None);
    node.post("/v1/peers", "application/cbor", b"{}").await.problem(415, None);
}

#[tokio::test]
async fn who_connects_is_told_what_came_of_it() {
    let node = TestNode::start().await;
    let (near, far) = (PeerId::random(), PeerId::random());
    let address = |id: &PeerId| format!("/ip4/127.0.0.1/tcp/1/p2p/{id}");
    node.control(Control::Peers(vec![peer(&near)])).await;

    assert_eq!(connect(&node, &address(&near)).await, Ok(near.to_base58()), "connected already");
    let (status, detail) = connect(&node, &address(&far)).await.unwrap_err();
    assert_eq!((status, detail.contains("nobody is there")), (502, true), "{detail}");

    node.control(Control::Dialled(Err(NotDialled::Busy(16)))).await;
    let body = br#"{"address":"/ip4/127.0.0.1/tcp/1"}"#;
    let answer = node.post("/v1/peers", "application/json", body).await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    let detail = answer.problem(503, Some("node/too-many-dials"));
    assert!(detail.contains("16 addresses"), "{detail}");

    node.control(Control::Dialled(Ok(near.to_base58()))).await;
    assert_eq!(connect(&node, "/ip4/127.0.0.1/tcp/1").await, Ok(near.to_base58()), "whoever answers there");

    // The handshake ends after the dial, and other peers' do too.
    node.control(Control::Dialled(Ok(far.to_base58()))).await;
    let send = |event| async { drop(node.handle.events.send(event)) };
    let refusal = |id: &PeerId, by_us| NodeEvent::PeerRefused {
        peer_id: id.to_base58(),
        reason: "it is of another network".into(),
        by_us,
    };
    let (answer, ()) = tokio::join!(connect(&node, "/ip4/127.0.0.1/tcp/1"), async {
        wait_for_subscriber(&node).await;
        send(refusal(&near, true)).await;
        send(refusal(&far, false)).await;
    });
    let (status, detail) = answer.unwrap_err();
    assert_eq!(
        (status, detail.contains("refused by") && detail.contains("another network")),
        (403, true),
        "{detail}"
    );

    let (answer, ()) = tokio::join!(connect(&node, "/ip4/127.0.0.1/tcp/1"), async {
        wait_for_subscriber(&node).await;
        node.control(Control::Peers(vec![peer(&far)])).await;
        send(NodeEvent::PeerConnected(peer(&far))).await;
    });
    assert_eq!(answer, Ok(far.to_base58()));
}

/// Waits until the request listens to the events.
async fn wait_for_subscriber(node: &TestNode) {
    while node.handle.events.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
}
