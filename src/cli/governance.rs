//! `conclave governance`: who decides, and within which bounds.

use super::{
    failure::{Failure, Outcome},
    output::table,
    sending,
    session::{Session, Signer},
    status::called,
    tx,
};
use clap::{Args, Parser, Subcommand};
use conclave_ledger::{
    applications::{
        Payload,
        governance::{Change, Payload as Request},
    },
    hash::Hash,
    keys::PublicKey,
    validators::Validator,
};

/// Changes who decides, and within which bounds
#[derive(Parser)]
#[command(
    after_help = "Example:\n  conclave governance propose add-validator eve 3b6a…\n  conclave governance list"
)]
pub(crate) struct Governance {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Proposes a change, which counts as the proposer's approval
    #[command(
        subcommand,
        after_help = "Example:\n  conclave governance propose remove-validator 3b6a… --key validator.key"
    )]
    Propose(Proposal),
    /// Approves a proposal; with a quorum it takes effect two heights later
    #[command(after_help = "Example:\n  conclave governance approve 91c0… --key node-2/keys/validator.key")]
    Approve {
        /// The proposal's id
        proposal: Hash,
        #[command(flatten)]
        signer: Signer,
    },
    /// Lists proposals
    #[command(after_help = "Example:\n  conclave governance list")]
    List,
}

#[derive(Subcommand)]
enum Proposal {
    /// Takes a validator into the set
    #[command(after_help = "Example:\n  conclave governance propose add-validator eve 3b6a…")]
    AddValidator {
        /// Its name
        name: String,
        /// Its public key, as `conclave key show` prints it
        public_key: PublicKey,
        #[command(flatten)]
        signer: Signer,
    },
    /// Takes a validator out of the set
    #[command(after_help = "Example:\n  conclave governance propose remove-validator 3b6a…")]
    RemoveValidator {
        /// Its public key
        public_key: PublicKey,
        #[command(flatten)]
        signer: Signer,
    },
    /// Changes limits; those not named stay as they are
    #[command(after_help = "Example:\n  conclave governance propose set-limits --body-bytes 8388608")]
    SetLimits {
        #[command(flatten)]
        limits: LimitFlags,
        #[command(flatten)]
        signer: Signer,
    },
}

#[derive(Args)]
struct LimitFlags {
    /// Largest transaction, in bytes
    #[arg(long, value_name = "BYTES")]
    transaction_bytes: Option<u32>,
    /// Largest sum of the transactions of a block, in bytes
    #[arg(long, value_name = "BYTES")]
    body_bytes: Option<u32>,
    /// How many heights ahead a transaction may expire at most
    #[arg(long, value_name = "HEIGHTS")]
    expiry_heights: Option<u64>,
    /// Fewest validators that governance may leave
    #[arg(long, value_name = "VALIDATORS")]
    minimum_validators: Option<u16>,
}

impl Governance {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let (request, signer) = match self.command {
            Command::Approve { proposal, signer } => (Request::Approve { proposal }, signer),
            Command::Propose(Proposal::AddValidator { name, public_key, signer }) => {
                let change = Change::AddValidator(Validator { name, key: public_key });
                (Request::Propose { change }, signer)
            }
            Command::Propose(Proposal::RemoveValidator { public_key, signer }) => {
                (Request::Propose { change: Change::RemoveValidator(public_key) }, signer)
            }
            Command::Propose(Proposal::SetLimits { limits, signer }) => {
                let mut changed = client.validators().await?.limits;
                let before = changed.clone();
                changed.transaction_bytes = limits.transaction_bytes.unwrap_or(changed.transaction_bytes);
                changed.body_bytes = limits.body_bytes.unwrap_or(changed.body_bytes);
                changed.expiry_heights = limits.expiry_heights.unwrap_or(changed.expiry_heights);
                changed.minimum_validators = limits.minimum_validators.unwrap_or(changed.minimum_validators);
                if changed == before {
                    return Err(
                        Failure::new("no limit would change").advise("Name one, for example --body-bytes.")
                    );
                }
                (Request::Propose { change: Change::SetLimits(changed) }, signer)
            }
            Command::List => return list(session).await,
        };
        let key = session.signing_key(&signer)?;
        let included = sending::send(&client, &key, Payload::Governance(request)).await?;
        session.output.show(&included, tx::describe)
    }
}

async fn list(session: &Session) -> Outcome {
    session.output.show(&session.client()?.proposals().await?, |answer| {
        let rows: Vec<Vec<String>> = answer
            .proposals
            .iter()
            .map(|proposal| {
                let change = match &proposal.change {
                    Change::AddValidator(validator) => format!("add {}", validator.name),
                    Change::RemoveValidator(key) => format!("remove {}…", &key.to_string()[..8]),
                    Change::SetLimits(_) => "set limits".into(),
                };
                let state = match proposal.effective {
                    Some(height) => format!("valid from height {height}"),
                    None => format!("open until height {}", proposal.expires),
                };
                let by: Vec<String> = proposal.approvals.iter().map(called).collect();
                let approvals = format!("{} of {}: {}", by.len(), proposal.quorum, by.join(", "));
                vec![proposal.id.to_string(), change, approvals, state]
            })
            .collect();
        table(&["PROPOSAL", "CHANGE", "APPROVED BY", "STATE"], &rows)
    })
}
