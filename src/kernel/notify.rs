//! Seccomp user notification: the kernel holds certain system calls of a process until this process has taken note of
//! them.
//!
//! A program that is started with a [`Filter`] (see [`super::launch`]) and everything that it forks stops at each of
//! the calls that the filter names, until the holder of the [`Listener`] lets it go on. The arguments of the calls are
//! known, their results are not. All other calls are as fast as ever, except for the filter itself.
//!
//! If nobody holds the listener any more, the kernel fails the calls with `ENOSYS`, which would break the program. So a
//! child process inherits it: [`super::heir`].

#![allow(unsafe_code, reason = "seccomp is not wrapped by nix")]

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapRaw;
use nix::errno::Errno;
use nix::libc::{self, c_int, c_uint, c_ulong, sock_filter, sock_fprog};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::Pid;

/// A system call whose beginning is to be noticed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched {
    /// Its number.
    pub(crate) number: libc::c_long,
    /// The arguments that are lengths: it is noticed only if one of them is large. Without any it is always noticed.
    pub(crate) lengths: &'static [u8],
    /// Whether it is `mmap`, which is not noticed if it only reserves address space without access.
    pub(crate) reserves: bool,
}

/// The program that tells the kernel which calls are noticed.
#[derive(Debug, Clone)]
pub(crate) struct Filter(Vec<sock_filter>);

/// A system call that has begun and waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Notification {
    id: u64,
    /// The id of the calling thread, as this process sees it.
    pub(crate) thread: u32,
    /// The number of the call.
    pub(crate) number: libc::c_long,
    /// Its arguments.
    pub(crate) arguments: [u64; 6],
}

/// Receives the calls.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
    /// The calls that are held, if there is memory for them that children share: one of them can let those go if this
    /// process ends before it has.
    open: Option<MmapRaw>,
}

/// The calls that are held.
#[repr(C)]
pub(super) struct Open {
    /// Where the kernel writes each call.
    last: libc::seccomp_notif,
    /// The ids of those that were received and not let go; 0 is a free place. If there are ever more, the rest is not
    /// remembered.
    held: [AtomicU64; MOST_HELD],
}

const MOST_HELD: usize = 500;

nix::ioctl_readwrite!(receive_notification, b'!', 0, libc::seccomp_notif);
nix::ioctl_readwrite!(send_response, b'!', 1, libc::seccomp_notif_resp);

