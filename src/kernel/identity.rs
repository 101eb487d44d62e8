//! Which file a descriptor leads to, and in which file's pages its data is.
//!
//! Device and inode identify a file on most file systems. They do not on FUSE, where a server may give several files
//! one number (bindfs over several file systems does), nor on the kernel's own mount of tmpfs, where the number of a
//! System V segment is its id in its IPC namespace; there the kernel's own number of the node and its generation are
//! compared too, which `name_to_handle_at(2)` reports. A file that overlayfs shows has its pages in a file of a layer,
//! which has another device: the handle of the overlay's file contains that of the layer's file.
//!
//! Nothing is opened, and no server is asked.

#![allow(unsafe_code, reason = "no library wraps name_to_handle_at, nor FS_IOC_GETFSUUID, nor getxattr")]

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::stat::{FileStat, major};

use super::asker::{Plain, Task};
use super::file_system::{FileSystem, FileSystemKind};
use super::handle::Handle;
use super::mount_table::parts;
use super::nameless::{NamelessMount, is_segment};
use super::statx::Statx;

/// What identifies a file. Two values are equal only if they are proven to be one file; if that cannot be proven, a
/// value is only equal to its own copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    node: Node,
}

/// What distinguishes files with the same device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    /// Nothing: there is only one.
    None,
    /// The kernel's number of the node and its generation.
    Handle([u8; HANDLE]),
    /// It is not known, so that each descriptor is one of its own.
    Unproven(u64),
}

/// 64 bits of node number and 32 bits of generation, on FUSE in this order. On tmpfs the generation, a random number,
/// comes first.
const HANDLE: usize = 12;

impl FileIdentity {
    /// The identity of an open file, which may be open as a name only (`O_PATH`), with the result of its `fstat`.
    pub(crate) fn of(file: &Handle, stat: &FileStat) -> FileIdentity {
        // Only file systems without a disk have major number 0.
        let may_be_fuse = major(stat.st_dev) == 0;
        let is_fuse = may_be_fuse && FileSystem::of_handle(file).is_ok_and(|on| on.kind == FileSystemKind::Fuse);
        FileIdentity::on(file, (stat.st_dev, stat.st_ino), is_fuse)
    }

    /// The same for a device and inode if it is known whether the file is on FUSE.
    pub(crate) fn on(file: &Handle, (device, inode): (u64, u64), is_fuse: bool) -> FileIdentity {
        let is_nameless = || NamelessMount::find().is_some_and(|mount| mount.device == parts(device));
        let node = match () {
            () if is_fuse => node_of(file).unwrap_or_else(unproven),
            () if major(device) == 0 && is_nameless() => node_of(file).unwrap_or_else(|| node_without_name(file)),
            () => Node::None,
        };
        FileIdentity { device, inode, node }
    }

    /// Whether an open file, with the result of its `fstat`, is proven to be this one. Both are on the same kind of
    /// file system.
    pub(crate) fn is_of(&self, file: &Handle, stat: &FileStat) -> bool {
        FileIdentity::on(file, (stat.st_dev, stat.st_ino), self.node != Node::None) == *self
    }

    /// Whether nothing proves that these are two files.
    pub(crate) fn may_be(&self, other: &FileIdentity) -> bool {
        let is_unproven = |identity: &FileIdentity| matches!(identity.node, Node::Unproven(_));
        (self.device, self.inode) == (other.device, other.inode)
            && (self.node == other.node || is_unproven(self) || is_unproven(other))
    }

    /// The device number, from `fstat`.
    pub fn device(&self) -> u64 {
        self.device
    }

    /// The generation of the inode, if it is part of the identity: that of a file on tmpfs without a name.
    pub(crate) fn generation(&self) -> Option<u32> {
        match &self.node {
            Node::Handle(handle) => handle.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)),
            Node::None | Node::Unproven(_) => None,
        }
    }

    /// The inode number.
    pub fn inode(&self) -> u64 {
        self.inode
    }
}

