//! From what was typed to the files that are meant: the names, and the options of the walk over them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::num::NonZeroUsize;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::args::SelectionArgs;
use super::{Report, Stop};
use crate::error::{Error, ErrorKind, Subject};
use crate::pagecache::walk::{Named, Options};
use crate::pagecache::{Engine, OpenFile};
use crate::process::{HeldFiles, Process};

/// Which names are wanted.
pub(crate) struct Globs {
    include: Option<Patterns>,
    exclude: Option<Patterns>,
}

/// Globs of names and globs of paths, and the ones of either that end in a slash: those are of directories alone.
struct Patterns {
    names: GlobSet,
    paths: GlobSet,
    directory_names: GlobSet,
    directory_paths: GlobSet,
}

impl Globs {
    /// The globs that were typed.
    ///
    /// # Errors
    /// One that is none.
    pub(crate) fn parse(args: &SelectionArgs) -> Result<Globs, Stop> {
        Ok(Globs { include: Patterns::parse(&args.include)?, exclude: Patterns::parse(&args.exclude)? })
    }

    fn is_empty(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// Whether a file, or a directory, is wanted; so many of the last parts of its path are below what was named.
    fn choose(&self, path: &Path, depth: usize, is_directory: bool) -> bool {
        let below = below(path, depth);
        let excluded = self.exclude.as_ref().is_some_and(|globs| globs.matches(path, below, is_directory));
        let included = |globs: &Patterns| globs.matches(path, below, false) || globs.matches_a_directory_above(below);
        !excluded && (is_directory || self.include.as_ref().is_none_or(included))
    }
}

/// The part of a path that is below the directory that was named; all of it where it was named itself.
fn below(path: &Path, depth: usize) -> &Path {
    let named = path.ancestors().nth(depth).filter(|_| depth > 0);
    named.and_then(|named| path.strip_prefix(named).ok()).unwrap_or(path)
}

impl Patterns {
    fn parse(texts: &[String]) -> Result<Option<Patterns>, Stop> {
        if texts.is_empty() {
            return Ok(None);
        }
        let (directories, any): (Vec<&str>, Vec<&str>) =
            texts.iter().map(String::as_str).partition(|text| text.ends_with('/'));
        let (paths, names): (Vec<&str>, Vec<&str>) = any.into_iter().partition(|text| text.contains('/'));
        let directories = directories.into_iter().map(|text| text.trim_end_matches('/'));
        let (directory_paths, directory_names): (Vec<&str>, Vec<&str>) =
            directories.partition(|text| text.contains('/'));
        Ok(Some(Patterns {
            names: set(&names)?,
            paths: set(&paths)?,
            directory_names: set(&directory_names)?,
            directory_paths: set(&directory_paths)?,
        }))
    }

    fn matches(&self, path: &Path, below: &Path, is_directory: bool) -> bool {
        let matches = |names: &GlobSet, paths: &GlobSet| {
            let name = path.file_name().is_some_and(|name| names.is_match(Path::new(name)));
            name || paths.is_match(below) || paths.is_match(path)
        };
        matches(&self.names, &self.paths) || (is_directory && matches(&self.directory_names, &self.directory_paths))
    }

    /// Whether a glob of directories matches one that a file is in, below the one that was named.
    fn matches_a_directory_above(&self, below: &Path) -> bool {
        let is_meant = |above: &Path| {
            let name = above.file_name().is_some_and(|name| self.directory_names.is_match(Path::new(name)));
            name || self.directory_paths.is_match(above)
        };
        below.ancestors().skip(1).any(is_meant)
    }
}

fn set(texts: &[&str]) -> Result<GlobSet, Stop> {
    let mut builder = GlobSetBuilder::new();
    for text in texts {
        builder.add(Glob::new(text).map_err(|error| Stop::usage(text, format!("is no glob: {}", error.kind())))?);
    }
    builder.build().map_err(|error| Stop::usage("--include, --exclude", error.kind().to_string()))
}

/// An engine for what was chosen: where threads walk a tree, each measures its files alone.
pub(super) fn engine(args: &SelectionArgs) -> Engine {
    let engine = Engine::detect();
    if args.recursive { engine.with_threads(NonZeroUsize::MIN) } else { engine }
}

/// Calls `then` with the options of the walk that was asked for.
pub(crate) fn with_options<T>(
    args: &SelectionArgs,
    globs: &Globs,
    then: impl FnOnce(&Options<'_>) -> T,
) -> Result<T, Stop> {
    let least = args.min_size.map_or(0, |size| size.0);
    let most = args.max_size.map_or(u64::MAX, |size| size.0);
    if least > most {
        return Err(Stop::usage("--min-size", "it is more than --max-size, so that no file can be meant"));
    }
    let choose = |path: &Path, depth: usize, is_directory: bool| globs.choose(path, depth, is_directory);
    // To count the processors that may be used takes several files to be read: only where it matters.
    let processors = || if args.recursive { std::thread::available_parallelism().ok() } else { None };
    let jobs = args.jobs.or_else(processors).unwrap_or(NonZeroUsize::MIN);
    Ok(then(&Options {
        recursive: args.recursive,
        jobs,
        cross_file_systems: args.cross_file_systems,
        follow: args.follow,
        sizes: least..=most,
        choose: (!globs.is_empty()).then_some(&choose),
    }))
}

/// The files and directories that were named: on the command line, then in the file of `--files-from`, which is read as
/// it is needed. A failure to read on is given to `fail`.
///
/// # Errors
/// That file cannot be opened.
pub(crate) fn names<'a>(
    args: &'a SelectionArgs,
    fail: impl FnMut(Error) + 'a,
) -> Result<impl Iterator<Item = PathBuf> + 'a, Error> {
    let listed = args.files_from.as_deref().map(|path| NameList::open(path, args.null)).transpose()?;
    let listed = listed.into_iter().flat_map(|list| list.into_names());
    let mut fail = fail;
    let listed = listed.filter_map(move |name| name.map_err(&mut fail).ok());
    Ok(args.paths.iter().cloned().chain(listed))
}

