//! The file behind a mapping on file systems whose device and inode numbers in `maps` do not identify a file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

mod mounts {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::Command;

    use rmap::pagecache::OpenFile;
    use rmap::process::{Process, Way};

    use crate::common::{ForEveryone, NOBODY, Subject, mounted, page, subject_program};

    /// Maps a file in each of these directories, as nobody, and checks that each mapping leads to its own
    /// file: through `map_files` for root, and by its path for the owner.
    fn check(directories: &[&Path], is_ambiguous: bool) {
        let Some(everyone) = ForEveryone::copy() else { return };
        let files: Vec<_> = directories.iter().map(|directory| directory.join("file")).collect();
        for directory in directories {
            std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        let mut command = Command::new(everyone.bring(&subject_program()));
        // The first file has 16 pages, the second 17.
        command.args(files.iter().enumerate().map(|(at, file)| format!("shared:{}:{}:3", file.display(), at + 16)));
        let subject = Subject::until_ready({
            command.uid(NOBODY).gid(NOBODY).current_dir("/");
            command
        });
        let process = Process::open(subject.pid()).unwrap();
        let found = process.mappings(&[]).unwrap();
        let mut printed = Vec::new();
        for file in &files {
            let path = file.as_os_str().as_encoded_bytes();
            let mapping = found.mappings.iter().find(|mapping| mapping.path() == path).unwrap();
            printed.push((mapping.device(), mapping.inode()));
            let mapped = process.open_mapped_file(&mapping).unwrap();
            let identity = OpenFile::open(file).unwrap().identity();
            assert_eq!((mapped.identity(), mapped.way()), (identity, Way::MapFiles));
        }
        assert!(!is_ambiguous || printed[0] == printed[1], "{printed:?}");
        let columns = ["--cache", "--csv", "-o", "cache_cached,cache_file,path"];
        let run = everyone.rmap([&["pid", &subject.word()][..], &columns].concat()).good();
        for (at, file) in files.iter().enumerate() {
            let row = format!("{},path,{}", (at as u64 + 16) * page(), file.display());
            assert!(run.text().contains(&row), "{row}: {}", run.text());
        }
    }

    #[test]
    fn btrfs_subvolumes_repeat_device_and_inode() {
        let mount = "truncate -s 200M image && mkfs.btrfs -q image && mkdir all && mount -o loop image all && \
                     btrfs -q subvolume create all/a && btrfs -q subvolume create all/b";
        let Some(folder) = mounted("btrfs_subvolumes_repeat_device_and_inode", mount) else { return };
        check(&[&folder.join("all/a"), &folder.join("all/b")], true);
    }

    #[test]
    fn overlayfs_over_two_file_systems() {
        let mount = "mkdir low one all && mount -t tmpfs tmpfs one && mkdir one/up one/work && \
                     mount -t overlay overlay -o lowerdir=low,upperdir=one/up,workdir=one/work all";
        let Some(folder) = mounted("overlayfs_over_two_file_systems", mount) else { return };
        check(&[&folder.join("all")], false);
    }
}
