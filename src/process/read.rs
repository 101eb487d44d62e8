//! Reads the memory of a live process, or of one in a capture.
//!
//! Everything of one reading goes through one open directory, so that a pid that is given to another process in the
//! meantime is an error and never a mixture. The text is parsed as it comes and never held.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use nix::unistd::geteuid;
use procfs::process::Stat;

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::pagemap;
use crate::process::fields::{Fields, Wanted};
use crate::process::identity::{
    Process, is_denied, is_exiting, is_gone, is_kernel_thread, is_zombie, read_identity, read_stat,
};
use crate::process::mapping::Mappings;
use crate::process::root::{ProcRoot, ProcessDir};
use crate::process::smaps::{ParseError, SmapsParser};
use crate::units::PageSize;

/// How often a process that changed while it was read is read again.
const TRIES: u32 = 4;

/// The kernel fills at most one page of text per `read`, so that more room only saves hand-overs between threads.
const CHUNK: usize = 128 << 10;

/// After as much text a second thread reads while this one parses: on 43 MB of smaps that hides the parsing (two
/// cores, kernel 6.18). Most processes have less, and starting a thread costs more than parsing it.
const ONE_THREAD_UP_TO: usize = 512 << 10;

/// Chunks on their way between the two threads.
const CHUNKS: usize = 3;

/// A process and its mappings.
#[derive(Debug, Clone)]
pub struct ProcessMappings {
    /// Who it is.
    pub process: Process,
    /// What it has mapped.
    pub mappings: Mappings,
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
    let live = root.is_live();
    let mut tries = if live { TRIES } else { 1 };
    loop {
        tries -= 1;
        match read_once(root, &directory, live, fields, wanted)? {
            Reading::Whole(found) => return Ok(found),
            Reading::InPart(found) if tries == 0 => return Ok(found),
            Reading::Failed(error) if tries == 0 => return Err(error),
            Reading::InPart(_) | Reading::Failed(_) => {}
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
    let directory = ProcessDir::open(root, pid)?;
    let file = directory.open_file("pagemap").map_err(|error| open_error(true, &directory, "pagemap", &error))?;
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
}

fn read_once(
    root: &ProcRoot,
    directory: &ProcessDir,
    live: bool,
    fields: &mut Fields,
    wanted: &Wanted,
) -> Result<Reading> {
    let pid = directory.pid;
    let before = read_stat(directory)?;
    let name = smaps_of(root, pid, before.as_ref())?;
    let file = directory.open_file(&name).map_err(|error| open_error(live, directory, "smaps", &error))?;
    let mut parser = SmapsParser::new(fields, wanted);
    let mappings = match feed_all(&file, &mut parser).and_then(|()| parser.finish().map_err(Stop::Parse)) {
        Ok(mappings) => mappings,
        Err(Stop::Parse(error)) => return Ok(Reading::Failed(malformed(pid, &error))),
        Err(Stop::Read(error)) => return Err(read_error(pid, &error)),
    };
    let after = read_stat(directory).map_err(|error| exited_meanwhile(pid, error))?;
    if live && !is_still_there(&file, pid)? && !has_no_memory(root, pid, after.as_ref())? {
        return Ok(Reading::Failed(replaced(pid)));
    }
    if address_space(before.as_ref()) != address_space(after.as_ref()) {
        return Ok(Reading::Failed(replaced(pid)));
    }
    let process = read_identity(directory, after.as_ref())?;
    let whole = mappings.changed() == 0;
    let found = ProcessMappings { process, mappings };
    Ok(if whole { Reading::Whole(found) } else { Reading::InPart(found) })
}

/// The smaps file to read. After the first thread of a process has exited (state `Z`) the kernel shows its memory only
/// under the threads that are left.
pub(super) fn smaps_of(root: &ProcRoot, pid: u32, stat: Option<&Stat>) -> Result<String> {
    let why = match stat {
        Some(stat) if is_kernel_thread(stat) => "a kernel thread has no memory of its own",
        Some(stat) if is_zombie(stat) => {
            let left = if stat.num_threads > 1 { other_thread(root, pid) } else { None };
            match left {
                Some(thread) => return Ok(format!("task/{thread}/smaps")),
                None => "a zombie: it has exited and waits for its parent",
            }
        }
        _ => return Ok("smaps".into()),
    };
    Err(Error::pid(pid, ErrorKind::Unsupported, why))
}

/// A thread of the process that is not the first.
fn other_thread(root: &ProcRoot, pid: u32) -> Option<u32> {
    let threads = std::fs::read_dir(root.pid_path(pid, "task")).ok()?;
    let numbers = threads.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(|thread| *thread != pid).max()
}

/// Whether the address space that `smaps` was opened on still lives: then it has at least one mapping to show. Once it
/// is gone (`execve`, exit) the kernel ends the text early and without an error.
fn is_still_there(smaps: &File, pid: u32) -> Result<bool> {
    match smaps.read_at(&mut [0u8; 1], 0) {
        Ok(count) => Ok(count > 0),
        Err(error) => Err(read_error(pid, &error)),
    }
}

/// Whether a process that shows no mapping truly has none: it is alive and has unmapped everything.
fn has_no_memory(root: &ProcRoot, pid: u32, stat: Option<&Stat>) -> Result<bool> {
    smaps_of(root, pid, stat)?;
    match stat {
        Some(stat) if is_exiting(stat) => Err(Error::pid(pid, ErrorKind::NotFound, "exited while it was read")),
        Some(stat) => Ok(stat.vsize == 0),
        None => Ok(false),
    }
}

fn replaced(pid: u32) -> Error {
    Error::pid(pid, ErrorKind::Changed, "it ran another program each time it was read").with_advice("try again")
}

/// What is different after `execve`: where the program and its stack are. Absent, and equal, in a capture.
fn address_space(stat: Option<&Stat>) -> Option<[u64; 3]> {
    stat.map(|stat| [stat.startcode, stat.endcode, stat.startstack])
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
        true if geteuid().is_root() => plain.with_advice("root needs CAP_SYS_PTRACE for it, which it lacks here"),
        true => plain.with_advice("run as root, or as the user who owns it"),
        false => plain,
    }
}

fn exited_meanwhile(pid: u32, error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::pid(pid, ErrorKind::NotFound, "exited while it was read"),
        _ => error,
    }
}

