//! Submitting transactions, and what becomes of them.

use super::{
    super::{MAX_SUBMISSION, MAX_WAIT_MS, types::TransactionStatus},
    node::{Control, TestNode, record, sender, signed},
};
use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    codec,
    hash::Hash,
    keys::{SecretKey, Signature},
    pool::PoolLimits,
    transaction::{Transaction, find_stamp},
};
use std::time::Duration;

const PATH: &str = "/v1/transactions";
const JSON: &str = "application/json";
const CBOR: &str = "application/cbor";

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

#[tokio::test]
async fn one_transaction_in_either_format() {
    let node = TestNode::start().await;
    for (content_type, transaction, encode) in [
        (JSON, record("a"), json as fn(&Transaction) -> Vec<u8>),
        ("application/json; charset=utf-8", record("b"), json),
        (CBOR, record("c"), codec::encode),
    ] {
        let answer = node.post(PATH, content_type, &encode(&transaction)).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.header("location"), Some(format!("{PATH}/{}", transaction.id()).as_str()));
        assert_eq!(answer.json(), serde_json::json!({ "status": "pending", "id": transaction.id() }));
        let info = node.client.transaction(&transaction.id()).await.unwrap();
        assert!(matches!(info.status, TransactionStatus::Decided { .. }), "{info:?}");
        node.post(PATH, content_type, &encode(&transaction))
            .await
            .problem(409, Some("transaction/already-included"));
    }
    let (transaction, path) = (record("d"), format!("{PATH}?wait=decided"));
    let first = node.post(&path, JSON, &json(&transaction)).await;
    assert_eq!((first.status, &first.json()["status"]), (200, &"decided".into()));
    // Whoever lost the answer may ask again.
    let second = node.post(&path, CBOR, &codec::encode(&transaction)).await;
    assert_eq!((second.status, second.json()), (200, first.json()));
}

#[tokio::test]
async fn waiting_ends_with_the_decision_the_timeout_or_the_reason() {
    let node = TestNode::start().await;
    node.control(Control::Decide(false)).await;
    let transaction = record("waits");
    let answer =
        node.post(&format!("{PATH}?wait=decided&timeout_ms=1"), CBOR, &codec::encode(&transaction)).await;
    assert_eq!((answer.status, &answer.json()["status"]), (202, &"pending".into()));
    node.post(PATH, CBOR, &codec::encode(&transaction)).await.problem(409, Some("pool/already-waiting"));

    let client = node.client.clone();
    let waiting = transaction.clone();
    let wait = tokio::spawn(async move { client.submit_and_wait(&waiting, Duration::from_secs(30)).await });
    // The wait is known to the node before the submission is; the next query sees both, or neither yet.
    node.control(Control::Decide(true)).await;
    assert!(matches!(wait.await.unwrap().unwrap(), TransactionStatus::Decided { height: 1, .. }));

    node.control(Control::Decide(false)).await;
    let client = node.client.clone();
    let dropped = record("dropped");
    let id = dropped.id();
    let wait = tokio::spawn(async move { client.submit_and_wait(&dropped, Duration::from_secs(30)).await });
    while node.client.status().await.unwrap().pool.transactions == 0 {
        tokio::task::yield_now().await;
    }
    node.control(Control::Drop("it expired".into())).await;
    let error = wait.await.unwrap().unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!((problem.status, problem.rule.as_deref()), (422, Some("pool/dropped")));
    assert!(
        problem.detail.contains("it expired") && problem.instance == Some(format!("{PATH}/{id}").into()),
        "{problem:?}"
    );

    let too_long = format!("{PATH}?wait=decided&timeout_ms={}", MAX_WAIT_MS + 1);
    assert!(node.post(&too_long, JSON, b"{}").await.problem(400, None).contains("timeout_ms"));
    node.post(&format!("{PATH}?wait=forever"), JSON, b"{}").await.problem(400, None);
    node.post(&format!("{PATH}?wiat=decided"), JSON, b"{}").await.problem(400, None);
}

