//! What the simulator says of the protocol, seed by seed, and whether it can be trusted to say it.

#![allow(clippy::unwrap_used)]

use conclave_protocol::rules::{Rule, Rules};
use conclave_protocol::time::Time;
use conclave_simulator::{
    adversaries::Misbehaviour,
    draw::Family,
    latency::Latency,
    observation::{Observation, Observed},
    oracle::Violation,
    partitions::Sweep,
    picture,
    run::{run, run_watched},
    scenario::{Miners, Promises, Scenario},
    timeline::Timeline,
    watch::Watch,
};
use std::{collections::BTreeSet, time::Duration};

/// Runs seeds of a family; fails with the first that violates something.
fn hold(family: Family, validators: usize, faulty: u16, fast: bool, seeds: u64) {
    for seed in 0..seeds {
        let run = run(&family.draw(seed, validators, faulty, fast));
        let plain = if fast { "" } else { " --plain" };
        assert!(
            run.violations.is_empty(),
            "conclave sim --validators {validators} --faulty {faulty}{plain} --family {} --seed {seed}: {:?}",
            family.name(),
            run.violations
        );
    }
}

#[test]
fn at_most_f_liars_do_no_harm_while_the_network_keeps_its_bound() {
    hold(Family::Synchronous, 4, 1, true, 40);
    hold(Family::Synchronous, 7, 2, true, 8);
    hold(Family::Synchronous, 4, 1, false, 30);
    hold(Family::Synchronous, 5, 4, false, 20);
}

#[test]
fn cuts_and_crashes_halt_rather_than_fork() {
    hold(Family::Partitioned, 4, 1, true, 80);
    hold(Family::Partitioned, 7, 2, true, 20);
}

#[test]
fn whoever_is_killed_comes_back_and_nothing_is_lost() {
    hold(Family::Restarted, 4, 1, true, 80);
}

#[test]
fn whatever_happens_certificates_are_unique_and_nobody_honest_is_accused() {
    hold(Family::Chaotic, 4, 1, true, 40);
}

