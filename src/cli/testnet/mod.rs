//! `conclave testnet`: the homes of a network whose nodes run apart, in containers or on several machines.
//!
//! ```text
//! out/validator-1/ …    a home each: keys, configuration, genesis file, the token of its API   ([`homes`])
//! out/observer-1/ …     the same without a validator key
//! out/tracker/          the key of the tracker that all of them know; observers know nothing else
//! out/client/           a home for commands: where all nodes' APIs are, and their token
//! ```
//! A folder is all that its node needs: move it to where the node runs. Nodes reach each other by their own names, as
//! Docker and most clusters resolve them. Whoever runs this command has seen every key, so such a network is for
//! trying things out; where the parties do not trust one another, each makes its own key (`init`).

mod homes;

use super::{
    failure::{Context, Failure, Outcome},
    genesis::fault_bound,
    session::Session,
};
use clap::Parser;
use conclave_ledger::validators::FaultBound;
use homes::Plan;
use std::{
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

/// Most validators, and most observers, that are made.
const MAX_NODES: u16 = 64;

/// Makes the homes of a network whose nodes run apart, in containers say
#[derive(Parser)]
#[command(
    after_help = "Each folder in DIR is all that its node needs; nodes reach each other by the names of their folders. Made once:\n\
                  a second time it says what is there, and changes nothing.\n\nExample:\n  conclave testnet --out ./homes --validators 4 --observers 1"
)]
pub(crate) struct Testnet {
    /// Folder for the homes
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of validators, called validator-1 and so on
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_NODES)))]
    validators: u16,
    /// Number of observers, called observer-1 and so on
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=i64::from(MAX_NODES)))]
    observers: u16,
    /// How many may be faulty: third, half, all-but-one, or a number
    #[arg(long, default_value = "third", value_parser = fault_bound)]
    faulty: FaultBound,
    /// Δ, in milliseconds: bounds how long a message takes between two honest nodes
    #[arg(long, default_value_t = 500, value_name = "MILLISECONDS")]
    delta_ms: u64,
    /// Who is to own the homes; only root can give them away
    #[arg(long, value_name = "USER:GROUP", value_parser = owner)]
    owner: Option<(u32, u32)>,
}

impl Testnet {
    /// Runs the command.
    pub(crate) fn run(self, session: &Session) -> Outcome {
        let out = &self.out;
        let (network, made) = match homes::read(out)? {
            Some(network) => (network, false),
            None => {
                let plan = Plan {
                    validators: self.validators,
                    observers: self.observers,
                    faulty: self.faulty,
                    delta_ms: self.delta_ms,
                };
                (homes::create(out, &plan, &|| self.give_away())?, true)
            }
        };
        session.output.show(&network, |network| {
            let mut text = match made {
                true => format!("made the homes of {} nodes in {}\n", network.nodes.len(), out.display()),
                false => {
                    format!("{} has the homes of {} nodes already\n", out.display(), network.nodes.len())
                }
            };
            text.push_str(&format!("network id {}\n", network.network));
            for node in &network.nodes {
                text.push_str(&format!("  {}  {}\n", node.name, node.address));
            }
            text
        })
    }

    /// Gives all homes to the owner that was named.
    fn give_away(&self) -> Outcome {
        let Some(owner) = self.owner else { return Ok(()) };
        for home in std::fs::read_dir(&self.out)? {
            give(&home?.path(), owner)?;
        }
        Ok(())
    }
}

fn give(path: &Path, owner: (u32, u32)) -> Outcome {
    // What is in a folder goes first: afterwards it may no longer be ours to look into.
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give(&entry?.path(), owner)?;
        }
    }
    chown(path, Some(owner.0), Some(owner.1)).context(|| format!("cannot give {} away", path.display()))
}

fn owner(text: &str) -> Result<(u32, u32), String> {
    let parse = || {
        let (user, group) = text.split_once(':')?;
        Some((user.parse().ok()?, group.parse().ok()?))
    };
    parse().ok_or_else(|| "expected two numbers, USER:GROUP, such as 65532:65532".into())
}

/// Why homes cannot be made where a part of them is.
fn part_of_a_network(out: &Path, part: &Path) -> Failure {
    Failure::new(format!("{} has a part of a network: {}", out.display(), part.display()))
        .advise("Remove what is there if nothing in it is needed, or name another folder with --out.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_two_numbers() {
        assert_eq!(owner("65532:0"), Ok((65532, 0)));
        for text in ["", "1", "1:", ":1", "nobody:nogroup", "1:2:3", "-1:0"] {
            assert!(owner(text).is_err(), "{text}");
        }
    }
}
