//! A file is known by what it is: other names, mount namespaces and overlays lead to the same holders. Tests that mount
//! something run themselves again in a mount namespace of their own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::Value;

use crate::common::{Subject, disk, in_own_namespace, memory, mounted_as, page, rmap};
use crate::{bytes, who};

#[test]
fn a_hard_link_is_the_same_file_and_another_file_of_its_size_is_not() {
    let folder = disk();
    let [path, link, other] = ["file", "link", "other"].map(|name| folder.path().join(name));
    let subject = Subject::start([format!("synced:{}:8:1", path.display())]);
    fs::hard_link(&path, &link).unwrap();
    let by_link = Subject::start([format!("glance:{}:8", link.display())]);
    let _other = Subject::start([format!("synced:{}:8:1", other.display())]);
    for name in [&path, &link] {
        let found = who([name]);
        found.assert_only(&[&subject, &by_link]);
        assert_eq!(found.row(&by_link)["seen_as"], link.to_str().unwrap());
        assert_eq!(found.row(&subject)["path"], name.to_str().unwrap());
    }
    // A symbolic link leads to it.
    let symbolic = folder.path().join("symbolic");
    std::os::unix::fs::symlink(&link, &symbolic).unwrap();
    who([&symbolic]).assert_only(&[&subject, &by_link]);
    // Named several times, it has its holders once, and counts once.
    let number = fs::metadata(&path).map(|found| format!("--inode={}:{}", found.dev(), found.ino())).unwrap();
    let all = [&path, &link, &symbolic, &path].map(|path| path.as_os_str().to_owned());
    let found = who(all.into_iter().chain([number.into()]));
    found.assert_only(&[&subject, &by_link]);
    assert_eq!((bytes(&found.total, "rows"), bytes(&found.total, "rss")), (2, 16 * page()), "{found:?}");
    let same_as: Vec<&Value> = found.files.iter().map(|file| &file["same_as"]).collect();
    let first = Value::from(path.to_str().unwrap());
    assert_eq!(same_as, [&Value::Null, &first, &first, &first], "the path itself has one object: {found:?}");
    let cached: Vec<Option<u64>> = found.files.iter().map(|file| file["cached"].as_u64()).collect();
    assert_eq!(cached, [Some(8 * page()), None, None, None], "{found:?}");
    let text = rmap(["who".as_ref(), path.as_os_str(), link.as_os_str()]).text();
    assert!(text.ends_with(&format!("\n{}: the same file as {}\n", link.display(), path.display())), "{text}");
}

#[test]
fn a_bind_mount_in_another_mount_namespace_is_the_same_file() {
    let name = "names::a_bind_mount_in_another_mount_namespace_is_the_same_file";
    let Some(folder) = mounted_as(name, "mkdir here there && echo text > here/file") else { return };
    let there = folder.join("there/file").display().to_string();
    let subject = in_own_namespace(&folder, "mount --bind here there", &format!("view:{there}:1"));
    let found = who([folder.join("here/file")]);
    found.assert_only(&[&subject]);
    let row = found.row(&subject);
    assert_eq!((&row["how"], bytes(row, "rss")), (&"mapped shared, open".into(), page()), "{row}");
}

#[test]
fn a_file_that_only_another_mount_namespace_has_is_found_below_the_root_of_a_process() {
    let name = "names::a_file_that_only_another_mount_namespace_has_is_found_below_the_root_of_a_process";
    let Some(folder) = mounted_as(name, "mkdir inside") else { return };
    let file = folder.join("inside/file").display().to_string();
    let subject = in_own_namespace(&folder, "mount -t tmpfs none inside", &format!("shared:{file}:16:9"));
    let found = who([format!("/proc/{}/root{file}", subject.pid())]);
    found.assert_only(&[&subject]);
    assert_eq!(bytes(found.row(&subject), "rss"), 9 * page());
}

