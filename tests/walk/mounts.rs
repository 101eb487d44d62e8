//! Mounts in the tree. Each test runs itself again in its own mount namespace, so that nothing is left behind.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::command::{pcstat, pcstat_all};
use crate::common::{Subject, mounted, page, rmap};
use serde_json::Value;

/// `rmap files --scan` of these directories and files.
fn scanned(roots: &[&Path]) -> Vec<Value> {
    let arguments = ["files", "--scan", "--jsonl", "-o", "+holders"].map(OsStr::new);
    rmap([&arguments, &roots.iter().map(|root| root.as_os_str()).collect::<Vec<_>>()[..]].concat()).lines_of_json()
}

#[test]
fn a_scan_shows_files_where_it_found_them() {
    // The bind mount has a longer path than its directory; the device of files of the overlay is not that of the mount.
    let mount = "mkdir -p d longer/place/x low top all && echo x > d/one && mount --bind d longer/place/x && \
                 mount -t tmpfs none low && mount -t tmpfs none top && mkdir top/up top/work && echo x > low/two && \
                 mount -t overlay overlay -o lowerdir=low,upperdir=top/up,workdir=top/work all";
    let Some(folder) = mounted("a_scan_shows_files_where_it_found_them", mount) else { return };
    for (directory, name) in [("longer/place/x", "one"), ("d", "one"), ("all", "two"), ("low", "two")] {
        let directory = folder.join(directory);
        let file = directory.join(name);
        let subject = Subject::start([format!("open:{}", file.display())]);
        for root in [&directory, &file] {
            let rows = scanned(&[root]);
            let shown: Vec<_> = rows.iter().map(|row| (&row["path"], &row["cached"], &row["holders"])).collect();
            let holder = format!("subject {}", subject.pid()).into();
            assert_eq!(shown, [(&file.to_str().unwrap().into(), &page().into(), &holder)], "{root:?}");
        }
    }
}

#[test]
fn bind_mounts_count_once() {
    let mount = "mkdir a b 'c d' && echo x > a/one && echo x > a/two && touch 'c d/point' && \
                 mount --bind a b && mount --bind a/one 'c d/point'";
    let Some(folder) = mounted("bind_mounts_count_once", mount) else { return };
    for options in ["-R -j 1 --summary", "-R -j 2 --summary", "-R -j 2 --summary --cross-file-systems"] {
        let row = pcstat(options, &folder).rows()[0].clone();
        assert_eq!((&row["files"], &row["cached"], &row["again"]), (&2.into(), &2.into(), &2.into()), "{options}");
    }
}

/// What a walk says about what it did not enter.
fn left_out(what: &str) -> String {
    let advice = "use --cross-file-systems to include what has cached files (never /proc and the like)";
    format!("rmap: -R: {what} not entered; {advice}\n")
}

#[test]
fn other_file_systems_are_entered_only_on_request_and_pseudo_file_systems_never() {
    let mount = "mkdir other proc && echo x > here && mount -t tmpfs none other && echo x > other/there && \
                 mount -t proc none proc && touch file && mount --bind other/there file";
    let name = "other_file_systems_are_entered_only_on_request_and_pseudo_file_systems_never";
    let Some(folder) = mounted(name, mount) else { return };
    let run = pcstat("-R --summary", &folder);
    assert_eq!((run.status, run.err.as_str()), (Some(0), left_out("3 entries on other file systems were").as_str()));
    let row = run.json()[0].clone();
    assert_eq!((&row["files"], &row["other_file_systems"]), (&1.into(), &3.into()));
    let row = pcstat("-R --summary --cross-file-systems", &folder).rows()[0].clone();
    assert_eq!((&row["files"], &row["again"], &row["other_file_systems"]), (&2.into(), &1.into(), &1.into()));
    // What is named is not left out, and neither are mounts below it that are not.
    for places in [["", "other"], ["other", ""]] {
        let run = pcstat_all("-R --summary", places.map(|place| folder.join(place)));
        assert_eq!(run.err, left_out("2 entries on other file systems were"), "{places:?}");
        let row = run.json()[0].clone();
        assert_eq!((&row["files"], &row["other_file_systems"]), (&2.into(), &2.into()), "{row}");
    }
    let run = pcstat_all("-R --summary", ["", "other/there"].map(|place| folder.join(place)));
    assert_eq!(run.json()[0]["other_file_systems"], 2, "{run:?}");
    // What was named and refused was never counted.
    for places in [["", "proc"], ["proc", ""]] {
        let run = pcstat_all("-R --summary", places.map(|place| folder.join(place)));
        let row = run.json()[0].clone();
        assert_eq!((&row["files"], &row["again"], &row["other_file_systems"]), (&1.into(), &0.into(), &3.into()));
    }
    let named = pcstat("-R", folder.join("proc"));
    assert_eq!(named.status, Some(1));
    assert!(named.err.contains("is on procfs, where the kernel generates files"), "{}", named.err);
}

