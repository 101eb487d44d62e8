//! Selects processes by name, command line, user or control group.
//!
//! Nothing here reads memory. A process that exits while it is examined is not found.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::unistd::User;
use regex::bytes::Regex;

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::process::cgroup::GroupChoice;
use crate::process::handle::{Memory, Process};
use crate::process::kind::DELETED;
use crate::process::root::{ProcRoot, is_own_helper, read_pids};

/// The criteria for processes. Every given kind of criterion must match; if a kind is given several times, one match is
/// enough. Two names and a user match the processes of that user with either name.
#[derive(Debug, Clone, Default)]
pub struct Criteria {
    names: Vec<Vec<u8>>,
    patterns: Vec<Regex>,
    users: Vec<u32>,
    groups: GroupChoice,
}

impl Criteria {
    /// No criteria: nothing matches.
    pub fn new() -> Criteria {
        Criteria::default()
    }

    /// Whether there are no criteria.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty() && self.users.is_empty() && self.groups.is_empty()
    }

    /// The criteria that are set, by their names on the command line.
    pub fn options(&self) -> Vec<&'static str> {
        let all = [
            ("--name", self.names.is_empty()),
            ("--match", self.patterns.is_empty()),
            ("--user", self.users.is_empty()),
            ("--cgroup", self.groups.is_empty()),
        ];
        all.into_iter().filter(|(_, is_empty)| !is_empty).map(|(option, _)| option).collect()
    }

    /// By name: that of the process (`comm`, which the kernel cuts to 15 bytes) or that of its program, without
    /// directory.
    pub fn add_name(&mut self, name: &[u8]) {
        self.names.push(name.to_vec());
    }

    /// Whether a name has a comma, which may be meant to separate several.
    pub fn has_comma(&self) -> bool {
        self.names.iter().any(|name| name.contains(&b','))
    }

    /// By a regular expression that matches anywhere in the command line, whose arguments are separated by spaces.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`]: the regular expression is invalid.
    pub fn add_pattern(&mut self, pattern: &str) -> Result<()> {
        let compiled = Regex::new(pattern).map_err(|error| {
            let why = error.to_string();
            // The message marks the place on several lines; the last line says what is wrong.
            let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let why = format!("invalid regular expression: {last}");
            Error::new(Subject::Words(pattern.to_owned()), ErrorKind::Refused, why)
        })?;
        self.patterns.push(compiled);
        Ok(())
    }

    /// Whether it was asked for a command line.
    pub(super) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// By the user that it runs as (the effective one), a name or a number.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: the user does not exist.
    pub fn add_user(&mut self, user: &str) -> Result<()> {
        // A name may consist of digits; then it is the name, as for chown.
        let named = User::from_name(user).ok().flatten().map(|found| found.uid.as_raw());
        let number = named.or_else(|| user.parse().ok());
        self.users.push(
            number.ok_or_else(|| Error::new(Subject::Words(user.to_owned()), ErrorKind::NotFound, "no such user"))?,
        );
        Ok(())
    }

    /// By control group, of either version: the group or any below it. Either a path as in `/proc/PID/cgroup`
    /// (`/system.slice/cron.service`), there also with its hierarchy and then only in that one (`memory:/docker`,
    /// `0::/docker`), or as mounted (`/sys/fs/cgroup/...`, or from a working directory there), or the name of one group
    /// in the path (`cron.service`), or the id of a container: 64 hexadecimal digits, or the first 12. In a path or a
    /// name `*`, `?` and `[...]` stand for any characters except a slash, `**` for any.
    pub fn add_group(&mut self, group: &[u8]) {
        self.groups.add(group);
    }

    /// Whether the process matches. Kernel threads and zombies, which have no memory, never do.
    fn match_process(&self, process: &Process) -> Result<bool> {
        let memory = process.memory()?;
        Ok(memory.stat.is_some()
            && self.match_name(process, &memory)
            && (self.users.is_empty() || self.users.contains(&process.read_status()?.user))
            && (self.groups.is_empty() || self.groups.has_process(&memory))
            && (self.patterns.is_empty() || {
                let command = process.identity_in(&memory)?.command;
                self.patterns.iter().any(|pattern| pattern.is_match(&command))
            }))
    }

    fn match_name(&self, process: &Process, memory: &Memory) -> bool {
        let is_wanted = |name: &[u8]| self.names.iter().any(|wanted| wanted == name);
        // A capture need not have the file.
        let of_stat = || memory.stat.as_ref().map(|stat| stat.name.clone()).unwrap_or_default();
        let comm = || process.directory.read_file("comm", 4096).unwrap_or_else(|_| of_stat());
        self.names.is_empty() || is_wanted(comm().trim_ascii_end()) || {
            // The link of another user's process is not readable.
            let program = memory.directory.read_link("exe").unwrap_or_default();
            let path = program.as_os_str().as_bytes();
            let path = Path::new(OsStr::from_bytes(path.strip_suffix(DELETED).unwrap_or(path)));
            path.file_name().is_some_and(|name| is_wanted(name.as_bytes()))
        }
    }

    /// Whether they could match the rmap process itself.
    fn may_match_ourselves(&self) -> bool {
        !(self.names.is_empty() && self.patterns.is_empty() && self.users.is_empty())
    }
}

/// The pids of the processes that match, in ascending order. Kernel threads and zombies, which have no memory, are left
/// out; so are this process, and its children that ask file systems in its place, if it was searched by name, command
/// line or user.
///
/// # Errors
/// `/proc` cannot be read. A process that exits meanwhile, or that is hidden, is left out.
pub fn read_matching(root: &ProcRoot, criteria: &Criteria) -> Result<Vec<u32>> {
    if criteria.is_empty() {
        return Ok(Vec::new());
    }
    let mut criteria = criteria.clone();
    criteria.groups.resolve(root);
    let own = Process::own_in(root).ok().map(|own| own.pid());
    let is_left_out = |pid| criteria.may_match_ourselves() && (Some(pid) == own || is_own_helper(root, pid));
    let matches = |pid: &u32| {
        let process = Process::open_in(root, *pid);
        let found = process.and_then(|process| criteria.match_process(&process));
        // One of which it cannot be told is reported when it is read.
        found.unwrap_or_else(|error| error.kind() == ErrorKind::Malformed)
    };
    let mut found: Vec<u32> = read_pids(root)?.into_iter().filter(|pid| !is_left_out(*pid)).filter(matches).collect();
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_pattern_is_explained_in_one_line() {
        let error = Criteria::new().add_pattern("a(b").unwrap_err();
        assert_eq!(error.to_string(), "a(b: invalid regular expression: unclosed group");
        assert!(Criteria::new().add_user("no-such-user-here").is_err());
    }
}
