//! The library's error: what it is about (a path or a pid), what went wrong, and what to do about it.
//!
//! The subject is attached once, where it is known. Nothing here prints.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::units::{Absent, Reason};

/// The result of everything in this library that can fail as a whole.
///
/// A single figure that could not be read is not an error: see [`crate::units::Figure`].
pub type Result<T> = std::result::Result<T, Error>;

/// What an [`Error`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A file, as the caller named it.
    Path(PathBuf),
    /// A process.
    Pid(u32),
    /// A process with its name (`comm`), of any bytes.
    Process(u32, Vec<u8>),
    /// Anything else, as text (`"standard output"`, `"--size 1X"`).
    Words(String),
}

/// The kinds of failure that a caller may want to handle differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file or process does not exist, or disappeared before it could be read.
    NotFound,
    /// This user is not allowed to read it.
    Denied,
    /// It cannot be measured: a directory, a FIFO, a device, a `/proc` file, a kernel thread.
    Unsupported,
    /// It changed every time it was read.
    Changed,
    /// The text from the kernel (or a captured file) is not in the expected format.
    Malformed,
    /// It was not started because it could not succeed, for example because of a size that does not fit on the disk.
    Refused,
    /// A name that rmap does not know, such as that of a column.
    Unknown,
    /// Any other system error.
    System,
}

impl ErrorKind {
    const WORDS: [(ErrorKind, &str); 8] = [
        (ErrorKind::NotFound, "not found"),
        (ErrorKind::Denied, "denied"),
        (ErrorKind::Unsupported, "unsupported"),
        (ErrorKind::Changed, "changed"),
        (ErrorKind::Malformed, "malformed"),
        (ErrorKind::Refused, "refused"),
        (ErrorKind::Unknown, "unknown"),
        (ErrorKind::System, "system"),
    ];

    /// The kind as a word, as captures have it.
    #[cfg(feature = "capture")]
    pub(crate) fn word(self) -> &'static str {
        ErrorKind::WORDS.into_iter().find(|(kind, _)| *kind == self).map_or("system", |(_, word)| word)
    }

    /// The kind with this word.
    pub(crate) fn of_word(word: &str) -> Option<ErrorKind> {
        ErrorKind::WORDS.into_iter().find(|(_, one)| *one == word).map(|(kind, _)| kind)
    }
}

/// An error number of the system (`errno`): the source of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SystemError(i32);

impl SystemError {
    /// The error number, such as `2` for `ENOENT`.
    pub fn code(self) -> i32 {
        self.0
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from_raw_os_error(self.0).fmt(out)
    }
}

impl std::error::Error for SystemError {}

impl From<SystemError> for io::Error {
    fn from(error: SystemError) -> io::Error {
        io::Error::from_raw_os_error(error.0)
    }
}

/// One failure: `SUBJECT: why; what to do`.
///
/// Its [`source`](std::error::Error::source) is what caused it: the [`SystemError`], or the [`Absent`] figure. Errors
/// that rmap itself finds, such as a file in the wrong format, have no source.
///
/// ```
/// use std::error::Error;
///
/// let error = rmap::pagecache::read_file("/no/such/file").unwrap_err();
/// assert_eq!(error.to_string(), "/no/such/file: no such file");
/// assert_eq!(error.kind(), rmap::error::ErrorKind::NotFound);
/// assert_eq!(error.system().map(|system| system.code()), Some(2));
/// assert_eq!(error.source().unwrap().to_string(), "No such file or directory (os error 2)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    subject: Subject,
    kind: ErrorKind,
    why: Cow<'static, str>,
    advice: Option<Cow<'static, str>>,
    cause: Option<Cause>,
}

/// What caused an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    System(SystemError),
    Absent(Absent),
}

impl Error {
    /// An error about `subject`. `why` is the reason, phrased to follow a colon.
    pub fn new(subject: Subject, kind: ErrorKind, why: impl Into<Cow<'static, str>>) -> Self {
        Error { subject, kind, why: why.into(), advice: None, cause: None }
    }

    /// An error about a file.
    pub fn path(path: &Path, kind: ErrorKind, why: impl Into<Cow<'static, str>>) -> Self {
        Error::new(Subject::Path(path.to_owned()), kind, why)
    }

    /// An error about a process.
    pub fn pid(pid: u32, kind: ErrorKind, why: impl Into<Cow<'static, str>>) -> Self {
        Error::new(Subject::Pid(pid), kind, why)
    }

