//! The library's error: what it is about (a path or a pid), what went wrong, and what to do about it.
//!
//! The subject is attached once, at the edge where it is known. Nothing here prints.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// The result of everything in this library that can fail as a whole.
///
/// A single figure that could not be known is not an error: see [`crate::units::Figure`].
pub type Result<T> = std::result::Result<T, Error>;

/// What an [`Error`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A file, as the caller named it.
    Path(PathBuf),
    /// A process.
    Pid(u32),
    /// Something that is neither, in words (`"standard output"`, `"--size 1X"`).
    Words(String),
}

/// The kinds of failure that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such file or process, or it went away before it could be read.
    NotFound,
    /// The kernel does not let this user look.
    Denied,
    /// It is of a kind that cannot be measured: a directory, a FIFO, a device, a `/proc` file, a kernel thread.
    Unsupported,
    /// It changed while it was read, more often than it was read again.
    Changed,
    /// The text or figure that the kernel (or a captured file) gave is not what its format allows.
    Malformed,
    /// It was not begun, because it could not end well (a size that fits neither memory nor disk).
    Refused,
    /// Any other failure of the system.
    System,
}

/// One failure: `SUBJECT: why; what to do`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    subject: Subject,
    kind: ErrorKind,
    why: Cow<'static, str>,
    advice: Option<Cow<'static, str>>,
}

impl Error {
    /// An error about `subject`, with the reason in words that follow a colon.
    pub fn new(subject: Subject, kind: ErrorKind, why: impl Into<Cow<'static, str>>) -> Self {
        Error { subject, kind, why: why.into(), advice: None }
    }

    /// An error about a file.
    pub fn path(path: &Path, kind: ErrorKind, why: impl Into<Cow<'static, str>>) -> Self {
        Error::new(Subject::Path(path.to_owned()), kind, why)
    }

    /// An error about a process.
    pub fn pid(pid: u32, kind: ErrorKind, why: impl Into<Cow<'static, str>>) -> Self {
        Error::new(Subject::Pid(pid), kind, why)
    }

    /// What a system call answered about `subject`.
    pub fn errno(subject: Subject, errno: Errno) -> Self {
        let kind = match errno {
            Errno::ENOENT | Errno::ESRCH => ErrorKind::NotFound,
            Errno::EACCES | Errno::EPERM => ErrorKind::Denied,
            Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::ENODEV => ErrorKind::Unsupported,
            _ => ErrorKind::System,
        };
        Error::new(subject, kind, plain_words(errno))
    }

    /// What an I/O operation on `subject` answered.
    pub fn io(subject: Subject, error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) => Error::errno(subject, Errno::from_raw(code)),
            None => Error::new(subject, ErrorKind::System, error.to_string()),
        }
    }

    /// The same error with what the user can do about it, in words that follow a semicolon.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// What it is about.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Which kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The reason, in words.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What to do about it, where there is something.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Path(path) => write!(out, "{}: {}", path.display(), self.why)?,
            Subject::Pid(pid) => write!(out, "pid {pid}: {}", self.why)?,
            Subject::Words(words) => write!(out, "{words}: {}", self.why)?,
        }
        match &self.advice {
            Some(advice) => write!(out, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// What an errno means to a person; the C library's own words where they serve.
fn plain_words(errno: Errno) -> Cow<'static, str> {
    match errno {
        Errno::ENOENT => Cow::Borrowed("no such file"),
        Errno::ESRCH => Cow::Borrowed("no such process"),
        Errno::EACCES | Errno::EPERM => Cow::Borrowed("permission denied"),
        Errno::EMFILE => Cow::Borrowed("too many open files in this process"),
        Errno::ENFILE => Cow::Borrowed("too many open files in the system"),
        other => Cow::Borrowed(other.desc()),
    }
}