/// `SECCOMP_IOCTL_NOTIF_SET_FLAGS` and its flag `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` (Linux 6.6).
const SET_FLAGS: c_ulong = nix::request_code_write!(b'!', 4, size_of::<u64>()) as c_ulong;
const SYNC_WAKE_UP: c_ulong = 1;

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`.
const CONTINUE: u32 = 1;

/// How the kernel names the architecture in the data of a filter.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_00b7);
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_00f3);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
const ARCHITECTURE: Option<u32> = None;

// Where the number, the architecture and the first argument are in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

// The instructions of a filter.
const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const IF_ANY: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

const fn step(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

const fn branch(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

const ALLOW: sock_filter = step(RETURN, libc::SECCOMP_RET_ALLOW);
const NOTIFY: sock_filter = step(RETURN, libc::SECCOMP_RET_USER_NOTIF);

impl Filter {
    /// A filter for these calls. Those with lengths are noticed from `least` bytes on. Calls in the way of another
    /// architecture (32 bits) are not noticed.
    ///
    /// `None` on an architecture whose name in filters is not known here.
    pub(crate) fn new(calls: &[Watched], least: u64) -> Option<Filter> {
        let least = u32::try_from(least).unwrap_or(u32::MAX);
        let head = [step(LOAD, ARCHITECTURE_AT), branch(IF_EQUAL, ARCHITECTURE?, 1, 0), ALLOW, step(LOAD, NUMBER_AT)];
        let mut program = head.to_vec();
        for call in calls {
            let mut block = block(call.lengths, least);
            if call.reserves {
                block.splice(0..0, RESERVES);
            }
            let past = u8::try_from(block.len()).unwrap_or(u8::MAX);
            program.push(branch(IF_EQUAL, u32::try_from(call.number).unwrap_or(u32::MAX), 0, past));
            program.extend(block);
        }
        program.push(ALLOW);
        Some(Filter(program))
    }

    /// Installs the filter in the calling thread, for good, and returns the descriptor of its listener. It allocates
    /// nothing, so that a forked child may call it.
    ///
    /// # Errors
    /// As `seccomp(2)`: `ENOSYS`, `EINVAL`: the kernel has no user notification, or signals would interrupt every call
    /// that is held (before 5.19), so that calls would fail which do not fail otherwise. `EBUSY`: the thread already
    /// has a listener.
    #[doc(alias = "seccomp")]
    pub(super) fn install(&self) -> Result<RawFd, Errno> {
        // The speculation of the program is left as it is, which a filter turns off otherwise before Linux 5.16.
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        // Signals do not interrupt a call once it was received.
        let flags = flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        match self.install_once(flags) {
            // Only root may keep the privileges that a set-user-id program gives.
            Err(Errno::EACCES) => {
                // SAFETY: a plain system call.
                Errno::result(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
                self.install_once(flags)
            }
            installed => installed,
        }
    }

    fn install_once(&self, flags: c_ulong) -> Result<RawFd, Errno> {
        let length = u16::try_from(self.0.len()).map_err(|_| Errno::E2BIG)?;
        let program = sock_fprog { len: length, filter: self.0.as_ptr().cast_mut() };
        // SAFETY: the program has as many instructions as stated, and the kernel only reads them.
        let fd = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags as c_uint, &raw const program)
        };
        Errno::result(fd).map(|fd| fd as RawFd)
    }
}

/// Where the low half of an argument is.
const fn low_at(argument: u32) -> u32 {
    ARGUMENTS_AT + 8 * argument + if cfg!(target_endian = "little") { 0 } else { 4 }
}

/// The instructions that allow an `mmap` without access, unless it replaces something (`MAP_FIXED`). Programs reserve
/// much address space when they start.
const RESERVES: [sock_filter; 5] = [
    step(LOAD, low_at(2)),
    branch(IF_EQUAL, 0, 0, 3),
    step(LOAD, low_at(3)),
    branch(IF_ANY, libc::MAP_FIXED as u32, 1, 0),
    ALLOW,
];

/// The instructions for one call: notify if any of these arguments is at least `least`.
fn block(lengths: &[u8], least: u32) -> Vec<sock_filter> {
    let (low, high) = if cfg!(target_endian = "little") { (0, 4) } else { (4, 0) };
    let mut block = Vec::new();
    for (place, argument) in (0..).zip(lengths) {
        // Four instructions an argument, then the two that return.
        let left = u8::try_from(lengths.len()).unwrap_or(u8::MAX).saturating_sub(place);
        let at = ARGUMENTS_AT + 8 * u32::from(*argument);
        block.push(step(LOAD, at + high));
        block.push(branch(IF_EQUAL, 0, 0, 4 * left - 1));
        block.push(step(LOAD, at + low));
        block.push(branch(IF_AT_LEAST, least, 4 * left - 3, 0));
    }
    block.extend((!lengths.is_empty()).then_some(ALLOW));
    block.push(NOTIFY);
    block
}

/// `struct sched_attr` of `sched_setattr(2)`, in its first version.
#[repr(C)]
struct Scheduling {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    /// For ordinary threads: how long it runs at a time, in nanoseconds (Linux 6.12).
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Has the calling thread run as soon as it has something to do, as far as this process may: before all ordinary
/// threads as root, otherwise before those that run for longer at a time. It is for a thread that only receives.
#[doc(alias = "sched_setattr")]
pub(crate) fn run_promptly() {
    const SHORTEST: u64 = 100_000;
    let size = size_of::<Scheduling>() as u32;
    let real_time = libc::SCHED_FIFO as u32;
    let scheduling =
        Scheduling { size, policy: real_time, flags: 0, nice: 0, priority: 1, runtime: 0, deadline: 0, period: 0 };
    // SAFETY: the kernel reads one value of the stated size.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const scheduling, 0) } == 0 {
        return;
    }
    // SAFETY: a plain system call.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let ordinary = Scheduling { policy: libc::SCHED_OTHER as u32, nice, priority: 0, runtime: SHORTEST, ..scheduling };
    // SAFETY: as above. An older kernel ignores the time.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const ordinary, 0) };
}

/// Whether the thread that made a call is one of this child, which has not been waited for. System calls name both in
/// the pid namespace of this process; `/proc` may belong to another one.
#[doc(alias = "tgkill")]
pub(crate) fn is_thread_of(program: Pid, thread: u32) -> bool {
    // SAFETY: a plain system call; the signal 0 is not sent.
    let found = unsafe { libc::syscall(libc::SYS_tgkill, program.as_raw(), thread, 0) };
    found == 0 || Errno::last() == Errno::EPERM
}

impl Listener {
    /// Takes the descriptor that [`Filter::install`] returned, in the process that will answer.
    pub(super) fn new(fd: OwnedFd) -> Listener {
        // Hands the processor over to the program at once. An older kernel refuses it, and is slower.
        // SAFETY: the call takes the flags as a number.
        unsafe { libc::ioctl(fd.as_raw_fd(), SET_FLAGS as _, SYNC_WAKE_UP) };
        Listener { fd, open: shared_memory().ok() }
    }

    /// The calls that are held, for a child; null if they are not known.
    pub(super) fn open(&self) -> *const Open {
        self.open.as_ref().map_or(std::ptr::null(), |open| open.as_mut_ptr().cast_const().cast())
    }

    /// The ids of the calls that are held.
    fn held(&self) -> &[AtomicU64] {
        // SAFETY: the page is mapped as long as this exists.
        unsafe { held_in(self.open()) }
    }

    /// Writes `new` where `old` is.
    fn note_held(&self, old: u64, new: u64) {
        if let Some(place) = self.held().iter().find(|place| place.load(Ordering::Relaxed) == old) {
            place.store(new, Ordering::Relaxed);
        }
    }

    /// The next call that waits. Blocks if there is none, before Linux 6.11 also if none can come any more. Only one
    /// thread may receive.
    ///
    /// # Errors
    /// `ENOENT`: the caller was killed or interrupted before its call was received, or [`Listener::is_over`]. `EINTR`.
    pub(crate) fn receive(&self) -> Result<Notification, Errno> {
        let mut own = MaybeUninit::uninit();
        // It comes first.
        let found = self.open.as_ref().map_or(own.as_mut_ptr(), |open| open.as_mut_ptr().cast());
        // SAFETY: either it is a value of this type on the stack, or a page that is mapped as long as this exists.
        let received = unsafe { receive_into(self.fd.as_raw_fd(), found) }?;
        // The next call takes its place there.
        self.note_held(0, received.id);
        Ok(received)
    }

    /// Whether no process is left that has the filter.
    pub(crate) fn is_over(&self) -> bool {
        let mut ready = [PollFd::new(self.fd.as_fd(), PollFlags::empty())];
        poll(&mut ready, PollTimeout::ZERO).is_ok() && ready.iter().any(|fd| fd.any() == Some(true))
    }

    /// Lets a call go on as if it had not been held.
    ///
    /// # Errors
    /// `ENOENT`: the caller was killed in the meantime.
    pub(crate) fn let_go(&self, notification: &Notification) -> Result<(), Errno> {
        let result = let_go(self.fd.as_raw_fd(), notification);
        self.note_held(notification.id, 0);
        result
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The ids of the calls that are held. What the kernel writes beside them is not referred to.
///
/// # Safety
/// `open` must be null, or point to such a value as long as the result is used.
unsafe fn held_in<'o>(open: *const Open) -> &'o [AtomicU64] {
    if open.is_null() {
        return &[];
    }
    // SAFETY: as the caller promises. Any integers are valid, and every access to these is atomic.
    unsafe { &(*open).held }
}

/// A page that children share with this process.
fn shared_memory() -> std::io::Result<MmapRaw> {
    let file = File::from(memfd_create(c"rmap-call", MFdFlags::MFD_CLOEXEC)?);
    file.set_len(size_of::<Open>() as u64)?;
    MmapRaw::map_raw(&file)
}

/// As [`Listener::receive`], for a forked child: it only makes a system call.
pub(super) fn receive(listener: RawFd) -> Result<Notification, Errno> {
    let mut found = MaybeUninit::uninit();
    // SAFETY: it is a value of this type on the stack.
    unsafe { receive_into(listener, found.as_mut_ptr()) }
}

/// Receives a call into `found`.
///
/// # Safety
/// `found` must be valid for writing and reading one value.
unsafe fn receive_into(listener: RawFd, found: *mut libc::seccomp_notif) -> Result<Notification, Errno> {
    // SAFETY: as the caller promises. It has only integers, so all zeros is a valid value; the kernel requires zeros.
    unsafe { found.write_bytes(0, 1) };
    // SAFETY: the kernel writes one value of this type.
    unsafe { receive_notification(listener, found) }?;
    // SAFETY: it was filled with zeros and then by the kernel, and nobody else writes it.
    let found = unsafe { found.read() };
    let number = libc::c_long::from(found.data.nr as c_int);
    Ok(Notification { id: found.id, thread: found.pid, number, arguments: found.data.args })
}

/// As [`Listener::let_go`], for a forked child: it only makes a system call.
pub(super) fn let_go(listener: RawFd, notification: &Notification) -> Result<(), Errno> {
    let_go_by_id(listener, notification.id)
}

/// Lets the calls that are held go, in a forked child: its parent may have received them and ended before it did.
///
/// # Safety
/// `open` must be null, or [`Listener::open`] of a listener that the parent had at the time of the fork.
pub(super) unsafe fn let_open_go(listener: RawFd, open: *const Open) {
    if open.is_null() {
        return;
    }
    // SAFETY: the page is mapped in the child too.
    let held = unsafe { held_in(open) }.iter().map(|place| place.load(Ordering::Relaxed)).filter(|id| *id != 0);
    // SAFETY: as above. What comes first has zeros or a call, and any integers are valid.
    let last = unsafe { open.cast::<libc::seccomp_notif>().read_volatile() };
    for id in held.chain([last.id]) {
        // One that was let go before is refused.
        let _ = let_go_by_id(listener, id);
    }
}

fn let_go_by_id(listener: RawFd, id: u64) -> Result<(), Errno> {
    let mut response = libc::seccomp_notif_resp { id, val: 0, error: 0, flags: CONTINUE };
    // SAFETY: the kernel reads one value of this type.
    unsafe { send_response(listener, &raw mut response) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a filter does with a call, step by step as the kernel does.
    fn outcome(filter: &Filter, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = [0u32; 16];
        (data[0], data[1]) = (number, ARCHITECTURE.unwrap());
        for (place, argument) in arguments.iter().enumerate() {
            (data[4 + 2 * place], data[5 + 2 * place]) = (*argument as u32, (*argument >> 32) as u32);
        }
        let (mut place, mut loaded) = (0, 0);
        loop {
            let found = filter.0[place];
            place += 1;
            match found.code {
                RETURN => return found.k,
                LOAD => loaded = data[found.k as usize / 4],
                IF_EQUAL => place += usize::from(if loaded == found.k { found.jt } else { found.jf }),
                IF_ANY => place += usize::from(if loaded & found.k != 0 { found.jt } else { found.jf }),
                IF_AT_LEAST => place += usize::from(if loaded >= found.k { found.jt } else { found.jf }),
                other => panic!("an instruction that is not known: {other}"),
            }
        }
    }

    #[test]
    fn long_calls_are_noticed_and_others_are_not() {
        let calls = [
            Watched { number: 9, lengths: &[1], reserves: false },
            Watched { number: 25, lengths: &[1, 2], reserves: false },
            Watched { number: 231, lengths: &[], reserves: false },
            Watched { number: 222, lengths: &[1], reserves: true },
        ];
        let filter = Filter::new(&calls, 1 << 20).unwrap();
        let is_noticed = |number, arguments| outcome(&filter, number, arguments) == libc::SECCOMP_RET_USER_NOTIF;
        let length = |length| [0, length, 0, 0, 0, 0];
        assert!(is_noticed(9, length(1 << 20)) && is_noticed(9, length(1 << 33)) && is_noticed(9, length(u64::MAX)));
        assert!(!is_noticed(9, length((1 << 20) - 1)) && !is_noticed(9, [1 << 40, 4096, 1 << 40, 0, 0, 0]));
        assert!(is_noticed(25, [0, 4096, 1 << 21, 0, 0, 0]) && is_noticed(25, [0, 1 << 21, 4096, 0, 0, 0]));
        assert!(is_noticed(25, [0, 4096, 1 << 33, 0, 0, 0]) && !is_noticed(25, [0, 4096, 8192, 0, 0, 0]));
        let map = |length, access, flags| is_noticed(222, [0, length, access, flags, 0, 0]);
        assert!(map(1 << 20, 3, 2) && map(1 << 20, 0, 0x12) && !map(1 << 20, 0, 0x4002) && !map(4096, 0, 0x12));
        assert!(is_noticed(231, [0; 6]) && !is_noticed(0, length(1 << 30)) && !is_noticed(10, length(1 << 30)));
    }
}