    /// The error of a system call on `subject`.
    pub(crate) fn errno(subject: Subject, errno: Errno) -> Self {
        if errno == Errno::ETIMEDOUT {
            return Error::absent(subject, Absent::SILENT);
        }
        let kind = match errno {
            Errno::ENOENT | Errno::ESRCH => ErrorKind::NotFound,
            Errno::EACCES | Errno::EPERM => ErrorKind::Denied,
            Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::ENODEV => ErrorKind::Unsupported,
            _ => ErrorKind::System,
        };
        Error { cause: Some(Cause::System(SystemError(errno as i32))), ..Error::new(subject, kind, plain_words(errno)) }
    }

    /// The error of an I/O operation on `subject`.
    pub fn io(subject: Subject, error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) => Error::errno(subject, Errno::from_raw(code)),
            None => {
                let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
                let kind = if is_denied { ErrorKind::Denied } else { ErrorKind::System };
                Error::new(subject, kind, error.to_string())
            }
        }
    }

    /// The error for a `subject` whose figures are absent for this reason.
    pub fn absent(subject: Subject, absent: Absent) -> Self {
        let kind = match absent.reason {
            // It may exist, and it may not.
            _ if absent == Absent::SILENT => ErrorKind::System,
            Reason::Denied => ErrorKind::Denied,
            Reason::Changed => ErrorKind::Changed,
            Reason::Vanished => ErrorKind::NotFound,
            Reason::Unsupported | Reason::NotApplicable => ErrorKind::Unsupported,
            Reason::Late => ErrorKind::System,
        };
        Error { cause: Some(Cause::Absent(absent)), ..Error::new(subject, kind, absent.to_string()) }
    }

    /// The same error, caused by this system error.
    #[must_use]
    pub(crate) fn caused_by(mut self, error: &io::Error) -> Self {
        self.cause = error.raw_os_error().map(|code| Cause::System(SystemError(code)));
        self
    }

    /// The same error about something else.
    #[cfg(feature = "cli")]
    #[must_use]
    pub(crate) fn about(self, subject: Subject) -> Self {
        Error { subject, ..self }
    }

    /// The same error with advice on what to do about it, phrased to follow a semicolon.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// What it is about.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whether something exists that is not reported because of it, so that sums are incomplete.
    pub(crate) fn leaves_a_gap(&self) -> bool {
        !matches!(self.kind, ErrorKind::NotFound | ErrorKind::Unsupported | ErrorKind::Refused)
    }

    /// Which kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The reason, as text.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What to do about it, if anything.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    /// The absent figure that caused it, if one did.
    pub fn absence(&self) -> Option<Absent> {
        match self.cause {
            Some(Cause::Absent(absent)) => Some(absent),
            _ => None,
        }
    }

    /// The system error that caused it, if one did.
    pub fn system(&self) -> Option<SystemError> {
        match self.cause {
            Some(Cause::System(error)) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Path(path) => path.display().fmt(out),
            Subject::Pid(pid) => write!(out, "pid {pid}"),
            Subject::Process(pid, name) => write!(out, "pid {pid} ({})", String::from_utf8_lossy(name)),
            Subject::Words(words) => out.write_str(words),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.subject, self.why)?;
        match &self.advice {
            Some(advice) => write!(out, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.cause.as_ref()? {
            Cause::System(error) => Some(error),
            Cause::Absent(absent) => Some(absent),
        }
    }
}

impl std::error::Error for Absent {}

/// A clear message for an error number: our own text if that of the C library is unclear.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_the_system_error() {
        let error = Error::io(Subject::Pid(1), &io::Error::from_raw_os_error(13));
        assert_eq!((error.kind(), error.system().map(SystemError::code)), (ErrorKind::Denied, Some(13)));
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.to_string().starts_with("Permission denied"), "{source}");
        assert!(std::error::Error::source(&Error::pid(1, ErrorKind::Changed, "x")).is_none());
    }

    #[test]
    fn an_absent_figure_can_be_returned_as_an_error() {
        let boxed: Box<dyn std::error::Error> = Absent::new(Reason::Denied, "not your file").into();
        assert_eq!(boxed.to_string(), "denied: not your file");
    }

    #[test]
    fn the_source_is_the_absent_figure() {
        let absent = Absent::new(Reason::Vanished, "its file no longer exists");
        let error = Error::absent(Subject::Pid(1), absent);
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::NotFound, "pid 1: vanished: its file no longer exists")
        );
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.downcast_ref(), Some(&absent));
    }
}
