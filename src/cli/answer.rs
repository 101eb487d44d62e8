//! The output options, which are the same in every subcommand, and the query that they become.

use std::str::FromStr;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};

use super::full_screen::FullScreen;
use super::matches::Noticing;
use super::report::Report;
use super::run::{Configured, Done};
use super::screen::{self, Place};
use super::signals::Signals;
use crate::process::ProcRoot;
use crate::query::{Default, Query, Total, check, check_over, execute};
use crate::render::{FORMATS, Format, Presentation, TABLE};
use crate::table::{ColumnList, Expression, RowKind, SizeUnit, Source, Stop, typed};

/// Which rows and columns are shown, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct AnswerArgs {
    /// Columns to show; +LIST adds to the default columns
    ///
    /// LIST replaces the default columns. The names of all columns are below. The title of a column as it stands in the
    /// table, with its upper-case letters, means that column too: here and in --filter, --by and --sort.
    #[arg(
        short = 'o',
        long = "columns",
        value_name = "LIST",
        value_parser = ColumnList::as_typed,
        help_heading = "Output"
    )]
    pub(crate) columns: Option<ColumnList>,
    /// Show only matching rows
    ///
    /// The syntax is below. Can be repeated; then all must match. If no row matches, a line on standard error says so,
    /// which does not change the exit status.
    #[arg(long, value_name = "EXPR", help_heading = "Output")]
    filter: Vec<String>,
    /// Group the rows by a column, with counts and sums
    #[arg(long, value_name = "COL", help_heading = "Output")]
    pub(crate) by: Option<String>,
    /// Sort by a column, largest first (-COL: smallest)
    ///
    /// COL is the name of a column or its title. Text is sorted from A to Z (-COL: from Z to A).
    #[arg(long, value_name = "COL", allow_hyphen_values = true, help_heading = "Output")]
    pub(crate) sort: Option<String>,
    /// Show only the first N rows
    ///
    /// Without --sort, these are the largest by the main figure.
    #[arg(
        long,
        value_name = "N",
        value_parser = whole_number,
        allow_negative_numbers = true,
        help_heading = "Output"
    )]
    pub(crate) top: Option<usize>,
    /// Add a total over the rows that are shown
    ///
    /// >= before a sum means that it is at least that: some rows have no figure for it.
    #[arg(long, overrides_with = "no_total", help_heading = "Output", hide_short_help = true)]
    pub(crate) total: bool,
    /// Leave out the total
    #[arg(long, overrides_with = "total", help_heading = "Output", hide_short_help = true)]
    pub(crate) no_total: bool,
    /// Repeat every SECS seconds, and show what changed
    ///
    /// SECS may be a fraction, such as 0.5. Ctrl-C or q ends it.
    #[arg(short = 'w', long = "watch", value_name = "SECS", allow_negative_numbers = true, help_heading = "Output")]
    pub(crate) every: Option<Interval>,
    /// Output format; the machine formats have every column, in bytes and pages
    #[arg(
        long,
        value_name = "FORMAT",
        value_parser = format_names(),
        conflicts_with_all = ["json", "jsonl", "csv"],
        help_heading = "Output",
        hide_short_help = true
    )]
    format: Option<String>,
    /// Short for --format json
    #[arg(long, conflicts_with_all = ["jsonl", "csv"], help_heading = "Output")]
    json: bool,
    /// Short for --format jsonl
    #[arg(long, conflicts_with = "csv", help_heading = "Output", hide_short_help = true)]
    jsonl: bool,
    /// Short for --format csv
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    csv: bool,
    /// Show sizes in bytes
    #[arg(short = 'b', long, conflicts_with = "human", help_heading = "Output", hide_short_help = true)]
    bytes: bool,
    /// Show human-readable sizes: 1.5G
    #[arg(short = 'H', long, help_heading = "Output", hide_short_help = true)]
    human: bool,
    /// When to use colour: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(long, value_name = "WHEN", help_heading = "Output", hide_short_help = true)]
    color: Option<When>,
    /// Leave out the header (JSON has none)
    #[arg(short = 'n', long, visible_alias = "nohdr", help_heading = "Output", hide_short_help = true)]
    pub(crate) no_header: bool,
}

fn format_names() -> PossibleValuesParser {
    FORMATS.iter().map(|format| clap::builder::PossibleValue::new(format.name).help(format.help)).into()
}

/// When colour is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    #[default]
    Auto,
    Always,
    Never,
}

impl When {
    pub(crate) fn is_on(self, place: &Place) -> bool {
        match self {
            When::Auto => place.has_colour(),
            When::Always => true,
            When::Never => false,
        }
    }
}

/// The longest time that can be given, in seconds: some 30 years. A clock cannot express the end of a much longer one.
const LONGEST: u32 = 1_000_000_000;

