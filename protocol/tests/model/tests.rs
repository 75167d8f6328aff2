//! What is explored, and which mutants have to be found.

use crate::{
    game::{GOOD, Game, LEADER},
    network::{Action, Budget, Network, Setting},
};
use conclave_protocol::{consensus::Verdict, rules::Rule};
use stateright::{Checker, HasDiscoveries, Model};
use std::{fmt::Write, time::Duration};

/// Which links between honest nodes are slow.
#[derive(Clone, Copy)]
enum Links {
    /// None, or all.
    Uniform,
    /// None, all, all into one node, all out of one node, and the rest of these two.
    Lopsided,
    /// All, and all nodes begin at once.
    Slow,
}

fn links(game: &Game, kind: Links) -> Vec<Vec<(u8, u8)>> {
    let honest: Vec<u8> = game.honest().collect();
    let pairs = honest.iter().flat_map(|from| honest.iter().map(move |to| (*from, *to)));
    let all: Vec<(u8, u8)> = pairs.filter(|(from, to)| from != to).collect();
    if matches!(kind, Links::Slow) {
        return vec![all];
    }
    let mut sets = vec![Vec::new(), all.clone()];
    if matches!(kind, Links::Lopsided) {
        for node in honest {
            let into = |(_, to): &(u8, u8)| *to == node;
            let out = |(from, _): &(u8, u8)| *from == node;
            sets.push(all.iter().copied().filter(into).collect());
            sets.push(all.iter().copied().filter(out).collect());
            sets.push(all.iter().copied().filter(|link| !into(link)).collect());
            sets.push(all.iter().copied().filter(|link| !out(link)).collect());
        }
        sets.sort();
        sets.dedup();
    }
    sets
}

/// Every choice of who begins late. With uniform links honest nodes differ by nothing but their number and who
/// leads, so only how many of the others are late matters.
fn settings(game: &Game, kind: Links) -> Vec<Setting> {
    let honest: Vec<u8> = game.honest().collect();
    let mut settings = Vec::new();
    for slow in links(game, kind) {
        for late in 0..1_u32 << honest.len() {
            let late: Vec<u8> =
                honest.iter().enumerate().filter(|(bit, _)| late >> bit & 1 == 1).map(|(_, n)| *n).collect();
            let followers: Vec<u8> = honest.iter().copied().filter(|node| *node != LEADER).collect();
            let late_followers = followers.iter().filter(|node| late.contains(node)).count();
            let first_ones = followers.iter().take(late_followers).all(|node| late.contains(node));
            let is_one_of = late.len() < honest.len() && (late.is_empty() || !matches!(kind, Links::Slow));
            if !is_one_of || (matches!(kind, Links::Uniform) && !first_ones) {
                continue;
            }
            let late = (0..game.validators).map(|node| late.contains(&node)).collect();
            settings.push(Setting { late, slow: slow.clone() });
        }
    }
    settings
}

