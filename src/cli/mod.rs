//! The command line: what was typed, what will be done, and one short file for each subcommand.
//!
//! Arguments go through two stages. [`args`] holds what was typed: no I/O, nothing can fail but validation. Each subcommand
//! then decides what will be done (columns, method, width), collects, and renders. Nothing below this floor ever sees an
//! argument.

pub mod args;
pub mod config;
mod demo;
mod each_file;
mod effects;
mod evict;
mod lock;
mod map;
mod measure;
mod pcstat;
mod pid;
mod processes;
mod progress;
mod runs;
mod screen;
mod select;
mod signals;
mod survey;
mod warm;
mod watch;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::error::{Error, ErrorKind, Subject};
use crate::output::escape;
use crate::output::filter::FilterError;
use args::{Cli, Command};

/// All that was asked for was reported.
const SUCCESS: u8 = 0;
/// Something could not be reported.
const INCOMPLETE: u8 = 1;
/// Wrong usage.
const USAGE: u8 = 2;

/// What `--filter` takes, for `--help`.
pub(crate) const FILTER_HELP: &str = "--filter compares columns with values: == != < <= > >= and =~ (a regular expression), \
joined by && || ! and parentheses. Sizes are 4096, 64K, 10M; text is bare or in quotes; a number may be compared with another \
column. An absent figure never matches.";

/// Runs the command with these arguments, the program's name first, and tells its exit status.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = args::understand_peers(arguments.collect());
    let mut cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => return finish_parsing(&error),
    };
    let mut report = Report::default();
    if let Err(stop) = config::apply(&mut cli) {
        return ExitCode::from(report.status(Err(stop)));
    }
    let done = match cli.command {
        Command::Pid(args) => pid::run(&args, &mut report),
        Command::Pcstat(args) => pcstat::run(&args, &mut report),
        Command::Demo(args) => demo::run(&args, &mut report),
        Command::Warm(args) => warm::run(&args, &mut report),
        Command::Evict(args) => evict::run(&args, &mut report),
        Command::Lock(args) => lock::run(&args, &mut report),
    };
    ExitCode::from(report.status(done))
}

/// Reads the arguments.
///
/// To know what one subcommand takes is enough in the common case, and takes half as long as to know all of them with their
/// help: 0.1 ms, where the whole program takes 1.2 ms for a small file. Whatever that cannot read is read again by the
/// whole command, which has the words for it; so a subcommand need not be named here.
fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let known = match arguments.get(1).and_then(|word| word.to_str()) {
        Some("pid") => parse_one(arguments, Command::Pid),
        Some("pcstat") => parse_one(arguments, Command::Pcstat),
        _ => None,
    };
    known.map_or_else(|| Cli::from_arg_matches(&command().try_get_matches_from(arguments)?), Ok)
}

/// Reads the arguments of one subcommand, if they are in order and there is nothing else (`--config` belongs to the whole command).
fn parse_one<A: clap::Args>(arguments: &[OsString], command: fn(A) -> Command) -> Option<Cli> {
    let reader = A::augment_args(clap::Command::new("rmap"));
    let matches = reader.try_get_matches_from(arguments.get(1..)?).ok()?;
    A::from_arg_matches(&matches).ok().map(|args| Cli { command: command(args), config: None, no_config: false })
}

/// The whole command, with the columns of each view in its help.
pub fn command() -> clap::Command {
    Cli::command()
        .mut_subcommand("pid", |sub| sub.after_help(pid::help()))
        .mut_subcommand("pcstat", |sub| sub.after_help(pcstat::help()))
        .mut_subcommand("demo", |sub| sub.after_help(demo::help()))
        .mut_subcommand("warm", |sub| sub.after_help(effects::help()))
        .mut_subcommand("evict", |sub| sub.after_help(effects::help()))
        .mut_subcommand("lock", |sub| sub.after_help(effects::help()))
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
    /// An expression behind this option makes no sense.
    Expression(String, FilterError),
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
    /// An expression that makes no sense, and the place in it.
    pub(crate) fn expression(option: &str, error: FilterError) -> Stop {
        Stop::Expression(option.to_owned(), error)
    }

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
            Err(Stop::Expression(option, error)) => {
                Report::say(&Error::new(Subject::Words(option), ErrorKind::Refused, error.why.clone()));
                let _ = writeln!(io::stderr(), "{}", error.picture());
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