#[tokio::test]
async fn several_are_answered_each_by_itself() {
    let node = TestNode::start().await;
    let mut forged = record("forged");
    forged.signature = Signature([7; 64]);
    let list = [record("x"), forged, record("y"), record("x")];
    for (content_type, body) in
        [(JSON, json(&serde_json::json!({ "transactions": list }))), (CBOR, codec::encode(list.as_slice()))]
    {
        let node = TestNode::start().await;
        let answer = node.post(&format!("{PATH}?wait=decided"), content_type, &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let results = answer.json()["results"].as_array().unwrap().clone();
        let statuses: Vec<_> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["decided", "refused", "decided", "decided"]);
        assert_eq!(results[1]["problem"]["rule"], "transaction/signature");
        assert_eq!(results[1]["id"], list[1].id().to_string());
        assert_eq!(results[2]["index"], 1);
    }
    let many: Vec<_> = (0..MAX_SUBMISSION).map(|number| record(&format!("{number}"))).collect();
    let results = node.client.submit_all(&many, Some(Duration::from_secs(60))).await.unwrap();
    assert_eq!(results.len(), MAX_SUBMISSION);
    for (index, (result, transaction)) in results.iter().zip(&many).enumerate() {
        let TransactionStatus::Decided { id, index: found, .. } = result else { panic!("{result:?}") };
        assert_eq!((*id, *found as usize), (transaction.id(), index));
    }
    let too_many: Vec<_> = (0..=MAX_SUBMISSION).map(|number| record(&format!("+{number}"))).collect();
    let error = node.client.submit_all(&too_many, None).await.unwrap_err();
    assert_eq!(error.problem().unwrap().status, 413, "{error}");
    assert_eq!(node.client.submit_all(&[], None).await.unwrap(), []);
}

#[tokio::test]
async fn rules_that_are_broken_are_named() {
    let node = TestNode::start().await;
    let changed = |change: &dyn Fn(&mut Transaction)| {
        let mut transaction = record("changed");
        change(&mut transaction);
        transaction.request.sign(&sender())
    };
    let stranger = SecretKey::from_seed([40; 32]);
    let unstamped = signed(&stranger, Payload::Record(Record { kind: "k".into(), data: Bytes(vec![]) }));
    let no_kind = signed(&sender(), Payload::Record(Record { kind: "".into(), data: Bytes(vec![]) }));
    for (transaction, rule) in [
        (changed(&|it| it.request.network = Hash::ZERO), "transaction/wrong-network"),
        (changed(&|it| it.request.expires = 0), "transaction/expired"),
        (changed(&|it| it.request.expires = 5_000), "transaction/expires-too-late"),
        (unstamped.clone(), "transaction/stamp"),
        (no_kind, "record/kind"),
    ] {
        for path in [PATH.to_owned(), format!("{PATH}?wait=decided")] {
            let answer = node.post(&path, CBOR, &codec::encode(&transaction)).await;
            answer.problem(422, Some(rule));
            assert_eq!(answer.json()["instance"], format!("{PATH}/{}", transaction.id()));
        }
    }
    let stamp = find_stamp(&unstamped.id(), 8, 0, 1 << 20);
    node.decide(&Transaction { stamp, ..unstamped }).await;
}

#[tokio::test]
async fn a_full_pool_says_when_to_come_back() {
    let limits = PoolLimits { transactions: 2, per_sender: 1, ..PoolLimits::default() };
    let node = TestNode::start_with(limits, None, vec![]).await;
    node.control(Control::Decide(false)).await;
    node.client.submit(&record("1")).await.unwrap();
    let answer = node.post(PATH, CBOR, &codec::encode(&record("2"))).await;
    answer.problem(429, Some("pool/too-many-of-sender"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let other =
        signed(&super::node::validator(), Payload::Record(Record { kind: "k".into(), data: Bytes(vec![]) }));
    node.client.submit(&other).await.unwrap();
    let answer = node.post(PATH, CBOR, &codec::encode(&record("3"))).await;
    answer.problem(503, Some("pool/full"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn bodies_that_are_no_transaction_are_refused_with_the_place() {
    let node = TestNode::start().await;
    let transaction = record("x");
    let mut unknown_field = serde_json::to_value(&transaction).unwrap();
    unknown_field["request"]["extra"] = 1.into();
    let both = serde_json::json!({ "transactions": [], "stamp": 1 });
    for (body, reason) in [
        (b"{\n  \"request\": nonsense".to_vec(), "line 2 column"),
        (b"".to_vec(), "line 1 column 0"),
        (json(&unknown_field), "unknown field `extra`"),
        (json(&both), "`transactions` alone"),
        (b"{}".to_vec(), "`request` and `signature`"),
        (b"7".to_vec(), "not a transaction in JSON"),
    ] {
        let detail = node.post(PATH, JSON, &body).await.problem(400, None);
        assert!(detail.contains(reason), "{detail}");
    }
    let mut trailing = codec::encode(&transaction);
    trailing.push(0);
    for (body, reason) in [
        (trailing, "not canonical"),
        (vec![], "malformed"),
        (vec![0x81, 0x00], "malformed"),
        (vec![0x9f, 0xff], "not canonical"),
    ] {
        let detail = node.post(PATH, CBOR, &body).await.problem(400, None);
        assert!(detail.contains(reason), "{detail}");
    }
}
