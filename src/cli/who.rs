//! `rmap who`: everyone who maps a file or has it open.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::answer::{AnswerArgs, View, refuse_if, unit_of_files};
use super::report::Report;
use super::root::RootArgs;
use super::run::{Configured, Done, Listed, Run};
use crate::capture::Wanted;
use crate::join::who::WantedFile;
use crate::query::Default;
use crate::views::who::{self, Holdings, WhoSource};

/// `rmap who`
#[derive(Debug, Clone, Args)]
pub(crate) struct WhoArgs {
    /// Files; /proc/PID/fd/N and /proc/PID/map_files/A-B are files that have no other name
    ///
    /// A file is known by what it is, not by its name: holders under another hard link, in another mount namespace,
    /// through a bind mount or an overlay, and of a deleted file are found. It is opened only to be measured.
    #[arg(value_name = "FILE", required_unless_present = "inode")]
    files: Vec<PathBuf>,
    /// Add the file with this device and inode number (can be repeated)
    ///
    /// fe:00:4711 as in /proc/PID/maps, in hexadecimal; 254,0:4711 or 65024:4711 as stat(1) prints them, in decimal. On
    /// btrfs the two differ, and both are found: the number of stat is one file, that of maps may be several (one for
    /// each subvolume), and a line then says so.
    #[arg(long, value_name = "DEV:INO", help_heading = "Files")]
    inode: Vec<InodeNumber>,
    /// Look at the pages of the file, so that what is mapped is known even if some processes are hidden (root)
    ///
    /// They are read from the kernel's lists of cached files, which takes about a second.
    #[arg(long, help_heading = "Files")]
    pages: bool,
    /// Which machine.
    #[command(flatten)]
    root: RootArgs,
    /// How the rows are shown.
    #[command(flatten)]
    answer: AnswerArgs,
}

impl Run for WhoArgs {
    const NAME: &'static str = "who";
    const ABOUT: &'static str = "Who maps a file or has it open, and how much of it";

    const ROWS: &'static [Listed] = &[Listed::of::<Holdings>("Columns")];
    const NOTES: &'static str = "\
        By default sizes are human-readable on a terminal, and in bytes in a pipe. The rows of a file are ordered by \
        what they have in RAM.\n\
        Below the rows: how much of the file is cached, and how much of that is in the page table of any process. It \
        is counted page by page, not added up over the rows. If some processes could not be looked at, it is a lower \
        bound; --pages, which needs root, sees all.\n\
        With --proc-root, FILE is a path of the captured machine, or /proc/PID/root and a path that a process of a \
        container sees. A capture has no files, so symbolic links are not followed; what is cached is taken from its \
        list of cached files.";
    const OPERANDS: &'static str = "FILE or --inode";
    const FILTERS: &'static [(&'static str, &'static str)] = &[("", "rss>10M && name=~bash")];
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("rmap who big.db", "everyone who maps it or has it open"),
        ("rmap who big.db --by user", "whose processes hold a file"),
        ("rmap who /proc/4690/exe", "who runs this program, even if it was replaced or deleted since"),
        ("rmap who --inode fe:00:4711", "a file of which /proc/PID/maps shows the numbers"),
        ("rmap who big.db --filter 'how =~ writing'", "who could write to it"),
    ];

    fn is_machine(&self) -> bool {
        self.answer.is_machine()
    }

    fn run(self, configured: &Configured, report: &mut Report) -> Done {
        let root = self.root.root_for(&self.answer, Wanted::ALL)?;
        let presentation = self.answer.presentation_of(&root, configured, unit_of_files());
        let mut query = self.answer.query::<Holdings>(configured, View::Usual(who::DEFAULT))?;
        // A group has rows of several processes.
        query.merge = query.by.is_some();
        let paths = self.files.into_iter().map(WantedFile::Path);
        let numbers =
            self.inode.into_iter().map(|number| WantedFile::Number { device: number.device, inode: number.inode });
        let wanted: Vec<WantedFile> = paths.chain(numbers).collect();
        if let Default::Columns(columns) = &mut query.default
            && wanted.len() > 1
            && query.by.is_none()
        {
            // Before the texts without a limit, so that these pad nothing.
            let place = columns.iter().position(|column| column == "command").unwrap_or(columns.len());
            columns.insert(place, "path".to_owned());
        }
        refuse_if(self.pages && !root.is_live(), "--pages", "a capture has no pages")?;
        let mut source = WhoSource::new(root, wanted);
        source.pages = self.pages;
        self.answer.answer(&query, &mut source, presentation, report)
    }
}

/// A device and an inode number, as they were typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InodeNumber {
    device: (u32, u32),
    inode: u64,
}

impl FromStr for InodeNumber {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<InodeNumber, &'static str> {
        let refusal = "use fe:00:4711 as in /proc/PID/maps, or 254,0:4711 or 65024:4711 as in stat";
        let parse = || {
            let (device, inode) = text.rsplit_once(':')?;
            let device = match (device.split_once(':'), device.split_once(',')) {
                (Some((major, minor)), _) => (hexadecimal(major)?, hexadecimal(minor)?),
                (None, Some((major, minor))) => (decimal(major)?, decimal(minor)?),
                (None, None) => crate::kernel::mount_table::parts(decimal(device)?),
            };
            // The number alone may be 0: that of a System V segment is its id.
            let inode = decimal(inode)?;
            (inode != 0 || device != (0, 0)).then_some(InodeNumber { device, inode })
        };
        parse().ok_or(refusal)
    }
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok().filter(|_| !text.starts_with('+'))
}

fn decimal<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_typed_as_maps_and_stat_print_them() {
        let of = |text: &str| text.parse::<InodeNumber>().map(|number| (number.device, number.inode));
        assert_eq!(of("fe:00:4711"), Ok(((0xfe, 0), 4711)));
        assert_eq!(of("00:1b:257"), Ok(((0, 0x1b), 257)));
        assert_eq!(of("254,0:4711"), Ok(((254, 0), 4711)));
        assert_eq!(of("65024:4711"), Ok(((254, 0), 4711)));
        assert_eq!(of("00:01:0"), Ok(((0, 1), 0)));
        for text in ["", "4711", "fe:4711x", "fe:00:", "0:0:0", ":4711", "fe,0:7", "fe:00:-1", "+1:0:7", "a:b:c:7"] {
            assert!(of(text).is_err(), "{text}");
        }
    }
}
