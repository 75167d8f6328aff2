//! One run under the magnifying glass: what happened, as text and as a picture, and what the oracle says of it.

use super::parse_heights;
use crate::cli::{
    failure::{Context, Failure, Outcome},
    output::line,
    session::Session,
};
use conclave_ledger::bytes::to_hex;
use conclave_simulator::{picture, run, scenario::Scenario, timeline::Timeline, watch::Both, watch::Watch};
use serde::Serialize;
use std::{ops::RangeInclusive, path::PathBuf};

/// What is shown of a run.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct View {
    /// Print what happens in the run, line by line
    #[arg(long)]
    trace: bool,
    /// Draw what happens in the run into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Heights to draw: one, or FIRST-LAST
    #[arg(long, value_name = "HEIGHTS", requires = "svg", value_parser = parse_heights)]
    heights: Option<RangeInclusive<u64>>,
}

#[derive(Serialize)]
struct Viewed {
    run: String,
    digest: String,
    milliseconds: f64,
    height: u64,
    events: u64,
    violations: Vec<String>,
}

impl View {
    /// An error if there is something to show and no single run to show it of.
    pub(super) fn needs(&self, flag: &str) -> Outcome {
        let asked = if self.trace { "--trace" } else { "--svg" };
        if self.trace || self.svg.is_some() {
            return Err(Failure::new(format!("{asked} shows one run: say which with {flag}")));
        }
        Ok(())
    }

    /// Runs a scenario, also before `watch`, whose `objections` count as violations.
    pub(super) fn show<W: Watch>(
        &self,
        session: &Session,
        run: String,
        scenario: &Scenario,
        mut watch: W,
        objections: impl FnOnce(&W) -> Vec<String>,
    ) -> Outcome {
        let mut timeline = Timeline::default();
        let result = run::run_watched(scenario, &mut Both(&mut timeline, &mut watch));
        if self.trace {
            line(&format!("{scenario:#?}\n{}", timeline.text(scenario)))?;
        }
        if let Some(path) = &self.svg {
            let all = 0..=u64::MAX;
            let drawn = picture::svg(scenario, &timeline, self.heights.as_ref().unwrap_or(&all));
            std::fs::write(path, drawn).context(|| format!("cannot write {}", path.display()))?;
        }
        let violations = result.violations.iter().map(ToString::to_string).chain(objections(&watch));
        let viewed = Viewed {
            run,
            digest: to_hex(&result.outcome.digest),
            milliseconds: result.outcome.ended.0 as f64 / 1000.0,
            height: result.outcome.height,
            events: result.outcome.events,
            violations: violations.collect(),
        };
        session.output.show(&viewed, text)?;
        match viewed.violations.is_empty() {
            true => Ok(()),
            false => Err(Failure::new("the run broke what is promised".to_owned())),
        }
    }
}

fn text(viewed: &Viewed) -> String {
    let Viewed { run, digest, milliseconds, height, events, violations } = viewed;
    let verdict = match violations.as_slice() {
        [] => "nothing was violated".to_owned(),
        violations => format!("VIOLATED: {}", violations.join("\nVIOLATED: ")),
    };
    format!(
        "{run}: {verdict}\n{height} heights in {:.3} s of virtual time, {events} events\ndigest of the run  {digest}",
        milliseconds / 1000.0
    )
}
