//! The laws of machines (see `conclave_protocol::machine`), checked over any sequence of inputs.
//!
//! The bytes say what happens next: time passes, a deadline is met to the microsecond or missed by far, a timeout comes
//! that is not due, or the [`Subject`] takes an input. After each step:
//!
//! - no panic, whatever the input;
//! - after a timeout the next deadline is later, or none;
//! - a timeout that is not due changes no deadline and wants nothing;
//! - what one input makes a machine want is bounded ([`MAX_OUTPUTS`]);
//! - nobody is blamed who is this node itself;
//! - the whole run again gives the same outputs, one by one.

use crate::draw;
use arbitrary::Unstructured;
use conclave_protocol::{
    machine::{Machine, Output},
    peer::Peer,
    time::Time,
};
use std::{
    fmt::Debug,
    hash::{DefaultHasher, Hasher},
    sync::LazyLock,
    time::Duration,
};

/// Most inputs of a run.
const MAX_STEPS: usize = 200;

/// Most outputs that one input may lead to, with the few peers and bounded messages that there are here.
pub const MAX_OUTPUTS: usize = 4096;

/// Whether everything that a machine wants is shown: for one input that broke a law.
static TRACE: LazyLock<bool> = LazyLock::new(|| std::env::var_os("CONCLAVE_FUZZ_TRACE").is_some());

/// A machine, and who gives it inputs.
pub trait Subject: Sized {
    /// The machine.
    type Machine: Machine<Message: Debug, Event: Debug>;

    /// A machine at its start; the bytes choose its configuration.
    fn new(source: &mut Unstructured<'_>) -> Self;

    /// The machine.
    fn machine(&mut self) -> &mut Self::Machine;

    /// Whose machine it is.
    fn own(&self) -> Peer;

    /// One input.
    fn input(&mut self, source: &mut Unstructured<'_>, now: Time);

    /// What the machine wants: to be answered by later inputs, and held against what else must be true.
    fn heed(&mut self, output: Output<Self::Machine>, now: Time);

    /// What must be true after each step, of what can be seen from outside.
    fn check(&mut self) {}
}

/// Runs a machine twice over the same bytes.
pub fn check<S: Subject>(bytes: &[u8]) {
    let (first, second) = (Run::<S>::over(bytes), Run::<S>::over(bytes));
    let differs = first.iter().zip(&second).position(|(first, second)| first != second);
    assert!(
        differs.is_none() && first.len() == second.len(),
        "the same inputs gave other outputs at step {differs:?}"
    );
}

struct Run<S> {
    subject: S,
    now: Time,
    /// A hash of everything that was wanted, after each step.
    trace: Vec<u64>,
    hasher: DefaultHasher,
}

impl<S: Subject> Run<S> {
    fn over(bytes: &[u8]) -> Vec<u64> {
        let mut source = Unstructured::new(bytes);
        let subject = S::new(&mut source);
        let mut run = Self { subject, now: Time(0), trace: Vec::new(), hasher: DefaultHasher::new() };
        run.drain();
        for _ in 0..MAX_STEPS {
            if source.is_empty() {
                break;
            }
            run.step(&mut source);
            run.subject.check();
            run.trace.push(run.hasher.finish());
        }
        run.trace
    }

    fn step(&mut self, source: &mut Unstructured<'_>) {
        match draw::below(source, 16) {
            0 => {
                self.now = self.now + pause(source);
                self.time_out();
            }
            1 => {
                // As a driver does it: at the deadline and no sooner.
                if let Some(due) = self.subject.machine().poll_timeout() {
                    self.now = self.now.max(due);
                    self.time_out();
                }
            }
            // A driver that is late: the next input comes first.
            2 => self.now = self.now + pause(source),
            3 => self.time_out(),
            _ => {
                self.subject.input(source, self.now);
                self.drain();
            }
        }
    }

    fn time_out(&mut self) {
        let (now, due) = (self.now, self.subject.machine().poll_timeout());
        self.subject.machine().handle_timeout(now);
        let wanted = self.drain();
        let next = self.subject.machine().poll_timeout();
        assert!(next.is_none_or(|next| next > now), "the deadline {next:?} is not after {now:?}");
        if due.is_none_or(|due| due > now) {
            assert!(wanted.is_empty(), "a timeout that was not due made the machine want {wanted:?}");
            assert_eq!(due, next, "a timeout that was not due moved the deadline");
        }
    }

    fn drain(&mut self) -> Vec<String> {
        let mut wanted = Vec::new();
        while let Some(output) = self.subject.machine().poll_output() {
            assert!(wanted.len() < MAX_OUTPUTS, "one input leads to more than {MAX_OUTPUTS} outputs");
            wanted.push(self.note(&output));
            self.subject.heed(output, self.now);
        }
        wanted
    }

    fn note(&mut self, output: &Output<S::Machine>) -> String {
        let text = match output {
            Output::Send(peer, message) => format!("{peer:?} {message:?}"),
            Output::Penalize(peer, penalty) => {
                assert_ne!(*peer, self.subject.own(), "blames itself: {penalty:?}");
                format!("{peer:?} {penalty:?}")
            }
            Output::Emit(event) => format!("{event:?}"),
        };
        self.hasher.write(text.as_bytes());
        if *TRACE {
            eprintln!("{:?} {text}", self.now);
        }
        text
    }
}

/// From nothing to days.
fn pause(source: &mut Unstructured<'_>) -> Duration {
    let amount = 1 + draw::below(source, 256) as u64;
    match draw::below(source, 8) {
        0 => Duration::from_micros(amount),
        1..4 => Duration::from_millis(amount),
        4..6 => Duration::from_millis(20 * amount),
        6 => Duration::from_secs(amount),
        _ => Duration::from_secs(3600 * amount),
    }
}
