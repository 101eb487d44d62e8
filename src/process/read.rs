//! Reads the memory of a live process, or of one in a capture.
//!
//! Everything of one reading goes through one open directory, so that a pid that is given to another process in the
//! meantime is an error and never a mixture. The text is parsed as it comes and never held.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use procfs::process::Stat;

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::pagemap;
use crate::process::capability::advice_where_denied;
use crate::process::feed::{Stop, feed_all};
use crate::process::fields::{Fields, Wanted};
use crate::process::identity::{
    Process, is_denied, is_exiting, is_gone, is_kernel_thread, is_zombie, read_identity, read_stat,
};
use crate::process::mapping::Mappings;
use crate::process::maps::parse_maps;
use crate::process::page_tables;
use crate::process::root::{ProcRoot, ProcessDir};
use crate::process::smaps::{ParseError, SmapsParser};
use crate::process::source::{FROM_ADDRESSES, Source, enter_fields};
use crate::units::PageSize;

/// How often a process that changed while it was read is read again.
const TRIES: u32 = 4;

/// A process and its mappings.
#[derive(Debug, Clone)]
pub struct ProcessMappings {
    /// Who it is.
    pub process: Process,
    /// What it has mapped.
    pub mappings: Mappings,
    /// Where the figures came from.
    pub source: Source,
}

/// Reads what a process has mapped, with the counters that are wanted, from the cheapest kernel interface that gives
/// just these figures ([`Source::for_wanted`]). A capture is read from its smaps.
///
/// # Errors
/// As for [`read_smaps`].
pub fn read_mappings(root: &ProcRoot, pid: u32, fields: &mut Fields, wanted: &Wanted) -> Result<ProcessMappings> {
    let directory = ProcessDir::open(root, pid)?;
    let source = if root.is_live() { Source::for_wanted(wanted) } else { Source::Smaps };
    read_from(source, root, &directory, fields, wanted)
}

/// Reads `/proc/PID/smaps`. Each mapping is as the kernel saw it in one moment, but the list is no snapshot: the
/// process runs on while it is read.
///
/// # Errors
/// [`ErrorKind::NotFound`]: no such process, or it exited while it was read. [`ErrorKind::Denied`]: another user's
/// process. [`ErrorKind::Unsupported`]: a kernel thread or a zombie. [`ErrorKind::Changed`]: it replaced its memory
/// (`execve`) each time it was read. [`ErrorKind::Malformed`]: the text was no smaps each time it was read.
pub fn read_smaps(root: &ProcRoot, pid: u32, fields: &mut Fields, wanted: &Wanted) -> Result<ProcessMappings> {
    let directory = ProcessDir::open(root, pid)?;
    read_from(Source::Smaps, root, &directory, fields, wanted)
}

pub(super) fn read_from(
    mut source: Source,
    root: &ProcRoot,
    directory: &ProcessDir,
    fields: &mut Fields,
    wanted: &Wanted,
) -> Result<ProcessMappings> {
    let live = root.is_live();
    let mut tries = if live { TRIES } else { 1 };
    loop {
        tries -= 1;
        match read_once(source, root, directory, live, fields, wanted)? {
            Reading::Whole(found) => return Ok(found),
            Reading::InPart(found) if tries == 0 => return Ok(found),
            Reading::Failed(error) if tries == 0 => return Err(error),
            // Of a process that does not stand still smaps is the better reading: each of its rows is of one moment.
            Reading::InPart(_) | Reading::Failed(_) if source.is_shortcut() && tries <= 1 => {
                source = Source::Smaps;
            }
            Reading::InPart(_) | Reading::Failed(_) => {}
            Reading::Unproven => {
                source = Source::Smaps;
                tries += 1;
            }
        }
    }
}

