//! The OpenAPI document and its page say what there is, and the schemas are what is sent.

use super::{
    super::{openapi, routes, types::schema},
    node::{TestNode, genesis, record, sender, signed, validator},
};
use conclave_ledger::{
    applications::{
        Payload,
        evidence::{Evidence, Statement},
        governance::{self, Change},
        polls::{self, Electorate, ElectorateKind},
    },
    genesis::{Genesis, Limits},
    hash::Hash,
    keys::Signature,
    signed::{Kind, Value as Decision},
    tally::{Choice, Method, Tally},
    validators::{FaultBound, Validator},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeSet;

#[tokio::test]
async fn the_document_lists_exactly_the_routes() {
    let node = TestNode::start().await;
    let answer = node.get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."), "{}", document["openapi"]);
    let documented: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let routes: BTreeSet<&str> = routes::routes().into_iter().map(|(path, _)| path).collect();
    assert_eq!(documented, routes);
    for (path, methods) in document["paths"].as_object().unwrap() {
        let zeros = "0".repeat(64);
        let path = path
            .replace("{id}", &zeros)
            .replace("{voter}", &zeros)
            .replace("{key}", &zeros)
            .replace("{height}", "1");
        let methods: BTreeSet<String> =
            methods.as_object().unwrap().keys().map(|it| it.to_ascii_uppercase()).collect();
        if path == "/v1/events" {
            continue;
        }
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let answer = node.raw(&format!("{method} {path}"), &[("Host", "localhost")], b"").await;
            assert_eq!(answer.status != 405, methods.contains(method), "{method} {path}: {answer:?}");
            if answer.status == 405 {
                answer.problem(405, None);
                let allowed = answer.header("allow").unwrap().to_ascii_uppercase();
                assert!(methods.iter().all(|method| allowed.contains(method.as_str())), "{allowed}");
            }
        }
    }
}

/// A client that reads by the document reads both answers to a submission.
#[test]
fn the_answer_to_several_transactions_is_documented_beside_that_to_one() {
    let document: Value = serde_json::from_str(openapi::json()).unwrap();
    let answers = &document["paths"]["/v1/transactions"]["post"]["responses"];
    let body =
        |status: &str| answers[status]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
    assert!(body("202").ends_with("/TransactionStatus"), "{answers}");
    let either =
        document.pointer(body("200").strip_prefix('#').unwrap()).unwrap()["oneOf"].as_array().unwrap();
    let named: Vec<&str> =
        either.iter().filter_map(|one| one["$ref"].as_str()?.split('/').next_back()).collect();
    assert_eq!(named, ["TransactionStatus", "Submitted"], "{either:?}");
}

/// Every reference leads somewhere, and everything has a description.
#[test]
fn the_document_is_complete() {
    let document: Value = serde_json::from_str(openapi::json()).unwrap();
    fn check(value: &Value, document: &Value) {
        if let Some(reference) = value["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        match value {
            Value::Object(map) => map.values().for_each(|value| check(value, document)),
            Value::Array(list) => list.iter().for_each(|value| check(value, document)),
            _ => {}
        }
    }
    check(&document, &document);
    for (path, methods) in document["paths"].as_object().unwrap() {
        for operation in methods.as_object().unwrap().values() {
            assert!(operation["summary"].is_string(), "{path} has no summary");
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name} has no description");
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            let typed = ["$ref", "type", "oneOf"].iter().any(|key| !schema[*key].is_null());
            assert!(typed, "{name}.{field} says nothing of its type: {schema}");
        }
    }
}

#[tokio::test]
async fn the_page_shows_everything_without_a_script() {
    let node = TestNode::start().await;
    let answer = node.get("/").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
    let page = String::from_utf8(answer.body).unwrap();
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
    for (path, _) in routes::routes() {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
    }
    let schemas: Value = serde_json::from_str(openapi::json()).unwrap();
    for name in schemas["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("<section id=\"{name}\">")), "{name}");
    }
    // Every link within the page has a target.
    for link in page.split("href=\"#").skip(1) {
        let name = link.split('"').next().unwrap();
        assert!(page.contains(&format!("id=\"{name}\"")), "{name}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let node = TestNode::start().await;
    for path in ["/nothing", "/v1", "/v1/", "/v1/blocks/", "/v1/status/x", "//", "/v1/%ff"] {
        let detail = node.get(path).await.problem(404, None);
        assert!(detail.contains("nothing at"), "{detail}");
    }
}

/// `Mirror` reads the JSON of `value` and writes the same.
fn mirrors<Mirror: Serialize + DeserializeOwned>(value: &impl Serialize) {
    let json = serde_json::to_value(value).unwrap();
    let mirror: Mirror =
        serde_json::from_value(json.clone()).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!(serde_json::to_value(mirror).unwrap(), json);
}

#[test]
fn the_schemas_are_the_json_of_the_ledger() {
    let poll = |payload| signed(&sender(), Payload::Poll(payload));
    let open = |method, electorate| {
        let (title, options) = ("t".into(), vec!["a".into(), "b".into()]);
        poll(polls::Payload::OpenPoll {
            title,
            options,
            method,
            electorate,
            opens: 1,
            closes: 2,
            revote: true,
        })
    };
    let cast = |choice| poll(polls::Payload::CastBallot { poll: Hash([1; 32]), choice });
    let governance = |payload| signed(&validator(), Payload::Governance(payload));
    let propose = |change| governance(governance::Payload::Propose { change });
    let statement = |kind, value| Statement { kind, value, signature: Signature([3; 64]) };
    let evidence = |first, second| Evidence { offender: validator().public(), height: 4, first, second };
    let kinds =
        [Kind::Vote, Kind::Endorse, Kind::RelayCertificate, Kind::RelaySupport, Kind::Commit, Kind::Settle];
    let mut transactions = vec![
        record("x"),
        open(Method::ChooseOne, Electorate::Anyone),
        open(Method::Approve, Electorate::Validators),
        open(Method::Rank, Electorate::Keys(vec![sender().public()])),
        cast(Choice::One(1)),
        cast(Choice::Approve(vec![0, 1])),
        cast(Choice::Rank(vec![vec![0, 1], vec![2]])),
        poll(polls::Payload::ClosePoll { poll: Hash([1; 32]) }),
        propose(Change::AddValidator(Validator { name: "n".into(), key: sender().public() })),
        propose(Change::RemoveValidator(sender().public())),
        propose(Change::SetLimits(Limits::default())),
        governance(governance::Payload::Approve { proposal: Hash([1; 32]) }),
        governance(governance::Payload::Resume),
    ];
    for kind in kinds {
        let (skip, block) =
            (statement(kind, Decision::Skip), statement(kind, Decision::Block(Hash([5; 32]))));
        transactions.push(signed(&sender(), Payload::Evidence(evidence(skip, block))));
    }
    transactions[0].stamp = Some(7);
    transactions.iter().for_each(mirrors::<schema::Transaction>);

    for faulty in [FaultBound::Third, FaultBound::Half, FaultBound::AllButOne, FaultBound::Exactly(0)] {
        mirrors::<schema::Genesis>(&Genesis { faulty, ..genesis() });
    }
    for kind in [ElectorateKind::Keys(3), ElectorateKind::Validators, ElectorateKind::Anyone] {
        mirrors::<schema::ElectorateKind>(&kind);
    }
    for method in Method::ALL {
        mirrors::<schema::Method>(&method);
        mirrors::<schema::Tally>(&Tally::count(method, 2, []).unwrap());
    }
}
