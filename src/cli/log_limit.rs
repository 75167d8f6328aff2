//! A bound on log lines: what peers can bring about again and again must not fill the disk or hide the rest.
//!
//! Each place in the program that logs may write [`BURST`] lines at once and [`PER_SECOND`] after that; how many were
//! left out is said before the next one. The metrics count everything. Errors of this program are never left out, and
//! neither is what somebody asked for by raising the level to `debug`.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Instant,
};
use tracing::{Event, Level, Metadata, Subscriber, callsite::Identifier};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// Lines that one place may write at once: what happens when a network of that many nodes starts.
const BURST: f64 = 32.0;

/// Lines that one place may write each second after that.
const PER_SECOND: f64 = 1.0;

/// What one place may still write.
#[derive(Clone, Copy)]
struct Allowance {
    lines: f64,
    at: Instant,
    left_out: u64,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { lines: BURST, at: now, left_out: 0 }
    }

    /// Whether a line may be written, with how many were left out since the last one.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * PER_SECOND;
        (self.lines, self.at) = ((self.lines + gained).min(BURST), now);
        if self.lines < 1.0 {
            self.left_out += 1;
            return None;
        }
        self.lines -= 1.0;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// A form of log lines with the bound around it.
pub(super) struct Limited<F> {
    inner: F,
    is_json: bool,
    /// By place; there are as many as the program has.
    places: Mutex<HashMap<Identifier, Allowance>>,
}

impl<F> Limited<F> {
    /// Bounds the lines of `inner`; what is said of those left out is JSON if they are.
    pub(super) fn new(inner: F, is_json: bool) -> Self {
        Self { inner, is_json, places: Mutex::new(HashMap::new()) }
    }

    fn take(&self, metadata: &Metadata<'_>) -> Option<u64> {
        let own = metadata.target().starts_with("conclave");
        match *metadata.level() {
            Level::ERROR if own => return Some(0),
            Level::DEBUG | Level::TRACE => return Some(0),
            _ => {}
        }
        let now = Instant::now();
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry(metadata.callsite()).or_insert_with(|| Allowance::new(now)).take(now)
    }

    fn note(&self, writer: &mut Writer<'_>, left_out: u64) -> fmt::Result {
        let message = format!("{left_out} lines like the next one were left out; the metrics count them");
        if self.is_json {
            let line = serde_json::json!({"level": "WARN", "target": "conclave::log", "fields": {"message": message}});
            writeln!(writer, "{line}")
        } else {
            writeln!(writer, "{message}:")
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for Limited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        match self.take(event.metadata()) {
            None => Ok(()),
            Some(0) => self.inner.format_event(context, writer, event),
            Some(left_out) => {
                self.note(&mut writer, left_out)?;
                self.inner.format_event(context, writer, event)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::{
        io,
        sync::{Arc, MutexGuard},
        time::Duration,
    };
    use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt};

    #[test]
    fn a_burst_passes_then_one_line_a_second_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let passed = (0..1000).filter(|_| allowance.take(start).is_some()).count();
        assert_eq!(passed, BURST as usize);
        assert_eq!(allowance.take(start + Duration::from_millis(1500)), Some(1000 - BURST as u64));
        assert_eq!(allowance.take(start + Duration::from_millis(1500)), None);
        let later = start + Duration::from_secs(3600);
        assert_eq!(allowance.take(later), Some(1));
        assert_eq!((0..1000).filter(|_| allowance.take(later).is_some()).count(), BURST as usize - 1);
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut lines: MutexGuard<'_, Vec<u8>> = self.0.lock().unwrap();
            lines.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_flood_at_one_place_hides_neither_errors_nor_other_places() {
        let lines = Lines::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone()).with_ansi(false);
        let layer = layer.json().map_event_format(|inner| Limited::new(inner, true));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..500 {
                tracing::warn!(target: "conclave::test", number, "flood");
                tracing::error!(target: "conclave::test", number, "error");
            }
            tracing::info!(target: "conclave::test", "elsewhere");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let with = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        let flood = with("flood");
        assert!((BURST as usize..100).contains(&flood), "{flood}");
        assert_eq!((with("\"error\""), with("elsewhere")), (500, 1));
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }
}
