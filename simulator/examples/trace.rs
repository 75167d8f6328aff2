//! Shows one seed of one family.
use conclave_simulator::{draw::Family, run, timeline::Timeline};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let family = Family::ALL.into_iter().find(|f| f.name() == args[1]).unwrap();
    let (n, f, seed): (usize, u16, u64) =
        (args[2].parse().unwrap(), args[3].parse().unwrap(), args[4].parse().unwrap());
    let fast = args.get(5).is_none_or(|a| a != "plain");
    let scenario = family.draw(seed, n, f, fast);
    println!("{scenario:#?}");
    let mut timeline = Timeline::default();
    let run = run::run_watched(&scenario, &mut timeline);
    println!("{}{:#?}", timeline.text(&scenario), run);
}