fn node_of(file: &Handle) -> Option<Node> {
    FileHandle::of(file).ok()?.bytes().try_into().ok().map(Node::Handle)
}

/// Of a file without a name where there are no handles: only System V segments have the numbers of others.
fn node_without_name(file: &Handle) -> Node {
    let is_other = |name: PathBuf| !is_segment(name.as_os_str().as_bytes());
    if file.link().is_some_and(is_other) { Node::None } else { unproven() }
}

fn unproven() -> Node {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Node::Unproven(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What identifies the file that holds the pages, on whatever file system it is shown: the file system by its UUID, the
/// file by its handle, and when it was created and last changed. The times are compared because overlayfs keeps the
/// handle of a file that it has copied to its upper layer, and the copy has other times.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PageSource(Box<[u8]>);

impl PageSource {
    /// The source of the pages of an open file; `None` if it cannot be told.
    pub(crate) fn of(file: &Handle, is_overlay: bool) -> Option<PageSource> {
        match is_overlay {
            true => PageSource::of_overlay(file),
            false => PageSource::in_file_system(file, uuid(file.own()?)?),
        }
    }

    /// The same of a file that is open as a name only, of which the UUID of the file system cannot be asked for.
    pub(crate) fn of_name(file: &Handle, is_overlay: bool) -> Option<PageSource> {
        match is_overlay {
            true => PageSource::of_overlay(file),
            false => PageSource::in_file_system(file, NO_UUID),
        }
    }

    /// Whether it is the same file, also if the file system of one of them is not known. The handle contains the inode
    /// number and its generation: with the time of the creation and of the last change, in nanoseconds, it would be a
    /// great coincidence if two file systems had the same.
    pub(crate) fn is_same(&self, other: &PageSource) -> bool {
        let parts = |source: &PageSource| source.0.split_first_chunk().map(|(uuid, rest)| (*uuid, rest.to_vec()));
        match (parts(self), parts(other)) {
            (Some((one, rest)), Some((another, others))) => {
                rest == others && (one == another || one == NO_UUID || another == NO_UUID)
            }
            _ => false,
        }
    }

    /// What overlayfs shows of a file that is in its upper layer and was copied there: the handle of the lower file,
    /// which the copy keeps in an attribute, and the times of the copy. `None` if the file is not such a copy, or if
    /// the attribute is hidden from this user.
    pub(crate) fn of_copy(file: &Handle) -> Option<PageSource> {
        let origin = origin(file.own()?)?;
        let layer = Layer::parse(&origin)?;
        PageSource::new(layer.uuid, layer.kind, layer.handle, file)
    }

    /// Whether it is the same file, or overlayfs has copied one of the two from the other.
    pub(crate) fn has_same_handle(&self, other: &PageSource) -> bool {
        let without_times = |source: &PageSource| {
            let (handle, _) = source.0.split_at_checked(source.0.len().checked_sub(TIMES)?)?;
            Some(PageSource(handle.into()))
        };
        without_times(self).zip(without_times(other)).is_some_and(|(one, another)| one.is_same(&another))
    }

    fn of_overlay(file: &Handle) -> Option<PageSource> {
        let handle = FileHandle::of(file).ok()?;
        let real = handle.layer()?;
        PageSource::new(real.uuid, real.kind, real.handle, file)
    }

    fn in_file_system(file: &Handle, uuid: [u8; 16]) -> Option<PageSource> {
        let handle = FileHandle::of(file).ok()?;
        PageSource::new(&uuid, u8::try_from(handle.kind).ok()?, handle.bytes(), file)
    }

    fn new(uuid: &[u8], kind: u8, handle: &[u8], file: &Handle) -> Option<PageSource> {
        let times: [u8; TIMES] = Statx::of_handle(file).ok()?.times()?;
        Some(PageSource([uuid, &[kind], handle, &times].concat().into()))
    }
}

/// The length of the times in a [`PageSource`].
const TIMES: usize = 24;

/// What no file system has.
const NO_UUID: [u8; 16] = [0; 16];

/// Whether a file on overlayfs is in the upper layer and has never been in a lower one. Otherwise it is in a lower
/// layer, or was copied up from one.
pub(crate) fn is_only_in_upper_layer(file: &Handle) -> bool {
    FileHandle::of(file).is_ok_and(|handle| handle.layer().is_some_and(|layer| layer.is_upper))
}

/// `struct file_handle` with space for any handle.
#[derive(Clone, Copy)]
#[repr(C)]
struct FileHandle {
    length: u32,
    kind: i32,
    bytes: [u8; libc::MAX_HANDLE_SZ as usize],
}

// SAFETY: it has only integers.
unsafe impl Plain for FileHandle {}

/// The file of a layer, in the handle of a file on overlayfs.
struct Layer<'h> {
    uuid: &'h [u8],
    kind: u8,
    handle: &'h [u8],
    is_upper: bool,
}

/// `AT_HANDLE_FID` of `linux/fcntl.h` (Linux 6.6 and later): a handle that identifies and need not be opened again.
const IDENTIFIES: libc::c_int = 0x200;

/// `OVL_FILEID_V1`, `OVL_FH_MAGIC` and `OVL_FH_FLAG_PATH_UPPER` of the kernel's `fs/overlayfs/overlayfs.h`.
const OVERLAY: (i32, u8, u8) = (0xf8, 0xfb, 1 << 2);

impl FileHandle {
    /// The handle of an open file, which need not be one that can be opened again.
    fn of(file: &Handle) -> Result<FileHandle, Errno> {
        match FileHandle::read(file, IDENTIFIES) {
            // Before Linux 6.6, which does not know the flag.
            Err(Errno::EINVAL) => FileHandle::read(file, 0),
            read => read,
        }
    }

    fn read(file: &Handle, flag: libc::c_int) -> Result<FileHandle, Errno> {
        let flags = libc::AT_EMPTY_PATH | flag;
        let fd = match file {
            Handle::Own(fd) => fd,
            Handle::Far(far) => return far.ask_for(Task::FileHandle, [u64::from(flags.unsigned_abs()), 0, 0], c""),
        };
        let mut handle =
            FileHandle { length: libc::MAX_HANDLE_SZ as u32, kind: 0, bytes: [0; libc::MAX_HANDLE_SZ as usize] };
        let mut mount = 0 as libc::c_int;
        // SAFETY: the name is NUL-terminated, and the handle has the space that its length says. The kernel writes both
        // results before it returns and keeps no pointer.
        let status = unsafe {
            libc::syscall(
                libc::SYS_name_to_handle_at,
                fd.as_raw_fd(),
                c"".as_ptr(),
                &raw mut handle,
                &raw mut mount,
                flags,
            )
        };
        Errno::result(status).map(|_| handle)
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length as usize).unwrap_or_default()
    }

    /// The file of the layer, after three bytes of padding.
    fn layer(&self) -> Option<Layer<'_>> {
        let (kind, ..) = OVERLAY;
        Layer::parse(self.bytes().get(3..)?).filter(|_| self.kind == kind)
    }
}

