//! From a line to a command.

use super::{
    commands::{Entry, Line},
    place::Place,
    words::Words,
};
use crate::{
    cli::{
        failure::{Failure, Outcome},
        say::Say,
    },
    client::Client,
};
use clap::{Command, FromArgMatches, error::ErrorKind};

/// Longest line, in bytes.
pub(super) const MAX_LINE_BYTES: usize = 64 << 10;

/// Newest polls among which one is found by the beginning of its id: a page of the API.
const POLLS_SEARCHED: usize = 100;

/// Digits of a poll's whole id.
const ID_DIGITS: usize = 64;

/// What a line asks for.
pub(super) enum Request {
    /// Nothing: it is empty, or a comment.
    Nothing,
    /// To be told what can be said.
    Help(String),
    /// A command.
    Command(Box<Entry>),
}

/// What `line` asks for. The beginning of a poll's id stands for the poll, which `client` is asked for.
///
/// # Errors
/// When it cannot be understood.
pub(super) async fn request(tree: &Command, line: &str, client: &Client) -> Outcome<Request> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(Request::Nothing);
    }
    if line.len() > MAX_LINE_BYTES {
        return Err(Failure::new(format!("a line has at most {MAX_LINE_BYTES} bytes, found {}", line.len())));
    }
    if let Some(text) = words_to_say(line) {
        return Ok(Request::Command(Box::new(Entry::Say(Say::new(text)))));
    }
    let mut words = Words::all(line)?;
    if let Some(index) = Place::of(tree, &words).word_of("poll")
        && is_beginning(&words[index])
    {
        let polls = client.polls(None, Some(POLLS_SEARCHED)).await?.polls;
        let ids = polls.iter().map(|poll| poll.id.to_string());
        words[index] = with_beginning(&words[index], ids)?;
    }
    parse(tree, &words)
}

/// What comes after `say`, as it is: nobody thinks of quotes while they talk.
fn words_to_say(line: &str) -> Option<&str> {
    let (command, text) = line.split_once(char::is_whitespace)?;
    let text = text.trim();
    (command == "say" && !matches!(text, "-h" | "--help")).then_some(text)
}

/// Whether a word can be the beginning of an id, and is not a whole one.
fn is_beginning(word: &str) -> bool {
    (1..ID_DIGITS).contains(&word.len()) && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The only one of `ids` that begins with `beginning`.
fn with_beginning(beginning: &str, ids: impl Iterator<Item = String>) -> Outcome<String> {
    let mut found: Vec<String> = ids.filter(|id| id.starts_with(beginning)).collect();
    match (found.pop(), found.len()) {
        (Some(id), 0) => Ok(id),
        (Some(_), others) => {
            Err(Failure::new(format!("the ids of {} polls begin with {beginning}", others + 1))
                .advise("Write more of it, or press Tab."))
        }
        (None, _) => {
            Err(Failure::new(format!("no poll's id begins with {beginning}")).advise("See `polls`."))
        }
    }
}

/// The command that `words` name.
fn parse(tree: &Command, words: &[String]) -> Outcome<Request> {
    let parsed =
        tree.clone().try_get_matches_from(words).and_then(|matches| Line::from_arg_matches(&matches));
    match parsed {
        Ok(line) => Ok(Request::Command(Box::new(line.entry))),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(Request::Help(error.render().to_string())),
        Err(error) => Err(refusal(tree, words, &error)),
    }
}

/// What is wrong, in a line.
fn refusal(tree: &Command, words: &[String], error: &clap::Error) -> Failure {
    let place = Place::of(tree, words);
    let path = place.path.join(" ");
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let names: Vec<&str> = place.command.get_subcommands().map(Command::get_name).collect();
        return Failure::new(format!("`{path}` needs one of: {}", names.join(", ")))
            .advise(format!("See `help {path}`."));
    }
    let text = error.render().to_string();
    let mut message = String::new();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with("For more information")) {
        let separator = match message.chars().last() {
            None => "",
            Some(':') => " ",
            Some(_) => "; ",
        };
        message.push_str(separator);
        message.push_str(line.trim_start_matches("error: "));
    }
    Failure::new(message).advise(format!("See `{}`.", format!("help {path}").trim_end()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::commands::tree, *};

    fn parsed(line: &str) -> Outcome<Request> {
        parse(&tree(), &Words::all(line).unwrap())
    }

    #[test]
    fn commands_are_those_of_the_command_line_and_short_names() {
        let zeros = "0".repeat(64);
        for line in [
            "status".to_owned(),
            "addresses".into(),
            "peers".into(),
            "connect /ip4/127.0.0.1/tcp/1".into(),
            "poll create 'Lunch?' Soup Bread --minutes 5".into(),
            format!("poll cast {zeros} Soup"),
            format!("vote {zeros} Soup 'Bread and Butter' --key k"),
            format!("tally {zeros}"),
            "polls --limit 3".into(),
            "watch --only decided --count 1".into(),
            "blocks list".into(),
            "tx record hello".into(),
            "governance list".into(),
            "quit".into(),
            "exit".into(),
        ] {
            assert!(matches!(parsed(&line), Ok(Request::Command(_))), "{line}: {:?}", parsed(&line).err());
        }
    }

    #[test]
    fn help_is_for_everything_and_for_each_command() {
        for (line, part) in [
            ("help", "vote"),
            ("help poll create", "--electorate"),
            ("poll --help", "tally"),
            ("help quit", "stops"),
        ] {
            let Ok(Request::Help(text)) = parsed(line) else { panic!("{line}: {:?}", parsed(line).err()) };
            assert!(text.contains(part) && !text.contains("conclave "), "{line}:\n{text}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_said_in_a_line_with_what_to_do() {
        for (line, parts) in [
            ("stauts", ["stauts", "'status'", "See `help`."]),
            ("poll", ["needs one of", "create", "See `help poll`."]),
            ("poll create Lunch? Soup", ["2", "OPTIONS", "See `help poll create`."]),
            ("vote", ["POLL", "required", "See `help vote`."]),
            ("vote xyz Soup", ["xyz", "POLL", "See `help vote`."]),
            ("status --nonsense", ["--nonsense", "unexpected", "See `help status`."]),
            ("watch --only dinner", ["dinner", "decided", "See `help watch`."]),
        ] {
            let Err(failure) = parsed(line) else { panic!("{line} is understood") };
            let text = failure.one_line();
            assert!(parts.iter().all(|part| text.contains(part)) && !text.contains('\n'), "{line}: {text}");
        }
    }

    #[test]
    fn what_is_said_is_the_rest_of_the_line() {
        for (line, text) in [
            ("say  don't \"panic\" ", Some("don't \"panic\"")),
            ("say --help", None),
            ("say", None),
            ("saying something", None),
        ] {
            assert_eq!(words_to_say(line), text, "{line}");
        }
    }

    #[test]
    fn a_poll_is_found_by_the_beginning_of_its_id() {
        let ids = || ["77ab".to_owned(), "77cd".into(), "12".into()].into_iter();
        assert_eq!(with_beginning("77a", ids()).ok().as_deref(), Some("77ab"));
        assert!(with_beginning("77", ids()).is_err_and(|failure| failure.one_line().contains("2 polls")));
        assert!(with_beginning("8", ids()).is_err());
        for (word, expected) in [("77ab", true), ("", false), ("xyz", false), (&"a".repeat(64), false)] {
            assert_eq!(is_beginning(word), expected, "{word}");
        }
    }
}
