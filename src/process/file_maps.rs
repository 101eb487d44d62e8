//! Which processes map a file: the lines of `/proc/PID/maps` with its inode, and which of their pages are in the page
//! table.
//!
//! Reading `maps` takes a tenth of the time of smaps, so all processes of a machine can be checked.

use std::fs::File;
use std::io;
use std::ops::{ControlFlow, Range};

use crate::error::{ErrorKind, Result};
use crate::kernel::pagemap::{self, StateRun};
use crate::kernel::pagemap_scan;
use crate::process::failure::read_error;
use crate::process::handle::Process;
use crate::process::head::{Device, Head, parse_head};
use crate::process::mapped_file::{MappedFile, Place};
use crate::process::mapping::Mapping;
use crate::units::{Figure, PageSize};

/// A mapping of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMapping {
    /// Its addresses.
    pub addresses: Range<u64>,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// Whether what is written there goes to the file (`s` in `maps`), and not to a copy (`p`).
    pub is_shared: bool,
    /// Whether it may be written to (`w` in `maps`).
    pub is_writable: bool,
    /// The device as the kernel prints it. `stat` of the file may give another one (btrfs, overlayfs).
    pub device: Device,
    /// The inode.
    pub inode: u64,
    /// The name as `maps` prints it.
    pub path: Vec<u8>,
}

impl Process {
    /// The mappings of files with this inode number, on any device, in the order of their addresses. A kernel thread or
    /// a zombie has none.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`]: another user's process. [`ErrorKind::NotFound`]: it has exited.
    pub fn read_mappings_of_inode(&self, inode: u64) -> Result<Vec<FileMapping>> {
        let memory = match self.memory() {
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(Vec::new()),
            found => found?,
        };
        let text = memory.directory.read_file("maps", u64::MAX).map_err(|error| read_error(self.pid(), &error))?;
        Ok(parse_mappings_of_inode(&text, inode))
    }
}

/// The same from the text of `maps`. Invalid lines are skipped.
fn parse_mappings_of_inode(text: &[u8], inode: u64) -> Vec<FileMapping> {
    let heads = text.split(|byte| *byte == b'\n').filter_map(|line| parse_head(line).ok());
    heads.filter(|head| head.inode == inode).map(|head| FileMapping::of_head(&head)).collect()
}

impl FileMapping {
    pub(super) fn of_head(head: &Head<'_>) -> FileMapping {
        FileMapping {
            addresses: head.start..head.end,
            offset: head.offset,
            is_shared: head.perm.ends_with(b"s"),
            is_writable: head.perm.get(1) == Some(&b'w'),
            device: head.device,
            inode: head.inode,
            path: head.name.to_vec(),
        }
    }

    /// The same mapping, of its file.
    pub fn of(mapping: &Mapping<'_>) -> FileMapping {
        FileMapping {
            addresses: mapping.start()..mapping.end(),
            offset: mapping.offset(),
            is_shared: mapping.perm().ends_with('s'),
            is_writable: mapping.perm().as_bytes().get(1) == Some(&b'w'),
            device: mapping.device(),
            inode: mapping.inode(),
            path: mapping.path().to_vec(),
        }
    }

    /// The file of this mapping of `process`.
    ///
    /// # Errors
    /// The mapped file is not accessible, or no longer exists.
    pub fn open(&self, process: &Process) -> Figure<MappedFile> {
        let (start, end) = (self.addresses.start, self.addresses.end);
        process.open_place(&Place { start, end, device: self.device, inode: self.inode, path: &self.path })
    }

    /// Proves that this mapping of `process` has the pages of `file`, which it leads to: see
    /// [`MappedFile::prove_layer`].
    ///
    /// # Errors
    /// Overlayfs may have copied the file to the upper layer since it was mapped.
    pub(crate) fn prove_layer(&self, process: &Process, file: &MappedFile) -> Figure<()> {
        if self.proves_upper_layer() { Ok(()) } else { file.prove_layer(process) }
    }

    /// Whether it is of the upper layer if its file is on overlayfs: what is written to the file is there, and the file
    /// was copied when it was opened, if it had to be.
    pub(crate) fn proves_upper_layer(&self) -> bool {
        self.is_shared && self.is_writable
    }

