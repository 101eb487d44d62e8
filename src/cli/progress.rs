//! Progress of work that lasts: on standard error, on a terminal, and only after a second.

use std::io::IsTerminal;
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
        self.done = self.done.saturating_add(bytes.0);
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

fn bar(verb: &str) -> ProgressBar {
    let shown = std::io::stderr().is_terminal();
    let target = if shown { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    let template = format!("{verb} {{bar:40}} {{bytes}} of {{total_bytes}}, {{bytes_per_sec}}");
    ProgressStyle::with_template(&template).map(|style| bar.clone().with_style(style)).unwrap_or(bar)
}
