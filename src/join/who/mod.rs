//! Who holds some files: the processes that map them or have them open, with what each has of them in memory, and the
//! kernel's own users (swap, loop devices, mounts). And how much of each file is cached, and mapped by anybody.
//!
//! [`Holders`](super::Holders) answers for all files of the machine, from text alone. Here a few files are known from
//! the start, so that each process is only searched for them, and what text does not prove is opened, as a name.

mod cached;
mod captured;
mod captured_files;
mod device;
mod figures;
mod kernel;
mod mappers;
mod overlays;
mod row;
mod search;
mod target;
mod verdict;
mod wanted;

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

pub use figures::{FileInCache, MappedBy};
pub use mappers::{MapperSearch, Mappings, Unseen};
pub use row::{Holding, How, InMemory, KernelUse, ProcessFacts};
pub use wanted::{WantedFile, WhoFacts};

use crate::error::{Error, Result};
use crate::join::PageLists;
use crate::machine::Places;
use crate::pagecache::Leases;
use crate::process::ProcRoot;
use captured_files::CapturedFiles;
use kernel::KernelSearch;
use search::Search;
use target::Target;

/// Who holds the files.
#[derive(Debug, Default)]
pub struct Answer {
    /// The holders: file by file, of each those that have most of it in memory first.
    pub rows: Vec<Holding>,
    /// The files that were found, in the order in which they were asked for, and then other names of the same files.
    pub files: Vec<FileInCache>,
    /// What could not be found out. Each is one line.
    pub failures: Vec<Error>,
}

/// Finds who holds these files.
///
/// # Errors
/// `/proc` cannot be read.
pub fn find_holders(root: &ProcRoot, wanted: &[WantedFile], facts: WhoFacts) -> Result<Answer> {
    let places = Places::read(root)?;
    let mut answer = Answer::default();
    let mut targets: Vec<Target> = Vec::new();
    // Other names of files that were named before, and the number of that target.
    let mut other_names: Vec<(usize, PathBuf)> = Vec::new();
    for file in wanted {
        match Target::find(root, file, &places) {
            Ok(target) => match targets.iter().position(|known| known.is_same(&target)) {
                Some(number) => other_names.push((number, target.label)),
                None => targets.push(target),
            },
            Err(error) => answer.failures.push(error),
        }
    }
    if targets.is_empty() {
        return Ok(answer);
    }
    // It also tells the inode numbers of what was named.
    let listed = (!root.is_live()).then(|| CapturedFiles::read(root, &mut targets, &places));
    // Reading the leases takes as long as searching hundreds of processes.
    let (search, leases) = std::thread::scope(|scope| {
        let is_live = root.is_live();
        let reading = std::thread::Builder::new()
            .name("leases".into())
            .spawn_scoped(scope, move || if is_live { Leases::read() } else { Leases::default() });
        let search = Search::run(root, &targets, &places, facts);
        let leases = reading.ok().and_then(|reading| reading.join().ok());
        (search, leases.unwrap_or_else(Leases::read).naming_denied(PageLists::may_be_read()))
    });
    let mut search = search?;
    let paths: Vec<Arc<[u8]>> = targets.iter().map(|target| target.label.as_os_str().as_bytes().into()).collect();
    for (number, target) in targets.iter().enumerate() {
        let mut rows = search.take_rows(number);
        let in_list = listed.as_ref().and_then(|listed| listed.file(number));
        let (of_kernel, doubts) = KernelSearch { root, places: &places, target, listed: in_list }.run(number);
        rows.extend(of_kernel);
        rows.sort_by_key(|row| (std::cmp::Reverse(row.order()), row.pid));
        let label = paths.get(number).cloned().unwrap_or_else(|| Arc::from(&b""[..]));
        rows.iter_mut().for_each(|row| row.path = Arc::clone(&label));
        let mut file = match &listed {
            Some(listed) => listed.measure(target, &search, number, rows.len(), &places),
            None => {
                let measured = cached::measure(target, &search, number, &leases, rows.len(), facts.pages);
                answer.failures.extend(measured.failure);
                measured.file
            }
        };
        file.is_complete &= doubts.is_empty();
        answer.failures.extend(doubts);
        answer.files.push(file);
        answer.rows.append(&mut rows);
    }
    for (number, name) in other_names {
        let first = targets.get(number).map(|target| &target.label).filter(|first| **first != name);
        answer.files.extend(first.map(|first| FileInCache::same_as(name, first.clone())));
    }
    answer.failures.extend(listed.and_then(|listed| listed.failure));
    answer.failures.extend(search.failures(&targets));
    Ok(answer)
}
