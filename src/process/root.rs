//! The location of `/proc`: the live one, or a directory with the same structure. It is a value, so that the same code
//! reads a captured machine.

use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use nix::unistd::{Gid, getegid, geteuid, getgroups};

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::helper;
use crate::kernel::mount_table::Mount;
use crate::kernel::privilege::run_as_root;
use crate::process::captured::Captured;
use crate::process::directory::{Directory, NamelessMount, parse_pid};
use crate::units::PageSize;

/// More than any file that is read as a whole has (`meminfo`: 1.5 KB on 6.18).
const LONGEST: u64 = 1 << 20;

/// A live `/proc`, or a directory with the same structure.
#[derive(Debug, Clone)]
pub struct ProcRoot {
    path: PathBuf,
    captured: Option<Arc<Captured>>,
    /// What was found out about it once: every process is opened below it.
    known: Arc<Known>,
}

#[derive(Debug, Default)]
struct Known {
    is_live: OnceLock<bool>,
    is_of_our_namespace: OnceLock<bool>,
}

/// Two are the same if they are the same directory.
impl PartialEq for ProcRoot {
    fn eq(&self, other: &ProcRoot) -> bool {
        self.path == other.path
    }
}

impl Eq for ProcRoot {}

impl Hash for ProcRoot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.hash(state);
    }
}

impl ProcRoot {
    /// The `/proc` of this machine.
    pub fn live() -> ProcRoot {
        ProcRoot::at(PathBuf::from("/proc"))
    }

    /// The directory `path`: another mount of proc, or a capture.
    pub fn at(path: PathBuf) -> ProcRoot {
        ProcRoot { path, captured: None, known: Arc::default() }
    }

    /// The `proc` of a capture, of which more is known.
    #[cfg(feature = "capture")]
    pub(crate) fn of_capture(path: PathBuf, captured: Captured) -> ProcRoot {
        ProcRoot { path, captured: Some(Arc::new(captured)), known: Arc::default() }
    }

    /// What a capture says about its machine; `None` for a live one, and for a directory that is not a capture of rmap.
    pub fn captured(&self) -> Option<&Captured> {
        self.captured.as_deref()
    }

    /// The page size of the machine: that of a capture, or of the running kernel.
    pub fn page_size(&self) -> PageSize {
        self.captured().map_or_else(crate::kernel::page_size, |captured| captured.page_size)
    }

    /// When the machine is looked at: the time of a capture, or now.
    pub fn time(&self) -> SystemTime {
        self.captured().map_or_else(SystemTime::now, |captured| captured.time)
    }

    /// The identity of the boot: two machines, or two boots of one, have different ones. `None` if it is not known.
    pub fn boot(&self) -> Option<String> {
        match self.captured() {
            Some(captured) => captured.boot.clone(),
            None => {
                let text = self.read_file("sys/kernel/random/boot_id").ok()?;
                Some(str::from_utf8(&text).ok()?.trim().to_owned())
            }
        }
    }