#[test]
fn files_of_two_subvolumes_of_btrfs_with_one_number_are_told_apart() {
    let name = "names::files_of_two_subvolumes_of_btrfs_with_one_number_are_told_apart";
    let mount = "truncate -s 200M image && mkfs.btrfs -q image && mkdir all && mount -o loop image all && \
                 btrfs -q subvolume create all/a && btrfs -q subvolume create all/b";
    let Some(folder) = mounted_as(name, mount) else { return };
    let [a, b] = ["all/a/file", "all/b/file"].map(|name| folder.join(name));
    let of_a = Subject::start([format!("synced:{}:8:1", a.display())]);
    let of_b = Subject::start([format!("synced:{}:4:1", b.display())]);
    let reader = Subject::start([format!("open:{}", b.display())]);
    let found = [&a, &b].map(|path| fs::metadata(path).unwrap());
    assert_eq!(found[0].ino(), found[1].ino(), "this test needs one number for both");
    who([&a]).assert_only(&[&of_a]);
    who([&b]).assert_only(&[&of_b, &reader]);
    // The device of stat is that of the subvolume.
    let number = format!("{}:{}", found[1].dev(), found[1].ino());
    let by_stat = who(["--inode", &number]);
    by_stat.assert_only(&[&of_b, &reader]);
    assert_eq!(bytes(&by_stat.files[0], "cached"), 4 * page(), "{by_stat:?}");
    // That of maps is the whole file system's.
    let maps = fs::read_to_string(format!("/proc/{}/maps", of_a.pid())).unwrap();
    let line = maps.lines().find(|line| line.contains("/all/a/file")).unwrap();
    let number = format!("{}:{}", line.split_whitespace().nth(3).unwrap(), found[0].ino());
    let by_maps = who(["--inode", &number]);
    assert_eq!(by_maps.rows.len(), 3, "{by_maps:?}");
    let why =
        "2 files have this device and inode number, and the rows are about all of them; name one of them by its path";
    assert_eq!(by_maps.complaints, [format!("rmap: {number}: {why}")]);
    assert!(by_maps.files[0]["cached"].is_null(), "it is not known which of them is meant: {by_maps:?}");
}

const LAYERS: &str = "mkdir low up work all && dd if=/dev/zero of=low/read bs=4096 count=8 status=none && \
                      cp low/read low/copied && cp low/read low/other";

fn overlay(folder: &Path) -> String {
    let place = folder.display();
    format!("mount -t overlay none -o lowerdir={place}/low,upperdir={place}/up,workdir={place}/work all")
}

#[test]
fn a_file_of_a_layer_is_held_by_who_maps_it_through_an_overlay() {
    let name = "names::a_file_of_a_layer_is_held_by_who_maps_it_through_an_overlay";
    let Some(folder) = mounted_as(name, LAYERS) else { return };
    let all = folder.join("all").display().to_string();
    let acts = format!("glance:{all}/read:8 shared:{all}/new:16:5 open:{all}/new glance:{all}/other:8");
    let subject = in_own_namespace(&folder, &overlay(&folder), &acts);
    let found = who([folder.join("low/read")]);
    if tells_no_layer(name, &found) {
        return;
    }
    found.assert_only(&[&subject]);
    let row = found.row(&subject);
    assert_eq!((&row["how"], bytes(row, "rss")), (&"mapped shared".into(), 8 * 4096), "{row}");
    assert_eq!(row["seen_as"], format!("{all}/read"), "{row}");
    assert_eq!(bytes(row, "mappings"), 1, "the other file of the layer is not counted: {row}");
    let found = who([folder.join("up/new")]);
    found.assert_only(&[&subject]);
    let row = found.row(&subject);
    assert!(row["how"].as_str().unwrap().starts_with("mapped shared, open"), "{row}");
    assert_eq!(bytes(row, "rss"), 5 * page(), "{row}");
    // Below the root of the process, where the overlay is.
    let found = who([format!("/proc/{}/root{all}/read", subject.pid())]);
    found.assert_only(&[&subject]);
    assert_eq!(bytes(found.row(&subject), "rss"), 8 * 4096);
}

#[test]
fn a_file_on_an_overlay_is_held_by_who_maps_the_file_of_the_layer() {
    let name = "names::a_file_on_an_overlay_is_held_by_who_maps_the_file_of_the_layer";
    let mount =
        format!("{LAYERS} && {}", "mount -t overlay none -o lowerdir=$PWD/low,upperdir=$PWD/up,workdir=$PWD/work all");
    let Some(folder) = mounted_as(name, &mount) else { return };
    let (low, all) = (folder.join("low/read"), folder.join("all/read"));
    let below = Subject::start([format!("view:{}:8", low.display())]);
    let above = Subject::start([format!("view:{}:8", all.display())]);
    for path in [&low, &all] {
        let found = who([path]);
        if tells_no_layer(name, &found) {
            return;
        }
        found.assert_only(&[&below, &above]);
        for subject in [&below, &above] {
            assert_eq!(found.row(subject)["how"], "mapped shared, open", "{path:?}");
        }
    }
}

