//! What the kernel itself does with a file.

use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;

use crate::common::{Served, disk, has, in_own_namespace, mounted_as, rmap, shell};
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
    // However it is named, and in a capture.
    let inode = shell("stat -c %d:%i $1 | tr -d '\n'", &[path.as_os_str()]).text();
    let uses = |arguments: &[&str]| {
        let found = who(arguments);
        let of_kernel = found.rows.iter().filter(|row| row["pid"].is_null()).map(|row| row["command"].clone());
        (of_kernel.collect::<Vec<_>>(), found.complaints)
    };
    let swap = || vec![serde_json::Value::from("swap file")];
    assert_eq!(uses(&["--inode", &inode]), (swap(), vec![]));
    let capture = folder.path().join("x.tar").display().to_string();
    rmap(["capture", "--no-files", "-o", &capture]);
    let (found, complaints) = uses(&["--proc-root", &capture, "--inode", &inode]);
    // Loop devices of others may be in the same line.
    let may_be = |line: &String| {
        line.contains(&format!("swap file {}", path.display())) && line.contains("may be it: the capture does not tell")
    };
    assert!(found.is_empty() && complaints.iter().any(may_be), "{complaints:?}");
    // A path of another mount namespace, or one that was removed, leads to no file.
    let hidden = shell(
        "unshare -m sh -c 'mount -t tmpfs none $1 && exec \"$2\" who --inode $3' sh $1 $2 $3",
        &[folder.path().as_os_str(), env!("CARGO_BIN_EXE_rmap").as_ref(), inode.as_ref()],
    );
    let words = [format!("swap file {}", path.display()), "may be it: its path leads to no file here".to_owned()];
    assert!(words.iter().all(|words| hidden.err.contains(words)), "{hidden:?}");
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
    let inode = shell("stat -c %d:%i $1 | tr -d '\n'", &[path.as_os_str()]).text();
    let words = vec![("loop device".to_owned(), format!("loop device {device}"))];
    assert_eq!(uses_of_arguments(&["--inode", &inode]), words);
    // A removed name tells nothing, and another file may have it since.
    let open = crate::writer(&path);
    let link = crate::link_of(&open, "fd", path_word(&path));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "another").unwrap();
    assert_eq!((uses_of(&link), uses_of_arguments(&["--inode", &inode])), (words.clone(), words));
    assert_eq!(uses_of(path_word(&path)), []);
    // A capture does not tell which file it is, unless it lists that.
    let capture = folder.path().join("x.tar").display().to_string();
    rmap(["capture", "--no-files", "-o", &capture]);
    let found = who(["--proc-root", &capture, "--inode", &inode]);
    let may_be = |line: &String| {
        line.contains(device) && line.ends_with("may be it: the capture does not tell which file that is")
    };
    assert!(found.complaints.iter().any(may_be), "{found:?}");
    // The device itself is not its file.
    assert!(who([device]).rows.iter().all(|row| row["how"] != "loop device"));
}

#[test]
fn a_memfd_behind_a_loop_device_is_held_by_the_kernel() {
    let name = "kernel::a_memfd_behind_a_loop_device_is_held_by_the_kernel";
    if !is_root(name) || !has("losetup", "mount") {
        return;
    }
    let memory = nix::sys::memfd::memfd_create(c"rmap-loop", nix::sys::memfd::MFdFlags::empty()).unwrap();
    let memory = std::fs::File::from(memory);
    memory.set_len(1 << 20).unwrap();
    let link = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&memory));
    let run = shell("losetup -f --show $1", &[link.as_ref()]);
    if run.status != Some(0) {
        return eprintln!("SKIPPED: {name}: {}", run.err);
    }
    let device = run.text().trim().to_owned();
    let _off = finally(&["losetup", "-d", &device]);
    assert_eq!(uses_of(&link), [("loop device".to_owned(), format!("loop device {device}"))]);
    // Asking detached nothing.
    assert_eq!(shell("losetup $1", &[device.as_ref()]).status, Some(0));
}

#[test]
fn the_file_of_a_loop_device_is_known_where_its_path_leads_nowhere() {
    let name = "kernel::the_file_of_a_loop_device_is_known_where_its_path_leads_nowhere";
    let Some(folder) = mounted_as(name, "mkdir there all") else { return };
    let Some((device, _off)) = loop_device(name, &folder, 2 << 20) else { return };
    // With a file system that may not answer, each path is looked up with care.
    let Some(_served) = Served::by_nobody(&folder.join("there")) else { return };
    let path = folder.join("image");
    let open = crate::writer(&path);
    let link = crate::link_of(&open, "fd", path_word(&path));
    std::fs::remove_file(&path).unwrap();
    let inode = shell("stat -L -c %d:%i $1 | tr -d '\n'", &[link.as_ref()]).text();
    let words = |device: &str| [("loop device".to_owned(), format!("loop device {device}"))];
    assert_eq!(uses_of(&link), words(&device));
    assert_eq!(uses_of_arguments(&["--inode", &inode]), words(&device));
    let mount = "mount -t tmpfs none all && truncate -s 2M all/l && losetup -f --show all/l > device";
    let elsewhere = in_own_namespace(&folder, mount, &format!("open:{}", folder.join("all/l").display()));
    let device = std::fs::read_to_string(folder.join("device")).unwrap().trim().to_owned();
    let _off = finally(&["losetup", "-d", &device]);
    let path = format!("/proc/{}/root{}/all/l", elsewhere.pid(), folder.display());
    assert_eq!(uses_of(&path), words(&device));
}

