//! What a subcommand is: the arguments that it takes, the kinds of row that it shows, and how it is carried out.

use clap::builder::Resettable;
use clap::{Arg, ArgAction, ArgMatches, Args};

use super::report::Report;
use crate::error::Error;
use crate::process::class::OwnClass;
use crate::table::{ColumnHead, Order, RowKind, SizeUnit, Stop, columns_help, heads, typed};

/// The result of a subcommand.
pub(crate) type Done = Result<(), Stop>;

/// What the configuration file says about a subcommand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Configured {
    /// The columns of tables.
    pub(crate) columns: Option<Vec<String>>,
    /// The unit of sizes in tables.
    pub(crate) unit: Option<SizeUnit>,
    /// Rules for the column `class` of mappings.
    pub(crate) classes: Vec<OwnClass>,
}

impl Configured {
    /// What it says about tables of another kind of row: only the unit, because the columns are those of the first.
    pub(super) fn for_other_rows(&self) -> Configured {
        Configured { columns: None, unit: self.unit, classes: self.classes.clone() }
    }
}

/// Reads the section of a subcommand in the configuration file.
pub(super) type Configure<'c> = &'c dyn Fn() -> Result<Configured, Error>;

/// The arguments of a subcommand, and what it does.
pub(crate) trait Run: Args {
    /// Its name.
    const NAME: &'static str;
    /// Its description in one line.
    const ABOUT: &'static str;
    /// The kinds of row that it shows. Its section of the configuration file may use the columns of the first.
    const ROWS: &'static [Listed];
    /// What `--help` says after the columns.
    const NOTES: &'static str;
    /// What has to be named, as the answer if nothing is.
    const OPERANDS: &'static str;
    /// Commands that work and what they show, for the end of `--help`.
    const EXAMPLES: &'static [(&'static str, &'static str)];

    /// Expressions for `--filter`, each after the option that shows the rows that it is for; the first is for the usual
    /// rows. None if it has no such option.
    const FILTERS: &'static [(&'static str, &'static str)] = &[];

    /// Why it has no `--proc-root`, if it has none.
    const NO_ROOT: &'static str = "";

    /// Why it has no `-w`, if it has none.
    const NO_WATCH: &'static str = "";

    /// Why it has no `--total`, if it has none.
    const NO_TOTAL: &'static str = "";

    /// Why it has no `--by`, if it has none.
    const NO_GROUPS: &'static str = "";

    /// Whether the output is for programs, which the configuration file never affects.
    fn is_machine(&self) -> bool;

    /// Runs it.
    fn run(self, configured: &Configured, report: &mut Report) -> Done;
}

/// A kind of row that a subcommand shows, independent of its type.
pub(crate) struct Listed {
    heading: &'static str,
    help: fn() -> String,
    heads: fn() -> Vec<ColumnHead>,
    typed: fn(&str) -> String,
    sorts_by: fn(&str) -> bool,
}

impl Listed {
    /// Rows of kind `K`, whose columns `--help` lists under this heading.
    pub(super) const fn of<K: RowKind>(heading: &'static str) -> Listed {
        let sorts_by = |word: &str| Order::<K>::parse(word, &K::columns()).is_ok();
        Listed {
            heading,
            help: columns_help::<K>,
            heads: || heads(&K::columns()),
            typed: |word| K::id_of(&typed::<K>(word, &K::columns(), &[""; 0])).to_owned(),
            sorts_by,
        }
    }

    /// Its columns.
    pub(super) fn heads(&self) -> Vec<ColumnHead> {
        (self.heads)()
    }

    /// The id of the column that a typed word means.
    pub(super) fn typed(&self, word: &str) -> String {
        (self.typed)(word)
    }

    /// Whether `--sort WORD` is a column of these rows and a direction.
    pub(super) fn sorts_by(&self, word: &str) -> bool {
        (self.sorts_by)(word)
    }
}

