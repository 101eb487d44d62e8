//! The name of the file of a demo or an experiment: which it may get, and how it gets it.

use std::io;
use std::path::{Path, PathBuf};

use super::guard::GuardedFile;
use super::place::{self, Needs};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::whereabouts::await_place;

/// Where the file is created, and which names it may get.
pub(super) struct Place {
    directory: PathBuf,
    names: Names,
}

/// The names that the file may get.
enum Names {
    /// The requested name, and whether an existing file is replaced.
    Asked(PathBuf, bool),
    /// The first free one of this name and the same name followed by a number.
    AnyLike(PathBuf),
}

/// How many names are tried in the default directory.
const NAMES: u32 = 10_000;

impl Place {
    /// The place of the requested file, or one in a temporary directory. Checks what exists; creates nothing.
    ///
    /// # Errors
    /// `Refused` if the file exists, unless it is to be replaced; `Unsupported` if files there have no cached pages.
    pub(super) fn choose(file: Option<&Path>, force: bool, pid: u32) -> Result<Place> {
        let Some(path) = file else {
            let directory = place::default_directory()?;
            let names = Names::AnyLike(directory.join(format!("rmap-demo-{pid}")));
            return Ok(Place { directory, names });
        };
        let directory = directory_of(path).to_owned();
        place::check_kind(&directory)?;
        // The directory may answer, or be known, where the name in it has to be asked for.
        await_place(path).map_err(|errno| place::about_place(path, &errno.into()))?;
        let replaced = match path.symlink_metadata() {
            Ok(_) if !force => return Err(taken(path)),
            Ok(found) if found.is_file() => true,
            Ok(_) => {
                let why = "is not a regular file, and only regular files are replaced";
                return Err(Error::path(path, ErrorKind::Refused, why));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(place::about_place(path, &error)),
        };
        Ok(Place { directory, names: Names::Asked(path.to_owned(), replaced) })
    }

    /// The directory of the file.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The name to show in errors before the file has one.
    pub(super) fn shown(&self) -> &Path {
        match &self.names {
            Names::Asked(path, _) | Names::AnyLike(path) => path,
        }
    }

    /// Checks that the file fits.
    ///
    /// # Errors
    /// `Refused`, with the figures.
    pub(super) fn check_that_it_fits(&self, needs: Needs) -> Result<()> {
        place::check_that_it_fits(needs, &self.directory)
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// `Refused` if the name is taken; otherwise as `rename(2)`.
    pub(super) fn give_name(&self, file: &mut GuardedFile) -> Result<()> {
        match &self.names {
            Names::Asked(path, replace) => file.name(path, *replace).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => taken(path),
                _ => place::about_place(path, &error),
            }),
            Names::AnyLike(path) => {
                let mut tried = path.clone();
                for number in 1..=NAMES {
                    match file.name(&tried, false) {
                        Ok(()) => return Ok(()),
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                            let mut next = path.as_os_str().to_owned();
                            next.push(format!("-{number}"));
                            tried = next.into();
                        }
                        Err(error) => return Err(place::about_place(&tried, &error)),
                    }
                }
                Err(taken(&tried))
            }
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn taken(path: &Path) -> Error {
    Error::path(path, ErrorKind::Refused, "already exists").with_advice("choose another name, or --force to replace it")
}
