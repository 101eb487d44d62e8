//! Each test runs itself again in a mount namespace of its own, so that nothing is left behind.

use std::path::Path;

use serde_json::Value;

use crate::common::{Run, mounted, rmap, shell};

/// A file system of `kind` made by `mkfs` on a loop device, mounted at `disk`.
fn loop_disk(size: &str, mkfs: &str) -> String {
    format!("truncate -s {size} image; {mkfs} image; mkdir disk; mount -o loop image disk")
}

/// The one row of `rmap ARGS... --jsonl PATH`.
fn row(args: &[&str], path: &Path) -> (Run, Value) {
    let path = path.to_str().unwrap();
    let run = rmap([args, &["--jsonl", path]].concat());
    let rows = run.lines_of_json();
    assert_eq!(rows.len(), 1, "{run:?}");
    let row = rows[0].clone();
    (run, row)
}

/// A checksum of what a program reads.
fn sum(path: &Path) -> Vec<u8> {
    shell("md5sum < \"$1\"", &[path.as_os_str()]).good().out
}

#[test]
fn pages_whose_write_back_failed_are_never_dropped() {
    let name = "pages_whose_write_back_failed_are_never_dropped";
    // The image is sparse on a tmpfs that cannot hold it, so that writing to the disk fails.
    let mkfs = "mkfs.ext4 -qFO ^has_journal -E nodiscard,lazy_itable_init=1";
    let mount = format!("mkdir small; mount -t tmpfs -o size=24M none small; cd small; {}", loop_disk("300M", mkfs));
    let Some(folder) = mounted(name, &mount) else { return };
    let path = folder.join("small/disk/file");
    let data: Vec<u8> =
        (0..8u64 << 20).flat_map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_ne_bytes()).collect();
    for flushed_before in [false, true] {
        std::fs::write(&path, &data).unwrap();
        if flushed_before {
            // The kernel writes back on its own and fails, and no process has been told.
            shell("sync -f \"$1\"", &[path.as_os_str()]);
        }
        let before = sum(&path);
        let (run, row) = row(&["evict"], &path);
        assert_eq!(sum(&path), before, "the data is gone: {row} {}", run.err);
        assert_eq!((run.status, row["left_pages"] == row["left_unwritten_pages"]), (Some(1), true), "{row}");
        assert!(row["why"].as_str().unwrap().contains("writing back failed"), "{row}");
        assert!(run.err.contains("could not be written back: "), "{}", run.err);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn dirty_pages_on_btrfs_are_dropped_at_the_first_try() {
    let name = "dirty_pages_on_btrfs_are_dropped_at_the_first_try";
    let Some(folder) = mounted(name, &loop_disk("512M", "mkfs.btrfs -q")) else { return };
    for count in 0..5 {
        let path = folder.join(format!("disk/{count}"));
        std::fs::write(&path, vec![7; 40 << 20]).unwrap();
        let (run, row) = row(&["evict"], &path);
        assert_eq!((run.status, &row["left_pages"]), (Some(0), &Value::from(0)), "{row}");
        std::fs::remove_file(&path).unwrap();
    }
}
