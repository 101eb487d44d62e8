//! Failures and progress on standard error, and the exit status.

use std::io::{self, Write};
use std::time::Instant;

use super::keys::Keys;
use super::progress::ProgressLine;
use super::signals::{GLANCE, Signals};
use crate::error::{Error, ErrorKind, Subject};
use crate::query::Host;
use crate::table::{Progress, Stop, escape};

/// Everything that was requested was reported.
pub(super) const SUCCESS: u8 = 0;
/// Something could not be reported.
const INCOMPLETE: u8 = 1;
/// Wrong usage.
pub(super) const USAGE: u8 = 2;

/// Prints each failure as one line on standard error and remembers it; the work continues.
#[derive(Default)]
pub(crate) struct Report {
    failed: bool,
    progress: ProgressLine,
    /// The signals that end the work cleanly, if they are watched.
    pub(crate) signals: Option<Signals>,
    /// The keys that end a repeated answer, if there is a terminal.
    pub(crate) keys: Option<Keys>,
}

impl Report {
    /// Enables the progress display for this work.
    pub(crate) fn show_progress(&mut self, verb: &'static str) {
        self.progress = ProgressLine::new(verb);
    }

    /// Waits until `end`, a signal or the key that ends the answer.
    fn wait_for_keys_until(&mut self, end: Instant) -> Result<(), Stop> {
        loop {
            self.check()?;
            if self.keys.as_mut().is_some_and(Keys::is_end) {
                return Err(Stop::Enough);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(GLANCE));
        }
    }

    fn print(error: &Error) {
        // If standard error is closed, nobody can read the message.
        let _ = writeln!(io::stderr(), "rmap: {}", escape::error_line(error));
    }

    /// The exit status. A broken pipe is a success: the reader has seen what it wanted.
    pub(super) fn status(&self, done: Result<(), Stop>) -> u8 {
        match done {
            Ok(()) | Err(Stop::Enough) if self.failed => INCOMPLETE,
            Ok(()) | Err(Stop::Enough) => SUCCESS,
            Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => SUCCESS,
            Err(Stop::Output(error)) => {
                Report::print(&Error::io(Subject::Words("standard output".to_owned()), &error));
                INCOMPLETE
            }
            Err(Stop::Usage(error)) => {
                Report::print(&error);
                USAGE
            }
            Err(Stop::Filter(error)) => {
                let about = Subject::Words("--filter".to_owned());
                Report::print(&Error::new(about, ErrorKind::Refused, error.to_string()));
                USAGE
            }
            Err(Stop::Failed(error)) => {
                Report::print(&error);
                INCOMPLETE
            }
            // The shell's convention for a program that was ended by a signal.
            Err(Stop::Signal(signal)) => u8::try_from(128 + signal).unwrap_or(INCOMPLETE),
        }
    }
}

impl Host for Report {
    fn failure(&mut self, error: &Error) {
        self.failed = true;
        self.progress.suspend(|| Report::print(error));
    }

    fn note(&mut self, note: &Error) {
        self.progress.suspend(|| Report::print(note));
    }

    fn incomplete(&mut self) {
        self.failed = true;
    }

    fn progress(&mut self, progress: Progress) {
        self.progress.show(progress);
    }

    fn check(&self) -> Result<(), Stop> {
        self.signals.as_ref().map_or(Ok(()), Signals::check)
    }

    fn wait_until(&mut self, end: Instant) -> Result<(), Stop> {
        let waited = self.wait_for_keys_until(end);
        if let Some(keys) = &mut self.keys {
            keys.restore();
        }
        waited
    }
}
