//! The identity of a process: its command line and start time. Nothing here reads its memory.

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

use crate::error::{Error, Result, Subject};
use crate::process::failure::{is_denied, is_gone, read_error};
use crate::process::handle::{Memory, Process};

/// The longest command line that is read. With a default stack `execve` accepts at most 6 MiB.
const LONGEST_COMMAND: u64 = 8 << 20;

/// The identity of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its pid.
    pub pid: u32,
    /// The command line (`/proc/PID/cmdline`), with spaces in place of the NULs between the arguments, as pmap prints
    /// it. If it is empty, as for a kernel thread, a zombie or a capture without the file, the name from `comm` in
    /// brackets: `[kthreadd]`. It is empty if there is no name either. It may contain any bytes.
    pub command: Vec<u8>,
    /// When it started, in clock ticks after boot (field 22 of `/proc/PID/stat`). Together with the pid it is unique
    /// until the next boot. Absent for a capture without that file.
    pub start_time: Option<u64>,
}

impl Identity {
    /// Whether both are the same process, and not two processes that had the same pid one after the other. A process
    /// that has called `execve` in between is still the same. Without start times, as in some captures, only the pids
    /// are compared.
    pub fn is_same_as(&self, other: &Identity) -> bool {
        self.pid == other.pid && self.start_time == other.start_time
    }
}

impl Process {
    /// Reads the identity of the process.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`]: it has exited. [`crate::error::ErrorKind::Denied`]: `/proc` hides it.
    pub fn identity(&self) -> Result<Identity> {
        self.identity_in(&self.memory_or_own()?)
    }

    pub(super) fn identity_in(&self, memory: &Memory) -> Result<Identity> {
        // A first thread that has exited no longer has a command line.
        let mut command = match memory.directory.read_file("cmdline", LONGEST_COMMAND) {
            Ok(arguments) => arguments,
            Err(error) if is_gone(&error) || is_denied(&error) => Vec::new(),
            Err(error) => return Err(Error::io(Subject::Pid(self.pid()), &error)),
        };
        spaces_for_nuls(&mut command);
        if command.is_empty() {
            command = self.bracketed_name(memory);
        }
        Ok(Identity { pid: self.pid(), command, start_time: memory.stat.as_ref().map(|stat| stat.start_time) })
    }

    /// Which program it runs, and whether it has exited: it is the same as long as this does not change.
    ///
    /// # Errors
    /// As [`Process::identity`].
    pub(crate) fn read_life(&self) -> Result<(u64, [u64; 3], bool)> {
        let stat = self.read_stat()?;
        Ok(stat.map_or((0, [0; 3], false), |stat| (stat.start_time, stat.program, stat.is_zombie())))
    }

    /// When it started, in clock ticks since the machine did; `None` if that is not known.
    pub(crate) fn read_start_time(&self) -> Option<u64> {
        Some(self.read_stat().ok()??.start_time)
    }

    /// When it started, in whole seconds since 1970, as file systems count them; `None` if that is not known.
    pub(super) fn read_start(&self) -> Option<i64> {
        let after_boot = u128::from(self.read_start_time()?) * 1000 / u128::from(ticks_a_second()?);
        let now = |clock| clock_gettime(clock).ok().map(|time| i128::from(time.num_milliseconds()));
        let boot = now(ClockId::CLOCK_REALTIME)? - now(ClockId::CLOCK_BOOTTIME)?;
        i64::try_from((boot + i128::try_from(after_boot).ok()?).div_euclid(1000)).ok()
    }

    /// Its name (`/proc/PID/comm`): at most 15 bytes, of any values.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`]: it has exited, or a capture has no such file.
    pub(crate) fn read_name(&self) -> Result<Vec<u8>> {
        let mut line = self.directory.read_file("comm", 4096).map_err(|error| read_error(self.pid(), &error))?;
        line.truncate(line.strip_suffix(b"\n").unwrap_or(&line).len());
        Ok(line)
    }

    fn bracketed_name(&self, memory: &Memory) -> Vec<u8> {
        let name = match (self.read_name(), &memory.stat) {
            (Ok(name), _) => name,
            (Err(_), Some(stat)) => stat.name.clone(),
            (Err(_), None) => return Vec::new(),
        };
        [b"[", &name[..], b"]"].concat()
    }
}

fn ticks_a_second() -> Option<u64> {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok()??;
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0)
}

pub(super) fn spaces_for_nuls(command: &mut Vec<u8>) {
    let end = command.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    command.truncate(end);
    command.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_joined_by_spaces() {
        for (raw, command) in
            [(&b"ls\0-l\0\0x\0"[..], &b"ls -l  x"[..]), (b"", b""), (b"\0\0", b""), (b"title", b"title")]
        {
            let mut bytes = raw.to_vec();
            spaces_for_nuls(&mut bytes);
            assert_eq!(bytes, command);
        }
    }
}
