//! The control groups of a process, of either version, from `/proc/PID/cgroup`.

use crate::error::{Error, ErrorKind, Result};
use crate::process::failure::read_error;
use crate::process::handle::Process;

/// The maximum number of bytes that are read from `/proc/PID/cgroup`.
const LONGEST: u64 = 1 << 20;

impl Process {
    /// The path of the control group that limits the memory of the process: the one of version 1 with the memory
    /// controller if there is one, otherwise the one of version 2 (`/system.slice/cron.service`). It may contain any bytes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: it has exited, or a capture has no such file. [`ErrorKind::Unsupported`]: there are no
    /// control groups.
    pub fn read_cgroup(&self) -> Result<Vec<u8>> {
        let text = self.directory.read_file("cgroup", LONGEST).map_err(|error| match self.is_live() {
            true => read_error(self.pid(), &error),
            false => self.open_error("cgroup", &error),
        })?;
        let none = || Error::pid(self.pid(), ErrorKind::Unsupported, "it is not in a control group for memory");
        memory_group(&text).map(<[u8]>::to_vec).ok_or_else(none)
    }

    /// Whether it is in the group, or in one below it.
    pub(super) fn is_in_cgroup(&self, wanted: &[u8]) -> bool {
        is_in_group(&self.directory.read_file("cgroup", LONGEST).unwrap_or_default(), wanted)
    }
}

/// The controllers and the path of each line (`4:memory:/a/b`, `0::/a/b`).
fn groups(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut parts = line.splitn(3, |byte| *byte == b':');
        parts.next()?;
        Some((parts.next()?, parts.next()?))
    })
}

fn memory_group(text: &[u8]) -> Option<&[u8]> {
    let has_memory = |controllers: &[u8]| controllers.split(|byte| *byte == b',').any(|name| name == b"memory");
    let version_1 = groups(text).find(|(controllers, _)| has_memory(controllers));
    version_1.or_else(|| groups(text).find(|(controllers, _)| controllers.is_empty())).map(|(_, path)| path)
}

/// Whether one of the groups is the wanted one, or below it.
fn is_in_group(text: &[u8], wanted: &[u8]) -> bool {
    groups(text).any(|(controllers, path)| {
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
    fn groups_of_both_versions_are_compared_as_whole_names() {
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
    fn the_group_for_memory_is_of_version_1_if_it_has_the_controller_there() {
        assert_eq!(memory_group(b"0::/a/b\n"), Some(&b"/a/b"[..]));
        assert_eq!(memory_group(b"3:cpu,memory:/x:y\n1:name=systemd:/n\n0::/a\n"), Some(&b"/x:y"[..]));
        assert_eq!(memory_group(b"3:cpu:/x\n0::/a\xff\n"), Some(&b"/a\xff"[..]));
        assert_eq!(memory_group(b""), None);
        assert_eq!(memory_group(b"junk\n::\n"), Some(&b""[..]));
    }
}
