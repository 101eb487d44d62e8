//! The mounts that a process sees (`/proc/PID/mountinfo`), and which of them may never answer.
//!
//! Reading the list asks no file system anything. A file system that is served over a network or by a process may wait
//! for its server for ever, and nothing that this process does ends such a wait. So before anything may ask such a
//! file system, this list tells which mounts those are.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::libc;

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Its number, in digits.
    pub(crate) number: Vec<u8>,
    /// The number of the mount that it is mounted on, in digits.
    pub(crate) parent: Vec<u8>,
    /// The device of its file system, major and minor number, as `maps` prints it too.
    pub(crate) device: (u32, u32),
    /// The directory of the file system that is mounted.
    pub(crate) root: Vec<u8>,
    /// Where it is mounted.
    pub(crate) point: Vec<u8>,
    /// The file system: `ext4`.
    pub(crate) kind: Vec<u8>,
    /// What is mounted: `/dev/sda1`, `server:/home`.
    pub(crate) source: Vec<u8>,
    options: Vec<u8>,
}

/// File systems that wait for a server or another process, besides FUSE.
const SERVED: [&[u8]; 18] = [
    b"nfs",
    b"nfs4",
    b"cifs",
    b"smb3",
    b"smbfs",
    b"9p",
    b"ceph",
    b"afs",
    b"autofs",
    b"lustre",
    b"coda",
    b"orangefs",
    b"gpfs",
    b"beegfs",
    b"panfs",
    b"vboxsf",
    b"vmhgfs",
    b"prl_fs",
];

impl Mount {
    /// The options of the file system.
    pub(crate) fn options(&self) -> impl Iterator<Item = &[u8]> {
        self.options.split(|byte| *byte == b',')
    }

    /// Whether it shows control groups that may account for memory: of version 1 only with that controller.
    pub(crate) fn may_have_memory_groups(&self) -> bool {
        match &self.kind[..] {
            b"cgroup" => self.options().any(|option| option == b"memory"),
            kind => kind == b"cgroup2",
        }
    }

    /// Whether its files may be in DAX mode: by an option of the mount, or because it is on persistent memory.
    pub(crate) fn may_be_dax(&self) -> bool {
        let asks = |option: &[u8]| option.starts_with(b"dax") && option != b"dax=never";
        self.source.starts_with(b"/dev/pmem") || self.options().any(asks)
    }

    /// Whether it is FUSE, on which opening a file may drop its cached pages.
    pub(crate) fn is_fuse(&self) -> bool {
        self.kind.starts_with(b"fuse.") || [&b"fuse"[..], b"fuseblk", b"virtiofs"].contains(&&self.kind[..])
    }

    /// Whether its file system waits for a server.
    pub(crate) fn is_served(&self) -> bool {
        self.is_fuse() || SERVED.contains(&&self.kind[..])
    }

    /// The directories of other mounts that its files come from: the layers of overlayfs, in the order of the options.
    pub(crate) fn layers(&self) -> Vec<Layer> {
        let mut layers = Vec::new();
        for option in self.options().filter(|_| self.kind == b"overlay") {
            let Some((key, value)) = memchr::memchr(b'=', option).and_then(|end| option.split_at_checked(end)) else {
                continue;
            };
            let value = unescape(value.get(1..).unwrap_or_default());
            match key {
                b"upperdir" => {
                    layers.push(Layer { role: LayerRole::Upper, path: split_layers(&value, false).concat() })
                }
                b"lowerdir" => add_lower(&mut layers, &value),
                // Neither colons nor backslashes are special in these.
                b"lowerdir+" => layers.push(Layer { role: LayerRole::Lower, path: value }),
                b"datadir+" => layers.push(Layer { role: LayerRole::Data, path: value }),
                _ => {}
            }
        }
        layers
    }
}

/// A directory of an overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) role: LayerRole,
    /// As it was named when the overlay was mounted, perhaps not from `/`, and perhaps with symbolic links.
    pub(crate) path: Vec<u8>,
}

/// What an overlay takes from a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LayerRole {
    /// What is written.
    Upper,
    /// Files that were not written.
    Lower,
    /// The data of files whose names are in another layer.
    Data,
}

/// The layers of `lowerdir=/a:/b::/data`: after two colons only data.
fn add_lower(layers: &mut Vec<Layer>, value: &[u8]) {
    let mut role = LayerRole::Lower;
    for path in split_layers(value, true) {
        match path.is_empty() {
            true => role = LayerRole::Data,
            false => layers.push(Layer { role, path }),
        }
    }
}