    /// The kernel's own mount of tmpfs, whose files have no names.
    pub(crate) fn nameless_mount(&self) -> Option<NamelessMount> {
        match self.captured() {
            Some(captured) => captured.nameless,
            None => NamelessMount::find().filter(|_| self.is_live()),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that its archive was unpacked into, for as long as it is read; `None` if it was not.
    pub(crate) fn unpacked_at(&self) -> Option<&[u8]> {
        self.captured()?.unpacked.as_ref()?;
        Some(self.path.parent()?.as_os_str().as_bytes())
    }

    /// The real path of the archive that it is read from; `None` if it is not an archive.
    pub(crate) fn archive(&self) -> Option<&[u8]> {
        Some(self.captured()?.archive.as_ref()?.as_os_str().as_bytes())
    }

    /// The directory with the structure of `/sys`: the live one, or the one next to a captured `/proc`.
    pub fn system_path(&self) -> PathBuf {
        match self.is_live() {
            true => PathBuf::from("/sys"),
            // Next to a directory with another name there may be anything, such as the live one.
            false if self.is_in_capture() => self.path.parent().unwrap_or(&self.path).join("sys"),
            false => self.path.join("sys"),
        }
    }

    /// Whether it is the part of a capture that is called `proc`.
    fn is_in_capture(&self) -> bool {
        let is_proc = |path: &Path| path.file_name().is_some_and(|name| name == "proc");
        let is_really = || std::fs::canonicalize(&self.path).is_ok_and(|real| is_proc(&real));
        self.captured.is_some() || is_proc(&self.path) || is_really()
    }

    /// The text of a file in it, such as `meminfo`. In a capture it may be anything: only a regular file is opened.
    pub(crate) fn read_file(&self, name: &str) -> io::Result<Vec<u8>> {
        Directory::open(&self.path)?.read_file(name, LONGEST)
    }

    /// The same for a file that may be longer on a large machine, such as `zoneinfo`: its first `most` bytes.
    pub(crate) fn read_long_file(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        Directory::open(&self.path)?.read_file(name, most)
    }

    /// Opens a file in it that is too long to be held in memory, such as `kpageflags`.
    pub(crate) fn open_file(&self, name: &str) -> io::Result<std::fs::File> {
        Directory::open(&self.path)?.open_file(name)
    }

    /// The text of a file below [`ProcRoot::system_path`], such as `devices/system/node/online`, as for
    /// [`ProcRoot::read_file`].
    pub(crate) fn read_system_file(&self, name: &str) -> io::Result<Vec<u8>> {
        Directory::open(&self.system_path())?.read_file(name, LONGEST)
    }

    /// Opens a file of a capture that is not one of the machine, such as `rmap/files.jsonl`.
    pub(crate) fn open_beside(&self, name: &str) -> io::Result<File> {
        Directory::open(self.path.parent().unwrap_or(&self.path))?.open_file(name)
    }

    /// What this user can do to see more of the machine; `None` if nothing helps.
    pub(crate) fn advice_for_more(&self) -> Option<&'static str> {
        if self.is_live() { run_as_root() } else { Some("a capture that root takes has more") }
    }

    /// The error with that advice.
    pub(crate) fn advised(&self, error: Error) -> Error {
        match self.advice_for_more() {
            Some(advice) => error.with_advice(advice),
            None => error,
        }
    }

    /// Whether this is a mounted proc file system. A capture, or a directory that cannot be accessed, is not live.
    pub fn is_live(&self) -> bool {
        let find = || statfs(&self.path).is_ok_and(|found| found.filesystem_type() == PROC_SUPER_MAGIC);
        *self.known.is_live.get_or_init(find)
    }
}

/// The mounts of the machine, as this process sees them. In a capture every process may have the list: that of the
/// first process that has one is taken. Empty if there is none.
pub(crate) fn read_mounts(root: &ProcRoot) -> Vec<Mount> {
    let names = match root.is_live() {
        true => vec!["self".to_owned()],
        false => {
            let mut pids = read_pids(root).unwrap_or_default();
            pids.sort_unstable();
            pids.iter().map(u32::to_string).collect()
        }
    };
    let read = |name: &String| Some(Directory::open(&root.path().join(name)).ok()?.mounts().mounts().to_vec());
    names.iter().filter_map(read).find(|mounts| !mounts.is_empty()).unwrap_or_default()
}

/// Whether the pids below `root` are those that system calls of this process accept.
pub(super) fn is_of_our_namespace(root: &ProcRoot) -> bool {
    let is_ours = || {
        let own = std::fs::read_link(root.path().join("self"));
        root.is_live() && own.is_ok_and(|own| own.as_os_str() == std::process::id().to_string().as_str())
    };
    *root.known.is_of_our_namespace.get_or_init(is_ours)
}

/// What `root` hides of the processes of other users, because it is mounted with `hidepid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hides {
    /// Nothing, or nothing from this user.
    Nothing,
    /// Everything but their pids.
    AllButPids,
    /// Everything: not even their number is known.
    Everything,
}

/// What `root` hides from this user. See `proc(5)`.
pub fn what_is_hidden(root: &ProcRoot) -> Hides {
    let is_it = |mount: &&Mount| mount.kind == b"proc" && mount.point == root.path().as_os_str().as_bytes();
    let Ok(own) = Directory::open(Path::new("/proc/self")) else { return Hides::Nothing };
    match own.mounts().mounts().iter().rfind(is_it) {
        Some(mount) if !geteuid().is_root() => hidden_by(mount, &is_in_group),
        _ => Hides::Nothing,
    }
}

