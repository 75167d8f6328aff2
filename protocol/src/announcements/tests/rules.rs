//! One case for each rule of the module's opening words.

use super::*;

#[test]
fn a_topic_is_subscribed_to_once_and_lingers() {
    let mut world = World::new(Config::default());
    assert_eq!(world.subscribe(1).events, [Event::Subscribe(TYPE)]);
    assert_eq!(world.subscribe(2).events, []);
    assert_eq!(world.subscribe(2).events, [], "again by the same module");
    world.command(Command::Left(ModuleId(1)));
    assert_eq!(world.pass(60_000).events, [], "module 2 is still there");
    world.command(Command::Left(ModuleId(2)));
    assert_eq!(world.pass(14_999).events, []);
    assert_eq!(world.subscribe(3).events, [], "the topic was still subscribed to");
    world.command(Command::Left(ModuleId(3)));
    assert_eq!(world.pass(15_000).events, [Event::Unsubscribe(TYPE)]);
    assert_eq!(world.subscribe(4).events, [Event::Subscribe(TYPE)]);
}

#[test]
fn what_a_module_announces_goes_out_and_to_all_other_subscribers() {
    let mut world = World::with_modules(3);
    for ttl in [0, 1, 2, 255] {
        let wanted = world.announce(2, ttl, &[ttl, 7]);
        assert_eq!(wanted.published(), [ttl]);
        let notified: Vec<u64> = wanted.notified().iter().map(|(module, _)| *module).collect();
        assert_eq!(notified, [1, 3]);
        for (module, notification) in wanted.notified() {
            let answered = world.answer(module, notification, false);
            assert_eq!(answered, Wanted::default(), "what is said of it changes nothing");
        }
    }
    assert_eq!(world.announce(4, 0, b"by one that does not subscribe").notified().len(), 3);
    world.command(Command::Left(ModuleId(2)));
    assert_eq!(world.announce(2, 0, b"left at once").published(), [0]);
}

#[test]
fn an_announcement_without_limit_is_forwarded_when_all_modules_agree() {
    let mut world = World::with_modules(2);
    let wanted = world.receive(0, b"x");
    let notified = wanted.notified();
    assert_eq!((notified.len(), wanted.verdicts()), (2, vec![]));
    assert_eq!(world.answer(2, notified[1].1, true).verdicts(), []);
    let wanted = world.answer(1, notified[0].1, true);
    assert_eq!((wanted.verdicts(), wanted.published()), (vec![Verdict::Forward], vec![]));
    assert_eq!(wanted.outcomes(), [Outcome::PassedOn]);
}

#[test]
fn a_limited_announcement_goes_on_with_one_hop_less_or_not_at_all() {
    for (ttl, published, outcome) in
        [(1, vec![], Outcome::LastHop), (2, vec![1], Outcome::PassedOn), (255, vec![254], Outcome::PassedOn)]
    {
        let mut world = World::with_modules(1);
        let notified = world.receive(ttl, b"x").notified();
        let wanted = world.answer(1, notified[0].1, true);
        assert_eq!((wanted.verdicts(), wanted.published()), (vec![Verdict::Drop], published), "TTL {ttl}");
        assert_eq!(wanted.outcomes(), [outcome], "TTL {ttl}");
    }
}

#[test]
fn one_module_that_says_no_is_enough_and_the_senders_are_blamed() {
    let mut world = World::with_modules(2);
    let notified = world.receive(0, b"x").notified();
    world.first(5, 5, envelope(3, b"x"));
    let wanted = world.answer(1, notified[0].1, false);
    assert_eq!(wanted.verdicts(), [Verdict::Reject, Verdict::Reject]);
    assert_eq!(wanted.blamed, [(peer(1), Severity::Serious), (peer(5), Severity::Serious)]);
    assert_eq!(world.answer(2, notified[1].1, true), Wanted::default(), "a late answer is taken");
    let again = world.first(6, 6, envelope(2, b"x"));
    assert_eq!((again.verdicts(), again.notified()), (vec![Verdict::Reject], vec![]));
    assert_eq!(again.blamed, [(peer(6), Severity::Serious)]);
}

#[test]
fn without_an_answer_in_time_it_is_dropped_without_blame() {
    let mut world = World::with_modules(2);
    let notified = world.receive(0, b"x").notified();
    world.answer(1, notified[0].1, true);
    assert_eq!(world.pass(59_999), Wanted::default());
    let wanted = world.pass(1);
    assert_eq!((wanted.verdicts(), wanted.outcomes()), (vec![Verdict::Drop], vec![Outcome::Unanswered]));
    assert_eq!(wanted.blamed, []);
    assert_eq!(world.answer(2, notified[1].1, false), Wanted::default(), "too late is no offence");
    assert_eq!(world.answer(2, notified[1].1, false).closed().len(), 1, "but twice is");
}

#[test]
fn a_module_that_leaves_is_no_longer_waited_for() {
    let mut world = World::with_modules(2);
    let notified = world.receive(0, b"one has answered").notified();
    world.answer(1, notified[0].1, true);
    assert_eq!(world.command(Command::Left(ModuleId(2))).verdicts(), [Verdict::Forward]);
    world.receive(0, b"nobody has");
    let wanted = world.command(Command::Left(ModuleId(1)));
    assert_eq!((wanted.verdicts(), wanted.outcomes()), (vec![Verdict::Drop], vec![Outcome::Abandoned]));
    assert_eq!(wanted.blamed, []);
    let wanted = world.receive(0, b"nobody is there");
    assert_eq!((wanted.verdicts(), wanted.outcomes()), (vec![Verdict::Drop], vec![Outcome::NoSubscriber]));
}

