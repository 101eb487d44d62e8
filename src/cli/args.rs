//! What was typed. No I/O happens here, and nothing can fail but validation.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::output::column::ColumnList;
use crate::output::{Format, SizeUnit};
use crate::units::Bytes;

/// Where is this memory, page by page, and who holds it?
#[derive(Debug, Parser)]
#[command(name = "rmap", version, about, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What a process has mapped, and how much of each mapping is in RAM
    Pid(PidArgs),
    /// Which pages of a file are in the page cache
    Pcstat(PcstatArgs),
    /// Map and fill a file, and watch both views agree
    Demo(DemoArgs),
    /// Removes a file when its standard input ends; the demo's guard against being killed.
    #[command(hide = true)]
    RemoveAtEnd(RemoveAtEndArgs),
}

/// How the answer is written; the same in every subcommand.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Columns to show: LIST replaces the default ones, +LIST adds to them (names are below)
    #[arg(short = 'o', long = "columns", value_name = "LIST")]
    pub columns: Option<ColumnList>,
    /// Format of the answer; machine formats are in bytes and pages, with every column
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with_all = ["json", "jsonl", "csv"])]
    pub format: Option<FormatName>,
    /// Short for --format json
    #[arg(long, conflicts_with_all = ["jsonl", "csv"])]
    pub json: bool,
    /// Short for --format jsonl
    #[arg(long, conflicts_with = "csv")]
    pub jsonl: bool,
    /// Short for --format csv
    #[arg(long)]
    pub csv: bool,
    /// Write sizes in bytes
    #[arg(short = 'b', long, conflicts_with = "human")]
    pub bytes: bool,
    /// Write sizes for people: 1.5G
    #[arg(short = 'H', long)]
    pub human: bool,
    /// Leave out the header
    #[arg(short = 'n', long, visible_alias = "nohdr")]
    pub no_header: bool,
}

/// The formats by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// For people
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
    /// RFC 4180
    Csv,
}

impl OutputArgs {
    /// The format that was asked for.
    pub fn format(&self) -> Format {
        match self.format {
            Some(FormatName::Json) => Format::Json,
            Some(FormatName::Jsonl) => Format::JsonLines,
            Some(FormatName::Csv) => Format::Csv,
            _ if self.json => Format::Json,
            _ if self.jsonl => Format::JsonLines,
            _ if self.csv => Format::Csv,
            _ => Format::Table,
        }
    }

    /// The unit of sizes in tables; `default` where none was asked for.
    pub fn unit(&self, default: SizeUnit) -> SizeUnit {
        match (self.bytes, self.human) {
            (true, _) => SizeUnit::Bytes,
            (_, true) => SizeUnit::Human,
            _ => default,
        }
    }
}

