//! Reads a file in a child process that is left behind if the read takes too long.
//!
//! The kernel calculates some files of `/proc` while they are read, and a read that takes seconds cannot be
//! interrupted: not even the end of this process would end a thread in it, and whoever waits for this process would
//! wait for it.

use std::ffi::CStr;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;

use super::asker::{Asker, OUTPUT, Task};

/// A child that reads.
#[derive(Debug)]
pub(crate) struct Reader(Asker);

impl Reader {
    /// Starts a child.
    ///
    /// # Errors
    /// As `fork(2)`, `mmap(2)` and `socketpair(2)`.
    pub(crate) fn start() -> Result<Reader, Errno> {
        Asker::start().map(Reader)
    }

    /// Replaces `text` by what one `read(2)` of the file returns, at most 64 KiB.
    ///
    /// # Errors
    /// As `open(2)` and `read(2)`. `ETIMEDOUT`: it took longer than `until`; the child is then still at it.
    pub(crate) fn read(&self, path: &CStr, text: &mut Vec<u8>, until: Instant) -> Result<(), Errno> {
        let ask = |task, fd, arguments, path: &CStr, output: &mut [u8]| {
            let left = until.saturating_duration_since(Instant::now());
            self.0.ask_within(left, task, fd, arguments, path, output)
        };
        let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as u64;
        let fd = ask(Task::Open, libc::AT_FDCWD, [flags, 0, 0], path, &mut [])?;
        let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
        text.clear();
        text.resize(OUTPUT, 0);
        let read = ask(Task::Read, fd, [0, OUTPUT as u64, 0], c"", text);
        text.truncate(read.map_or(0, |length| length as usize));
        if read == Err(Errno::ETIMEDOUT) {
            return Err(Errno::ETIMEDOUT);
        }
        // It is closed at the end of the child, if not now.
        let _ = self.0.ask_within(Duration::from_secs(1), Task::Close, fd, [0; 3], c"", &mut []);
        read.map(drop)
    }

    /// Whether it is still at what took too long.
    pub(crate) fn is_busy(&self) -> bool {
        self.0.is_waiting()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_reads_what_this_process_could_read() {
        let reader = Reader::start().unwrap();
        let soon = Instant::now() + Duration::from_secs(20);
        let mut text = b"before".to_vec();
        // The child itself: it reads as another process.
        assert_eq!(reader.read(c"/proc/self/comm", &mut text, soon), Ok(()));
        assert_eq!(text, b"ask\n");
        assert_eq!(reader.read(c"/no/such/file", &mut text, soon), Err(Errno::ENOENT));
        assert_eq!(reader.read(c"/proc/self/comm", &mut text, soon), Ok(()));
        assert!(!reader.is_busy());
    }

    #[test]
    fn a_read_that_takes_too_long_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        let reader = Reader::start().unwrap();
        let begun = Instant::now();
        let read = reader.read(&name, &mut Vec::new(), begun + Duration::from_millis(50));
        assert_eq!((read, reader.is_busy()), (Err(Errno::ETIMEDOUT), true));
        assert!(begun.elapsed() < Duration::from_secs(5));
        // The other end of the FIFO lets it go on.
        let _writer = std::fs::File::options().write(true).open(&path).unwrap();
        while reader.is_busy() {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
