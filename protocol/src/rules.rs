//! The rules that agreement rests on, by name, and a switch that takes one out.
//!
//! A check that cannot fail proves nothing. So simulations and model checks are run on *mutants* too: the machines
//! as they are, but for one rule, of which the check has to find the consequence.
//!
//! The switch is there in tests of this crate and with its feature `mutants`, which is for tests alone. In any other
//! build [`Rules`] is empty, there is no way to take a rule out, and [`Rules::keep`] is `true`. Where a build of
//! tests has unified the feature into a program, that program keeps every rule too: nothing but a test names
//! `Rules::without`.

/// A rule, and what a machine does without it. The rules themselves are stated in [`consensus`](crate::consensus)
/// and [`handshake`](crate::handshake).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Without: a chain of any length extracts, in every window up to f+1.
    E2,
    /// Without: an invalid block is voted for and decided like a valid one.
    E3,
    /// Without: who has not voted by the end of window 1 votes for nothing.
    V1,
    /// Without: a certificate that is assembled from votes is accepted in any window.
    C1,
    /// Without: who accepts a certificate decides, and does not send it on.
    C2,
    /// Without: a certificate in a message is accepted in any window, with any number of relays.
    C3,
    /// Without: support is not agreed upon; at the end each node goes by the votes that it has seen.
    S1,
    /// Without: nobody says `Closing`.
    P1,
    /// Without: the last window's end decides whoever closes.
    P2,
    /// Without: a certificate that contradicts a decision made without one is ignored.
    R1,
    /// Without: a signature is sent before its record goes to the log.
    WriteAhead,
    /// Without: the proof of a key names neither of the two peers.
    HandshakeBinding,
}

/// The rules that a machine keeps: all of them, except in a test that takes one out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    #[cfg(any(test, feature = "mutants"))]
    without: Option<Rule>,
}

#[cfg(not(any(test, feature = "mutants")))]
impl Rules {
    /// Whether `rule` is kept: always.
    pub(crate) const fn keep(self, _rule: Rule) -> bool {
        true
    }
}

#[cfg(any(test, feature = "mutants"))]
impl Rules {
    /// All rules but one.
    pub const fn without(rule: Rule) -> Self {
        Self { without: Some(rule) }
    }

    /// Whether `rule` is kept.
    pub(crate) fn keep(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}

#[cfg(any(test, feature = "mutants"))]
impl Rule {
    /// Every rule that can be taken out.
    pub const ALL: [Self; 12] = [
        Self::E2,
        Self::E3,
        Self::V1,
        Self::C1,
        Self::C2,
        Self::C3,
        Self::S1,
        Self::P1,
        Self::P2,
        Self::R1,
        Self::WriteAhead,
        Self::HandshakeBinding,
    ];
}
