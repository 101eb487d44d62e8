//! Child processes that ask file systems which may never answer, so that this process never waits for one.
//!
//! A process that waits for the server of a FUSE or NFS mount cannot be ended, not even with SIGKILL, once the server
//! has taken the request. A thread that waits does not help: its process cannot end either, and whoever waits for that
//! process hangs too. Closing a descriptor may also ask the server, even at the end of the process. So such files are
//! opened, asked about, mapped and closed only in a child process, one per file system, and only numbers come back.
//!
//! The child is forked and never executes another program. It carries out the system calls that it is sent, one after
//! the other. It needs neither memory of its own nor locks, so it may be forked at any time, from any thread. Nobody
//! waits for it, and it closes everything that it inherits. When this process ends, the child is killed (see
//! [`helper`](super::helper)); if the server has already taken its question, the child ends as soon as the server
//! answers or is gone.
//!
//! If there is no answer within [`PATIENCE`], the error is `ETIMEDOUT`. Every further question to the same file system
//! then fails at once with the same error, until the answer arrives after all. So a run takes a limited time,
//! however many files there are.

#![allow(unsafe_code, reason = "a child process that never returns to Rust code, and memory that is shared with it")]

use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::statfs::Statfs;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

use super::guardian::close_others;
use super::helper::{Birth, Tie, end_with};

/// The number of `cachestat`. It follows `futex_waitv` (449) and `set_mempolicy_home_node` (450) in the common table,
/// so this is also correct on architectures whose numbers have an offset (mips, x32).
pub(super) const SYS_CACHESTAT: libc::c_long = libc::SYS_futex_waitv + 2;

/// How long an answer to a question is awaited.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// How long is waited for calls that move data: reading, writing back, locking. One call moves at most some MiB.
const LONG_PATIENCE: Duration = Duration::from_secs(60);

/// The longest path, with its NUL.
const INPUT: usize = 8192;

/// The longest result.
pub(crate) const OUTPUT: usize = 64 << 10;

/// What the child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Task {
    /// `openat`: flags.
    Open,
    /// `close`.
    Close,
    /// `fstatat`: flags.
    Stat,
    /// `fstatfs`.
    StatFs,
    /// `statx`: flags, mask.
    Statx,
    /// `name_to_handle_at`: flags.
    FileHandle,
    /// `readlinkat`.
    ReadLink,
    /// `getdents64`.
    List,
    /// `cachestat`: offset, length.
    CacheStat,
    /// `lseek`: offset, whence.
    Seek,
    /// `mmap` for reading: offset, length.
    Map,
    /// `munmap`: address, length.
    Unmap,
    /// `mincore`: address, length.
    MinCore,
    /// `mlock`: address, length.
    Lock,
    /// `posix_fadvise`: offset, length, advice.
    Advise,
    /// `readahead`: offset, length.
    ReadAhead,
    /// `sync_file_range`, waiting: offset, length.
    WriteBack,
    /// `fdatasync`.
    WriteBackAll,
    /// `pread`: offset, length.
    Read,
    /// `pidfd_getfd`: pid, descriptor.
    Take,
    /// `ioctl` that only fills in the output: its number.
    Ioctl,
}

impl Task {
    fn patience(self) -> Duration {
        match self {
            Task::Lock | Task::WriteBack | Task::WriteBackAll | Task::Read => LONG_PATIENCE,
            _ => PATIENCE,
        }
    }
}

/// A question for the child.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Question {
    task: Task,
    fd: RawFd,
    arguments: [u64; 3],
}

/// A child process, and the memory that it shares with this one: input, then output.
#[derive(Debug)]
pub(crate) struct Asker {
    memory: Memory,
    channel: Mutex<Channel>,
    /// The child ends with it.
    _tie: Arc<Tie>,
}

/// The memory itself.
#[derive(Debug)]
struct Memory(NonNull<c_void>);

/// The way to the child.
#[derive(Debug)]
struct Channel {
    socket: UnixStream,
    /// Whether an answer is outstanding.
    is_waiting: bool,
}

// SAFETY: the memory is a mapping that this value owns, and it is accessed only while the channel is locked.
unsafe impl Send for Asker {}
// SAFETY: as above.
unsafe impl Sync for Asker {}

/// Values that the kernel fills in: any bytes are valid.
///
/// # Safety
/// Every pattern of bits must be a valid value of the type.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: it has only integers.
unsafe impl Plain for libc::stat {}
// SAFETY: it has only integers.
unsafe impl Plain for Statfs {}

