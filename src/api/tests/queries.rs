//! What the node knows.

use super::{
    super::types::{PollPhase, RecordKind, TransactionStatus},
    node::{Control, TestNode, genesis, known_peer, no_such, record, sender, signed, validator},
};
use crate::{
    api::types::InclusionError,
    node::handle::{NodeStatus, PeerInfo},
};
use conclave_ledger::{
    applications::{
        Payload,
        governance::{self, Change},
        polls::{self, Electorate},
    },
    hash::Hash,
    keys::SecretKey,
    proof::{Proof, ProofError},
    signed::SignatureSet,
    tally::{Choice, Method, Tally},
    validators::{FaultBound, Validator, ValidatorSet},
};
use conclave_protocol::peer_record::multiaddr;

fn peer(number: u8) -> PeerInfo {
    PeerInfo {
        peer_id: format!("12D3KooW{number}"),
        validator: Some(SecretKey::from_seed([number; 32]).public()),
        name: Some(format!("v{number}")),
        height: 5,
        version: "conclave/0.1.0".into(),
        address: "/ip4/127.0.0.1/tcp/9".into(),
    }
}

#[tokio::test]
async fn status_validators_peers_and_genesis() {
    let node = TestNode::start().await;
    let status = node.client.status().await.unwrap();
    assert_eq!((status.height, status.hash, status.network), (0, Hash::ZERO, genesis().network_id()));
    assert_eq!((status.peers, status.quorum, status.validators_reachable), (0, 1, 1));
    assert_eq!(status.validator.unwrap().name.as_deref(), Some("alice"));
    assert_eq!((status.leader.key, status.not_ready), (validator().public(), None));
    node.decide(&record("one")).await;
    node.control(Control::Peers(vec![peer(7)])).await;
    let status = node.client.status().await.unwrap();
    assert_eq!((status.height, status.block_height, status.peers), (1, 1, 1));
    assert_eq!(status.hash, node.client.block(1).await.unwrap().hash);

    let validators = node.client.validators().await.unwrap();
    assert_eq!((validators.height, validators.quorum, validators.faulty), (2, 1, 0));
    let [alice] = validators.validators.as_slice() else { panic!("one validator") };
    assert_eq!((alice.index, alice.name.as_str(), alice.key), (0, "alice", validator().public()));
    assert!(alice.leader && alice.connected && !alice.suspended && !alice.absent);
    node.control(Control::Skip).await;
    assert!(node.client.validators().await.unwrap().validators[0].absent);

    let known = node.client.known_peers().await.unwrap().peers;
    let [known] = known.as_slice() else { panic!("one known peer") };
    assert_eq!(known.peer_id, multiaddr::base58(known_peer().as_bytes()));
    assert_eq!((known.sources[0].as_str(), known.group.as_str()), ("tracker", "192.0.0.0/16"));
    assert!(!known.connected && !known.met && known.validator.is_none());

    let peers = node.client.peers().await.unwrap().peers;
    assert_eq!(peers[0].peer_id, "12D3KooW7");
    assert_eq!(peers[0].validator.as_ref().unwrap().name.as_deref(), Some("v7"));

    let info = node.client.genesis().await.unwrap();
    assert_eq!((info.network, info.genesis), (genesis().network_id(), genesis()));

    let known = node.client.sender(&sender().public()).await.unwrap();
    assert_eq!((known.known, known.stamp_bits, known.next_height, known.latest_expiry), (true, 0, 3, 1003));
    let unknown = node.client.sender(&SecretKey::from_seed([9; 32]).public()).await.unwrap();
    assert_eq!((unknown.known, unknown.stamp_bits), (false, 8));
    assert!(node.get("/v1/senders/xyz").await.problem(400, None).contains("64 hexadecimal digits"));
}

