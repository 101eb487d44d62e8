//! The text of a named file or of standard input, for lists of names and captured smaps.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::error::{Error, Result, Subject};
use crate::kernel::handle::Reader;
use crate::kernel::whereabouts::locate;

/// Opens a file to read its text; `-` is standard input. Returns the name for messages, too.
///
/// # Errors
/// As `open(2)`. [`crate::error::ErrorKind::NotFound`]: its file system does not answer.
pub fn open_text(path: &Path) -> Result<(PathBuf, Box<dyn Read + Send>)> {
    if path.as_os_str().as_bytes() == b"-" {
        return Ok((PathBuf::from("standard input"), Box::new(io::stdin())));
    }
    let failed = |error: io::Error| Error::io(Subject::Path(path.to_owned()), &error);
    let text: Box<dyn Read + Send> = match locate(path).map_err(|errno| failed(errno.into()))? {
        None => Box::new(File::open(path).map_err(failed)?),
        Some(far) => Box::new(Reader::new(far.open(OFlag::O_RDONLY).map_err(|errno| failed(errno.into()))?)),
    };
    Ok((path.to_owned(), text))
}
