//! The processes that keep pages of a file in memory: those that map it, and which pages are in their page tables.

use crate::error::Result;
use crate::join::who::{MapperSearch, Mappings};
use crate::pagecache::OpenFile;
use crate::process::{Fields, FileMapping, Identity, ProcRoot, Process, Wanted, hides_processes, not_mounted};
use crate::units::{PageRuns, PageSize, Pages, Run};

/// A process that has pages of a file in its page tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub process: Identity,
    /// How many of the pages in question it has.
    pub pages: Pages,
    /// How many of these are in mappings that it has locked.
    pub locked: Pages,
    /// How many of these no process has locked.
    pub unlocked: Pages,
}

/// The processes that hold any of some pages of a file, as far as this user may see them.
#[derive(Debug, Clone, Default)]
pub struct Holders {
    /// The processes, ordered by pid.
    pub list: Vec<Holder>,
    /// The pages in locked mappings.
    pub locked: PageRuns,
    /// The pages in any page table, locked or not.
    pub mapped: PageRuns,
    /// Processes that map the file, or another layer of the overlay that it is on: which of them is not proven.
    pub perhaps: Vec<Holder>,
    /// How many processes could not be inspected.
    pub unseen: u64,
    /// Why there may be other processes, of which nothing is known.
    pub blind: Option<String>,
}

impl Holders {
    /// Finds the processes that map any of `pages` of `file`.
    pub fn find(search: &mut MapperSearch<'_>, file: &OpenFile, pages: &PageRuns) -> Holders {
        let mut found = Holders::default();
        let mut mapped = Vec::new();
        let searched = search.each(file, &mut |process, mappings| {
            mapped.extend(found.add_process(process, file.page_size(), pages, mappings)?);
            Ok(())
        });
        match searched {
            Ok(unseen) => {
                found.unseen = unseen.processes;
                found.blind = unseen.is_blind.then(|| blind_words(search.root()).to_owned());
            }
            Err(error) => {
                found.blind = Some(match not_mounted(search.root()) {
                    Some(_) => "/proc is not mounted, so no process could be inspected".to_owned(),
                    None => format!("no process could be inspected: {error}"),
                });
            }
        }
        for (holder, mapped) in found.list.iter_mut().zip(mapped) {
            holder.unlocked = mapped.subtract(&found.locked).cached();
        }
        found
    }

    /// Adds a process; returns the pages that it has, if it is one of the list.
    ///
    /// # Errors
    /// Its page tables cannot be read.
    fn add_process(
        &mut self,
        process: &Process,
        page: PageSize,
        pages: &PageRuns,
        mappings: &Mappings,
    ) -> Result<Option<PageRuns>> {
        let present = |mappings: &[FileMapping]| Ok(runs(&process.read_pages_of(mappings, page)?).intersect(pages));
        let locked_starts = locked_starts(process);
        let is_locked = |mapping: &FileMapping| locked_starts.contains(&mapping.addresses.start);
        let (locked, others): (Vec<_>, Vec<_>) = mappings.proven.iter().cloned().partition(is_locked);
        let locked = present(&locked)?;
        let mapped = union(&locked, &present(&others)?);
        let perhaps = present(&mappings.unproven)?;
        let process = process.identity()?;
        let holder = |pages: &PageRuns| Holder {
            process,
            pages: pages.cached(),
            locked: locked.cached(),
            unlocked: Pages::default(),
        };
        if mapped.is_empty() {
            self.perhaps.extend((!perhaps.is_empty()).then(|| holder(&perhaps)));
            return Ok(None);
        }
        self.list.push(holder(&mapped));
        self.mapped = union(&self.mapped, &mapped);
        self.locked = union(&self.locked, &locked);
        Ok(Some(mapped))
    }
}

fn blind_words(root: &ProcRoot) -> &'static str {
    match hides_processes(root) {
        true => "/proc hides the processes of other users (hidepid): run as root",
        false => "/proc does not show all processes of this machine: run outside of the container",
    }
}

/// The start addresses of the locked mappings: `lo` in `VmFlags` of smaps. The counter `Locked` would miss a page that
/// is shared so widely that its part of Pss is less than 1 KiB. Empty if smaps cannot be read.
fn locked_starts(process: &Process) -> Vec<u64> {
    let mut fields = Fields::new();
    let Ok(process) = process.read_smaps(&mut fields, &Wanted::Only(vec!["VmFlags".to_owned()])) else {
        return Vec::new();
    };
    let Some(flags) = fields.find(b"VmFlags") else { return Vec::new() };
    let is_locked =
        |text: Option<&[u8]>| text.is_some_and(|text| text.split(|byte| *byte == b' ').any(|flag| flag == b"lo"));
    process.mappings.iter().filter(|mapping| is_locked(mapping.text(flags))).map(|mapping| mapping.start()).collect()
}

fn runs(present: &[std::ops::Range<u64>]) -> PageRuns {
    present.iter().map(|run| Run { first: run.start, count: run.end.saturating_sub(run.start) }).collect()
}

/// The pages in either.
fn union(left: &PageRuns, right: &PageRuns) -> PageRuns {
    left.iter().chain(right.iter()).copied().collect()
}

/// Names the first holders of some pages, for one line: `pid 4690 (cat)`, or with how many of them each has:
/// `pid 4690 (cat: 7), pid 4691 (less: 3) and 3 more, which `rmap who` names`.
pub(super) fn in_words(holders: &[Holder], pages_of: fn(&Holder) -> Pages) -> String {
    const NAMED: usize = 3;
    let of_kind: Vec<&Holder> = holders.iter().filter(|holder| pages_of(holder) > Pages(0)).collect();
    let names = of_kind.iter().take(NAMED).map(|holder| {
        let command = String::from_utf8_lossy(&holder.process.command);
        let program = command.split(' ').next().unwrap_or_default();
        let program = program.rsplit('/').next().unwrap_or(program);
        let pages = if of_kind.len() > 1 { format!(": {}", pages_of(holder).0) } else { String::new() };
        format!("pid {} ({program}{pages})", holder.process.pid)
    });
    let named = names.collect::<Vec<_>>().join(", ");
    match of_kind.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more, which `rmap who` names"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_fails_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"x").unwrap();
        let root = ProcRoot::at(folder.path().join("gone"));
        let pages = PageRuns::new();
        let found = Holders::find(&mut MapperSearch::new(&root), &OpenFile::open(&path).unwrap(), &pages);
        let said = found.blind.unwrap();
        let gone = root.path().display();
        assert_eq!(said, format!("no process could be inspected: {gone}: no such file"));
    }
}
