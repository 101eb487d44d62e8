//! What a repeated answer changes on its terminal: the key `q` ends it, and it takes the alternate screen.
//!
//! While it has the alternate screen, the terminal passes on each key at once and does not show it; without, only
//! while rmap waits for the next round. All of it is restored before a signal such as Ctrl-Z takes effect. Only
//! `kill -9` (or `-STOP`, `-SEGV`, `-BUS`) and a fault leave it as it is.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, read, tcgetpgrp};

use super::full_screen::{ENTER, LEAVE};
use crate::kernel::signal::{Delayed, delay};

/// The terminal of a repeated answer.
pub(crate) struct Terminal {
    /// Whether standard input is a terminal too, so that keys can be read.
    has_keys: bool,
    /// Whether the alternate screen is taken.
    is_full_screen: bool,
    /// Whether the terminal is as it was, so that signals take effect at once.
    is_restored: Arc<AtomicBool>,
    /// Signals that take effect as soon as the terminal is restored.
    delayed: Delayed,
    /// How the terminal was, while it is changed.
    before: Option<Termios>,
}

impl Terminal {
    /// The terminal on standard output, if there is one. Takes the alternate screen if that is requested.
    pub(crate) fn take(is_full_screen: bool) -> Option<Terminal> {
        let has_keys = io::stdin().is_terminal();
        let has_some_use = io::stdout().is_terminal() && (has_keys || is_full_screen);
        if has_some_use { Terminal::with(has_keys, is_full_screen) } else { None }
    }

    /// The terminal on standard input, if there is one: for its keys, wherever the output goes.
    pub(crate) fn take_keys() -> Option<Terminal> {
        if io::stdin().is_terminal() { Terminal::with(true, false) } else { None }
    }

    fn with(has_keys: bool, is_full_screen: bool) -> Option<Terminal> {
        let is_restored = Arc::new(AtomicBool::new(true));
        let delayed = delay(Arc::clone(&is_restored)).ok()?;
        let mut terminal = Terminal { has_keys, is_full_screen, is_restored, delayed, before: None };
        if is_full_screen && terminal.may_have_keys() {
            // A key that is pressed while a round is read must not be shown in it.
            terminal.pass_on_keys();
        }
        terminal.show(ENTER);
        Some(terminal)
    }

    /// Whether the alternate screen is taken.
    pub(crate) fn is_full_screen(&self) -> bool {
        self.is_full_screen
    }

    /// Takes or leaves the alternate screen.
    fn show(&self, sequence: &[u8]) {
        if self.is_full_screen {
            // If nobody sees the terminal any more, nothing is left to restore.
            let _ = io::stdout().write_all(sequence).and_then(|()| io::stdout().flush());
        }
        self.is_restored.store(!self.is_full_screen || sequence == LEAVE, Ordering::Relaxed);
    }

    /// Whether `q` was pressed.
    pub(crate) fn is_end(&mut self) -> bool {
        self.keys().any(|key| matches!(key, b'q' | b'Q'))
    }

    /// The first key that was pressed, if any was.
    pub(crate) fn key(&mut self) -> Option<u8> {
        self.keys().next()
    }

    /// The keys that were pressed. From now on the terminal passes on each key, until [`Terminal::restore`].
    fn keys(&mut self) -> impl Iterator<Item = u8> {
        if self.delayed.came() {
            self.restore();
            self.show(LEAVE);
            self.delayed.obey();
            self.show(ENTER);
        }
        if !self.may_have_keys() || self.pass_on_keys().is_none() {
            return [0; 64].into_iter().take(0);
        }
        let mut typed = [0; 64];
        let count = read(io::stdin(), &mut typed).unwrap_or(0);
        typed.into_iter().take(count)
    }

    /// Whether keys may be read. In the background the kernel would stop rmap for it.
    fn may_have_keys(&self) -> bool {
        self.has_keys && tcgetpgrp(io::stdin()).ok() == Some(getpgrp())
    }

    /// Makes the terminal pass on each key, if it does not yet.
    fn pass_on_keys(&mut self) -> Option<()> {
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

    /// Restores the keys, so that a signal takes effect at once, unless the alternate screen delays it anyway.
    pub(crate) fn end_wait(&mut self) {
        if !self.is_full_screen {
            self.restore();
        }
    }

    /// Restores the keys.
    pub(crate) fn restore(&mut self) {
        if let Some(before) = self.before.take() {
            let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &before);
        }
        self.is_restored.store(!self.is_full_screen, Ordering::Relaxed);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
        self.show(LEAVE);
    }
}
