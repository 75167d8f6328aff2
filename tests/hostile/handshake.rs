//! Who claims to be somebody else.

use super::{REFUSALS, TRAITOR, check_undisturbed, network_id, peer::Attacker, three_of_four};
use crate::{
    network::{Network, eventually},
    peer::Lane,
};
use conclave_ledger::{
    codec,
    hash::Hash,
    keys::{SecretKey, Signature},
};
use conclave_protocol::handshake::{Hello, RefusalReason, Request, Response, Role};

/// How often `node` has refused for this reason.
fn refused(network: &Network, node: usize, reason: RefusalReason) -> f64 {
    network.metric(node, REFUSALS, &[("reason", reason.code()), ("by", "us")])
}

/// The node has refused the attacker once more for this reason, and says so in its log.
fn check_refused(network: &Network, node: usize, attacker: &Attacker, reason: RefusalReason, before: f64) {
    eventually(&format!("the refusal for {reason:?} is counted"), || {
        (refused(network, node, reason) > before).then_some(())
    });
    let id = attacker.id().to_string();
    let log = network.log(node);
    let line = log.lines().find(|line| line.contains("refused a peer") && line.contains(&id));
    let line = line.unwrap_or_else(|| panic!("the log names {id}:\n{log}"));
    assert!(line.contains(&reason.to_string()), "{line}");
}

#[test]
fn a_node_of_another_network_is_refused_and_both_sides_say_why() {
    let mut network = three_of_four();
    let genesis = std::fs::read_to_string(network.genesis()).unwrap();
    let other = network.home.join("other.toml");
    std::fs::write(&other, genesis.replace("name = \"local\"", "name = \"elsewhere\"")).unwrap();
    assert_ne!(network_id(&network), conclave::genesis_file::read(&other).unwrap().network_id());
    // Its configuration has the others' addresses, so it dials them, and they dial it.
    network.reset(TRAITOR);
    network.run_with(TRAITOR, &["--genesis", other.to_str().unwrap()]);
    for node in [0, TRAITOR] {
        network.wait_metric(node, REFUSALS, &[("reason", "wrong-network"), ("by", "us")], 1.0);
        let log = network.log(node);
        assert!(log.contains("refused a peer") && log.contains("it belongs to another network"), "{log}");
        assert_eq!(
            refused(&network, node, RefusalReason::Timeout),
            0.0,
            "it is told from one that is silent"
        );
    }
    check_undisturbed(&network, "another network knocked");

    // One that has learned the names of this network's protocols is told so in the handshake.
    let address = network.addresses(0)[0].clone();
    let before = refused(&network, 0, RefusalReason::WrongNetwork);
    let attacker = network.block_on(async {
        let mut attacker = Attacker::new(network_id(&network));
        let peer = attacker.dial(&address).await.unwrap();
        let hello = Hello { network: Hash([9; 32]), ..attacker.hello(attacker.observer()) };
        let answer = attacker.shake(peer, &Request::Hello(hello)).await;
        assert_eq!(answer, Ok(Response::Refused(RefusalReason::WrongNetwork)));
        attacker.closed(peer).await;
        attacker
    });
    check_refused(&network, 0, &attacker, RefusalReason::WrongNetwork, before);
}

#[test]
fn a_claim_to_a_validator_key_is_refused_without_its_proof() {
    let network = three_of_four();
    let address = network.addresses(0)[0].clone();
    let id = network_id(&network);
    let traitor = Role::Validator(network.key(TRAITOR).public());

    // A key whose holder is away, with a signature of another key, and with none at all.
    let own = |attacker: &Attacker| attacker.key.clone();
    let nothing = |_: &Attacker| SecretKey::from_seed([1; 32]);
    for sign_with in [&own as &dyn Fn(&Attacker) -> SecretKey, &nothing] {
        let before = refused(&network, 0, RefusalReason::FalseClaim);
        let attacker = network.block_on(async {
            let mut attacker = Attacker::new(id);
            let peer = attacker.dial(&address).await.unwrap();
            let key = sign_with(&attacker);
            assert_eq!(attacker.enter(peer, traitor, &key).await, Err(RefusalReason::FalseClaim));
            attacker.closed(peer).await;
            // It comes again, and is kept out.
            let peer = attacker.dial(&address).await.unwrap();
            let again = attacker.shake(peer, &Request::Hello(attacker.hello(traitor))).await;
            assert_eq!(again, Ok(Response::Refused(RefusalReason::KeptOut)));
            attacker
        });
        check_refused(&network, 0, &attacker, RefusalReason::FalseClaim, before);
        network.wait_metric(0, REFUSALS, &[("reason", "kept-out"), ("by", "us")], 1.0);
    }

    // A key whose holder is connected, and the key of the node that is asked.
    for victim in [1, 0] {
        let before = refused(&network, 0, RefusalReason::KeyInUse);
        let role = Role::Validator(network.key(victim).public());
        let attacker = network.block_on(async {
            let mut attacker = Attacker::new(id);
            let peer = attacker.dial(&address).await.unwrap();
            assert_eq!(attacker.greet(peer, role).await.err(), Some(RefusalReason::KeyInUse));
            attacker.closed(peer).await;
            attacker
        });
        check_refused(&network, 0, &attacker, RefusalReason::KeyInUse, before);
    }

    // An observer's key that is not that of its peer id.
    let before = refused(&network, 0, RefusalReason::ForeignKey);
    let attacker = network.block_on(async {
        let mut attacker = Attacker::new(id);
        let peer = attacker.dial(&address).await.unwrap();
        let role = Role::Observer(SecretKey::from_seed([2; 32]).public());
        assert_eq!(attacker.greet(peer, role).await.err(), Some(RefusalReason::ForeignKey));
        attacker
    });
    check_refused(&network, 0, &attacker, RefusalReason::ForeignKey, before);
    check_undisturbed(&network, "false claims were made");
}