#[test]
fn a_walk_is_correct_on_overlayfs() {
    let mount = "mkdir low up work all && echo x > low/one && truncate -s 1M low/hole && \
                 mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work all && echo x > all/two";
    let Some(folder) = mounted("a_walk_is_correct_on_overlayfs", mount) else { return };
    let rows = pcstat("-R", folder.join("all")).rows();
    assert!(rows.iter().all(|row| row["method"] == "mincore"), "{rows:?}");
    let summary = pcstat("-R --summary", folder.join("all")).rows()[0].clone();
    assert_eq!((&summary["files"], &summary["cached"], &summary["partial_files"]), (&3.into(), &2.into(), &3.into()));
    assert!(summary["dirty"].is_null(), "{summary}");
    assert_eq!(summary["note"], "only the cached pages are known for 3 files");
}

#[test]
fn an_overlay_over_two_file_systems_is_walked_as_one() {
    let mount = "mkdir low top all && mount -t tmpfs none low && mount -t tmpfs none top && mkdir top/up top/work && \
                 echo x > low/one && \
                 mount -t overlay overlay -o lowerdir=low,upperdir=top/up,workdir=top/work all && echo x > all/two";
    let Some(folder) = mounted("an_overlay_over_two_file_systems_is_walked_as_one", mount) else { return };
    let rows = pcstat("-R", folder.join("all")).rows();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["method"] == "mincore" && row["cached"] == 1), "{rows:?}");
}

#[test]
fn a_lower_directory_and_its_overlay_count_once() {
    let mount = "mkdir low up work all && echo x > low/one && echo x > low/two && echo x > low/three && \
                 mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work all && \
                 echo x > all/new && echo x >> all/two";
    let Some(folder) = mounted("a_lower_directory_and_its_overlay_count_once", mount) else { return };
    let at = |name: &str| folder.join(name);
    for options in ["-R -j 1 --summary", "-R -j 2 --summary"] {
        for roots in [[at("low"), at("all")], [at("all"), at("low")]] {
            let row = pcstat_all(options, roots).rows()[0].clone();
            // one, two below, three; the copy of two, new.
            assert_eq!((&row["files"], &row["again"]), (&5.into(), &2.into()), "{options}: {row}");
        }
        let row = pcstat(&format!("{options} --cross-file-systems"), &folder).rows()[0].clone();
        // The copy of two is found in the upper directory as well, which says of what file it is the copy.
        assert_eq!((&row["files"], &row["again"]), (&5.into(), &4.into()), "{options}: {row}");
    }
    for roots in [[at("up"), at("all")], [at("all"), at("up")]] {
        let found = scanned(&roots.each_ref().map(PathBuf::as_path));
        let count = |name: &str| {
            let paths = [at("up"), at("all")].map(|root| root.join(name));
            found.iter().filter(|row| paths.iter().any(|path| row["path"] == path.to_str().unwrap())).count()
        };
        // The pages of the copy and of the new file count once.
        assert_eq!((found.len(), ["one", "two", "three", "new"].map(count)), (4, [1; 4]), "{roots:?}: {found:?}");
    }
    let names = pcstat_all("", [at("low/one"), at("all/one"), at("low/two"), at("all/two")]).names();
    assert_eq!(names, ["one", "two", "two"]);
}

#[test]
fn a_lower_directory_without_a_uuid_and_its_overlay_count_once() {
    let name = "a_lower_directory_without_a_uuid_and_its_overlay_count_once";
    let mount = "truncate -s 16M image && mkfs.ext4 -q -O ^metadata_csum image && \
                 tune2fs -U clear image > /dev/null && mkdir disk && mount -o loop image disk && cd disk && \
                 mkdir low up work all && echo x > low/one && \
                 mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work all";
    let Some(folder) = mounted(name, mount) else { return };
    let both = ["low", "all"].map(|name| folder.join("disk").join(name));
    let row = pcstat_all("-R --summary", both).rows()[0].clone();
    assert_eq!((&row["files"], &row["again"]), (&1.into(), &1.into()), "{row}");
}

