//! One attack for each thing that the proof binds, and for each message out of place.

use super::*;

fn hello_of(number: u8, challenge: Hash) -> Hello {
    Hello {
        network: Hash([7; 32]),
        role: Role::Validator(validator_key(number).public()),
        version: "attacker".to_owned(),
        height: 0,
        record: None,
        challenge,
    }
}

/// A record that a node has signed for itself.
fn record_of(number: u8) -> Bytes {
    Bytes(PeerRecord::sign(&node_key(number), 1, &[]).envelope().to_vec())
}

fn responses(wanted: &Wanted) -> Vec<&Response> {
    let response = |(_, message): &'_ (Peer, Message)| matches!(message, Message::Response { .. });
    let sent = wanted.sent.iter().filter(|sent| response(sent));
    sent.filter_map(|(_, message)| match message {
        Message::Response { response, .. } => Some(response),
        Message::Request { .. } => None,
    })
    .collect()
}

/// Connects the attacker and gives the challenge that the victim answers its hello with.
fn challenge_of(victim: &mut Handshake, attacker: Peer, hello: Hello) -> Hash {
    connect(victim, attacker, 1, Direction::Accepted, at(0));
    let wanted = request(victim, attacker, Request::Hello(hello), at(0));
    match responses(&wanted)[..] {
        [Response::Hello(hello)] => hello.challenge,
        _ => panic!("no hello: {wanted:?}"),
    }
}

fn is_established(wanted: &Wanted) -> bool {
    wanted.events.iter().any(|event| matches!(event, Event::Established { .. }))
}

fn assert_refused(wanted: &Wanted, expected: RefusalReason) {
    assert_eq!(responses(wanted), [&Response::Refused(expected)]);
    let told = wanted.events.iter().any(
        |event| matches!(event, Event::Refused { reason, by: RefusedBy::Us, .. } if *reason == expected),
    );
    let closed = wanted.events.iter().any(|event| matches!(event, Event::CloseConnection { .. }));
    assert!(told && closed && !is_established(wanted), "{wanted:?}");
}

/// The last step arrives after the connection that it was sent over is gone.
#[test]
fn nobody_is_established_without_a_connection() {
    let mut victim = Handshake::new(config(0, 0));
    let challenge = challenge_of(&mut victim, peer(9), hello_of(9, Hash([1; 32])));
    let role = Role::Validator(validator_key(9).public());
    let binding = Binding { network: Hash([7; 32]), challenge, prover: peer(9), verifier: peer(0), role };
    let signature = binding.sign(&validator_key(9));
    request(&mut victim, peer(9), Request::Proof { signature }, at(1));
    command(&mut victim, Command::ConnectionClosed { peer: peer(9), connection: 1 }, at(2));
    let wanted = request(&mut victim, peer(9), Request::Done, at(3));
    assert!(!is_established(&wanted), "{wanted:?}");
    // With the next connection, dialled by this side at about the same time, it is; with none it is forgotten.
    let wanted = connect(&mut victim, peer(9), 2, Direction::Dialled, at(4));
    assert!(is_established(&wanted), "{wanted:?}");
    let wanted = command(&mut victim, Command::ConnectionClosed { peer: peer(9), connection: 2 }, at(5));
    assert!(wanted.events.contains(&Event::Lost { peer: peer(9) }), "{wanted:?}");
}

/// Node 1 holds validator key 1; node 9 is the attacker; node 0 the victim.
#[test]
fn a_proof_for_anything_else_is_a_false_claim() {
    let genuine = |challenge| Binding {
        network: Hash([7; 32]),
        challenge,
        prover: peer(9),
        verifier: peer(0),
        role: Role::Validator(validator_key(9).public()),
    };
    type Change = fn(&mut Binding);
    let table: [(&str, u8, Change); 8] = [
        ("honest", 9, |_| {}),
        ("somebody else's key", 8, |_| {}),
        ("another network", 9, |binding| binding.network = Hash([8; 32])),
        ("an old challenge", 9, |binding| binding.challenge = Hash([1; 32])),
        ("made for another verifier: the relay", 9, |binding| binding.verifier = peer(5)),
        ("made by another prover", 9, |binding| binding.prover = peer(1)),
        ("the two sides exchanged: the reflection", 9, |binding| {
            std::mem::swap(&mut binding.prover, &mut binding.verifier);
        }),
        ("for another role", 9, |binding| binding.role = Role::Observer(validator_key(9).public())),
    ];
    for (name, signer, change) in table {
        let mut victim = Handshake::new(config(0, 0));
        let mut binding = genuine(challenge_of(&mut victim, peer(9), hello_of(9, Hash([3; 32]))));
        change(&mut binding);
        let signature = binding.sign(&validator_key(signer));
        let wanted = request(&mut victim, peer(9), Request::Proof { signature }, at(1));
        if name == "honest" {
            assert!(matches!(responses(&wanted)[..], [Response::Proof { .. }]), "{wanted:?}");
            assert!(is_established(&request(&mut victim, peer(9), Request::Done, at(2))));
        } else {
            assert_refused(&wanted, RefusalReason::FalseClaim);
            let fatal =
                wanted.blamed.iter().any(|(_, penalty)| *penalty == Penalty::fatal(penalty.reason.clone()));
            assert!(fatal, "{name}: {:?}", wanted.blamed);
        }
    }
}