/// The man in the middle: it passes the node's challenge on to the real validator, and the validator's proof back.
#[test]
fn a_challenge_that_is_passed_on_to_the_real_validator_proves_nothing() {
    let mut network = three_of_four();
    // The real validator runs where nobody but the attacker finds it, and knows nobody.
    network.reset(TRAITOR);
    network.run_with(TRAITOR, &["--listen", "/ip4/127.0.0.1/tcp/0", "--peer", "/ip4/127.0.0.1/tcp/1"]);
    let real = eventually("the validator listens", || {
        let status = network.block_on(network.client(TRAITOR).status()).ok()?;
        status.listen.first().cloned()
    });
    for address in network.addresses(0) {
        let before = refused(&network, 0, RefusalReason::FalseClaim);
        let role = Role::Validator(network.key(TRAITOR).public());
        let attacker = network.block_on(async {
            let mut attacker = Attacker::new(network_id(&network));
            let victim = attacker.dial(&address).await.unwrap();
            let challenge = attacker.greet(victim, role).await.unwrap().challenge;

            let validator = attacker.dial(&real).await.unwrap();
            let hello = Hello { challenge, ..attacker.hello(attacker.observer()) };
            let Ok(Response::Hello(theirs)) = attacker.shake(validator, &Request::Hello(hello)).await else {
                panic!("the validator answers a stranger's hello");
            };
            assert_eq!(theirs.role, role);
            let mine = attacker.proof(validator, &theirs, attacker.observer(), &attacker.key);
            let Ok(Response::Proof { signature }) = attacker.shake(validator, &mine).await else {
                panic!("the validator proves its key");
            };

            let answer = attacker.shake(victim, &Request::Proof { signature }).await;
            assert_eq!(answer, Ok(Response::Refused(RefusalReason::FalseClaim)));
            attacker.closed(victim).await;
            attacker
        });
        check_refused(&network, 0, &attacker, RefusalReason::FalseClaim, before);
    }
    check_undisturbed(&network, "a challenge was passed on");
}

#[test]
fn a_proof_that_was_good_once_is_refused_the_second_time() {
    let network = three_of_four();
    let address = network.addresses(0)[0].clone();
    let key = network.key(TRAITOR);
    let role = Role::Validator(key.public());
    let before = refused(&network, 0, RefusalReason::FalseClaim);
    let attacker = network.block_on(async {
        let mut attacker = Attacker::new(network_id(&network));
        let peer = attacker.dial(&address).await.unwrap();
        let theirs = attacker.greet(peer, role).await.unwrap();
        let proof = attacker.proof(peer, &theirs, role, &key);
        assert!(matches!(attacker.shake(peer, &proof).await, Ok(Response::Proof { .. })));
        assert_eq!(attacker.shake(peer, &Request::Done).await, Ok(Response::Done));
        // It leaves in good order, and begins anew with what it said before.
        assert_eq!(attacker.shake(peer, &Request::Goodbye).await, Ok(Response::Done));
        let fresh = attacker.greet(peer, role).await.unwrap();
        assert_ne!(fresh.challenge, theirs.challenge, "every handshake has a challenge of its own");
        let answer = attacker.shake(peer, &proof).await;
        assert_eq!(answer, Ok(Response::Refused(RefusalReason::FalseClaim)));
        attacker.closed(peer).await;
        attacker
    });
    check_refused(&network, 0, &attacker, RefusalReason::FalseClaim, before);
    check_undisturbed(&network, "an old proof was shown");
}

/// What a dialling node is answered is checked as well: the attacker is the listener here.
#[test]
fn a_listener_that_lies_is_refused_and_told_why() {
    let mut network = three_of_four();
    let (address, attacker) = network.block_on(async {
        let mut attacker = Attacker::new(network_id(&network));
        (attacker.listen().await, attacker)
    });
    let mut attacker = attacker;
    network.kill(0);
    network.run_with(0, &["--peer", &address]);
    let role = Role::Validator(network.key(TRAITOR).public());
    let told = network.block_on(async {
        loop {
            let (lane, bytes, channel) = attacker.asked().await;
            assert_eq!(lane, Lane::Handshake);
            let response = match codec::decode(&bytes, 1 << 20).unwrap() {
                Request::Hello(_) => Response::Hello(attacker.hello(role)),
                Request::Proof { .. } => Response::Proof { signature: Signature([3; 64]) },
                Request::Refused(reason) => return reason,
                other => panic!("{other:?}"),
            };
            attacker.answer(lane, channel, codec::encode(&response));
        }
    });
    assert_eq!(told, RefusalReason::FalseClaim);
    check_refused(&network, 0, &attacker, RefusalReason::FalseClaim, 0.0);
}
