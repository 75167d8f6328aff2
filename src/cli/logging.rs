//! Log lines on standard error or in a file: levels by filter, as text or as JSON, and never without bound.

use super::{
    failure::{Context, Failure, Outcome},
    log_limit::Limited,
    session::Session,
};
use crate::config::{LogConfig, LogFormat};
use std::{fs::File, io::IsTerminal, os::unix::fs::OpenOptionsExt, path::Path, sync::Mutex};
use tracing_subscriber::{
    EnvFilter,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// The filter that `-v` and `-q` ask for: `None` if neither is given.
pub(crate) fn filter_of(verbose: u8, quiet: u8) -> Option<&'static str> {
    match i16::from(verbose) - i16::from(quiet) {
        0 => None,
        1 => Some("info,conclave=debug"),
        2 => Some("debug,conclave=trace"),
        3.. => Some("trace"),
        -1 => Some("warn"),
        -2 => Some("error"),
        _ => Some("off"),
    }
}

/// The logging of a command that only logs what it is asked to: warnings without `-v`.
pub(crate) fn of_command(session: &Session) -> LogConfig {
    let filter = filter_of(session.verbose, session.quiet).unwrap_or("warn").to_owned();
    LogConfig { filter, format: session.log_format.unwrap_or_default() }
}

/// Sends log lines to standard error from now on.
///
/// # Errors
/// When the filter is none.
pub(crate) fn start(config: &LogConfig) -> Outcome {
    write(config, std::io::stderr, std::io::stderr().is_terminal())
}

/// Appends log lines to a file, which only its owner can read, from now on.
///
/// # Errors
/// When the filter is none, or the file cannot be written.
pub(crate) fn start_in_file(config: &LogConfig, path: &Path) -> Outcome {
    let file = File::options().create(true).append(true).mode(0o600).open(path);
    let file = file.context(|| format!("cannot write {}", path.display()))?;
    write(config, Mutex::new(file), false)
}

fn write<W>(config: &LogConfig, writer: W, is_colourful: bool) -> Outcome
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.filter).map_err(|error| {
        Failure::new(format!("the log filter {:?} cannot be read: {error}", config.filter))
            .advise("Write levels as in RUST_LOG, for example \"info,conclave=debug\".")
    })?;
    let lines = fmt::layer().with_writer(writer).with_ansi(is_colourful);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match config.format {
        LogFormat::Text => registry.with(lines.map_event_format(|form| Limited::new(form, false))).try_init(),
        LogFormat::Json => {
            registry.with(lines.json().map_event_format(|form| Limited::new(form, true))).try_init()
        }
    };
    Ok(started?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_raise_and_lower_the_level() {
        assert_eq!(filter_of(0, 0), None);
        assert_eq!(filter_of(2, 2), None);
        for number in 1..5 {
            for filter in [filter_of(number, 0), filter_of(0, number)].into_iter().flatten() {
                assert!(EnvFilter::try_new(filter).is_ok(), "{filter}");
            }
        }
    }
}
