//! Failures and progress on standard error, and the exit status.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use super::full_screen::SharedScreen;
use super::progress::ProgressLine;
use super::screen;
use super::signals::{GLANCE, Signals};
use super::terminal::Terminal;
use crate::capture::path_in_archive;
use crate::error::{Error, ErrorKind, Subject};
use crate::query::Host;
use crate::table::{Progress, Stop, escape};

/// Output that goes with work: if the work is wanted for itself, it is done although the output cannot be written.
pub(super) struct Accompaniment {
    is_wanted_alone: bool,
    failed: Option<std::io::Error>,
}

impl Accompaniment {
    /// None yet.
    pub(super) fn new(is_wanted_alone: bool) -> Accompaniment {
        Accompaniment { is_wanted_alone, failed: None }
    }

    /// Goes on after a part of the output, unless that failed and the work is not wanted without it.
    pub(super) fn go_on(&mut self, done: Result<(), Stop>) -> Result<(), Stop> {
        match done {
            Err(Stop::Output(error)) if self.is_wanted_alone => {
                self.failed.get_or_insert(error);
                Ok(())
            }
            done => done,
        }
    }

    /// The first failure, unless nobody reads the output any more.
    pub(super) fn end(self) -> Result<(), Stop> {
        Report::unless_closed(self.failed.map_or(Ok(()), |error| Err(Stop::Output(error))))
    }
}

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
    /// Whether something was read that has rows.
    has_read: bool,
    /// Whether rows were left out that may match.
    has_left_out: bool,
    progress: ProgressLine,
    /// The options and operands in use that may leave out every row.
    pub(crate) narrowed: Vec<Cow<'static, str>>,
    /// Whether something is done with the files, whatever rows are shown.
    pub(crate) works: bool,
    /// The files whose names may be pids that were typed after a blank.
    pub(crate) paths_like_pids: Vec<PathBuf>,
    /// The signals that end the work cleanly, if they are watched.
    pub(crate) signals: Option<Signals>,
    /// The exit status of a program that was run, which is then that of rmap.
    pub(crate) own_status: Option<u8>,
    /// The terminal of a repeated answer, if there is one.
    terminal: Option<Terminal>,
    /// What is printed when the alternate screen is left.
    deferred: Vec<Error>,
    /// The alternate screen, which shows the last of them.
    pub(crate) screen: SharedScreen,
}

impl Report {
    /// Enables the progress display for this work.
    pub(crate) fn show_progress(&mut self, verb: &'static str) {
        self.progress = ProgressLine::new(verb);
    }

    /// Takes the terminal for a repeated answer, with the alternate screen if that is requested.
    pub(crate) fn take_terminal(&mut self, is_full_screen: bool) {
        self.terminal = Terminal::take(is_full_screen);
    }

    /// Restores the terminal, and prints what could not be printed on the alternate screen.
    pub(crate) fn restore_terminal(&mut self) {
        self.terminal = None;
        self.deferred.drain(..).for_each(|error| Report::print(&error));
    }

    /// Reports that a file has lost its name, which leaves something behind, unless that was told, however it ends.
    pub(super) fn lost_name(&mut self, lost: Option<Error>, told: &[Error], done: &Result<(), Stop>) {
        let last = if let Err(Stop::Failed(error)) = done { Some(error) } else { None };
        if let Some(error) = lost.filter(|lost| told.iter().chain(last).all(|told| told.why() != lost.why())) {
            self.failure(&error);
        }
    }

    fn say(&mut self, error: &Error) {
        match &self.terminal {
            Some(terminal) if terminal.is_full_screen() => {
                let earlier = match self.deferred.len() {
                    0 => String::new(),
                    more => format!(" (and {more} more, shown at the end)"),
                };
                self.screen.borrow_mut().message = Report::line(error) + &earlier;
                self.deferred.push(error.clone());
            }
            _ => self.progress.suspend(|| Report::print(error)),
        }
    }

