//! `rmap capture`: what rmap reads of this machine, in one archive.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use signal_hook::consts::SIGXFSZ;

use super::answer::refuse_if;
use super::found::FoundArgs;
use super::report::Report;
use super::run::{Configured, Done, Listed, Run};
use super::signals::Signals;
use crate::capture::{Compression, Taken, What, take};
use crate::error::{Error, ErrorKind, Subject};
use crate::kernel::whereabouts::await_place;
use crate::process::{Asked, NamedProcess, ProcRoot, Process, own_pid, run_as_root};
use crate::query::Host as _;
use crate::table::{Progress, Stop};
use crate::units::{Bytes, Human, counted};

/// `rmap capture`
#[derive(Debug, Args)]
pub(crate) struct CaptureArgs {
    /// Only these processes: a pid; several with blanks or commas between them
    #[arg(value_name = "PID", value_delimiter = ',')]
    pids: Vec<NamedProcess>,
    /// Processes by their properties.
    #[command(flatten)]
    found: FoundArgs,
    /// Write to FILE: NAME.tar, NAME.tar.zst, or - for standard output (a tar archive)
    ///
    /// It is readable by you alone. An existing file is replaced, but only once the capture is complete.
    #[arg(short = 'o', long, value_name = "FILE", help_heading = "Output")]
    output: OsString,
    /// Include the command lines of processes, which may contain passwords
    ///
    /// Otherwise processes are shown with their names. Environments are never included.
    #[arg(long, help_heading = "Output")]
    with_cmdline: bool,
    /// Leave out the list of cached files
    #[arg(long, help_heading = "Output")]
    no_files: bool,
}

impl Run for CaptureArgs {
    const NAME: &'static str = "capture";
    const ABOUT: &'static str = "Save what rmap reads of this machine, for later and elsewhere";

    const ROWS: &'static [Listed] = &[];
    const NOTES: &'static str = "\
        Every subcommand that has --proc-root reads a capture: rmap files --proc-root FILE.\n\
        It contains the names of processes, files, mounts, users (as numbers) and control groups. It never contains \
        the content of files or memory, nor environments. docs/capture.md lists everything, and how to look into a \
        capture before you send it.";
    const OPERANDS: &'static str = "-o FILE";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("rmap capture -o today.tar.zst", "everything but command lines"),
        ("rmap files --proc-root today.tar.zst", "its cached files, on any machine"),
        ("rmap pid --proc-root today.tar.zst 4690", "a process of it"),
        ("rmap capture --no-files -o one.tar 4690", "only one process"),
    ];

    const NO_ROOT: &'static str = "it captures this machine";

    fn is_machine(&self) -> bool {
        true
    }

    fn run(self, _: &Configured, report: &mut Report) -> Done {
        let asked = self.chosen(report)?;
        if asked.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        let processes = asked.as_ref().map(|asked| asked.iter().map(|asked| asked.pid).collect());
        let what = What { command_lines: self.with_cmdline, files: !self.no_files, processes };
        let path = Path::new(&self.output);
        if self.output != "-" {
            await_place(path).map_err(|errno| Error::io(Subject::Path(path.to_owned()), &errno.into()))?;
        }
        // Only now: a signal ends that wait at once.
        let signals = Signals::watch_first()?;
        outlive_file_limit()?;
        report.show_progress("captured");
        let mut done = 0;
        let mut check = || {
            done += 1;
            report.progress(Progress::Files(done));
            signals.check()
        };
        let (taken, new) = match self.output.as_bytes() {
            b"-" => {
                refuse_if(io::stdout().is_terminal(), "-o", "an archive is nothing for a terminal; redirect it")?;
                let taken = take(&what, BufWriter::new(io::stdout().lock()), Compression::None, check);
                (taken.map_err(|stop| about(Subject::Words("standard output".to_owned()), stop))?, None)
            }
            name => {
                let compression = compression(name)?;
                let mut new = NewFile::create(path)?;
                let taken = take(&what, BufWriter::new(&mut new.file), compression, &mut check);
                (taken.map_err(|stop| about(Subject::Path(new.path.clone()), stop))?, Some(new))
            }
        };
        report.progress(Progress::Done);
        let is_missed = |pid: &u32| asked.iter().flatten().any(|asked| asked.pid == *pid && !asked.found);
        for pid in taken.gone.iter().filter(|pid| is_missed(pid)) {
            report.failure(&Error::pid(*pid, ErrorKind::NotFound, "it exited while it was captured"));
        }
        taken.unread.iter().for_each(|(_, error)| report.failure(error));
        if asked.is_some() && taken.processes == 0 {
            let why = "none of the processes was left to be captured";
            return Err(Stop::Failed(Error::new(about_capture(), ErrorKind::NotFound, why)));
        }
        if let Some(new) = new {
            println(&summary(path, &taken, new.finish()?, &what))?;
        }
        if taken.spread >= LARGE_SPREAD {
            let spread = taken.spread.as_secs();
            let why =
                format!("its processes were read up to {spread} s after the control groups and the other figures");
            report.note(&Error::new(about_capture(), ErrorKind::Changed, why));
        }
        if taken.is_of_namespace {
            let why = "it has only the processes of this pid namespace, such as those of a container";
            report.note(&Error::new(about_capture(), ErrorKind::Denied, why));
        }
        lacking(&taken).into_iter().for_each(|error| report.failure(&error));
        Ok(())
    }
}

