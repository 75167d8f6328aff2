//! `conclave poll`: polls, ballots and tallies.

mod cast;
mod casting;
mod create;
mod import;
mod show;

use super::{
    failure::Outcome,
    output::{date, table},
    sending,
    session::{Session, Signer},
    tx,
};
use crate::api::types::{self, PollPhase};
use clap::{Parser, Subcommand};
use conclave_ledger::{
    applications::{Payload, polls},
    hash::Hash,
};

pub(super) use cast::Cast;
pub(super) use show::tally as show_tally;

/// Opens polls, casts ballots, shows tallies
#[derive(Parser)]
#[command(
    after_help = "Example:\n  conclave poll create 'Lunch?' Soup Bread --method choose-one --electorate validators\n  conclave poll import election.soi"
)]
pub(crate) struct Poll {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Create(create::Create),
    List(List),
    /// Shows a poll: question, options, times, number of ballots
    #[command(after_help = "Example:\n  conclave poll show 77ab…")]
    Show {
        /// The poll's id
        poll: Hash,
    },
    Cast(cast::Cast),
    /// Closes a poll before its time (its author), or counts one whose time is over (anybody)
    #[command(after_help = "Example:\n  conclave poll close 77ab… --key author.key")]
    Close {
        /// The poll's id
        poll: Hash,
        #[command(flatten)]
        signer: Signer,
    },
    Tally(ShowTally),
    Import(import::Import),
}

impl Poll {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        match self.command {
            Command::Create(create) => create.run(session).await,
            Command::Import(import) => import.run(session).await,
            Command::List(list) => list.run(session).await,
            Command::Show { poll } => session.output.show(&session.client()?.poll(&poll).await?, describe),
            Command::Cast(cast) => cast.run(session).await,
            Command::Close { poll, signer } => {
                let (client, key) = (session.client()?, session.signing_key(&signer)?);
                let payload = Payload::Poll(polls::Payload::ClosePoll { poll });
                session.output.show(&sending::send(&client, &key, payload).await?, tx::describe)
            }
            Command::Tally(tally) => tally.run(session).await,
        }
    }
}

/// Lists polls, the newest first
#[derive(Parser)]
#[command(after_help = "Example:\n  conclave poll list")]
pub(crate) struct List {
    /// How many at most, up to 100
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

impl List {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        session.output.show(&session.client()?.polls(None, Some(self.limit)).await?, |answer| {
            let rows: Vec<Vec<String>> = answer
                .polls
                .iter()
                .map(|poll| {
                    let (id, title) = (poll.id.to_string(), poll.title.clone());
                    vec![
                        id,
                        phase(poll.phase).into(),
                        poll.method.to_string(),
                        poll.ballots.to_string(),
                        title,
                    ]
                })
                .collect();
            table(&["POLL", "STATE", "METHOD", "BALLOTS", "TITLE"], &rows)
        })
    }
}

/// Shows the tally of a poll, so far or final
#[derive(Parser)]
#[command(after_help = "Example:\n  conclave poll tally 77ab… --pairwise")]
pub(crate) struct ShowTally {
    /// The poll's id
    poll: Hash,
    /// Also show how many voters prefer which option to which
    #[arg(long)]
    pairwise: bool,
}

impl ShowTally {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let answer = session.client()?.tally(&self.poll).await?;
        session.output.show(&answer, |answer| {
            let state = match answer.is_final {
                true => format!("final, counted at height {}", answer.height),
                false => format!("so far, up to height {}", answer.height),
            };
            format!("{state}\n{}", show::tally(&answer.tally, &answer.options, self.pairwise))
        })
    }
}

fn phase(phase: PollPhase) -> &'static str {
    match phase {
        PollPhase::Scheduled => "scheduled",
        PollPhase::Open => "open",
        PollPhase::Counting => "counting",
        PollPhase::Closed => "closed",
    }
}

fn describe(poll: &types::Poll) -> String {
    let mut text = format!(
        "poll     {}\ntitle    {}\nstate    {}\nmethod   {}{}\nvoters   {}\nballots  {}\nopens    {}\ncloses   {}\nauthor   {}\n",
        poll.id,
        poll.title,
        phase(poll.phase),
        poll.method,
        if poll.revote { ", the last ballot of a voter counts" } else { "" },
        show::electorate(poll.electorate),
        poll.ballots,
        date(poll.opens),
        date(poll.closes),
        poll.author,
    );
    if let Some(closing) = &poll.closing {
        text.push_str(&format!("closed   at height {}, {}\n", closing.height, date(closing.timestamp)));
    }
    for (number, option) in poll.options.iter().enumerate() {
        text.push_str(&format!("  {number}  {option}\n"));
    }
    text
}
