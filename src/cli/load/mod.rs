//! `conclave load`: records at a steady rate on a network that runs, and what became of each.
//!
//! ```text
//! every 1/rate seconds ──► sign ──► submit, wait ──► decided: a receipt, written at once, and how long it took
//!  (as long as --seconds)              ▲    │
//!                                      └────┘ no answer, or not decided yet: the very same transaction again
//! ```
//! A transaction is given up only when a rule forbids it for good, so whatever happens to the node meanwhile, each
//! record ends as a receipt or as a failure of the command. One that was not decided before its last height is signed
//! anew, after the node was asked whether it was decided after all. [`sender`] is one record's way, [`figures`] what is
//! made of all of them.

mod figures;
mod sender;

use super::{
    failure::{Context, Failure, Outcome},
    progress,
    session::{Session, Signer},
};
use crate::archive::Receipt;
use clap::Parser;
use figures::{Answered, Figures};
use sender::Sender;
use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    task::JoinSet,
    time::MissedTickBehavior,
};

/// Sends records to a running network at a steady rate, and keeps a receipt of each that is decided
#[derive(Parser)]
#[command(
    after_help = "Stop it early with Ctrl-C: it still waits for what it has sent. The receipts can be checked against any node's export.\n\n\
                  Example:\n  conclave load --rate 50 --seconds 60 --receipts mine.json\n  \
                  conclave export -o chain.conclave && conclave verify chain.conclave --receipts mine.json"
)]
pub(crate) struct Load {
    /// How long to send for
    #[arg(long, default_value_t = 60, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: u64,
    /// Records in a second
    #[arg(long, default_value_t = 10, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Bytes of each
    #[arg(long, default_value_t = 100, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(32..=32_768))]
    bytes: u32,
    /// Most that wait to be decided at a time: then nothing is sent until one is
    #[arg(long, default_value_t = 32, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=4_096))]
    in_flight: u32,
    /// How long to wait at the end for what is not decided yet
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    patience: u64,
    /// File for the receipts, a line of JSON each; what is there is kept
    #[arg(long, value_name = "FILE")]
    receipts: Option<PathBuf>,
    #[command(flatten)]
    signer: Signer,
}

/// What one record ended as, and when it was first sent.
type Sent = (Instant, Outcome<Receipt>);

impl Load {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let mut receipts = self.receipts.as_ref().map(open).transpose()?;
        let sender =
            Arc::new(Sender::new(session.client()?, session.signing_key(&self.signer)?, self.bytes)?);
        let mut figures = Figures::new();
        let start = Instant::now();
        let bar = progress::bar("records decided", self.seconds * u64::from(self.rate));
        let mut under_way = JoinSet::new();
        let places = Arc::new(Semaphore::new(self.in_flight as usize));
        let mut tick = tokio::time::interval(Duration::from_secs(1) / self.rate);
        // What could not be sent while all places were taken is not sent in a rush afterwards.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let end = tokio::time::sleep(Duration::from_secs(self.seconds));
        tokio::pin!(end);
        loop {
            // In this order, so that no tick is lost when a receipt comes first.
            let place = async {
                let place = places.clone().acquire_owned().await;
                tick.tick().await;
                place
            };
            tokio::select! {
                biased;
                () = &mut end => break,
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                Some(done) = under_way.join_next() => {
                    note(done?, start, &mut figures, receipts.as_mut())?;
                    bar.inc(1);
                }
                place = place => {
                    let (place, sender, number) = (place?, sender.clone(), figures.send());
                    under_way.spawn(async move {
                        let first = Instant::now();
                        let ended = sender.decide(number).await;
                        drop(place);
                        (first, ended)
                    });
                }
            }
        }
        let rest = async {
            while let Some(done) = under_way.join_next().await {
                note(done?, start, &mut figures, receipts.as_mut())?;
                bar.inc(1);
            }
            Ok::<(), Failure>(())
        };
        let in_time = tokio::time::timeout(Duration::from_secs(self.patience), rest).await;
        bar.finish_and_clear();
        in_time.unwrap_or(Ok(()))?;
        session.output.show(&figures.report(start.elapsed()), figures::describe)?;
        match figures.open() {
            0 => Ok(()),
            open => Err(Failure::new(format!("{open} records are not decided after {} s", self.patience))
                .advise("See `conclave status`: without a quorum of validators nothing is decided.")),
        }
    }
}

/// Keeps what a record ended as.
fn note((first, ended): Sent, start: Instant, figures: &mut Figures, receipts: Option<&mut File>) -> Outcome {
    let receipt = ended?;
    if let Some(file) = receipts {
        let mut line = serde_json::to_vec(&receipt)?;
        line.push(b'\n');
        file.write_all(&line).context(|| "a receipt cannot be written".to_owned())?;
    }
    figures.note(Answered { took: first.elapsed(), at: start.elapsed() });
    Ok(())
}

fn open(path: &PathBuf) -> Outcome<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.context(|| format!("cannot write {}", path.display()))
}