#[test]
fn files_with_the_same_numbers_are_not_lost_on_fuse() {
    if !crate::common::has("bindfs", "bindfs") {
        return;
    }
    let mount = "mkdir -p from/a from/b from/c all && for each in a b c; do mount -t tmpfs none from/$each; \
                 mkdir from/$each/d; echo x > from/$each/d/f; done && bindfs from all";
    let Some(folder) = mounted("files_with_the_same_numbers_are_not_lost_on_fuse", mount) else { return };
    let _unmount = Unmount(folder.join("all"));
    let all = ["a", "b", "c"].map(|each| folder.join("all").join(each).join("d/f"));
    assert_eq!(pcstat_all("", &all).json().as_array().unwrap().len(), 3);
    assert_eq!(pcstat_all("", [&all[0], &all[0]]).json().as_array().unwrap().len(), 1);
    for options in ["-R -j 1 --summary", "-R -j 2 --summary"] {
        let row = pcstat(options, folder.join("all")).json()[0].clone();
        assert_eq!((&row["files"], &row["again"]), (&3.into(), &0.into()), "{options}");
    }
}

/// Ends the server of a FUSE mount, which would keep the mount namespace alive.
struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_bind_mount_counts_once_without_proc() {
    let mount = "mkdir a b && echo x > a/one && echo x > a/two && touch b/point && mount --bind a/one b/point && \
                 mount -t tmpfs none /proc";
    let Some(folder) = mounted("a_bind_mount_counts_once_without_proc", mount) else { return };
    for options in ["-R -j 1 --summary", "-R -j 2 --summary"] {
        let row = pcstat(options, &folder).rows()[0].clone();
        assert_eq!((&row["files"], &row["again"]), (&2.into(), &1.into()), "{options}");
    }
}

#[test]
fn an_automount_point_is_not_mounted() {
    // The mount waits for a daemon that never answers.
    let mount = "mkdir -p tree/auto; echo > tree/f; mkfifo pipe; exec 5<>pipe; setsid sleep 20 >/dev/null 2>&1 & \
                 sleep 0.2; \
                 mount -i -t autofs -o fd=5,pgrp=$!,minproto=5,maxproto=5,direct none tree/auto";
    let Some(folder) = mounted("an_automount_point_is_not_mounted", mount) else { return };
    for jobs in ["1", "2"] {
        let mut command = std::process::Command::new("timeout");
        command.args([
            "-s",
            "KILL",
            "5",
            env!("CARGO_BIN_EXE_rmap"),
            "pcstat",
            "--json",
            "-R",
            "--summary",
            "-j",
            jobs,
        ]);
        command.arg(folder.join("tree"));
        let answer = crate::common::run(command);
        assert_eq!(
            (answer.status, answer.err.as_str()),
            (Some(0), left_out("1 entry on another file system was").as_str())
        );
        assert_eq!((&answer.json()[0]["files"], &answer.json()[0]["other_file_systems"]), (&1.into(), &1.into()));
    }
}

#[test]
fn subvolumes_that_are_left_out_are_noted() {
    let mount = "truncate -s 128M image; mkfs.btrfs -q image; mkdir disk; mount -o loop image disk; cd disk; \
                 mkdir in; echo x > in/here; \
                 for name in one two; do btrfs -q subvolume create in/$name >&2; echo x > in/$name/there; done; \
                 mkdir in/mounted; mount -t tmpfs none in/mounted";
    let Some(folder) = mounted("subvolumes_that_are_left_out_are_noted", mount) else { return };
    let folder = folder.join("disk/in");
    for view in ["-R", "-R --summary", "-R --runs", "-R -j 2"] {
        let run = pcstat(view, &folder);
        let note = left_out("2 subvolumes and 1 entry on another file system were");
        assert_eq!((run.status, run.err.as_str()), (Some(0), note.as_str()), "{view}");
    }
    let all = pcstat("-R --cross-file-systems", &folder).rows();
    assert_eq!(all.len(), 3);
}