/// Splits a list of layers at colons, or not, and removes the backslashes that take the meaning from the character
/// behind them.
fn split_layers(value: &[u8], at_colons: bool) -> Vec<Vec<u8>> {
    let (mut paths, mut path) = (Vec::new(), Vec::new());
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => path.extend(bytes.next()),
            b':' if at_colons => paths.push(std::mem::take(&mut path)),
            byte => path.push(*byte),
        }
    }
    paths.push(path);
    paths
}

/// The mounts of one process.
#[derive(Debug, Default)]
pub(crate) struct MountTable {
    mounts: Vec<Mount>,
    /// The devices that may not answer.
    blocking: Vec<(u32, u32)>,
    /// Of these, the ones on which opening a file may drop its cached pages.
    fuse: Vec<(u32, u32)>,
}

impl MountTable {
    /// Parses `mountinfo`.
    pub(crate) fn parse(text: &[u8]) -> MountTable {
        let mounts: Vec<Mount> = text.split(|byte| *byte == b'\n').filter_map(parse_mount).collect();
        let blocking = mounts.iter().filter(|mount| mount.is_served()).map(|mount| mount.device).collect();
        let fuse = mounts.iter().filter(|mount| mount.is_fuse()).map(|mount| mount.device).collect();
        let mut table = MountTable { mounts, blocking, fuse };
        if table.has_blocking() {
            let is_above = |layer: &[u8]| table.blocking_above(Path::new(OsStr::from_bytes(layer))).is_some();
            let stacked = table.mounts.iter().filter(|mount| mount.layers().iter().any(|layer| is_above(&layer.path)));
            let stacked: Vec<_> = stacked.map(|mount| mount.device).collect();
            table.fuse.extend(&stacked);
            table.blocking.extend(stacked);
        }
        table
    }

    /// The mounts, in the order in which they were mounted.
    pub(crate) fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// Whether any mount may not answer.
    pub(crate) fn has_blocking(&self) -> bool {
        !self.blocking.is_empty()
    }

    /// Whether the file system on this device may not answer; `None` if it is not mounted anywhere.
    pub(crate) fn may_block(&self, device: (u32, u32)) -> Option<bool> {
        let is_listed = self.mounts.iter().any(|mount| mount.device == device);
        is_listed.then(|| self.blocking.contains(&device))
    }

    /// Whether opening a file on this device may drop its cached pages: FUSE, and what is stacked on a file system that
    /// may be FUSE. Unknown is not FUSE: see [`crate::kernel::whereabouts`].
    pub(crate) fn is_fuse(&self, device: (u32, u32)) -> bool {
        self.fuse.contains(&device)
    }

    /// The device of the mount with this number, in digits, and whether it may not answer.
    pub(crate) fn of_number(&self, number: &[u8]) -> Option<((u32, u32), bool)> {
        let mount = self.mounts.iter().find(|mount| mount.number == number)?;
        Some((mount.device, self.blocking.contains(&mount.device)))
    }

    /// The file system that is mounted at or above an absolute path without symbolic links and that may not answer: the
    /// one closest to it. To look up the path, it is asked.
    pub(crate) fn blocking_above(&self, path: &Path) -> Option<(u32, u32)> {
        let above = |mount: &&Mount| path.starts_with(OsStr::from_bytes(&mount.point));
        // A mount hides those below it that were mounted before. The last of the longest is the one that is seen.
        let mut chain: Vec<&Mount> = self.mounts.iter().filter(above).collect();
        chain.sort_by_key(|mount| mount.point.len());
        let seen = chain.chunk_by(|one, next| one.point == next.point).filter_map(|same| same.last());
        seen.rev().find(|mount| self.blocking.contains(&mount.device)).map(|mount| mount.device)
    }

    /// Whether a file system of this kind (`proc`) is mounted closest above an absolute path.
    pub(crate) fn is_on(&self, path: &Path, kind: &[u8]) -> bool {
        let above = self.mounts.iter().filter(|mount| path.starts_with(OsStr::from_bytes(&mount.point)));
        above.max_by_key(|mount| mount.point.len()).is_some_and(|mount| mount.kind == kind)
    }
}

/// How long a list is taken as current.
const FRESH: Duration = Duration::from_secs(1);

static OWN: Mutex<Option<(Instant, Arc<MountTable>)>> = Mutex::new(None);

/// The mounts that this process sees, at most a second old; empty if they cannot be read.
pub(crate) fn own() -> Arc<MountTable> {
    own_if_known().unwrap_or_else(|| {
        let table = Arc::new(MountTable::parse(&std::fs::read("/proc/self/mountinfo").unwrap_or_default()));
        let known = (Instant::now(), Arc::clone(&table));
        *OWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        table
    })
}

