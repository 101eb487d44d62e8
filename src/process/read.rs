//! Reads the mappings of a process, live or captured.
//!
//! The text is parsed as it arrives and never held in memory as a whole.

use std::fs::File;
use std::io::{self, Read};
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{pagemap, pagemap_scan};
use crate::process::failure::{exited, is_gone, read_error};
use crate::process::feed::{Stop, feed_all};
use crate::process::fields::{Fields, Wanted};
use crate::process::handle::{Memory, Process};
use crate::process::identity::Identity;
use crate::process::interface::{FROM_ADDRESSES, Interface, enter_fields};
use crate::process::line_ends::LineEnds;
use crate::process::mapping::Mappings;
use crate::process::maps::parse_maps;
use crate::process::page_tables::Tables;
use crate::process::smaps::{ParseError, SmapsParser};
use crate::process::stat::Stat;
use crate::units::PageSize;

/// How often a process that changes while it is read is read again.
const TRIES: u32 = 4;

/// A process and its mappings.
#[derive(Debug, Clone)]
pub struct ProcessMappings {
    /// The process.
    pub identity: Identity,
    /// Its mappings.
    pub mappings: Mappings,
    /// The interface that the figures came from.
    pub interface: Interface,
}

impl Process {
    /// Reads the mappings with these counters (`["Rss", "Pss"]`). Each is then available by name:
    /// [`crate::process::Mapping::figure`].
    ///
    /// # Errors
    /// As for [`Process::read_smaps`].
    pub fn mappings(&self, counters: &[&str]) -> Result<ProcessMappings> {
        let wanted = Wanted::Only(counters.iter().map(|name| (*name).to_owned()).collect());
        self.read_mappings(&mut Fields::new(), &wanted)
    }

    /// Reads the mappings with the wanted counters, from the cheapest kernel interface that reports the same figures. A
    /// capture is read from its smaps. `fields` may be shared by several processes, so that a
    /// [`crate::process::FieldId`] means the same counter in all of them.
    ///
    /// # Errors
    /// As for [`Process::read_smaps`].
    pub fn read_mappings(&self, fields: &mut Fields, wanted: &Wanted) -> Result<ProcessMappings> {
        let interface = if self.is_live() { Interface::for_wanted(wanted) } else { Interface::Smaps };
        self.read_from(interface, fields, wanted)
    }

    /// Reads `/proc/PID/smaps`. Each mapping is a snapshot, but the list as a whole is not: the process keeps running
    /// while it is read.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: it has exited. [`ErrorKind::Denied`]: another user's process.
    /// [`ErrorKind::Unsupported`]: a kernel thread or a zombie. [`ErrorKind::Changed`]: it called `execve` every time
    /// it was read. [`ErrorKind::Malformed`]: the text was not smaps, or the smaps of a capture is empty.
    pub fn read_smaps(&self, fields: &mut Fields, wanted: &Wanted) -> Result<ProcessMappings> {
        self.read_from(Interface::Smaps, fields, wanted)
    }

    pub(super) fn read_from(
        &self,
        mut interface: Interface,
        fields: &mut Fields,
        wanted: &Wanted,
    ) -> Result<ProcessMappings> {
        let mut tries = if self.is_live() { TRIES } else { 1 };
        loop {
            tries -= 1;
            match self.read_once(interface, fields, wanted)? {
                Reading::Whole(found) => return Ok(found),
                Reading::InPart(found) if tries == 0 => return Ok(found),
                Reading::Failed(error) if tries == 0 => return Err(error),
                // For a process that keeps changing, smaps is better: each of its rows is a snapshot.
                Reading::InPart(_) | Reading::Failed(_) if interface.is_shortcut() && tries <= 1 => {
                    interface = Interface::Smaps;
                }
                Reading::InPart(_) | Reading::Failed(_) => {}
                Reading::Unproven => {
                    interface = Interface::Smaps;
                    tries += 1;
                }
            }
        }
    }

