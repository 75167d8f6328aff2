//! `conclave export`, `import` and `verify`: everything that is decided, as a file that anybody can check.

use super::{
    failure::{Context, Failure, Outcome},
    poll, progress,
    session::Session,
};
use crate::{
    archive::{self, ExportError, Receipts, Report, Snapshot},
    client::{Client, ClientError},
    genesis_file,
};
use clap::Parser;
use conclave_ledger::{block::Decided, proof::Proof, signed::Height};
use futures::StreamExt;
use serde::Serialize;
use std::{
    convert::Infallible,
    fs::File,
    io::{BufReader, BufWriter},
    path::PathBuf,
    sync::Arc,
};

/// Heights that are asked for at a time.
const IN_FLIGHT: usize = 16;

/// Heights that wait between the node and the file at most.
const WAITING: usize = 64;

/// Saves everything that is decided to a file that anybody can check
#[derive(Parser)]
#[command(
    after_help = "Example:\n  conclave export -o chain.conclave && conclave verify chain.conclave --genesis genesis.toml"
)]
pub(crate) struct Export {
    /// The file to write, which must not exist
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

/// Checks an exported chain from the genesis file alone: every hash, proof, signature, rule, state and tally
#[derive(Parser)]
#[command(
    after_help = "Example:\n  conclave verify chain.conclave --genesis genesis.toml\n  conclave verify chain.conclave --receipts mine.json others.json"
)]
pub(crate) struct Verify {
    /// The exported chain
    file: PathBuf,
    /// The genesis file [default: genesis.toml in the home]
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Also show how many voters prefer which option to which
    #[arg(long)]
    pairwise: bool,
    /// Receipts, as `--output json` of `tx record` or `load` gives them: whatever they acknowledge has to be there, once,
    /// where they say
    #[arg(long, value_name = "FILE", num_args = 1..)]
    receipts: Vec<PathBuf>,
}

/// What is printed of an archive that was found good.
#[derive(Serialize)]
struct Verified {
    #[serde(flatten)]
    report: Report,
    /// Transactions that were acknowledged, if receipts were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipts: Option<usize>,
}

/// Fills the home of a new node with an exported chain, checking all of it
#[derive(Parser)]
#[command(
    after_help = "For an observer, or a validator whose key has never signed: what a validator has signed is in its own home's \
                  log,\nand one that forgets it may sign twice.\n\nExample:\n  conclave --home ./new-node import chain.conclave"
)]
pub(crate) struct Import {
    /// The exported chain
    file: PathBuf,
    /// The genesis file [default: genesis.toml in the home]
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
}

impl Export {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let status = client.status().await?;
        let snapshot = Snapshot {
            network: status.network,
            tip: status.height,
            hash: status.hash,
            state: status.state,
            first_unproven: match status.proof_of_work {
                Some(_) => status.height + 1,
                None => status.block_height.max(1),
            },
        };
        let file = File::create_new(&self.out).context(|| format!("cannot make {}", self.out.display()))?;
        let written = write(client, snapshot.clone(), file).await;
        if let Err(failure) = written {
            // What is there is no archive; the failure matters more than whether it can be removed.
            let _ = std::fs::remove_file(&self.out);
            return Err(failure);
        }
        let bytes = std::fs::metadata(&self.out)?.len();
        let made = serde_json::json!({
            "file": self.out, "network": snapshot.network, "heights": snapshot.tip, "bytes": bytes,
            "tip": snapshot.hash, "state": snapshot.state,
        });
        session.output.show(&made, |_| {
            let (file, heights) = (self.out.display(), snapshot.tip);
            format!("saved {heights} heights ({bytes} bytes) to {file}\ncheck it:  conclave verify {file} --genesis genesis.toml")
        })
    }
}

