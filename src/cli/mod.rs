//! The command line: the subcommands, their arguments, and the exit status.
//!
//! One short file per subcommand turns the arguments into a [`Query`](crate::query::Query) and a source. Nothing below
//! this module sees an argument.

mod answer;
#[cfg(any(test, fuzzing))]
#[path = "../../tests/checks/cli.rs"]
pub mod checks;
mod chosen;
mod config;
mod demo;
mod effects;
mod full_screen;
mod pcstat;
mod peers;
mod pid;
mod progress;
mod report;
mod run;
mod screen;
mod signals;
mod terminal;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, FromArgMatches};

use crate::table::Stop;
use config::GlobalArgs;
use report::{Report, SUCCESS, USAGE};
use run::{Done, Listed, Subcommand};

/// Every subcommand, in the order of `--help`.
const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand::of::<pid::PidArgs>(),
    Subcommand::of::<pcstat::PcstatArgs>(),
    Subcommand::of::<demo::DemoArgs>(),
    Subcommand::of::<effects::WarmArgs>(),
    Subcommand::of::<effects::EvictArgs>(),
    Subcommand::of::<effects::LockArgs>(),
];

/// Runs the command with these arguments (the first is the name of the program) and returns its exit status.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = peers::understand(arguments.collect());
    let mut report = Report::default();
    match parse_and_run(&arguments, &mut report) {
        Ok(done) => ExitCode::from(report.status(done)),
        Err(error) => finish_parsing(&error, arguments.get(1).and_then(|word| word.to_str())),
    }
}

/// Parses the arguments and runs the subcommand that they name.
///
/// In the common case only the parser of that subcommand is built, which takes half as long as building all of them
/// with their help. This saves 0.1 ms of the 1.2 ms that the whole program takes for a small file. Arguments that it
/// cannot parse are parsed again by the full command, which has the right messages.
fn parse_and_run(arguments: &[OsString], report: &mut Report) -> Result<Done, clap::Error> {
    let typed = arguments.get(1).and_then(|word| word.to_str());
    if let Some(subcommand) = SUBCOMMANDS.iter().find(|subcommand| Some(subcommand.name) == typed) {
        let parser = GlobalArgs::augment_args((subcommand.augment)(clap::Command::new("rmap")));
        if let Ok(matches) = parser.try_get_matches_from(arguments.get(1..).unwrap_or_default()) {
            return run_subcommand(subcommand, &matches, report);
        }
    }
    let matches = command().try_get_matches_from(arguments)?;
    match matches.subcommand() {
        Some((name, matches)) => match SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name) {
            Some(subcommand) => run_subcommand(subcommand, matches, report),
            None => Ok(Ok(())),
        },
        None => Ok(Ok(())),
    }
}

fn run_subcommand(subcommand: &Subcommand, matches: &ArgMatches, report: &mut Report) -> Result<Done, clap::Error> {
    let global = GlobalArgs::from_arg_matches(matches)?;
    if let Err(refused) = global.check() {
        return Ok(Err(refused));
    }
    let configure = || config::read(&global, subcommand.name, SUBCOMMANDS);
    (subcommand.run)(matches, &configure, report)
}

/// The ids of the columns of all subcommands, which are the JSON keys that `docs/json.md` describes.
pub fn column_ids() -> Vec<String> {
    SUBCOMMANDS
        .iter()
        .flat_map(|subcommand| subcommand.rows)
        .flat_map(Listed::heads)
        .map(|head| head.id.into_owned())
        .collect()
}

/// The exit status, for `--help`.
const STATUS: &str = "Exit status: 0 if everything was reported, 1 if something could not be, 2 for wrong usage. If a \
signal ends rmap early, 128 plus its number: 130 after Ctrl-C, 143 after SIGTERM; with -w, and where lock or \
demo --hold wait, a signal is the regular end.";

/// The whole command, with the columns of each view in its help.
pub fn command() -> clap::Command {
    let command = clap::Command::new("rmap")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands(SUBCOMMANDS.iter().map(Subcommand::command));
    let command = GlobalArgs::augment_args(command).about("Where is this memory, page by page, and who holds it?");
    command.after_help(STATUS)
}

/// Prints help and version to standard output, which is a success, and wrong usage as one line to standard error.
fn finish_parsing(error: &clap::Error, typed: Option<&str>) -> ExitCode {
    if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let subcommand = typed.filter(|typed| SUBCOMMANDS.iter().any(|subcommand| subcommand.name == *typed));
        // If standard error is closed, nobody can read the message.
        let _ = writeln!(std::io::stderr(), "rmap: {}", usage_line(&error.render().to_string(), subcommand));
        return ExitCode::from(USAGE);
    }
    match error.print() {
        _ if error.use_stderr() => ExitCode::from(USAGE),
        Err(failed) => ExitCode::from(Report::default().status(Err(Stop::Output(failed)))),
        Ok(()) => ExitCode::from(SUCCESS),
    }
}

/// What clap says in several paragraphs, as one line, without the usage.
fn usage_line(text: &str, subcommand: Option<&str>) -> String {
    let said = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let said = said.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let mut line = String::new();
    for words in said {
        let joint = if line.is_empty() {
            ""
        } else if words.starts_with("tip:") {
            "; "
        } else {
            " "
        };
        line.push_str(joint);
        line.push_str(words.trim_start_matches("error: ").trim_start_matches("tip: "));
    }
    let command = subcommand.map_or("rmap".to_owned(), |subcommand| format!("rmap {subcommand}"));
    format!("{line}; see '{command} --help'")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_consistent() {
        super::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_one_line() {
        let line = |words: &[&str]| {
            let error = super::command().try_get_matches_from(words).unwrap_err();
            super::usage_line(&error.render().to_string(), words.get(1).copied())
        };
        assert_eq!(
            line(&["rmap", "pid", "1", "--json", "--csv"]),
            "the argument '--json' cannot be used with '--csv'; see 'rmap pid --help'"
        );
        assert_eq!(
            line(&["rmap", "pid"]),
            "the following required arguments were not provided: <PID>...; see 'rmap pid --help'"
        );
        assert_eq!(
            line(&["rmap", "pcstat", "x", "--format", "y"]),
            "invalid value 'y' for '--format <FORMAT>' [possible values: table, json, jsonl, csv]; see 'rmap pcstat \
             --help'"
        );
        assert!(line(&["rmap", "pid", "1", "--jso"]).contains("; a similar argument exists: '--json'; see"));
    }
}
