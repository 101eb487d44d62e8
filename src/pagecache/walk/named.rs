//! Visits the named files in order and collects the named directories for the walk.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::seen::Seen;
use super::visit::{Named, Options, Place, Skipped, Unread, Visitor};
use crate::error::{Error, ErrorKind, Subject};
use crate::kernel::whereabouts;
use crate::pagecache::{OpenFile, file};

const LINK: &str = "a symbolic link, which is not followed";
const FOLLOW: &str = "use --follow, or name the file that it points to";

const NAMED: Place<'static> = Place { directory: None, depth: 0 };

/// Visits the files and returns the directories; `None` if the visitor ended the walk.
pub(super) fn visit(
    named: impl Iterator<Item = impl Into<Named>>,
    options: &Options<'_>,
    seen: &Seen,
    visitor: &mut impl Visitor,
) -> Option<Vec<PathBuf>> {
    let mut directories = Vec::new();
    for named in named {
        let flow = match named.into() {
            Named::Open(file) => visit_file(file, options, seen, visitor),
            // If nobody answers, opening it says so.
            Named::Path(path) if !options.follow_named && whereabouts::is_link(&path).unwrap_or(false) => {
                visitor.failure(Error::new(Subject::Path(path), ErrorKind::Refused, LINK).with_advice(FOLLOW));
                ControlFlow::Continue(())
            }
            Named::Path(path) => match OpenFile::open_by_path(&path, &options.leases, options.opens_fuse) {
                Ok(file) => visit_file(file, options, seen, visitor),
                Err(error) => {
                    directories.extend(directory(path, error, options, visitor));
                    ControlFlow::Continue(())
                }
            },
        };
        if flow.is_break() {
            return None;
        }
    }
    Some(directories)
}

/// If a path cannot be opened as a file, it may be a directory to walk.
fn directory(path: PathBuf, error: Error, options: &Options<'_>, visitor: &mut impl Visitor) -> Option<PathBuf> {
    let is_directory = error.kind() == ErrorKind::Unsupported && error.why() == file::IS_DIRECTORY;
    match is_directory {
        true if options.recursive => return Some(path),
        true => visitor.failure(error.with_advice("use -R to include the files in it")),
        false => Unread::File.report(visitor, error, NAMED),
    }
    None
}

fn visit_file(file: OpenFile, options: &Options<'_>, seen: &Seen, visitor: &mut impl Visitor) -> ControlFlow<()> {
    if !is_chosen(file.path(), options) || !options.sizes.contains(&file.size().0) {
        return ControlFlow::Continue(());
    }
    if !seen.first_of_named(&file) {
        visitor.skipped(Skipped::Again, Place { directory: Some(file.path()), depth: 0 });
        return ControlFlow::Continue(());
    }
    visitor.file(file, NAMED)
}

fn is_chosen(path: &Path, options: &Options<'_>) -> bool {
    options.choose.is_none_or(|choose| choose(path, 0, false))
}