/// The man in the middle 9 hands the victim's challenge to the real validator 1 and the proof back; what the victim
/// then wants.
fn relay_a_challenge(rules: Rules) -> Wanted {
    let mut victim = Handshake::new(Config { rules, ..config(0, 0) });
    let mut validator = Handshake::new(Config { rules, ..config(1, 1) });
    let challenge = challenge_of(&mut victim, peer(9), hello_of(1, Hash([3; 32])));
    // To the real validator the attacker is an observer, as anybody may be, with the victim's challenge.
    let role = Role::Observer(node_key(9).public());
    let hello = Hello { role, ..hello_of(9, challenge) };
    let challenge = challenge_of(&mut validator, peer(9), hello);
    let (prover, verifier) = match rules == Rules::default() {
        true => (peer(9), peer(1)),
        false => (Peer::NOBODY, Peer::NOBODY),
    };
    let binding = Binding { network: Hash([7; 32]), challenge, prover, verifier, role };
    let signature = binding.sign(&node_key(9));
    let wanted = request(&mut validator, peer(9), Request::Proof { signature }, at(1));
    let &[Response::Proof { signature }] = &responses(&wanted)[..] else { panic!("{wanted:?}") };
    request(&mut victim, peer(9), Request::Proof { signature: *signature }, at(1))
}

#[test]
fn a_relayed_challenge_does_not_help() {
    assert_refused(&relay_a_challenge(Rules::default()), RefusalReason::FalseClaim);
}

#[test]
fn a_relayed_challenge_helps_where_a_proof_does_not_name_the_peers() {
    let wanted = relay_a_challenge(Rules::without(Rule::HandshakeBinding));
    assert!(matches!(responses(&wanted)[..], [Response::Proof { .. }]), "{wanted:?}");
}

#[test]
fn the_victims_own_proof_sent_back_does_not_help() {
    let mut victim = Handshake::new(config(0, 0));
    let attacker = peer(9);
    // The victim dials, and the attacker answers with the victim's own challenge.
    let wanted = connect(&mut victim, attacker, 1, Direction::Dialled, at(0));
    let [(_, Message::Request { number, request: Request::Hello(hello) })] = &wanted.sent[..] else {
        panic!("{wanted:?}")
    };
    let answer = Response::Hello(hello_of(9, hello.challenge));
    victim.handle(Input::Received(attacker, Message::Response { number: *number, response: answer }), at(1));
    let wanted = drain(&mut victim);
    let [(_, Message::Request { number, request: Request::Proof { signature } })] = &wanted.sent[..] else {
        panic!("{wanted:?}")
    };
    let response = Response::Proof { signature: *signature };
    victim.handle(Input::Received(attacker, Message::Response { number: *number, response }), at(2));
    let wanted = drain(&mut victim);
    let refused = Event::Refused { peer: attacker, reason: RefusalReason::FalseClaim, by: RefusedBy::Us };
    assert!(wanted.events.contains(&refused) && !is_established(&wanted), "{wanted:?}");
}

#[test]
fn a_proof_is_good_for_one_handshake() {
    let mut victim = Handshake::new(config(0, 0));
    let challenge = challenge_of(&mut victim, peer(9), hello_of(9, Hash([3; 32])));
    let role = Role::Validator(validator_key(9).public());
    let binding = Binding { network: Hash([7; 32]), challenge, prover: peer(9), verifier: peer(0), role };
    let signature = binding.sign(&validator_key(9));
    request(&mut victim, peer(9), Request::Proof { signature }, at(1));
    assert!(is_established(&request(&mut victim, peer(9), Request::Done, at(2))));
    command(&mut victim, Command::ConnectionClosed { peer: peer(9), connection: 1 }, at(3));
    challenge_of(&mut victim, peer(9), hello_of(9, Hash([3; 32])));
    let wanted = request(&mut victim, peer(9), Request::Proof { signature }, at(4));
    assert_refused(&wanted, RefusalReason::FalseClaim);
}

