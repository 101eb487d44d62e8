//! What a walk is asked for, and what it hands to the caller.

use std::num::NonZeroUsize;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::pagecache::OpenFile;

/// Chooses by name: the path, how many of its last parts lie below the directory that was named (0: it was named itself), and
/// whether it is a directory. A directory that is not chosen is not read.
pub type Choose<'c> = &'c (dyn Fn(&Path, usize, bool) -> bool + Sync);

/// What is walked and how.
#[derive(Clone)]
pub struct Options<'c> {
    /// Whether directories are walked; else a directory that is named is a failure.
    pub recursive: bool,
    /// How many threads walk directories. Fewer do where descriptors are few.
    pub jobs: NonZeroUsize,
    /// Whether the walk goes on into other file systems that are mounted below a directory that was named.
    pub cross_file_systems: bool,
    /// Whether symbolic links that are found on the way are followed. Those that are named always are.
    pub follow: bool,
    /// The sizes of files in bytes that are visited.
    pub sizes: RangeInclusive<u64>,
    /// Chooses by name; not asked about directories that were named.
    pub choose: Option<Choose<'c>>,
}

impl Default for Options<'_> {
    /// Files alone, all of them, on one thread.
    fn default() -> Self {
        Options {
            recursive: false,
            jobs: NonZeroUsize::MIN,
            cross_file_systems: false,
            follow: false,
            sizes: 0..=u64::MAX,
            choose: None,
        }
    }
}

/// Where a file was found.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// The directory that it is in, as it is reached from the one that was named; none for a file that was named itself.
    pub directory: Option<&'p Path>,
    /// How many directories below the named one that directory is: 0 for the named one itself.
    pub depth: usize,
}

/// Why something that was found is not visited. None of these is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skipped {
    /// A file or directory that was visited under another name.
    Again,
    /// A FIFO, socket or device, which has no cached pages to tell of and might block or wake something.
    Special,
    /// A symbolic link, where those are not followed.
    Link,
    /// A directory or file of another file system.
    OtherFileSystem,
    /// A directory of a file system that the kernel makes up as it is read.
    Pseudo,
    /// It was removed between being listed and being opened.
    Vanished,
}

/// Something to be visited.
#[derive(Debug)]
pub enum Named {
    /// A file, or with [`Options::recursive`] a directory, by its path.
    Path(PathBuf),
    /// A file that is open already: it may have no path any more.
    Open(OpenFile),
}

impl From<PathBuf> for Named {
    fn from(path: PathBuf) -> Named {
        Named::Path(path)
    }
}

/// What is done with the files of a walk.
pub trait Visitor: Send {
    /// One file, open. [`ControlFlow::Break`] ends the walk, on all threads.
    fn file(&mut self, file: OpenFile, place: Place<'_>) -> ControlFlow<()>;
    /// A directory that is about to be read; its files come with the same place.
    fn directory(&mut self, _place: Place<'_>) {}
    /// Something that was named or found and cannot be visited. The walk goes on.
    fn failure(&mut self, error: Error);
    /// Something that was found and is not visited on purpose.
    fn skipped(&mut self, _why: Skipped, _place: Place<'_>) {}
}
