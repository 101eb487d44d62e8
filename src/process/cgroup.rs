//! The control groups of a process, of either version, from `/proc/PID/cgroup`.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use regex::bytes::Regex;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::cached::shortest_from;
use crate::kernel::mount_table::Mount;
use crate::kernel::whereabouts;
use crate::process::failure::read_error;
use crate::process::handle::{Memory, Process};
use crate::process::root::{ProcRoot, read_mounts};
use crate::units::rest_below;

/// The maximum number of bytes that are read from `/proc/PID/cgroup`.
const LONGEST: u64 = 1 << 20;

impl Process {
    /// The path of the control group that limits the memory of the process: the one of version 1 with the memory
    /// controller if there is one, otherwise the one of version 2 (`/system.slice/cron.service`). It may contain any
    /// bytes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: it has exited, or a capture has no such file. [`ErrorKind::Unsupported`]: there are no
    /// control groups.
    pub fn read_cgroup(&self) -> Result<Vec<u8>> {
        let text = self.memory_or_own()?.read_groups().map_err(|error| match self.is_live() {
            true => read_error(self.pid(), &error),
            false => self.open_error("cgroup", &error),
        })?;
        let none = || Error::pid(self.pid(), ErrorKind::Unsupported, "it is not in a control group for memory");
        memory_group(&text).map(<[u8]>::to_vec).ok_or_else(none)
    }
}

impl Memory {
    /// The control groups of the thread that shows the memory: version 1 puts a thread that has exited into `/`.
    fn read_groups(&self) -> io::Result<Vec<u8>> {
        self.directory.read_file("cgroup", LONGEST)
    }
}

/// Control groups, as the user named them.
#[derive(Debug, Clone, Default)]
pub struct GroupChoice {
    wanted: Vec<WantedGroup>,
    /// How the line of `/proc/PID/cgroup` begins that tells the group for memory; not known before they are resolved,
    /// or if no such hierarchy is mounted.
    memory: Option<Vec<u8>>,
}

impl GroupChoice {
    /// Adds a group, and those below it. See [`Criteria::add_group`](crate::process::Criteria::add_group) for the names
    /// that it may have.
    pub fn add(&mut self, group: &[u8]) {
        self.wanted.push(WantedGroup::new(group));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Each of them alone, and as it was named.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&[u8], GroupChoice)> {
        let alone = |wanted: &WantedGroup| GroupChoice { wanted: vec![wanted.clone()], memory: self.memory.clone() };
        self.wanted.iter().map(move |wanted| (&wanted.typed[..], alone(wanted)))
    }

    /// Resolves the groups that were named by a path below a mount.
    pub fn resolve(&mut self, root: &ProcRoot) {
        if self.is_empty() {
            return;
        }
        let mounts = read_mounts(root);
        self.memory = memory_hierarchy(&mounts);
        let directory = if root.is_live() { std::env::current_dir().ok() } else { None };
        let resolve = |group: &mut WantedGroup| *group = group.resolved(&mounts, root.is_live(), directory.as_deref());
        self.wanted.iter_mut().for_each(resolve);
    }

    /// The same groups, named as `/proc` does it in a namespace with this root. A mount that shows more than the
    /// namespace leads to those in it by a longer way: up to its own root, and down again.
    pub(crate) fn shortest_from(&self, root: &[u8]) -> GroupChoice {
        let wanted = self.wanted.iter().map(|wanted| wanted.shortest_from(root)).collect();
        GroupChoice { wanted, ..self.clone() }
    }

    /// Whether the process with this memory is in one of them.
    pub(super) fn has_process(&self, memory: &Memory) -> bool {
        let groups = memory.read_groups().unwrap_or_default();
        self.wanted.iter().any(|wanted| is_in_group(&groups, wanted))
    }

