//! The laws of machines, under inputs in any order.

use super::*;
use proptest::prelude::*;

fn role() -> impl Strategy<Value = Role> {
    (0u8..4, any::<bool>()).prop_map(|(number, validates)| {
        if validates {
            Role::Validator(validator_key(number).public())
        } else {
            Role::Observer(node_key(number).public())
        }
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    (role(), any::<u64>(), any::<bool>(), any::<bool>()).prop_map(|(role, height, ours, with_record)| Hello {
        network: Hash([if ours { 7 } else { 8 }; 32]),
        role,
        version: "any".to_owned(),
        height,
        record: with_record.then(|| Bytes(PeerRecord::sign(&node_key(1), height, &[]).envelope().to_vec())),
        challenge: Hash([9; 32]),
    })
}

fn message() -> impl Strategy<Value = Message> {
    let signature = || validator_key(1).sign(b"any");
    let request = prop_oneof![
        hello().prop_map(Request::Hello),
        Just(Request::Proof { signature: signature() }),
        Just(Request::Done),
        Just(Request::Refused(RefusalReason::Timeout)),
        Just(Request::Goodbye),
    ];
    let response = prop_oneof![
        hello().prop_map(Response::Hello),
        Just(Response::Proof { signature: signature() }),
        Just(Response::Done),
        Just(Response::Refused(RefusalReason::KeptOut)),
    ];
    prop_oneof![
        (0u64..8, request).prop_map(|(number, request)| Message::Request { number, request }),
        (0u64..8, response).prop_map(|(number, response)| Message::Response { number, response }),
    ]
}

fn command_of_any_kind() -> impl Strategy<Value = Command> {
    let whom = || (0u8..4).prop_map(peer);
    let direction =
        any::<bool>().prop_map(|ours| if ours { Direction::Dialled } else { Direction::Accepted });
    prop_oneof![
        4 => (whom(), 0u64..8, direction, proptest::option::of("[0-3]")).prop_map(
            |(peer, connection, direction, address)| Command::ConnectionEstablished {
                peer, connection, direction, address
            }
        ),
        2 => (whom(), 0u64..8).prop_map(|(peer, connection)| Command::ConnectionClosed { peer, connection }),
        2 => (proptest::option::of(whom()), "[0-3]")
            .prop_map(|(peer, address)| Command::AddAddress { peer, address }),
        2 => "[0-3]".prop_map(|address| Command::DialFailed { address }),
        2 => (whom(), 0u64..8).prop_map(|(peer, number)| Command::RequestFailed { peer, number }),
        1 => (whom(), 0u64..8).prop_map(|(peer, number)| Command::Unsupported { peer, number }),
        1 => whom().prop_map(|peer| Command::OtherNetwork { peer }),
        1 => any::<u64>().prop_map(Command::Height),
        1 => whom().prop_map(|peer| Command::Refuse { peer, reason: RefusalReason::NotNeeded }),
        1 => Just(Command::Record(PeerRecord::sign(&node_key(0), 1, &[]))),
        1 => (whom(), 0u64..100_000).prop_map(|(peer, ms)| Command::KeepOut { peer, until: at(ms) }),
        1 => Just(Command::Leave),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Received(Peer, Message),
    Command(Command),
    Timeout,
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let step = prop_oneof![
        5 => ((0u8..4).prop_map(peer), message()).prop_map(|(from, message)| Step::Received(from, message)),
        4 => command_of_any_kind().prop_map(Step::Command),
        3 => Just(Step::Timeout),
    ];
    (0u64..3000, step)
}

/// Runs the steps; gives everything that the machine wanted, as text.
fn run(steps: &[(u64, Step)]) -> Vec<String> {
    let mut machine = Handshake::new(config(0, 0));
    let (mut now, mut wanted) = (0, Vec::new());
    for (pause, step) in steps {
        now += pause;
        match step.clone() {
            Step::Received(from, message) => machine.handle(Input::Received(from, message), at(now)),
            Step::Command(command) => machine.handle(Input::Command(command), at(now)),
            Step::Timeout => {
                machine.handle_timeout(at(now));
                let next = machine.poll_timeout();
                assert!(next.is_none_or(|next| next > at(now)), "{next:?} is not after {:?}", at(now));
            }
        }
        let outputs = drain(&mut machine);
        assert!(outputs.sent.len() + outputs.events.len() + outputs.blamed.len() < 64, "{outputs:?}");
        wanted.push(format!("{outputs:?}"));
    }
    wanted
}

proptest! {
    #[test]
    fn hold_for_any_inputs(steps in proptest::collection::vec(step(), 1..80)) {
        prop_assert_eq!(run(&steps), run(&steps));
    }
}

#[test]
fn messages_read_back_and_stay_in_their_bound() {
    use conclave_ledger::codec::{decode, encode};
    let hello = Hello {
        network: Hash([255; 32]),
        role: Role::Validator(validator_key(1).public()),
        version: "v".repeat(MAX_VERSION_BYTES),
        height: u64::MAX,
        record: Some(Bytes(vec![255; crate::peer_record::MAX_RECORD_BYTES])),
        challenge: Hash([255; 32]),
    };
    let signature = validator_key(1).sign(b"any");
    for request in [
        Request::Hello(hello.clone()),
        Request::Proof { signature },
        Request::Done,
        Request::Refused(RefusalReason::KeyInUse),
        Request::Goodbye,
    ] {
        assert_eq!(decode::<Request>(&encode(&request), MAX_MESSAGE_BYTES), Ok(request));
    }
    for response in [
        Response::Hello(hello),
        Response::Proof { signature },
        Response::Done,
        Response::Refused(RefusalReason::KeyInUse),
    ] {
        assert_eq!(decode::<Response>(&encode(&response), MAX_MESSAGE_BYTES), Ok(response));
    }
}
