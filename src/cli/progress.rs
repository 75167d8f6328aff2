//! Progress on whatever takes more than a second; none where nobody watches.

use super::output::is_watched;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{borrow::Cow, time::Duration};

/// A bar for `length` steps, called `what`.
pub(crate) fn bar(what: impl Into<Cow<'static, str>>, length: u64) -> ProgressBar {
    let template = "{msg} [{bar:32}] {pos}/{len} ({per_sec}, {eta} left)";
    styled(ProgressBar::with_draw_target(Some(length), target()), template).with_message(what)
}

/// A bar for something of unknown length, called `what`.
pub(crate) fn spinner(what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let bar =
        styled(ProgressBar::with_draw_target(None, target()), "{spinner} {msg} {pos}").with_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn target() -> ProgressDrawTarget {
    if is_watched() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    bar.with_style(
        ProgressStyle::with_template(template).expect("the templates of this file are well formed"),
    )
}