    /// The highest group at or above this path that is one of them, or below one.
    pub(crate) fn highest<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        at_or_above(path).find(|above| self.has_memory_group(above))
    }

    /// Whether a removed group is one of them, or below one, by how it is `shown`: `(removed) /a/b`. Names of groups
    /// that exist do not mean it.
    pub(crate) fn has_removed_group(&self, shown: &[u8]) -> bool {
        let is_meant = |wanted: &&WantedGroup| wanted.typed.starts_with(b"(removed)");
        let wanted = self.wanted.iter().filter(is_meant).cloned().collect();
        // A path may be named without its first slash, which the name of a removed group does not have.
        GroupChoice { wanted, memory: self.memory.clone() }.has_memory_group(&[b"/", shown].concat())
    }

    /// Whether the memory control group with this path is one of them, or below one.
    pub fn has_memory_group(&self, path: &[u8]) -> bool {
        // As `/proc/PID/cgroup` has it, in either version unless that is known.
        let line = |hierarchy: &[u8]| [hierarchy, path, b"\n"].concat();
        let lines = self.memory.as_deref().map_or_else(|| [line(VERSION_1), line(VERSION_2)].concat(), line);
        self.wanted.iter().any(|wanted| is_in_group(&lines, wanted))
    }
}

/// A control group as the user named it.
#[derive(Debug, Clone)]
pub(super) struct WantedGroup {
    typed: Vec<u8>,
    /// The name, or the path from the root of the hierarchy.
    text: Vec<u8>,
    /// A name with `*`, `?` or `[`: for the name of a group, or for the path of a group and what is below it.
    glob: Option<Regex>,
    /// What it is in the hierarchies that are mounted where its path leads.
    mounted: Vec<MountedGroup>,
    /// If it can only be this one: it was named with its hierarchy, or by a path from the working directory.
    only: Option<MountedGroup>,
}

/// A group in one hierarchy.
#[derive(Debug, Clone)]
struct MountedGroup {
    /// The controllers of the hierarchy, or `name=...`; none for version 2.
    controllers: Vec<Vec<u8>>,
    path: Vec<u8>,
    glob: Option<Regex>,
}

impl WantedGroup {
    pub(super) fn new(text: &[u8]) -> WantedGroup {
        let (typed, only) = (text.to_vec(), MountedGroup::as_printed(text));
        // A path below the root of the hierarchy may be written without the first slash.
        let is_relative = text.contains(&b'/') && !text.starts_with(b"/");
        let text = &if is_relative { [b"/", text].concat() } else { text.to_vec() };
        WantedGroup { typed, text: text.to_vec(), glob: compile(b"", text), mounted: Vec::new(), only }
    }

    /// The same, if it is a path below one of these mounts, or from a working directory. On the live machine links are
    /// followed first.
    pub(super) fn resolved(&self, mounts: &[Mount], is_live: bool, directory: Option<&Path>) -> WantedGroup {
        let only = self.only.clone().or_else(|| MountedGroup::from_directory(mounts, directory?, &self.typed));
        if only.is_some() {
            return WantedGroup { only, ..self.clone() };
        }
        // Other relative paths were those of groups.
        let is_typed = is_live && self.typed.starts_with(b"/");
        let real = if is_typed { real_path(Path::new(OsStr::from_bytes(&self.text))) } else { None };
        let path = real.map_or_else(|| self.text.clone(), |real| real.into_os_string().into_vec());
        let found = mounts.iter().rev().find_map(|mount| MountedGroup::below(mount, &path, 0));
        WantedGroup { mounted: found.into_iter().collect(), ..self.clone() }
    }

    fn shortest_from(&self, root: &[u8]) -> WantedGroup {
        let shortest = |group: &MountedGroup| group.shortest_from(root);
        WantedGroup {
            text: shortest_unless_glob(root, &self.text, self.glob.as_ref()),
            mounted: self.mounted.iter().map(shortest).collect(),
            only: self.only.as_ref().map(shortest),
            ..self.clone()
        }
    }