#[test]
fn a_file_that_was_copied_up_is_told_from_that_of_the_lower_layer() {
    let name = "names::a_file_that_was_copied_up_is_told_from_that_of_the_lower_layer";
    let mount = format!("{LAYERS} && mount -t overlay none -o lowerdir=low,upperdir=up,workdir=work all");
    let Some(folder) = mounted_as(name, &mount) else { return };
    let [low, up, all] = ["low/copied", "up/copied", "all/copied"].map(|path| folder.join(path));
    let before = Subject::start([format!("glance:{}:8", all.display())]);
    let found = who([&low]);
    if tells_no_layer(name, &found) {
        return;
    }
    found.assert_only(&[&before]);
    fs::OpenOptions::new().append(true).open(&all).unwrap();
    // It is not told which of the two files it has, so it is named, and is not counted to either.
    let why = |path: &Path| {
        let pid = before.pid();
        let copied = "overlayfs may have copied its file to the upper layer since it was mapped, and only the copy can \
                      be measured";
        let path = path.display();
        format!("rmap: {path}: process {pid} may hold it: {copied}")
    };
    let writer = Subject::start([format!("part:{}:0:8:8", all.display())]);
    let reader = Subject::start([format!("open:{}", all.display())]);
    for (path, holders) in [(&low, &[][..]), (&up, &[&writer, &reader][..])] {
        let found = who([path]);
        assert_eq!(found.complaints, [why(path)], "{found:?}");
        let mut pids: Vec<u64> = found.rows.iter().map(|row| bytes(row, "pid")).collect();
        pids.sort_unstable();
        assert_eq!(pids, holders.iter().map(|subject| subject.pid().into()).collect::<Vec<u64>>(), "{found:?}");
    }
    // Root is not told to ask for the kernel's lists, which then are read.
    let file = &who([&low]).files[0];
    let why = "unsupported: a process may map more of it, but it is not known whether that is this file";
    assert!(file["mapped_by"] == "pages" || file["mapped"].is_null() && file["reason"] == why, "{file}");
    let found = who([&all]);
    found.assert_only(&[&before, &writer, &reader]);
    // What the first one has in its page table may be of the other file.
    assert!(found.files[0]["mapped_by"] != "page_tables", "{found:?}");
    let why = "unsupported: what one process maps may be of another layer of the overlay";
    assert!(found.files[0]["mapped"].is_u64() || found.files[0]["reason"] == why, "{found:?}");
    assert!(found.row(&before)["note"].as_str().unwrap().starts_with("overlayfs may have copied"), "{found:?}");
    assert_eq!([&writer, &reader].map(|subject| &found.row(subject)["note"]), [&Value::Null; 2], "{found:?}");
    drop(before);
    // Those of the copy in its own place hold it, too.
    let beside = Subject::start([format!("glance:{}:8", up.display())]);
    who([&all]).assert_only(&[&writer, &reader, &beside]);
    who([&low]).assert_only(&[]);
    // One process may have mapped both: it certainly holds the copy, to which it writes.
    let [low, up, all] = ["low/other", "up/other", "all/other"].map(|path| folder.join(path));
    let both = Subject::start([format!("glance:{}:8", all.display()), format!("part:{}:0:8:8", all.display())]);
    let found = who([&up]);
    assert!(found.rows.iter().any(|row| bytes(row, "pid") == u64::from(both.pid())), "{found:?}");
    assert!(who([&low]).complaints.iter().any(|line| line.contains("may hold it")), "it is not told");
}

/// Whether the kernel does not tell which file of a layer has the pages of a file on overlayfs (before Linux 6.6).
fn tells_no_layer(name: &str, found: &crate::Answer) -> bool {
    let is_untold = found.complaints.iter().any(|line| line.contains("it is not told which file of a layer it is"));
    if is_untold {
        eprintln!("SKIPPED: {name}: {:?}", found.complaints);
    }
    is_untold
}

#[test]
fn a_descriptor_that_only_names_a_deleted_file_has_a_row() {
    use std::os::fd::AsRawFd;
    let folder = memory();
    let path = folder.path().join("file");
    fs::write(&path, vec![7; 4 * page() as usize]).unwrap();
    let named = nix::fcntl::open(
        &path,
        nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    );
    let named = named.unwrap();
    fs::remove_file(&path).unwrap();
    let pid = std::process::id();
    let link = format!("/proc/{pid}/fd/{}", named.as_raw_fd());
    let capture = folder.path().join("x.tar").display().to_string();
    rmap(["capture", "--no-files", "-o", &capture, &pid.to_string()]);
    for arguments in [&[link.as_str()][..], &["--proc-root", &capture, &link]] {
        let rows = who(arguments).rows;
        let own: Vec<_> = rows.iter().filter(|row| row["pid"] == pid).collect();
        assert_eq!(own.len(), 1, "{arguments:?}: {rows:?}");
        assert_eq!((&own[0]["how"], bytes(own[0], "descriptors")), (&"path only".into(), 0), "{arguments:?}");
    }
    // One that is open is not only named.
    let open = fs::File::open(&link).unwrap();
    let rows = who([&link]).rows;
    assert!(rows.iter().any(|row| row["pid"] == pid && row["how"] == "open" && row["descriptors"] == 1), "{rows:?}");
    drop((open, named));
}