/// Whether `root` hides anything of the processes of other users from this user.
pub fn hides_processes(root: &ProcRoot) -> bool {
    what_is_hidden(root) != Hides::Nothing
}

fn hidden_by(mount: &Mount, is_in_group: &dyn Fn(u32) -> bool) -> Hides {
    let option = |name: &[u8]| mount.options().filter_map(|option| option.strip_prefix(name)).last();
    // Members of this group see everything; that of root if there is no such option.
    let group = option(b"gid=").map_or(Some(0), |gid| str::from_utf8(gid).ok()?.parse().ok());
    match option(b"hidepid=") {
        None | Some(b"0" | b"off") => Hides::Nothing,
        // Only processes that this user may trace are shown.
        Some(b"4" | b"ptraceable") => Hides::Everything,
        Some(_) if group.is_some_and(is_in_group) => Hides::Nothing,
        Some(b"1" | b"noaccess") => Hides::AllButPids,
        Some(_) => Hides::Everything,
    }
}

/// Whether this process is in a group.
fn is_in_group(group: u32) -> bool {
    let group = Gid::from_raw(group);
    getegid() == group || getgroups().is_ok_and(|groups| groups.contains(&group))
}

/// The pids of all processes, in no particular order. Of a capture, also those that it names because it does not have
/// them: opening one says why.
///
/// # Errors
/// The directory cannot be read.
pub fn read_pids(root: &ProcRoot) -> Result<Vec<u32>> {
    if let Some(error) = not_mounted(root) {
        return Err(error);
    }
    let subject = || Subject::Path(root.path().to_owned());
    let entries = std::fs::read_dir(root.path()).map_err(|error| Error::io(subject(), &error))?;
    let mut pids: Vec<u32> = entries.filter_map(|entry| parse_pid(entry.ok()?.file_name().to_str()?)).collect();
    if let Some(captured) = root.captured() {
        pids.extend(&captured.missed);
        pids.sort_unstable();
        pids.dedup();
    }
    Ok(pids)
}

/// The same without the children of this process that ask file systems in its place: they hold a file only to ask about
/// it.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn read_pids_of_holders(root: &ProcRoot) -> Result<Vec<u32>> {
    let mut pids = read_pids(root)?;
    pids.retain(|pid| !is_own_helper(root, *pid));
    Ok(pids)
}

/// Whether it is a child of this process that asks file systems in its place.
pub(crate) fn is_own_helper(root: &ProcRoot, pid: u32) -> bool {
    match is_of_our_namespace(root) {
        true => helper::is_helper(pid),
        false => root.is_live() && helper::is_shown_helper(pid),
    }
}

/// The error for a `/proc` that is not mounted; `None` if it is mounted or a capture.
pub fn not_mounted(root: &ProcRoot) -> Option<Error> {
    let missing = *root == ProcRoot::live() && !root.is_live();
    missing.then(|| {
        Error::path(root.path(), ErrorKind::Unsupported, "it is not mounted, so nothing can be read from the kernel")
            .with_advice("mount it: mount -t proc proc /proc")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::mount_table::parse_mount;

    #[test]
    fn what_a_mount_hides_follows_from_its_options_and_the_groups_of_the_user() {
        for (options, of_others, of_members) in [
            ("rw", Hides::Nothing, Hides::Nothing),
            ("rw,hidepid=0", Hides::Nothing, Hides::Nothing),
            ("rw,hidepid=off", Hides::Nothing, Hides::Nothing),
            ("rw,hidepid=1,gid=7", Hides::AllButPids, Hides::Nothing),
            ("rw,gid=7,hidepid=noaccess", Hides::AllButPids, Hides::Nothing),
            ("rw,gid=7,hidepid=invisible", Hides::Everything, Hides::Nothing),
            ("rw,hidepid=2", Hides::Everything, Hides::Everything),
            ("rw,gid=7,hidepid=ptraceable", Hides::Everything, Hides::Everything),
            ("rw,gid=7,hidepid=4", Hides::Everything, Hides::Everything),
        ] {
            let line = format!("22 1 0:20 / /proc rw - proc proc {options}");
            let mount = parse_mount(line.as_bytes()).unwrap();
            assert_eq!(hidden_by(&mount, &|_| false), of_others, "{options}");
            assert_eq!(hidden_by(&mount, &|group| group == 7), of_members, "{options}");
        }
    }
}
