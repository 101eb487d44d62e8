//! What the kernel itself does with a file.

use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;

use crate::common::{disk, has, mounted_as, rmap, shell};
use crate::who;

/// Runs a command at the end of a test, however it ends.
struct Finally(Vec<String>);

impl Drop for Finally {
    fn drop(&mut self) {
        let _ = Command::new(&self.0[0]).args(&self.0[1..]).status();
    }
}

fn finally(words: &[&str]) -> Finally {
    Finally(words.iter().map(|word| (*word).to_owned()).collect())
}

fn is_root(name: &str) -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED: {name}: only root can do that");
    }
    is_root
}

fn path_word(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_swap_file_is_held_by_the_kernel() {
    if !is_root("a_swap_file_is_held_by_the_kernel") || !has("mkswap", "util-linux") {
        return;
    }
    let folder = disk();
    let path = folder.path().join("swap");
    let made = "dd if=/dev/zero of=$1 bs=1M count=2 status=none && chmod 600 $1 && mkswap $1 > /dev/null && swapon $1";
    let run = shell(made, &[path.as_os_str()]);
    if run.status != Some(0) {
        return eprintln!("SKIPPED: a_swap_file_is_held_by_the_kernel: {}", run.err);
    }
    let off = finally(&["swapoff", path_word(&path)]);
    let found = who([&path]);
    assert_eq!(found.complaints, [""; 0]);
    assert_eq!(found.rows.len(), 1, "{found:?}");
    let row = &found.rows[0];
    assert_eq!((&row["how"], &row["name"], &row["command"]), (&"swap".into(), &"swap".into(), &"swap file".into()));
    assert_eq!(
        (&row["pid"], &row["absent"]["pid"]),
        (&serde_json::Value::Null, &"not applicable: it is the kernel".into())
    );
    drop(off);
    who([&path]).assert_only(&[]);
}

#[test]
fn the_file_of_a_loop_device_is_held_by_the_kernel() {
    if !is_root("the_file_of_a_loop_device_is_held_by_the_kernel") || !has("losetup", "mount") {
        return;
    }
    let folder = disk();
    let path = folder.path().join("image");
    std::fs::write(&path, vec![0; 1 << 20]).unwrap();
    let run = shell("losetup -f --show $1", &[path.as_os_str()]);
    if run.status != Some(0) {
        return eprintln!("SKIPPED: the_file_of_a_loop_device_is_held_by_the_kernel: {}", run.err);
    }
    let text = run.text();
    let device = text.trim();
    let _off = finally(&["losetup", "-d", device]);
    let found = who([&path]);
    assert_eq!((found.rows.len(), &found.complaints[..]), (1, &[][..]), "{found:?}");
    let row = &found.rows[0];
    assert_eq!((&row["how"], &row["command"]), (&"loop device".into(), &format!("loop device {device}").into()));
    assert_eq!(row["seen_as"], path_word(&path));
    // The device itself is not its file.
    assert!(who([device]).rows.iter().all(|row| row["how"] != "loop device"));
}

#[test]
fn a_block_device_is_held_by_the_file_system_on_it_and_measured_like_a_file() {
    let name = "kernel::a_block_device_is_held_by_the_file_system_on_it_and_measured_like_a_file";
    let mount = "truncate -s 20M image && mkfs.ext4 -q image && mkdir all && mount -o loop image all";
    let Some(folder) = mounted_as(name, mount) else { return };
    let all = folder.join("all").display().to_string();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let device = mounts.lines().find_map(|line| line.split_once(' ').filter(|(_, rest)| rest.starts_with(&all)));
    let (device, _) = device.unwrap();
    let found = who([device]);
    assert_eq!(found.rows.len(), 1, "{found:?}");
    let row = &found.rows[0];
    assert_eq!((&row["how"], &row["command"]), (&"mounted".into(), &format!("file system, mounted on {all}").into()));
    let measured = rmap(["pcstat", "--jsonl", device]);
    match measured.status {
        Some(0) => assert_eq!(found.files[0]["size"], 20 << 20, "{found:?}"),
        _ => assert_eq!(found.complaints, measured.complaints(), "it cannot be opened here"),
    }
}