/// The same if they have been read during the last second. Reading takes 30 us for 20 mounts.
pub(crate) fn own_if_known() -> Option<Arc<MountTable>> {
    let known = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.as_ref().filter(|(when, _)| when.elapsed() < FRESH).map(|(_, table)| Arc::clone(table))
}

/// Splits a device number.
pub(crate) fn parts(device: u64) -> (u32, u32) {
    (libc::major(device), libc::minor(device))
}

/// Parses `36 35 98:0 / /mnt rw master:1 - ext4 /dev/sda rw`.
pub(crate) fn parse_mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (number, parent, device) = (fields.next()?.to_vec(), fields.next()?.to_vec(), parse_device(fields.next()?)?);
    let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1).map(<[u8]>::to_vec);
    Some(Mount { number, parent, device, root, point, kind: rest.next()?, source: rest.next()?, options: rest.next()? })
}

fn parse_device(text: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = std::str::from_utf8(text).ok()?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A path with its spaces, tabs, newlines and backslashes, which the kernel writes as three octal digits.
pub(crate) fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', behind @ ..] if *first == b'\\' => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = behind;
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_mount() {
        let line = br"36 35 0:27 /subvolume /mnt/a\040b rw,noatime master:1 - btrfs /dev/root rw,dax=always";
        let mount = parse_mount(line).unwrap();
        assert_eq!((&mount.number[..], mount.device), (&b"36"[..], (0, 27)));
        assert_eq!(
            (&mount.root[..], &mount.point[..], &mount.kind[..]),
            (&b"/subvolume"[..], &b"/mnt/a b"[..], &b"btrfs"[..])
        );
        assert!(mount.may_be_dax());
        assert_eq!(parse_mount(b"36 35"), None);
        assert_eq!(parse_mount(b"36 35 0:27 / /mnt rw"), None);
    }

    #[test]
    fn the_layers_of_an_overlay_are_split_and_unescaped() {
        let layers = |options: &str| {
            let line = format!("8 1 0:46 / /merged rw - overlay none {options}");
            let layers = parse_mount(line.as_bytes()).unwrap().layers();
            layers.into_iter().map(|layer| (layer.role, String::from_utf8(layer.path).unwrap())).collect::<Vec<_>>()
        };
        use LayerRole::{Data, Lower, Upper};
        let named = |list: &[(LayerRole, &str)]| list.iter().map(|(role, path)| (*role, path.to_string())).collect();
        let lower: Vec<_> = named(&[(Lower, "/a:b"), (Lower, "l/c"), (Data, "/d"), (Data, "/e"), (Upper, "/u,p")]);
        assert_eq!(layers(r"rw,lowerdir=/a\134:b:l/c::/d::/e,upperdir=/u\054p,workdir=/w,xino=off"), lower);
        let single: Vec<_> = named(&[(Lower, r"/a:\b"), (Data, "/d e")]);
        assert_eq!(layers(r"rw,lowerdir+=/a:\134b,datadir+=/d\040e,redirect_dir=on"), single);
        let other = parse_mount(b"8 1 0:46 / /m rw - tmpfs none rw,lowerdir=/a").unwrap();
        assert_eq!(other.layers(), []);
    }

    #[test]
    fn file_systems_that_wait_for_a_server_may_block() {
        let text = b"1 0 254:0 / / rw - ext4 /dev/vda rw\n2 1 0:40 / /net rw - fuse.sshfs host: rw\n\
                     3 2 0:41 / /net/memory rw - tmpfs none rw\n4 1 0:42 / /home rw - nfs4 server:/ rw\n\
                     5 4 0:43 / /home/over rw - tmpfs none rw\n6 4 0:44 / /home rw - tmpfs none rw\n\
                     7 1 0:45 / /sys/fs/fuse/connections rw - fusectl none rw\n\
                     8 1 0:46 / /merged rw - overlay none rw,lowerdir=/a:/net/layer,upperdir=/b,workdir=/c\n";
        let table = MountTable::parse(text);
        let blocks = |minor| table.may_block((0, minor));
        assert_eq!([40, 41, 42, 45, 46].map(blocks), [true, false, true, false, true].map(Some));
        assert_eq!(blocks(99), None);
        let above = |path: &str| table.blocking_above(Path::new(path)).map(|device| device.1);
        assert_eq!(["/net", "/net/memory/x", "/network", "/merged/x"].map(above), [Some(40), Some(40), None, Some(46)]);
        // What is mounted over it is asked instead.
        assert_eq!(above("/home/x"), None);
        assert_eq!(table.of_number(b"4"), Some(((0, 42), true)));
        assert!(table.has_blocking() && !MountTable::parse(b"1 0 254:0 / / rw - ext4 /dev/vda rw").has_blocking());
    }
}
