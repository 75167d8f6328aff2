//! The two flags that make a node misbehave. No file and no variable of the environment says the same.

use clap::{Args, builder::PossibleValue};
use conclave_simulator::adversaries::Misbehaviour;

/// Faults on purpose.
#[derive(Args)]
#[command(next_help_heading = "Faults on purpose")]
pub(super) struct MisbehaviourFlags {
    /// Attack the network with this node's own keys, to see what the others make of it
    #[arg(long, value_name = "KIND", value_parser = kinds(), requires = "confirmed")]
    misbehave: Option<Misbehaviour>,
    /// Confirm that --misbehave is meant: the others disconnect this node, and its validator may be suspended for good
    #[arg(id = "confirmed", long = "i-know-this-is-an-attack", requires = "misbehave")]
    confirmed: bool,
}

impl MisbehaviourFlags {
    /// What the node does wrong, if it is to do anything wrong and both flags say so.
    pub(super) fn kind(&self) -> Option<Misbehaviour> {
        self.misbehave.filter(|_| self.confirmed)
    }
}

/// The kinds by name, each with a line on what it does.
fn kinds() -> impl clap::builder::TypedValueParser<Value = Misbehaviour> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    let values = Misbehaviour::ALL.map(|kind| PossibleValue::new(kind.name()).help(kind.describe()));
    PossibleValuesParser::new(values).map(|name| {
        name.parse::<Misbehaviour>().expect("the values that it takes are the names of the kinds")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        flags: MisbehaviourFlags,
    }

    fn read(flags: &[&str]) -> Result<Option<Misbehaviour>, String> {
        let read = Only::try_parse_from(std::iter::once(&"run").chain(flags));
        read.map(|only| only.flags.kind()).map_err(|error| error.to_string())
    }

    #[test]
    fn it_takes_both_flags() {
        assert_eq!(read(&[]), Ok(None));
        for kind in Misbehaviour::ALL {
            let confirmed = read(&["--misbehave", kind.name(), "--i-know-this-is-an-attack"]);
            assert_eq!(confirmed, Ok(Some(kind)));
        }
        let refused = read(&["--misbehave", "silent"]).unwrap_err();
        assert!(refused.contains("--i-know-this-is-an-attack"), "{refused}");
        assert!(read(&["--i-know-this-is-an-attack"]).is_err());
        assert!(
            read(&["--misbehave", "loud", "--i-know-this-is-an-attack"]).unwrap_err().contains("equivocate")
        );
    }
}