/// The files of the process of `--pid`. Where they cannot be read that is said, and the others are done all the same.
pub(crate) fn held_files(args: &SelectionArgs, report: &mut Report) -> Option<HeldFiles> {
    match Process::open(args.pid?).and_then(|process| process.read_held_files()) {
        Ok(held) => {
            held.failures().iter().for_each(|error| report.failure(error));
            Some(held)
        }
        Err(error) => {
            report.failure(&error);
            None
        }
    }
}

/// Opens the files of a process, one after the other. A failure is given to `fail`.
pub(crate) fn open_held_files<'a>(
    held: Option<&'a HeldFiles>,
    mut fail: impl FnMut(Error) + 'a,
) -> impl Iterator<Item = Named> + 'a {
    let files = held.into_iter().flat_map(|held| held.iter().map(move |file| (held, file)));
    files.filter_map(move |(held, file)| {
        let opened = held.open(file).and_then(|fd| OpenFile::from_fd(file.path(), fd));
        match opened {
            Ok(file) => Some(Named::Open(file)),
            // A file of /proc or the like: nothing of it is cached, and a process may well hold it.
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            Err(error) => {
                fail(error);
                None
            }
        }
    })
}

/// The longest name that is read: a list that has none of the right ends is no list of names.
const LONGEST_NAME: u64 = 1 << 20;

/// A list of names in a file.
struct NameList {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    end: u8,
    failed: bool,
}

impl NameList {
    fn open(path: &Path, null: bool) -> Result<NameList, Error> {
        let (path, input): (PathBuf, Box<dyn BufRead + Send>) = match path.as_os_str().as_bytes() {
            b"-" => (PathBuf::from("standard input"), Box::new(BufReader::new(io::stdin()))),
            _ => {
                let file = File::open(path).map_err(|error| Error::io(Subject::Path(path.to_owned()), &error))?;
                (path.to_owned(), Box::new(BufReader::new(file)))
            }
        };
        Ok(NameList { path, input, end: if null { 0 } else { b'\n' }, failed: false })
    }

    fn into_names(mut self) -> impl Iterator<Item = Result<PathBuf, Error>> {
        std::iter::from_fn(move || self.next_name())
    }

    /// The next name that is not empty; nothing after the last one or a failure.
    fn next_name(&mut self) -> Option<Result<PathBuf, Error>> {
        while !self.failed {
            let mut name = Vec::new();
            let read = self.input.by_ref().take(LONGEST_NAME).read_until(self.end, &mut name);
            let error = match read {
                Ok(0) => return None,
                Ok(_) if name.last() == Some(&self.end) => {
                    name.pop();
                    None
                }
                Ok(length) if length as u64 == LONGEST_NAME => Some(self.malformed("holds a name of more than 1 MiB")),
                Ok(_) => None,
                Err(error) => Some(Error::io(Subject::Path(self.path.clone()), &error)),
            };
            if let Some(error) = error {
                self.failed = true;
                return Some(Err(error));
            }
            if name.contains(&0) {
                self.failed = true;
                return Some(Err(self.malformed("holds a NUL in a name").with_advice("use -0 if names end in NUL")));
            }
            if !name.is_empty() {
                return Some(Ok(PathBuf::from(std::ffi::OsString::from_vec(name))));
            }
        }
        None
    }

    fn malformed(&self, why: &'static str) -> Error {
        Error::path(&self.path, ErrorKind::Malformed, why)
    }
}
