//! What a command says when it fails: what was wrong, where, and what to do.

use std::{
    error::Error,
    fmt::{self, Write as _},
    io,
};

/// Why a command failed. Everything that goes wrong becomes one of these on its way out.
pub(crate) struct Failure {
    message: String,
    advice: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What commands return.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with this message.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), advice: None, source: None }
    }

    /// The same failure, with what to do about it.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// All of it in one line, for consoles.
    pub(crate) fn one_line(&self) -> String {
        let text = self.to_string();
        let mut line = String::with_capacity(text.len());
        for part in text.lines().map(str::trim).filter(|part| !part.is_empty()) {
            if !line.is_empty() {
                line.push_str(if line.ends_with(['.', ':', ';']) { " " } else { "; " });
            }
            line.push_str(part);
        }
        line
    }

    /// Whether the reader of the output has gone, which is nobody's fault.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        let error = self.source.as_ref().and_then(|source| source.downcast_ref::<io::Error>());
        error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    /// The message, then each cause that is not said by the one before, then the advice.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.message.clone();
        let mut said = self.message.clone();
        let mut cause = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(error) = cause {
            let message = error.to_string();
            if !said.contains(&message) {
                write!(text, "\n  because {}", message.replace('\n', "\n  "))?;
                said = message;
            }
            cause = error.source();
        }
        if let Some(advice) = &self.advice {
            write!(text, "\n  {advice}")?;
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { message: error.to_string(), advice: None, source: Some(Box::new(error)) }
    }
}

/// Says where an error happened.
pub(crate) trait Context<T> {
    /// Puts `message` before the error, which becomes its cause.
    fn context(self, message: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: Error + Send + Sync + 'static> Context<T> for Result<T, E> {
    fn context(self, message: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| Failure { message: message(), advice: None, source: Some(Box::new(error)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner;

    #[derive(Debug, thiserror::Error)]
    #[error("all of it: {0}")]
    struct Saying(#[source] Inner);

    #[test]
    fn every_cause_is_said_once_and_the_advice_last() {
        let failed: Result<(), _> = Err(Outer(Inner));
        let failure = failed.context(|| "doing it".into()).map_err(|failure| failure.advise("do that"));
        assert_eq!(
            format!("{:?}", failure.err().map(|f| f.to_string())),
            r#"Some("doing it\n  because outer\n  because inner\n  do that")"#
        );
        assert_eq!(Failure::from(Saying(Inner)).to_string(), "all of it: inner");
        let failed: Result<(), _> = Err(Outer(Inner));
        let line =
            failed.context(|| "doing it".into()).map_err(|failure| failure.advise("do that").one_line());
        assert_eq!(line, Err("doing it; because outer; because inner; do that".into()));
    }

    #[test]
    fn a_reader_that_has_gone_is_recognised() {
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(gone.is_broken_pipe() && !Failure::new("else").is_broken_pipe());
    }
}