/// A subcommand, independent of the type of its arguments.
pub(crate) struct Subcommand {
    pub(super) name: &'static str,
    about: &'static str,
    pub(super) rows: &'static [Listed],
    notes: &'static str,
    /// What has to be named, as the answer if nothing is.
    pub(super) operands: &'static str,
    examples: &'static [(&'static str, &'static str)],
    /// Why it has no `--proc-root`, if it has none.
    pub(super) no_root: &'static str,
    pub(super) augment: fn(clap::Command) -> clap::Command,
    pub(super) run: fn(&ArgMatches, Configure<'_>, &mut Report) -> Result<Done, clap::Error>,
}

/// The help of `--by` if no column can be added up.
const ONLY_COUNTED: &str = "Group the rows by a column, and count them";

/// The help of `-h`: without the empty line below its title, so that the prompt does not push that off the screen.
pub(super) const BRIEF_HELP: &str = "{about-with-newline}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// The syntax of `--filter`, for `--help`.
const FILTER_HELP: &str = "--filter compares columns with values: == != < <= > >= and =~ (a regular expression), \
combined with && || ! and parentheses. Write sizes as 4096, 64K or 10M, and text with or without quotes. A number can \
also be compared with another column. An absent figure never matches.";

impl Subcommand {
    pub(super) const fn of<A: Run>() -> Subcommand {
        Subcommand {
            name: A::NAME,
            about: A::ABOUT,
            rows: A::ROWS,
            notes: A::NOTES,
            operands: A::OPERANDS,
            examples: A::EXAMPLES,
            no_root: A::NO_ROOT,
            augment: |command| {
                let refused = [("every", A::NO_WATCH), ("total", A::NO_TOTAL), ("by", A::NO_GROUPS)];
                let refused = refused.into_iter().filter(|(_, why)| !why.is_empty());
                let command = A::augment_args(command);
                let command = match A::FILTERS {
                    [] => command,
                    filters => command.mut_arg("filter", |option| with_examples(option, filters)),
                };
                let command = match (A::NO_TOTAL.is_empty(), A::NO_GROUPS.is_empty()) {
                    (false, true) => command.mut_arg("by", |option| option.help(ONLY_COUNTED)),
                    _ => command,
                };
                refused.fold(command, |command, (id, _)| command.mut_arg(id, |option| option.hide(true)))
            },
            run: |matches, configure, report| {
                let args = A::from_arg_matches(matches)?;
                let configured = if args.is_machine() { Ok(Configured::default()) } else { configure() };
                Ok(configured.map_err(Stop::Usage).and_then(|configured| args.run(&configured, report)))
            },
        }
    }

    pub(super) fn command(&self) -> clap::Command {
        let more = format!("`rmap {} --help` lists every option and column, with examples.", self.name);
        (self.augment)(clap::Command::new(self.name)).about(self.about).after_help(more).after_long_help(self.help())
    }

    /// The same command with the options of `-h` in one list, and without their values, so that they fit one screen.
    pub(super) fn briefly(command: clap::Command) -> clap::Command {
        let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).hide_short_help(true);
        command.disable_help_flag(true).help_template(BRIEF_HELP).arg(help).mut_args(|arg| {
            let has_values = arg.get_action().takes_values();
            arg.help_heading(Resettable::Reset).hide_possible_values(has_values)
        })
    }

    /// The text after its options in `--help`.
    fn help(&self) -> String {
        let columns = self.rows.iter().map(|rows| format!("{}:\n{}\n", rows.heading, (rows.help)()));
        let filter = if self.rows.is_empty() { String::new() } else { format!("{FILTER_HELP}\n\n") };
        let notes = if self.notes.is_empty() { String::new() } else { format!("{}\n\n", self.notes) };
        columns.chain([format!("{notes}{filter}{}", examples(self.examples))]).collect()
    }
}

/// The option `--filter`, whose help begins with a short sentence, and these expressions after it.
fn with_examples(option: Arg, filters: &[(&str, &str)]) -> Arg {
    let short = option.get_help().map(ToString::to_string).unwrap_or_default();
    let example = |(view, expression): &(&str, &str)| match *view {
        "" => format!("'{expression}'"),
        view => format!("with {view} '{expression}'"),
    };
    let examples: Vec<String> = filters.iter().map(example).collect();
    let usual = format!("{short}: {}", examples.first().map_or("", String::as_str));
    let all = format!("{short}: {}", examples.join(", "));
    let long = option.get_long_help().map(ToString::to_string).unwrap_or_default();
    option.help(usual).long_help(long.replacen(&short, &all, 1))
}

/// Examples as the last lines of a help text.
pub(super) fn examples(examples: &[(&str, &str)]) -> String {
    let width = examples.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let lines = examples.iter().map(|(command, shows)| format!("\n  {command:width$}  {shows}"));
    std::iter::once("Examples:".to_owned()).chain(lines).collect()
}