    /// Whether the name of a group in this path matches.
    fn is_name_in(&self, path: &[u8]) -> bool {
        let mut names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        names.any(|name| match &self.glob {
            Some(glob) => name == self.text || glob.is_match(name),
            None => name == self.text || is_container(name, &self.text),
        })
    }
}

impl MountedGroup {
    /// `CONTROLLERS:PATH` or `ID:CONTROLLERS:PATH`, as `/proc/PID/cgroup` has it.
    fn as_printed(text: &[u8]) -> Option<MountedGroup> {
        let (head, path) = text.split_at_checked(memchr::memmem::find(text, b":/")?)?;
        let controllers = match head.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                head.get(colon + 1..).filter(|_| colon > 0 && head.iter().take(colon).all(u8::is_ascii_digit))?
            }
            None => Some(head).filter(|head| !head.is_empty())?,
        };
        let names = controllers.split(|byte| *byte == b',').filter(|name| !name.is_empty()).map(<[u8]>::to_vec);
        let path = path.get(1..)?.to_vec();
        (!head.contains(&b'/')).then(|| MountedGroup { controllers: names.collect(), glob: compile(b"", &path), path })
    }

    /// The group in which a relative path ends, or those that it stands for below a group. The working directory
    /// decides whether it may be one.
    fn from_directory(mounts: &[Mount], directory: &Path, typed: &[u8]) -> Option<MountedGroup> {
        let is_path = typed.contains(&b'/') || typed == b"." || typed == b"..";
        if !is_path || typed.starts_with(b"/") {
            return None;
        }
        let below = |path: &Path, literal: &Path| {
            let (path, literal) = (path.as_os_str().as_bytes(), literal.as_os_str().len());
            mounts.iter().rev().find_map(|mount| MountedGroup::below(mount, path, literal))
        };
        below(directory, directory)?;
        let (joined, literal) = joined(directory, Path::new(OsStr::from_bytes(typed)));
        match real_path(&joined) {
            Some(real) => below(&real, &real),
            None => below(&joined, &literal).filter(|found| found.glob.is_some()),
        }
    }

    /// The group at a path, if that is below the mount. The first `literal` bytes of the path are no pattern.
    fn below(mount: &Mount, path: &[u8], literal: usize) -> Option<MountedGroup> {
        let controllers = match &mount.kind[..] {
            b"cgroup2" => Vec::new(),
            // Options like `rw` and `xattr` are in no line of `/proc/PID/cgroup`.
            b"cgroup" => mount.options().map(<[u8]>::to_vec).collect(),
            _ => return None,
        };
        let point = mount.point.strip_suffix(b"/").unwrap_or(&mount.point);
        let below = rest_below(path, point)?;
        let root = mount.root.strip_suffix(b"/").unwrap_or(&mount.root);
        let (literal, pattern) = below.split_at_checked(literal.saturating_sub(point.len())).unwrap_or((below, b""));
        let glob = compile(&[root, literal].concat(), pattern);
        Some(MountedGroup { controllers, glob, path: [root, below].concat() })
    }

    fn shortest_from(&self, root: &[u8]) -> MountedGroup {
        MountedGroup { path: shortest_unless_glob(root, &self.path, self.glob.as_ref()), ..self.clone() }
    }

    fn has(&self, controllers: &[u8], path: &[u8]) -> bool {
        let is_hierarchy = match controllers {
            b"" => self.controllers.is_empty(),
            some => some.split(|byte| *byte == b',').any(|one| self.controllers.iter().any(|other| other == one)),
        };
        is_hierarchy && matches(path, &self.path, self.glob.as_ref())
    }
}

/// The path that `typed` stands for in a directory, without `.` and `..`, and how much of the directory is left in it.
fn joined(directory: &Path, typed: &Path) -> (PathBuf, PathBuf) {
    let (mut path, mut literal) = (directory.to_owned(), directory.to_owned());
    for part in typed.components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => drop(path.pop()),
            _ => {}
        }
        if path.as_os_str().len() < literal.as_os_str().len() {
            literal.clone_from(&path);
        }
    }
    (path, literal)
}

