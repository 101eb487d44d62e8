//! The file behind a mapping on file systems whose device and inode numbers in `maps` do not identify a file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

mod mounts {
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use rmap::pagecache::OpenFile;
    use rmap::process::{Process, Way};

    use serde_json::Value;

    use crate::common::{ForEveryone, NOBODY, Run, Subject, mounted, page, rmap, shell, subject_program, wait_until};

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
        for run in [rmap(["pcstat", "--pid", &subject.word(), "--json"]), held_by_owner(&everyone, &subject)] {
            for (at, file) in files.iter().enumerate() {
                let rows = run.json();
                let row = rows.as_array().unwrap().iter().find(|row| row["path"] == file.to_str().unwrap()).cloned();
                let row = row.unwrap_or_else(|| panic!("no {}: {run:?}", file.display()));
                assert_eq!((&row["pages"], &row["held"]), (&(at + 16).into(), &"mapped".into()), "{row}");
            }
        }
        assert!(!is_ambiguous || printed[0] == printed[1], "{printed:?}");
        let columns = ["--cache", "--csv", "-o", "cache_cached,cache_file,path"];
        // The files of others that it maps, such as libraries, are denied.
        let run = everyone.rmap([&["pid", &subject.word()][..], &columns].concat());
        for (at, file) in files.iter().enumerate() {
            let row = format!("{},path,{}", (at as u64 + 16) * page(), file.display());
            assert!(run.text().contains(&row), "{row}: {}", run.text());
        }
    }

    fn held_by_owner(everyone: &ForEveryone, subject: &Subject) -> Run {
        everyone.rmap(["pcstat", "--pid", &subject.word(), "--json"])
    }

    #[test]
    fn btrfs_subvolumes_repeat_device_and_inode() {
        let mount = "truncate -s 200M image && mkfs.btrfs -q image && mkdir all && mount -o loop image all && \
                     btrfs -q subvolume create all/a && btrfs -q subvolume create all/b";
        let Some(folder) = mounted("btrfs_subvolumes_repeat_device_and_inode", mount) else { return };
        check(&[&folder.join("all/a"), &folder.join("all/b")], true);
    }

    #[test]
    fn files_of_two_layers_with_one_number_are_two() {
        let mount = "mkdir low one all && mount -t tmpfs none low && mount -t tmpfs none one && \
                     mkdir one/up one/work && for each in $(seq 60); do head -c 65536 /dev/zero > low/$each; done && \
                     sleep 1.1 && \
                     mount -t overlay overlay -o lowerdir=low,upperdir=one/up,workdir=one/work all && \
                     head -c 32768 /dev/zero > all/upper";
        let Some(folder) = mounted("files_of_two_layers_with_one_number_are_two", mount) else { return };
        let upper = folder.join("all/upper");
        let number = folder.join("one/up/upper").metadata().unwrap().ino();
        let has_number = |name: &&u32| folder.join(format!("low/{name}")).metadata().unwrap().ino() == number;
        let name = (1..=60).collect::<Vec<u32>>().iter().find(has_number).copied().expect("a file of the same number");
        let lower = folder.join(format!("all/{name}"));
        let parts = [format!("part:{}:0:8:0", upper.display()), format!("part:{}:0:16:0", lower.display())];
        let subject = Subject::start(parts);
        assert_eq!(cache(&subject.word(), &upper)["cache_cached"], 32768);
        assert_eq!(cache(&subject.word(), &lower)["cache_cached"], 65536);
        let rows = rmap(["pcstat", "--pid", &subject.word(), "--json"]).json();
        for (path, pages) in [(upper, 8), (lower, 16)] {
            let row = rows.as_array().unwrap().iter().find(|row| row["path"] == path.to_str().unwrap()).unwrap();
            assert_eq!((&row["cached"], &row["held"]), (&pages.into(), &"mapped".into()), "{row}");
        }
    }

    /// The `pid --cache` row of the mapping of a file.
    fn cache(pid: &str, path: &Path) -> Value {
        let filter = format!("path == {}", path.display());
        let run = rmap(["pid", pid, "--cache", "--json", "--filter", &filter]).json();
        let rows = run[0]["mappings"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{run}");
        rows[0].clone()
    }

    #[test]
    fn a_lower_file_has_no_figures_once_it_was_copied_up() {
        let mount = "mkdir low up work all && dd if=/dev/zero of=low/file bs=4096 count=16 2>/dev/null && sleep 1.1 && \
                     mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work all";
        let Some(folder) = mounted("a_lower_file_has_no_figures_once_it_was_copied_up", mount) else { return };
        let path = folder.join("all/file");
        let subject = Subject::start([format!("part:{}:0:16:0", path.display())]);
        let row = cache(&subject.word(), &path);
        assert_eq!((&row["cache_cached"], &row["absent"]), (&65536.into(), &Value::Null), "{row}");
        let mut copied = std::fs::File::options().append(true).open(&path).unwrap();
        copied.write_all(&[7; 5 * 4096]).unwrap();
        let row = cache(&subject.word(), &path);
        let why = row["absent"]["cache_cached"].as_str().unwrap();
        assert!(why.starts_with("changed: overlayfs may have copied its file"), "{row}");
        let files = rmap(["pcstat", "--pid", &subject.word(), "--json"]);
        let word = path.to_str().unwrap();
        assert!(files.err.contains(&format!("{word}: it is mapped, but overlayfs may have copied")), "{files:?}");
        let rows = files.json();
        let is_marked = |row: &&Value| row["path"] == word && row["held"] != "open";
        assert_eq!((files.status, rows.as_array().unwrap().iter().find(is_marked)), (Some(1), None));
        // A process that has started since maps the copy.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let later = Subject::start([format!("part:{word}:0:21:0")]);
        let row = cache(&later.word(), &path);
        assert_eq!((&row["cache_cached"], &row["absent"]), (&(21 * 4096).into(), &Value::Null), "{row}");
    }

    #[test]
    fn a_mapped_file_is_measured_and_not_the_one_mounted_over_it() {
        let mount = "chmod 777 . && mkdir place && mount -t tmpfs none place && chmod 777 place";
        let name = "a_mapped_file_is_measured_and_not_the_one_mounted_over_it";
        let Some(folder) = mounted(name, mount) else { return };
        let Some(everyone) = ForEveryone::copy() else { return };
        let path = folder.join("place/file");
        let mut command = Command::new(everyone.bring(&subject_program()));
        command.arg(format!("shared:{}:16:3", path.display())).uid(NOBODY).gid(NOBODY).current_dir("/");
        let subject = Subject::until_ready(command);
        let inode = path.metadata().unwrap().ino();
        let over =
            "mount -t tmpfs none $1; dd if=/dev/zero of=$1/file bs=4096 count=8 2>/dev/null; chmod 777 $1 $1/file";
        shell(over, &[folder.join("place").as_os_str()]).good();
        assert_eq!(path.metadata().unwrap().ino(), inode, "the test needs files of the same number");
        let row = cache(&subject.word(), &path);
        assert_eq!(row["cache_cached"], 16 * page(), "{row}");
        let files = rmap(["pcstat", "--pid", &subject.word(), "--json"]).json();
        let row = files.as_array().unwrap().iter().find(|row| row["path"] == path.to_str().unwrap()).unwrap();
        assert_eq!((&row["cached"], &row["held"]), (&16.into(), &"mapped".into()), "{row}");
        // The owner has only the path, which leads to the other file.
        let columns = ["--cache", "--jsonl", "-o", "cache_cached,path"];
        let owner = everyone.rmap([&["pid", &subject.word()][..], &columns].concat()).lines_of_json();
        let row = owner.iter().find(|row| row["path"] == path.to_str().unwrap()).unwrap();
        assert!(
            row["absent"]["cache_cached"].as_str().unwrap().starts_with("denied: its path leads to another"),
            "{row}"
        );
    }

    #[test]
    fn an_open_file_is_not_the_mapped_one_because_it_has_its_number() {
        let mount = "chmod 777 . && mkdir place && mount -t tmpfs none place && chmod 777 place";
        let name = "an_open_file_is_not_the_mapped_one_because_it_has_its_number";
        let Some(folder) = mounted(name, mount) else { return };
        let Some(everyone) = ForEveryone::copy() else { return };
        let (path, signal) = (folder.join("place/file"), folder.join("signal"));
        let mut command = Command::new(everyone.bring(&subject_program()));
        let (file, flag) = (path.display(), signal.display());
        command.args([format!("shared:{file}:16:3"), format!("await:{flag}"), format!("open:{file}")]);
        command.uid(NOBODY).gid(NOBODY).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null());
        let subject = Subject::of(command.spawn().unwrap());
        wait_until("it has mapped the file", || path.metadata().is_ok_and(|found| found.len() == 16 * page()));
        std::thread::sleep(std::time::Duration::from_millis(100));
        let inode = path.metadata().unwrap().ino();
        let over = "mount -t tmpfs none $1; dd if=/dev/zero of=$1/file bs=4096 count=8 2>/dev/null; \
                    chown 65534 $1/file; echo > $2";
        shell(over, &[folder.join("place").as_os_str(), signal.as_os_str()]).good();
        assert_eq!(path.metadata().unwrap().ino(), inode, "the test needs files of the same number");
        let word = path.to_str().unwrap();
        let files = || everyone.rmap(["pcstat", "--pid", &subject.word(), "--json"]);
        let find = |run: &Run| run.json().as_array().unwrap().iter().find(|row| row["path"] == word).cloned();
        wait_until("it has opened the other file", || find(&files()).is_some());
        let run = files();
        let row = find(&run).unwrap();
        assert_eq!((&row["held"], &row["pages"]), (&"open".into(), &8.into()), "{row}");
        assert!(run.err.contains(&format!("{word}: it is mapped, but cannot be opened as the mapped file")), "{run:?}");
    }

    #[test]
    fn files_of_one_name_in_two_namespaces_are_two_groups() {
        let mount = "mkdir place && echo x > same && dd if=/dev/zero of=same bs=4096 count=4 2>/dev/null";
        let Some(folder) = mounted("files_of_one_name_in_two_namespaces_are_two_groups", mount) else { return };
        let (place, same) = (folder.join("place"), folder.join("same"));
        let start = |pages: u64| {
            let script = format!(
                "mount -t tmpfs none {0}; exec {1} shared:{0}/file:{pages}:3 part:{2}:0:4:1",
                place.display(),
                subject_program().display(),
                same.display()
            );
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh", "-ec", &script]);
            Subject::until_ready(command)
        };
        let (one, other) = (start(16), start(8));
        let filter = format!("path =~ {}", folder.file_name().unwrap().to_str().unwrap());
        let options = ["--merge", "--by", "file", "--cache", "--json", "--filter", &filter];
        let groups = rmap([&["pid", &one.word(), &other.word()][..], &options].concat()).good().json();
        let mut found: Vec<_> = groups["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| {
                let name = group["mapping"].as_str().unwrap().rsplit('/').next().unwrap();
                (name, group["processes"].as_u64().unwrap(), group["cache_cached"].as_u64().unwrap() / page())
            })
            .collect();
        found.sort_unstable();
        assert_eq!(found, [("file", 1, 8), ("file", 1, 16), ("same", 2, 4)], "{groups}");
    }

    #[test]
    fn overlayfs_over_two_file_systems() {
        let mount = "mkdir low one all && mount -t tmpfs tmpfs one && mkdir one/up one/work && \
                     mount -t overlay overlay -o lowerdir=low,upperdir=one/up,workdir=one/work all";
        let Some(folder) = mounted("overlayfs_over_two_file_systems", mount) else { return };
        check(&[&folder.join("all")], false);
    }
}
