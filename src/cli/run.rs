//! What a subcommand is: the arguments that it takes, its columns, and how it is carried out.

use clap::{ArgMatches, Args};

use super::config::{Configurable, Configured};
use super::report::Report;
use crate::table::Stop;

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
    pub(super) name: &'static str,
    about: &'static str,
    pub(super) augment: fn(clap::Command) -> clap::Command,
    help: fn() -> String,
    columns: fn() -> Vec<String>,
    column_called: fn(&str) -> &str,
    pub(super) run: fn(&ArgMatches, &Configured, &mut Report) -> Result<Done, clap::Error>,
}

impl Subcommand {
    pub(super) const fn of<A: Run>() -> Subcommand {
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

    pub(super) fn command(&self) -> clap::Command {
        (self.augment)(clap::Command::new(self.name)).about(self.about).after_help((self.help)())
    }

    /// What the configuration file may say about it.
    pub(super) fn configurable(&self) -> Configurable {
        Configurable { name: self.name, columns: self.columns, column_called: self.column_called }
    }
}