/// A path without links, if it exists and no file system on its way may fail to answer: one of control groups does.
fn real_path(path: &Path) -> Option<PathBuf> {
    matches!(whereabouts::locate(path), Ok(None)).then(|| std::fs::canonicalize(path).ok())?
}

/// Whether this is the group of the container with this id, of 64 hexadecimal digits or the first 12 of them.
fn is_container(name: &[u8], id: &[u8]) -> bool {
    let is_id = matches!(id.len(), 12 | 64) && id.iter().all(u8::is_ascii_hexdigit);
    let starts = |known: &[u8]| known.get(..id.len()).is_some_and(|start| start.eq_ignore_ascii_case(id));
    is_id && container_id(name).is_some_and(starts)
}

/// The id of the container in the name of its group, of 64 hexadecimal digits: `ID` (Docker), `docker-ID.scope`,
/// `cri-containerd-ID.scope`, `...:cri-containerd:ID`, `crio-ID.scope`, `libpod-ID.scope` (podman). The group of its
/// monitor (`conmon`) is not that of the container.
pub(crate) fn container_id(name: &[u8]) -> Option<&[u8]> {
    let mut words = name.split(|byte| !byte.is_ascii_alphanumeric());
    let id = words.find(|word| word.len() == 64 && word.iter().all(u8::is_ascii_hexdigit))?;
    memchr::memmem::find(name, b"conmon").is_none().then_some(id)
}

/// A shell pattern behind a text as a regular expression: for a name, or for a path and everything below it. `None` if
/// it has no special character.
fn compile(literal: &[u8], glob: &[u8]) -> Option<Regex> {
    if !glob.iter().any(|byte| b"*?[".contains(byte)) {
        return None;
    }
    let escaped = |byte: &u8| format!("\\x{byte:02x}");
    let mut pattern = String::from("(?s-u)^");
    pattern.extend(literal.iter().map(escaped));
    let mut rest = glob.strip_suffix(b"/").unwrap_or(glob);
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'*' if after.starts_with(b"*") => {
                pattern.push_str(".*");
                rest = after.get(1..).unwrap_or_default();
            }
            b'*' => pattern.push_str("[^/]*"),
            b'?' => pattern.push_str("[^/]"),
            b'[' if after.contains(&b']') => {
                pattern.push('[');
                if let Some(behind) = after.strip_prefix(b"!") {
                    pattern.push('^');
                    rest = behind;
                }
            }
            b']' | b'-' => pattern.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => pattern.push(char::from(*byte)),
            byte => pattern.push_str(&escaped(byte)),
        }
    }
    pattern.push_str("(?:/.*)?$");
    Regex::new(&pattern).ok()
}

/// Whether `path` is the wanted group, or below it. The name of a group may look like a pattern, which stands for no
/// group outside the namespace unless it begins there.
fn matches(path: &[u8], wanted: &[u8], glob: Option<&Regex>) -> bool {
    let is_reached = is_outside(wanted) || !is_outside(path);
    is_at_or_below(path, wanted) || is_reached && glob.is_some_and(|glob| glob.is_match(path))
}

/// The shortest path in a namespace with this root to a group outside of it; any other path, and a pattern, as it is.
fn shortest_unless_glob(root: &[u8], path: &[u8], glob: Option<&Regex>) -> Vec<u8> {
    if is_outside(path) && glob.is_none() { shortest_from(root, path) } else { path.to_vec() }
}

/// Whether a path leads upwards first: to a group that is not below the root of the namespace.
fn is_outside(path: &[u8]) -> bool {
    rest_below(path, b"/..").is_some()
}

/// The paths of the groups above a group, and its own, the highest first. What a path outside the namespace leads
/// upwards to comes first, not what it goes up from.
fn at_or_above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let root = Some(&b"/"[..]).filter(|_| !is_outside(path));
    let ends = (1..=path.len()).filter(|end| path.get(*end).is_none_or(|byte| *byte == b'/'));
    let parts = ends.filter_map(|end| path.split_at_checked(end)).filter(|(_, rest)| !is_outside(rest));
    root.into_iter().chain(parts.map(|(above, _)| above))
}

