//! What is explored, and which mutants have to be found.

use crate::{
    game::{GOOD, Game, LEADER},
    network::{Action, Budget, Network, Setting, State},
};
use conclave_protocol::{consensus::Verdict, rules::Rule};
use stateright::{Checker, HasDiscoveries, Model};
use std::{
    fmt::Write,
    time::{Duration, Instant},
};

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

/// What was seen.
#[derive(Default)]
struct Outcome {
    /// The property that does not hold, and a shortest way to see it.
    violation: Option<(&'static str, String)>,
    /// Different states of the network, steps between them, and the longest run in actions.
    states: usize,
    transitions: usize,
    depth: usize,
    /// Different states of single nodes, and inputs that a machine was given in them.
    node_states: usize,
    node_steps: usize,
    is_complete: bool,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { states, transitions, depth, node_states, node_steps, .. } = self;
        let extent = if self.is_complete { "all" } else { "not all" };
        write!(f, "{states} states ({extent}), {transitions} transitions, {depth} deep; ")?;
        write!(f, "{node_states} states and {node_steps} steps of single nodes")
    }
}

/// Explores, shortest runs first, until a property fails or everything is seen.
fn explore(game: Game, settings: Vec<Setting>, budget: Budget, limit: Limit) -> Outcome {
    let network = Network::new(game, settings, budget);
    let mut builder = network.checker().threads(1).finish_when(HasDiscoveries::AnyFailures);
    match limit {
        Limit::States(states) => builder = builder.target_state_count(states),
        Limit::Time(time) => builder = builder.timeout(time),
    }
    let begun = Instant::now();
    let checker = builder.spawn_bfs().join();
    let is_stopped = match limit {
        Limit::States(states) => checker.state_count() >= states,
        Limit::Time(time) => begun.elapsed() >= time,
    };
    let violation = checker.discoveries().into_iter().next();
    let violation = violation.map(|(name, path)| (name, trace(checker.model(), path.into_vec())));
    let (node_states, node_steps) = checker.model().nodes().counts();
    Outcome {
        is_complete: violation.is_none() && !is_stopped,
        violation,
        states: checker.unique_state_count(),
        transitions: checker.state_count(),
        depth: checker.max_depth(),
        node_states,
        node_steps,
    }
}

/// A run for people: what was done to the honest nodes, and what they decided.
fn trace(model: &Network, path: Vec<(State, Option<Action>)>) -> String {
    let mut trace = format!("{:?}\n", model.setting(&path[0].0));
    for (state, action) in path {
        let now = model.now(&state);
        if let Some(action) = action.filter(|action| *action != Action::Pass) {
            let _ = writeln!(trace, "{now:>5}: {action:?}");
        }
        if model.is_due(&state) {
            let nodes = model.nodes();
            for (node, notes) in state.notes(&nodes) {
                let decided = notes.decided.map(|(value, certified)| (nodes.game.name(&value), certified));
                let _ = writeln!(trace, "{now:>5}: node {node} decides {decided:?} {:?}", notes.faults);
            }
        }
    }
    trace
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
    let settings = settings(&game, kind);
    let outcome = explore(game, settings, budget, Limit::States(5_000_000));
    println!("{what}: {outcome}");
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

/// Without the rule something goes wrong, which the exploration finds.
fn finds(rule: Rule, game: Game, kind: Links, budget: Budget) {
    let mutant = game.without(rule);
    let settings = settings(&mutant, kind);
    let outcome = explore(mutant, settings, budget, Limit::States(BOUND));
    let Some((property, trace)) = &outcome.violation else {
        panic!("without {rule:?} nothing was found: {outcome}");
    };
    println!("without {rule:?}, not so: {property}; {outcome}\n{trace}");
}

#[test]
fn taking_a_rule_out_is_found() {
    for (rule, budget) in
        [(Rule::V1, 0), (Rule::P1, 2), (Rule::C2, 2), (Rule::C3, 2), (Rule::S1, 2), (Rule::E2, 2)]
    {
        finds(rule, Game::new(4, 1, Some(LEADER)), Links::Uniform, lies(budget));
    }
}

#[test]
fn taking_c1_out_is_found() {
    finds(Rule::C1, Game::new(4, 1, Some(LEADER)), Links::Slow, lies(3));
}

#[test]
fn with_every_rule_as_many_lies_do_no_harm() {
    holds("n=4, lying leader, 3 lies, slow", Game::new(4, 1, Some(LEADER)), Links::Slow, lies(3));
}

#[test]
fn taking_e3_out_is_found() {
    let invalid = Verdict { valid: false, ..GOOD };
    let game = Game::new(4, 1, Some(LEADER)).with_verdicts([invalid, GOOD]);
    finds(Rule::E3, game, Links::Uniform, lies(1));
}

#[test]
fn taking_the_write_ahead_order_out_is_found() {
    finds(Rule::WriteAhead, Game::new(4, 1, Some(LEADER)), Links::Uniform, lies(0));
}

#[test]
fn taking_p2_out_is_found() {
    let budget = Budget { cut: true, ..Budget::default() };
    finds(Rule::P2, Game::new(4, 1, None), Links::Uniform, budget);
}

/// Three validators, a liar and a cut: a certificate on one side, a decision without one on the other, and both meet.
#[test]
fn taking_r1_out_is_found() {
    let budget = Budget { lies: 2, cut: true, crash: false };
    finds(Rule::R1, Game::new(3, 1, Some(LEADER)), Links::Slow, budget);
}

#[test]
fn a_certificate_outranks_what_a_cut_has_led_to() {
    let budget = Budget { lies: 2, cut: true, crash: false };
    holds("n=3, lying leader, 2 lies, a cut", Game::new(3, 1, Some(LEADER)), Links::Slow, budget);
}

/// As far as the time goes that the environment gives to each line; setting by setting, so that the memory of one is
/// free for the next.
#[test]
fn far() {
    let Ok(minutes) = std::env::var("CONCLAVE_MODEL_MINUTES") else { return };
    let minutes: u64 = minutes.parse().expect("CONCLAVE_MODEL_MINUTES is a number of minutes");
    for (validators, liar, kind, budget) in [
        (3, 0, Links::Lopsided, 3),
        (4, 0, Links::Lopsided, 2),
        (4, 3, Links::Lopsided, 2),
        (4, 0, Links::Uniform, 3),
        (4, 0, Links::Slow, 4),
        (3, 0, Links::Lopsided, 4),
    ] {
        let game = || Game::new(validators, 1, Some(liar));
        let settings = settings(&game(), kind);
        let (begun, count) = (Instant::now(), settings.len());
        let (mut complete, mut total) = (0, Outcome::default());
        for setting in settings {
            let left = Duration::from_secs(minutes * 60).saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            let outcome = explore(game(), vec![setting], lies(budget), Limit::Time(left));
            if let Some((property, trace)) = outcome.violation {
                panic!("not so: {property}\n{trace}");
            }
            complete += usize::from(outcome.is_complete);
            total.states += outcome.states;
            total.transitions += outcome.transitions;
            total.depth = total.depth.max(outcome.depth);
            total.node_states += outcome.node_states;
            total.node_steps += outcome.node_steps;
        }
        total.is_complete = complete == count;
        let seconds = begun.elapsed().as_secs();
        println!(
            "n={validators}, liar {liar}, {budget} lies, {complete} of {count} settings, {seconds} s: {total}"
        );
    }
}
