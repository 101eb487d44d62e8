//! The signals that end a subcommand cleanly: recorded when they arrive, handled between two portions of work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{Error, Subject};
use crate::kernel::signal::is_ignored;
use crate::table::Stop;

/// How often to check for signals while waiting.
pub(super) const GLANCE: Duration = Duration::from_millis(50);

/// Whether one of the signals has arrived.
pub(crate) struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// From now on, records Ctrl-C, SIGTERM and SIGHUP instead of ending the process. A signal that was ignored at
    /// start, for example because of `nohup`, stays ignored.
    pub(crate) fn watch() -> Result<Signals, Stop> {
        let seen = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)) {
            signal_hook::flag::register_usize(signal, Arc::clone(&seen), signal.unsigned_abs() as usize)
                .map_err(|error| Stop::Failed(Error::io(Subject::Words("signals".to_owned()), &error)))?;
        }
        Ok(Signals(seen))
    }

    /// The same, but a second signal ends this process immediately. This is for work that leaves nothing behind and may
    /// block, for example while it waits for a list of names.
    pub(crate) fn watch_first() -> Result<Signals, Stop> {
        let came = Arc::new(AtomicBool::new(false));
        let failed = |error| Stop::Failed(Error::io(Subject::Words("signals".to_owned()), &error));
        let signals = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal));
        // Actions run in the order in which they were registered, so the first signal finds that none has arrived
        // before.
        for signal in signals.clone() {
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&came)).map_err(failed)?;
        }
        for signal in signals {
            signal_hook::flag::register(signal, Arc::clone(&came)).map_err(failed)?;
        }
        Signals::watch()
    }

    /// The last signal that arrived.
    fn received(&self) -> Option<i32> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }

    /// Waits until a signal arrives.
    pub(crate) fn wait(&self) {
        while self.received().is_none() {
            std::thread::sleep(GLANCE);
        }
    }

    /// Returns an error if a signal has arrived.
    ///
    /// # Errors
    /// [`Stop::Signal`].
    pub(crate) fn check(&self) -> Result<(), Stop> {
        self.received().map_or(Ok(()), |signal| Err(Stop::Signal(signal)))
    }
}
