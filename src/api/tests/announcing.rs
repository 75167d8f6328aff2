//! Saying something to everybody.

use super::node::{TestNode, validator};
use crate::{api::types::Event, chat::MAX_TEXT_BYTES, client::ClientError, node::handle::NodeStatus};

#[tokio::test]
async fn what_is_announced_is_an_event() {
    let node = TestNode::start().await;
    let own = crate::keys::node_identity(&validator()).public().to_peer_id().to_base58();
    let status =
        NodeStatus { peer_id: own.clone(), validator: Some(validator().public()), ..NodeStatus::default() };
    node.control(super::node::Control::Status(status)).await;
    let mut events = node.client.events().await.unwrap();
    let announced = node.client.announce("Good morning").await.unwrap();
    assert_eq!((announced.peer_id.as_str(), announced.text.as_str()), (own.as_str(), "Good morning"));
    let event = events.next().await.unwrap().unwrap();
    let name = Some("alice".to_owned());
    let timestamp = announced.timestamp;
    assert_eq!(event, Event::Announced { peer_id: own, name, timestamp, text: "Good morning".into() });
    assert!(Event::NAMES.contains(&event.name()));
}

#[tokio::test]
async fn what_is_no_text_is_refused() {
    let node = TestNode::start().await;
    for text in ["", "  ", "two\nlines", &"x".repeat(MAX_TEXT_BYTES + 1)] {
        let Err(ClientError::Problem(problem)) = node.client.announce(text).await else { panic!("{text:?}") };
        assert_eq!((problem.status, problem.detail.starts_with("`text`: ")), (400, true), "{problem:?}");
    }
    node.post("/v1/announcements", "application/json", b"{}").await.problem(400, None);
    node.post("/v1/announcements", "text/plain", b"hello").await.problem(415, None);
    let answer = node.post("/v1/announcements", "application/json", b"{\"text\":\"hello\"}").await;
    assert_eq!(answer.status, 202);
}