#[tokio::test]
async fn readiness_says_why_not() {
    let node = TestNode::start().await;
    assert_eq!(node.client.ready().await.unwrap().status, "ok");
    let own = NodeStatus { validator: Some(validator().public()), ..NodeStatus::default() };
    let cases = [
        (NodeStatus { catching_up_to: Some(9), ..own.clone() }, "catching up: at height 0 of 9"),
        (NodeStatus { halted: Some(4), ..own.clone() }, "height 4 cannot close"),
        (NodeStatus { failed: Some("the log is full".into()), ..own.clone() }, "the log is full"),
    ];
    for (status, reason) in cases {
        node.control(Control::Status(status)).await;
        let detail = node.get("/readyz").await.problem(503, Some("node/not-ready"));
        assert!(detail.contains(reason), "{detail}");
        assert_eq!(node.client.status().await.unwrap().not_ready, Some(detail));
        assert_eq!(node.get("/healthz").await.status, 200);
    }
    node.control(Control::Status(own)).await;
    // Three more validators make a quorum of three, so that two others have to be connected.
    for number in [5, 6, 7] {
        let key = SecretKey::from_seed([number; 32]).public();
        let change = Change::AddValidator(Validator { name: format!("v{number}"), key });
        let propose = signed(&validator(), Payload::Governance(governance::Payload::Propose { change }));
        node.decide(&propose).await;
        node.control(Control::Skip).await;
        if number == 5 {
            assert_eq!(node.client.validators().await.unwrap().validators.len(), 2);
            break;
        }
    }
    let detail = node.get("/readyz").await.problem(503, Some("node/not-ready"));
    assert!(detail.contains("connected to 0 other validators, 1 are needed"), "{detail}");
    node.control(Control::Peers(vec![peer(6)])).await;
    node.get("/readyz").await.problem(503, Some("node/not-ready"));
    node.control(Control::Peers(vec![peer(5)])).await;
    assert_eq!(node.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn blocks_are_found_in_the_database_and_before_they_are_in_it() {
    let node = TestNode::start().await;
    for number in 0..3 {
        node.decide(&record(&format!("{number}"))).await;
    }
    node.control(Control::Skip).await;
    node.decide(&record("last")).await;

    let blocks = node.client.blocks(None, None).await.unwrap();
    assert_eq!(blocks.blocks.iter().map(|block| block.height).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    assert_eq!(blocks.next, None);
    assert_eq!((blocks.blocks[1].kind, blocks.blocks[1].transactions), (RecordKind::Skip, 0));
    assert_eq!((blocks.blocks[4].kind, blocks.blocks[4].transactions), (RecordKind::Block, 1));
    assert_eq!(blocks.blocks[0].leader.as_ref().unwrap().name.as_deref(), Some("alice"));

    let (mut from, mut heights) = (None, vec![]);
    loop {
        let page = node.client.blocks(from, Some(2)).await.unwrap();
        heights.extend(page.blocks.iter().map(|block| block.height));
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    assert_eq!(heights, [5, 4, 3, 2, 1]);
    assert_eq!(node.client.blocks(Some(99), Some(1)).await.unwrap().blocks[0].height, 5);

    let mut parent = Hash::ZERO;
    for height in 1..=5 {
        let block = node.client.block(height).await.unwrap();
        assert_eq!((block.height, block.hash, block.record.parent()), (height, block.record.hash(), parent));
        assert_eq!(block.transactions.len(), usize::from(height != 4));
        let proof = block.proof.unwrap();
        assert_eq!(proof, node.client.block_proof(height).await.unwrap());
        assert_eq!(proof.signers.len(), 1);
        assert_eq!(proof.signers[0].validator.as_ref().unwrap().name.as_deref(), Some("alice"));
        proof.proof.verify(proof.network, height, &block.record.value(), &genesis().validator_set()).unwrap();
        parent = block.hash;
    }
    node.control(Control::ForgetProof).await;
    assert_eq!(node.client.block(5).await.unwrap().proof, None);
    node.get("/v1/blocks/5/proof").await.problem(404, Some("block/proof-not-known"));

    assert!(node.get("/v1/blocks/6").await.problem(404, None).contains("last decided height is 5"));
    assert!(node.get("/v1/blocks/0").await.problem(404, None).contains("count from 1"));
    assert!(node.get("/v1/blocks/-1").await.problem(400, None).contains("/v1/blocks/-1"));
    for (query, reason) in
        [("limit=0", "1 to 100"), ("limit=101", "1 to 100"), ("from=x", "from"), ("form=1", "form")]
    {
        let detail = node.get(&format!("/v1/blocks?{query}")).await.problem(400, None);
        assert!(detail.contains(reason), "{query}: {detail}");
    }
}

#[tokio::test]
async fn an_inclusion_proof_is_checked_with_the_genesis_file_alone() {
    let node = TestNode::start().await;
    let transactions: Vec<_> = (0..5).map(|number| record(&format!("{number}"))).collect();
    node.client.submit_all(&transactions, Some(std::time::Duration::from_secs(30))).await.unwrap();
    // From the recent heights, and from the database.
    for _ in 0..2 {
        for transaction in &transactions {
            let proof = node.client.transaction_proof(&transaction.id()).await.unwrap();
            proof.verify(&genesis(), None).unwrap();
            assert_eq!((&proof.transaction, proof.inclusion.leaves), (transaction, 5));
            assert_eq!(proof.validators.as_deref(), Some(genesis().validators.as_slice()));
        }
        for number in 0..3 {
            node.decide(&record(&format!("later {number} {}", node.client.status().await.unwrap().height)))
                .await;
        }
    }
    let proof = node.client.transaction_proof(&transactions[2].id()).await.unwrap();
    let tampered = |tamper: &dyn Fn(&mut crate::api::types::TransactionProof)| {
        let mut proof = proof.clone();
        tamper(&mut proof);
        proof.verify(&genesis(), None).unwrap_err()
    };
    use InclusionError::{Bytes, Decision, Id, Inclusion, Network, Signature};
    assert!(matches!(tampered(&|it| it.header.network = no_such()), Network { .. }));
    assert!(matches!(tampered(&|it| it.transaction.request.network = no_such()), Network { .. }));
    assert!(matches!(tampered(&|it| it.bytes.0[9] ^= 1), Bytes));
    assert!(matches!(tampered(&|it| it.id = no_such()), Id { .. }));
    assert!(matches!(tampered(&|it| it.inclusion.index = 1), Inclusion(_)));
    assert!(matches!(tampered(&|it| it.inclusion.path[0] = no_such()), Inclusion(_)));
    assert!(matches!(tampered(&|it| it.header.transactions = no_such()), Inclusion(_)));
    assert!(matches!(tampered(&|it| it.header.height += 1), Decision(ProofError::Signature, _)));
    assert!(matches!(tampered(&|it| it.header.timestamp += 1), Decision(ProofError::Signature, _)));
    let nobody =
        |it: &mut crate::api::types::TransactionProof| it.proof = Proof::Certificate(SignatureSet::default());
    assert!(matches!(tampered(&nobody), Decision(ProofError::TooFew { .. }, _)));
    let resigned = |it: &mut crate::api::types::TransactionProof| {
        it.transaction.signature.0[0] ^= 1;
        it.bytes.0 = conclave_ledger::codec::encode(&it.transaction);
    };
    assert!(matches!(tampered(&resigned), Signature));
    // Other validators than those of the genesis file have to be given, and then count.
    let other = Validator { name: "other".into(), key: sender().public() };
    let set = ValidatorSet::new([other], FaultBound::Third);
    assert!(matches!(proof.verify(&genesis(), Some(&set)), Err(Decision(ProofError::Signature, _))));

    node.get(&format!("/v1/transactions/{}/proof", no_such()))
        .await
        .problem(404, Some("transaction/unknown"));
    node.control(Control::Decide(false)).await;
    let waits = record("waits");
    node.client.submit(&waits).await.unwrap();
    node.get(&format!("/v1/transactions/{}/proof", waits.id()))
        .await
        .problem(409, Some("transaction/pending"));
}

#[tokio::test]
async fn transactions_are_found_wherever_they_are() {
    let node = TestNode::start().await;
    let decided = record("decided");
    let height = node.decide(&decided).await;
    for depth in 1..=4 {
        let info = node.client.transaction(&decided.id()).await.unwrap();
        let block = node.client.block(height).await.unwrap().hash;
        let expected = TransactionStatus::Decided { id: decided.id(), height, block, index: 0, depth };
        assert_eq!((info.status, info.transaction), (expected, decided.clone()));
        node.control(Control::Skip).await;
    }
    node.control(Control::Decide(false)).await;
    let waits = record("waits");
    node.client.submit(&waits).await.unwrap();
    let info = node.client.transaction(&waits.id()).await.unwrap();
    assert_eq!((info.status, info.transaction), (TransactionStatus::Pending { id: waits.id() }, waits));
    let pool = node.client.status().await.unwrap().pool;
    assert_eq!(pool.transactions, 1);
    assert!(pool.bytes > 100);
    node.get(&format!("/v1/transactions/{}", no_such())).await.problem(404, Some("transaction/unknown"));
    node.get("/v1/transactions/abc").await.problem(400, None);
}

#[tokio::test]
async fn polls_from_opening_to_the_final_tally() {
    let node = TestNode::start().await;
    let payload = |payload| Payload::Poll(payload);
    let voter = SecretKey::from_seed([30; 32]);
    let open = |title: &str, closes| polls::Payload::OpenPoll {
        title: title.into(),
        options: vec!["red".into(), "green".into()],
        method: Method::ChooseOne,
        electorate: Electorate::Keys(vec![sender().public(), voter.public()]),
        opens: 0,
        closes,
        revote: false,
    };
    let opening = signed(&sender(), payload(open("colour?", u64::MAX)));
    node.decide(&opening).await;
    let id = opening.id();
    let poll = node.client.poll(&id).await.unwrap();
    assert_eq!(
        (poll.title.as_str(), poll.options.len(), poll.phase, poll.ballots),
        ("colour?", 2, PollPhase::Open, 0)
    );
    assert_eq!((poll.author, poll.closing, poll.number), (sender().public(), None, 0));

    let empty = node.client.tally(&id).await.unwrap();
    assert_eq!((empty.is_final, empty.tally.ballots()), (false, 0));
    let cast = |key: &SecretKey, option| {
        signed(key, payload(polls::Payload::CastBallot { poll: id, choice: Choice::One(option) }))
    };
    let ballot = cast(&sender(), 1);
    let height = node.decide(&ballot).await;
    let tally = node.client.tally(&id).await.unwrap();
    assert_eq!((tally.is_final, tally.height, tally.options.join(" ")), (false, height, "red green".into()));
    assert_eq!(
        tally.tally,
        Tally::ChooseOne { ballots: 1, counts: vec![0, 1], order: vec![vec![1], vec![0]] }
    );
    // Nothing has changed: the same answer, which is kept.
    assert_eq!(node.client.tally(&id).await.unwrap(), tally);

    let cast_ballot = node.client.ballot(&id, &sender().public()).await.unwrap();
    assert_eq!((cast_ballot.choice, cast_ballot.transaction), (Choice::One(1), ballot.id()));
    let ballots = |key: &SecretKey| format!("/v1/polls/{id}/ballots/{}", key.public());
    node.get(&ballots(&voter)).await.problem(404, Some("poll/no-ballot"));
    node.get(&ballots(&validator())).await.problem(404, Some("poll/not-elector"));
    let error = node.client.submit(&cast(&sender(), 0)).await.unwrap_err();
    assert!(error.problem().unwrap().rule.as_deref().unwrap().starts_with("poll/"), "{error}");

    let closing = signed(&sender(), payload(polls::Payload::ClosePoll { poll: id }));
    let height = node.decide(&closing).await;
    let tally = node.client.tally(&id).await.unwrap();
    assert_eq!((tally.is_final, tally.height, tally.tally.ballots()), (true, height, 1));
    let poll = node.client.poll(&id).await.unwrap();
    assert_eq!(
        (poll.phase, poll.closing.map(|it| (it.height, it.early))),
        (PollPhase::Closed, Some((height, true)))
    );

    for number in 0..3 {
        node.decide(&signed(&sender(), payload(open(&format!("poll {number}"), u64::MAX)))).await;
    }
    let page = node.client.polls(None, Some(3)).await.unwrap();
    assert_eq!(
        page.polls.iter().map(|poll| poll.title.as_str()).collect::<Vec<_>>(),
        ["poll 2", "poll 1", "poll 0"]
    );
    let page = node.client.polls(page.next, Some(3)).await.unwrap();
    assert_eq!((page.polls.len(), page.polls[0].id, page.next), (1, id, None));

    for path in ["", "/tally"] {
        node.get(&format!("/v1/polls/{}{path}", no_such())).await.problem(404, Some("poll/unknown-poll"));
    }
    let path = format!("/v1/polls/{}/ballots/{}", no_such(), sender().public());
    node.get(&path).await.problem(404, Some("poll/unknown-poll"));
    node.get(&format!("/v1/polls/{id}/ballots/xyz")).await.problem(400, None);
    node.get("/v1/polls?limit=0").await.problem(400, None);
}

#[tokio::test]
async fn proposals_name_who_approved() {
    let node = TestNode::start().await;
    assert_eq!(node.client.proposals().await.unwrap().proposals, []);
    let change = Change::AddValidator(Validator { name: "bob".into(), key: sender().public() });
    let propose =
        signed(&validator(), Payload::Governance(governance::Payload::Propose { change: change.clone() }));
    let height = node.decide(&propose).await;
    let proposal = node.client.proposal(&propose.id()).await.unwrap();
    assert_eq!((&proposal.change, proposal.proposed, proposal.quorum), (&change, height, 1));
    assert_eq!(proposal.author.as_ref().unwrap().name.as_deref(), Some("alice"));
    assert_eq!(proposal.approvals[0].name.as_deref(), Some("alice"));
    assert_eq!(proposal.effective, Some(height + 2));
    assert_eq!(node.client.proposals().await.unwrap().proposals, [proposal]);
    node.get(&format!("/v1/proposals/{}", no_such())).await.problem(404, None);
}
