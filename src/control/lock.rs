//! Lock: keeps pages of files in memory until the value is dropped.

use std::ops::ControlFlow;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::effect::{Effect, refuse_unmeasured, refuse_unopened};
use super::warm::{End, Room, left_out, map_of, read_in};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::locked_map::LockedMap;
use crate::kernel::privilege::{IPC_LOCK, has_capability, is_of_whole_machine, run_as_root};
use crate::pagecache::{Engine, FileSystemKind, OpenFile, Stretches};
use crate::units::{ByteRange, Bytes, Human, Pages};

/// The locked pages of one file. They are unlocked when this value is dropped.
#[derive(Debug)]
pub struct LockedFile {
    maps: Vec<LockedMap>,
}

impl LockedFile {
    /// How many bytes are locked, in whole pages.
    pub fn held(&self) -> Bytes {
        self.maps.iter().map(|map| Bytes(map.length() as u64)).sum()
    }
}

/// How much is locked per call. A call cannot be interrupted.
const PORTION: usize = 16 << 20;

/// Reads the data of a range of a file into memory and locks it there. Holes are not read. It is all or nothing: if a
/// part cannot be locked, nothing is.
///
/// `room` is the memory that may still be filled, and `held` is what this process has already locked. `go_on` is called
/// before each portion; if it breaks, everything is unlocked and `None` is returned.
///
/// # Errors
/// `Denied`, `Unsupported`: the cached pages are not known. `Refused`: it exceeds the limit for locked memory. That it
/// does not fit into memory is reported in [`Effect::trouble`].
pub fn lock(
    engine: &Engine,
    room: &mut Room,
    held: Bytes,
    file: &OpenFile,
    range: ByteRange,
    mut go_on: impl FnMut() -> ControlFlow<()>,
) -> Result<Option<(LockedFile, Effect)>> {
    refuse_unopened(file)?;
    let engine = engine.exact();
    let before = engine.map_range(file, range);
    refuse_unmeasured(&before)?;
    let data = Stretches::data(file, before.asked);
    let holes = Pages(before.asked.count).saturating_sub(data.cached());
    let missing = data.subtract(&map_of(&before));
    // Pages that are already cached count as available memory, and no longer do once they are locked. Pages of tmpfs do
    // not count as available.
    let in_memory = file.file_system().kind == FileSystemKind::Memory;
    let needed = if in_memory { &missing } else { &data }.cached().bytes(before.page_size);
    if let Err(refused) = room.take(file, needed, needed) {
        return Ok(Some((LockedFile { maps: Vec::new() }, Effect::refused(before, &missing, holes, refused))));
    }
    // mlock would also read pages, but it never returns if one cannot be read.
    if read_in(file, &before, &missing, |_| go_on())?.is_break() {
        return Ok(None);
    }
    let mut locked = LockedFile { maps: Vec::new() };
    for run in &data {
        let length = run.pages().bytes(before.page_size);
        let bytes =
            usize::try_from(length.0).map_err(|_| refusal(file, Errno::ENOMEM, held + locked.held(), length))?;
        let offset = run.offset(before.page_size).0;
        let refused = |errno| refusal(file, errno, held + locked.held(), length);
        let mut map = LockedMap::new(file.handle(), offset, bytes).map_err(refused)?;
        loop {
            if go_on().is_break() {
                return Ok(None);
            }
            if !map.lock_next(PORTION).map_err(refused)? {
                break;
            }
        }
        locked.maps.push(map);
    }
    let after = engine.map_range(file, range);
    let left = left_out(&data.subtract(&map_of(&after)), End::Done);
    Ok(Some((locked, Effect { before, after, holes, held: data.cached(), planned: None, left, trouble: None })))
}

/// The reason why a part could not be locked.
fn refusal(file: &OpenFile, errno: Errno, held: Bytes, more: Bytes) -> Error {
    let refused = |why: String| Error::path(file.path(), ErrorKind::Refused, why);
    let limit = getrlimit(Resource::RLIMIT_MEMLOCK).map_or(RLIM_INFINITY, |(soft, _)| soft);
    let exceeds = held.0.saturating_add(more.0) > limit && !may_lock_any_amount();
    match errno {
        Errno::ENOMEM if map_count_is_exhausted() => {
            let most = max_map_count().unwrap_or_default();
            return refused(format!("has more parts than a process may map, {most} (vm.max_map_count)"))
                .with_advice("raise it with 'sysctl vm.max_map_count=N', or choose a part with --range");
        }
        Errno::ENOMEM | Errno::EAGAIN | Errno::EPERM if exceeds => {
            let limit = Human(Bytes(limit));
            let run = run_as_root().unwrap_or("get CAP_IPC_LOCK");
            return refused(format!("would exceed the limit for locked memory, {limit} (RLIMIT_MEMLOCK)"))
                .with_advice(format!("raise it with 'ulimit -l', choose a part with --range, or {run}"));
        }
        _ => {}
    }
    let error = Error::errno(Subject::Path(file.path().to_owned()), errno);
    match errno {
        Errno::EOVERFLOW => Error::path(
            file.path(),
            ErrorKind::Refused,
            "has data in the last page below 8 EiB, which cannot be mapped",
        )
        .with_advice("choose the part before it with --range"),
        Errno::ENOMEM => {
            error.with_advice("there is not enough memory, or the file has more parts than a process may map")
        }
        _ => error,
    }
}

/// Whether this process may lock any amount of memory: it has CAP_IPC_LOCK, and not just in a user namespace.
fn may_lock_any_amount() -> bool {
    is_of_whole_machine() && has_capability(IPC_LOCK) == Some(true)
}

/// Whether this process has as many mappings as it may have.
fn map_count_is_exhausted() -> bool {
    // Locking a part of a mapping may need two more.
    let count = std::fs::read("/proc/self/maps").map_or(0, |maps| maps.iter().filter(|byte| **byte == b'\n').count());
    max_map_count().is_some_and(|most| count + 2 >= most)
}

fn max_map_count() -> Option<usize> {
    std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_of_the_largest_file_is_refused_with_a_reason() {
        let named = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
        let (size, page) = ((1 << 63) - 1, crate::kernel::page_size().bytes());
        if named.as_file().set_len(size).is_err() {
            eprintln!("SKIPPED: this file system does not support files of 8 EiB - 1");
            return;
        }
        let file = OpenFile::open(named.path()).unwrap();
        let errno = LockedMap::new(file.handle(), size + 1 - page, page as usize).unwrap_err();
        let error = refusal(&file, errno, Bytes(0), Bytes(page));
        assert_eq!(error.why(), "has data in the last page below 8 EiB, which cannot be mapped");
        assert_eq!(error.advice(), Some("choose the part before it with --range"));
    }
}
