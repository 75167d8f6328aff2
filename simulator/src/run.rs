//! One scenario from its start to the oracle's verdict.

use crate::{
    oracle::{MinersOracle, Oracle, Violation},
    scenario::Scenario,
    watch::{Both, Nobody, Watch},
    world::{Outcome, World},
};

/// What a run came to, and what the oracle says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What it came to.
    pub outcome: Outcome,
    /// What was wrong.
    pub violations: Vec<Violation>,
}

/// Runs a scenario.
pub fn run(scenario: &Scenario) -> Run {
    run_watched(scenario, &mut Nobody)
}

/// Runs a scenario before somebody's eyes.
pub fn run_watched(scenario: &Scenario, watch: &mut dyn Watch) -> Run {
    if scenario.miners.is_some() {
        let mut oracle = MinersOracle::new(scenario);
        let outcome = World::new(scenario, &mut Both(&mut oracle, watch)).run();
        return Run { outcome, violations: oracle.verdict() };
    }
    let mut oracle = Oracle::new(scenario, World::network(scenario), World::validator_keys(scenario));
    let outcome = World::new(scenario, &mut Both(&mut oracle, watch)).run();
    let violations = oracle.verdict(outcome.ended);
    Run { outcome, violations }
}
