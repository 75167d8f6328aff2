//! Whom the machine dials, and when.

use super::*;

fn dials(wanted: &Wanted) -> usize {
    wanted.events.iter().filter(|event| matches!(event, Event::Dial { .. })).count()
}

#[test]
fn pauses_grow_and_after_the_last_attempt_the_machine_says_so_and_goes_on_slowly() {
    let mut machine = Handshake::new(config(0, 0));
    let address = "nobody".to_owned();
    let mut now = at(0);
    let mut wanted = command(&mut machine, Command::AddAddress { peer: None, address: address.clone() }, now);
    let mut gave_up_after = Vec::new();
    let mut pauses = Vec::new();
    for attempt in 1..=14 {
        assert_eq!(dials(&wanted), 1, "attempt {attempt}");
        let failed = command(&mut machine, Command::DialFailed { address: address.clone() }, now);
        if failed.events.contains(&Event::GaveUp { address: address.clone() }) {
            gave_up_after.push(attempt);
        }
        let due = machine.poll_timeout().unwrap();
        pauses.push(due.since(now));
        now = due;
        machine.handle_timeout(now);
        wanted = drain(&mut machine);
    }
    assert_eq!(gave_up_after, [10]);
    let within = |pause: Duration, ms: u64| {
        pause >= Duration::from_millis(ms) && pause <= Duration::from_millis(ms + ms / 4 + 1)
    };
    for (pause, ms) in pauses.iter().zip([100, 200, 400, 800, 1600, 2000, 2000, 2000, 2000]) {
        assert!(within(*pause, ms), "{pauses:?}");
    }
    assert!(pauses[10..].iter().all(|pause| within(*pause, 10_000)), "{pauses:?}");
}

#[test]
fn who_is_connected_is_not_dialled_and_who_was_lost_is_dialled_soon() {
    let mut machine = Handshake::new(config(0, 0));
    connect(&mut machine, peer(1), 1, Direction::Accepted, at(0));
    let add = Command::AddAddress { peer: Some(peer(1)), address: "1".to_owned() };
    let mut wanted = command(&mut machine, add, at(0));
    for ms in [0, 150, 1000] {
        machine.handle_timeout(at(ms));
        wanted.events.extend(drain(&mut machine).events);
    }
    assert_eq!(dials(&wanted), 0);
    command(&mut machine, Command::ConnectionClosed { peer: peer(1), connection: 1 }, at(1500));
    machine.handle_timeout(at(1625));
    assert_eq!(dials(&drain(&mut machine)), 1, "100 ms and the jitter after the loss");
}

/// An address whose peer could not be taken in is not forgotten.
#[test]
fn a_peer_that_was_kept_out_is_dialled_again() {
    let mut machine = Handshake::new(config(0, 0));
    let address = "1".to_owned();
    command(&mut machine, Command::KeepOut { peer: peer(1), until: at(60_000) }, at(0));
    let first =
        command(&mut machine, Command::AddAddress { peer: Some(peer(1)), address: address.clone() }, at(0));
    let mut dialled = dials(&first);
    let mut established = false;
    let mut connection = 0;
    for second in 0..120 {
        machine.handle_timeout(at(second * 1000));
        dialled += dials(&drain(&mut machine));
        if std::mem::take(&mut dialled) > 0 {
            connection += 1;
            let command = Command::ConnectionEstablished {
                peer: peer(1),
                connection,
                direction: Direction::Dialled,
                address: Some(address.clone()),
            };
            machine.handle(Input::Command(command), at(second * 1000));
            let wanted = drain(&mut machine);
            if wanted.events.iter().any(|event| matches!(event, Event::CloseConnection { .. })) {
                let closed = Command::ConnectionClosed { peer: peer(1), connection };
                machine.handle(Input::Command(closed), at(second * 1000));
            } else {
                established = true;
            }
        }
    }
    assert!(established, "never dialled again after the end of the exclusion");
}

#[test]
fn the_table_of_addresses_is_bounded_and_no_address_is_dialled_twice_at_a_time() {
    let mut machine = Handshake::new(config(0, 0));
    let mut count = 0;
    for number in 0..MAX_ADDRESSES + 100 {
        for _ in 0..2 {
            let add = Command::AddAddress { peer: None, address: format!("address {number}") };
            count += dials(&command(&mut machine, add, at(0)));
        }
    }
    assert_eq!(count, MAX_ADDRESSES);
}

/// A peer without room for this node would otherwise see it again at once, each time.
#[test]
fn a_peer_that_has_no_room_is_dialled_slowly() {
    for (reason, pauses) in [
        (RefusalReason::Full, [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]),
        (RefusalReason::Timeout, [100, 200, 400, 800, 1_600, 2_000]),
    ] {
        let mut machine = Handshake::new(config(0, 0));
        let address = "1".to_owned();
        let add = Command::AddAddress { peer: Some(peer(1)), address: address.clone() };
        command(&mut machine, add, at(0));
        let (peer, direction) = (peer(1), Direction::Dialled);
        let mut now = 0;
        for (connection, pause) in (1..).zip(pauses) {
            let address = Some(address.clone());
            let established = Command::ConnectionEstablished { peer, connection, direction, address };
            command(&mut machine, established, at(now));
            request(&mut machine, peer, Request::Refused(reason), at(now));
            command(&mut machine, Command::ConnectionClosed { peer, connection }, at(now));
            machine.handle_timeout(at(now + pause - 1));
            assert_eq!(dials(&drain(&mut machine)), 0, "{reason:?}");
            now += pause + pause / 4;
            machine.handle_timeout(at(now));
            assert_eq!(dials(&drain(&mut machine)), 1, "{reason:?}");
        }
    }
}
