//! Address spaces that several ids share: those of a process and its threads, or of a child of `vfork` or `CLONE_VM`
//! and its parent. Sums over processes count such memory once.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::kernel::kcmp::compare_memory;
use crate::process::handle::Process;
use crate::process::root::is_of_our_namespace;

/// The address spaces that were seen.
#[derive(Debug, Default)]
pub struct AddressSpaces {
    /// The thread groups of those that were seen, with the first pid of each address space.
    groups: HashMap<u32, u32>,
    /// A pid of each address space, in the order of `kcmp`.
    ordered: Vec<u32>,
}

impl AddressSpaces {
    /// No address space has been seen yet.
    pub fn new() -> AddressSpaces {
        AddressSpaces::default()
    }

    /// Enters the address space of a process that has memory. Returns the first id under which it was seen, and
    /// whether this is that one: `kcmp` reports this if this user may compare them; otherwise it is known only for
    /// threads of one process.
    pub fn enter(&mut self, process: &Process) -> (u32, bool) {
        let group = process.read_thread_group().unwrap_or(process.pid());
        if let Some(first) = self.groups.get(&group) {
            return (*first, false);
        }
        let first = self.find_other(process);
        self.groups.insert(group, first.unwrap_or(process.pid()));
        (first.unwrap_or(process.pid()), first.is_none())
    }

    /// The first id of the address space of a process, if that was seen; enters it otherwise.
    fn find_other(&mut self, process: &Process) -> Option<u32> {
        if !process.is_live() || !is_of_our_namespace(process.root()) {
            return None;
        }
        let mut failed = false;
        let place = self.ordered.binary_search_by(|seen| {
            compare_memory(*seen, process.pid()).unwrap_or_else(|_| {
                failed = true;
                Ordering::Less
            })
        });
        match place {
            Ok(place) => self.ordered.get(place).copied(),
            Err(place) => {
                // Without a comparison its place is unknown.
                if !failed {
                    self.ordered.insert(place, process.pid());
                }
                None
            }
        }
    }
}

impl Process {
    /// Its thread group: its pid, unless it was opened by the id of a thread. `None` if it cannot be read.
    fn read_thread_group(&self) -> Option<u32> {
        let status = self.directory.read_file("status", 1 << 20).ok()?;
        let value = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Tgid:"))?;
        std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
    }
}
