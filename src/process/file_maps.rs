//! Who maps a file: the lines of `/proc/PID/maps` that name its inode, and which pages behind them are in a page table.
//!
//! `maps` costs a tenth of smaps, so all processes of a machine can be asked. Figures of mappings are for
//! [`crate::process::read`].

use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

use nix::sys::stat;

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::pagemap;
use crate::process::head::parse_head;
use crate::process::identity::is_gone;
use crate::process::mapping::Device;
use crate::process::root::{ProcRoot, ProcessDir};
use crate::units::{Absent, Figure, PageSize, Reason};

/// A mapping of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMapping {
    /// Its addresses.
    pub addresses: Range<u64>,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// The device as the kernel prints it, which need not be what `stat` says of the file (btrfs, overlayfs).
    pub device: Device,
    /// The inode.
    pub inode: u64,
}

const NOT_ALLOWED: Absent =
    Absent::new(Reason::Denied, "only root and CAP_CHECKPOINT_RESTORE see which file a mapping is of");

/// The mappings of `pid` whose inode has this number, whatever their device, in the order of their addresses.
///
/// # Errors
/// [`ErrorKind::Denied`]: another user's process. [`ErrorKind::NotFound`]: it is gone.
pub fn read_mappings_of_inode(root: &ProcRoot, pid: u32, inode: u64) -> Result<Vec<FileMapping>> {
    let directory = ProcessDir::open(root, pid)?;
    let text = directory.read_file("maps", u64::MAX).map_err(|error| read_error(pid, &error))?;
    Ok(parse_mappings_of_inode(&text, inode))
}

/// The same from the text of a `maps` file; a line that is none is passed over.
fn parse_mappings_of_inode(text: &[u8], inode: u64) -> Vec<FileMapping> {
    let heads = text.split(|byte| *byte == b'\n').filter_map(|line| parse_head(line).ok());
    heads
        .filter(|head| head.inode == inode)
        .map(|head| FileMapping {
            addresses: head.start..head.end,
            offset: head.offset,
            device: head.device,
            inode: head.inode,
        })
        .collect()
}

impl FileMapping {
    /// Whether it is of the file that `fstat` says has this `device` and the mapping's inode.
    ///
    /// Where the kernel prints another device, `/proc/PID/map_files` is asked, which only some may.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn is_of(&self, root: &ProcRoot, pid: u32, device: u64) -> Figure<bool> {
        let printed = (u64::from(self.device.major), u64::from(self.device.minor));
        if printed == (stat::major(device), stat::minor(device)) {
            return Ok(true);
        }
        let link = format!("map_files/{:x}-{:x}", self.addresses.start, self.addresses.end);
        match std::fs::metadata(root.pid_path(pid, &link)) {
            Ok(file) => Ok((file.dev(), file.ino()) == (device, self.inode)),
            Err(error) if is_gone(&error) => Ok(false),
            Err(_) => Err(NOT_ALLOWED),
        }
    }

    /// Which pages of the file the process has in its page table through this mapping: runs of page numbers of the file.
    /// Pages that it has copied for itself (`MAP_PRIVATE`, written to) are no pages of the file and not among them.
    ///
    /// # Errors
    /// As [`read_mappings_of_inode`].
    pub fn read_present_pages(&self, root: &ProcRoot, pid: u32, page: PageSize) -> Result<Vec<Range<u64>>> {
        let directory = ProcessDir::open(root, pid)?;
        let file = directory.open_file("pagemap").map_err(|error| read_error(pid, &error))?;
        let first = self.offset / page.bytes();
        let mut present = Vec::new();
        pagemap::read_states(&file, self.addresses.clone(), page, |run| {
            if run.state.present && run.state.file_or_shared {
                present.push(first.saturating_add(run.pages.start)..first.saturating_add(run.pages.end));
            }
        })
        .map_err(|error| read_error(pid, &error))?;
        Ok(present)
    }
}

fn read_error(pid: u32, error: &io::Error) -> Error {
    match is_gone(error) {
        true => Error::pid(pid, ErrorKind::NotFound, "exited while it was read"),
        false => Error::io(Subject::Pid(pid), error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_mappings_of_the_inode_are_taken() {
        let text = b"1000-3000 r--s 00002000 fe:00 77    /a b\n3000-4000 rw-p 00000000 00:00 0 \nnonsense\n\
                     5000-6000 r-xp 00000000 fe:01 77    /c\n";
        let found = parse_mappings_of_inode(text, 77);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].addresses.clone(), found[0].offset), (0x1000..0x3000, 0x2000));
        assert_eq!(found[1].device, Device { major: 0xfe, minor: 1 });
    }

    #[test]
    fn the_program_that_runs_is_mapped_by_itself() {
        let root = ProcRoot::live();
        let program = std::fs::metadata("/proc/self/exe").unwrap();
        let found = read_mappings_of_inode(&root, std::process::id(), program.ino()).unwrap();
        assert!(!found.is_empty());
        let pages: u64 = found
            .iter()
            .flat_map(|mapping| {
                mapping.read_present_pages(&root, std::process::id(), crate::kernel::page_size()).unwrap()
            })
            .map(|run| run.end - run.start)
            .sum();
        assert!(pages > 0);
    }
}