#[test]
fn content_is_notified_once_within_the_window() {
    let mut world = World::with_modules(2);
    let notified = world.receive(2, b"x").notified();
    notified.iter().for_each(|(module, notification)| drop(world.answer(*module, *notification, true)));
    let wanted = world.receive(1, b"x");
    assert_eq!((wanted.notified(), wanted.published()), (vec![], vec![]), "not further than before");
    let wanted = world.receive(4, b"x");
    assert_eq!((wanted.notified(), wanted.published()), (vec![], vec![3]), "further than before");
    let wanted = world.receive(0, b"x");
    assert_eq!((wanted.notified(), wanted.verdicts()), (vec![], vec![Verdict::Forward]));
    assert_eq!(world.announce(1, 0, b"x").outcomes(), [Outcome::AnnouncedAgain]);
    world.pass(120_000);
    assert_eq!(world.receive(0, b"x").notified().len(), 2, "the window is over");
}

#[test]
fn an_announcer_is_not_notified_of_what_comes_back() {
    let mut world = World::with_modules(1);
    assert_eq!(world.announce(1, 3, b"x").published(), [3]);
    let wanted = world.receive(2, b"x");
    assert_eq!((wanted.notified(), wanted.published(), wanted.blamed), (vec![], vec![], vec![]));
}

#[test]
fn copies_that_differ_by_their_ttl_share_one_validation() {
    let mut world = World::with_modules(1);
    let notified = world.receive(1, b"x").notified();
    assert_eq!(world.receive(5, b"x").notified(), []);
    assert_eq!(world.receive(0, b"x").notified(), []);
    let wanted = world.answer(1, notified[0].1, true);
    assert_eq!(wanted.verdicts(), [Verdict::Drop, Verdict::Drop, Verdict::Forward]);
    assert_eq!(wanted.published(), [], "the copy without limit goes everywhere");
}

#[test]
fn bytes_that_no_honest_node_sends_are_blamed() {
    let good = || Announcement { ttl: 0, data_type: TYPE, data: Bytes(b"x".to_vec()) };
    let longer_form = [good().encode(), vec![0]].concat();
    for (what, bytes, severity) in [
        ("no CBOR", b"\xff\xff".to_vec(), Severity::Fatal),
        ("trailing bytes", longer_form, Severity::Fatal),
        ("another type", Announcement { data_type: 7, ..good() }.encode(), Severity::Fatal),
        ("no data", Announcement { data: Bytes(vec![]), ..good() }.encode(), Severity::Fatal),
        ("too long", envelope(0, &[7; MAX_DATA_BYTES + 99]), Severity::Fatal),
        ("a TTL that was not lowered", envelope(2, b"x"), Severity::Serious),
    ] {
        let mut world = World::with_modules(1);
        let wanted = world.first(1, 9, bytes);
        assert_eq!(wanted.blamed, [(peer(1), severity)], "{what}");
        assert_eq!((wanted.verdicts(), wanted.notified()), (vec![Verdict::Reject], vec![]), "{what}");
    }
}

#[test]
fn what_gossipsub_knows_it_by_must_fit_its_ttl() {
    for (ttl, per_origin) in [(0, true), (3, false)] {
        let mut world = World::with_modules(1);
        let (bytes, id, origin) = (envelope(ttl, b"x"), Hash([1; 32]), peer(1));
        let message = Message::First { id, origin, data_type: TYPE, per_origin, bytes };
        world.machine.handle(Input::Received(peer(1), message), at(0));
        let wanted = world.drain();
        assert_eq!((wanted.blamed, wanted.events.len()), (vec![(peer(1), Severity::Fatal)], 2), "TTL {ttl}");
    }
}

#[test]
fn modules_that_break_the_rules_are_disconnected() {
    let mut world = World::with_modules(1);
    assert_eq!(world.answer(1, 77, true).closed(), [(1, CloseReason::UnknownNotification(77))]);
    let mut world = World::with_modules(1);
    assert_eq!(world.announce(1, 0, b"").closed(), [(1, CloseReason::NoData)]);
    let mut world = World::with_modules(1);
    for data_type in 0..MAX_TYPES as DataType - 1 {
        world.command(Command::Notify { module: ModuleId(2), data_type });
    }
    let wanted = world.command(Command::Notify { module: ModuleId(2), data_type: 9999 });
    assert_eq!(wanted.closed(), [(2, CloseReason::TooManyTypes)]);
}

#[test]
fn a_module_that_never_answers_is_disconnected_and_no_longer_holds_the_others_up() {
    let endless = crate::token_bucket::Rate { per_second: 1, capacity: u64::MAX >> 24 };
    let cache_size = 2 * MAX_UNANSWERED;
    let mut world = World::new(Config { cache_size, origin: endless, peer: endless, ..Config::default() });
    world.subscribe(1);
    world.subscribe(2);
    for number in 0..MAX_UNANSWERED as u64 {
        let notified = world.receive(0, &number.to_be_bytes()).notified();
        assert_eq!(world.answer(1, notified[0].1, true).verdicts(), []);
    }
    let wanted = world.receive(0, b"one more");
    assert_eq!(wanted.closed(), [(2, CloseReason::AnswersNothing)]);
    let forwarded = wanted.verdicts().iter().filter(|verdict| **verdict == Verdict::Forward).count();
    assert_eq!(forwarded, MAX_UNANSWERED);
    assert_eq!(wanted.notified().len(), 1, "module 1");
}
