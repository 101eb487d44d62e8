//! Lists of names in a file or on standard input (`--files-from`).

use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::text::open_text;
use crate::error::{Error, ErrorKind, Result, Subject};

/// The longest name that is read: a longer one means that the file is not a list of names.
const LONGEST_NAME: u64 = 1 << 20;

/// A list of names in a file.
pub(super) struct NameList {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    end: u8,
    failed: bool,
}

impl NameList {
    pub(super) fn open(path: &Path, null: bool) -> Result<NameList> {
        let (path, text) = open_text(path)?;
        Ok(NameList::new(path, Box::new(BufReader::new(text)), null))
    }

    /// A list that is read from `input`; `path` is its name in errors. `null`: names end in NUL, not in a newline.
    pub(super) fn new(path: PathBuf, input: Box<dyn BufRead + Send>, null: bool) -> NameList {
        NameList { path, input, end: if null { 0 } else { b'\n' }, failed: false }
    }

    pub(super) fn into_names(mut self) -> impl Iterator<Item = Result<PathBuf>> {
        std::iter::from_fn(move || self.next_name())
    }

    /// The next name that is not empty; `None` after the last one or after an error.
    fn next_name(&mut self) -> Option<Result<PathBuf>> {
        while !self.failed {
            let mut name = Vec::new();
            let read = self.input.by_ref().take(LONGEST_NAME).read_until(self.end, &mut name);
            let error = match read {
                Ok(0) => return None,
                Ok(_) if name.last() == Some(&self.end) => {
                    name.pop();
                    None
                }
                Ok(length) if length as u64 == LONGEST_NAME => {
                    Some(self.malformed("contains a name longer than 1 MiB"))
                }
                Ok(_) => None,
                Err(error) => Some(Error::io(Subject::Path(self.path.clone()), &error)),
            };
            if let Some(error) = error {
                self.failed = true;
                return Some(Err(error));
            }
            if name.contains(&0) {
                self.failed = true;
                return Some(Err(self.malformed("contains a NUL in a name").with_advice("use -0 if names end in NUL")));
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