fn malformed(pid: u32, error: &ParseError) -> Error {
    Error::pid(pid, ErrorKind::Malformed, format!("its smaps cannot be understood: {error}"))
}

/// Why a feeding stopped.
enum Stop {
    Read(io::Error),
    Parse(ParseError),
}

/// Feeds the whole of `file`.
fn feed_all(file: &File, parser: &mut SmapsParser<'_>) -> std::result::Result<(), Stop> {
    if feed_up_to(file, parser, ONE_THREAD_UP_TO)? || feed_with_reader(file, parser)? {
        return Ok(());
    }
    // No thread could be started: alone, then.
    feed_up_to(file, parser, usize::MAX).map(|_| ())
}

/// Feeds about `most` bytes in this thread; says whether that was all.
fn feed_up_to(mut file: &File, parser: &mut SmapsParser<'_>, most: usize) -> std::result::Result<bool, Stop> {
    let mut chunk = vec![0; CHUNK.min(most)];
    let mut fed = 0usize;
    while fed < most {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(true),
            Ok(count) => {
                parser.feed(chunk.get(..count).unwrap_or_default()).map_err(Stop::Parse)?;
                fed = fed.saturating_add(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stop::Read(error)),
        }
    }
    Ok(false)
}

/// Feeds the rest, read by a second thread. Says whether it could be started; if not, nothing was read.
fn feed_with_reader(file: &File, parser: &mut SmapsParser<'_>) -> std::result::Result<bool, Stop> {
    let (full_in, full_out) = sync_channel(CHUNKS);
    let (empty_in, empty_out) = channel();
    for _ in 0..CHUNKS {
        // The receiver is in scope.
        let _ = empty_in.send(Vec::with_capacity(CHUNK));
    }
    thread::scope(|scope| {
        let reader = thread::Builder::new().name("smaps".into());
        let Ok(reader) = reader.spawn_scoped(scope, move || read_chunks(file, &empty_out, &full_in)) else {
            return Ok(false);
        };
        feed_chunks(parser, &full_out, empty_in).map_err(Stop::Parse)?;
        match reader.join() {
            Ok(read) => read.map_err(Stop::Read).map(|()| true),
            Err(_) => Err(Stop::Read(io::Error::other("the reading thread failed"))),
        }
    })
}

/// The reading thread: fills empty chunks until the end of the file, or until nobody takes them.
fn read_chunks(file: &File, empty: &Receiver<Vec<u8>>, full: &SyncSender<Vec<u8>>) -> io::Result<()> {
    for mut chunk in empty {
        chunk.clear();
        file.take(CHUNK as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() || full.send(chunk).is_err() {
            break;
        }
    }
    Ok(())
}

fn feed_chunks(
    parser: &mut SmapsParser<'_>,
    full: &Receiver<Vec<u8>>,
    empty: Sender<Vec<u8>>,
) -> std::result::Result<(), ParseError> {
    for chunk in full {
        parser.feed(&chunk)?;
        // The reader may have come to the end and gone.
        let _ = empty.send(chunk);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

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
}