/// Which pages of an address range are present in the page tables of `pid`, from `/proc/PID/pagemap`: as runs of page
/// numbers counted from `range.start`, in order. A page of a file that is cached but was never touched is not present.
///
/// # Errors
/// As for [`read_smaps`]; [`ErrorKind::Unsupported`] for a capture, which has no page tables, or for a range outside
/// the address space.
pub fn read_present_pages(root: &ProcRoot, pid: u32, range: Range<u64>, page: PageSize) -> Result<Vec<Range<u64>>> {
    if !root.is_live() {
        return Err(Error::pid(pid, ErrorKind::Unsupported, "a capture has no page tables"));
    }
    let file = open_process_file(root, pid, "pagemap")?;
    pagemap::read_present(&file, range, page).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::pid(pid, ErrorKind::Unsupported, "the address range is not in its address space")
        }
        _ => read_error(pid, &error),
    })
}

/// What came of one reading, if it was not an error that stands.
enum Reading {
    Whole(ProcessMappings),
    /// Some mappings changed under the reader. Another reading may have them all.
    InPart(ProcessMappings),
    /// It may go well the next time.
    Failed(Error),
    /// The source is not there, or may not give what smaps would give.
    Unproven,
}

/// What one text gave.
enum Gathered {
    Mappings(Mappings),
    /// The list of mappings changed while the page tables were read.
    Moved,
    /// See [`Reading::Unproven`].
    Unproven,
}

fn read_once(
    source: Source,
    root: &ProcRoot,
    directory: &ProcessDir,
    live: bool,
    fields: &mut Fields,
    wanted: &Wanted,
) -> Result<Reading> {
    let pid = directory.pid;
    let before = read_stat(directory)?;
    let place = place_of_memory(root, pid, before.as_ref())?;
    let open = |name: &str| {
        let opened = directory.open_file(&format!("{place}{name}"));
        opened.map_err(|error| open_error(live, directory, name, &error))
    };
    // A rollup walks all page tables for each reading, of one byte too: whether the address space lives on is asked of
    // the list, which is opened first.
    let list = if live && source == Source::Rollup { Some(open("maps")?) } else { None };
    let file = match open(source.file()) {
        // A kernel before 4.14.
        Err(_) if source == Source::Rollup => return Ok(Reading::Unproven),
        opened => opened?,
    };
    let gathered = match source {
        Source::Smaps | Source::Rollup => gather_smaps(&file, fields, wanted),
        Source::Maps => gather_maps(&file, fields, wanted),
        Source::PageTables => gather_page_tables(directory, &file, &open("pagemap")?, fields, wanted),
    };
    let mappings = match gathered {
        Ok(Gathered::Mappings(mappings)) => mappings,
        Ok(Gathered::Moved) => return Ok(Reading::Failed(replaced(pid))),
        Ok(Gathered::Unproven) => return Ok(Reading::Unproven),
        Err(Stop::Parse(error)) => return Ok(Reading::Failed(malformed(pid, source.file(), &error))),
        // The page tables say of an address space that was let go of what smaps says of a process that has exited.
        Err(Stop::Read(error)) if is_gone(&error) && lives_on(directory) => return Ok(Reading::Failed(replaced(pid))),
        Err(Stop::Read(error)) => return Err(read_error(pid, &error)),
    };
    let after = read_stat(directory).map_err(|error| exited_meanwhile(pid, error))?;
    if live && !is_still_there(list.as_ref().unwrap_or(&file), pid)? && !has_no_memory(root, pid, after.as_ref())? {
        return Ok(Reading::Failed(replaced(pid)));
    }
    if address_space(before.as_ref()) != address_space(after.as_ref()) {
        return Ok(Reading::Failed(replaced(pid)));
    }
    let process = read_identity(directory, after.as_ref())?;
    let whole = mappings.changed() == 0;
    let found = ProcessMappings { process, mappings, source };
    Ok(if whole { Reading::Whole(found) } else { Reading::InPart(found) })
}

fn gather_smaps(file: &File, fields: &mut Fields, wanted: &Wanted) -> std::result::Result<Gathered, Stop> {
    let mut parser = SmapsParser::new(fields, wanted);
    feed_all(file, &mut parser)?;
    parser.finish().map(Gathered::Mappings).map_err(Stop::Parse)
}

