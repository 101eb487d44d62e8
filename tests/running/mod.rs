//! Running `rmap` as a user would, for the tests of the subcommands that change or repeat. No test is here.

#![allow(dead_code, reason = "every test program uses another part of it")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A command that runs the program under test with these arguments, in a pipe.
pub(crate) fn command<A: AsRef<OsStr>>(args: &[A]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rmap"));
    command.args(args).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// Its exit status, standard output and standard error.
pub(crate) fn run<A: AsRef<OsStr>>(args: &[A]) -> (i32, String, String) {
    outcome(command(args).output().unwrap())
}

pub(crate) fn outcome(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// The rows of a JSON lines answer, and the exit status.
pub(crate) fn rows<A: AsRef<OsStr>>(args: &[A]) -> (i32, Vec<Value>) {
    let (status, out, err) = run(args);
    let rows =
        out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}: {err}")));
    (status, rows.collect())
}

/// A program that runs on, read line by line. Whichever way the test ends, it is ended too.
pub(crate) struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Running { child, out }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn row(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Sends a signal; gives the exit status and what was left to read.
    pub(crate) fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.out, &mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
