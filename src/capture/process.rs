//! The files of one process. A process that exits or executes another program meanwhile has no half: it is read again,
//! or left out.

use std::io;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use super::entry::{Entry, is_denied};
use crate::error::{Error, ErrorKind, Subject};
use crate::process::{AddressSpaces, ProcRoot, Process, Raw};

/// What any process has.
const PUBLIC: &[&str] = &["stat", "status", "statm", "comm", "cgroup"];

/// What a process with memory has.
const OF_MEMORY: &[&str] = &["maps", "smaps", "smaps_rollup", "numa_maps", "mountinfo"];

/// Links, whose targets are texts of the kernel.
const LINKS: &[&str] = &["exe", "root", "cwd", "ns/ipc", "ns/mnt", "ns/pid"];

/// How often a process that changes is read.
const TRIES: usize = 3;

/// What became of a process.
pub(super) enum Outcome {
    /// It was captured.
    Whole(Whole),
    /// It exited.
    Gone,
    /// It exists, but could not be read as a whole, for this reason.
    Unread(Error),
    /// It exists, but this user may not see it.
    Hidden,
}

/// A captured process.
pub(super) struct Whole {
    pub(super) entries: Vec<Entry>,
    /// Whether its memory may be read by this user.
    pub(super) is_shown: bool,
    /// What tells its memory from that of other processes: the number of the address space, and its program.
    pub(super) memory: (u64, [u64; 3]),
}

/// Reads everything about a process, and enters its address space.
pub(super) fn read(root: &ProcRoot, pid: u32, with_command_line: bool, spaces: &mut AddressSpaces) -> Outcome {
    let mut last = Outcome::Gone;
    for _ in 0..TRIES {
        let process = match Process::open_in(root, pid) {
            Ok(process) => process,
            Err(error) => return without(pid, &error),
        };
        let life = match process.read_life() {
            Ok(life) => life,
            Err(error) => return without(pid, &error),
        };
        let mut reading = Reading {
            entries: Vec::new(),
            is_denied: false,
            lacks_memory: false,
            failure: None,
            top: format!("proc/{pid}/"),
        };
        let (_, _, is_zombie) = life;
        let has_memory = !process.is_kernel_thread();
        reading.add(&process.raw(), has_memory, with_command_line);
        // One that is exiting has released its memory, but is not a zombie yet.
        reading.lacks_memory &= has_memory && !is_zombie;
        let thread = process.raw_thread();
        if let Some(thread) = &thread {
            reading.add(thread, true, with_command_line);
        }
        if has_memory {
            let is_new = |other: &Raw<'_>| thread.as_ref().is_none_or(|thread| thread.below() != other.below());
            process.raw_threads_with_other_files().filter(is_new).for_each(|other| reading.add_descriptors(&other));
        }
        let (_, program, _) = life;
        let memory = (spaces.enter_anew(&process), program);
        match process.read_life() {
            Ok(after) if after == life && !reading.lacks_memory => {
                return Outcome::Whole(Whole { entries: reading.entries, is_shown: !reading.is_denied, memory });
            }
            Ok(_) if !process.lives_on() => last = Outcome::Gone,
            Ok(_) => {
                let unsteady = || Error::pid(pid, ErrorKind::Changed, UNSTEADY);
                last = Outcome::Unread(
                    reading.failure.map_or_else(unsteady, |error| left_out(pid, error.kind(), &error.to_string())),
                );
            }
            Err(error) => return without(pid, &error),
        }
    }
    last
}

/// It executed one program after the other.
const UNSTEADY: &str = "it changed whenever it was read, and is left out of the capture";

fn without(pid: u32, error: &Error) -> Outcome {
    match error.kind() {
        ErrorKind::NotFound => Outcome::Gone,
        ErrorKind::Denied => Outcome::Hidden,
        _ => Outcome::Unread(left_out(pid, error.kind(), error.why())),
    }
}

fn left_out(pid: u32, kind: ErrorKind, why: &str) -> Error {
    Error::pid(pid, kind, format!("it could not be read, and is left out of the capture: {why}"))
}

/// Why smaps could not be read; `None` if there is none to read, because the process has exited or executed another
/// program, or if it is that of another user.
fn failure(error: &io::Error) -> Option<Error> {
    let has_changed = error.raw_os_error() == Some(Errno::ESRCH as i32);
    (!has_changed && !is_denied(error)).then(|| Error::io(Subject::Words("smaps".to_owned()), error))
}