    /// Waits until `end`, a signal or the key that ends the answer.
    fn wait_for_keys_until(&mut self, end: Instant) -> Result<(), Stop> {
        loop {
            self.check()?;
            if self.terminal.as_mut().is_some_and(Terminal::is_end) {
                return Err(Stop::Enough);
            }
            if self.terminal.as_ref().is_some_and(Terminal::is_full_screen) {
                self.screen.borrow_mut().redraw_if_resized().map_err(Stop::Output)?;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(GLANCE));
        }
    }

    pub(super) fn print(error: &Error) {
        screen::complain(&Report::line(error));
    }

    /// A failure or a note, as one line.
    pub(super) fn line(error: &Error) -> String {
        // An archive is unpacked to a place that says nothing.
        let named = match error.subject() {
            Subject::Path(path) => path_in_archive(path).map(|path| error.clone().about(Subject::Path(path))),
            _ => None,
        };
        format!("rmap: {}", escape::error_line(named.as_ref().unwrap_or(error)))
    }

    /// Says once that no such `thing`, a row or a file, matches the options that choose them. If nothing could be
    /// read, that has been said.
    pub(super) fn say_that_nothing_matches(&mut self, thing: &str) {
        let narrowed = std::mem::take(&mut self.narrowed);
        if !narrowed.is_empty() && (self.has_read || !self.failed) {
            let which = if self.failed || self.has_left_out { " that could be read" } else { "" };
            let but = if self.works { "; the files were worked on all the same" } else { "" };
            self.say_of_answer(&narrowed.join(", "), format!("no {thing}{which} matches{but}"));
        }
    }

    /// Whether something could not be reported or done so far.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Says something about a complete answer that its rows do not show. It is not a failure.
    pub(super) fn remark(&self, about: &str, what: impl Into<Cow<'static, str>>) {
        if !self.failed {
            self.say_of_answer(about, what);
        }
    }

    fn say_of_answer(&self, about: &str, what: impl Into<Cow<'static, str>>) {
        let note = Error::new(Subject::Words(about.to_owned()), ErrorKind::NotFound, what);
        self.progress.suspend(|| Report::print(&note));
    }

    /// The exit status: of the program that was run, or else of rmap itself. Says why something failed.
    pub(super) fn status(&self, done: Result<(), Stop>) -> u8 {
        let status = self.status_of(done);
        self.own_status.unwrap_or(status)
    }

    /// Goes on if nobody reads the report any more.
    pub(super) fn unless_closed(done: Result<(), Stop>) -> Result<(), Stop> {
        match done {
            Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }

    /// A broken pipe is not a failure: the reader has seen what it wanted.
    fn status_of(&self, done: Result<(), Stop>) -> u8 {
        match Report::unless_closed(done) {
            Ok(()) | Err(Stop::Enough) if self.failed => INCOMPLETE,
            Ok(()) | Err(Stop::Enough) => SUCCESS,
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
        match error.subject() {
            Subject::Path(path) if error.kind() == ErrorKind::NotFound && self.paths_like_pids.contains(path) => {
                let hint = format!("if it is a process, separate it with a comma: --pid PID,{}", path.display());
                self.say(&error.clone().with_advice(hint));
            }
            _ => self.say(error),
        }
    }

    fn note(&mut self, note: &Error) {
        self.say(note);
    }

    fn incomplete(&mut self) {
        self.failed = true;
    }

    fn was_read(&mut self) {
        self.has_read = true;
    }

    fn nothing_matches(&mut self) {
        if self.has_read || !self.failed {
            let which = if self.failed || self.has_left_out { " that could be read" } else { "" };
            let about = Subject::Words("--filter".to_owned());
            self.say(&Error::new(about, ErrorKind::NotFound, format!("no row{which} matches so far")));
        }
    }

    fn left_out_unread(&mut self) {
        self.has_left_out = true;
    }

    fn progress(&mut self, progress: Progress) {
        // On a screen with a round it would be written behind the last line.
        if !self.screen.borrow().is_drawn() {
            self.progress.show(progress);
        }
    }

    fn check(&self) -> Result<(), Stop> {
        self.signals.as_ref().map_or(Ok(()), Signals::check)
    }

    fn wait_until(&mut self, end: Instant) -> Result<(), Stop> {
        let waited = self.wait_for_keys_until(end);
        if let Some(terminal) = &mut self.terminal {
            terminal.end_wait();
        }
        waited
    }
}
