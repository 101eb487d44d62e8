//! The files of whole trees, each once, opened to be measured, on several threads.
//!
//! What is to be done with a file is for the [`Visitor`]; each thread has one of its own, so that nothing is locked for
//! a file. Directories are read and files opened relative to an open directory: a path of any length can be reached, and
//! the kernel looks up one name a file.
//!
//! Each file is visited once, by device and inode: hard links, bind mounts, a path that is named twice. To remember
//! every file of a tree of millions would take the memory that they are measured in, so only those are remembered that
//! can come again: files with several links, files that were named, files that are mount points themselves, all where
//! symbolic links are followed; and all directories, which keeps loops and bind mounts of directories away.
//!
//! Pseudo file systems (`/proc`, `/sys`) are never entered.

mod directory;
mod named;
mod queue;
mod seen;

use std::num::NonZeroUsize;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};
use std::thread::Builder;

use super::OpenFile;
use crate::error::Error;

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

/// Visits the files that are `named`, in that order, and then those in and below the directories among them, in the
/// order in which the directories list them; on several threads in no order that holds.
///
/// Gives back the visitors, one a thread; the first has visited the named files.
pub fn walk<V: Visitor>(
    named: impl Iterator<Item = impl Into<Named>>,
    options: &Options<'_>,
    mut visitor: impl FnMut() -> V,
) -> Vec<V> {
    let seen = seen::Seen::new(options);
    let mut first = visitor();
    let Some(directories) = named::visit(named, options, &seen, &mut first) else { return vec![first] };
    if directories.is_empty() {
        return vec![first];
    }
    seen.remember_mounted_files(&directories);
    let jobs = queue::affordable_jobs(options.jobs);
    let queue = queue::Queue::new(directories, jobs);
    let mut visitors: Vec<V> = std::iter::once(first).chain((1..jobs.get()).map(|_| visitor())).collect();
    std::thread::scope(|scope| {
        let mut walkers = visitors.iter_mut().map(|visitor| directory::Walker::new(options, &seen, &queue, visitor));
        let own = walkers.next();
        for mut walker in walkers {
            // Where no thread can be started, those that there are do its work.
            let _ = Builder::new().name("walk".to_owned()).spawn_scoped(scope, move || walker.run());
        }
        if let Some(mut walker) = own {
            walker.run();
        }
    });
    visitors
}
