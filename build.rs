//! Links the part of libgcc that unwinds the stack into the program, where the C compiler that links it has that part.
//!
//! Else each start loads the shared libgcc_s, which asks the processor what it can do: a tenth of the time that rmap takes
//! for a small file, as each such question is a trap in a virtual machine.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let native = env::var("HOST") == env::var("TARGET");
    if native
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && let Some(folder) = folder_of_libgcc_eh()
    {
        println!("cargo::rustc-link-search=native={folder}");
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}

/// Where the compiler has `libgcc_eh.a`; it answers with the bare name where it has none.
fn folder_of_libgcc_eh() -> Option<String> {
    let output = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    let folder = Path::new(path.trim()).parent()?.to_str()?.to_owned();
    (!folder.is_empty()).then_some(folder)
}