/// The children of this process by file system. A process that was forked from this one has none.
static ASKERS: Mutex<Option<(u32, Known)>> = Mutex::new(None);

type Known = HashMap<u64, Arc<Asker>>;

impl Asker {
    /// The child that asks the file system on this device. It is started if there is none yet.
    ///
    /// # Errors
    /// As `fork(2)`, `mmap(2)` and `socketpair(2)`.
    pub(crate) fn of_device(device: (u32, u32)) -> Result<Arc<Asker>, Errno> {
        let mut askers = ASKERS.lock().unwrap_or_else(PoisonError::into_inner);
        let own = std::process::id();
        let known = match &mut *askers {
            Some((pid, known)) if *pid == own => known,
            others => &mut others.insert((own, HashMap::new())).1,
        };
        let key = u64::from(device.0) << 32 | u64::from(device.1);
        if let Some(asker) = known.get(&key) {
            return Ok(Arc::clone(asker));
        }
        let asker = Arc::new(Asker::start()?);
        known.insert(key, Arc::clone(&asker));
        Ok(asker)
    }

    /// A child of its own, for whatever it is asked.
    ///
    /// # Errors
    /// As [`Asker::of_device`].
    #[doc(alias = "fork")]
    pub(super) fn start() -> Result<Asker, Errno> {
        let length = NonZeroUsize::MIN.saturating_add(INPUT + OUTPUT - 1);
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let memory = Memory(unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_SHARED) }?);
        let io = |error: std::io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        let (socket, far) = UnixStream::pair().map_err(io)?;
        let birth = Birth::begin()?;
        // In the child they stay blocked: Ctrl-C must not end it before this process, which may still have questions.
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        // SAFETY: the child only makes system calls that are async-signal-safe, uses no memory but its stack and the
        // shared mapping, and ends with `_exit`.
        let forked = unsafe { fork() };
        if let Ok(ForkResult::Child) = forked {
            detach(far.as_raw_fd(), birth.reader.as_raw_fd(), memory.0.as_ptr());
        }
        mask.thread_set_mask()?;
        if let ForkResult::Parent { child } = forked? {
            // It ends at once and leaves the child that serves to init.
            while waitpid(child, None) == Err(Errno::EINTR) {}
        }
        // SAFETY: the mapping is long enough, and who has written to it has ended.
        let pid = unsafe { memory.0.cast::<libc::pid_t>().read() };
        let tie = birth.end(pid)?;
        Ok(Asker { memory, channel: Mutex::new(Channel { socket, is_waiting: false }), _tie: tie })
    }

    /// Has the child carry out a task and returns its result. `input` is a path; `output` receives as many bytes as it
    /// has room for.
    ///
    /// # Errors
    /// Those of the system call. `ETIMEDOUT`: the file system does not answer. `EIO`: the child was ended.
    pub(crate) fn ask(
        &self,
        task: Task,
        fd: RawFd,
        arguments: [u64; 3],
        input: &CStr,
        output: &mut [u8],
    ) -> Result<u64, Errno> {
        self.ask_within(task.patience(), task, fd, arguments, input, output)
    }

    /// Whether the answer to an earlier question is outstanding.
    pub(super) fn is_waiting(&self) -> bool {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        channel.is_waiting && channel.receive(Duration::ZERO) == Err(Errno::ETIMEDOUT)
    }

    /// The same as [`Asker::ask`] with another patience.
    pub(super) fn ask_within(
        &self,
        patience: Duration,
        task: Task,
        fd: RawFd,
        arguments: [u64; 3],
        input: &CStr,
        output: &mut [u8],
    ) -> Result<u64, Errno> {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        let input = input.to_bytes_with_nul();
        if input.len() > INPUT {
            return Err(Errno::ENAMETOOLONG);
        }
        if channel.is_waiting {
            channel.receive(Duration::ZERO)?;
        }
        // SAFETY: `input` fits into the first part of the memory, which this value owns. The child waits for the
        // question and does not access it.
        unsafe { self.memory.0.as_ptr().copy_from_nonoverlapping(input.as_ptr().cast(), input.len()) };
        channel.send(&Question { task, fd, arguments })?;
        let result = channel.receive(patience)?;
        let length = output.len().min(OUTPUT);
        let result_at = self.memory.0.as_ptr().wrapping_byte_add(INPUT).cast::<u8>();
        // SAFETY: the second part of the memory has `OUTPUT` bytes, and the child has finished writing to it.
        unsafe { output.as_mut_ptr().copy_from_nonoverlapping(result_at, length) };
        match u64::try_from(result) {
            Ok(result) => Ok(result),
            Err(_) => Err(Errno::from_raw(i32::try_from(-result).unwrap_or(libc::EIO))),
        }
    }

    /// The same for a result of a known type.
    ///
    /// # Errors
    /// As [`Asker::ask`].
    pub(crate) fn ask_for<T: Plain>(
        &self,
        task: Task,
        fd: RawFd,
        arguments: [u64; 3],
        input: &CStr,
    ) -> Result<T, Errno> {
        let mut bytes = MaybeUninit::<T>::zeroed();
        // SAFETY: the slice covers the value, and its bytes are initialized.
        let slice = unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), size_of::<T>()) };
        self.ask(task, fd, arguments, input, slice)?;
        // SAFETY: every pattern of bits is a valid value of a plain type.
        Ok(unsafe { bytes.assume_init() })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping belongs to this value alone, and nothing refers to it any more. The child has its own.
        let _ = unsafe { munmap(self.0, INPUT + OUTPUT) };
    }
}

