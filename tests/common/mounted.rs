//! Runs a test again in its own mount namespace, so that nothing is left behind.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Subject, memory, subject_program};

/// Where a test that runs inside the namespace finds its folder.
const FOLDER: &str = "RMAP_TEST_MOUNTED_FOLDER";

/// Runs the test `name` of the module `mounts` again in a mount namespace after the shell script `mount`, which begins
/// in an empty directory on a tmpfs. Inside, gives that directory.
pub(crate) fn mounted(name: &str, mount: &str) -> Option<PathBuf> {
    mounted_as(&format!("mounts::{name}"), mount)
}

/// The same for a test of any module: `name` is its whole name.
pub(crate) fn mounted_as(name: &str, mount: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return Some(PathBuf::from(folder));
    }
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("SKIPPED: {name}: only root can mount a file system to look at");
        return None;
    }
    let folder = memory();
    let script = format!("cd ${FOLDER}; {{ {mount}; }} || exit 77; cd /; exec \"$0\" --exact {name} --nocapture");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", &script])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output();
    match output {
        Err(error) => eprintln!("SKIPPED: {name}: no unshare(1): {error}"),
        Ok(output) if output.status.code() == Some(77) => {
            eprintln!("SKIPPED: {name}: cannot mount here: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            let all_well = output.status.success() && said.contains("1 passed");
            assert!(all_well, "{said}{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    None
}

/// Starts the subject in a mount namespace of its own, after a shell script that begins in `folder`.
pub(crate) fn in_own_namespace(folder: &Path, mount: &str, acts: &str) -> Subject {
    let script = format!("cd {}; {mount}; cd /; exec {} {acts}", folder.display(), subject_program().display());
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec", &script]);
    Subject::until_ready(command)
}
