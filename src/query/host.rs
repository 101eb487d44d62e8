//! The environment of a query: receives failures and progress, and can end it.

use std::time::Instant;

use crate::error::Error;
use crate::table::{Progress, Stop};

/// The environment of a query. Only the required methods have to be implemented; the others let the query run to its
/// end.
pub trait Host {
    /// Something could not be reported.
    fn failure(&mut self, error: &Error);
    /// Something was left out on purpose.
    fn note(&mut self, _note: &Error) {}
    /// The answer lacks something that its rows already report.
    fn incomplete(&mut self);
    /// Something was read that has rows, whether or not the request shows any of them.
    fn was_read(&mut self) {}
    /// Rows were left out that the filter may accept, because figures of them could not be read.
    fn left_out_unread(&mut self) {}
    /// No row of a repeated query has matched its filter so far.
    fn nothing_matches(&mut self) {}
    /// The progress of the reading.
    fn progress(&mut self, _progress: Progress) {}
    /// Checks whether to continue.
    ///
    /// # Errors
    /// [`Stop::Signal`] if a signal has arrived.
    fn check(&self) -> Result<(), Stop> {
        Ok(())
    }
    /// Waits until `end`.
    ///
    /// # Errors
    /// [`Stop::Signal`] as soon as a signal arrives.
    fn wait_until(&mut self, end: Instant) -> Result<(), Stop> {
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        Ok(())
    }
}

/// A host that collects failures, for a program that uses the library. Nothing ends its queries early.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    /// What could not be reported.
    pub errors: Vec<Error>,
    /// Whether the answer lacks something that its rows name.
    pub is_incomplete: bool,
}

impl Failures {
    /// No failures yet.
    pub fn new() -> Failures {
        Failures::default()
    }

    /// Whether everything that was requested was reported.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && !self.is_incomplete
    }
}

impl Host for Failures {
    fn failure(&mut self, error: &Error) {
        self.errors.push(error.clone());
    }

    fn incomplete(&mut self) {
        self.is_incomplete = true;
    }
}