    fn read_once(&self, interface: Interface, fields: &mut Fields, wanted: &Wanted) -> Result<Reading> {
        let pid = self.pid();
        let before = self.memory()?;
        let open = |name: &str| before.directory.open_file(name).map_err(|error| self.open_error(name, &error));
        // Every read of smaps_rollup, even of one byte, walks all page tables. So the list, which
        // is opened first, is used to check whether the address space still exists.
        let list = if self.is_live() && interface == Interface::Rollup { Some(open("maps")?) } else { None };
        let file = match open(interface.file()) {
            // A kernel before 4.14.
            Err(_) if interface == Interface::Rollup => return Ok(Reading::Unproven),
            opened => opened?,
        };
        let gathered = match interface {
            Interface::Smaps | Interface::Rollup => gather_smaps(&file, fields, wanted, self.is_live()),
            Interface::Maps => gather_maps(&file, fields, wanted),
            Interface::PageTables => {
                let pagemap = open("pagemap")?;
                let tables = Tables { process: self, directory: &before.directory, pagemap: &pagemap };
                tables.gather(&file, fields, wanted)
            }
        };
        let mappings = match gathered {
            Ok(mappings) => mappings,
            Err(Stop::Moved) => return Ok(Reading::Failed(replaced(pid))),
            Err(Stop::Unproven) => return Ok(Reading::Unproven),
            Err(Stop::Parse(error)) => return Ok(Reading::Failed(malformed(pid, interface.file(), &error))),
            // The kernel gives the same error for an old address space, for a thread that has ended and for a process
            // that has exited.
            Err(Stop::Read(error)) if is_gone(&error) && self.lives_on() => {
                return Ok(Reading::Failed(replaced(pid)));
            }
            Err(Stop::Read(error)) => return Err(read_error(pid, &error)),
        };
        let after = self.memory().map_err(|error| exited_meanwhile(pid, error))?;
        if mappings.is_empty() && !self.is_live() && !has_no_memory(pid, &after)? {
            let why = format!("its {} file is empty: nothing was captured", interface.file());
            return Err(Error::pid(pid, ErrorKind::Malformed, why));
        }
        let is_still_there = match is_still_there(list.as_ref().unwrap_or(&file)) {
            Err(error) if !is_gone(&error) || !self.lives_on() => return Err(read_error(pid, &error)),
            found => found.unwrap_or(false),
        };
        if self.is_live() && !is_still_there && !has_no_memory(pid, &after)? {
            return Ok(Reading::Failed(replaced(pid)));
        }
        if program(&before) != program(&after) {
            return Ok(Reading::Failed(replaced(pid)));
        }
        let whole = mappings.changed() == 0;
        let found = ProcessMappings { identity: self.identity_in(&after)?, mappings, interface };
        Ok(if whole { Reading::Whole(found) } else { Reading::InPart(found) })
    }

    /// Whether it exists and is not exiting: an exiting process has released its memory, or is about to.
    pub(crate) fn lives_on(&self) -> bool {
        self.memory().is_ok_and(|memory| memory.shown_by().is_some_and(|stat| !stat.is_exiting()))
    }

    /// Which pages of an address range are present in the page tables (`/proc/PID/pagemap`): runs of page numbers
    /// counted from `range.start`, in order. A page of a file that is cached but was never touched is not present.
    ///
    /// # Errors
    /// As for [`Process::read_smaps`]; [`ErrorKind::Unsupported`] for a capture, which has no page tables, or for a
    /// range outside the address space.
    pub fn read_present_pages(&self, range: Range<u64>, page: PageSize) -> Result<Vec<Range<u64>>> {
        self.require_live("a capture has no page tables")?;
        let file = self.open_memory_file("pagemap")?;
        match scan_present(&file, &range, page) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            scanned => return scanned.map_err(|error| read_error(self.pid(), &error)),
        }
        pagemap::read_present(&file, range, page).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Error::pid(self.pid(), ErrorKind::Unsupported, "the address range is not in its address space")
            }
            _ => read_error(self.pid(), &error),
        })
    }
}

