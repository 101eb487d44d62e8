//! The progress of long work: shown on standard error, only on a terminal, and only after a second. A picture is
//! shown at once. If standard error is not a terminal, a line per second replaces it.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::table::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long work runs before progress is shown.
const SILENCE: Duration = Duration::from_secs(1);

/// The line on standard error.
#[derive(Default)]
pub(crate) struct ProgressLine(Option<Shown>);

struct Shown {
    verb: &'static str,
    begun: Instant,
    bar: Option<ProgressBar>,
}

impl ProgressLine {
    /// Work described by `verb` ("warming"); shown only on a terminal.
    pub(crate) fn new(verb: &'static str) -> ProgressLine {
        let is_terminal = std::io::stderr().is_terminal();
        ProgressLine(is_terminal.then(|| Shown { verb, begun: Instant::now(), bar: None }))
    }

    /// Shows the progress.
    pub(crate) fn show(&mut self, progress: Progress) {
        let Some(shown) = &mut self.0 else {
            if let Progress::Log(line) = progress {
                // If standard error is closed, nobody watches.
                let _ = writeln!(std::io::stderr(), "rmap: {line}");
            }
            return;
        };
        match progress {
            Progress::Log(_) => {}
            Progress::Done => shown.bar.take().iter().for_each(ProgressBar::finish_and_clear),
            // Of an act that takes long enough to be looked at.
            Progress::Picture(lines) => shown.bar.get_or_insert_with(|| bar("{msg}")).set_message(lines),
            _ if shown.bar.is_none() && shown.begun.elapsed() < SILENCE => {}
            Progress::Files(files) => {
                let template = format!("{} {{human_pos}} files, {{elapsed}}", shown.verb);
                shown.bar.get_or_insert_with(|| bar(&template)).set_position(files);
            }
            Progress::Bytes(done, all) => {
                let template = format!("{} {{bar:40}} {{bytes}} of {{total_bytes}}, {{bytes_per_sec}}", shown.verb);
                let bar = shown.bar.get_or_insert_with(|| bar(&template));
                bar.set_length(all.0);
                bar.set_position(done.0.min(all.0));
            }
        }
    }

    /// Hides the progress line while `print` writes to standard error.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        match self.0.as_ref().and_then(|shown| shown.bar.as_ref()) {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

fn bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    ProgressStyle::with_template(template).map(|style| bar.clone().with_style(style)).unwrap_or(bar)
}
