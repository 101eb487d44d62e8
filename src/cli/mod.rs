//! The command line: what was typed, what will be done, and one short file for each subcommand.
//!
//! Arguments go through two stages. [`args`] holds what was typed: no I/O, nothing can fail but validation. Each subcommand
//! then decides what will be done (columns, method, width), collects, and renders. Nothing below this floor ever sees an
//! argument.

pub mod args;
mod demo;
mod pcstat;
mod pid;
mod screen;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::error::{Error, ErrorKind, Subject};
use crate::output::escape;
use args::{Cli, Command};

/// All that was asked for was reported.
const SUCCESS: u8 = 0;
/// Something could not be reported.
const INCOMPLETE: u8 = 1;
/// Wrong usage.
const USAGE: u8 = 2;

/// Runs the command with these arguments, the program's name first, and tells its exit status.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = args::understand_peers(arguments.collect());
    let parsed = command().try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return finish_parsing(&error),
    };
    let mut report = Report::default();
    let done = match cli.command {
        Command::Pid(args) => pid::run(&args, &mut report),
        Command::Pcstat(args) => pcstat::run(&args, &mut report),
        Command::Demo(args) => demo::run(&args, &mut report),
        Command::RemoveAtEnd(args) => crate::laboratory::guard::remove_at_end(&args.file),
    };
    ExitCode::from(report.status(done))
}

/// The whole command, with the columns of each view in its help.
pub fn command() -> clap::Command {
    Cli::command()
        .mut_subcommand("pid", |sub| sub.after_help(pid::help()))
        .mut_subcommand("pcstat", |sub| sub.after_help(pcstat::help()))
        .mut_subcommand("demo", |sub| sub.after_help(demo::help()))
}

/// Help and version go to standard output and are a success; wrong usage goes to standard error.
fn finish_parsing(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match (error.use_stderr(), printed) {
        (true, _) => ExitCode::from(USAGE),
        (false, Err(failed)) => ExitCode::from(Report::default().status(Err(Stop::Output(failed)))),
        (false, Ok(())) => ExitCode::from(SUCCESS),
    }
}

/// Why a subcommand ended before it was done.
pub(crate) enum Stop {
    /// The arguments do not make sense together.
    Usage(Error),
    /// It could not be done at all.
    Failed(Error),
    /// Standard output could not be written.
    Output(io::Error),
    /// A signal asked it to end, and everything was put back.
    Signal(i32),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Output(error)
    }
}

/// The result of a subcommand.
pub(crate) type Done = Result<(), Stop>;

impl Stop {
    /// Wrong usage that clap cannot see.
    pub(crate) fn usage(about: &str, why: impl Into<std::borrow::Cow<'static, str>>) -> Stop {
        Stop::Usage(Error::new(Subject::Words(about.to_owned()), ErrorKind::Refused, why))
    }
}

/// What went wrong on the way: each failure is one line on standard error, is remembered, and the work goes on.
#[derive(Default)]
pub(crate) struct Report {
    failed: bool,
}

impl Report {
    /// Says that one thing could not be reported.
    pub(crate) fn failure(&mut self, error: &Error) {
        self.failed = true;
        Report::say(error);
    }

    /// Remembers that the answer has a gap that its rows already name.
    pub(crate) fn incomplete(&mut self) {
        self.failed = true;
    }

    fn say(error: &Error) {
        // There is nobody left to tell when standard error is closed.
        let _ = writeln!(io::stderr(), "rmap: {}", escape::error_line(error));
    }

    /// The exit status. A reader that went away (a broken pipe) has seen what it wanted.
    fn status(&self, done: Done) -> u8 {
        match done {
            Ok(()) if self.failed => INCOMPLETE,
            Ok(()) => SUCCESS,
            Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => SUCCESS,
            Err(Stop::Output(error)) => {
                Report::say(&Error::io(Subject::Words("standard output".to_owned()), &error));
                INCOMPLETE
            }
            Err(Stop::Usage(error)) => {
                Report::say(&error);
                USAGE
            }
            Err(Stop::Failed(error)) => {
                Report::say(&error);
                INCOMPLETE
            }
            // The shell's convention for a program that a signal ended.
            Err(Stop::Signal(signal)) => u8::try_from(128 + signal).unwrap_or(INCOMPLETE),
        }
    }
}