impl<'h> Layer<'h> {
    /// From `struct ovl_fb`: version, magic, length, flags, type, UUID, handle.
    fn parse(bytes: &'h [u8]) -> Option<Layer<'h>> {
        let (_, magic, upper) = OVERLAY;
        let (&[version, found, _, flags, layer_kind], rest) = bytes.split_first_chunk()?;
        if version != 0 || found != magic {
            return None;
        }
        let (uuid, handle) = rest.split_at_checked(16)?;
        Some(Layer { uuid, kind: layer_kind, handle, is_upper: flags & upper != 0 })
    }
}

/// Where the copy that overlayfs has made of a file keeps the handle of that file: usually, and with the mount option
/// `userxattr`.
const ORIGIN: [&CStr; 2] = [c"trusted.overlay.origin", c"user.overlay.origin"];

/// The attribute of a file, which may be open as a name only.
fn origin(file: BorrowedFd<'_>) -> Option<Vec<u8>> {
    let mut value = [0u8; libc::MAX_HANDLE_SZ as usize];
    ORIGIN.into_iter().find_map(|name| {
        // SAFETY: the name is NUL-terminated, and the kernel writes no more than the length that it is given.
        let mut length =
            unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        if length < 0 && Errno::last() == Errno::EBADF {
            // A descriptor of a name has no attributes itself. To look the link up takes several times as long.
            let link = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
            // SAFETY: as above, and so is the link.
            length = unsafe { libc::getxattr(link.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        }
        value.get(..usize::try_from(length).ok()?).map(<[u8]>::to_vec)
    })
}

/// `struct fsuuid2` of `linux/fs.h`.
#[repr(C)]
struct Uuid {
    length: u8,
    bytes: [u8; 16],
}

/// `FS_IOC_GETFSUUID` of `linux/fs.h`: `_IOR(0x15, 0, struct fsuuid2)` (Linux 6.9 and later).
const GET_UUID: libc::Ioctl = nix::request_code_read!(0x15, 0, size_of::<Uuid>()) as libc::Ioctl;

/// The UUID of the file system of an open file, which may be all zeros; `None` if the kernel does not report one.
fn uuid(fd: BorrowedFd<'_>) -> Option<[u8; 16]> {
    let mut uuid = Uuid { length: 0, bytes: [0; 16] };
    // SAFETY: the request writes the 17 bytes of `struct fsuuid2`, which the value has, before it returns.
    let status = unsafe { libc::ioctl(fd.as_raw_fd(), GET_UUID, &raw mut uuid) };
    (status == 0 && uuid.length == 16).then_some(uuid.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_identity_and_two_files_have_two() {
        let (one, other) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let identity = |file: &tempfile::NamedTempFile| {
            let file = Handle::from(file.reopen().unwrap());
            FileIdentity::of(&file, &file.stat().unwrap())
        };
        assert_eq!(identity(&one), identity(&one));
        assert_ne!(identity(&one), identity(&other));
    }

    #[test]
    fn unproven_identities_are_equal_to_no_other() {
        let one = FileIdentity { device: 1, inode: 2, node: unproven() };
        assert_eq!(one, one);
        assert_ne!(one, FileIdentity { node: unproven(), ..one });
    }

    #[test]
    fn the_source_of_pages_is_the_same_for_a_name() {
        let (one, other) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let name = |file: &tempfile::NamedTempFile| {
            let handle = crate::kernel::whereabouts::open_name(file.path()).unwrap();
            PageSource::of_name(&handle, false).unwrap()
        };
        assert!(name(&one).is_same(&name(&one)) && !name(&one).is_same(&name(&other)));
        if let Some(open) = PageSource::of(&Handle::from(one.reopen().unwrap()), false) {
            assert!(open.is_same(&name(&one)) && name(&one).is_same(&open));
        }
    }

    #[test]
    fn the_handle_of_an_overlay_contains_that_of_a_layer() {
        // Of a file on tmpfs below overlayfs, seen on Linux 6.18.
        let text = "00000000fb2104012b5f8ab490df40859ee52452e50c2669cdd6f3510c00000000000000";
        let mut handle = FileHandle { length: 36, kind: 0xf8, bytes: [0; 128] };
        for (place, byte) in handle.bytes.iter_mut().enumerate().take(36) {
            *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).unwrap();
        }
        let layer = handle.layer().unwrap();
        assert_eq!((layer.kind, layer.handle.len(), layer.is_upper), (1, 12, true));
        assert_eq!((layer.uuid[0], layer.uuid[15]), (0x2b, 0x69));
        handle.kind = 1;
        assert!(handle.layer().is_none());
    }
}
