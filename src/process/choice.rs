//! The selected processes: those that were named, and those that match criteria.

use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::process::criteria::{Criteria, read_matching};
use crate::process::directory::parse_pid;
use crate::process::handle::{Process, ZOMBIE};
use crate::process::root::{ProcRoot, hides_processes};
use crate::units::counted;

/// The selected processes.
#[derive(Debug, Clone, Default)]
pub struct ProcessChoice {
    /// Those that were named.
    pub pids: Vec<NamedProcess>,
    /// Those that match these criteria.
    pub like: Criteria,
}

/// A process as the user names it: a number, or `self`, also as a directory of `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedProcess {
    /// The one that asks.
    Own,
    /// The one with this number.
    Pid(u32),
}

impl FromStr for NamedProcess {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<NamedProcess, &'static str> {
        let name = text.strip_prefix("/proc/").map_or(text, |name| name.strip_suffix('/').unwrap_or(name));
        match parse_pid(name) {
            Some(pid) => Ok(NamedProcess::Pid(pid)),
            None if name == "self" => Ok(NamedProcess::Own),
            None => Err("not a pid; use a decimal number, self, or --name"),
        }
    }
}

/// One selected process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) pid: u32,
    /// It was found, not named: if it has exited since, that is not an error.
    pub(crate) found: bool,
}

impl ProcessChoice {
    /// This process.
    pub fn of(pid: u32) -> ProcessChoice {
        ProcessChoice { pids: vec![NamedProcess::Pid(pid)], like: Criteria::new() }
    }

    /// Whether no process is selected.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty() && self.like.is_empty()
    }

    /// Whether there may be more than one.
    pub fn may_be_several(&self) -> bool {
        self.pids.len() > 1 || !self.like.is_empty()
    }

    /// The selected processes without duplicates: first those that were named, then those that were found. If none
    /// match the criteria, that is passed to `fail`, and so is why this process is not below `root`.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub(crate) fn find(&self, root: &ProcRoot, fail: &mut dyn FnMut(Error)) -> Result<Vec<Asked>> {
        let mut asked: Vec<Asked> = Vec::new();
        let mut add = |pid, found| {
            if asked.iter().all(|earlier| earlier.pid != pid) {
                asked.push(Asked { pid, found });
            }
        };
        for named in &self.pids {
            match named {
                NamedProcess::Pid(pid) => add(*pid, false),
                NamedProcess::Own => match Process::own_in(root) {
                    Ok(own) => add(own.pid(), false),
                    Err(error) => fail(error),
                },
            }
        }
        if !self.like.is_empty() {
            let found = read_matching(root, &self.like)?;
            if found.is_empty() {
                let about = Subject::Words(self.like.options().join(", "));
                let lacks_lines = root.captured().is_some_and(|captured| !captured.has_command_lines);
                let why = match () {
                    () if lacks_lines && self.like.has_patterns() => {
                        "no matching process: this capture has the names of processes, but not their command lines"
                    }
                    () if hides_processes(root) => {
                        "no matching process among those of this user: /proc hides the others (hidepid)"
                    }
                    () => "no matching process",
                };
                let error = Error::new(about, ErrorKind::NotFound, why);
                let is_list = self.like.has_comma();
                fail(if is_list { error.with_advice("type --name once for each name") } else { error });
            }
            let missed = root.captured().map_or(0, |captured| captured.missed.len() as u64);
            if missed > 0 {
                let about = Subject::Words("the capture".to_owned());
                let missed = counted(missed, "process", "processes");
                let why = format!("{missed} could not be read when it was taken, and may match, too");
                fail(Error::new(about, ErrorKind::Changed, why));
            }
            found.into_iter().for_each(|pid| add(pid, true));
        }
        Ok(asked)
    }
}

impl Asked {
    /// Whether this failure to read it is worth a line: a process that was only found may have exited since, and may
    /// be a zombie by now.
    pub(crate) fn is_missed(&self, error: &Error) -> bool {
        !self.found || error.kind() != ErrorKind::NotFound && error.why() != ZOMBIE
    }
}
