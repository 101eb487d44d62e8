//! Whether two processes mean the same file by a name. No file is examined here.

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::chroot;

use crate::error::Result;
use crate::kernel::handle::Handle;
use crate::kernel::mount_table::{Mount, parse_mount};
use crate::kernel::whereabouts::{open_cached, open_name};
use crate::process::failure::read_error;
use crate::process::file_uses::parse_info;
use crate::process::handle::Process;

/// What the names that a process sees mean: its mount namespace and its root directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    mounts: Option<PathBuf>,
    root: Option<(u64, u64)>,
    /// Where the root directory is, in a capture: its identity is that of another machine.
    named_root: Option<PathBuf>,
    /// A process whose namespace cannot be read has one of its own, unless it is in a capture.
    unknown: Option<u32>,
}

impl Process {
    /// Reads what the names that the process sees mean.
    pub fn read_namespace(&self) -> Namespace {
        let directory = self.memory().map_or_else(|_| self.directory.clone(), |memory| memory.directory);
        let mounts = directory.read_link("ns/mnt").ok();
        let root = || directory.look(Path::new("root")).ok().map(|root| root.identity);
        let named = || directory.read_link("root").ok();
        let (root, named_root) = if self.is_live() { (root(), None) } else { (None, named()) };
        let unknown = (self.is_live() && (mounts.is_none() || root.is_none())).then(|| self.pid());
        Namespace { mounts, root, named_root, unknown }
    }

    /// The number of its mount namespace, from the link `/proc/PID/ns/mnt` (`mnt:[4026531841]`); `None` if the link has
    /// another form.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Denied`]: another user's process. [`crate::error::ErrorKind::NotFound`]: it has
    /// exited, or a capture has no such link.
    pub(crate) fn read_mount_namespace(&self) -> Result<Option<u64>> {
        self.read_namespace_number("mnt")
    }

    /// The number of its pid namespace, in the same way.
    ///
    /// # Errors
    /// As [`Process::read_mount_namespace`].
    pub(super) fn read_pid_namespace(&self) -> Result<Option<u64>> {
        self.read_namespace_number("pid")
    }

    /// The number of its IPC namespace, in the same way.
    ///
    /// # Errors
    /// As [`Process::read_mount_namespace`].
    pub(crate) fn read_ipc_namespace(&self) -> Result<Option<u64>> {
        self.read_namespace_number("ipc")
    }

    fn read_namespace_number(&self, kind: &str) -> Result<Option<u64>> {
        let link = self.open_in_memory(|directory| directory.read_link(&*format!("ns/{kind}")));
        let link = link.map_err(|error| read_error(self.pid(), &error))?;
        let number = || link.to_str()?.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok();
        Ok(number())
    }

    /// Whether its root directory is the root of its mount namespace, as far as the text of the link
    /// `/proc/PID/root` tells.
    pub(crate) fn has_whole_root(&self) -> bool {
        let link = self.open_in_memory(|directory| directory.read_link("root"));
        link.is_ok_and(|root| root == Path::new("/"))
    }

    /// The mounts below its root directory, in the order of `/proc/PID/mountinfo`.
    ///
    /// # Errors
    /// As [`Process::read_mount_namespace`].
    pub(crate) fn read_mounts(&self) -> Result<Vec<Mount>> {
        let text = self.open_in_memory(|directory| directory.read_file("mountinfo", u64::MAX));
        let text = text.map_err(|error| read_error(self.pid(), &error))?;
        Ok(text.split(|byte| *byte == b'\n').filter_map(parse_mount).collect())
    }

    /// Its working directory, as this process sees it.
    pub(crate) fn read_working_directory(&self) -> Option<Vec<u8>> {
        let link = self.open_in_memory(|directory| directory.read_link("cwd")).ok()?;
        Some(link.into_os_string().into_vec()).filter(|path| path.starts_with(b"/"))
    }

    /// Looks a path up below the root directory of the process, without asking any file system: only what the kernel
    /// remembers is found.
    ///
    /// # Errors
    /// As `openat2(2)`; `EAGAIN`: a file system would have to be asked.
    pub(crate) fn find_cached(&self, path: &Path) -> nix::Result<Handle> {
        let root = self.directory.open_directory("root")?;
        open_cached(root.as_fd(), path)
    }
}

/// The root directory of this process as it is seen from the root of its mount namespace: the number of its mount, and
/// the path. `None`: this process may not change its root directory, or the directory was removed.
///
/// The kernel shows the path of a file from the root directory of who asks, and from that of the mount namespace if the
/// file is not below it. So a thread that has a root directory of its own asks from a directory further down.
pub(crate) fn own_root() -> Option<(u64, Vec<u8>)> {
    let root = open_name(Path::new("/")).ok()?;
    let mount = Shown::of(&root)?.mount;
    let number = root.own()?.as_raw_fd();
    let ask = move || {
        unshare(CloneFlags::CLONE_FS).ok()?;
        chroot("/proc").ok()?;
        std::fs::read_link(format!("/self/fd/{number}")).ok()
    };
    let asker = std::thread::Builder::new().name("root".into()).spawn(ask).ok()?;
    let path = asker.join().ok()??.into_os_string().into_vec();
    (path.starts_with(b"/") && !path.ends_with(b" (deleted)")).then_some((mount, path))
}

/// What the kernel shows of a file that is found, without asking its file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The number of the mount.
    pub(crate) mount: u64,
    /// The inode number (Linux 5.14 and later).
    pub(crate) inode: Option<u64>,
    /// The path, as this process sees it, with symbolic links followed.
    pub(crate) path: Vec<u8>,
}

impl Shown {
    /// `None` if the file is open in a child.
    pub(crate) fn of(found: &Handle) -> Option<Shown> {
        let number = found.own()?.as_raw_fd();
        let info = std::fs::read(format!("/proc/self/fdinfo/{number}")).ok()?;
        let (mount, inode) = parse_info(&info)?;
        let path = std::fs::read_link(format!("/proc/self/fd/{number}")).ok()?.into_os_string().into_vec();
        Some(Shown { mount, inode, path })
    }
}