#[test]
fn hellos_that_break_a_rule_are_refused() {
    type Change = fn(&mut Hello);
    let table: [(RefusalReason, Change); 7] = [
        (RefusalReason::WrongNetwork, |hello| hello.network = Hash([8; 32])),
        (RefusalReason::MalformedHello, |hello| hello.version = "x".repeat(MAX_VERSION_BYTES + 1)),
        (RefusalReason::MalformedHello, |hello| hello.version = "line\nbreak".to_owned()),
        (RefusalReason::ForeignRecord, |hello| hello.record = Some(Bytes(vec![0; 8]))),
        (RefusalReason::ForeignRecord, |hello| hello.record = Some(record_of(1))),
        (RefusalReason::ForeignKey, |hello| hello.role = Role::Observer(node_key(1).public())),
        (RefusalReason::KeyInUse, |hello| hello.role = Role::Validator(validator_key(0).public())),
    ];
    for (reason, change) in table {
        let mut victim = Handshake::new(config(0, 0));
        connect(&mut victim, peer(9), 1, Direction::Accepted, at(0));
        let mut hello = hello_of(9, Hash([3; 32]));
        change(&mut hello);
        assert_refused(&request(&mut victim, peer(9), Request::Hello(hello), at(0)), reason);
    }
}

#[test]
fn messages_out_of_place_are_refused() {
    let signature = validator_key(9).sign(b"anything");
    for message in [Request::Proof { signature }, Request::Done] {
        let mut victim = Handshake::new(config(0, 0));
        connect(&mut victim, peer(9), 1, Direction::Accepted, at(0));
        let wanted = request(&mut victim, peer(9), message, at(0));
        assert_refused(&wanted, RefusalReason::UnexpectedMessage);
        assert!(!wanted.blamed.is_empty());
    }
    let mut victim = Handshake::new(config(0, 0));
    challenge_of(&mut victim, peer(9), hello_of(9, Hash([3; 32])));
    assert!(!is_established(&request(&mut victim, peer(9), Request::Done, at(0))), "done without a proof");
}

/// Hellos without end neither keep a connection open without a proof nor are they free.
#[test]
fn endless_hellos_end() {
    let mut victim = Handshake::new(config(0, 0));
    connect(&mut victim, peer(9), 1, Direction::Accepted, at(0));
    let (mut blamed, mut closed) = (0, false);
    for round in 0..10 {
        let now = at(round * 1900);
        victim.handle_timeout(now);
        let timed_out = drain(&mut victim);
        let wanted = request(&mut victim, peer(9), Request::Hello(hello_of(9, Hash([round as u8; 32]))), now);
        blamed += wanted.blamed.len();
        let is_close = |event: &Event| matches!(event, Event::CloseConnection { .. });
        closed |= wanted.events.iter().chain(&timed_out.events).any(is_close);
    }
    assert!(closed, "still open after 17 s of hellos");
    assert!(blamed > 0);
}

#[test]
fn a_validator_key_is_used_by_one_peer_at_a_time() {
    let mut victim = Handshake::new(config(0, 0));
    let prove = |victim: &mut Handshake, from: u8| {
        let challenge = challenge_of(victim, peer(from), hello_of(9, Hash([3; 32])));
        let role = Role::Validator(validator_key(9).public());
        let binding =
            Binding { network: Hash([7; 32]), challenge, prover: peer(from), verifier: peer(0), role };
        request(victim, peer(from), Request::Proof { signature: binding.sign(&validator_key(9)) }, at(1))
    };
    // Both have proved the key before either is done: the second `Done` comes too late.
    prove(&mut victim, 9);
    prove(&mut victim, 8);
    assert!(is_established(&request(&mut victim, peer(9), Request::Done, at(2))));
    let wanted = request(&mut victim, peer(8), Request::Done, at(2));
    assert!(!is_established(&wanted), "two nodes share one validator key: {wanted:?}");
}

