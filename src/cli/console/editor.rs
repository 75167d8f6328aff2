//! Reads lines from a terminal: editing, history and completion, on a thread of its own.
//!
//! The thread reads a line only when it is asked for one, so that while a command runs the terminal is the command's:
//! it prints where it likes, and Ctrl-C is a signal. The history is a file in the home that only its owner can read.

use super::{
    commands,
    complete::{self, Known},
    screen::Screen,
};
use crate::cli::failure::{Context as _, Outcome};
use rustyline::{
    CompletionType, Config, Editor, Helper, completion::Pair, error::ReadlineError, highlight::Highlighter,
    hint::Hinter, history::FileHistory, validate::Validator,
};
use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};
use tokio::sync::mpsc;

/// Lines that the history keeps.
const HISTORY_LINES: usize = 1_000;

/// Name of the history in the home.
const HISTORY: &str = "console-history";

/// What is shown before a line.
const PROMPT: &str = "conclave> ";

/// What came of reading a line.
#[derive(Debug)]
pub(super) enum Read {
    /// A line.
    Line(String),
    /// Ctrl-C: the line is given up.
    Interrupted,
    /// Ctrl-D, or the terminal is gone.
    End,
}

/// Lines from a terminal, one at a time.
pub(super) struct Lines {
    asked: SyncSender<()>,
    read: mpsc::Receiver<Read>,
}

impl Lines {
    /// Starts reading, with completion by what is `known`; with it the screen for what comes meanwhile.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub(super) fn start(home: &Path, known: impl Known + Send + 'static) -> Outcome<(Self, Screen)> {
        let config = Config::builder()
            .max_history_size(HISTORY_LINES)
            .and_then(|config| config.history_ignore_dups(true))
            .context(|| "the terminal cannot be used".into())?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .build();
        let mut editor: Editor<Helping<_>, FileHistory> =
            Editor::with_config(config).context(|| "the terminal cannot be used".into())?;
        editor.set_helper(Some(Helping { tree: commands::tree(), known }));
        let screen = Screen::start(editor.create_external_printer().ok());
        let history = home.is_dir().then(|| home.join(HISTORY));
        let (asked, requests) = sync_channel(1);
        let (lines, read) = mpsc::channel(1);
        let notes = screen.clone();
        thread::spawn(move || serve(editor, history.as_deref(), &requests, &lines, &notes));
        Ok((Self { asked, read }, screen))
    }

    /// The next line.
    pub(super) async fn next(&mut self) -> Read {
        // If the thread is gone, so is the terminal.
        if self.asked.try_send(()).is_err() {
            return Read::End;
        }
        self.read.recv().await.unwrap_or(Read::End)
    }
}

/// Reads a line whenever one is asked for.
fn serve<H: Helper>(
    mut editor: Editor<H, FileHistory>,
    history: Option<&Path>,
    requests: &Receiver<()>,
    lines: &mpsc::Sender<Read>,
    screen: &Screen,
) {
    let mut keeps = Keeping::begin(&mut editor, history);
    for () in requests {
        let read = match editor.readline(PROMPT) {
            Ok(line) => {
                keeps.line(&mut editor, &line, screen);
                Read::Line(line)
            }
            Err(ReadlineError::Interrupted) => Read::Interrupted,
            Err(_) => Read::End,
        };
        if lines.blocking_send(read).is_err() {
            return;
        }
    }
}

/// The file of the history, until it cannot be written.
struct Keeping(Option<PathBuf>);

impl Keeping {
    fn begin<H: Helper>(editor: &mut Editor<H, FileHistory>, path: Option<&Path>) -> Self {
        if let Some(path) = path {
            // There is none before the first line.
            let _ = editor.load_history(path);
        }
        Self(path.map(Path::to_owned))
    }

    fn line<H: Helper>(&mut self, editor: &mut Editor<H, FileHistory>, line: &str, screen: &Screen) {
        let is_new = editor.add_history_entry(line).unwrap_or_default();
        if let Some(path) = self.0.as_ref().filter(|_| is_new)
            && let Err(error) = editor.append_history(path)
        {
            screen.show(format!("the history is not kept: {} cannot be written: {error}", path.display()));
            self.0 = None;
        }
    }
}

/// What helps while a line is edited.
struct Helping<K> {
    tree: clap::Command,
    known: K,
}

impl<K: Known> rustyline::completion::Completer for Helping<K> {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, found) = complete::candidates(&self.tree, &line[..position], &self.known);
        let is_only = found.len() == 1;
        let pair = |candidate: complete::Candidate| Pair {
            display: candidate.shown,
            replacement: if is_only { candidate.word + " " } else { candidate.word },
        };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

impl<K> Hinter for Helping<K> {
    type Hint = String;
}
impl<K> Highlighter for Helping<K> {}
impl<K> Validator for Helping<K> {}
impl<K: Known> Helper for Helping<K> {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn editor() -> Editor<(), FileHistory> {
        let config = Config::builder().max_history_size(HISTORY_LINES).unwrap();
        Editor::with_config(config.history_ignore_space(true).build()).unwrap()
    }

    #[test]
    fn the_history_is_bounded_and_its_owners_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(HISTORY);
        let screen = Screen::start(None::<Silent>);
        for (round, lines) in [HISTORY_LINES, 20].into_iter().enumerate() {
            let mut editor = editor();
            let mut keeps = Keeping::begin(&mut editor, Some(&path));
            for number in 0..lines {
                keeps.line(&mut editor, &format!("say {round}.{number}"), &screen);
            }
            keeps.line(&mut editor, " a line that is not to be kept", &screen);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("say")).collect();
        assert!(lines.len() <= HISTORY_LINES && !text.contains("not to be kept"), "{} lines", lines.len());
        assert_eq!((lines[0], lines[lines.len() - 1]), ("say 0.20", "say 1.19"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    struct Silent;

    impl rustyline::ExternalPrinter for Silent {
        fn print(&mut self, _: String) -> rustyline::Result<()> {
            Ok(())
        }
    }
}
