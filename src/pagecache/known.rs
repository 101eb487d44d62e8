//! Files that were seen before, under whatever name and through whatever file system.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

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
    /// only if `looks_below` is set, which takes about 1 us.
    pub(crate) fn enter(&mut self, file: &OpenFile, looks_below: bool) -> (u64, bool) {
        self.enter_as(file.identity(), || looks_below.then(|| file.page_source()).flatten())
    }

    /// The same for a file with this identity; `source` says where its pages are.
    pub(crate) fn enter_as(
        &mut self,
        identity: FileIdentity,
        source: impl FnOnce() -> Option<PageSource>,
    ) -> (u64, bool) {
        let next = self.numbers.len() as u64;
        let number = match self.numbers.entry(identity) {
            Entry::Occupied(known) => return (*known.get(), false),
            Entry::Vacant(new) => new.insert(next),
        };
        if let Some(source) = source() {
            *number = *self.sources.entry(source).or_insert(next);
        }
        (*number, *number == next)
    }

    /// Whether a file was seen.
    pub(crate) fn contains(&self, file: &OpenFile, looks_below: bool) -> bool {
        let is_below = || file.page_source().is_some_and(|source| self.sources.contains_key(&source));
        self.numbers.contains_key(&file.identity()) || looks_below && is_below()
    }
}
