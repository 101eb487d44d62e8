//! Reads the lists: which files have cached pages, then the pages and the names of some of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::Listed;
use super::file::{CachedFile, FileSystem, Kind};
use super::frames::Frames;
use super::memory::{CacheSize, Proof, agree};
use super::readers::Readers;
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::bpf::inodes::{End, Inodes};
use crate::kernel::bpf::pages::Reader;
use crate::kernel::bpf::{self, Unavailable};
use crate::kernel::cached::{FilePages, Groups, Naming, PageRun};
use crate::process::ProcRoot;
use crate::units::Pages;

/// The programs in the kernel.
#[derive(Debug)]
pub(crate) struct Lists {
    inodes: Inodes,
    pages: Option<Readers>,
    frames: Option<Frames>,
}

impl Lists {
    /// Loads the programs; those for pages only if `pages`. Needs root of the whole machine, or `CAP_BPF` and
    /// `CAP_PERFMON`, and takes some 0.1 s.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`]; [`ErrorKind::Unsupported`]: the kernel has no BPF, does not describe its structures, or
    /// they do not fit.
    pub(crate) fn load(pages: bool) -> Result<Lists> {
        let readers = if pages { Readers::count() } else { 0 };
        let (list, adapted) = bpf::adapt(readers).map_err(|unavailable| error(&unavailable))?;
        let pages = pages.then(|| Readers::start(adapted));
        let inodes = list.and_then(Inodes::load).map_err(|unavailable| error(&unavailable))?;
        Ok(Lists { inodes, pages, frames: None })
    }

    /// Lists all files with cached pages, largest first.
    ///
    /// # Errors
    /// As `bpf(2)`, and as [`CacheSize::read`].
    pub(crate) fn list(&mut self, root: &ProcRoot, until: Instant) -> Result<Listed> {
        let mut listed = self.list_once(root, until)?;
        for _ in 0..RETRIES {
            let proof = &listed.proof;
            if proof.is_complete() && proof.adds_up(crate::kernel::page_size()) || Instant::now() > until {
                break;
            }
            listed = self.list_once(root, until)?;
        }
        if let Some(readers) = &mut self.pages {
            // It was loaded while the files were listed.
            let reader = readers.first().map_err(|unavailable| error(&unavailable))?;
            self.frames = Frames::find(root, reader, &listed.files, until);
        }
        listed.files.sort_unstable_by_key(|file| (std::cmp::Reverse(file.pages), file.super_block, file.number));
        Ok(listed)
    }

    fn list_once(&mut self, root: &ProcRoot, until: Instant) -> Result<Listed> {
        let before = CacheSize::read(root)?;
        let mut proof = Proof::default();
        let mut files = Vec::new();
        let (blocks, end) = self.inodes.super_blocks(until).map_err(|cause| failed(&cause))?;
        proof.take("the list of file systems", end);
        for block in &blocks {
            let file_system = Arc::new(FileSystem::new(block));
            if file_system.is_hugetlb() {
                continue;
            }
            let first = files.len();
            let mut end = End::Broken;
            // A list that changes too often is walked again from its start.
            for _ in 0..3 {
                files.truncate(first);
                let each = |inode| files.push(CachedFile::new(&inode, block, &file_system));
                end = self.inodes.of(block, until, each).map_err(|cause| failed(&cause))?;
                if end != End::Broken {
                    break;
                }
            }
            if !matches!(end, End::Complete { may_repeat: false, .. }) {
                remove_repeated(&mut files, first);
            }
            proof.take(&file_system.kind, end);
        }
        proof.sizes = Some((before, CacheSize::read(root)?));
        proof.listed = files.iter().fold(Pages(0), |sum, file| Pages(sum.0.saturating_add(file.pages.0)));
        Ok(Listed { files, proof })
    }

    /// Reads the names of these files, in their order; of fewer if the time was over.
    ///
    /// # Errors
    /// As `bpf(2)`.
    pub(crate) fn read_names(
        &mut self,
        files: &[&CachedFile],
        until: Instant,
        proof: &mut Proof,
    ) -> Result<Vec<Naming>> {
        let mut names = Vec::new();
        let targets = files.iter().map(|file| file.target());
        self.inodes.names(targets, until, |name| names.push(name)).map_err(|cause| failed(&cause))?;
        proof.is_cut |= names.len() < files.len();
        Ok(names)
    }