/// Fetches the heights from the node and writes them to the file.
async fn write(client: Client, snapshot: Snapshot, file: File) -> Outcome {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(WAITING);
    let fetch = tokio::spawn(async move {
        let blocks = futures::stream::iter(1..=snapshot.tip).map(|height| {
            let client = client.clone();
            async move { client.block(height).await }
        });
        let mut blocks = Box::pin(blocks.buffered(IN_FLIGHT));
        while let Some(block) = blocks.next().await {
            let failed = block.is_err();
            if sender.send(block).await.is_err() || failed {
                return;
            }
        }
    });
    let bar = progress::bar("heights saved", snapshot.tip);
    let write = move || {
        let mut proofs: std::collections::BTreeMap<Height, Proof> = std::collections::BTreeMap::new();
        let proofs = std::cell::RefCell::new(&mut proofs);
        let first_unproven = snapshot.first_unproven;
        let record = |height| -> Result<Option<Decided>, ClientError> {
            let Some(block) = receiver.blocking_recv().transpose()? else { return Ok(None) };
            if let Some(info) = block.proof.filter(|_| height >= first_unproven) {
                proofs.borrow_mut().insert(height, info.proof);
            }
            Ok(Some(block.record))
        };
        let proof =
            |height| -> Result<Option<Proof>, ClientError> { Ok(proofs.borrow_mut().remove(&height)) };
        let writer = archive::export(&snapshot, record, proof, BufWriter::new(file), |height| {
            bar.set_position(height)
        });
        let file = writer?.into_inner().map_err(|error| error.into_error())?;
        bar.finish_and_clear();
        file.sync_all()?;
        Ok::<_, ExportError<ClientError>>(())
    };
    let written = tokio::task::spawn_blocking(write).await?;
    fetch.abort();
    Ok(written?)
}

impl Verify {
    /// Runs the command.
    pub(crate) fn run(self, session: &Session) -> Outcome {
        let genesis = Arc::new(genesis_file::read(&session.genesis_path(self.genesis))?);
        let mut receipts = read_receipts(&self.receipts)?;
        let (file, bar) = open(&self.file)?;
        let progress = |_, bytes| bar.set_position(bytes);
        let replayed = archive::replay(genesis, BufReader::new(file), progress, |decided, _, _| {
            receipts.look(decided);
            Ok::<_, Infallible>(())
        });
        bar.finish_and_clear();
        let (report, _) = replayed.map_err(|error| refuse(&self.file, &error))?;
        receipts.compare().map_err(|error| {
            let failure =
                Failure::new(format!("{} does not hold what was acknowledged: {error}", self.file.display()));
            failure.advise("If the export is older than the receipt, export again.")
        })?;
        let receipts = (!self.receipts.is_empty()).then_some(receipts.len());
        session.output.show(&Verified { report, receipts }, |verified| {
            let mut text = describe(&verified.report, self.pairwise);
            if let Some(number) = verified.receipts {
                text.push_str(&format!(
                    "receipts      {number} transactions, each there once, where it was acknowledged\n"
                ));
            }
            text
        })
    }
}

impl Import {
    /// Runs the command.
    pub(crate) fn run(self, session: &Session) -> Outcome {
        let genesis = Arc::new(genesis_file::read(&session.genesis_path(self.genesis))?);
        let (file, bar) = open(&self.file)?;
        let report =
            archive::import(&session.home, genesis, BufReader::new(file), |_, bytes| bar.set_position(bytes));
        bar.finish_and_clear();
        let report = report.map_err(|error| refuse(&self.file, &error))?;
        let home = session.home.display();
        session.output.show(&report, |report| format!("{}\nstored in {home}", describe(report, false)))
    }
}

/// All receipts of these files together.
fn read_receipts(paths: &[PathBuf]) -> Outcome<Receipts> {
    let mut receipts = Receipts::default();
    for path in paths {
        let file = File::open(path).context(|| format!("cannot read {}", path.display()))?;
        receipts.read(BufReader::new(file)).map_err(|error| {
            Failure::new(format!("{}: {error}", path.display()))
                .advise("A receipt is what `conclave --output json tx record` or `conclave load` gives.")
        })?;
    }
    Ok(receipts)
}

fn open(path: &std::path::Path) -> Outcome<(File, indicatif::ProgressBar)> {
    let file = File::open(path).context(|| format!("cannot read {}", path.display()))?;
    let bar = progress::bar("bytes checked", file.metadata()?.len());
    Ok((file, bar))
}

fn refuse(path: &std::path::Path, error: &dyn std::error::Error) -> Failure {
    Failure::new(format!("{} is refused: {error}", path.display()))
}

fn describe(report: &Report, pairwise: bool) -> String {
    let mut text = format!(
        "good: every hash, proof, signature, rule, state and tally\nnetwork       {} ({})\nheights       {}: {} blocks, {} skips\n\
         transactions  {}, of which {} ballots\ntip           {}\nstate         {}\n",
        report.name,
        report.network,
        report.heights,
        report.blocks,
        report.skips,
        report.transactions,
        report.ballots,
        report.tip,
        report.state,
    );
    text.push_str(&format!(
        "polls         {} closed and recounted, {} open\n",
        report.polls.len(),
        report.open_polls
    ));
    for poll in &report.polls {
        text.push_str(&format!("\n{} ({})\nclosed at height {}; ", poll.title, poll.id, poll.closed_at));
        text.push_str(&poll::show_tally(&poll.tally, &poll.options, pairwise));
    }
    text
}