impl Channel {
    fn send(&mut self, question: &Question) -> Result<(), Errno> {
        // SAFETY: the value has no padding, so all its bytes are initialized.
        let bytes = unsafe { std::slice::from_raw_parts((&raw const *question).cast(), size_of::<Question>()) };
        self.socket.write_all(bytes).map_err(|_| Errno::EIO)?;
        self.is_waiting = true;
        Ok(())
    }

    /// Waits for the answer.
    fn receive(&mut self, patience: Duration) -> Result<i64, Errno> {
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        loop {
            match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) => return Err(Errno::ETIMEDOUT),
                Err(Errno::EINTR) => {}
                polled => {
                    polled?;
                    break;
                }
            }
        }
        let mut answer = [0; 8];
        self.socket.read_exact(&mut answer).map_err(|_| Errno::EIO)?;
        self.is_waiting = false;
        Ok(i64::from_ne_bytes(answer))
    }
}

/// The first child: starts the one that serves, which nobody waits for, leaves its pid in the memory, and ends.
fn detach(socket: RawFd, pipe: RawFd, memory: *mut c_void) -> ! {
    // SAFETY: as for the first `fork`.
    let forked = unsafe { libc::fork() };
    if forked == 0 {
        serve(socket, pipe, memory);
    }
    // SAFETY: the mapping is long enough, and nothing else accesses it before this process ends.
    unsafe { memory.cast::<libc::pid_t>().write(forked) };
    // SAFETY: this ends the process at once.
    unsafe { libc::_exit(0) }
}

/// The child: carries out what it is told until the other side is closed.
fn serve(socket: RawFd, pipe: RawFd, memory: *mut c_void) -> ! {
    // SAFETY: a plain system call.
    unsafe { libc::setpgid(0, 0) };
    // SAFETY: a plain system call; the string ends in a NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"ask".as_ptr()) };
    // Standard output and whatever else this process has open must not stay open if the child waits for ever.
    close_others([socket, pipe]);
    end_with(pipe);
    let mut question = Question { task: Task::Close, fd: -1, arguments: [0; 3] };
    loop {
        // SAFETY: the value has room for as many bytes, and the parent sends only valid ones.
        let count = unsafe { libc::read(socket, (&raw mut question).cast(), size_of::<Question>()) };
        match usize::try_from(count) {
            Ok(count) if count == size_of::<Question>() => {}
            Err(_) if Errno::last() == Errno::EINTR => continue,
            // SAFETY: this ends the process at once.
            _ => unsafe { libc::_exit(0) },
        }
        let result = carry_out(&question, memory);
        let answer = if result < 0 { -i64::from(Errno::last_raw()) } else { result };
        // SAFETY: the value is as long as stated.
        unsafe { libc::write(socket, (&raw const answer).cast(), size_of::<i64>()) };
    }
}

/// The size of `struct file_handle` with the longest handle.
const FILE_HANDLE: usize = 8 + libc::MAX_HANDLE_SZ as usize;