/// The same with `PAGEMAP_SCAN`, which passes over what has no page tables: otherwise a sparse range costs as much as a
/// full one.
///
/// # Errors
/// As [`pagemap_scan::scan`].
fn scan_present(pagemap: &File, range: &Range<u64>, page: PageSize) -> io::Result<Vec<Range<u64>>> {
    let mut present: Vec<Range<u64>> = Vec::new();
    let number = |address: u64| address.saturating_sub(range.start) / page.bytes();
    pagemap_scan::scan(pagemap, range.clone(), pagemap_scan::Question::Present, |found| {
        if found.state.present {
            let pages = number(found.addresses.start)..number(found.addresses.end);
            match present.last_mut().filter(|last| last.end == pages.start) {
                Some(last) => last.end = pages.end,
                None => present.push(pages),
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(present)
}

/// The result of one reading, unless it is an error that another reading would not change.
enum Reading {
    Whole(ProcessMappings),
    /// Some mappings changed during the reading. Another reading may have them all.
    InPart(ProcessMappings),
    /// Another reading may succeed.
    Failed(Error),
    /// The interface is missing, or its figures may differ from those of smaps.
    Unproven,
}

type Gathering = std::result::Result<Mappings, Stop>;

fn gather_smaps(file: &File, fields: &mut Fields, wanted: &Wanted, is_live: bool) -> Gathering {
    let mut parser = SmapsParser::new(fields, wanted);
    match feed_all(file, &mut parser) {
        Ok(()) | Err(Stop::Parse(_)) => {}
        Err(stop) => return Err(stop),
    }
    let finished = if is_live { parser.finish() } else { parser.finish_torn() };
    finished.map_err(Stop::Parse)
}

impl ProcessMappings {
    /// Reads a bare smaps text, as people attach it to reports. It does not name its process: the pid is 0, and the
    /// command line is `name`. If its lines end with CR LF, they are read as if they ended with LF.
    ///
    /// # Errors
    /// The text cannot be read; [`ErrorKind::Malformed`]: it does not begin like smaps. If it breaks off later,
    /// [`Mappings::torn`] reports it.
    pub fn read_bare(
        name: &std::path::Path,
        mut text: impl io::Read,
        fields: &mut Fields,
        wanted: &Wanted,
    ) -> Result<ProcessMappings> {
        let about = |kind, why: String| Error::path(name, kind, why);
        let mut parser = SmapsParser::new(fields, wanted);
        let mut line_ends = LineEnds::default();
        let mut chunk = vec![0; 128 << 10];
        loop {
            match text.read(&mut chunk) {
                Ok(0) => {
                    // The parser keeps an error until it is asked for its result.
                    let _ = parser.feed(&line_ends.finish());
                    break;
                }
                Ok(count) if parser.feed(&line_ends.convert(chunk.get(..count).unwrap_or_default())).is_err() => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(crate::error::Subject::Path(name.to_owned()), &error)),
            }
        }
        let mappings =
            parser.finish_torn().map_err(|error| about(ErrorKind::Malformed, format!("invalid smaps: {error}")))?;
        if mappings.is_empty() {
            return Err(about(ErrorKind::Malformed, "it is empty: it contains no mapping".to_owned()));
        }
        let identity = Identity { pid: 0, command: name.as_os_str().as_encoded_bytes().to_vec(), start_time: None };
        Ok(ProcessMappings { identity, mappings, interface: Interface::Smaps })
    }
}

fn gather_maps(mut file: &File, fields: &mut Fields, wanted: &Wanted) -> Gathering {
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(Stop::Read)?;
    let mut mappings = parse_maps(&text).map_err(Stop::Parse)?;
    enter_fields(FROM_ADDRESSES, fields, wanted);
    if let Some(size) = fields.find_exact(b"Size").filter(|_| wanted.keeps("Size")) {
        let sizes = mappings.iter().map(|mapping| mapping.size().0).collect();
        mappings.fill(size, sizes);
    }
    mappings.set_keys(fields, wanted);
    Ok(mappings)
}

/// Whether the address space that `maps` or `smaps` was opened for still exists: then it has at least one mapping.
/// After it has been released (`execve`, exit) the kernel ends the text early and without an error.
fn is_still_there(maps: &File) -> io::Result<bool> {
    maps.read_at(&mut [0u8; 1], 0).map(|count| count > 0)
}

/// Whether a process without mappings really has none: it is alive and has unmapped everything.
fn has_no_memory(pid: u32, memory: &Memory) -> Result<bool> {
    match memory.shown_by() {
        Some(stat) if stat.is_exiting() => Err(exited(pid)),
        Some(stat) => Ok(stat.address_space == 0),
        None => Ok(false),
    }
}

/// What changes with `execve`. `None`, and therefore equal, in a capture without stat.
fn program(memory: &Memory) -> Option<[u64; 3]> {
    memory.shown_by().map(|stat: &Stat| stat.program)
}

fn replaced(pid: u32) -> Error {
    Error::pid(pid, ErrorKind::Changed, "it ran another program every time it was read").with_advice("try again")
}

fn exited_meanwhile(pid: u32, error: Error) -> Error {
    if error.kind() == ErrorKind::NotFound { exited(pid) } else { error }
}

fn malformed(pid: u32, name: &str, error: &ParseError) -> Error {
    Error::pid(pid, ErrorKind::Malformed, format!("invalid {name} file: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Child, Command, Stdio};
    use std::thread;

    #[test]
    fn an_address_space_that_was_replaced_is_noticed() {
        let mut command = Command::new("/bin/sh");
        let mut child = command.args(["-c", "read line; exec cat"]).stdin(Stdio::piped()).spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        let before = process.memory().unwrap();
        let smaps = process.open_memory_file("smaps").unwrap();
        assert!(is_still_there(&smaps).unwrap());
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        while process.directory.read_file("comm", 16).unwrap() != b"cat\n" {
            thread::yield_now();
        }
        // The old address space is released some time after the name changes.
        while is_still_there(&smaps).unwrap() {
            thread::yield_now();
        }
        assert_ne!(program(&before), program(&process.memory().unwrap()));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(is_gone(&is_still_there(&smaps).unwrap_err()));
        assert_eq!(process.memory().err().unwrap().kind(), ErrorKind::NotFound);
    }

    fn sleeper() -> Child {
        Command::new("/bin/sleep").arg("100").spawn().unwrap()
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_handle_never_reads_another_process_with_the_same_pid() {
        let first = sleeper();
        let pid = first.id();
        let process = Process::open(pid).unwrap();
        let before = process.identity().unwrap();
        // Start times are in ticks of 10 ms.
        thread::sleep(std::time::Duration::from_millis(30));
        end(first);
        for _ in 0..200 {
            if std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).is_err() {
                return eprintln!("SKIPPED: only root can choose the next pid");
            }
            let second = sleeper();
            if second.id() != pid {
                end(second);
                continue;
            }
            for interface in [Interface::Smaps, Interface::Maps, Interface::PageTables, Interface::Rollup] {
                let read = process.read_from(interface, &mut Fields::new(), &Wanted::Everything);
                assert_eq!(read.unwrap_err().kind(), ErrorKind::NotFound, "{interface:?}");
            }
            let page = crate::kernel::page_size();
            assert_eq!(process.read_status().unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(process.read_account().unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(process.read_held_files().unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(process.read_present_pages(0..1, page).unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(process.identity().unwrap_err().kind(), ErrorKind::NotFound);
            let after = Process::open(pid).unwrap().identity().unwrap();
            assert!(!before.is_same_as(&after) && after.is_same_as(&after));
            return end(second);
        }
        eprintln!("SKIPPED: the pid was not reused");
    }

    #[test]
    fn present_pages_of_a_sparse_range_are_found_at_once() {
        let page = crate::kernel::page_size();
        let length = 4usize << 40;
        let memory = memmap2::MmapOptions::new().len(length).no_reserve_swap().map_anon();
        let Ok(mut memory) = memory else { return eprintln!("SKIPPED: no address space of 4 TiB") };
        memory.advise(memmap2::Advice::NoHugePage).unwrap();
        let start = memory.as_ptr() as u64;
        for touched in [1, 2, length as u64 / page.bytes() - 1] {
            memory[(touched * page.bytes()) as usize] = 1;
        }
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        let range = start..start + length as u64;
        match scan_present(&pagemap, &range, page) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                return eprintln!("SKIPPED: this kernel has no PAGEMAP_SCAN (before 6.7)");
            }
            found => assert_eq!(found.unwrap().len(), 2),
        }
        let begun = std::time::Instant::now();
        let last = length as u64 / page.bytes() - 1;
        assert_eq!(Process::own().unwrap().read_present_pages(range, page).unwrap(), [1..3, last..last + 1]);
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}
