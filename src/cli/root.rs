//! `--proc-root`: another machine, or a capture of one, instead of this machine.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::answer::{AnswerArgs, refuse_if};
use crate::capture;
use crate::error::{Error, ErrorKind, Subject};
use crate::kernel::signal::is_ignored;
use crate::kernel::whereabouts::await_answer;
use crate::process::ProcRoot;
use crate::table::Stop;

/// How long a subcommand may take to end by itself after a signal.
const GRACE: Duration = Duration::from_millis(300);

/// Which machine is read.
#[derive(Debug, Clone, Args)]
pub(crate) struct RootArgs {
    /// Read a capture, an archive or its directory, or a directory like /proc, instead of this machine
    #[arg(long, value_name = "FILE|DIR", default_value = "/proc", help_heading = "Processes", hide_short_help = true)]
    proc_root: PathBuf,
}

impl RootArgs {
    /// The machine that is read. An archive is unpacked, and removed when the last copy of the root is dropped or a
    /// signal ends the process.
    ///
    /// # Errors
    /// It is on a file system that does not answer, or is a damaged capture.
    pub(crate) fn root(&self) -> Result<ProcRoot, Stop> {
        open(&self.proc_root)
    }

    /// The same for an answer that can be repeated, which that of a capture cannot.
    ///
    /// # Errors
    /// As for [`RootArgs::root`].
    pub(crate) fn root_for(&self, answer: &AnswerArgs) -> Result<ProcRoot, Stop> {
        let root = self.root()?;
        refuse_if(answer.every.is_some() && root.captured().is_some(), "-w", "a capture does not change")?;
        Ok(root)
    }
}

/// The machine at this path.
///
/// # Errors
/// As for [`RootArgs::root`].
pub(crate) fn open(path: &std::path::Path) -> Result<ProcRoot, Stop> {
    if ProcRoot::at(path.to_owned()) == ProcRoot::live() {
        return Ok(ProcRoot::live());
    }
    await_answer(path).map_err(|errno| Error::io(Subject::Path(path.to_owned()), &errno.into()))?;
    if path.is_file() {
        remove_on_signals();
    }
    let root = capture::open(path)?;
    match is_like_proc(&root) {
        true => Ok(root),
        false => {
            let why = "neither a capture nor a directory like /proc: it has no processes and no meminfo";
            Err(Stop::Failed(Error::path(path, ErrorKind::Malformed, why)))
        }
    }
}

/// Whether the root has anything that a `/proc` has; one that cannot be listed may.
fn is_like_proc(root: &ProcRoot) -> bool {
    let has = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit()) || ["meminfo", "self"].contains(&name);
    match std::fs::read_dir(root.path()) {
        Ok(entries) => entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(has)),
        Err(_) => true,
    }
}

/// Waits for the signal that ends this process, if it has come and what was unpacked is being removed.
pub(super) fn wait_for_the_end() {
    while capture::is_ending() {
        std::thread::sleep(GRACE);
    }
}

/// From now on, a signal that would end this process at once first removes what was unpacked. A subcommand that watches
/// signals itself ends before that.
fn remove_on_signals() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let signals: Vec<i32> = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|one| !is_ignored(*one)).collect();
        // Without the thread the files stay where they are, as after SIGKILL.
        let Ok(mut signals) = Signals::new(signals) else { return };
        let _ = std::thread::Builder::new().name("signals".into()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                std::thread::sleep(GRACE);
                capture::begin_ending();
                capture::remove_unpacked();
                let _ = emulate_default_handler(signal);
            }
        });
    });
}