#[test]
fn who_is_kept_out_stays_out_until_the_end_of_it() {
    let mut machine = Handshake::new(config(0, 0));
    connect(&mut machine, peer(9), 1, Direction::Accepted, at(0));
    let wanted = command(&mut machine, Command::KeepOut { peer: peer(9), until: at(60_000) }, at(0));
    assert!(wanted.events.iter().any(|event| matches!(event, Event::CloseConnection { connection: 1, .. })));
    command(&mut machine, Command::ConnectionClosed { peer: peer(9), connection: 1 }, at(1));
    for (connection, ms, is_closed) in [(2, 59_999, true), (3, 60_000, false)] {
        let wanted = connect(&mut machine, peer(9), connection, Direction::Accepted, at(ms));
        let is_close = |event: &Event| matches!(event, Event::CloseConnection { .. });
        assert_eq!(wanted.events.iter().any(is_close), is_closed, "at {ms} ms");
    }
}

fn refusals(wanted: &Wanted) -> Vec<RefusalReason> {
    let reason = |event: &Event| match event {
        Event::Refused { reason, by: RefusedBy::Us, .. } => Some(*reason),
        _ => None,
    };
    wanted.events.iter().filter_map(reason).collect()
}

fn expire(machine: &mut Handshake, now: Time) -> Wanted {
    machine.handle_timeout(now);
    drain(machine)
}

#[test]
fn another_network_is_told_from_another_program_and_from_silence() {
    let dial = |machine: &mut Handshake| {
        let wanted = connect(machine, peer(1), 1, Direction::Dialled, at(0));
        match wanted.sent[..] {
            [(_, Message::Request { number, .. })] => number,
            _ => panic!("no hello: {wanted:?}"),
        }
    };
    let other = Command::OtherNetwork { peer: peer(1) };

    let mut silent = Handshake::new(config(0, 1));
    dial(&mut silent);
    assert_eq!(refusals(&expire(&mut silent, at(2000))), [RefusalReason::Timeout]);

    let mut unsupported = Handshake::new(config(0, 1));
    let number = dial(&mut unsupported);
    let wanted = command(&mut unsupported, Command::Unsupported { peer: peer(1), number }, at(1));
    assert!(wanted.sent.is_empty() && wanted.events.is_empty(), "why may still come: {wanted:?}");
    assert_eq!(refusals(&expire(&mut unsupported, at(2000))), [RefusalReason::NoHandshake]);

    let mut foreign = Handshake::new(config(0, 1));
    let number = dial(&mut foreign);
    command(&mut foreign, Command::Unsupported { peer: peer(1), number }, at(1));
    let wanted = command(&mut foreign, other.clone(), at(2));
    assert_eq!(refusals(&wanted), [RefusalReason::WrongNetwork]);
    assert!(wanted.events.iter().any(|event| matches!(event, Event::CloseConnection { .. })));
    assert!(refusals(&command(&mut foreign, other.clone(), at(3))).is_empty(), "once is enough");

    let mut listener = Handshake::new(config(0, 1));
    connect(&mut listener, peer(1), 1, Direction::Accepted, at(0));
    assert_eq!(refusals(&command(&mut listener, other, at(2))), [RefusalReason::WrongNetwork]);
}

/// Answers the one request that was sent.
fn answer(machine: &mut Handshake, sent: &Wanted, response: Response) -> Wanted {
    let [(to, Message::Request { number, .. })] = sent.sent[..] else { panic!("one request: {sent:?}") };
    machine.handle(Input::Received(to, Message::Response { number, response }), at(1));
    drain(machine)
}

#[test]
fn only_who_waits_for_the_last_answer_may_be_behind_the_peer() {
    let mut dialler = Handshake::new(config(0, 1));
    assert!(!dialler.is_nearly_done(&peer(1)), "nobody is there");
    let hello = connect(&mut dialler, peer(1), 1, Direction::Dialled, at(0));
    let [(_, Message::Request { request: Request::Hello(mine), .. })] = &hello.sent[..] else {
        panic!("{hello:?}")
    };
    let role = Role::Validator(validator_key(1).public());
    let network = Hash([7; 32]);
    let binding = Binding { network, challenge: mine.challenge, prover: peer(1), verifier: peer(0), role };
    assert!(!dialler.is_nearly_done(&peer(1)), "a hello was sent");
    let proof = answer(&mut dialler, &hello, Response::Hello(hello_of(1, Hash([5; 32]))));
    assert!(!dialler.is_nearly_done(&peer(1)), "a proof was sent");
    let signature = binding.sign(&validator_key(1));
    let done = answer(&mut dialler, &proof, Response::Proof { signature });
    assert!(dialler.is_nearly_done(&peer(1)), "the peer takes part when it has this");
    assert!(is_established(&answer(&mut dialler, &done, Response::Done)));
    assert!(!dialler.is_nearly_done(&peer(1)), "it is done");
}
