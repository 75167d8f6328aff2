//! Which engine a new network has: what `genesis new` and `up` are told of it.

use super::failure::{Failure, Outcome};
use clap::Args;
use conclave_ledger::proof_of_work::Parameters;

/// The engine of a new network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EngineChoice {
    /// A fixed, governed validator set; final once decided
    #[default]
    DolevStrong,
    /// Anyone may mine; the branch with the most work is the chain
    ProofOfWork,
}

/// The engine, and what proofs of work are asked for.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct EngineFlags {
    /// Which protocol decides [default: dolev-strong]
    #[arg(long, value_name = "ENGINE")]
    engine: Option<EngineChoice>,
    /// With proof-of-work: zero bits that hashes begin with at the start, and the fewest ever
    #[arg(long, value_name = "BITS")]
    leading_zero_bits: Option<u8>,
    /// With proof-of-work: time between two blocks for which the target is made
    #[arg(long, value_name = "MILLISECONDS")]
    block_interval_ms: Option<u64>,
    /// With proof-of-work: so far behind its schedule the target has doubled
    #[arg(long, value_name = "MILLISECONDS")]
    half_life_ms: Option<u64>,
    /// With proof-of-work: mine blocks without transactions too
    #[arg(long)]
    mine_empty: bool,
    /// With proof-of-work: blocks over the one that holds something before it is called final
    #[arg(long, value_name = "BLOCKS")]
    depth: Option<u64>,
}

impl EngineFlags {
    /// Whether anything was said.
    pub(crate) fn is_given(&self) -> bool {
        self.engine.is_some() || self.of_work().is_some()
    }

    /// The first flag that belongs to proofs of work.
    fn of_work(&self) -> Option<&'static str> {
        let flags = [
            ("--leading-zero-bits", self.leading_zero_bits.is_some()),
            ("--block-interval-ms", self.block_interval_ms.is_some()),
            ("--half-life-ms", self.half_life_ms.is_some()),
            ("--mine-empty", self.mine_empty),
            ("--depth", self.depth.is_some()),
        ];
        flags.into_iter().find(|(_, is_given)| *is_given).map(|(flag, _)| flag)
    }

    /// What proofs of work are asked for, over `default`; `None` under the other engine.
    ///
    /// # Errors
    /// When a flag is given that belongs to the other engine.
    pub(crate) fn parameters(&self, default: Parameters) -> Outcome<Option<Parameters>> {
        match (self.engine.unwrap_or_default(), self.of_work()) {
            (EngineChoice::DolevStrong, Some(flag)) => {
                Err(Failure::new(format!("{flag} belongs to the engine proof-of-work"))
                    .advise("Add --engine proof-of-work, or leave it away."))
            }
            (EngineChoice::DolevStrong, None) => Ok(None),
            (EngineChoice::ProofOfWork, _) => Ok(Some(Parameters {
                leading_zero_bits: self.leading_zero_bits.unwrap_or(default.leading_zero_bits),
                block_interval_ms: self.block_interval_ms.unwrap_or(default.block_interval_ms),
                half_life_ms: self.half_life_ms.unwrap_or(default.half_life_ms),
                mine_empty: self.mine_empty || default.mine_empty,
                depth: self.depth.unwrap_or(default.depth),
            })),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_work_need_the_engine() {
        let default = Parameters::default();
        assert_eq!(EngineFlags::default().parameters(default.clone()).unwrap(), None);
        let depth = EngineFlags { depth: Some(2), ..EngineFlags::default() };
        assert!(depth.parameters(default.clone()).unwrap_err().to_string().contains("--depth"));
        let mined = EngineFlags { engine: Some(EngineChoice::ProofOfWork), ..depth };
        assert_eq!(mined.parameters(default.clone()).unwrap(), Some(Parameters { depth: 2, ..default }));
        assert!(mined.is_given() && !EngineFlags::default().is_given());
    }
}