impl CaptureArgs {
    /// The selected processes that exist; `None` for all.
    fn chosen(&self, report: &mut Report) -> Result<Option<Vec<Asked>>, Stop> {
        let choice = self.found.choice(self.pids.clone())?;
        if choice.is_empty() {
            return Ok(None);
        }
        let root = ProcRoot::live();
        let mut asked = choice.find(&root, &mut |error| report.failure(&error))?;
        let own = own_pid(&root)?;
        let is_own = |asked: &Asked| asked.pid == own;
        let names_own = asked.iter().any(|asked| is_own(asked) && !asked.found);
        refuse_if(names_own, "PID", "rmap leaves itself out of a capture; name another process")?;
        asked.retain(|asked| match Process::open_in(&root, asked.pid) {
            Ok(_) => !is_own(asked),
            Err(error) => {
                if asked.is_missed(&error) {
                    report.failure(&error);
                }
                false
            }
        });
        Ok(Some(asked))
    }
}

/// From now on, writing beyond the limit on the size of a file (`ulimit -f`) fails, where a signal would end this
/// process and leave an incomplete file behind.
fn outlive_file_limit() -> Done {
    let handled = signal_hook::flag::register(SIGXFSZ, Arc::default());
    handled.map(drop).map_err(|error| Stop::Failed(Error::io(Subject::Words("signals".to_owned()), &error)))
}

/// How a file of this name is compressed.
fn compression(name: &[u8]) -> Result<Compression, Stop> {
    match () {
        () if name.ends_with(b".tar") => Ok(Compression::None),
        () if name.ends_with(b".tar.zst") || name.ends_with(b".tzst") => Ok(Compression::Zstd),
        () => Err(Stop::usage("-o", "name the file NAME.tar or NAME.tar.zst, or - for standard output")),
    }
}

/// What was captured, for a person.
fn summary(path: &Path, taken: &Taken, size: Bytes, what: &What) -> Vec<u8> {
    let mut words = counted(taken.processes, "process", "processes");
    words += match (what.files, taken.has_all_files) {
        (true, true) => ", cached files",
        (true, false) => ", only those cached files that processes hold",
        (false, _) => "",
    };
    words += if what.command_lines { ", command lines" } else { "; no command lines" };
    let mut line = Vec::new();
    crate::table::escape::write_escaped(path.as_os_str().as_bytes(), &mut line);
    line.extend_from_slice(format!(": {words}; {}", Human(size)).as_bytes());
    line
}

fn println(line: &[u8]) -> Done {
    let mut out = io::stdout().lock();
    let written = out.write_all(&[line, b"\n"].concat()).and_then(|()| out.flush());
    written.map_err(Stop::Output)
}

/// How far apart in time the parts of a capture may be before that is said.
const LARGE_SPREAD: Duration = Duration::from_secs(5);

fn about_capture() -> Subject {
    Subject::Words("the capture".to_owned())
}

/// What the capture lacks; nothing if it is complete.
fn lacking(taken: &Taken) -> Vec<Error> {
    let hidden = taken.hidden.len() as u64;
    let (unseen, all) = (taken.denied.saturating_add(hidden), taken.processes.saturating_add(hidden));
    let threads = match taken.hidden_threads {
        0 => String::new(),
        threads => format!(" ({threads} of them may be threads of the kernel, which have none)"),
    };
    let processes = counted(all, "process", "processes");
    let unread = || format!("the memory of {unseen} of {processes} may not be read{threads}");
    let more = || "/proc hides the processes of other users (hidepid), and how many they are".to_owned();
    let reasons = [(unseen > 0).then(unread), taken.hides_more.then(more)];
    let error = |why| Error::new(about_capture(), ErrorKind::Denied, why);
    let advised = |why| match run_as_root() {
        Some(advice) => error(why).with_advice(format!("{advice} to capture all of it")),
        None => error(why),
    };
    reasons.into_iter().flatten().map(advised).collect()
}

/// The same reason, about where the archive goes if it could not be written: a part of one is a failure, even if its
/// reader has closed the pipe.
fn about(place: Subject, stop: Stop) -> Stop {
    match stop {
        Stop::Output(error) => Stop::Failed(Error::io(place, &error)),
        other => other,
    }
}

/// A file that has its name only when it is complete.
struct NewFile {
    file: File,
    path: PathBuf,
    temporary: PathBuf,
}

impl NewFile {
    fn create(path: &Path) -> Result<NewFile, Stop> {
        let failed = |path: &Path, error: &io::Error| Stop::Failed(Error::io(Subject::Path(path.to_owned()), error));
        let is_other = fs::symlink_metadata(path).is_ok_and(|found| !found.is_file());
        if is_other {
            let error = Error::path(path, ErrorKind::Refused, "it exists and is not a regular file");
            return Err(Stop::Failed(error.with_advice("remove it, or use -o - and redirect")));
        }
        let name = path.file_name().map(|name| name.as_bytes()).unwrap_or_default();
        // A name must not be longer than 255 bytes.
        let name = name.get(..name.len().min(200)).unwrap_or_default();
        let hidden = [b".", name, format!(".{}", std::process::id()).as_bytes()].concat();
        let temporary = path.with_file_name(OsString::from_vec(hidden));
        let opened = File::options().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = opened.map_err(|error| failed(path, &error))?;
        Ok(NewFile { file, path: path.to_owned(), temporary })
    }

    /// Gives it its name, and returns its size.
    fn finish(mut self) -> Result<Bytes, Stop> {
        let done = self.file.sync_all().and_then(|()| fs::rename(&self.temporary, &self.path));
        let size = done.and_then(|()| self.file.metadata());
        let size = size.map_err(|error| Error::io(Subject::Path(self.path.clone()), &error))?;
        // Nothing is left to remove.
        self.temporary = PathBuf::new();
        Ok(Bytes(size.len()))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.temporary.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
