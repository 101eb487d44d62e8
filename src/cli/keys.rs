//! The key that ends a repeated answer on a terminal: `q`.
//!
//! Only while rmap waits for the next round, the terminal passes on each key at once and does not show it. It is
//! restored after each wait, and before a signal such as Ctrl-Z takes effect. Only `kill -9` during a wait leaves it as
//! it is.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, read, tcgetpgrp};
use signal_hook::consts::{SIGQUIT, SIGTSTP};
use signal_hook::flag::{register_conditional_default, register_usize};
use signal_hook::low_level::emulate_default_handler;

/// The keys of the terminal on standard input.
pub(crate) struct Keys {
    /// Whether the terminal is as it was, so that signals take effect at once.
    is_restored: Arc<AtomicBool>,
    /// A signal that takes effect as soon as the terminal is restored.
    raised: Arc<AtomicUsize>,
    /// How the terminal was, while it is changed.
    before: Option<Termios>,
}

impl Keys {
    /// The keys, if standard input and output are a terminal.
    pub(crate) fn of_terminal() -> Option<Keys> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return None;
        }
        let (is_restored, raised) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        for signal in [SIGTSTP, SIGQUIT] {
            // Actions run in the order in which they were registered.
            register_conditional_default(signal, Arc::clone(&is_restored)).ok()?;
            register_usize(signal, Arc::clone(&raised), signal.unsigned_abs() as usize).ok()?;
        }
        Some(Keys { is_restored, raised, before: None })
    }

    /// Whether `q` was pressed. From now on the terminal passes on each key, until [`Keys::restore`].
    pub(crate) fn is_end(&mut self) -> bool {
        if let Ok(signal @ 1..) = i32::try_from(self.raised.swap(0, Ordering::Relaxed)) {
            self.restore();
            let _ = emulate_default_handler(signal);
        }
        // In the background the kernel would stop rmap for it.
        if tcgetpgrp(io::stdin()).ok() != Some(getpgrp()) || self.take().is_none() {
            return false;
        }
        let mut typed = [0; 64];
        let count = read(io::stdin(), &mut typed).unwrap_or(0);
        typed.iter().take(count).any(|key| matches!(key, b'q' | b'Q'))
    }

    /// Makes the terminal pass on each key, if it does not yet.
    fn take(&mut self) -> Option<()> {
        if self.before.is_none() {
            let before = tcgetattr(io::stdin()).ok()?;
            let mut keys = before.clone();
            keys.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
            // A read returns at once, even if no key was pressed.
            for index in [SpecialCharacterIndices::VMIN, SpecialCharacterIndices::VTIME] {
                *keys.control_chars.get_mut(index as usize)? = 0;
            }
            self.is_restored.store(false, Ordering::Relaxed);
            self.before = Some(before);
            tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &keys).ok()?;
        }
        Some(())
    }

    /// Restores the terminal.
    pub(crate) fn restore(&mut self) {
        if let Some(before) = self.before.take() {
            let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &before);
        }
        self.is_restored.store(true, Ordering::Relaxed);
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.restore();
    }
}