    /// Whether `process` still has it or a part of it: if its file could not be opened, it may have been unmapped
    /// meanwhile.
    pub(crate) fn is_still_there(&self, process: &Process) -> bool {
        let is_it = |found: &FileMapping| {
            let (now, before) = (&found.addresses, &self.addresses);
            now.start < before.end && before.start < now.end && found.device == self.device
        };
        match process.read_mappings_of_inode(self.inode) {
            Ok(mappings) => mappings.iter().any(is_it),
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }

    /// Which pages of the file `process` has in its page table through this mapping: runs of page numbers of the file.
    /// Pages that it has copied for itself (`MAP_PRIVATE`, written to) do not belong to the file and are left out.
    ///
    /// # Errors
    /// As [`Process::read_mappings_of_inode`].
    pub fn read_present_pages(&self, process: &Process, page: PageSize) -> Result<Vec<Range<u64>>> {
        process.read_pages_of(std::slice::from_ref(self), page)
    }

    fn add_present_pages(&self, pagemap: &File, page: PageSize, present: &mut Vec<Range<u64>>) -> io::Result<()> {
        let first = self.offset / page.bytes();
        let mut add =
            |pages: Range<u64>| present.push(first.saturating_add(pages.start)..first.saturating_add(pages.end));
        let number = |address: u64| address.saturating_sub(self.addresses.start) / page.bytes();
        let scanned = pagemap_scan::scan(pagemap, self.addresses.clone(), pagemap_scan::Question::All, |found| {
            if found.state.present && found.state.file {
                add(number(found.addresses.start)..number(found.addresses.end));
            }
            ControlFlow::Continue(())
        });
        match scanned {
            Ok(_) => Ok(()),
            // Before Linux 6.7. It passes over what has no page tables: otherwise a sparse mapping costs as much as a
            // full one.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                let add = |run: StateRun| {
                    if run.state.present && run.state.file_or_shared {
                        add(run.pages);
                    }
                };
                pagemap::read_states(pagemap, self.addresses.clone(), page, add)
            }
            Err(error) => Err(error),
        }
    }
}

impl Process {
    /// The same of several mappings of a file, one after the other.
    ///
    /// # Errors
    /// As [`Process::read_mappings_of_inode`].
    pub(crate) fn read_pages_of(&self, mappings: &[FileMapping], page: PageSize) -> Result<Vec<Range<u64>>> {
        let pagemap = self.open_memory_file("pagemap")?;
        let mut present = Vec::new();
        for mapping in mappings {
            let added = mapping.add_present_pages(&pagemap, page, &mut present);
            added.map_err(|error| read_error(self.pid(), &error))?;
        }
        Ok(present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::identity::FileIdentity;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn only_mappings_with_the_inode_are_returned() {
        let text = b"1000-3000 r--s 00002000 fe:00 77    /a b\n3000-4000 rw-p 00000000 00:00 0 \nnonsense\n\
                     5000-6000 r-xp 00000000 fe:01 77    /c\n";
        let found = parse_mappings_of_inode(text, 77);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].addresses.clone(), found[0].offset), (0x1000..0x3000, 0x2000));
        assert_eq!((found[0].is_shared, found[1].is_shared), (true, false));
        assert_eq!(found[1].device, Device { major: 0xfe, minor: 1 });
    }

    #[test]
    fn a_process_maps_its_own_program() {
        let process = Process::own().unwrap();
        let program = std::fs::metadata("/proc/self/exe").unwrap();
        let found = process.read_mappings_of_inode(program.ino()).unwrap();
        assert!(!found.is_empty());
        let opened = std::fs::File::open("/proc/self/exe").unwrap();
        let identity = FileIdentity::on(&opened.into(), (program.dev(), program.ino()), false);
        assert!(found.iter().all(|mapping| mapping.open(&process).unwrap().identity() == identity));
        assert!(found.iter().all(|mapping| mapping.is_still_there(&process)));
        let unmapped = FileMapping { addresses: 0x1000..0x2000, ..found[0].clone() };
        assert!(unmapped.open(&process).is_err() || unmapped.open(&process).unwrap().identity() == identity);
        assert!(!unmapped.is_still_there(&process));
        let pages: u64 = found
            .iter()
            .flat_map(|mapping| mapping.read_present_pages(&process, crate::kernel::page_size()).unwrap())
            .map(|run| run.end - run.start)
            .sum();
        assert!(pages > 0);
    }
}
