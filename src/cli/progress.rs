//! Progress of work that lasts: on standard error, on a terminal, and only after a second.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::units::Bytes;

/// How long work goes on without a word.
const SILENCE: Duration = Duration::from_secs(1);

/// The progress of one piece of work after another.
pub(crate) struct Progress {
    verb: &'static str,
    bar: Option<ProgressBar>,
    begun: Instant,
    done: u64,
}

impl Progress {
    /// Work that is called `verb` ("warming").
    pub(crate) fn new(verb: &'static str) -> Progress {
        Progress { verb, bar: None, begun: Instant::now(), done: 0 }
    }

    /// `bytes` more are done, of `all`.
    pub(crate) fn advance(&mut self, bytes: Bytes, all: Bytes) {
        self.reach(Bytes(self.done.saturating_add(bytes.0)), all);
    }

    /// `done` bytes are done by now, of `all`.
    pub(crate) fn reach(&mut self, done: Bytes, all: Bytes) {
        self.done = done.0;
        if self.bar.is_none() && self.begun.elapsed() < SILENCE {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| bar(self.verb));
        bar.set_length(all.0);
        bar.set_position(self.done.min(all.0));
    }

    /// The piece is done, and its bar goes.
    pub(crate) fn clear(&mut self) {
        self.bar.take().iter().for_each(ProgressBar::finish_and_clear);
        self.done = 0;
    }
}

/// How many things were done, where nobody knows how many there are. Threads share it.
#[derive(Clone)]
pub(crate) struct Count(Option<Shown>);

#[derive(Clone)]
struct Shown {
    bar: ProgressBar,
    begun: Instant,
    done: Arc<AtomicU64>,
}

impl Count {
    /// Things that are done: "looked at 12,345 files". Only where `shown`, and only on a terminal.
    pub(crate) fn new(verb: &str, things: &str, shown: bool) -> Count {
        if !shown || !std::io::stderr().is_terminal() {
            return Count(None);
        }
        let bar = ProgressBar::with_draw_target(None, target());
        let template = format!("{verb} {{human_pos}} {things}, {{elapsed}}");
        let bar = ProgressStyle::with_template(&template).map(|style| bar.clone().with_style(style)).unwrap_or(bar);
        Count(Some(Shown { bar, begun: Instant::now(), done: Arc::default() }))
    }

    /// One more.
    pub(crate) fn one(&self) {
        let Some(shown) = &self.0 else { return };
        let done = shown.done.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if shown.begun.elapsed() >= SILENCE {
            shown.bar.set_position(done);
        }
    }

    /// Says something else on standard error meanwhile.
    pub(crate) fn aside<R>(&self, say: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(shown) => shown.bar.suspend(say),
            None => say(),
        }
    }

    /// All is done, and the line goes.
    pub(crate) fn clear(&self) {
        self.0.iter().for_each(|shown| shown.bar.finish_and_clear());
    }
}

fn target() -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() }
}

fn bar(verb: &str) -> ProgressBar {
    let target = target();
    let bar = ProgressBar::with_draw_target(Some(0), target);
    let template = format!("{verb} {{bar:40}} {{bytes}} of {{total_bytes}}, {{bytes_per_sec}}");
    ProgressStyle::with_template(&template).map(|style| bar.clone().with_style(style)).unwrap_or(bar)
}