/// The controllers and the path of each line (`4:memory:/a/b`, `0::/a/b`).
fn groups(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut parts = line.splitn(3, |byte| *byte == b':');
        parts.next()?;
        Some((parts.next()?, parts.next()?))
    })
}

/// How the lines of `/proc/PID/cgroup` begin that tell the group for memory.
const VERSION_1: &[u8] = b"1:memory:";
const VERSION_2: &[u8] = b"0::";

/// How it begins on a machine with these mounts. In version 1 other controllers may be in the same hierarchy.
fn memory_hierarchy(mounts: &[Mount]) -> Option<Vec<u8>> {
    let mut found: Vec<&Mount> = mounts.iter().filter(|mount| mount.may_have_memory_groups()).collect();
    // Version 2 has the controller only if version 1 has not.
    found.sort_by_key(|mount| mount.kind == b"cgroup2");
    let mount = found.first()?;
    if mount.kind == b"cgroup2" {
        return Some(VERSION_2.to_vec());
    }
    let controllers: Vec<&[u8]> = mount.options().filter(|option| !option.contains(&b':')).collect();
    Some([b"1:", &controllers.join(&b","[..])[..], b":"].concat())
}

/// The path of the control group for memory of a process or thread.
pub(crate) fn read_memory_group(root: &ProcRoot, task: u32) -> Option<Vec<u8>> {
    memory_group(&root.read_file(&format!("{task}/cgroup")).ok()?).map(<[u8]>::to_vec)
}

pub(super) fn memory_group(text: &[u8]) -> Option<&[u8]> {
    let has_memory = |controllers: &[u8]| controllers.split(|byte| *byte == b',').any(|name| name == b"memory");
    let version_1 = groups(text).find(|(controllers, _)| has_memory(controllers));
    version_1.or_else(|| groups(text).find(|(controllers, _)| controllers.is_empty())).map(|(_, path)| path)
}

/// The group in the hierarchy in which systemd has a group for each unit, whatever it uses the others for.
pub(super) fn unit_group(text: &[u8]) -> Option<&[u8]> {
    let of = |wanted: &[u8]| groups(text).find(|(controllers, _)| *controllers == wanted).map(|(_, path)| path);
    of(b"name=systemd").or_else(|| of(b""))
}

/// Whether one of the groups is the wanted one, or below it.
pub(super) fn is_in_group(text: &[u8], wanted: &WantedGroup) -> bool {
    if let Some(only) = &wanted.only {
        return groups(text).any(|(controllers, path)| only.has(controllers, path));
    }
    groups(text).any(|(controllers, path)| match wanted.text.contains(&b'/') {
        false => wanted.is_name_in(path),
        true => {
            matches(path, &wanted.text, wanted.glob.as_ref())
                || wanted.mounted.iter().any(|mounted| mounted.has(controllers, path))
                // Where hierarchies are usually mounted, for a capture that has no list of mounts.
                || wanted.mounted.is_empty() && usual_group(&wanted.text, controllers).is_some_and(|group| {
                    matches(path, group, compile(b"", group).as_ref())
                })
        }
    })
}

/// The group in a path below `/sys/fs/cgroup`, if the hierarchy with these controllers is usually mounted there: under
/// all of its controllers, one of them (a link), or its name.
fn usual_group<'p>(path: &'p [u8], controllers: &[u8]) -> Option<&'p [u8]> {
    let below = path.strip_prefix(b"/sys/fs/cgroup")?;
    if controllers.is_empty() {
        return Some(rest_below(below, b"/unified").unwrap_or(below));
    }
    let below = below.strip_prefix(b"/")?;
    let (names, group) = match memchr::memchr(b'/', below) {
        Some(slash) => below.split_at_checked(slash)?,
        None => (below, &b""[..]),
    };
    let is_one = |name: &[u8]| {
        controllers.split(|byte| *byte == b',').any(|one| one.strip_prefix(b"name=").unwrap_or(one) == name)
    };
    names.split(|byte| *byte == b',').all(is_one).then_some(group)
}

