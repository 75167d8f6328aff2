//! The laws of machines, and those of announcements, under inputs in any order.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const TYPES: u16 = 3;

#[derive(Clone, Debug)]
enum Step {
    Subscribe { module: u64, data_type: u16 },
    Announce { module: u64, ttl: u8, data_type: u16, data: Vec<u8> },
    Answer { module: u64, notification: u16, valid: bool },
    Left(u64),
    Copy { from: u8, id: u8 },
    First { from: u8, origin: u8, data_type: u16, ttl: u8, of_type: u16, data: Vec<u8> },
    Garbage { from: u8, bytes: Vec<u8> },
    Timeout,
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let (module, data_type) = (|| 1u64..5, || 0..TYPES);
    let ttl = || prop_oneof![Just(0u8), 1u8..4];
    let data = || proptest::collection::vec(0u8..3, 0..3);
    let step = prop_oneof![
        3 => (module(), data_type()).prop_map(|(module, data_type)| Step::Subscribe { module, data_type }),
        3 => (module(), ttl(), data_type(), data())
            .prop_map(|(module, ttl, data_type, data)| Step::Announce { module, ttl, data_type, data }),
        6 => (module(), 0u16..12, prop::bool::weighted(0.8))
            .prop_map(|(module, notification, valid)| Step::Answer { module, notification, valid }),
        1 => module().prop_map(Step::Left),
        2 => (0u8..4, 0u8..4).prop_map(|(from, id)| Step::Copy { from, id }),
        8 => (0u8..4, 0u8..4, data_type(), ttl(), 0u16..40, data()).prop_map(
            |(from, origin, data_type, ttl, other, data)| {
                let of_type = if other < TYPES { other } else { data_type };
                let origin = if other.is_multiple_of(2) { from } else { origin };
                Step::First { from, origin, data_type, ttl, of_type, data }
            }
        ),
        1 => (0u8..4, proptest::collection::vec(any::<u8>(), 0..30))
            .prop_map(|(from, bytes)| Step::Garbage { from, bytes }),
        2 => Just(Step::Timeout),
    ];
    // Short enough that the duplicate window never passes within a run.
    (0u64..300, step)
}

/// What must hold of all outputs together.
#[derive(Default)]
struct Oracle {
    /// First copies without a verdict.
    open: BTreeMap<MessageId, usize>,
    notified: BTreeSet<(u64, u16, Vec<u8>)>,
    unanswered: BTreeSet<(u64, u16)>,
    announced: BTreeSet<(u64, u16, Vec<u8>)>,
    subscribed: BTreeSet<u16>,
}

impl Oracle {
    fn check(&mut self, wanted: &Wanted) {
        for event in &wanted.events {
            match event {
                Event::Verdict { id, .. } => {
                    let open = self.open.get_mut(id).unwrap_or_else(|| panic!("{id} was answered before"));
                    *open -= 1;
                    if *open == 0 {
                        self.open.remove(id);
                    }
                }
                Event::Notify { module, notification, data_type, data } => {
                    let what = (module.0, *data_type, data.to_vec());
                    assert!(!self.announced.contains(&what), "{module} announced it itself");
                    assert!(self.notified.insert(what), "{module} was notified of it before");
                    assert!(self.unanswered.insert((module.0, *notification)), "{notification} is in use");
                }
                Event::Close { module, .. } => self.forget(module.0),
                Event::Subscribe(data_type) => assert!(self.subscribed.insert(*data_type)),
                Event::Unsubscribe(data_type) => assert!(self.subscribed.remove(data_type)),
                Event::Publish { .. } | Event::Outcome(_) => {}
            }
        }
    }

    /// Modules may come again, here under the same number.
    fn forget(&mut self, module: u64) {
        self.notified.retain(|(of, ..)| *of != module);
        self.unanswered.retain(|(of, _)| *of != module);
        self.announced.retain(|(of, ..)| *of != module);
    }
}

fn take(world: &mut World, oracle: &mut Oracle, step: Step) -> Wanted {
    match step {
        Step::Subscribe { module, data_type } => {
            world.command(Command::Notify { module: ModuleId(module), data_type })
        }
        Step::Announce { module, ttl, data_type, data } => {
            let command = Command::Announce { module: ModuleId(module), ttl, data_type, data: data.clone() };
            let wanted = world.command(command);
            oracle.check(&wanted);
            if wanted.closed().is_empty() {
                oracle.announced.insert((module, data_type, data));
            }
            Wanted { events: Vec::new(), ..wanted }
        }
        Step::Answer { module, notification, valid } => {
            oracle.unanswered.remove(&(module, notification));
            world.answer(module, notification, valid)
        }
        Step::Left(module) => {
            let wanted = world.command(Command::Left(ModuleId(module)));
            oracle.check(&wanted);
            oracle.forget(module);
            Wanted { events: Vec::new(), ..wanted }
        }
        Step::Copy { from, id } => {
            world.machine.handle(
                Input::Received(peer(from), Message::Copy { id: Hash([id; 32]), bytes: 9 }),
                at(world.now),
            );
            world.drain()
        }
        Step::First { from, origin, data_type, ttl, of_type, data } => {
            let bytes = Announcement { ttl, data_type: of_type, data: Bytes(data) }.encode();
            first(world, oracle, from, origin, data_type, bytes)
        }
        Step::Garbage { from, bytes } => first(world, oracle, from, from, 0, bytes),
        Step::Timeout => {
            let wanted = world.pass(0);
            let (next, now) = (world.machine.poll_timeout(), at(world.now));
            assert!(next.is_none_or(|next| next > now), "{next:?} is not after {now:?}");
            wanted
        }
    }
}

fn first(
    world: &mut World,
    oracle: &mut Oracle,
    from: u8,
    origin: u8,
    data_type: u16,
    bytes: Vec<u8>,
) -> Wanted {
    let id = id_of(&bytes);
    *oracle.open.entry(id).or_default() += 1;
    let per_origin = Announcement::decode(&bytes).is_ok_and(|read| read.ttl != 0);
    let message = Message::First { id, origin: peer(origin), data_type, per_origin, bytes };
    world.machine.handle(Input::Received(peer(from), message), at(world.now));
    world.drain()
}

/// Runs the steps and checks what came out; gives it as text.
fn run(steps: &[(u64, Step)]) -> String {
    let (mut world, mut oracle) = (World::new(Config::default()), Oracle::default());
    let mut all = String::new();
    for (pause, step) in steps {
        world.now += pause;
        let wanted = take(&mut world, &mut oracle, step.clone());
        oracle.check(&wanted);
        all.push_str(&format!("{wanted:?}\n"));
    }
    let wanted = world.pass(Config::default().validation_timeout.as_millis() as u64);
    oracle.check(&wanted);
    assert!(oracle.open.is_empty(), "every first copy has one verdict: {:?}", oracle.open);
    all
}

proptest! {
    #[test]
    fn hold_for_any_inputs(steps in proptest::collection::vec(step(), 1..100)) {
        prop_assert_eq!(run(&steps), run(&steps));
    }
}
