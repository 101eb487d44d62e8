//! Which processes: by name, by command line, by user, by control group.
//!
//! Nothing here reads memory. Processes come and go while they are looked for: one that has gone was never found.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::unistd::User;
use regex::bytes::Regex;

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::process::identity::{is_kernel_thread, is_zombie, own_pid, read_identity, read_stat};
use crate::process::root::{ProcRoot, ProcessDir, read_pids};
use crate::process::status::read_status_in;

/// As much of `/proc/PID/cgroup` as is read.
const LONGEST_GROUPS: u64 = 1 << 20;

/// What processes have to be. Of each kind of criterion one must hold, and every kind that is given must hold: two names
/// and a user are the processes of that user with one or the other name.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    names: Vec<Vec<u8>>,
    patterns: Vec<Regex>,
    users: Vec<u32>,
    groups: Vec<Vec<u8>>,
}

impl Selection {
    /// No criterion: nothing is selected.
    pub fn new() -> Selection {
        Selection::default()
    }

    /// Whether it has no criterion.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty() && self.users.is_empty() && self.groups.is_empty()
    }

    /// By name: of the process (`comm`, which the kernel cuts to 15 bytes) or of its program's file, without directory.
    pub fn add_name(&mut self, name: &[u8]) {
        self.names.push(name.to_vec());
    }

    /// By a regular expression that is found anywhere in the command line, its arguments separated by spaces.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`]: it is no regular expression.
    pub fn add_pattern(&mut self, pattern: &str) -> Result<()> {
        let compiled = Regex::new(pattern).map_err(|error| {
            let why = error.to_string();
            // The library draws the place over several lines; the last one says what is wrong.
            let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Error::new(Subject::Words(pattern.to_owned()), ErrorKind::Refused, format!("no regular expression: {last}"))
        })?;
        self.patterns.push(compiled);
        Ok(())
    }

    /// By the user that it runs as (the effective one), a name or a number.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: there is no such user.
    pub fn add_user(&mut self, user: &str) -> Result<()> {
        // A name may be all digits; then it is the name, as for chown.
        let named = User::from_name(user).ok().flatten().map(|found| found.uid.as_raw());
        let number = named.or_else(|| user.parse().ok());
        self.users.push(number.ok_or_else(|| {
            Error::new(Subject::Words(user.to_owned()), ErrorKind::NotFound, "there is no such user")
        })?);
        Ok(())
    }

    /// By control group, of either version: the group or any below it. A path as `/proc/PID/cgroup` has it
    /// (`/system.slice/cron.service`) or as it is mounted (`/sys/fs/cgroup/...`), or the name of one group in the path
    /// (`cron.service`).
    pub fn add_group(&mut self, group: &[u8]) {
        self.groups.push(group.to_vec());
    }

    fn holds_for(&self, directory: &ProcessDir) -> Result<bool> {
        let Some(stat) = read_stat(directory)? else { return Ok(false) };
        if is_kernel_thread(&stat) || is_zombie(&stat) {
            return Ok(false);
        }
        Ok(self.name_holds(directory)
            && self.user_holds(directory)?
            && self.group_holds(directory)
            && (self.patterns.is_empty() || {
                let command = read_identity(directory, Some(&stat))?.command;
                self.patterns.iter().any(|pattern| pattern.is_match(&command))
            }))
    }

    fn name_holds(&self, directory: &ProcessDir) -> bool {
        let is_wanted = |name: &[u8]| self.names.iter().any(|wanted| wanted == name);
        let comm = || directory.read_file("comm", 4096).unwrap_or_default();
        self.names.is_empty() || is_wanted(comm().trim_ascii_end()) || {
            // The link of another user's process may not be read.
            let program = directory.read_link("exe").unwrap_or_default();
            let path = program.as_os_str().as_bytes();
            let path = Path::new(std::ffi::OsStr::from_bytes(path.strip_suffix(b" (deleted)").unwrap_or(path)));
            path.file_name().is_some_and(|name| is_wanted(name.as_bytes()))
        }
    }

    fn user_holds(&self, directory: &ProcessDir) -> Result<bool> {
        Ok(self.users.is_empty() || self.users.contains(&read_status_in(directory)?.user))
    }

    fn group_holds(&self, directory: &ProcessDir) -> bool {
        let text = || directory.read_file("cgroup", LONGEST_GROUPS).unwrap_or_default();
        self.groups.is_empty() || self.groups.iter().any(|wanted| is_in_group(&text(), wanted))
    }

    /// Whether it could find the very command that asks.
    fn finds_the_asker(&self) -> bool {
        !(self.names.is_empty() && self.patterns.is_empty() && self.users.is_empty())
    }
}