#[test]
fn a_loop_device_that_detaches_itself_stays_as_long_as_it_is_used() {
    let name = "kernel::a_loop_device_that_detaches_itself_stays_as_long_as_it_is_used";
    let mount = "truncate -s 20M image && mkfs.ext4 -q image && mkdir all && mount -o loop image all";
    let Some(folder) = mounted_as(name, mount) else { return };
    let image = folder.join("image");
    let state = || shell("losetup --noheadings -O NAME,AUTOCLEAR -j $1", &[image.as_os_str()]).text();
    let before = state();
    assert!(before.trim_end().ends_with('1'), "{before}");
    assert_eq!(uses_of(path_word(&image)).len(), 1);
    assert_eq!(state(), before);
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

/// A loop device of a new file with this many bytes, which is detached at the end; `None`, with a line that says so, if
/// there cannot be any here.
fn loop_device(name: &str, folder: &Path, size: u64) -> Option<(String, Finally)> {
    if !is_root(name) || !has("losetup", "mount") {
        return None;
    }
    let path = folder.join("image");
    std::fs::File::create(&path).unwrap().set_len(size).unwrap();
    let run = shell("losetup -f --show $1", &[path.as_os_str()]);
    if run.status != Some(0) {
        eprintln!("SKIPPED: {name}: {}", run.err);
        return None;
    }
    let device = run.text().trim().to_owned();
    let off = finally(&["losetup", "-d", &device]);
    Some((device, off))
}

/// What the kernel does with a file, in words: `how` and `command` of each row. Other processes may have it open for a
/// moment, such as losetup when it looks for a free device.
fn uses_of(file: &str) -> Vec<(String, String)> {
    uses_of_arguments(&[file])
}

fn uses_of_arguments(arguments: &[&str]) -> Vec<(String, String)> {
    let word = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    let found = who(arguments);
    let of_kernel = found.rows.iter().filter(|row| row["pid"].is_null());
    of_kernel.map(|row| (word(row, "how"), word(row, "command"))).collect()
}

#[test]
fn a_block_device_is_held_by_btrfs_on_it_which_has_another_device_number() {
    let name = "kernel::a_block_device_is_held_by_btrfs_on_it_which_has_another_device_number";
    // A file system may be made of several devices, of which the list of mounts has one.
    let mount = "truncate -s 200M image && truncate -s 200M second && losetup -f --show second > device && \
                 losetup -f --show image > first && mkfs.btrfs -q $(cat first device) && mkdir all && \
                 mount $(cat first) all";
    let Some(folder) = mounted_as(name, mount) else { return };
    let device = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap().trim().to_owned();
    let (first, second) = (device("first"), device("device"));
    let _off = [finally(&["losetup", "-d", &first]), finally(&["losetup", "-d", &second])];
    let all = folder.join("all").display().to_string();
    for device in [&first, &second] {
        let mounted = ("mounted".to_owned(), format!("file system, mounted on {all}"));
        assert_eq!(uses_of(device), [mounted], "{device}");
    }
    let image = folder.join("image").display().to_string();
    let words = format!("loop device {first}, mounted on {all}");
    assert_eq!(uses_of(&image), [("loop device".to_owned(), words)]);
}

#[test]
fn a_swap_partition_is_known_under_every_node_of_its_device() {
    let name = "kernel::a_swap_partition_is_known_under_every_node_of_its_device";
    let folder = disk();
    let Some((device, _off)) = loop_device(name, folder.path(), 2 << 20) else { return };
    let node = folder.path().join("node");
    let made = "mkswap $1 > /dev/null && swapon $1 && mknod $2 b $(stat -c '0x%t 0x%T' $1)";
    let run = shell(made, &[device.as_ref(), node.as_os_str()]);
    if run.status != Some(0) {
        return eprintln!("SKIPPED: {name}: {}", run.err);
    }
    let _swap = finally(&["swapoff", &device]);
    let swap = ("swap".to_owned(), "swap partition".to_owned());
    for path in [&device[..], path_word(&node)] {
        assert_eq!(uses_of(path), std::slice::from_ref(&swap), "{path}");
    }
    let image = folder.path().join("image").display().to_string();
    assert_eq!(uses_of(&image), [("loop device".to_owned(), format!("loop device {device}, used as swap"))]);
}

#[test]
fn a_device_is_held_by_what_is_made_of_the_devices_that_are_made_of_it() {
    let name = "kernel::a_device_is_held_by_what_is_made_of_the_devices_that_are_made_of_it";
    let folder = disk();
    if !has("dmsetup", "dmsetup") {
        return;
    }
    let Some((device, _off)) = loop_device(name, folder.path(), 20 << 20) else { return };
    let number = std::process::id();
    let (lower, upper) = (format!("rmap-{number}-lower"), format!("rmap-{number}-upper"));
    let add = "dmsetup create $1 --table \"0 32768 linear $2 0\"";
    let run = shell(add, &[lower.as_ref(), device.as_ref()]);
    if run.status != Some(0) {
        return eprintln!("SKIPPED: {name}: {}", run.err);
    }
    // The upper one is removed first.
    let _lower = finally(&["dmsetup", "remove", &lower]);
    let _upper = finally(&["dmsetup", "remove", &upper]);
    assert_eq!(shell(add, &[upper.as_ref(), format!("/dev/mapper/{lower}").as_ref()]).status, Some(0));
    let found = uses_of(&device);
    assert!(found.iter().all(|(how, words)| how == "block device" && words.starts_with("block device /dev/dm-")));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(uses_of(&format!("/dev/mapper/{lower}")).len(), 1);
}