/// `rmap pid`
#[derive(Debug, Args)]
pub struct PidArgs {
    /// Processes: pids, or self
    #[arg(value_name = "PID", required = true)]
    pub pids: Vec<String>,
    /// Every field that the kernel gives, in its order
    #[arg(short = 'X', action = ArgAction::Count)]
    pub everything: u8,
    /// Read DIR instead of /proc: a directory that looks like one
    #[arg(long, value_name = "DIR", default_value = "/proc")]
    pub proc_root: PathBuf,
    /// How the answer is written.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `rmap pcstat`
#[derive(Debug, Args)]
pub struct PcstatArgs {
    /// Files
    #[arg(value_name = "PATH", required_unless_present = "pid")]
    pub paths: Vec<PathBuf>,
    /// The files that this process maps, too
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Sort by a column, largest first (-COL: smallest first); by cached pages where none is named
    #[arg(long, value_name = "COL", num_args = 0..=1, require_equals = true, default_missing_value = "cached")]
    pub sort: Option<String>,
    /// Close with a total
    #[arg(long)]
    pub total: bool,
    /// Show the last part of each path only
    #[arg(long)]
    pub bname: bool,
    /// With --json: for each page whether it is cached, as the array "status"
    #[arg(long)]
    pub pps: bool,
    /// Comma-separated, as pcstat writes it
    #[arg(long, conflicts_with_all = ["histo", "pps", "columns", "format", "json", "jsonl", "csv", "total", "bytes", "human"])]
    pub terse: bool,
    /// A strip a file: how full each part of it is in the page cache
    #[arg(long, conflicts_with_all = ["pps", "columns", "format", "json", "jsonl", "csv", "total", "bytes", "human"])]
    pub histo: bool,
    /// A table without rules, on a terminal too
    #[arg(long, conflicts_with_all = ["unicode", "terse", "histo", "format", "json", "jsonl", "csv"])]
    pub plain: bool,
    /// A table with rules, in a pipe too
    #[arg(long, conflicts_with_all = ["terse", "histo", "format", "json", "jsonl", "csv"])]
    pub unicode: bool,
    /// How the answer is written.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `rmap demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How large the file is: 256M, 1G
    #[arg(long, value_name = "SIZE", default_value = "256M")]
    pub size: Bytes,
    /// Make the file here instead of in a temporary directory on disk
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// Replace the file of --file if there is one
    #[arg(long, requires = "file")]
    pub force: bool,
    /// Leave the file in place
    #[arg(long)]
    pub keep: bool,
    /// Stay alive at the end, until Ctrl-C, and say what to type in another terminal
    #[arg(long)]
    pub hold: bool,
    /// How the answer is written.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The hidden subcommand of the demo's guard.
#[derive(Debug, Args)]
pub struct RemoveAtEndArgs {
    /// The file to remove.
    pub file: PathBuf,
    /// Its device number, so that no other file of that name is removed.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
}

/// pcstat's options, which its users may also write with one dash.
const PCSTAT_OPTIONS: [&str; 10] =
    ["-json", "-pps", "-terse", "-nohdr", "-bname", "-histo", "-pid", "-sort", "-plain", "-unicode"];

/// Rewrites what users of pcstat type into what clap can read: `-json` is `--json`, and `--sort` takes the next word as its
/// column only if that is the name of one (`./size` is a file, `size` a column).
pub fn understand_peers(arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_none_or(|word| word != "pcstat") {
        return arguments;
    }
    let mut options_end = false;
    let mut understood: Vec<OsString> = Vec::with_capacity(arguments.len());
    for word in arguments {
        options_end |= word == "--";
        let text = word.to_str().filter(|_| !options_end).unwrap_or_default();
        if PCSTAT_OPTIONS.contains(&text) {
            understood.push(OsString::from(format!("-{text}")));
        } else if understood.last().is_some_and(|last| last == "--sort") && is_sort_column(text) {
            understood.pop();
            understood.push(OsString::from(format!("--sort={text}")));
        } else {
            understood.push(word);
        }
    }
    understood
}

fn is_sort_column(word: &str) -> bool {
    let name = word.strip_prefix('-').unwrap_or(word);
    crate::output::column::find(crate::views::file::COLUMNS, crate::views::file::id_of(name)).is_some()
}

/// Whether a word stands for standard input or output.
pub fn is_dash(word: &OsStr) -> bool {
    word == "-"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(words: &[&str]) -> Vec<String> {
        let words = words.iter().map(OsString::from).collect();
        understand_peers(words).into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn the_arguments_are_consistent() {
        crate::cli::command().debug_assert();
    }

    #[test]
    fn one_dash_is_as_good_as_two_for_users_of_pcstat() {
        assert_eq!(understood(&["rmap", "pcstat", "-json", "-pps", "x"]), ["rmap", "pcstat", "--json", "--pps", "x"]);
        assert_eq!(understood(&["rmap", "pcstat", "--", "-json"]), ["rmap", "pcstat", "--", "-json"]);
        assert_eq!(understood(&["rmap", "pid", "-json"]), ["rmap", "pid", "-json"]);
    }

    #[test]
    fn sort_takes_a_column_and_leaves_a_file() {
        assert_eq!(understood(&["rmap", "pcstat", "--sort", "size", "x"]), ["rmap", "pcstat", "--sort=size", "x"]);
        assert_eq!(understood(&["rmap", "pcstat", "--sort", "big.db"]), ["rmap", "pcstat", "--sort", "big.db"]);
        assert_eq!(understood(&["rmap", "pcstat", "--sort", "./size"]), ["rmap", "pcstat", "--sort", "./size"]);
    }
}
