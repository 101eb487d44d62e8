//! Writes the picture of a terminal that the README shows, as SVG, from what rmap prints on a terminal of 100 columns:
//!
//! ```sh
//! cargo build && cargo run --example picture > docs/terminal.svg
//! ```
//!
//! Needs script(1) of util-linux. Some pages of the file may already have been reclaimed when it is measured.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anstyle_svg::Term;

/// What is typed, and with `rmap` in front.
const TYPED: [&str; 4] =
    ["pcstat big.db /bin/bash", "pcstat --map big.db", "evict big.db", "pid --by kind --top 5 PID"];

const COLUMNS: u16 = 100;
const MIB: u64 = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let file = File::create_new(folder.path().join("big.db"))?;
    file.set_len(64 * MIB)?;
    file.write_all_at(&vec![1; 20 * MIB as usize], 8 * MIB)?;
    file.sync_all()?;
    file.write_all_at(&vec![2; 4 * MIB as usize], 44 * MIB)?;
    let mut holder = hold(folder.path())?;
    let mut text = String::new();
    for typed in TYPED {
        let typed = typed.replace("PID", &holder.id().to_string());
        text.push_str(&format!("$ rmap {typed}\n{}\n", on_a_terminal(folder.path(), &typed)?));
    }
    holder.kill()?;
    holder.wait()?;
    println!("{}", Term::new().min_width_px(COLUMNS.into()).render_svg(text.trim_end()));
    Ok(())
}

/// A program that keeps a part of the file in memory: rmap itself.
fn hold(folder: &Path) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(program()?);
    command.arg0("rmap").args(["lock", "--range", "8M,4M", "big.db"]).current_dir(folder);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    // It prints its table once the pages are locked.
    child.stdout.as_mut().ok_or("no output")?.read_exact(&mut [0; 1])?;
    Ok(child)
}

fn program() -> Result<PathBuf, Box<dyn Error>> {
    let example = std::env::current_exe()?;
    Ok(example.ancestors().nth(2).ok_or("the example is not in target/*/examples")?.join("rmap"))
}

/// What rmap prints on a terminal.
fn on_a_terminal(folder: &Path, typed: &str) -> Result<String, Box<dyn Error>> {
    let line = format!("stty cols {COLUMNS} rows 40; exec {} {typed}", program()?.display());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(folder).stdin(Stdio::null());
    let output = script.env("SHELL", "/bin/sh").env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").output()?;
    Ok(String::from_utf8(output.stdout)?.replace('\r', ""))
}
