//! What was typed behind `rmap pid`, in rmap's words and in pmap's letters.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, Args, ValueEnum};

use super::{OutputArgs, ProcessArgs, WatchArgs};
use crate::views::mapping::presets::Preset;

/// `rmap pid`
#[derive(Debug, Args)]
pub struct PidArgs {
    /// Processes: pids, or self
    #[arg(value_name = "PID", required_unless_present = "found")]
    pub pids: Vec<OsString>,
    /// Processes by what they are.
    #[command(flatten)]
    pub found: ProcessArgs,
    /// How it is folded together or joined with other views.
    #[command(flatten)]
    pub views: ViewArgs,
    /// Which rows, in which order.
    #[command(flatten)]
    pub rows: RowArgs,
    /// pmap's letters.
    #[command(flatten)]
    pub pmap: PmapArgs,
    /// Repeat until Ctrl-C, and say what changed.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Read DIR instead of /proc: a directory that looks like one
    #[arg(long, value_name = "DIR", default_value = "/proc")]
    pub proc_root: PathBuf,
    /// How the answer is written.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What is shown instead of, or besides, a list of mappings.
#[derive(Debug, Args)]
#[command(next_help_heading = "Views")]
pub struct ViewArgs {
    /// Fold mappings together that have the same file, kind, permissions or directory, with their count and sums
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["every", "extended", "device", "everything"])]
    pub by: Option<By>,
    /// Put the mappings of all processes into one list, or into the same groups
    #[arg(long)]
    pub merge: bool,
    /// Show no mapping, but where the memory is, and what of it could be reclaimed without swap
    #[arg(long, conflicts_with_all = ["by", "merge", "cache", "columns", "filter", "sort", "top", "range", "extended", "device", "everything", "every"])]
    pub summary: bool,
    /// For each mapped file: how much of the mapped range is in the page cache, and how much of that is mapped in here
    #[arg(long)]
    pub cache: bool,
    /// For each mapping a strip of its page tables: what is in RAM, in swap, of a file, huge, or the zero page
    #[arg(long, conflicts_with_all = ["by", "summary", "every"])]
    pub map: bool,
}

/// What mappings may be folded together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The file or name behind them
    File,
    /// What they are: heap, stack, code, anonymous, file
    Kind,
    /// Their permissions
    Perm,
    /// The directory of their file
    Dir,
}

impl By {
    /// The column that the mappings of a group have in common.
    pub fn column(self) -> &'static str {
        match self {
            By::File => "mapping",
            By::Kind => "kind",
            By::Perm => "perm",
            By::Dir => "dir",
        }
    }
}

/// Which rows are shown, and in which order.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rows")]
pub struct RowArgs {
    /// Show the mappings for which EXPR holds: 'rss>10M && mapping=~libc' (what it may say is below)
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<String>,
    /// Sort by a column, largest first (-COL: smallest first)
    #[arg(long, value_name = "COL", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Show the first N rows only; without --sort, those with the largest Rss
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// Close with a total over exactly the rows that are shown (the default)
    #[arg(long, overrides_with = "no_total")]
    pub total: bool,
    /// Leave out the total
    #[arg(long, overrides_with = "total")]
    pub no_total: bool,
}

/// pmap's letters, with pmap's meaning.
#[derive(Debug, Args)]
#[command(next_help_heading = "As pmap")]
pub struct PmapArgs {
    /// The extended format: Kbytes, RSS, Dirty, Mode
    #[arg(short = 'x', long, conflicts_with_all = ["device", "everything"])]
    pub extended: bool,
    /// The device format: Mode, Offset, Device, and how much is writable or shared
    #[arg(short = 'd', long, conflicts_with = "everything")]
    pub device: bool,
    /// Every field that the kernel gives, in its order, those of a newer kernel too (also -XX)
    #[arg(short = 'X', action = ArgAction::Count)]
    pub everything: u8,
    /// Leave out the header and the total
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// Show full paths in the formats of -x, -d, -X and --cache
    #[arg(short = 'p', long)]
    pub show_path: bool,
    /// Show only mappings that have an address from LOW to HIGH, both in hexadecimal; one address: the mapping it is in
    #[arg(short = 'A', long, value_name = "LOW,HIGH")]
    pub range: Option<AddressRange>,
}

impl PmapArgs {
    /// The format that was asked for.
    pub fn preset(&self) -> Option<Preset> {
        match (self.extended, self.device, self.everything) {
            (true, ..) => Some(Preset::Extended),
            (_, true, _) => Some(Preset::Device),
            (.., 0) => None,
            _ => Some(Preset::Everything),
        }
    }
}

/// Addresses from the first to the last, both in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    /// The lowest address.
    pub low: u64,
    /// The highest address.
    pub high: u64,
}

impl AddressRange {
    /// Whether a mapping of these addresses, its end excluded, has one in the range.
    pub fn meets(self, start: u64, end: u64) -> bool {
        start <= self.high && end > self.low
    }
}

impl FromStr for AddressRange {
    type Err = String;

    /// `LOW,HIGH`, `LOW,`, `,HIGH` or one address, as pmap takes them.
    fn from_str(text: &str) -> Result<AddressRange, String> {
        let address = |word: &str, default: u64| match word.trim().trim_start_matches("0x") {
            "" => Ok(default),
            digits => u64::from_str_radix(digits, 16)
                .map_err(|_| format!("'{word}' is no address: write hexadecimal digits, as in the first column")),
        };
        let (low, high) = text.split_once(',').unwrap_or((text, text));
        let range = AddressRange { low: address(low, 0)?, high: address(high, u64::MAX)? };
        match range.low <= range.high {
            true => Ok(range),
            false => Err("the first address is higher than the last".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_addresses_includes_both_ends() {
        let range: AddressRange = "1000,2000".parse().unwrap();
        assert!(range.meets(0x2000, 0x3000) && range.meets(0xfff, 0x1001) && range.meets(0, u64::MAX));
        assert!(!range.meets(0, 0x1000) && !range.meets(0x2001, 0x3000));
    }

    #[test]
    fn one_address_is_the_mapping_it_is_in() {
        let range: AddressRange = "0x1234".parse().unwrap();
        assert!(range.meets(0x1000, 0x2000) && !range.meets(0x2000, 0x3000));
        assert_eq!(",ff".parse(), Ok(AddressRange { low: 0, high: 0xff }));
        assert_eq!("ff,".parse(), Ok(AddressRange { low: 0xff, high: u64::MAX }));
        assert!("2,1".parse::<AddressRange>().is_err() && "x".parse::<AddressRange>().is_err());
    }
}