/// The time between two rounds: more than zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval(pub(crate) Duration);

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Interval, String> {
        let refusal = || {
            let bounds = format!("greater than 0 and at most {LONGEST}");
            format!("use a number of seconds in digits, {bounds}, such as 0.5 or 2")
        };
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let is_short = |seconds: &f64| *seconds <= f64::from(LONGEST);
        let seconds: f64 = text.parse().ok().filter(is_short).filter(|_| plain).ok_or_else(refusal)?;
        let interval = Duration::try_from_secs_f64(seconds).map_err(|_| refusal())?;
        if interval.is_zero() { Err(refusal()) } else { Ok(Interval(interval)) }
    }
}

/// The columns of a view if none are selected.
pub(crate) enum View<'v> {
    /// These columns, or those of the configuration file, in a table; every column in a machine format.
    Usual(&'v [&'v str]),
    /// These columns in a table, regardless of the configuration file; every column in a machine format.
    Fixed(&'v [&'v str]),
}

impl AnswerArgs {
    /// The format that was requested.
    pub(crate) fn format(&self) -> &'static Format {
        let short = [(self.json, "json"), (self.jsonl, "jsonl"), (self.csv, "csv")];
        let named = self.format.as_deref().or(short.iter().find(|(typed, _)| *typed).map(|(_, name)| *name));
        let find = |name| FORMATS.iter().find(|format| format.name == name);
        named.and_then(find).unwrap_or(&TABLE)
    }

    /// The same arguments with another format.
    pub(crate) fn in_format(mut self, name: &str) -> AnswerArgs {
        self.format = Some(name.to_owned());
        self
    }

    /// The same arguments with the ids of columns instead of other titles that a table gives them.
    pub(crate) fn titled(mut self, titles: &[(&str, &str)]) -> AnswerArgs {
        let id = |word: &str| {
            let (sign, name) = word.strip_prefix('-').map_or(("", word), |name| ("-", name));
            let named = titles.iter().find(|(_, title)| *title == name);
            named.map_or_else(|| word.to_owned(), |(id, _)| format!("{sign}{id}"))
        };
        self.columns = self.columns.map(|list| list.named(id));
        self.by = self.by.as_deref().map(id);
        self.sort = self.sort.as_deref().map(id);
        self
    }

    /// Whether a unit of sizes was requested.
    pub(crate) fn has_unit(&self) -> bool {
        self.bytes || self.human
    }

    /// Whether the format is for programs.
    pub(crate) fn is_machine(&self) -> bool {
        self.format().is_machine
    }

    /// The unit of sizes in tables; `default` if no unit was requested.
    pub(crate) fn unit(&self, configured: &Configured, default: SizeUnit) -> SizeUnit {
        match (self.bytes, self.human) {
            (true, _) => SizeUnit::Bytes,
            (_, true) => SizeUnit::Human,
            _ => configured.unit.unwrap_or(default),
        }
    }

    /// The filter over rows of kind `K`: all expressions, if several were typed.
    pub(crate) fn filter<K: RowKind>(&self) -> Result<Option<Expression>, Stop> {
        // Each on its own first, so that an error is shown in what was typed.
        for filter in &self.filter {
            filter.parse::<Expression>().map_err(Stop::Filter)?;
        }
        let all: Vec<String> = self.filter.iter().map(|filter| format!("({filter})")).collect();
        let text = if let [one] = &self.filter[..] { one.clone() } else { all.join(" && ") };
        if all.is_empty() {
            return Ok(None);
        }
        let all: Expression = text.parse().map_err(Stop::Filter)?;
        let table = K::columns();
        // A title means the same whatever is shown, such as a command that is not indented. Any other name stays as it
        // was typed, for messages.
        let name = |word: &str| Some(typed(word, &table, &[""; 0])).filter(|id| !id.eq_ignore_ascii_case(word));
        Ok(Some(all.named(|word| name(word).unwrap_or_else(|| word.to_owned()))))
    }

    /// Whether only rows that match something are shown.
    pub(crate) fn is_filtered(&self) -> bool {
        !self.filter.is_empty()
    }

    /// The request for rows of kind `K` as a value. Reports syntax errors in the filter.
    pub(crate) fn query<K: RowKind>(&self, configured: &Configured, view: View<'_>) -> Result<Query, Stop> {
        let format = self.format();
        let own = |columns: &[&str]| columns.iter().map(|id| (*id).to_owned()).collect();
        let shown: Vec<String> = match view {
            View::Usual(columns) => configured.columns.clone().unwrap_or_else(|| own(columns)),
            View::Fixed(columns) => own(columns),
        };
        let table = K::columns();
        let id = |word: &str| typed(word, &table, &shown);
        let order = |word: &String| match word.strip_prefix('-') {
            Some(word) => format!("-{}", id(word)),
            None => id(word),
        };
        let has_total = !format.is_machine || format.name == "json";
        refuse_if(self.total && !has_total, "--total", "only tables and JSON documents have a place for it")?;
        refuse_if(self.human && format.is_machine, "-H", "machine formats have exact figures; sizes are in bytes")?;
        let filter = self.filter::<K>()?;
        let mut query = Query {
            columns: self.columns.clone().map(|list| list.named(id)),
            filter,
            by: self.by.as_deref().map(id),
            order: self.sort.as_ref().map(order),
            top: self.top,
            total: if self.total { Total::Row } else { Total::None },
            every: self.every.map(|every| every.0),
            default: if format.is_machine { Default::All } else { Default::Columns(shown) },
            ..Query::all()
        };
        if self.is_full_screen() && matches!(view, View::Usual(_)) {
            // If not everything fits the screen, the largest rows are seen.
            query.sort_as_usual();
        }
        Ok(query)
    }

    /// How the output is presented on standard output.
    pub(crate) fn presentation(&self, configured: &Configured, default: SizeUnit) -> Presentation {
        Presentation {
            unit: self.unit(configured, default),
            no_header: self.no_header,
            no_heading: self.no_header,
            terminal_width: screen::terminal_width(),
            has_keys: screen::has_keys(),
            whole_names: false,
            colour: self.color.unwrap_or_default().is_on(&Place::Output),
            unicode: screen::has_unicode(),
            page: Some(crate::kernel::page_size()),
            captured: None,
            is_brief: screen::is_terminal(),
            is_dense: false,
            is_marked: false,
            line_feeds: false,
        }
    }

    /// The same for figures of another machine, which may have another page size, and of another time.
    pub(crate) fn presentation_of(&self, root: &ProcRoot, configured: &Configured, default: SizeUnit) -> Presentation {
        let captured = root.captured().map(|captured| captured.time);
        Presentation { page: Some(root.page_size()), captured, ..self.presentation(configured, default) }
    }

    /// The same at another place.
    pub(crate) fn presentation_at(&self, place: &Place, configured: &Configured, default: SizeUnit) -> Presentation {
        Presentation {
            terminal_width: place.width(),
            colour: self.color.unwrap_or_default().is_on(place),
            is_brief: false,
            ..self.presentation(configured, default)
        }
    }

    /// Rejects a query that does not fit rows of this kind, before any work is done.
    pub(crate) fn check<K: RowKind>(&self, query: &Query) -> Done {
        let sink = (self.format().sink)(Presentation::default(), Box::new(std::io::sink()));
        check::<K>(query, sink.as_ref())
    }

    /// Answers a query on standard output. A repeated query also ends cleanly on a signal.
    pub(crate) fn answer<S: Source>(
        &self,
        query: &Query,
        source: &mut S,
        presentation: Presentation,
        report: &mut Report,
    ) -> Done {
        self.answer_at(Place::Output, query, source, presentation, report)
    }

    /// The same at another place.
    pub(crate) fn answer_at<S: Source>(
        &self,
        place: Place,
        query: &Query,
        source: &mut S,
        presentation: Presentation,
        report: &mut Report,
    ) -> Done {
        if query.every.is_some() && report.signals.is_none() {
            report.signals = Some(Signals::watch()?);
        }
        let is_full_screen = self.is_full_screen();
        if is_full_screen {
            // Wrong usage is not worth another screen.
            check_over(query, source, (self.format().sink)(presentation, Box::new(std::io::sink())).as_ref())?;
        }
        if query.every.is_some() {
            report.take_terminal(is_full_screen);
        }
        let presentation = Presentation { is_marked: is_full_screen, ..presentation };
        report.screen.borrow_mut().has_heading = !presentation.no_heading;
        let full_screen = || Box::new(FullScreen::new(report.screen.clone()));
        let out = if is_full_screen { full_screen() } else { place.writer() };
        let mut sink = Noticing::new((self.format().sink)(presentation, out));
        let done = execute(query, source, &mut sink, report);
        report.restore_terminal();
        if done.is_ok() && !sink.has_rows && query.every.is_none() && query.top != Some(0) {
            if query.filter.is_some() {
                report.narrowed.push("--filter".into());
            }
            report.say_that_nothing_matches("row");
        }
        done
    }

    /// Whether each round of a repeated answer replaces the one before on the whole screen.
    pub(crate) fn is_full_screen(&self) -> bool {
        self.every.is_some() && !self.is_machine() && screen::has_cursor()
    }
}

/// The default unit of tables about files: sizes that a person reads on a terminal, bytes in a pipe.
pub(crate) fn unit_of_files() -> SizeUnit {
    if screen::is_terminal() { SizeUnit::Human } else { SizeUnit::Bytes }
}

/// A number of seconds, more than zero.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<Interval>().map(|interval| interval.0)
}

/// A whole number that was typed.
pub(crate) fn whole_number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "use a whole number, such as 10".to_owned())
}

/// Rejects an option that has no meaning here.
pub(crate) fn refuse_if(typed: bool, option: &str, why: &'static str) -> Done {
    if typed { Err(Stop::usage(option, why)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_greater_than_zero() {
        assert_eq!("2".parse(), Ok(Interval(Duration::from_secs(2))));
        assert_eq!("0.25".parse(), Ok(Interval(Duration::from_millis(250))));
        assert_eq!("1000000000".parse(), Ok(Interval(Duration::from_secs(1_000_000_000))));
        for text in [
            "1000000001",
            "10000000000000000000",
            "0",
            "0.0",
            "-1",
            "",
            "x",
            "1e3",
            "inf",
            "nan",
            "99999999999999999999999",
            "0.0000000001",
        ] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }
}
