//! What was typed behind `rmap pcstat`, also by those who type pcstat's own options.

use std::ffi::OsString;

use clap::Args;

use super::{OutputArgs, SelectionArgs, WatchArgs};
use crate::output::column::find;
use crate::views::{directory, file};

/// `rmap pcstat`
#[derive(Debug, Clone, Args)]
pub struct PcstatArgs {
    /// Which files.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Show the files for which EXPR holds: 'percent<50 && size>1M' (what it may say is below)
    #[arg(long, value_name = "EXPR", conflicts_with_all = ["map", "runs", "summary", "by_dir"])]
    pub filter: Option<String>,
    /// Sort by a column, largest first (-COL: smallest first); by cached pages where none is named
    #[arg(long, value_name = "COL", num_args = 0..=1, require_equals = true, default_missing_value = "cached")]
    pub sort: Option<String>,
    /// Close with a total
    #[arg(long, conflicts_with = "every")]
    pub total: bool,
    /// Only the first N rows of that order
    #[arg(long, value_name = "N", conflicts_with = "summary")]
    pub top: Option<usize>,
    /// Only files with pages in the page cache
    #[arg(long)]
    pub only_cached: bool,
    /// The sums alone, without a row a file
    #[arg(long, conflicts_with_all = ["every", "by_dir", "sort", "total", "bname", "pps", "terse", "histo"])]
    pub summary: bool,
    /// A row a directory, down to DEPTH below those that are named: what the files in and below it have together
    #[arg(long, value_name = "DEPTH", conflicts_with_all = ["every", "total", "bname", "pps", "terse", "histo"])]
    pub by_dir: Option<usize>,
    /// Show the last part of each path only
    #[arg(long)]
    pub bname: bool,
    /// With --json: for each page whether it is cached, as the array "status"
    #[arg(long, conflicts_with = "every")]
    pub pps: bool,
    /// Comma-separated, as pcstat writes it
    #[arg(long, conflicts_with_all = ["every", "histo", "pps", "columns", "format", "json", "jsonl", "csv", "total", "bytes", "human"])]
    pub terse: bool,
    /// A strip a file: how full each part of it is in the page cache
    #[arg(long, conflicts_with_all = ["every", "pps", "columns", "format", "json", "jsonl", "csv", "total", "bytes", "human"])]
    pub histo: bool,
    /// A heat strip a file, as wide as the terminal: how much of each part of it is cached, dirty or being written
    #[arg(long, conflicts_with_all = ["every", "histo", "pps", "terse", "columns", "format", "json", "jsonl", "csv", "total", "sort", "top", "summary", "by_dir", "bytes", "human", "plain", "unicode"])]
    pub map: bool,
    /// A row for each stretch of each file: cached, data that is not cached, hole
    #[arg(long, conflicts_with_all = ["every", "histo", "map", "pps", "terse", "total", "sort", "top", "summary", "by_dir"])]
    pub runs: bool,
    /// Repeat until Ctrl-C, and say what changed.
    #[command(flatten)]
    pub watch: WatchArgs,
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

/// Whether a word is a column of a table of pcstat that can be sorted: that of the files, or that of the directories.
fn is_sort_column(word: &str) -> bool {
    let name = word.strip_prefix('-').unwrap_or(word);
    find(file::COLUMNS, name).is_some() || find(directory::COLUMNS, name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(words: &[&str]) -> Vec<String> {
        let words = words.iter().map(OsString::from).collect();
        understand_peers(words).into_iter().map(|word| word.into_string().unwrap()).collect()
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
        assert_eq!(understood(&["rmap", "pcstat", "--sort", "files", "x"]), ["rmap", "pcstat", "--sort=files", "x"]);
        assert_eq!(understood(&["rmap", "pcstat", "--sort", "big.db"]), ["rmap", "pcstat", "--sort", "big.db"]);
        assert_eq!(understood(&["rmap", "pcstat", "--sort", "./size"]), ["rmap", "pcstat", "--sort", "./size"]);
    }
}
