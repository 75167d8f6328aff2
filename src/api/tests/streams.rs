//! The stream of events, the metrics, and the client's own errors.

use super::{
    super::{
        MAX_SUBSCRIBERS,
        types::{Event, RecordKind},
    },
    node::{Control, TestNode, record, validator},
};
use crate::{
    client::{Client, ClientError},
    node::handle::{EVENT_QUEUE, NodeEvent, PeerInfo},
};
use conclave_ledger::signed::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

#[tokio::test]
async fn events_arrive_in_order_with_names() {
    let node = TestNode::start().await;
    let mut events = node.client.events().await.unwrap();
    let peer = PeerInfo {
        peer_id: "p".into(),
        validator: None,
        name: None,
        height: 3,
        version: "v".into(),
        address: "/ip4/127.0.0.1".into(),
    };
    let sent = [
        (NodeEvent::Opened { height: 1, leader: validator().public() }, "opened"),
        (NodeEvent::Voted { height: 1, value: Value::Skip }, "voted"),
        (NodeEvent::RolledBack { height: 1 }, "rolled-back"),
        (NodeEvent::Halted { height: 1, closing: 2, quorum: 3 }, "halted"),
        (NodeEvent::PeerConnected(peer), "peer-connected"),
        (NodeEvent::PeerLost { peer_id: "p".into() }, "peer-lost"),
        (
            NodeEvent::PeerRefused { peer_id: "p".into(), reason: "another network".into(), by_us: true },
            "peer-refused",
        ),
        (NodeEvent::PeerPenalized { peer_id: "p".into(), reason: "r\nr".into() }, "peer-penalized"),
        (NodeEvent::CatchingUp { height: 1, target: 9 }, "catching-up"),
    ];
    for (event, name) in sent {
        node.handle.events.send(event).ok().unwrap();
        let event = events.next().await.unwrap().unwrap();
        assert_eq!(event.name(), name);
        assert!(Event::NAMES.contains(&name), "{name}");
        assert_eq!(serde_json::to_value(&event).unwrap()["event"], name);
        match event {
            Event::Opened { leader, .. } => assert_eq!(leader.name.as_deref(), Some("alice")),
            Event::Halted { reachable, quorum, .. } => assert_eq!((reachable, quorum), (2, 3)),
            Event::PeerPenalized { reason, .. } => assert_eq!(reason, "r\nr"),
            _ => {}
        }
    }
    node.decide(&record("x")).await;
    node.control(Control::Skip).await;
    for (expected_height, expected_kind) in [(1, RecordKind::Block), (2, RecordKind::Skip)] {
        let event = events.next().await.unwrap().unwrap();
        let Event::Decided { height, kind, leader, transactions, hash, micros, .. } = event else {
            panic!("{event:?}")
        };
        assert_eq!((height, kind, micros), (expected_height, expected_kind, Some(7)));
        assert_eq!(leader.is_some(), kind == RecordKind::Block);
        assert_eq!(transactions, usize::from(kind == RecordKind::Block));
        assert_eq!(hash, node.client.block(height).await.unwrap().hash);
    }
    node.handle.stop();
    assert!(events.next().await.is_none());
    node.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_stream_is_what_browsers_and_curl_read() {
    let node = TestNode::start().await;
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.contains("\r\n\r\n") {
        let length = stream.read(&mut buffer).await.unwrap();
        text += std::str::from_utf8(&buffer[..length]).unwrap();
    }
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    node.handle.events.send(NodeEvent::RolledBack { height: 4 }).ok().unwrap();
    while !text.contains("\n\n") {
        let length = stream.read(&mut buffer).await.unwrap();
        text += std::str::from_utf8(&buffer[..length]).unwrap();
    }
    assert!(
        text.contains("event: rolled-back\ndata: {\"event\":\"rolled-back\",\"height\":4}\n\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_slow_subscriber_is_told_what_it_missed() {
    let node = TestNode::start().await;
    let mut events = node.client.events().await.unwrap();
    // All of them before the stream's task runs again: this test and the node share one thread.
    let sent = EVENT_QUEUE as u64 + 10;
    for height in 1..=sent {
        node.handle.events.send(NodeEvent::RolledBack { height }).ok().unwrap();
    }
    assert_eq!(events.next().await.unwrap().unwrap(), Event::Missed { count: 10 });
    for height in 11..=sent {
        assert_eq!(events.next().await.unwrap().unwrap(), Event::RolledBack { height });
    }
}

#[tokio::test]
async fn there_is_room_for_so_many_subscribers_and_it_is_given_back() {
    let node = TestNode::start().await;
    let mut subscribers = Vec::new();
    for _ in 0..MAX_SUBSCRIBERS {
        subscribers.push(node.client.events().await.unwrap());
    }
    node.get("/v1/events").await.problem(503, None);
    assert_eq!(node.handle.events.receiver_count(), MAX_SUBSCRIBERS);
    subscribers.pop();
    // The node sees that the connection is gone, without any event.
    while node.handle.events.receiver_count() == MAX_SUBSCRIBERS {
        tokio::task::yield_now().await;
    }
    node.client.events().await.unwrap();
}

#[tokio::test]
async fn metrics_are_those_of_the_registry() {
    let node = TestNode::start().await;
    let answer = node.get("/metrics").await;
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert_eq!(node.client.metrics().await.unwrap(), "# EOF\n");
}

#[tokio::test]
async fn the_client_says_what_is_wrong_with_the_other_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::new(&url, None).unwrap();
    let answers = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", "missing field"),
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", "status 502"),
    ];
    for (answer, reason) in answers {
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let (result, ()) = tokio::join!(client.status(), serve);
        let error = result.unwrap_err();
        assert!(
            matches!(error, ClientError::Malformed { .. }) && error.to_string().contains(reason),
            "{error}"
        );
    }
    drop(listener);
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&url) && error.to_string().contains("conclave up"), "{error}");
}
