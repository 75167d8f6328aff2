//! `conclave tx`: transactions and the proofs that they are decided.

use super::{
    failure::{Context, Failure, Outcome},
    output::date,
    sending,
    session::{Session, Signer},
};
use crate::{
    api::types::{InclusionError, TransactionInfo, TransactionProof, TransactionStatus},
    archive::Receipt,
    genesis_file,
};
use clap::{Parser, Subcommand};
use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    hash::Hash,
    transaction::Transaction,
    validators::ValidatorSet,
};
use serde::Serialize;
use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

/// Largest file of a transaction, a proof or a validator set that is read, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// How often a node is asked for a transaction that it does not know yet.
const LOOK: Duration = Duration::from_millis(250);

/// Sends transactions, and proves that they are decided
#[derive(Parser)]
#[command(after_help = "Example:\n  conclave tx record --kind note 'We met today.'")]
pub(crate) struct Tx {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Puts a record on the log
    #[command(
        after_help = "Example:\n  conclave tx record --kind note 'We met today.'\n  conclave tx record --kind contract --file hash.bin"
    )]
    Record {
        /// What it is, for those who read it
        #[arg(long, default_value = "note")]
        kind: String,
        /// What it says
        #[arg(required_unless_present = "file")]
        text: Option<String>,
        /// A file with what it says, at most 32 KiB; - for standard input
        #[arg(long, conflicts_with = "text")]
        file: Option<PathBuf>,
        #[command(flatten)]
        signer: Signer,
    },
    /// Submits a signed transaction in JSON, as other programs make them
    #[command(after_help = "Example:\n  conclave tx submit signed.json")]
    Submit {
        /// The file; - for standard input
        file: PathBuf,
    },
    /// Shows a transaction and where it stands
    #[command(after_help = "Example:\n  conclave tx show 4f2a…")]
    Show {
        /// Its id
        id: Hash,
    },
    /// Waits until a transaction is decided
    #[command(after_help = "Example:\n  conclave tx wait 4f2a… --timeout 10")]
    Wait {
        /// Its id
        id: Hash,
        /// Give up after that many seconds
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        timeout: u64,
    },
    /// Saves the proof that a transaction is decided, which can be checked without any node
    #[command(after_help = "Example:\n  conclave tx prove 4f2a… -o ballot-proof.json")]
    Prove {
        /// Its id
        id: Hash,
        /// The file to write
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Checks a saved proof with the genesis file alone
    #[command(after_help = "Example:\n  conclave tx verify ballot-proof.json --genesis genesis.toml")]
    Verify {
        /// The proof
        file: PathBuf,
        /// The genesis file [default: genesis.toml in the home]
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
        /// The validator set of the block's height in JSON, where it is no longer that of the genesis file
        #[arg(long, value_name = "FILE")]
        validators: Option<PathBuf>,
    },
}

/// A proof that was found good.
#[derive(Serialize)]
struct Verified {
    id: Hash,
    sender: String,
    height: u64,
    block: Hash,
    timestamp: u64,
    signatures: usize,
    valid: bool,
}

impl Tx {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        match self.command {
            Command::Record { kind, text, file, signer } => {
                let data = match (text, file) {
                    (Some(text), _) => text.into_bytes(),
                    (None, Some(file)) => read(&file)?,
                    (None, None) => Vec::new(),
                };
                let record = Record { kind, data: Bytes(data) };
                record.check()?;
                let key = session.signing_key(&signer)?;
                let included = sending::send(&session.client()?, &key, Payload::Record(record)).await?;
                session.output.show(&included, describe)
            }
            Command::Submit { file } => {
                let transaction: Transaction = serde_json::from_slice(&read(&file)?)
                    .context(|| format!("{} is not a signed transaction in JSON", file.display()))?;
                session.output.show(&sending::submit(&session.client()?, &transaction).await?, describe)
            }
            Command::Show { id } => session.output.show(&session.client()?.transaction(&id).await?, show),
            Command::Wait { id, timeout } => wait(session, id, Duration::from_secs(timeout)).await,
            Command::Prove { id, out } => prove(session, id, &out).await,
            Command::Verify { file, genesis, validators } => verify(session, &file, genesis, validators),
        }
    }
}

/// Where a transaction is, in a line.
pub(crate) fn describe(included: &Receipt) -> String {
    let Receipt { id, height, block, index } = included;
    format!("decided: transaction {id}\nheight {height}, block {block}, number {index} in it")
}

