//! The command `rmap`: parse, run, exit status. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rmap::cli::run(std::env::args_os())
}
