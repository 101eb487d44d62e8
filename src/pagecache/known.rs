//! Files that were seen before, under whatever name and through whatever file system.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::file::OpenFile;
use crate::kernel::identity::{FileIdentity, PageSource};

/// Files that were seen, each with a number. A file of a layer and the file that overlayfs shows for it are one: their
/// pages are the same. Files that are not proven to be one have two numbers.
#[derive(Debug, Default)]
pub(crate) struct KnownFiles {
    numbers: HashMap<FileIdentity, u64>,
    sources: HashMap<PageSource, u64>,
}

impl KnownFiles {
    /// The number of a file, and whether it is new. Its pages are compared with those of files on other file systems
    /// only if `looks_below` is set, which takes about 2 us.
    pub(crate) fn enter(&mut self, file: &OpenFile, looks_below: bool) -> (u64, bool) {
        self.enter_as(file.identity(), || looks_below.then(|| sources(file)).into_iter().flatten())
    }

    /// The same for files that several threads find. The kernel is asked before the lock is taken.
    pub(crate) fn enter_shared(known: &Mutex<KnownFiles>, file: &OpenFile, looks_below: bool) -> (u64, bool) {
        let (identity, sources) = (file.identity(), looks_below.then(|| sources(file)).into_iter().flatten());
        let sources: Vec<PageSource> = sources.collect();
        // A thread that panicked cannot leave a table in an invalid state.
        known.lock().unwrap_or_else(PoisonError::into_inner).enter_as(identity, || sources.into_iter())
    }

    /// The same for a file with this identity; `sources` say where its pages are.
    pub(crate) fn enter_as<S: Iterator<Item = PageSource>>(
        &mut self,
        identity: FileIdentity,
        sources: impl FnOnce() -> S,
    ) -> (u64, bool) {
        let next = self.numbers.len() as u64;
        if let Some(known) = self.numbers.get(&identity) {
            return (*known, false);
        }
        let sources: Vec<PageSource> = sources().collect();
        let number = sources.iter().find_map(|source| self.sources.get(source)).copied().unwrap_or(next);
        self.numbers.insert(identity, number);
        for source in sources {
            self.sources.entry(source).or_insert(number);
        }
        (number, number == next)
    }

    /// Whether a file was seen.
    pub(crate) fn contains(&self, file: &OpenFile, looks_below: bool) -> bool {
        let is_below = || sources(file).any(|source| self.sources.contains_key(&source));
        self.numbers.contains_key(&file.identity()) || looks_below && is_below()
    }
}

/// Where the pages of a file are; also what overlayfs says about it, if it made the file as the copy of another.
fn sources(file: &OpenFile) -> impl Iterator<Item = PageSource> {
    file.page_source().into_iter().chain(file.source_of_copy())
}
