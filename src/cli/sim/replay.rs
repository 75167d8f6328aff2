//! One seed: what was drawn, what happened, and what the oracle says of it.

use super::Sim;
use crate::cli::{
    failure::{Failure, Outcome},
    session::Session,
};
use conclave_simulator::watch::Nobody;

impl Sim {
    pub(super) fn replay(&self, session: &Session, seed: u64) -> Outcome {
        let [family] = self.family.as_slice() else {
            return Err(Failure::new("--seed replays a run of one --family".to_owned()));
        };
        let (validators, faulty) = (usize::from(self.network.validators), self.network.faulty()?);
        let scenario = family.draw(seed, validators, faulty, !self.network.plain);
        let run = format!("{}, seed {seed}", family.name());
        self.view.show(session, run, &scenario, Nobody, |_| Vec::new())
    }
}
