//! Links the stack unwinder of libgcc statically, if the C compiler provides a static version.
//!
//! Otherwise every start loads the shared libgcc_s, which queries the processor's features. In a virtual machine each
//! query is a trap, and together they take a tenth of the time that rmap needs for a small file.

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

/// The directory of `libgcc_eh.a`. If the compiler does not have the file, it prints the bare file name.
fn folder_of_libgcc_eh() -> Option<String> {
    let output = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    let folder = Path::new(path.trim()).parent()?.to_str()?.to_owned();
    (!folder.is_empty()).then_some(folder)
}
