//! Tells apart the files that processes map under one name: a name means another file in another mount namespace or
//! below another root directory, and for System V shared memory in another IPC namespace.

use std::collections::HashMap;

use crate::kernel::nameless::is_segment;
use crate::pagecache::KnownFiles;
use crate::process::{Device, Mapping, Mappings, Namespace, Process};

/// The files of several processes, each with a number.
#[derive(Debug, Default)]
pub struct FileNumbers {
    /// The namespaces of the processes.
    namespaces: Vec<Namespace>,
    numbers: HashMap<Key, u64>,
    /// System V segments that cannot be opened, by the IPC namespace of the process.
    segments: HashMap<(u64, Device, u64, Vec<u8>), u64>,
    known: KnownFiles,
    next: u64,
}

/// A file as one process or several of the same namespace see it.
type Key = (usize, Device, u64, Vec<u8>);

/// Numbers of files that were opened are even, the others are odd.
const OPENED: u64 = 2;

impl FileNumbers {
    /// For these processes. Files have to be opened only if not all of them see the same names.
    pub fn of(processes: impl Iterator<Item = Process>) -> FileNumbers {
        let mut numbers = FileNumbers::default();
        for process in processes {
            numbers.place(&process);
        }
        numbers
    }

    /// The number of the namespace of a process.
    fn place(&mut self, process: &Process) -> usize {
        let namespace = process.read_namespace();
        let known = self.namespaces.iter().position(|known| *known == namespace);
        known.unwrap_or_else(|| {
            self.namespaces.push(namespace);
            self.namespaces.len() - 1
        })
    }

    /// The number of the file behind each mapping; mappings without a file have number 0.
    pub fn number(&mut self, process: &Process, mappings: &Mappings) -> Vec<u64> {
        let namespace = self.place(process);
        let opens = self.namespaces.len() > 1;
        let mut last = None;
        let mut numbers = Vec::with_capacity(mappings.len());
        for mapping in mappings {
            let file = (mapping.device(), mapping.inode(), mapping.path());
            let number = match last {
                _ if !file.0.has_file(file.1) => 0,
                // A file is usually mapped several times in a row.
                Some((same, number)) if same == file => number,
                // Another IPC namespace has other segments under the same name.
                _ if is_segment(file.2) => self.number_of_segment(process, &mapping),
                _ => {
                    let key = (namespace, file.0, file.1, file.2.to_vec());
                    match self.numbers.get(&key) {
                        Some(number) => *number,
                        None => {
                            let number = self.next_number(process, &mapping, opens);
                            self.numbers.insert(key, number);
                            number
                        }
                    }
                }
            };
            last = Some((file, number));
            numbers.push(number);
        }
        numbers
    }

    /// The number of a System V segment. One that cannot be opened is known by its IPC namespace.
    fn number_of_segment(&mut self, process: &Process, mapping: &Mapping<'_>) -> u64 {
        let number = self.next_number(process, mapping, true);
        let namespace = process.read_ipc_namespace().ok().flatten();
        match namespace.filter(|_| !number.is_multiple_of(OPENED)) {
            Some(namespace) => {
                let key = (namespace, mapping.device(), mapping.inode(), mapping.path().to_vec());
                *self.segments.entry(key).or_insert(number)
            }
            None => number,
        }
    }

    /// The number of a file that was not met under this name yet. It may have been met under another one.
    fn next_number(&mut self, process: &Process, mapping: &Mapping<'_>, opens: bool) -> u64 {
        self.next += OPENED;
        let opened = if opens { process.open_mapped_file(mapping).ok() } else { None };
        let known = opened.map(|file| self.known.enter_as(file.identity(), || file.page_source().into_iter()).0);
        known.map_or(self.next - 1, |known| OPENED * (known + 1))
    }
}
