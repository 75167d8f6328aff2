//! Runs seeds of one family.
use conclave_simulator::{draw::Family, run};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let family = Family::ALL.into_iter().find(|f| f.name() == args[1]).unwrap();
    let (n, f, runs): (usize, u16, u64) =
        (args[2].parse().unwrap(), args[3].parse().unwrap(), args[4].parse().unwrap());
    let fast = args.get(5).is_none_or(|a| a != "plain");
    let t = std::time::Instant::now();
    let (mut bad, mut heights) = (0, 0);
    for seed in 0..runs {
        let scenario = family.draw(seed, n, f, fast);
        let run = run::run(&scenario);
        heights += run.outcome.height;
        if !run.violations.is_empty() {
            bad += 1;
            if bad <= 5 {
                println!(
                    "seed {seed}: {:?} twins {} adv {:?} ended {:?}",
                    run.violations, scenario.twins, scenario.adversaries, run.outcome.ended
                );
            }
        }
    }
    println!("{} {n} {f}: {bad} bad of {runs}, {heights} heights, {:?}", family.name(), t.elapsed());
}