fn show(info: &TransactionInfo) -> String {
    let request = &info.transaction.request;
    let status = match &info.status {
        TransactionStatus::Pending { .. } => "waits to be decided".to_owned(),
        TransactionStatus::Decided { height, index, depth, .. } => {
            format!("decided at height {height}, number {index} in the block, {depth} heights deep")
        }
        TransactionStatus::Refused { problem, .. } => format!("refused: {}", problem.detail),
    };
    let payload = serde_json::to_string_pretty(&request.payload).unwrap_or_else(|error| error.to_string());
    format!("{status}\nsender   {}\nexpires  height {}\n{payload}", request.sender, request.expires)
}

async fn wait(session: &Session, id: Hash, timeout: Duration) -> Outcome {
    let client = session.client()?;
    let bar = super::progress::spinner("waiting for the decision");
    let deadline = tokio::time::Instant::now() + timeout;
    // The node may not have heard of it yet.
    let mut info = client.transaction(&id).await;
    while let Err(error) = &info {
        let is_unknown = error.problem().is_some_and(|problem| problem.status == 404);
        if !is_unknown || tokio::time::Instant::now() + LOOK > deadline {
            break;
        }
        tokio::time::sleep(LOOK).await;
        info = client.transaction(&id).await;
    }
    let mut info = info?;
    if matches!(info.status, TransactionStatus::Pending { .. }) {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        info.status = client.submit_and_wait(&info.transaction, left).await?;
    }
    bar.finish_and_clear();
    session.output.show(&info, show)?;
    match info.status {
        TransactionStatus::Decided { .. } => Ok(()),
        TransactionStatus::Pending { .. } => {
            Err(Failure::new(format!("transaction {id} is not decided after {} s", timeout.as_secs()))
                .advise("See `conclave status`: without a quorum of validators nothing is decided."))
        }
        TransactionStatus::Refused { problem, .. } => Err(sending::refused(&problem.detail)),
    }
}

async fn prove(session: &Session, id: Hash, out: &Path) -> Outcome {
    let proof = session.client()?.transaction_proof(&id).await?;
    let text = serde_json::to_vec_pretty(&proof)?;
    std::fs::write(out, text).context(|| format!("cannot write the proof to {}", out.display()))?;
    session.output.show(&proof, |proof| {
        let height = proof.header.height;
        format!(
            "saved the proof that {id} is in the block of height {height} to {0}\ncheck it anywhere:\n  \
             conclave tx verify {0} --genesis genesis.toml",
            out.display()
        )
    })
}

fn verify(session: &Session, file: &Path, genesis: Option<PathBuf>, validators: Option<PathBuf>) -> Outcome {
    let genesis = genesis_file::read(&session.genesis_path(genesis))?;
    let proof: TransactionProof = serde_json::from_slice(&read(file)?)
        .context(|| format!("{} is not a proof as `conclave tx prove` saves it", file.display()))?;
    let set: Option<ValidatorSet> = match validators {
        Some(path) => {
            let set = serde_json::from_slice(&read(&path)?);
            Some(set.context(|| format!("{} is not a validator set in JSON", path.display()))?)
        }
        None => None,
    };
    proof.verify(&genesis, set.as_ref()).map_err(|error| {
        let changed_set = matches!(error, InclusionError::Decision(..));
        let failure = Failure::new(format!("{} proves nothing: {error}", file.display()));
        match changed_set {
            true => failure.advise("`conclave export` and `conclave verify` check the whole chain, with every change of the set."),
            false => failure,
        }
    })?;
    let verified = Verified {
        id: proof.id,
        sender: proof.transaction.request.sender.to_string(),
        height: proof.header.height,
        block: proof.header.hash(),
        timestamp: proof.header.timestamp,
        signatures: proof.proof.signatures().len(),
        valid: true,
    };
    session.output.show(&verified, |verified| {
        format!(
            "good: transaction {}\nby {}\nis in the block of height {}, {}, decided by {} signatures",
            verified.id,
            verified.sender,
            verified.height,
            date(verified.timestamp),
            verified.signatures
        )
    })
}

/// A file, or standard input for `-`, within [`MAX_FILE_BYTES`].
fn read(path: &Path) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).context(|| format!("cannot read {}", path.display()))?)
    };
    input
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Failure::new(format!("{} has more than {MAX_FILE_BYTES} bytes", path.display())));
    }
    Ok(bytes)
}
