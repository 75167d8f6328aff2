//! Commands from a file or a pipe: one on each line, in order; what fails is said with its line and does not stop the
//! others.

use super::{
    commands::{self, Next},
    parse::MAX_LINE_BYTES,
    perform,
};
use crate::{
    cli::{
        failure::{Failure, Outcome},
        session::Session,
    },
    client::Client,
};
use std::io::{BufRead, Read as _};
use tokio::sync::mpsc;

/// Runs the commands of standard input.
///
/// # Errors
/// When one of them failed.
pub(super) async fn run(session: &Session, client: &Client) -> Outcome {
    let (sender, mut lines) = mpsc::channel(1);
    // Reading blocks, and cannot be given up: the thread ends with the process.
    std::thread::spawn(move || read(std::io::stdin().lock(), |line| sender.blocking_send(line).is_ok()));
    let tree = commands::tree();
    let (mut number, mut failed) = (0, 0);
    while let Some(line) = lines.recv().await {
        number += 1;
        let done = match line {
            Ok(line) => perform(&tree, &line, session, client).await,
            Err(failure) => Err(failure),
        };
        match done {
            Ok(Next::Line) => {}
            Ok(Next::Quit) => break,
            // Nobody reads what the commands say.
            Err(failure) if failure.is_broken_pipe() => return Err(failure),
            Err(failure) => {
                failed += 1;
                eprintln!("error: line {number}: {}", failure.one_line());
            }
        }
    }
    match failed {
        0 => Ok(()),
        1 => Err(Failure::new("one command failed")),
        _ => Err(Failure::new(format!("{failed} commands failed"))),
    }
}

/// Reads lines of at most [`MAX_LINE_BYTES`] until `take` wants no more; a failure is the last.
fn read(mut input: impl BufRead, mut take: impl FnMut(Outcome<String>) -> bool) {
    loop {
        let mut line = Vec::new();
        let limit = MAX_LINE_BYTES as u64 + 1;
        let read = input.by_ref().take(limit).read_until(b'\n', &mut line);
        let (line, is_last) = match read {
            Ok(0) => return,
            Ok(length) if length as u64 == limit && line.last() != Some(&b'\n') => {
                (Err(Failure::new(format!("the line has more than {MAX_LINE_BYTES} bytes"))), true)
            }
            Ok(_) => match String::from_utf8(line) {
                Ok(line) => (Ok(line), false),
                Err(_) => (Err(Failure::new("the line is not UTF-8 text")), false),
            },
            Err(error) => (Err(error.into()), true),
        };
        if !take(line) || is_last {
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Result<String, String>> {
        let mut lines = Vec::new();
        read(input, |line| {
            lines.push(line.map_err(|failure| failure.one_line()));
            true
        });
        lines
    }

    #[test]
    fn lines_are_read_within_bounds() {
        assert_eq!(lines(b"a\n\nb"), [Ok("a\n".into()), Ok("\n".into()), Ok("b".into())]);
        assert_eq!(lines(b"\xff\nb\n"), [Err("the line is not UTF-8 text".into()), Ok("b\n".into())]);
        let fits = vec![b'x'; MAX_LINE_BYTES];
        assert!(matches!(lines(&fits).as_slice(), [Ok(line)] if line.len() == MAX_LINE_BYTES));
        let mut long = vec![b'x'; MAX_LINE_BYTES + 1];
        long.extend(b"\nstatus\n");
        assert!(matches!(lines(&long).as_slice(), [Err(reason)] if reason.contains("more than")));
    }
}
