//! Memory control groups, which a test makes and removes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Run, Subject, shell, subject_program};

/// A memory control group of version 1 or 2, whichever is available. It is removed at the end.
pub(crate) struct Group {
    folder: PathBuf,
    /// Its path from the root of the control groups.
    pub(crate) name: String,
}

impl Group {
    /// A new one at the top. If there can be none here, prints SKIPPED and returns `None`.
    pub(crate) fn new(name: &str) -> Option<Group> {
        let group = top().and_then(|(folder, root)| Group::below(&folder, &root, name));
        if group.is_none() {
            eprintln!("SKIPPED: no memory control group can be made here");
        }
        group
    }

    /// The same with a limit of so much memory.
    pub(crate) fn limited(name: &str, limit: &str) -> Option<Group> {
        let group = Group::new(name)?;
        let is_limited =
            ["memory.limit_in_bytes", "memory.max"].iter().any(|file| write(&group.folder.join(file), limit));
        if !is_limited {
            eprintln!("SKIPPED: no memory control group with a limit can be made here");
        }
        is_limited.then_some(group)
    }

    /// A new group below this one, in which no process may be then.
    pub(crate) fn inner(&self, name: &str) -> Group {
        Group::below(&self.folder, &self.name, name).unwrap()
    }

    fn below(folder: &Path, parent: &str, name: &str) -> Option<Group> {
        let name = format!("rmap-test-{name}-{}", std::process::id());
        let made = folder.join(&name);
        // Version 2 has memory control only in groups whose parent passes it on.
        write(&folder.join("cgroup.subtree_control"), "+memory");
        fs::create_dir(&made).ok()?;
        let group = Group { folder: made, name: format!("{}/{name}", parent.trim_end_matches('/')) };
        ["memory.limit_in_bytes", "memory.max"].iter().any(|file| group.folder.join(file).exists()).then_some(group)
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// Its name without those of the groups above it.
    pub(crate) fn last_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap()
    }

    /// The text of one of its files, such as the first of these that it has.
    pub(crate) fn read(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| fs::read_to_string(self.folder.join(name)).ok())
    }

    /// Runs a shell script in the group and in a directory.
    pub(crate) fn run(&self, script: &str, folder: &Path) -> Run {
        let script = format!("echo $$ > {}/cgroup.procs && cd $1 && {script}", self.folder.display());
        shell(&script, &[folder.as_os_str()])
    }

    /// Starts the subject program in the group.
    pub(crate) fn start(&self, acts: &[String]) -> Subject {
        let mut command = Command::new("/bin/sh");
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.folder.display());
        command.args(["-c", &script, "sh"]).arg(subject_program()).args(acts);
        Subject::until_ready(command)
    }

    /// What `memory.stat` says about the group and those below it: the first of these keys that it has.
    pub(crate) fn stat(&self, keys: &[&str]) -> Option<u64> {
        let text = fs::read_to_string(self.folder.join("memory.stat")).ok()?;
        let figure = |key: &&str| text.lines().find_map(|line| line.strip_prefix(*key)?.strip_prefix(' '));
        keys.iter().find_map(figure)?.parse().ok()
    }

    /// Lets the kernel take back what it can of the memory that the group is charged for; `false` if it cannot be told
    /// to here.
    #[allow(dead_code, reason = "not every test program reclaims")]
    pub(crate) fn reclaim(&self) -> bool {
        write(&self.folder.join("memory.force_empty"), "0") || write(&self.folder.join("memory.reclaim"), "1G")
    }

    /// Moves a process out of the group, and removes the group.
    pub(crate) fn remove_without(self, subject: &Subject) {
        fs::write(self.folder.parent().unwrap().join("cgroup.procs"), subject.word()).unwrap();
        fs::remove_dir(&self.folder).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..50 {
            if fs::remove_dir(&self.folder).is_ok() || !self.folder.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn write(path: &Path, text: &str) -> bool {
    path.exists() && fs::write(path, text).is_ok()
}

/// Where the file system of the memory control groups is mounted, and which group is its root there.
fn top() -> Option<(PathBuf, String)> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mounted = |version: &str| {
        let of_version = mounts.lines().filter(move |line| line.contains(&format!(" - {version} ")));
        let has_memory = |line: &&str| {
            let (place, options) = line.split_once(" - ").unwrap_or_default();
            let controllers = Path::new(place.split(' ').nth(4).unwrap_or_default()).join("cgroup.controllers");
            let listed = fs::read_to_string(controllers).unwrap_or_default();
            options.split([',', ' ']).chain(listed.split_whitespace()).any(|word| word == "memory")
        };
        let place = of_version.into_iter().find(has_memory)?;
        let mut fields = place.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        Some((PathBuf::from(point), root.to_owned()))
    };
    mounted("cgroup").or_else(|| mounted("cgroup2"))
}

/// The memory control group of this process, by its path from the root of the control groups.
pub(crate) fn own_memory_group() -> String {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap();
    let group = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        Some((controllers.to_owned(), path.to_owned()))
    };
    let groups: Vec<_> = text.lines().filter_map(group).collect();
    let of_version_1 = groups.iter().find(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
    let of_version_2 = || groups.iter().find(|(controllers, _)| controllers.is_empty());
    of_version_1.or_else(of_version_2).unwrap().1.clone()
}
