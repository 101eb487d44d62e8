//! In place of the lists if rmap was built without the feature `bpf`.

use std::time::Instant;

use super::{CachedFile, Kind, Listed, Proof};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::cached::{FilePages, Groups, Naming, PageRun};
use crate::process::ProcRoot;

/// There are none.
#[derive(Debug)]
pub(crate) enum Lists {}

impl Lists {
    /// Always fails.
    pub(crate) fn load(_pages: bool) -> Result<Lists> {
        let subject = Subject::Words("the kernel's lists of cached files".to_owned());
        Err(Error::new(subject, ErrorKind::Unsupported, "this rmap was built without the feature bpf"))
    }

    pub(crate) fn list(&mut self, _root: &ProcRoot, _until: Instant) -> Result<Listed> {
        match *self {}
    }

    pub(crate) fn read_names(&mut self, _: &[&CachedFile], _: Instant, _: &mut Proof) -> Result<Vec<Naming>> {
        match *self {}
    }

    pub(crate) fn read_pages(
        &mut self,
        _: &[&CachedFile],
        _: Instant,
        _: &mut Proof,
    ) -> Result<Vec<Option<FilePages>>> {
        match *self {}
    }

    pub(crate) fn read_runs(&mut self, _: &CachedFile, _: Instant, _: &mut dyn FnMut(PageRun)) -> Result<FilePages> {
        match *self {}
    }

    pub(crate) fn kinds(&mut self, _: &[CachedFile], _: Instant, _: impl FnMut(Option<Kind>)) -> Result<()> {
        match *self {}
    }

    pub(crate) fn group_root(&self) -> Option<&[u8]> {
        match *self {}
    }

    pub(crate) fn groups(&self) -> Groups {
        match *self {}
    }
}
