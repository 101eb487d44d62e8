//! The command line: the subcommands, their arguments, and the exit status.
//!
//! One short file per subcommand turns the arguments into a [`Query`](crate::query::Query) and a source. Nothing below this
//! module sees an argument.

mod answer;
mod chosen;
mod config;
mod demo;
mod effects;
mod pcstat;
mod peers;
mod pid;
mod progress;
mod report;
mod screen;
mod signals;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, Args, FromArgMatches};

use crate::table::Stop;
use config::Configured;
use report::{Report, SUCCESS, USAGE};

/// Every subcommand, in the order of `--help`.
const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand::of::<pid::PidArgs>(),
    Subcommand::of::<pcstat::PcstatArgs>(),
    Subcommand::of::<demo::DemoArgs>(),
    Subcommand::of::<effects::WarmArgs>(),
    Subcommand::of::<effects::EvictArgs>(),
    Subcommand::of::<effects::LockArgs>(),
];

/// The result of a subcommand.
pub(crate) type Done = Result<(), Stop>;

/// The arguments of a subcommand, and what it does.
pub(crate) trait Run: Args {
    /// Its name.
    const NAME: &'static str;
    /// Its description in one line.
    const ABOUT: &'static str;

    /// The text after its options in `--help`: its columns and notes.
    fn help() -> String {
        String::new()
    }

    /// The names of its columns, which its section of the configuration file may use.
    fn columns() -> Vec<String> {
        Vec::new()
    }

    /// The id of the column that the configuration file calls `name`.
    fn column_called(name: &str) -> &str {
        name
    }

    /// Runs it.
    fn run(self, configured: &Configured, report: &mut Report) -> Done;
}

/// A subcommand, independent of the type of its arguments.
pub(crate) struct Subcommand {
    name: &'static str,
    about: &'static str,
    augment: fn(clap::Command) -> clap::Command,
    help: fn() -> String,
    columns: fn() -> Vec<String>,
    column_called: fn(&str) -> &str,
    run: fn(&ArgMatches, &Configured, &mut Report) -> Result<Done, clap::Error>,
}

impl Subcommand {
    const fn of<A: Run>() -> Subcommand {
        Subcommand {
            name: A::NAME,
            about: A::ABOUT,
            augment: A::augment_args,
            help: A::help,
            columns: A::columns,
            column_called: A::column_called,
            run: |matches, configured, report| A::from_arg_matches(matches).map(|args| args.run(configured, report)),
        }
    }

    fn command(&self) -> clap::Command {
        (self.augment)(clap::Command::new(self.name)).about(self.about).after_help((self.help)())
    }
}

/// The arguments that every subcommand takes.
#[derive(Debug, Default, Args)]
pub(crate) struct GlobalArgs {
    /// Read the default columns and units from FILE instead of ~/.config/rmap/config.toml
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "no_config")]
    config: Option<PathBuf>,
    /// Do not read a configuration file
    #[arg(long, global = true)]
    no_config: bool,
}

/// Runs the command with these arguments (the first is the name of the program) and returns its exit status.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = peers::understand(arguments.collect());
    let mut report = Report::default();
    match parse_and_run(&arguments, &mut report) {
        Ok(done) => ExitCode::from(report.status(done)),
        Err(error) => finish_parsing(&error),
    }
}

/// Parses the arguments and runs the subcommand that they name.
///
/// In the common case only the parser of that subcommand is built, which takes half as long as building all of them with
/// their help. This saves 0.1 ms of the 1.2 ms that the whole program takes for a small file. Arguments that it cannot
/// parse are parsed again by the full command, which has the right messages.
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
    match config::read(&global, subcommand) {
        Ok(configured) => (subcommand.run)(matches, &configured, report),
        Err(error) => Ok(Err(Stop::Usage(error))),
    }
}

/// The whole command, with the columns of each view in its help.
pub fn command() -> clap::Command {
    let command = clap::Command::new("rmap")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands(SUBCOMMANDS.iter().map(Subcommand::command));
    GlobalArgs::augment_args(command).about("Where is this memory, page by page, and who holds it?")
}

/// Prints help and version to standard output, which is a success, and wrong usage to standard error.
fn finish_parsing(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match (error.use_stderr(), printed) {
        (true, _) => ExitCode::from(USAGE),
        (false, Err(failed)) => ExitCode::from(Report::default().status(Err(Stop::Output(failed)))),
        (false, Ok(())) => ExitCode::from(SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_consistent() {
        super::command().debug_assert();
    }
}