/// The smaller side of every cut halts and says so, whenever in a height it comes, with crashes on top; nobody forks, and
/// after it everything is decided. `conclave sim partitions` runs all of them.
#[test]
fn some_cuts_of_four_and_seven_at_some_moments_of_a_height() {
    for (validators, faulty, every) in [(4, 1, 23), (7, 2, 911)] {
        let sweep = Sweep { validators, faulty };
        let mut halted = 0;
        for partition in sweep.partitions().iter().step_by(every) {
            let aftermath = sweep.run(partition);
            assert_eq!(aftermath.violations, [], "{partition}");
            assert_eq!(aftermath.silent, [], "{partition}: cannot close and does not say so");
            halted += aftermath.halted;
        }
        assert!(halted > 0, "{validators} validators: nobody halted");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_to_the_byte() {
    for family in Family::ALL {
        let scenario = family.draw(11, 4, 1, true);
        let (mut first, mut second) = (Timeline::default(), Timeline::default());
        assert_eq!(
            run_watched(&scenario, &mut first),
            run_watched(&scenario, &mut second),
            "{}",
            family.name()
        );
        assert_eq!(first.lines(), second.lines());
        let drawn = picture::svg(&scenario, &first, &(1..=1));
        assert!(drawn.starts_with("<svg") && drawn.contains("<circle"), "{drawn}");
        assert_ne!(run(&scenario).outcome.digest, run(&family.draw(12, 4, 1, true)).outcome.digest);
    }
}

#[test]
fn miners_end_on_one_chain_with_everything_on_it_whatever_less_than_half_of_them_do() {
    hold(Family::Mined, 4, 1, true, 60);
    hold(Family::Mined, 7, 3, true, 60);
}

/// What others make of a miner that cheats.
#[derive(Default)]
struct OfMiners {
    blamed: u64,
    undone: u64,
    adopted: BTreeSet<(usize, u64)>,
}

impl Watch for OfMiners {
    fn observe(&mut self, observed: &Observed<'_>) {
        match observed.what {
            Observation::Blamed { is_fatal: true, whom: 0, .. } => self.blamed += 1,
            Observation::Decided { host, height, .. } => {
                self.adopted.insert((host, height));
            }
            Observation::RolledBack { host, height } => {
                let last = self.adopted.range((host, 0)..=(host, u64::MAX)).next_back();
                let depth = last.map_or(0, |(_, tip)| tip + 1 - height);
                self.undone = self.undone.max(depth);
                self.adopted.retain(|(of, at)| *of != host || *at < height);
            }
            _ => {}
        }
    }
}

/// Each does what it is named for, and the others get over it.
#[test]
fn each_miner_that_cheats_is_borne() {
    for kind in Misbehaviour::OF_MINERS {
        let mut seen = OfMiners::default();
        for seed in 0..30 {
            let mut scenario = Scenario::quiet(seed, 3, 1);
            let interval = Duration::from_millis(50);
            (scenario.miners, scenario.promises) = (Some(Miners { interval, depth: 3 }), Promises::MINED);
            scenario.adversaries = vec![(0, kind)];
            scenario.load = (0..40)
                .map(|number| (Time::after_start(Duration::from_millis(5_000 + 50 * number)), 1))
                .collect();
            let run = run_watched(&scenario, &mut seen);
            assert!(run.violations.is_empty(), "{}, seed {seed}: {:?}", kind.name(), run.violations);
            assert!(run.outcome.height >= 1, "{}, seed {seed}", kind.name());
        }
        let is_a_provable_lie = matches!(
            kind,
            Misbehaviour::Garbage
                | Misbehaviour::TamperBlocks
                | Misbehaviour::EdgeTimestamps
                | Misbehaviour::ForgedChain
        );
        assert_eq!(seen.blamed > 0, is_a_provable_lie, "{}: blamed {} times", kind.name(), seen.blamed);
        if kind == Misbehaviour::PrivateChain {
            assert!(seen.undone >= 2, "no private chain has undone more than {} blocks", seen.undone);
        }
    }
}

#[test]
fn each_adversary_is_borne() {
    for kind in Misbehaviour::OF_VALIDATORS {
        let mut scenario = Scenario::quiet(5, 4, 1);
        scenario.adversaries = vec![(0, kind)];
        scenario.load =
            (0..3).map(|number| (Time::after_start(Duration::from_secs(5 + number)), 1)).collect();
        let run = run(&scenario);
        assert!(run.violations.is_empty(), "{}: {:?}", kind.name(), run.violations);
        assert!(run.outcome.height >= 1, "{}", kind.name());
    }
}

/// Runs scenarios without a rule until something is violated; the number of the seed.
fn caught(rule: Rule, seeds: u64, scenario: impl Fn(u64) -> Scenario) -> Option<(u64, Vec<Violation>)> {
    (0..seeds).find_map(|seed| {
        let scenario = Scenario { rules: Rules::without(rule), ..scenario(seed) };
        let violations = run(&scenario).violations;
        (!violations.is_empty()).then_some((seed, violations))
    })
}

/// Without a rule something goes wrong within a bounded number of runs: the oracle and the adversaries have teeth. V1 and R1
/// are missed by the model checker alone: without V1 a skip is only slower here, and R1 is for networks that break their
/// promise.
#[test]
fn taking_a_rule_out_is_noticed() {
    for (rule, kind, (validators, faulty), seeds) in [
        (Rule::E2, Misbehaviour::ShortChain, (5, 1), 60),
        (Rule::E3, Misbehaviour::WrongState, (4, 1), 60),
        (Rule::C1, Misbehaviour::WithholdCertificate, (4, 1), 100),
        (Rule::C2, Misbehaviour::WithholdCertificate, (4, 2), 100),
        (Rule::C3, Misbehaviour::WithholdCertificate, (4, 1), 100),
        (Rule::S1, Misbehaviour::WithholdSupport, (4, 2), 60),
        (Rule::P1, Misbehaviour::Equivocate, (4, 1), 60),
        (Rule::WriteAhead, Misbehaviour::Silent, (4, 1), 4),
    ] {
        found(rule, seeds, |seed| aimed(kind, seed, validators, faulty));
    }
    found(Rule::P2, 60, |seed| Family::Partitioned.draw(seed, 4, 1, true));
}

fn found(rule: Rule, seeds: u64, scenario: impl Fn(u64) -> Scenario) {
    let found = caught(rule, seeds, scenario);
    let (seed, violations) = found.unwrap_or_else(|| panic!("{rule:?} is not missed in {seeds} seeds"));
    println!("without {rule:?}, seed {seed}: {}", violations[0]);
}

/// A network that keeps its bound, of which the first `f` validators do what is aimed at a rule.
fn aimed(kind: Misbehaviour, seed: u64, validators: usize, faulty: u16) -> Scenario {
    let mut scenario = Family::Synchronous.draw(seed, validators, faulty, true);
    scenario.twins = 0;
    scenario.faults.clear();
    scenario.adversaries = (0..usize::from(faulty)).map(|number| (number, kind)).collect();
    scenario
}

/// A liar that is in the middle of two others' handshakes with it, and quicker than their handshake with each other.
fn impersonation(seed: u64) -> Scenario {
    let mut scenario = Scenario::quiet(seed, 4, 1);
    scenario.latency = Latency::Uniform { least: Duration::ZERO, most: Duration::from_millis(20) };
    scenario.adversaries = vec![(0, Misbehaviour::Impersonate)];
    scenario
}

#[test]
fn taking_the_binding_of_the_handshake_out_is_noticed() {
    let found = caught(Rule::HandshakeBinding, 40, impersonation);
    let (seed, violations) = found.expect("the binding is not missed in 40 seeds");
    println!("without the binding, seed {seed}: {}", violations[0]);
    assert!(matches!(violations[0], Violation::Impersonated { .. }), "{violations:?}");
    for seed in 0..40 {
        assert_eq!(run(&impersonation(seed)).violations, [], "seed {seed}");
    }
}
