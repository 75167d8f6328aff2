//! `conclave say`: to everybody in the network.

use super::{
    failure::Outcome,
    output::{Output, plain},
    session::Session,
};
use clap::Parser;

/// Says something to everybody in the network
#[derive(Parser)]
#[command(
    after_help = "Who watches sees it: `conclave console`, or `conclave watch --only announced`.\n\nExample:\n  conclave say We begin in five minutes"
)]
pub(crate) struct Say {
    /// What to say
    #[arg(required = true, value_name = "TEXT")]
    text: Vec<String>,
}

impl Say {
    /// What says `text`.
    pub(crate) fn new(text: &str) -> Self {
        Self { text: vec![text.to_owned()] }
    }

    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let announced = session.client()?.announce(&self.text.join(" ")).await?;
        match session.output {
            Output::Json => session.output.show(&announced, |_| String::new()),
            // Like everybody else, who says it sees it as an event.
            Output::Text => Ok(()),
        }
    }
}

/// Something that was said, as people read it: by whom, and what.
pub(crate) fn line(peer_id: &str, name: Option<&str>, text: &str) -> String {
    let last = peer_id.char_indices().nth_back(7).map_or(peer_id, |(start, _)| &peer_id[start..]);
    match name {
        Some(name) => format!("{} (…{}): {}", plain(name), plain(last), plain(text)),
        None => format!("…{}: {}", plain(last), plain(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_drive_the_terminal_of_who_hears_them() {
        assert_eq!(line("12D3KooWabcdefgh", Some("anna"), "hi"), "anna (…abcdefgh): hi");
        assert_eq!(line("short", None, "a\u{1b}[2J\u{202e}b"), "…short: a\\u{1b}[2J\\u{202e}b");
    }
}
