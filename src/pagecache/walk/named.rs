//! What was named: files are visited at once, in that order; directories are kept for the walk.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::queue::Directory;
use super::seen::Seen;
use super::{Options, Place, Skipped, Visitor};
use crate::error::ErrorKind;
use crate::pagecache::OpenFile;

const NAMED: Place<'static> = Place { directory: None, depth: 0 };

/// Visits the files and gives back the directories; nothing if the visitor has ended the walk.
pub(super) fn visit(
    named: impl Iterator<Item = PathBuf>,
    options: &Options<'_>,
    seen: &Seen,
    visitor: &mut impl Visitor,
) -> Option<Vec<Directory>> {
    let mut directories = Vec::new();
    for path in named {
        match OpenFile::open(&path) {
            Ok(file) => {
                if visit_file(file, options, seen, visitor).is_break() {
                    return None;
                }
            }
            Err(error) if error.kind() == ErrorKind::Unsupported && path.is_dir() => match options.recursive {
                true => directories.push(Directory { path, depth: 0, device: None, link: true }),
                false => visitor.failure(error.with_advice("use -R for the files in it")),
            },
            Err(error) => visitor.failure(error),
        }
    }
    Some(directories)
}

fn visit_file(file: OpenFile, options: &Options<'_>, seen: &Seen, visitor: &mut impl Visitor) -> ControlFlow<()> {
    if !is_chosen(file.path(), options) || !options.sizes.contains(&file.size().0) {
        return ControlFlow::Continue(());
    }
    if !seen.first_of_named((file.device(), file.inode())) {
        visitor.skipped(Skipped::Again, NAMED);
        return ControlFlow::Continue(());
    }
    visitor.file(file, NAMED)
}

fn is_chosen(path: &Path, options: &Options<'_>) -> bool {
    options.choose.is_none_or(|choose| choose(path, false))
}
