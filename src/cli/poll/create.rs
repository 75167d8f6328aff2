//! `conclave poll create`.

use crate::cli::{
    failure::{Context, Failure, Outcome},
    output::now_ms,
    sending,
    session::{Session, Signer},
};
use clap::Parser;
use conclave_ledger::{
    applications::{Payload, polls, polls::Electorate},
    keys::PublicKey,
    tally::Method,
};
use std::path::Path;

/// Opens a poll
#[derive(Parser)]
#[command(
    after_help = "Example:\n  conclave poll create 'Lunch?' Soup Bread Fish --method rank --electorate voters.txt --minutes 30"
)]
pub(crate) struct Create {
    /// The question
    title: String,
    /// The answers, at least two
    #[arg(required = true, num_args = 2..)]
    options: Vec<String>,
    /// How it is voted in and counted: choose-one, approve or rank
    #[arg(long, default_value = "choose-one")]
    method: Method,
    /// Who may vote: validators, anyone, or a file with a public key on each line
    #[arg(long, default_value = "validators", value_name = "WHO")]
    electorate: String,
    /// For how many minutes it takes ballots
    #[arg(long, default_value_t = 60, value_name = "MINUTES")]
    minutes: u64,
    /// Let voters vote again; the last ballot counts
    #[arg(long)]
    revote: bool,
    #[command(flatten)]
    signer: Signer,
}

impl Create {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let opens = now_ms();
        let payload = polls::Payload::OpenPoll {
            title: self.title,
            options: self.options,
            method: self.method,
            electorate: electorate(&self.electorate)?,
            opens,
            closes: opens.saturating_add(self.minutes.saturating_mul(60_000)),
            revote: self.revote,
        };
        let key = session.signing_key(&self.signer)?;
        let included = sending::send(&session.client()?, &key, Payload::Poll(payload)).await?;
        session.output.show(&included, |included| {
            let (id, height) = (included.id, included.height);
            format!("opened poll {id} at height {height}\ncast a ballot:  conclave poll cast {id} OPTION --key FILE")
        })
    }
}

fn electorate(text: &str) -> Outcome<Electorate> {
    match text {
        "validators" => Ok(Electorate::Validators),
        "anyone" => Ok(Electorate::Anyone),
        path => listed(Path::new(path)),
    }
}

fn listed(path: &Path) -> Outcome<Electorate> {
    let text = std::fs::read_to_string(path).context(|| {
        format!("the electorate is neither \"validators\" nor \"anyone\" nor a file: {}", path.display())
    })?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let keys = lines.map(|(number, line)| {
        let error = |error| Failure::new(format!("{}:{number}: {error}", path.display()));
        line.trim().parse::<PublicKey>().map_err(error)
    });
    keys.collect::<Outcome<_>>().map(Electorate::Keys)
}
