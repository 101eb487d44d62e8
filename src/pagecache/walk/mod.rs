//! Visits the files of whole directory trees, each once, opened to be measured, on several threads.
//!
//! Each thread has its own [`Visitor`], so no lock is taken per file. Directories are read and files are opened
//! relative to an open directory: paths can have any length, and the kernel looks up one name per file.
//!
//! Each file is visited once ([`FileIdentity`](super::FileIdentity)), even if it has hard links, is bind-mounted, is
//! named twice or is also found through overlayfs. Remembering every file of a large tree would take too much memory,
//! so only files that can be found again are remembered: those with several links, those that were named, those that
//! are mount points, and all of them if symbolic links are followed, if an overlay and another file system are walked,
//! or if `/proc` is not there to tell what is mounted. All directories are remembered, which prevents loops.
//!
//! Pseudo file systems (`/proc`, `/sys`) are never entered.

mod directory;
mod entry;
mod level;
mod named;
mod path;
mod queue;
mod seen;
mod visit;
mod work;

use std::thread::Builder;

pub(crate) use queue::free_descriptors;
pub use visit::{Choose, Named, Options, Place, Skipped, Unread, Visitor};

/// Visits the files in `named`, in that order, and then the files in and below the directories among them, in the order
/// of the directory listings. With several threads the order is undefined.
///
/// Returns the visitors, one per thread. The first one has visited the named files.
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
    seen.expect_below(&directories);
    let jobs = queue::affordable_jobs(options.jobs);
    let queue = queue::Queue::new(directories, jobs);
    let mut visitors: Vec<V> = std::iter::once(first).chain((1..jobs.get()).map(|_| visitor())).collect();
    std::thread::scope(|scope| {
        let mut walkers = visitors.iter_mut().map(|visitor| directory::Walker::new(options, &seen, &queue, visitor));
        let own = walkers.next();
        for mut walker in walkers {
            // If a thread cannot be started, the others do its work.
            let _ = Builder::new().name("walk".to_owned()).spawn_scoped(scope, move || walker.run());
        }
        if let Some(mut walker) = own {
            walker.run();
        }
    });
    visitors
}