/// The processes that the selection holds for, in the order of their numbers. Kernel threads and zombies, which have no
/// memory, are left out; so is this process where it is looked for by name, command line or user.
///
/// # Errors
/// What reading the directory answers. A process that goes away meanwhile, or that is hidden, is none.
pub fn read_selected(root: &ProcRoot, selection: &Selection) -> Result<Vec<u32>> {
    if selection.is_empty() {
        return Ok(Vec::new());
    }
    let own = own_pid(root).ok().filter(|_| selection.finds_the_asker());
    let mut found: Vec<u32> = read_pids(root)?
        .into_iter()
        .filter(|pid| Some(*pid) != own)
        .filter(|pid| ProcessDir::open(root, *pid).and_then(|process| selection.holds_for(&process)).unwrap_or(false))
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// Whether a line of `/proc/PID/cgroup` (`4:memory:/a/b`, `0::/a/b`) names the group, or one below it.
fn is_in_group(text: &[u8], wanted: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| {
        let mut parts = line.splitn(3, |byte| *byte == b':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { return false };
        if !wanted.contains(&b'/') {
            return path.split(|byte| *byte == b'/').any(|name| !name.is_empty() && name == wanted);
        }
        let mounted = |below: &[u8]| [b"/sys/fs/cgroup", below, path].concat();
        let controllers = [b"/", controllers].concat();
        let below: &[&[u8]] = if controllers.len() == 1 { &[b"", b"/unified"] } else { &[&controllers] };
        is_at_or_below(path, wanted) || below.iter().any(|below| is_at_or_below(&mounted(below), wanted))
    })
}

/// Whether `path` is `top` or below it.
fn is_at_or_below(path: &[u8], top: &[u8]) -> bool {
    let top = top.strip_suffix(b"/").unwrap_or(top);
    path.strip_prefix(top).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_both_versions_are_matched_whole() {
        let both = b"5:memory:/docker/ab12\n1:name=systemd:/x\n0::/system.slice/cron.service\n";
        for wanted in [
            &b"/system.slice"[..],
            b"/system.slice/",
            b"/system.slice/cron.service",
            b"cron.service",
            b"/sys/fs/cgroup/system.slice/cron.service",
            b"/sys/fs/cgroup/unified/system.slice",
            b"/docker/ab12",
            b"ab12",
            b"/sys/fs/cgroup/memory/docker",
            b"/",
        ] {
            assert!(is_in_group(both, wanted), "{}", wanted.escape_ascii());
        }
        for wanted in [&b"/system"[..], b"cron", b"/docker/ab1", b"/sys/fs/cgroup/cpu/docker", b"/cron.service", b""] {
            assert!(!is_in_group(both, wanted), "{}", wanted.escape_ascii());
        }
    }

    #[test]
    fn a_pattern_that_is_none_says_why_in_one_line() {
        let error = Selection::new().add_pattern("a(b").unwrap_err();
        assert_eq!(error.to_string(), "a(b: no regular expression: unclosed group");
        assert!(Selection::new().add_user("no-such-user-here").is_err());
    }
}
