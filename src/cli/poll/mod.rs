//! `conclave poll`: polls, ballots and tallies.

mod casting;
mod create;
mod import;
mod show;

use super::{
    failure::{Failure, Outcome},
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
    tally::{Choice, Method},
};

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
    /// Lists polls, the newest first
    #[command(after_help = "Example:\n  conclave poll list")]
    List {
        /// How many at most, up to 100
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Shows a poll: question, options, times, number of ballots
    #[command(after_help = "Example:\n  conclave poll show 77ab…")]
    Show {
        /// The poll's id
        poll: Hash,
    },
    /// Casts a ballot
    #[command(
        after_help = "Example:\n  conclave poll cast 77ab… Soup --key voter-001.key\n  conclave poll cast 77ab… Soup Bread=Fish   (an order: Bread and Fish tied behind Soup)"
    )]
    Cast {
        /// The poll's id
        poll: Hash,
        /// Options by name or number (from 0): one; any to approve; or an order, best first, ties joined by =
        options: Vec<String>,
        #[command(flatten)]
        signer: Signer,
    },
    /// Closes a poll before its time (its author), or counts one whose time is over (anybody)
    #[command(after_help = "Example:\n  conclave poll close 77ab… --key author.key")]
    Close {
        /// The poll's id
        poll: Hash,
        #[command(flatten)]
        signer: Signer,
    },
    /// Shows the tally of a poll, so far or final
    #[command(after_help = "Example:\n  conclave poll tally 77ab… --pairwise")]
    Tally {
        /// The poll's id
        poll: Hash,
        /// Also show how many voters prefer which option to which
        #[arg(long)]
        pairwise: bool,
    },
    Import(import::Import),
}

impl Poll {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        match self.command {
            Command::Create(create) => create.run(session).await,
            Command::Import(import) => import.run(session).await,
            Command::List { limit } => list(session, limit).await,
            Command::Show { poll } => session.output.show(&session.client()?.poll(&poll).await?, describe),
            Command::Cast { poll, options, signer } => {
                let client = session.client()?;
                let choice = choice(&client.poll(&poll).await?, &options)?;
                let key = session.signing_key(&signer)?;
                let payload = Payload::Poll(polls::Payload::CastBallot { poll, choice });
                session.output.show(&sending::send(&client, &key, payload).await?, tx::describe)
            }
            Command::Close { poll, signer } => {
                let (client, key) = (session.client()?, session.signing_key(&signer)?);
                let payload = Payload::Poll(polls::Payload::ClosePoll { poll });
                session.output.show(&sending::send(&client, &key, payload).await?, tx::describe)
            }
            Command::Tally { poll, pairwise } => {
                let answer = session.client()?.tally(&poll).await?;
                session.output.show(&answer, |answer| {
                    let state = match answer.is_final {
                        true => format!("final, counted at height {}", answer.height),
                        false => format!("so far, up to height {}", answer.height),
                    };
                    format!("{state}\n{}", show::tally(&answer.tally, &answer.options, pairwise))
                })
            }
        }
    }
}

async fn list(session: &Session, limit: usize) -> Outcome {
    session.output.show(&session.client()?.polls(None, Some(limit)).await?, |answer| {
        let rows: Vec<Vec<String>> = answer
            .polls
            .iter()
            .map(|poll| {
                let (id, title) = (poll.id.to_string(), poll.title.clone());
                vec![id, phase(poll.phase).into(), poll.method.to_string(), poll.ballots.to_string(), title]
            })
            .collect();
        table(&["POLL", "STATE", "METHOD", "BALLOTS", "TITLE"], &rows)
    })
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

/// What the words of the command line mean in a poll: options by name, or else by number.
fn choice(poll: &types::Poll, words: &[String]) -> Outcome<Choice> {
    let option = |word: &str| {
        let named = poll.options.iter().position(|name| name == word);
        let numbered = || word.parse().ok().filter(|number| *number < poll.options.len());
        named.or_else(numbered).map(|number| number as u16).ok_or_else(|| {
            let last = poll.options.len().saturating_sub(1);
            Failure::new(format!("the poll has no option {word:?}")).advise(format!(
                "Give a name as `conclave poll show` prints it, or a number from 0 to {last}."
            ))
        })
    };
    match poll.method {
        Method::ChooseOne => match words {
            [word] => Ok(Choice::One(option(word)?)),
            _ => Err(Failure::new(format!("this poll takes exactly one option, found {}", words.len()))),
        },
        Method::Approve => {
            let mut approved = words.iter().map(|word| option(word)).collect::<Outcome<Vec<u16>>>()?;
            approved.sort_unstable();
            Ok(Choice::Approve(approved))
        }
        Method::Rank => {
            let group = |word: &String| {
                // A name that has an = itself is taken as it is.
                let mut group = match option(word) {
                    Ok(number) => vec![number],
                    Err(_) => word.split('=').map(option).collect::<Outcome<Vec<u16>>>()?,
                };
                group.sort_unstable();
                Ok(group)
            };
            words.iter().map(group).collect::<Outcome<_>>().map(Choice::Rank)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use conclave_ledger::{applications::polls::ElectorateKind, keys::PublicKey};

    fn poll(method: Method) -> types::Poll {
        types::Poll {
            id: Hash::ZERO,
            number: 0,
            phase: PollPhase::Open,
            title: "t".into(),
            options: ["Soup", "a=b", "Fish"].map(String::from).to_vec(),
            method,
            electorate: ElectorateKind::Anyone,
            opens: 0,
            closes: 1,
            revote: false,
            author: PublicKey([0; 32]),
            ballots: 0,
            closing: None,
        }
    }

    #[test]
    fn words_are_options_by_name_or_number() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for (method, given, expected) in [
            (Method::ChooseOne, vec!["Fish"], Some(Choice::One(2))),
            (Method::ChooseOne, vec!["1"], Some(Choice::One(1))),
            (Method::ChooseOne, vec!["3"], None),
            (Method::ChooseOne, vec!["Fish", "Soup"], None),
            (Method::Approve, vec!["Fish", "Soup"], Some(Choice::Approve(vec![0, 2]))),
            (Method::Approve, vec![], Some(Choice::Approve(vec![]))),
            (Method::Rank, vec!["Fish", "a=b"], Some(Choice::Rank(vec![vec![2], vec![1]]))),
            (Method::Rank, vec!["Fish=Soup", "1"], Some(Choice::Rank(vec![vec![0, 2], vec![1]]))),
            (Method::Rank, vec!["Fish=Bread"], None),
        ] {
            assert_eq!(choice(&poll(method), &words(&given)).ok(), expected, "{given:?}");
        }
    }
}