struct Reading {
    entries: Vec<Entry>,
    /// Whether its memory may not be read.
    is_denied: bool,
    /// Whether it shows no mappings at all.
    lacks_memory: bool,
    /// Why, if its smaps could not be read.
    failure: Option<Error>,
    top: String,
}

impl Reading {
    /// Adds the files of a process, or of the thread that shows its memory.
    fn add(&mut self, raw: &Raw<'_>, has_memory: bool, with_command_line: bool) {
        let command_line: &[&str] = if with_command_line { &["cmdline"] } else { &[] };
        let of_memory = if has_memory { OF_MEMORY } else { &[] };
        for name in PUBLIC.iter().chain(of_memory).chain(command_line) {
            let read = raw.read(name);
            if *name == "smaps" {
                self.is_denied |= read.as_ref().is_err_and(is_denied);
                self.lacks_memory = read.as_ref().map_or_else(|error| !is_denied(error), Vec::is_empty);
                self.failure = read.as_ref().err().and_then(failure);
            }
            self.keep(raw, name, read, Entry::File);
        }
        if !has_memory {
            return;
        }
        for name in LINKS {
            self.keep(raw, name, raw.read_link(name), |name, target| {
                Entry::Link(name, target.as_os_str().as_bytes().to_vec())
            });
        }
        self.add_descriptors(raw);
    }

    fn add_descriptors(&mut self, raw: &Raw<'_>) {
        let numbers = match raw.read_numbers("fd") {
            Ok(numbers) => numbers,
            Err(error) => return self.keep(raw, "fd", Err(error), |name, ()| Entry::Directory(name)),
        };
        for name in ["fd", "fdinfo"] {
            self.keep(raw, name, Ok(()), |name, ()| Entry::Directory(name));
        }
        for number in numbers {
            // A descriptor may be closed at any time, and then stand for another file.
            let link = format!("fd/{number}");
            let Ok(target) = raw.read_link(&link) else { continue };
            let info = format!("fdinfo/{number}");
            // Those of sockets and the like are no files, and may be long.
            let text = if target.is_absolute() { raw.read(&info).ok() } else { None };
            if !raw.read_link(&link).is_ok_and(|again| again == target) {
                continue;
            }
            let target = target.as_os_str().as_bytes().to_vec();
            self.keep(raw, &link, Ok(target), Entry::Link);
            if let Some(text) = text {
                self.keep(raw, &info, Ok(text), Entry::File);
            }
        }
    }

    /// Keeps what was read; a link that says so if it may not be. What is not there has no entry.
    fn keep<T>(&mut self, raw: &Raw<'_>, name: &str, read: io::Result<T>, entry: impl Fn(Vec<u8>, T) -> Entry) {
        let path = [self.top.as_bytes(), raw.below().as_bytes(), name.as_bytes()].concat();
        match read {
            Ok(found) => self.entries.push(entry(path, found)),
            Err(error) if is_denied(&error) => self.entries.push(Entry::denied(path)),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_smaps_that_should_have_been_readable_is_a_reason() {
        let why = |errno: Errno| failure(&io::Error::from(errno)).map(|error| error.to_string());
        assert_eq!([Errno::EACCES, Errno::EPERM, Errno::ESRCH].map(why), [None, None, None]);
        assert!(why(Errno::EIO).unwrap().starts_with("smaps: "));
    }

    #[test]
    fn what_could_not_be_read_is_not_said_to_have_changed() {
        let folder = tempfile::tempdir().unwrap();
        let stat = folder.path().join("7/stat");
        std::fs::create_dir(folder.path().join("7")).unwrap();
        let whole = "7 (x) S 1 7 7 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 500 4096 9 0 1 2 3\n";
        for (text, why) in [(whole, "smaps: no such file"), ("7 (x)", "its stat file is not in the kernel's format")] {
            std::fs::write(&stat, text).unwrap();
            let root = ProcRoot::at(folder.path().to_owned());
            let Outcome::Unread(error) = read(&root, 7, false, &mut AddressSpaces::new()) else { panic!("{text}") };
            let line = format!("pid 7: it could not be read, and is left out of the capture: {why}");
            assert_eq!(error.to_string(), line);
        }
    }
}
