//! What comes while somebody types: printed above the line that is being edited, which stays whole.
//!
//! A thread prints, so that nobody waits for the terminal. Its queue is bounded: what comes when it is full is not
//! shown, and the next message says how many there were.

use rustyline::ExternalPrinter;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// Messages that wait to be printed.
const QUEUE: usize = 256;

/// Where messages go. Cheap to clone.
#[derive(Clone)]
pub(super) struct Screen {
    messages: SyncSender<String>,
    missed: Arc<AtomicU64>,
}

impl Screen {
    /// A screen that prints with `printer`, and without one on standard output.
    pub(super) fn start(printer: Option<impl ExternalPrinter + Send + 'static>) -> Self {
        let (messages, queue) = sync_channel(QUEUE);
        let missed = Arc::new(AtomicU64::new(0));
        let counter = missed.clone();
        thread::spawn(move || print(&queue, &counter, printer));
        Self { messages, missed }
    }

    /// Shows a line.
    pub(super) fn show(&self, line: String) {
        if self.messages.try_send(line).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn print(queue: &Receiver<String>, missed: &AtomicU64, mut printer: Option<impl ExternalPrinter>) {
    for line in queue {
        let text = match missed.swap(0, Ordering::Relaxed) {
            0 => format!("{line}\n"),
            count => format!("({count} lines are not shown)\n{line}\n"),
        };
        let printed = match &mut printer {
            Some(printer) => printer.print(text).is_ok(),
            None => crate::cli::output::line(&text).is_ok(),
        };
        // The terminal is gone, and with it whoever could read.
        if !printed {
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Prints one line whenever it is let to.
    struct Slow(mpsc::Receiver<()>, mpsc::Sender<String>);

    impl ExternalPrinter for Slow {
        fn print(&mut self, message: String) -> rustyline::Result<()> {
            self.1.send(message).unwrap();
            let _ = self.0.recv();
            Ok(())
        }
    }

    #[test]
    fn a_slow_terminal_misses_lines_and_is_told_so() {
        let (go, wait) = mpsc::channel();
        let (sender, printed) = mpsc::channel();
        let screen = Screen::start(Some(Slow(wait, sender)));
        screen.show("first".into());
        assert_eq!(printed.recv().unwrap(), "first\n");
        (0..QUEUE + 7).for_each(|number| screen.show(number.to_string()));
        drop(go);
        assert_eq!(printed.recv().unwrap(), "(7 lines are not shown)\n0\n");
        let rest: Vec<String> = (1..QUEUE).map(|_| printed.recv().unwrap()).collect();
        assert_eq!(rest.last().unwrap(), &format!("{}\n", QUEUE - 1));
    }
}