struct Outcome {
    /// The property that does not hold, and a shortest way to see it.
    violation: Option<(&'static str, String)>,
    summary: String,
    is_complete: bool,
}

/// Explores, shortest runs first, until a property fails or everything is seen.
fn explore(game: Game, kind: Links, budget: Budget, limit: Limit) -> Outcome {
    let settings = settings(&game, kind);
    let network = Network::new(game, settings, budget);
    let mut builder = network.checker().threads(1).finish_when(HasDiscoveries::AnyFailures);
    match limit {
        Limit::States(states) => builder = builder.target_state_count(states),
        Limit::Time(time) => builder = builder.timeout(time),
    }
    let checker = builder.spawn_bfs().join();
    let found = checker.discoveries().into_iter().next();
    let model = checker.model();
    let violation = found.map(|(name, path)| {
        let mut trace = String::new();
        let (first, _) = path.clone().into_vec()[0].clone();
        let _ = writeln!(trace, "{:?}", model.setting(&first));
        for (state, action) in path.into_vec() {
            let now = model.now(&state);
            match action {
                Some(Action::Pass) | None => {}
                Some(action) => {
                    let _ = writeln!(trace, "{now:>5}: {action:?}");
                }
            }
            if model.is_over(&state) || model.is_due(&state) {
                let nodes = model.nodes();
                for (node, notes) in state.notes(&nodes) {
                    let decided =
                        notes.decided.map(|(value, certified)| (nodes.game.name(&value), certified));
                    let _ = writeln!(trace, "{now:>5}: {node} {decided:?} {:?}", notes.faults);
                }
            }
        }
        (name, trace)
    });
    let (states, steps) = model.nodes().counts();
    let summary = format!(
        "{} states, {} transitions, depth {}; of single nodes {states} states and {steps} steps",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
    );
    let is_complete = violation.is_none()
        && match limit {
            Limit::States(states) => checker.state_count() < states,
            Limit::Time(_) => checker.is_done(),
        };
    Outcome { violation, summary, is_complete }
}

#[derive(Clone, Copy)]
enum Limit {
    States(usize),
    Time(Duration),
}

fn lies(lies: u8) -> Budget {
    Budget { lies, ..Budget::default() }
}

/// Everything that is reached holds, and everything is reached.
fn holds(what: &str, game: Game, kind: Links, budget: Budget) {
    let outcome = explore(game, kind, budget, Limit::States(5_000_000));
    println!("{what}: {}", outcome.summary);
    if let Some((property, trace)) = outcome.violation {
        panic!("{what}: not so: {property}\n{trace}");
    }
    assert!(outcome.is_complete, "{what}: the bound on states was met");
}

#[test]
fn three_validators_whose_leader_lies_agree() {
    holds("n=3, lying leader, 2 lies", Game::new(3, 1, Some(LEADER)), Links::Lopsided, lies(2));
}

#[test]
fn four_validators_whose_leader_lies_agree() {
    holds("n=4, lying leader, 2 lies", Game::new(4, 1, Some(LEADER)), Links::Uniform, lies(2));
}

#[test]
fn honest_leaders_succeed_whatever_another_says() {
    for validators in [3, 4] {
        let game = Game::new(validators, 1, Some(validators - 1));
        holds(&format!("n={validators}, honest leader, 2 lies"), game, Links::Uniform, lies(2));
    }
}

#[test]
fn an_invalid_block_is_never_decided() {
    let invalid = Verdict { valid: false, ..GOOD };
    let game = Game::new(4, 1, Some(LEADER)).with_verdicts([invalid, GOOD]);
    holds("n=4, lying leader, an invalid block, 1 lie", game, Links::Uniform, lies(1));
}

#[test]
fn a_clean_cut_splits_nobody_and_everybody_goes_on_after_it() {
    for timely in [true, false] {
        let game = Game::new(4, 1, None).with_verdicts([Verdict { timely, ..GOOD }; 2]);
        let budget = Budget { cut: true, ..Budget::default() };
        holds(&format!("n=4, a cut, timely: {timely}"), game, Links::Lopsided, budget);
    }
}

#[test]
fn a_crash_and_a_clean_cut_split_nobody() {
    let budget = Budget { lies: 0, cut: true, crash: true };
    holds("n=4, a crash and a cut", Game::new(4, 1, None), Links::Uniform, budget);
}

/// Most states in which a mutant has to be found.
const BOUND: usize = 400_000;

/// Without the rule something goes wrong, which the exploration finds; with it, nothing does in as many states.
fn finds(rule: Rule, game: impl Fn() -> Game, kind: Links, budget: Budget) {
    let outcome = explore(game().without(rule), kind, budget, Limit::States(BOUND));
    let Some((property, trace)) = outcome.violation else {
        panic!("without {rule:?} nothing was found: {}", outcome.summary);
    };
    println!("without {rule:?}: {property}; {}\n{trace}", outcome.summary);
}

#[test]
fn taking_a_rule_out_is_found() {
    let lying = || Game::new(4, 1, Some(LEADER));
    for (rule, budget) in
        [(Rule::V1, 0), (Rule::P1, 2), (Rule::C2, 2), (Rule::C3, 2), (Rule::S1, 2), (Rule::E2, 2)]
    {
        finds(rule, lying, Links::Uniform, lies(budget));
    }
    finds(Rule::C1, lying, Links::Slow, lies(3));
}

#[test]
fn taking_e3_out_is_found() {
    let invalid = Verdict { valid: false, ..GOOD };
    let game = || Game::new(4, 1, Some(LEADER)).with_verdicts([invalid, GOOD]);
    finds(Rule::E3, game, Links::Uniform, lies(1));
}

#[test]
fn taking_the_write_ahead_order_out_is_found() {
    finds(Rule::WriteAhead, || Game::new(4, 1, Some(LEADER)), Links::Uniform, lies(0));
}

#[test]
fn taking_p2_out_is_found() {
    let budget = Budget { cut: true, ..Budget::default() };
    finds(Rule::P2, || Game::new(4, 1, None), Links::Uniform, budget);
}

/// Three validators, a liar and a cut: a certificate on one side, a decision without one on the other, and both meet.
#[test]
fn taking_r1_out_is_found() {
    let budget = Budget { lies: 2, cut: true, crash: false };
    finds(Rule::R1, || Game::new(3, 1, Some(LEADER)), Links::Slow, budget);
}

#[test]
fn a_certificate_outranks_what_a_cut_has_led_to() {
    let budget = Budget { lies: 2, cut: true, crash: false };
    holds("n=3, lying leader, 2 lies, a cut", Game::new(3, 1, Some(LEADER)), Links::Slow, budget);
}

/// As far as the time goes that the environment gives.
#[test]
fn far() {
    #[allow(clippy::disallowed_methods)]
    // It is this test that is told how long it may take, not the protocol.
    let Ok(minutes) = std::env::var("CONCLAVE_MODEL_MINUTES") else { return };
    let minutes: u64 = minutes.parse().expect("CONCLAVE_MODEL_MINUTES is a number of minutes");
    for (validators, liar, kind, budget) in [
        (3, 0, Links::Lopsided, 3),
        (3, 0, Links::Lopsided, 4),
        (4, 0, Links::Uniform, 3),
        (4, 0, Links::Lopsided, 2),
        (4, 3, Links::Lopsided, 2),
        (4, 0, Links::Uniform, 4),
    ] {
        let game = Game::new(validators, 1, Some(liar));
        let limit = Limit::Time(Duration::from_secs(minutes * 60));
        let outcome = explore(game, kind, lies(budget), limit);
        let extent = if outcome.is_complete { "all" } else { "not all" };
        println!("n={validators}, liar {liar}, {budget} lies, {extent}: {}", outcome.summary);
        if let Some((property, trace)) = outcome.violation {
            panic!("not so: {property}\n{trace}");
        }
    }
}
