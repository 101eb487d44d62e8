//! Takes a capture of this machine.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::archive::{Archive, Compression};
use super::entry::Entry;
use super::process::{self, Outcome};
use super::{COMPLETE, DESCRIPTION, describe, system};
use crate::error::{Error, Result};
use crate::join::machine_files::{LIST, SavedFiles};
use crate::process::{
    AddressSpaces, Hides, ProcRoot, is_of_namespace, is_own_helper, may_be_kernel_thread, own_pid, read_pids,
    tells_shared_memory, what_is_hidden,
};

/// How long the kernel's lists of cached files may take. There is time: they are not shown to anybody who waits.
const BUDGET: Duration = Duration::from_secs(10);

/// What is captured.
#[derive(Debug, Clone)]
pub struct What {
    /// Whether the command lines of processes are.
    pub command_lines: bool,
    /// Whether the list of cached files is.
    pub files: bool,
    /// Only these processes; all of them if `None`.
    pub processes: Option<Vec<u32>>,
}

/// What was captured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// How many processes.
    pub processes: u64,
    /// Of these: how many do not show their memory to this user.
    pub denied: u64,
    /// Which processes exited meanwhile, and were left out.
    pub gone: Vec<u32>,
    /// Which processes exist but could not be read as a whole, and why. They were left out, and the capture names them.
    pub unread: Vec<(u32, Error)>,
    /// Which processes are hidden from this user, likewise.
    pub hidden: Vec<u32>,
    /// How many of these may be threads of the kernel, which have no memory.
    pub hidden_threads: u64,
    /// Whether there may be more, because `/proc` hides how many other users have, too.
    pub hides_more: bool,
    /// Whether the list of cached files is that of the kernel; otherwise it has only files that processes hold.
    pub has_all_files: bool,
    /// Whether only the processes of a pid namespace were seen, such as those of a container.
    pub is_of_namespace: bool,
    /// How long after the control groups and the rest of the machine the last process was read.
    pub spread: Duration,
}

/// Writes a capture of this machine to `out`. rmap itself is left out. After each process and each portion of other
/// work `check` is called.
///
/// # Errors
/// What `check` returns; the capture could not be written; `/proc` cannot be read.
pub fn take<E>(
    what: &What,
    out: impl Write,
    compression: Compression,
    mut check: impl FnMut() -> std::result::Result<(), E>,
) -> std::result::Result<Taken, E>
where
    E: From<Error> + From<io::Error> + Send,
{
    let root = ProcRoot::live();
    let seconds = root.time().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let hides = what_is_hidden(&root);
    let is_all = what.processes.is_none() && hides == Hides::Nothing;
    let scope = describe::Scope { is_all, is_of_namespace: is_of_namespace(&root), hides };
    // Nothing is written before the machine and its files are read, so that they are without what is written; and the
    // machine comes first, so that it is without the memory that the list of files takes.
    let begun = Instant::now();
    let mut machine = Vec::new();
    system::read(&root, |entry| {
        machine.push(entry);
        check()
    })?;
    let files = if what.files { Some(SavedFiles::read(BUDGET, &mut check)?) } else { None };
    let mut archive = Archive::new(out, compression, seconds);
    let has_all_files = files.as_ref().is_some_and(SavedFiles::are_all);
    archive.add_file(DESCRIPTION.as_bytes(), &describe::describe(&root, what.command_lines, scope))?;
    machine.into_iter().try_for_each(|entry| add(&mut archive, entry))?;
    if let Some(files) = files {
        // Made twice, because its length comes before it: to keep the text would take a third more memory.
        let length = io::copy(&mut files.text(), &mut io::sink())?;
        archive.add_long_file(LIST.as_bytes(), length, files.text())?;
    }
    let mut taken = Taken {
        has_all_files,
        hides_more: what.processes.is_none() && hides == Hides::Everything,
        is_of_namespace: what.processes.is_none() && scope.is_of_namespace,
        ..Taken::default()
    };
    let (mut spaces, mut same_memory) = (AddressSpaces::new(), BTreeMap::<_, Vec<u32>>::new());
    for pid in pids(&root, what)? {
        check()?;
        match process::read(&root, pid, what.command_lines, &mut spaces) {
            Outcome::Whole(process) => {
                process.entries.into_iter().try_for_each(|entry| add(&mut archive, entry))?;
                taken.processes += 1;
                taken.denied += u64::from(!process.is_shown);
                same_memory.entry(process.memory).or_default().push(pid);
            }
            Outcome::Gone => taken.gone.push(pid),
            Outcome::Unread(error) => taken.unread.push((pid, error)),
            Outcome::Hidden => {
                taken.hidden.push(pid);
                taken.hidden_threads += u64::from(may_be_kernel_thread(&root, pid));
            }
        }
    }
    taken.spread = begun.elapsed();
    let missed: Vec<u32> = taken.unread.iter().map(|(pid, _)| *pid).chain(taken.hidden.iter().copied()).collect();
    let same_memory: Vec<Vec<u32>> = same_memory.into_values().filter(|pids| pids.len() > 1).collect();
    let same_memory = Some(&same_memory[..]).filter(|_| tells_shared_memory(&root));
    archive.add_file(COMPLETE.as_bytes(), &describe::describe_processes(&missed, &taken.hidden, same_memory))?;
    archive.finish()?;
    Ok(taken)
}

/// The processes that are captured, in order, without this one and its helpers.
fn pids(root: &ProcRoot, what: &What) -> Result<Vec<u32>> {
    let mut pids = match &what.processes {
        Some(pids) => pids.clone(),
        None => read_pids(root)?,
    };
    let own = own_pid(root)?;
    pids.retain(|pid| *pid != own && !is_own_helper(root, *pid));
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

fn add<W: Write>(archive: &mut Archive<W>, entry: Entry) -> io::Result<()> {
    match entry {
        Entry::File(name, text) => archive.add_file(&name, &text),
        Entry::Link(name, target) => archive.add_link(&name, &target),
        Entry::Directory(name) => archive.add_directory(&name),
    }
}
