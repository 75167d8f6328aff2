//! What the simulator says of the protocol, seed by seed, and whether it can be trusted to say it.

#![allow(clippy::unwrap_used)]

use conclave_protocol::rules::{Rule, Rules};
use conclave_protocol::time::Time;
use conclave_simulator::{
    adversaries::Misbehaviour,
    draw::Family,
    oracle::Violation,
    picture,
    run::{run, run_watched},
    scenario::{Fault, Promises, Scenario},
    timeline::Timeline,
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

/// The smaller side of every cut of four halts, whenever in a height it comes, with a crash on top; nobody forks, and
/// after it everything is decided.
#[test]
fn every_cut_of_four_at_every_moment_of_a_height() {
    let start = Duration::from_secs(6);
    for side in 1_u8..8 {
        let side: BTreeSet<usize> = (0..4).filter(|host| side & (1 << host) != 0).collect();
        for moment in 0..18 {
            let mut scenario = Scenario::quiet(u64::from(moment), 4, 1);
            scenario.delta = Duration::from_millis(100);
            scenario.load = vec![(Time::after_start(start), 0), (Time::after_start(start), 3)];
            let cut = Time::after_start(start + Duration::from_millis(50) * moment);
            let breaks_after = (moment % 2 == 0).then(|| Duration::from_millis(250));
            scenario.faults = vec![
                (cut, Fault::Cut { side: side.clone(), breaks_after }),
                (cut + Duration::from_millis(20), Fault::Crash { host: 2, loses_unsynced: moment % 3 == 0 }),
                (cut + Duration::from_secs(3), Fault::Heal),
                (cut + Duration::from_secs(4), Fault::Restart { host: 2 }),
            ];
            scenario.promises = Promises::PARTITIONED;
            let run = run(&scenario);
            assert!(run.violations.is_empty(), "side {side:?}, moment {moment}: {:?}", run.violations);
        }
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
        assert!(drawn.starts_with("<svg") && drawn.contains("window"), "{drawn}");
        assert_ne!(run(&scenario).outcome.digest, run(&family.draw(12, 4, 1, true)).outcome.digest);
    }
}

#[test]
fn each_adversary_is_borne() {
    for kind in Misbehaviour::ALL {
        let mut scenario = Scenario::quiet(5, 4, 1);
        scenario.adversaries = vec![(0, kind)];
        scenario.load =
            (0..3).map(|number| (Time::after_start(Duration::from_secs(5 + number)), 1)).collect();
        let run = run(&scenario);
        assert!(run.violations.is_empty(), "{}: {:?}", kind.name(), run.violations);
        assert!(run.outcome.height >= 1, "{}", kind.name());
    }
}

/// Runs seeds without a rule until something is violated; the number of the seed.
fn caught(rule: Rule, families: &[(Family, usize, u16)], seeds: u64) -> Option<(u64, Vec<Violation>)> {
    (0..seeds).find_map(|seed| {
        families.iter().find_map(|(family, validators, faulty)| {
            let mut scenario = family.draw(seed, *validators, *faulty, true);
            scenario.rules = Rules::without(rule);
            let violations = run(&scenario).violations;
            (!violations.is_empty()).then_some((seed, violations))
        })
    })
}

/// Without a rule something goes wrong within a bounded number of runs: the oracle and the adversaries have teeth.
#[test]
fn taking_a_rule_out_is_noticed() {
    let synchronous: &[_] = &[(Family::Synchronous, 4, 1), (Family::Synchronous, 4, 2)];
    let partitioned: &[_] = &[(Family::Partitioned, 4, 1), (Family::Restarted, 4, 1)];
    for (rule, families, seeds) in
        [(Rule::V1, synchronous, 60), (Rule::P2, partitioned, 200), (Rule::WriteAhead, partitioned, 60)]
    {
        let found = caught(rule, families, seeds);
        let (seed, violations) = found.unwrap_or_else(|| panic!("{rule:?} is not missed in {seeds} seeds"));
        println!("without {rule:?}, seed {seed}: {}", violations[0]);
    }
}