fn gather_maps(file: &File, fields: &mut Fields, wanted: &Wanted) -> std::result::Result<Gathered, Stop> {
    let text = page_tables::read_text(file).map_err(Stop::Read)?;
    let mut mappings = parse_maps(&text).map_err(Stop::Parse)?;
    enter_fields(FROM_ADDRESSES, fields, wanted);
    if let Some(size) = fields.find_exact(b"Size").filter(|_| wanted.keeps("Size")) {
        let sizes = mappings.iter().map(|mapping| mapping.size().0).collect();
        mappings.fill(size, sizes);
    }
    Ok(Gathered::Mappings(mappings))
}

/// The list and the page tables are read one after the other. That they belong together is known when the list is
/// still the same afterwards.
fn gather_page_tables(
    directory: &ProcessDir,
    maps: &File,
    pagemap: &File,
    fields: &mut Fields,
    wanted: &Wanted,
) -> std::result::Result<Gathered, Stop> {
    let text = page_tables::read_text(maps).map_err(Stop::Read)?;
    let mut mappings = parse_maps(&text).map_err(Stop::Parse)?;
    let proven = page_tables::fill_counters(directory, pagemap, &mut mappings, fields, wanted).map_err(Stop::Read)?;
    if !proven {
        return Ok(Gathered::Unproven);
    }
    match page_tables::says_the_same(maps, &text).map_err(Stop::Read)? {
        true => Ok(Gathered::Mappings(mappings)),
        false => Ok(Gathered::Moved),
    }
}

/// Where below its directory the process shows its memory: as nothing or `task/13/`. After its first thread has exited
/// (state `Z`) the kernel shows it only under the threads that are left.
pub(super) fn place_of_memory(root: &ProcRoot, pid: u32, stat: Option<&Stat>) -> Result<String> {
    let why = match stat {
        Some(stat) if is_kernel_thread(stat) => "a kernel thread has no memory of its own",
        Some(stat) if is_zombie(stat) => {
            let left = if stat.num_threads > 1 { other_thread(root, pid) } else { None };
            match left {
                Some(thread) => return Ok(format!("task/{thread}/")),
                None => "a zombie: it has exited and waits for its parent",
            }
        }
        _ => return Ok(String::new()),
    };
    Err(Error::pid(pid, ErrorKind::Unsupported, why))
}

/// A thread of the process that is not the first.
fn other_thread(root: &ProcRoot, pid: u32) -> Option<u32> {
    let threads = std::fs::read_dir(root.pid_path(pid, "task")).ok()?;
    let numbers = threads.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(|thread| *thread != pid).max()
}

/// Whether the address space that `maps` or `smaps` was opened on still lives: then it has at least one mapping to show. Once it
/// is gone (`execve`, exit) the kernel ends the text early and without an error.
fn is_still_there(maps: &File, pid: u32) -> Result<bool> {
    match maps.read_at(&mut [0u8; 1], 0) {
        Ok(count) => Ok(count > 0),
        Err(error) => Err(read_error(pid, &error)),
    }
}

/// Whether a process that shows no mapping truly has none: it is alive and has unmapped everything.
fn has_no_memory(root: &ProcRoot, pid: u32, stat: Option<&Stat>) -> Result<bool> {
    place_of_memory(root, pid, stat)?;
    match stat {
        Some(stat) if is_exiting(stat) => Err(Error::pid(pid, ErrorKind::NotFound, "exited while it was read")),
        Some(stat) => Ok(stat.vsize == 0),
        None => Ok(false),
    }
}

/// Whether the process is there and not on its way out.
fn lives_on(directory: &ProcessDir) -> bool {
    matches!(read_stat(directory), Ok(Some(stat)) if !is_zombie(&stat) && !is_exiting(&stat))
}

fn replaced(pid: u32) -> Error {
    Error::pid(pid, ErrorKind::Changed, "it ran another program each time it was read").with_advice("try again")
}

