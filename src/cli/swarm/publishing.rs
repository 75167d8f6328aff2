//! Messages of ours that wait until a peer wants them, and standard input as their source.

use conclave_behaviours::public_swarm::MAX_MESSAGE_BYTES;
use std::{
    collections::VecDeque,
    io::{BufRead, Read},
};
use tokio::sync::mpsc;

/// Most messages that wait; standard input is read no further meanwhile.
pub(super) const MAX_WAITING: usize = 256;

/// Messages that wait, with their topics.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<(String, Vec<u8>)>);

impl Waiting {
    /// Lets a message wait on each of `topics`.
    pub(super) fn add(&mut self, topics: &[String], message: &[u8]) {
        self.0.extend(topics.iter().map(|topic| (topic.clone(), message.to_vec())));
    }

    /// Whether another message has room.
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < MAX_WAITING
    }

    /// Offers every message to `publish`, in order; those stay for which it says so.
    pub(super) fn offer(&mut self, mut publish: impl FnMut(&str, &[u8]) -> bool) {
        self.0.retain(|(topic, message)| publish(topic, message));
    }
}

/// The lines of standard input, without their ends. The channel closes at its end.
pub(super) fn lines_of_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while let Some(line) = next_line(&mut input) {
            if !line.is_empty() && sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The next line; of one that is too long to be published, no more than shows that it is.
fn next_line(input: &mut impl BufRead) -> Option<Vec<u8>> {
    let limit = MAX_MESSAGE_BYTES as u64 + 1;
    let mut line = Vec::new();
    input.take(limit).read_until(b'\n', &mut line).ok().filter(|read| *read > 0)?;
    if line.pop_if(|last| *last == b'\n').is_none() && line.len() as u64 == limit {
        input.skip_until(b'\n').ok()?;
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_wants_yet_stays_in_order() {
        let mut waiting = Waiting::default();
        let topics = ["a".to_owned(), "b".to_owned()];
        waiting.add(&topics, b"1");
        waiting.add(&topics, b"2");
        let mut offered = Vec::new();
        waiting.offer(|topic, message| {
            offered.push((topic.to_owned(), message.to_vec()));
            topic == "b"
        });
        assert_eq!(offered.len(), 4);
        let mut left = Vec::new();
        waiting.offer(|topic, message| {
            left.push((topic.to_owned(), message.to_vec()));
            true
        });
        assert_eq!(left, [("b".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())]);
    }

    #[test]
    fn no_more_than_the_bound_is_read() {
        let mut waiting = Waiting::default();
        (0..MAX_WAITING).for_each(|_| waiting.add(&["a".to_owned()], b"1"));
        assert!(!waiting.has_room());
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_where_that_shows() {
        let long = "x".repeat(3 * MAX_MESSAGE_BYTES);
        let text = format!("one\n{long}\n\ntwo");
        let mut input = text.as_bytes();
        let lengths = std::iter::from_fn(|| next_line(&mut input)).map(|line| line.len());
        assert_eq!(lengths.collect::<Vec<_>>(), [3, MAX_MESSAGE_BYTES + 1, 0, 3]);
    }
}
