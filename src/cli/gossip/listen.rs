//! `conclave gossip listen`: prints what is announced, and validates it.

use crate::{
    cli::{
        failure::{Failure, Outcome},
        output::{self, Output},
        session::Session,
    },
    gossip_api::{client::Client, message::Notification},
};
use clap::{Parser, ValueEnum};
use conclave_ledger::bytes::to_hex;
use serde::Serialize;
use std::net::SocketAddr;

/// Prints announcements as they come, one line each
#[derive(Parser)]
#[command(
    after_help = "A node passes an announcement on when all programs that it notified call it well-formed, this one too.\n\nExample:\n  conclave gossip listen 1337 --count 1\n  conclave --output json gossip listen 1337 1338 | jq -r .text"
)]
pub(crate) struct Listen {
    /// Data types, numbers up to 65535
    #[arg(required = true, value_name = "TYPE")]
    data_types: Vec<u16>,
    /// Stop after so many [default: go on]
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    /// What to say of each: only what all call valid is passed on
    #[arg(long, value_enum, default_value_t, value_name = "ANSWER")]
    validate: Answer,
    /// Gossip API to speak to [default: that of the home]
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<SocketAddr>,
}

/// What is said of a notification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Answer {
    /// It is well-formed
    #[default]
    Valid,
    /// It is not: the node drops it, and holds it against the peers that sent it
    Invalid,
    /// Nothing: the node waits, and then drops it
    None,
}

/// An announcement, for programs.
#[derive(Serialize)]
struct Shown {
    #[serde(rename = "type")]
    data_type: u16,
    /// In hexadecimal.
    data: String,
    /// If it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl Listen {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let address = session.gossip_address(self.address)?;
        let mut client = Client::connect(address).await?;
        for data_type in &self.data_types {
            client.notify(*data_type).await?;
        }
        eprintln!("listening to {address}");
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            let Some(notification) = client.next().await? else {
                return Err(Failure::new(format!("the node at {address} has hung up"))
                    .advise("Its log says why: it has stopped, or this program was too slow."));
            };
            show(session.output, &notification)?;
            match self.validate {
                Answer::Valid => client.validate(notification.id, true).await?,
                Answer::Invalid => client.validate(notification.id, false).await?,
                Answer::None => {}
            }
            left -= 1;
        }
        Ok(client.hang_up().await?)
    }
}

fn show(form: Output, notification: &Notification) -> Outcome {
    let Notification { data_type, data, .. } = notification;
    let text = std::str::from_utf8(data).ok();
    // What would act on a terminal is shown as numbers.
    let printable = text.filter(|text| !text.chars().any(char::is_control));
    match form {
        Output::Text => {
            output::line(&format!("{data_type}  {}", printable.map_or_else(|| to_hex(data), String::from)))
        }
        Output::Json => {
            let shown = Shown { data_type: *data_type, data: to_hex(data), text: text.map(String::from) };
            output::line(&serde_json::to_string(&shown)?)
        }
    }
}