/// Makes the system call. A negative result means that `errno` has the error.
#[allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "the arms are one system call each, or few that belong together"
)]
fn carry_out(question: &Question, memory: *mut c_void) -> i64 {
    let Question { task, fd, arguments: [first, second, third] } = *question;
    let (path, output) = (memory.cast_const().cast(), memory.wrapping_byte_add(INPUT));
    let (flags, offset, length) = (first as c_int, first as libc::off64_t, second as usize);
    let address = first as usize as *mut c_void;
    // SAFETY: paths end in a NUL, the output has room for `OUTPUT` bytes and no task writes more, and the addresses are
    // those of mappings that this process made for the parent and does not access.
    unsafe {
        match task {
            Task::Open => libc::openat(fd, path, flags).into(),
            Task::Close => libc::close(fd).into(),
            Task::Stat => libc::fstatat(fd, path, output.cast(), flags).into(),
            Task::StatFs => libc::fstatfs64(fd, output.cast()).into(),
            Task::Statx => libc::syscall(libc::SYS_statx, fd, path, flags, second as libc::c_uint, output) as i64,
            Task::FileHandle => {
                output.cast::<u32>().write(libc::MAX_HANDLE_SZ as u32);
                let mount = output.wrapping_byte_add(FILE_HANDLE);
                libc::syscall(libc::SYS_name_to_handle_at, fd, path, output, mount, flags) as i64
            }
            Task::ReadLink => libc::readlinkat(fd, path, output.cast(), OUTPUT) as i64,
            Task::List => libc::syscall(libc::SYS_getdents64, fd, output, OUTPUT) as i64,
            Task::CacheStat => {
                let range = [first, second];
                libc::syscall(SYS_CACHESTAT, fd, range.as_ptr(), output, 0 as libc::c_uint) as i64
            }
            Task::Seek => libc::lseek64(fd, offset, second as c_int),
            Task::Map => {
                let found = libc::mmap64(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, fd, offset);
                if found == libc::MAP_FAILED { -1 } else { found as i64 }
            }
            Task::Unmap => libc::munmap(address, length).into(),
            Task::MinCore => libc::mincore(address, length, output.cast()).into(),
            Task::Lock => {
                // Without this a page that is missing is read together with its neighbours.
                libc::madvise(address, length, libc::MADV_RANDOM);
                libc::mlock(address, length).into()
            }
            Task::Advise => {
                let errno = libc::posix_fadvise64(fd, offset, second as libc::off64_t, third as c_int);
                if errno == 0 { 0 } else { failed_with(errno) }
            }
            Task::ReadAhead => libc::readahead(fd, offset, length) as i64,
            Task::WriteBack => {
                let flags =
                    libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
                libc::sync_file_range(fd, offset, second as libc::off64_t, flags).into()
            }
            Task::WriteBackAll => libc::fdatasync(fd).into(),
            Task::Read => libc::pread64(fd, output, length.min(OUTPUT), offset) as i64,
            Task::Ioctl => libc::ioctl(fd, first as _, output).into(),
            Task::Take => {
                let process = libc::syscall(libc::SYS_pidfd_open, first, 0 as libc::c_uint) as c_int;
                let taken = libc::syscall(libc::SYS_pidfd_getfd, process, second, 0 as libc::c_uint) as i64;
                let errno = Errno::last_raw();
                libc::close(process);
                if taken < 0 { failed_with(errno) } else { taken }
            }
        }
    }
}

fn failed_with(errno: c_int) -> i64 {
    Errno::from_raw(errno).set();
    -1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_opens_measures_and_closes_for_this_process() {
        let named = tempfile::NamedTempFile::new().unwrap();
        named.as_file().set_len(12345).unwrap();
        let path = std::ffi::CString::new(named.path().as_os_str().as_encoded_bytes()).unwrap();
        let asker = Asker::of_device((u32::MAX, 1)).unwrap();
        let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as u64;
        let fd = asker.ask(Task::Open, libc::AT_FDCWD, [flags, 0, 0], &path, &mut []).unwrap();
        let fd = RawFd::try_from(fd).unwrap();
        let empty = libc::AT_EMPTY_PATH as u64;
        let stat: libc::stat = asker.ask_for(Task::Stat, fd, [empty, 0, 0], c"").unwrap();
        assert_eq!(stat.st_size, 12345);
        let again = Asker::of_device((u32::MAX, 1)).unwrap();
        assert_eq!(again.ask(Task::Close, fd, [0; 3], c"", &mut []), Ok(0));
        assert_eq!(again.ask(Task::Close, fd, [0; 3], c"", &mut []), Err(Errno::EBADF));
        let error = again.ask(Task::Open, libc::AT_FDCWD, [flags, 0, 0], c"/no/such/file", &mut []);
        assert_eq!(error, Err(Errno::ENOENT));
    }
}
