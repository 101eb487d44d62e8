//! What was typed to choose files: the same options in every subcommand that takes files.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use crate::units::{ByteRange, Bytes};

/// Which files.
#[derive(Debug, Clone, Args)]
pub struct SelectionArgs {
    /// Files; with -R also directories
    #[arg(value_name = "PATH", required_unless_present_any = ["pid", "files_from"])]
    pub paths: Vec<PathBuf>,
    /// The files that this process maps or has open, too
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// The files that are named in FILE, one a line (-: standard input)
    #[arg(long, value_name = "FILE")]
    pub files_from: Option<PathBuf>,
    /// With --files-from: names end in NUL, as find -print0 writes them
    #[arg(short = '0', long = "null", requires = "files_from")]
    pub null: bool,
    /// The files in and below directories: each once, whatever names it has
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// With -R: how many threads walk (the number of processors where this is not given)
    #[arg(short = 'j', long, value_name = "N", requires = "recursive")]
    pub jobs: Option<NonZeroUsize>,
    /// With -R: go on into other file systems that are mounted there; /proc, /sys and the like are never entered
    #[arg(long, requires = "recursive")]
    pub cross_file_systems: bool,
    /// With -R: follow symbolic links that are found on the way
    #[arg(long, requires = "recursive")]
    pub follow: bool,
    /// Only files that this glob matches (may be repeated): without a slash the last part of their name, with one the path
    /// below the directory that was named, or the path as it is printed; with a slash at its end a directory that they are in
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// No file that this glob matches in the same way, and no directory with what is below it (may be repeated)
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Only files of this size or larger
    #[arg(long, value_name = "SIZE")]
    pub min_size: Option<Bytes>,
    /// Only files of this size or smaller
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<Bytes>,
    /// Only this part of each file, such as 1G,64M; without LEN up to its end
    #[arg(long, value_name = "OFF[,LEN]", value_parser = parse_range)]
    pub range: Option<ByteRange>,
}

impl SelectionArgs {
    /// The part of each file that is meant.
    pub fn range(&self) -> ByteRange {
        self.range.unwrap_or(ByteRange::ALL)
    }
}

fn parse_range(text: &str) -> Result<ByteRange, String> {
    let (offset, length) = text.split_once(',').map_or((text, None), |(offset, length)| (offset, Some(length)));
    let offset: Bytes = offset.parse()?;
    let length = length.map_or(Ok(Bytes(u64::MAX)), str::parse)?;
    Ok(ByteRange { offset: offset.0, length: length.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_an_offset_and_a_length() {
        assert_eq!(parse_range("1K,64K"), Ok(ByteRange { offset: 1024, length: 65536 }));
        assert_eq!(parse_range("4096"), Ok(ByteRange { offset: 4096, length: u64::MAX }));
        assert!(parse_range("1K,").is_err());
        assert!(parse_range(",1").is_err());
        assert!(parse_range("1,2,3").is_err());
    }
}