/// What is different after `execve`: where the program and its stack are. Absent, and equal, in a capture.
fn address_space(stat: Option<&Stat>) -> Option<[u64; 3]> {
    stat.map(|stat| [stat.startcode, stat.endcode, stat.startstack])
}

/// Opens a file of a live process.
pub(super) fn open_process_file(root: &ProcRoot, pid: u32, name: &str) -> Result<File> {
    let directory = ProcessDir::open(root, pid)?;
    directory.open_file(name).map_err(|error| open_error(true, &directory, name, &error))
}

/// Why a file of a process could not be opened.
fn open_error(live: bool, directory: &ProcessDir, name: &str, error: &io::Error) -> Error {
    let pid = directory.pid;
    // A process that is still there, or a capture of one, has no such file.
    let kept = !live || directory.read_file("stat", 1).is_ok();
    if is_gone(error) && kept {
        return Error::pid(pid, ErrorKind::NotFound, format!("it has no {name} file"));
    }
    read_error(pid, error)
}

/// Why a file of a process could not be read.
pub(super) fn read_error(pid: u32, error: &io::Error) -> Error {
    if is_gone(error) {
        return Error::pid(pid, ErrorKind::NotFound, "exited while it was read");
    }
    let plain = Error::io(Subject::Pid(pid), error);
    match is_denied(error) {
        true => plain.with_advice(advice_where_denied()),
        false => plain,
    }
}

fn exited_meanwhile(pid: u32, error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::pid(pid, ErrorKind::NotFound, "exited while it was read"),
        _ => error,
    }
}

fn malformed(pid: u32, name: &str, error: &ParseError) -> Error {
    Error::pid(pid, ErrorKind::Malformed, format!("its {name} cannot be understood: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};
    use std::thread;

    #[test]
    fn an_address_space_that_was_replaced_is_noticed() {
        let mut command = Command::new("/bin/sh");
        let mut child = command.args(["-c", "read line; exec cat"]).stdin(Stdio::piped()).spawn().unwrap();
        let directory = ProcessDir::open(&ProcRoot::live(), child.id()).unwrap();
        let before = read_stat(&directory).unwrap().unwrap();
        let smaps = directory.open_file("smaps").unwrap();
        assert!(is_still_there(&smaps, child.id()).unwrap());
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        while directory.read_file("comm", 16).unwrap() != b"cat\n" {
            thread::yield_now();
        }
        // The old address space is let go of some time after the name changes.
        while is_still_there(&smaps, child.id()).unwrap() {
            thread::yield_now();
        }
        let after = read_stat(&directory).unwrap().unwrap();
        assert_ne!(address_space(Some(&before)), address_space(Some(&after)));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(is_still_there(&smaps, child.id()).unwrap_err().why(), "exited while it was read");
        assert_eq!(read_stat(&directory).unwrap_err().kind(), ErrorKind::NotFound);
    }

    /// A child that sleeps.
    fn sleeper() -> std::process::Child {
        Command::new("/bin/sleep").arg("100").spawn().unwrap()
    }

    fn end(mut child: std::process::Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_pid_that_is_given_to_another_process_is_noticed() {
        let first = sleeper();
        let pid = first.id();
        let root = ProcRoot::live();
        let directory = ProcessDir::open(&root, pid).unwrap();
        let before = read_identity(&directory, read_stat(&directory).unwrap().as_ref()).unwrap();
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
            for source in [Source::Smaps, Source::Maps, Source::PageTables, Source::Rollup] {
                let read = read_from(source, &root, &directory, &mut Fields::new(), &Wanted::Everything);
                assert_eq!(read.unwrap_err().kind(), ErrorKind::NotFound, "{source:?}");
            }
            let after = crate::process::read_process(&root, pid).unwrap();
            assert!(!before.is_same_as(&after) && after.is_same_as(&after));
            return end(second);
        }
        eprintln!("SKIPPED: the pid was not given again");
    }
}
