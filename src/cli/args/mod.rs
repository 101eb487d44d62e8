//! What was typed. No I/O happens here, and nothing can fail but validation.

mod demo;
mod effect;
mod pcstat;
mod pid;
mod processes;
mod selection;
mod watch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use demo::DemoArgs;
pub use effect::EffectArgs;
pub use pcstat::{PcstatArgs, understand_peers};
pub use pid::{AddressRange, By, PidArgs, PmapArgs, RowArgs, ViewArgs};
pub use processes::ProcessArgs;
pub use selection::SelectionArgs;
pub use watch::{Interval, WatchArgs};

use crate::cli::config::Configured;
use crate::output::column::ColumnList;
use crate::output::{Format, SizeUnit};

/// Where is this memory, page by page, and who holds it?
#[derive(Debug, Parser)]
#[command(name = "rmap", version, about, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Read the default columns and units from FILE, not from ~/.config/rmap/config.toml
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "no_config")]
    pub config: Option<PathBuf>,
    /// Read no configuration file
    #[arg(long, global = true)]
    pub no_config: bool,
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
    /// Read files into the page cache: only what is not there, and no holes
    Warm(EffectArgs),
    /// Write files back and drop them from the page cache; says what stays, and why
    Evict(EffectArgs),
    /// Hold files in the page cache with mlock until ended (Ctrl-C)
    Lock(EffectArgs),
}

/// How the answer is written; the same in every subcommand.
#[derive(Debug, Clone, Args)]
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
    /// What the configuration file says; nothing that can be typed.
    #[arg(skip)]
    pub configured: Configured,
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
            _ => self.configured.unit.unwrap_or(default),
        }
    }

    /// The columns of a table where `-o` names none: those of the configuration file, else `own`.
    pub fn default_columns<'a>(&'a self, own: &[&'a str]) -> Vec<&'a str> {
        match &self.configured.columns {
            Some(columns) => columns.iter().map(String::as_str).collect(),
            None => own.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_consistent() {
        crate::cli::command().debug_assert();
    }
}
