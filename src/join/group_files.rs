//! The cached files of a control group: those that it is charged for, and those that its processes hold although
//! another group is charged.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::machine_files::{Captured, ChosenGroups, Facts, FoundChoice, FoundFile, MachineFiles, Split};
use crate::error::Result;
use crate::machine::ELSEWHERE;
use crate::process::{GroupChoice, ProcRoot};
use crate::units::{Absent, Bytes, Figure, Reason};

/// The cached files of a group.
#[derive(Debug, Clone)]
pub struct GroupFiles {
    /// The files that it is charged for, the largest first.
    pub charged: Vec<ChargedFile>,
    /// The files that its processes hold and other groups are charged for, the largest first.
    pub others: Figure<Vec<OthersFile>>,
    /// Why `charged` may lack files.
    pub charged_lack: Vec<String>,
    /// Why `others` may lack files.
    pub others_lack: Vec<String>,
}

/// A file that the group is charged for.
#[derive(Debug, Clone)]
pub struct ChargedFile {
    /// Its path.
    pub path: Vec<u8>,
    /// Whether it was deleted.
    pub is_deleted: bool,
    /// How much of it the group is charged for.
    pub cached: Bytes,
}

/// A file that other groups are charged for.
#[derive(Debug, Clone)]
pub struct OthersFile {
    /// Its path.
    pub path: Vec<u8>,
    /// Whether it was deleted.
    pub is_deleted: bool,
    /// How much of it they are charged for.
    pub cached: Bytes,
    /// The groups, and for how much each, the largest first.
    pub groups: Vec<(Vec<u8>, Bytes)>,
}

const BY_PROGRAM: Absent =
    Absent::new(Reason::Unsupported, "a capture has the programs that hold a file, and not their processes");

/// Reads the cached files of a group from the kernel's lists or those of a capture. The group has these processes, of
/// which 0 is one that is not seen from here.
///
/// # Errors
/// The lists cannot be read here: see [`MachineFiles`]. [`ErrorKind::NotFound`](crate::error::ErrorKind::NotFound): the
/// capture does not have them.
pub fn read_group_files(
    files: &mut MachineFiles,
    root: &ProcRoot,
    group: &GroupChoice,
    pids: Figure<HashSet<u32>>,
    budget: Duration,
) -> Result<GroupFiles> {
    let split = Some(Split::Groups);
    let facts = Facts { path: true, pages: true, ..Facts::default() };
    let choice = FoundChoice { groups: group.clone(), split, ..FoundChoice::default() };
    let (charged, charged_lack) = match root.is_live() {
        true => {
            let read = files.read_lists(&choice, facts, None, budget)?;
            (read.files, read.incomplete)
        }
        false => {
            let (captured, files) = Captured::open(root)?;
            if let Some(error) = captured.lists {
                return Err(error);
            }
            (files.collect(&choice)?, captured.incomplete)
        }
    };
    let (others, others_lack) = match pids {
        Err(absent) => (Err(absent), Vec::new()),
        Ok(pids) if pids.is_empty() => (Ok(Vec::new()), Vec::new()),
        Ok(_) if !root.is_live() => (Err(BY_PROGRAM), Vec::new()),
        Ok(mut pids) => {
            let unseen = pids.remove(&0).then(|| ELSEWHERE.why.to_owned());
            let choice = FoundChoice { holders: pids, split, ..FoundChoice::default() };
            let (found, lack) = match choice.holders.is_empty() {
                true => (Vec::new(), None),
                false => {
                    let held = files.read_lists(&choice, Facts { holders: true, ..facts }, None, budget)?;
                    (held.files, Some(held.incomplete.into_iter().chain(held.unseen)))
                }
            };
            (
                Ok(of_others(found, &ChosenGroups::new(&files.as_named(group), root))),
                unseen.into_iter().chain(lack.into_iter().flatten()).collect(),
            )
        }
    };
    Ok(GroupFiles { charged: whole(charged), others, charged_lack, others_lack })
}

/// Each file once: it may be charged to several of the chosen groups.
fn whole(rows: Vec<FoundFile>) -> Vec<ChargedFile> {
    let mut files: HashMap<u64, ChargedFile> = HashMap::new();
    for row in rows {
        let new = ChargedFile { path: row.path, is_deleted: row.is_deleted, cached: Bytes(0) };
        let file = files.entry(row.id).or_insert(new);
        file.cached = file.cached + row.cached.unwrap_or(Bytes(0));
    }
    let mut files: Vec<_> = files.into_values().collect();
    files.sort_by(|one, other| other.cached.cmp(&one.cached).then_with(|| one.path.cmp(&other.path)));
    files
}

/// The files that other groups are charged for.
fn of_others(rows: Vec<FoundFile>, group: &ChosenGroups<'_>) -> Vec<OthersFile> {
    let mut files: HashMap<u64, OthersFile> = HashMap::new();
    let is_other = |row: &FoundFile| !row.part.is_empty() && !group.has(&Ok(row.part.clone()), None);
    for row in rows.into_iter().filter(is_other) {
        let new = OthersFile { path: row.path, is_deleted: row.is_deleted, cached: Bytes(0), groups: Vec::new() };
        let (file, cached) = (files.entry(row.id).or_insert(new), row.cached.unwrap_or(Bytes(0)));
        file.cached = file.cached + cached;
        file.groups.push((row.part, cached));
    }
    let mut files: Vec<_> = files.into_values().collect();
    files.iter_mut().for_each(|file| file.groups.sort_by_key(|(_, cached)| std::cmp::Reverse(*cached)));
    files.sort_by(|one, other| other.cached.cmp(&one.cached).then_with(|| one.path.cmp(&other.path)));
    files
}
