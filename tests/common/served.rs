//! A file system that the test itself serves through `/dev/fuse`, and that stops answering on request. When the test
//! ends, however it ends, the kernel ends all requests, and nobody waits any more.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::mount::{MsFlags, mount};

/// The size of each of its files, `a`, `b` and `c (deleted)`, in bytes.
pub(crate) const SERVED_SIZE: u64 = 64 << 10;

const NAMES: [&str; 3] = ["a", "b", "c (deleted)"];

const NOTHING: u32 = 0;
const EVERYTHING: u32 = u32::MAX;
/// The server ends at the next request.
const THE_END: u32 = u32::MAX - 1;
const STATFS: u32 = 17;

/// The mounted file system.
pub(crate) struct Served {
    /// The operation that is not answered.
    silent: Arc<AtomicU32>,
    /// Only for a file system that nobody serves.
    _device: Option<File>,
}

impl Served {
    /// Mounts it on a directory without anybody who reads the requests.
    pub(crate) fn by_nobody(point: &Path) -> Option<Served> {
        Some(Served { silent: Arc::default(), _device: Some(mount_device(point)?) })
    }

    /// Mounts it on a directory and answers all requests. Opening a file drops its cached pages.
    pub(crate) fn mount(point: &Path) -> Option<Served> {
        Served::mount_without(point, 0)
    }

    /// The same, but the operation with this number is answered with `ENOSYS`.
    pub(crate) fn mount_without(point: &Path, operation: u32) -> Option<Served> {
        let device = mount_device(point)?;
        let silent = Arc::new(AtomicU32::new(NOTHING));
        let told = Arc::clone(&silent);
        std::thread::spawn(move || serve(device, &told, operation));
        Some(Served { silent, _device: None })
    }

    /// Reads requests and never answers them, until the value is dropped. Whoever waits for an answer cannot be ended.
    /// Nor can a program that has one of its files open: closing it asks the server.
    pub(crate) fn fall_silent(&self) -> Silence {
        self.fall_silent_to(EVERYTHING)
    }

    /// The same for requests about the file system as a whole (`statfs`): all others are answered.
    pub(crate) fn fall_silent_to_statfs(&self) -> Silence {
        self.fall_silent_to(STATFS)
    }

    /// Ends at the next request: nobody serves the mount any more.
    pub(crate) fn end(self) {
        self.silent.store(THE_END, Ordering::SeqCst);
    }

    fn fall_silent_to(&self, operation: u32) -> Silence {
        self.silent.store(operation, Ordering::SeqCst);
        Silence(Arc::clone(&self.silent))
    }
}

/// The time during which the server does not answer.
pub(crate) struct Silence(Arc<AtomicU32>);

impl Drop for Silence {
    fn drop(&mut self) {
        self.0.store(NOTHING, Ordering::SeqCst);
    }
}

fn mount_device(point: &Path) -> Option<File> {
    let device = match File::options().read(true).write(true).open("/dev/fuse") {
        Ok(device) => device,
        Err(error) => {
            eprintln!("SKIPPED: /dev/fuse cannot be opened: {error}");
            return None;
        }
    };
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
    let mounted = mount(Some("served"), point, Some("fuse.served"), MsFlags::empty(), Some(options.as_str()));
    match mounted {
        Ok(()) => Some(device),
        Err(errno) => {
            eprintln!("SKIPPED: a FUSE file system cannot be mounted here: {errno}");
            None
        }
    }
}

/// Numbers of 64 bits, as the kernel's structures have them.
fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn halves(halves: &[u32]) -> Vec<u8> {
    halves.iter().flat_map(|half| half.to_ne_bytes()).collect()
}

/// `struct fuse_attr`.
fn attributes(inode: u64) -> Vec<u8> {
    let (mode, size) = if inode == 1 { (0o40755, 4096) } else { (0o100_644, SERVED_SIZE) };
    [words(&[inode, size, size / 512, 1, 1, 1]), halves(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0])].concat()
}

/// The answer to a request (`linux/fuse.h`), or an error number.
fn answer(operation: u32, inode: u64, body: &[u8]) -> Result<Vec<u8>, i32> {
    let number = |at: usize| u64::from_ne_bytes(body[at..at + 8].try_into().unwrap());
    match operation {
        // LOOKUP: nothing is remembered, so that every lookup asks again.
        1 => {
            let name = body.split(|byte| *byte == 0).next().unwrap();
            let place = NAMES.iter().position(|known| known.as_bytes() == name).ok_or(nix::libc::ENOENT)?;
            let inode = place as u64 + 2;
            Ok([words(&[inode, 0, 0, 0, 0]), attributes(inode)].concat())
        }
        // GETATTR
        3 => Ok([words(&[0, 0]), attributes(inode)].concat()),
        // OPEN, OPENDIR: without FOPEN_KEEP_CACHE.
        14 | 27 => Ok(words(&[1, 0])),
        // READ
        15 => Ok(vec![7; (SERVED_SIZE.saturating_sub(number(8))).min(number(16) & 0xffff_ffff) as usize]),
        STATFS => Ok([words(&[1, 1, 1, 1, 1]), halves(&[4096, 255, 4096, 0, 0, 0, 0, 0, 0, 0])].concat()),
        // RELEASE, FLUSH, RELEASEDIR
        18 | 25 | 29 => Ok(Vec::new()),
        // INIT
        26 => Ok([halves(&[7, 31, 0, 0, 12 | 10 << 16, 1 << 17, 1, 1]), vec![0; 32]].concat()),
        // READDIR
        28 if number(8) == 0 => {
            let mut entries = Vec::new();
            for (place, name) in (1u64..).zip(NAMES) {
                entries.extend(words(&[place + 1, place]));
                entries.extend(halves(&[name.len() as u32, 8]));
                entries.extend(name.bytes());
                entries.resize(entries.len().next_multiple_of(8), 0);
            }
            Ok(entries)
        }
        28 => Ok(Vec::new()),
        _ => Err(nix::libc::ENOSYS),
    }
}

fn serve(mut device: File, silent: &AtomicU32, missing: u32) {
    let mut buffer = vec![0; 1 << 18];
    loop {
        let length = match device.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let request = &buffer[..length];
        let operation = u32::from_ne_bytes(request[4..8].try_into().unwrap());
        let inode = u64::from_ne_bytes(request[16..24].try_into().unwrap());
        // FORGET, INTERRUPT and BATCH_FORGET have no answer.
        let silent_to = silent.load(Ordering::SeqCst);
        if silent_to == THE_END {
            return;
        }
        if [EVERYTHING, operation].contains(&silent_to) || [2, 36, 42].contains(&operation) {
            continue;
        }
        let (error, data) = match answer(operation, inode, &request[40..]) {
            _ if operation == missing => (-nix::libc::ENOSYS, Vec::new()),
            Ok(data) => (0, data),
            Err(errno) => (-errno, Vec::new()),
        };
        let head = [&(16 + data.len() as u32).to_ne_bytes()[..], &error.to_ne_bytes(), &request[8..16]].concat();
        // The request may have been ended meanwhile.
        let _ = device.write(&[head, data].concat());
    }
}