    /// Reads the pages of these files, and compares some of them with `/proc/kpageflags`. `None` stands for a file
    /// that was not read before the time was over.
    ///
    /// # Errors
    /// As `bpf(2)`.
    pub(crate) fn read_pages(
        &mut self,
        files: &[&CachedFile],
        until: Instant,
        proof: &mut Proof,
    ) -> Result<Vec<Option<FilePages>>> {
        let Some(readers) = &mut self.pages else { return Ok(Vec::new()) };
        let page = crate::kernel::page_size();
        let mut taken = readers.read(files, until).map_err(|cause| failed(&cause))?;
        // Whatever changed meanwhile is read again, which takes much less time.
        let is_open = |place: &usize| match (files.get(*place), taken.files.get(*place)) {
            (Some(file), Some(Some(pages))) => !file.is_settled(pages, None, page),
            _ => false,
        };
        let mut open: Vec<usize> = (0..files.len()).filter(is_open).collect();
        for _ in 0..RETRIES {
            if open.is_empty() || Instant::now() > until {
                break;
            }
            let chosen: Vec<&CachedFile> = open.iter().filter_map(|place| files.get(*place).copied()).collect();
            let again = readers.read_on(&chosen, until).map_err(|cause| failed(&cause))?;
            let mut still_open = Vec::new();
            for ((place, file), pages) in open.into_iter().zip(chosen).zip(again.files) {
                let (Some(read), Some(pages)) = (taken.files.get_mut(place), pages) else { continue };
                still_open.extend((!file.is_settled(&pages, read.as_ref(), page)).then_some(place));
                *read = Some(pages);
            }
            open = still_open;
        }
        proof.is_cut |= taken.files.iter().any(Option::is_none);
        proof.unequal = taken.files.iter().flatten().filter(|file| !file.is_gone && !file.adds_up()).count() as u64;
        if let Some(frames) = &self.frames {
            proof.compared = Some(settle(frames.compare(&taken.samples), || {
                if Instant::now() > until {
                    return Ok(None);
                }
                // Many may have been freed since they were met. Others are met now, few of each file, and compared at
                // once.
                let samples = readers.sample(files, until).map_err(|cause| failed(&cause))?;
                Ok(Some(frames.compare(&samples)))
            })?);
        }
        Ok(taken.files)
    }

    /// Reads one file page by page: calls `each` with runs of pages in the same state, in order, including those that
    /// were evicted.
    ///
    /// # Errors
    /// As `bpf(2)`; [`ErrorKind::Changed`] if its pages do not add up to what the kernel counts.
    pub(crate) fn read_runs(
        &mut self,
        file: &CachedFile,
        until: Instant,
        each: &mut dyn FnMut(PageRun),
    ) -> Result<FilePages> {
        let why = |kind, why: &'static str| Error::new(Subject::Words(SUBJECT.to_owned()), kind, why);
        let readers = self.pages.as_mut().ok_or_else(|| why(ErrorKind::Unsupported, "pages are not read"))?;
        let mut taken = Runs { each, pages: None };
        readers.read_one(file, until, &mut taken).map_err(|cause| failed(&cause))?;
        let pages = taken.pages.ok_or_else(|| why(ErrorKind::System, "the file was not read in time"))?;
        if pages.is_gone || !pages.adds_up() {
            return Err(why(ErrorKind::Changed, "the file changed while it was read"));
        }
        Ok(pages)
    }

    /// Passes on the kind of each file, for which only a few names are read; `None` if such a name was not read, in
    /// time or before the file was gone.
    ///
    /// # Errors
    /// As `bpf(2)`.
    pub(crate) fn kinds(
        &mut self,
        files: &[CachedFile],
        until: Instant,
        mut each: impl FnMut(Option<Kind>),
    ) -> Result<()> {
        let unclear = files.iter().filter(|file| file.needs_name()).map(CachedFile::target);
        let mut names = Vec::new();
        self.inodes.names(unclear, until, |name| names.push(name)).map_err(|cause| failed(&cause))?;
        let mut names = names.into_iter();
        for file in files {
            let kind = match file.needs_name() {
                true => names.next().and_then(|naming| naming.name).map(|name| file.kind(Some(&name))),
                false => Some(file.kind(None)),
            };
            each(kind);
        }
        Ok(())
    }

