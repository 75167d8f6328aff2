//! One seed: what was drawn, what happened, and what the oracle says of it.

use super::Sim;
use crate::cli::{
    failure::{Context, Failure, Outcome},
    output::line,
    session::Session,
};
use conclave_ledger::bytes::to_hex;
use conclave_simulator::{picture, run, timeline::Timeline};
use serde::Serialize;

#[derive(Serialize)]
struct Replayed {
    family: &'static str,
    seed: u64,
    digest: String,
    milliseconds: f64,
    height: u64,
    events: u64,
    violations: Vec<String>,
}

impl Sim {
    pub(super) fn replay(&self, session: &Session) -> Outcome {
        let ([family], Some(seed)) = (self.family.as_slice(), self.seed) else {
            return Err(Failure::new("--seed replays a run of one --family".to_owned()));
        };
        let (validators, faulty) = (usize::from(self.network.validators), self.network.faulty()?);
        let scenario = family.draw(seed, validators, faulty, !self.network.plain);
        let mut timeline = Timeline::default();
        let run = run::run_watched(&scenario, &mut timeline);
        if self.trace {
            line(&format!("{scenario:#?}\n{}", timeline.text(&scenario)))?;
        }
        if let Some(path) = &self.svg {
            let all = 0..=u64::MAX;
            let drawn = picture::svg(&scenario, &timeline, self.heights.as_ref().unwrap_or(&all));
            std::fs::write(path, drawn).context(|| format!("cannot write {}", path.display()))?;
        }
        let replayed = Replayed {
            family: family.name(),
            seed,
            digest: to_hex(&run.outcome.digest),
            milliseconds: run.outcome.ended.0 as f64 / 1000.0,
            height: run.outcome.height,
            events: run.outcome.events,
            violations: run.violations.iter().map(ToString::to_string).collect(),
        };
        session.output.show(&replayed, |replayed| {
            let verdict = match replayed.violations.as_slice() {
                [] => "nothing was violated".to_owned(),
                violations => format!("VIOLATED: {}", violations.join("\nVIOLATED: ")),
            };
            format!(
                "{verdict}\n{} heights in {:.3} s of virtual time, {} events\ndigest of the run  {}",
                replayed.height,
                replayed.milliseconds / 1000.0,
                replayed.events,
                replayed.digest
            )
        })?;
        if run.violations.is_empty() {
            Ok(())
        } else {
            Err(Failure::new("the run broke what is promised".to_owned()))
        }
    }
}
