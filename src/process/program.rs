//! Whether a process still runs the program that it ran before.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::process::handle::Process;

/// The program that a process ran when this was opened: `/proc/PID/mem`, which stays with the memory of that program.
/// Nothing of it is read, and it keeps no memory in use.
#[derive(Debug)]
pub(crate) struct Program(File);

impl Process {
    /// The program that it runs; `None` if its memory may not be read, or there is none.
    pub(crate) fn open_program(&self) -> Option<Program> {
        self.memory().ok()?.directory.open_file("mem").ok().map(Program)
    }
}

impl Program {
    /// Whether its memory is gone: the process runs another program, or has ended.
    pub(crate) fn has_ended(&self) -> bool {
        // Nothing is mapped at address 0, which is an error as long as there is any memory.
        matches!(self.0.read_at(&mut [0], 0), Ok(0))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_program_ends_with_execve() {
        let own = Process::own().unwrap().open_program().unwrap();
        assert!(!own.has_ended());
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo; read line; exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        output.read_exact(&mut [0]).unwrap();
        let process = Process::open(child.id()).unwrap();
        let program = process.open_program().unwrap();
        assert!(!program.has_ended());
        input.write_all(b"\n\n").unwrap();
        output.read_exact(&mut [0]).unwrap();
        assert!(program.has_ended());
        let later = process.open_program().unwrap();
        assert!(!later.has_ended());
        drop(input);
        assert!(child.wait().unwrap().success());
        assert!(later.has_ended());
    }
}
