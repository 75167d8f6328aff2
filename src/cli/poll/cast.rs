//! `conclave poll cast`.

use crate::{
    api::types,
    cli::{
        failure::{Failure, Outcome},
        sending,
        session::{Session, Signer},
        tx,
    },
};
use clap::Parser;
use conclave_ledger::{
    applications::{Payload, polls},
    hash::Hash,
    tally::{Choice, Method},
};

/// Casts a ballot
#[derive(Parser)]
#[command(
    after_help = "Example:\n  conclave poll cast 77ab… Soup --key voter-001.key\n  conclave poll cast 77ab… Soup Bread=Fish   (an order: Bread and Fish tied behind Soup)"
)]
pub(crate) struct Cast {
    /// The poll's id
    poll: Hash,
    /// Options by name or number (from 0): one; any to approve; or an order, best first, ties joined by =
    options: Vec<String>,
    #[command(flatten)]
    signer: Signer,
}

impl Cast {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let choice = choice(&client.poll(&self.poll).await?, &self.options)?;
        let key = session.signing_key(&self.signer)?;
        let payload = Payload::Poll(polls::Payload::CastBallot { poll: self.poll, choice });
        session.output.show(&sending::send(&client, &key, payload).await?, tx::describe)
    }
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
    use crate::api::types::PollPhase;
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
