//! The files of a process as they are, for a capture.

use std::io;
use std::path::PathBuf;

use crate::process::directory::Directory;
use crate::process::handle::Process;

/// The files of a process, or of one of its threads, as they are.
pub(crate) struct Raw<'p> {
    directory: &'p Directory,
    below: String,
}

impl Process {
    /// Its files as they are, below its own directory.
    pub(crate) fn raw(&self) -> Raw<'_> {
        Raw { directory: &self.directory, below: String::new() }
    }

    /// The files of the thread that shows its memory, if its first thread has exited, and where they are.
    pub(crate) fn raw_thread(&self) -> Option<Raw<'_>> {
        let stat = self.read_stat().ok()??;
        if !stat.is_zombie() || stat.threads < 2 {
            return None;
        }
        let threads = self.directory.read_numbers("task").ok()?;
        let thread = threads.into_iter().filter(|thread| *thread != self.pid()).max()?;
        Some(self.raw_of_thread(thread))
    }

    /// Where the descriptors of threads are that have their own (`unshare(CLONE_FILES)`).
    pub(crate) fn raw_threads_with_other_files(&self) -> impl Iterator<Item = Raw<'_>> {
        self.threads_with_other_files().into_iter().map(|thread| self.raw_of_thread(thread))
    }

    fn raw_of_thread(&self, thread: u32) -> Raw<'_> {
        Raw { directory: &self.directory, below: format!("task/{thread}/") }
    }
}

impl Raw<'_> {
    /// Where its files are, from the directory of the process: `` or `task/TID/`.
    pub(crate) fn below(&self) -> &str {
        &self.below
    }

    /// The text of a file.
    ///
    /// # Errors
    /// As `open(2)` and `read(2)`.
    pub(crate) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.directory.read_file(&format!("{}{name}", self.below), u64::MAX)
    }

    /// The target of a link.
    ///
    /// # Errors
    /// As `readlink(2)`.
    pub(crate) fn read_link(&self, name: &str) -> io::Result<PathBuf> {
        self.directory.read_link(format!("{}{name}", self.below).as_str())
    }

    /// The entries of a directory whose names are numbers, in order.
    ///
    /// # Errors
    /// As `open(2)`.
    pub(crate) fn read_numbers(&self, name: &str) -> io::Result<Vec<u32>> {
        let mut numbers = self.directory.read_numbers(&format!("{}{name}", self.below))?;
        numbers.sort_unstable();
        Ok(numbers)
    }
}