    /// The group that `/proc` shows to this process as `/`, from the root of all groups; `None` if that is not known.
    pub(crate) fn group_root(&self) -> Option<&[u8]> {
        self.pages.as_ref()?.root()
    }

    /// The control groups that the pages of the last [`read_pages`](Lists::read_pages) are charged to.
    pub(crate) fn groups(&self) -> Groups {
        self.pages.as_ref().map_or_else(Groups::new, |readers| readers.groups().clone())
    }
}

/// How often what changed while it was read is read again.
const RETRIES: usize = 3;

/// How many folios tell well whether one in fifty differs.
const ENOUGH: u64 = 200;

/// The comparison to go by: the first one, unless others that tell as much agree. Each is the folios that were
/// compared, and how many of them differ. A few may agree by chance, so if the first were few, two must agree one after
/// the other.
fn settle(first: (u64, u64), mut again: impl FnMut() -> Result<Option<(u64, u64)>>) -> Result<(u64, u64)> {
    let needed = if first.0 < ENOUGH { 2 } else { 1 };
    let mut agreeing = 0;
    for _ in 0..RETRIES {
        if agree(first) {
            break;
        }
        let Some(next) = again()? else { break };
        if next.0 < ENOUGH.min(first.0) {
            continue;
        }
        agreeing = if agree(next) { agreeing + 1 } else { 0 };
        if agreeing == needed {
            return Ok(next);
        }
    }
    Ok(first)
}

/// Passes on the runs of pages of one file.
struct Runs<'e> {
    each: &'e mut dyn FnMut(PageRun),
    pages: Option<FilePages>,
}

impl Reader for Runs<'_> {
    const RUNS: bool = true;

    fn file(&mut self, _: usize, pages: FilePages) {
        self.pages = Some(pages);
    }

    fn run(&mut self, run: PageRun) {
        (self.each)(run);
    }
}

impl Proof {
    /// Takes the end of a list.
    fn take(&mut self, name: &str, end: End) {
        match end {
            End::Complete { .. } => {}
            End::Broken => self.broken.push(name.to_owned()),
            End::Late => self.is_late = true,
        }
    }
}

/// Removes files that were listed twice, from `first` on.
fn remove_repeated(files: &mut Vec<CachedFile>, first: usize) {
    let mut seen = HashSet::new();
    let mut number = 0;
    files.retain(|file| {
        number += 1;
        number <= first || seen.insert(file.id())
    });
}

fn error(unavailable: &Unavailable) -> Error {
    let kind = match unavailable {
        Unavailable::Denied => ErrorKind::Denied,
        Unavailable::NoBtf | Unavailable::NoSysfs | Unavailable::Unknown(_) => ErrorKind::Unsupported,
        Unavailable::Failed(_) => ErrorKind::System,
    };
    Error::new(Subject::Words(SUBJECT.to_owned()), kind, unavailable.to_string())
}

fn failed(cause: &std::io::Error) -> Error {
    Error::io(Subject::Words(SUBJECT.to_owned()), cause)
}

const SUBJECT: &str = "the kernel's lists of cached files";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folios_that_agree_now_outdo_those_that_changed_meanwhile_if_they_are_as_many() {
        for (first, again, expected) in [
            ((10, 1), [(10, 0), (10, 0), (0, 0)], (10, 0)),
            ((10, 1), [(10, 0), (9, 0), (10, 0)], (10, 0)),
            ((10, 1), [(10, 1), (12, 0), (12, 0)], (12, 0)),
            // A steady difference is not in every sample of a few.
            ((10, 1), [(10, 0), (10, 1), (10, 0)], (10, 1)),
            ((10, 1), [(9, 0), (9, 0), (9, 0)], (10, 1)),
            ((199, 9), [(200, 0), (200, 9), (200, 9)], (199, 9)),
            ((900, 50), [(199, 0), (200, 0), (0, 0)], (200, 0)),
            ((900, 50), [(199, 0), (199, 0), (199, 0)], (900, 50)),
        ] {
            let mut samples = again.into_iter();
            assert_eq!(settle(first, || Ok(samples.next())).unwrap(), expected, "{first:?}, then {again:?}");
        }
        assert_eq!(settle((10, 0), || panic!("it agrees")).unwrap(), (10, 0));
        assert_eq!(settle((10, 1), || Ok(None)).unwrap(), (10, 1));
    }
}
