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
mod visit;
mod work;

use std::thread::Builder;

pub use visit::{Choose, Named, Options, Place, Skipped, Visitor};

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