/// Whether `path` is `top` or below it.
fn is_at_or_below(path: &[u8], top: &[u8]) -> bool {
    rest_below(path, top).is_some_and(|rest| !is_outside(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::mount_table::MountTable;

    #[test]
    fn groups_of_both_versions_are_compared_as_whole_names() {
        let both = b"5:memory:/docker/ab12\n1:name=systemd:/x\n0::/system.slice/cron.service\n";
        for wanted in [
            &b"/system.slice"[..],
            b"/system.slice/",
            b"/system.slice/cron.service",
            b"cron.service",
            b"/sys/fs/cgroup/system.slice/cron.service",
            b"/sys/fs/cgroup/unified/system.slice",
            b"/docker/ab12",
            b"ab12",
            b"/sys/fs/cgroup/memory/docker",
            b"/",
        ] {
            assert!(is_in_group(both, &WantedGroup::new(wanted)), "{}", wanted.escape_ascii());
        }
        for wanted in [&b"/system"[..], b"cron", b"/docker/ab1", b"/sys/fs/cgroup/cpu/docker", b"/cron.service", b""] {
            assert!(!is_in_group(both, &WantedGroup::new(wanted)), "{}", wanted.escape_ascii());
        }
    }

    #[test]
    fn co_mounted_and_named_hierarchies_are_found_where_they_are_mounted() {
        let text = b"4:cpu,cpuacct:/a/b\n3:memory:/docker/x/b\n1:name=systemd:/n\n0::/u\n";
        let group = |wanted: &str| is_in_group(text, &WantedGroup::new(wanted.as_bytes()));
        for wanted in ["cpu,cpuacct/a", "cpuacct,cpu/a/b", "cpu/a", "cpuacct", "systemd/n", "unified/u", "u"] {
            assert!(group(&format!("/sys/fs/cgroup/{wanted}")), "{wanted}");
        }
        for wanted in ["cpu,memory/a", "systemd/a", "cpu/n", "memory/a", "pids", "unified/n"] {
            assert!(!group(&format!("/sys/fs/cgroup/{wanted}")), "{wanted}");
        }
        let table = MountTable::parse(
            b"30 1 0:9 / /dev/cpuctl rw - cgroup none rw,cpuacct,cpu\n31 1 0:8 /docker/x /m rw - cgroup c rw,memory",
        );
        let mounts = table.mounts();
        let group =
            |wanted: &str| is_in_group(text, &WantedGroup::new(wanted.as_bytes()).resolved(mounts, false, None));
        for wanted in ["/dev/cpuctl/a", "/dev/cpuctl", "/m", "/m/b", "/dev/cpuctl/?/b"] {
            assert!(group(wanted), "{wanted}");
        }
        for wanted in ["/dev/cpuctl/b", "/m/docker", "/dev/cpuctlx", "/m/c"] {
            assert!(!group(wanted), "{wanted}");
        }
    }

    #[test]
    fn a_group_with_its_hierarchy_is_of_that_hierarchy_only() {
        let text = b"4:cpu,cpuacct:/a/b\n3:memory:/x:/b\n1:name=systemd:/n\n0::/u\n";
        let group = |wanted: &str| is_in_group(text, &WantedGroup::new(wanted.as_bytes()));
        for wanted in
            ["cpu:/a", "cpuacct,cpu:/a/b", "4:cpu,cpuacct:/a", "memory:/x:/b", "name=systemd:/", "0::/u", "0::/?", "x:"]
        {
            assert!(group(wanted), "{wanted}");
        }
        for wanted in ["memory:/a", "cpu:/u", "0::/a", "name=systemd:/u", "systemd:/n", "pids:/", "x:memory:/x:", ":/u"]
        {
            assert!(!group(wanted), "{wanted}");
        }
        let choice = |wanted: &str, memory: Option<&[u8]>| {
            let memory = memory.map(<[u8]>::to_vec);
            let mut choice = GroupChoice { memory, ..GroupChoice::default() };
            choice.add(wanted.as_bytes());
            choice
        };
        for (wanted, version_1, version_2) in [("memory:/a", true, false), ("0::/a", false, true), ("/a", true, true)] {
            assert_eq!(choice(wanted, Some(VERSION_1)).has_memory_group(b"/a/b"), version_1, "{wanted}");
            assert_eq!(choice(wanted, Some(VERSION_2)).has_memory_group(b"/a/b"), version_2, "{wanted}");
            assert!(choice(wanted, None).has_memory_group(b"/a/b"), "{wanted}");
        }
    }

    #[test]
    fn all_controllers_of_the_hierarchy_for_memory_name_its_groups() {
        let table = MountTable::parse(
            b"30 1 0:9 / /u rw - cgroup2 none rw\n31 1 0:8 / /m rw - cgroup c rw,cpu,memory\n\
              32 1 0:7 / /p rw - cgroup c rw,pids",
        );
        let is_chosen = |wanted: &str| {
            let mut choice = GroupChoice { memory: memory_hierarchy(table.mounts()), ..GroupChoice::default() };
            choice.add(wanted.as_bytes());
            choice.has_memory_group(b"/a/b")
        };
        assert_eq!(["cpu:/a", "memory:/a", "/a", "0::/a", "pids:/a"].map(is_chosen), [true, true, true, false, false]);
        assert_eq!(memory_hierarchy(&table.mounts()[..1]), Some(VERSION_2.to_vec()));
        assert_eq!(memory_hierarchy(&[]), None);
    }

    #[test]
    fn a_relative_pattern_begins_in_the_working_directory() {
        let text = b"4:cpu:/s/cron.service\n3:memory:/top/s/cron.service/x\n0::/s/[x]/one\n";
        let table = MountTable::parse(
            b"31 1 0:8 /top /no/memory rw - cgroup c rw,memory\n32 1 0:7 / /no/cpu rw - cgroup c rw,cpu\n\
              33 1 0:6 / /no/unified rw - cgroup2 c rw",
        );
        let is_in = |directory: &str, wanted: &str| {
            let group = WantedGroup::new(wanted.as_bytes());
            is_in_group(text, &group.resolved(table.mounts(), true, Some(Path::new(directory))))
        };
        for (directory, wanted) in [
            ("/no/memory/s", "./cron*"),
            ("/no/memory/s", "cron*/x"),
            ("/no/memory/s/other/deep", "../../cron.s*"),
            ("/no/memory", "s/*"),
            ("/no/memory/s", "../../cpu/s/cron*"),
            ("/no/unified/s/[x]", "./o*"),
            // From the root of any hierarchy, where the directory is none of a group.
            ("/no", "s/cron*"),
        ] {
            assert!(is_in(directory, wanted), "{wanted} in {directory}");
        }
        for (directory, wanted) in [
            ("/no/memory/s", "s/cron*"),
            ("/no/memory/s", "../cron*"),
            ("/no/cpu/s", "./cron*/x"),
            ("/no/memory/other", "./cron*"),
            ("/no/unified/s/x", "./o*"),
        ] {
            assert!(!is_in(directory, wanted), "{wanted} in {directory}");
        }
    }

    #[test]
    fn a_container_is_found_by_its_id_however_its_group_is_called() {
        let (id, other) = ("0123456789ab".repeat(6)[..64].to_owned(), "f".repeat(64));
        for shape in [
            "/docker/ID",
            "/system.slice/docker-ID.scope",
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice/cri-containerd-ID.scope",
            "/kubepods/burstable/pod0f1e/ID",
            "/system.slice/containerd.service/kubepods-besteffort-pod1.slice:cri-containerd:ID",
            "/kubepods.slice/crio-ID.scope/container",
            "/machine.slice/libpod-ID.scope",
            "/libpod_parent/libpod-ID",
        ] {
            let group = |id: &str| format!("0::{}\n", shape.replace("ID", id));
            let is_in = |text: &str, id: &str| is_in_group(text.as_bytes(), &WantedGroup::new(id.as_bytes()));
            for wanted in [&id[..], &id[..12], &id[..12].to_uppercase()] {
                assert!(is_in(&group(&id), wanted), "{wanted} {shape}");
                assert!(!is_in(&group(&other), wanted), "{wanted} {shape}");
            }
            assert!(!is_in(&group(&id), &id[..11]) && !is_in(&group(&id), &id[1..13]), "{shape}");
        }
        let monitor = format!("0::/machine.slice/libpod-conmon-{id}.scope\n");
        assert!(!is_in_group(monitor.as_bytes(), &WantedGroup::new(id.as_bytes())));
    }

    #[test]
    fn the_groups_above_one_do_not_include_the_root_of_a_namespace_that_it_is_not_in() {
        for (path, expected) in [
            ("/", &["/", "/"][..]),
            ("/a/bc", &["/", "/a", "/a/bc"]),
            ("/../../a/b", &["/../..", "/../../a", "/../../a/b"]),
        ] {
            let found: Vec<&[u8]> = at_or_above(path.as_bytes()).collect();
            assert_eq!(found, expected.iter().map(|path| path.as_bytes()).collect::<Vec<_>>(), "{path}");
        }
    }

    #[test]
    fn a_group_outside_the_namespace_is_not_below_its_root() {
        let is_in = |path: &str, wanted: &str| {
            let text = format!("0::{path}\n");
            is_in_group(text.as_bytes(), &WantedGroup::new(wanted.as_bytes()))
        };
        for (path, wanted) in [
            ("/../x/y", "/../x"),
            ("/../x/y", "/.."),
            ("/../x/y", "/../*"),
            ("/../x/y", "x"),
            ("/..x/y", "/"),
            ("/..x/y", "/*"),
        ] {
            assert!(is_in(path, wanted), "{path} in {wanted}");
        }
        for (path, wanted) in [("/../x", "/"), ("/..", "/"), ("/../x", "/*"), ("/../..", "/.."), ("/../../x", "/..")] {
            assert!(!is_in(path, wanted), "{path} in {wanted}");
        }
    }

    #[test]
    fn a_glob_is_for_a_name_or_for_a_path_and_what_is_below() {
        let text = b"0::/user.slice/user-1000.slice/app-[x].scope/deep\n";
        let group = |wanted: &str| is_in_group(text, &WantedGroup::new(wanted.as_bytes()));
        for wanted in
            ["user-*.slice", "user-1?00.slice", "user-[0-9]000.slice", "/user.slice/user-*", "/**/deep", "/*/*/app*"]
        {
            assert!(group(wanted), "{wanted}");
        }
        // As its name is shown.
        assert!(group("app-[x].scope") && group("/user.slice/user-1000.slice/app-[x].scope"));
        for wanted in ["user-*", "ser-*.slice", "user-[!1]*.slice", "/user-*", "/*/deep", "/user.slice/*/deep"] {
            let expected = wanted == "user-*";
            assert_eq!(group(wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn the_group_for_memory_is_of_version_1_if_it_has_the_controller_there() {
        assert_eq!(memory_group(b"0::/a/b\n"), Some(&b"/a/b"[..]));
        assert_eq!(memory_group(b"3:cpu,memory:/x:y\n1:name=systemd:/n\n0::/a\n"), Some(&b"/x:y"[..]));
        assert_eq!(memory_group(b"3:cpu:/x\n0::/a\xff\n"), Some(&b"/a\xff"[..]));
        assert_eq!(memory_group(b""), None);
        assert_eq!(memory_group(b"junk\n::\n"), Some(&b""[..]));
    }
}
