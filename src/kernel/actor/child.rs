//! The child of [`Actor`](super::Actor): carries out orders.
//!
//! Everything here makes system calls and uses the allocator of the C library, and no memory of Rust but its stack.

use std::os::fd::RawFd;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::libc::{self, c_int, c_void};
use nix::unistd::Pid;

use super::board::{Board, Done};
use super::orders::{Order, Pattern, Touch};
use super::own_memory::{Segment, map_in};
use crate::kernel::demo_data;
use crate::kernel::signal::is_ignored;

/// In a new child: has it end with its parent, also if that has ended already, and stop with it at Ctrl-Z: it stays in
/// the process group of its parent, so that the terminal tells both.
pub(super) fn end_with(parent: Pid) {
    stop_with_parent();
    // SAFETY: a plain system call; the string ends in a NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"act".as_ptr()) };
    // SAFETY: a plain system call.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: a plain system call.
    if unsafe { libc::getppid() } != parent.as_raw() {
        // SAFETY: this ends the process at once.
        unsafe { libc::_exit(0) };
    }
}

/// Has the key of the terminal stop this process, unless it is ignored. Every other signal stays blocked.
fn stop_with_parent() {
    // SAFETY: all zeros is a valid set, and a valid action: the default one.
    let (mut signals, default): (libc::sigset_t, libc::sigaction) = unsafe { std::mem::zeroed() };
    if !is_ignored(libc::SIGTSTP) {
        // SAFETY: the action is valid, and the old one is not asked for.
        unsafe { libc::sigaction(libc::SIGTSTP, &raw const default, std::ptr::null_mut()) };
    }
    // SAFETY: the set is valid.
    unsafe { libc::sigaddset(&raw mut signals, libc::SIGTSTP) };
    // SAFETY: the set is valid, and the old one is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &raw const signals, std::ptr::null_mut()) };
}

/// The child: carries out what it is told until the other side is closed.
pub(super) fn act(socket: RawFd, board: &Board, page: &Page, own: &[Segment]) -> ! {
    map_in(own, page.0);
    // These, too, have memory of their own.
    faults();
    now();
    let mut state = State::default();
    let mut byte = 0_u8;
    loop {
        // SAFETY: there is room for one byte.
        if unsafe { libc::read(socket, (&raw mut byte).cast(), 1) } != 1 {
            // SAFETY: this ends the process at once.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: the parent has written it and waits for the answer.
        let order = unsafe { board.order.get().read() };
        let (before, begun) = (faults(), now());
        let result = state.carry_out(&order, board, page);
        let (after, ended) = (faults(), now());
        let done = Done {
            result,
            minor_faults: after.0.saturating_sub(before.0),
            major_faults: after.1.saturating_sub(before.1),
            nanoseconds: ended.saturating_sub(begun),
        };
        // SAFETY: the parent waits for the answer.
        unsafe { board.result.get().write(done) };
        // SAFETY: there is one byte.
        unsafe { libc::write(socket, (&raw const byte).cast(), 1) };
    }
}

/// The page faults of this process so far: without I/O, and with it.
fn faults() -> (u64, u64) {
    // SAFETY: all zeros is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the value has room for the answer.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    (usage.ru_minflt.unsigned_abs(), usage.ru_majflt.unsigned_abs())
}

/// Nanoseconds since some moment.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the value has room for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.unsigned_abs().saturating_mul(1_000_000_000).saturating_add(time.tv_nsec.unsigned_abs())
}

/// What the child knows between two orders.
#[derive(Default)]
struct State {
    /// How many steps of the pattern are done.
    steps: u64,
    /// The page that was touched last.
    last: Option<u64>,
    /// The last number of the random order.
    random: u64,
    /// The blocks of the allocator: the address and length of the list of their addresses, and the size of each.
    blocks: (u64, u64, u64),
    /// How many bytes of them are filled.
    filled: u64,
    /// The child of this child.
    forked: libc::pid_t,
}

/// The size of a page. The child must not ask for it: that may allocate memory.
pub(super) struct Page(pub(super) u64);

impl State {
    /// Carries out an order. A negative result is an error number.
    fn carry_out(&mut self, order: &Order, board: &Board, page: &Page) -> i64 {
        match *order {
            Order::Touch(touch) => self.touch(&touch, board, page.0),
            Order::Glance(touch) => State::default().touch(&touch, board, page.0),
            Order::Rewind => {
                *self = State { steps: 0, last: None, random: 0, ..std::mem::take(self) };
                0
            }
            Order::Stack => stack(page.0),
            Order::Allocations { length, block } => self.allocate(length, block),
            Order::FillAllocations { until } => self.fill_allocations(until, board, page.0),
            Order::FreeButOne => self.free(1),
            Order::FreeAll => self.free(0),
            Order::Trim => trim(),
            Order::Residency { address, length } => residency(address, length, board),
            Order::Fork => self.fork(),
            Order::EndFork => self.end_fork(),
            Order::WriteFile { fd, length } => write_file(fd, length, true, board),
            Order::Allocate { fd, length } => allocate_blocks(fd, length, board),
            _ => call(order, page.0),
        }
    }

    fn touch(&mut self, touch: &Touch, board: &Board, page: u64) -> i64 {
        let begun = now();
        let length = touch.length;
        let pages = length.div_ceil(page);
        let (step, end) = match touch.pattern {
            Pattern::Stride(step) => (step.max(1), touch.until.min(length).div_ceil(step.max(1))),
            _ => (page, touch.until.min(length).div_ceil(page)),
        };
        let (mut touched, first) = (0, self.steps);
        while self.steps < end {
            let place = match touch.pattern {
                Pattern::Sequential | Pattern::Stride(_) => self.steps * step,
                Pattern::Reverse => (pages - 1 - self.steps) * page,
                Pattern::Random => self.next_random(pages) * page,
            };
            let bytes = if let Pattern::Stride(_) = touch.pattern { 1 } else { page.min(length - place) };
            touch_bytes(touch.address + place, bytes, place, touch.writes);
            touched += u64::from(Some(place / page) != self.last);
            self.last = Some(place / page);
            self.steps += 1;
            let done = (self.steps - first).saturating_mul(step);
            board.done.store(done, Ordering::Relaxed);
            if board.stop.load(Ordering::Relaxed) || !wait(begun, done, touch.rate, board) {
                break;
            }
        }
        touched as i64
    }

    /// The next page in an order that has each page once: the numbers of a generator whose period is the next power of
    /// two, without those that are too large.
    fn next_random(&mut self, pages: u64) -> u64 {
        let mask = pages.next_power_of_two() - 1;
        loop {
            self.random = self.random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f) & mask;
            // The lowest bits repeat soon, so they become the highest ones.
            let mixed = (self.random ^ (self.random >> (mask.count_ones() / 2 + 1))) & mask;
            if mixed < pages {
                return mixed;
            }
        }
    }

    fn allocate(&mut self, length: u64, block: u64) -> i64 {
        fix_threshold();
        let count = length.div_ceil(block.max(1));
        let list = map_anonymous(count.saturating_mul(8), libc::MAP_PRIVATE | libc::MAP_NORESERVE);
        if list < 0 {
            return list;
        }
        self.blocks = (list as u64, count, block);
        self.filled = 0;
        for place in 0..count {
            // SAFETY: the allocator of the C library, in a process with one thread.
            let new = unsafe { libc::malloc(block as usize) };
            if new.is_null() {
                return -i64::from(libc::ENOMEM);
            }
            // SAFETY: the list has room for `count` addresses.
            unsafe { (list as *mut u64).wrapping_add(place as usize).write(new as u64) };
        }
        // SAFETY: the list has at least one address: memory of no length cannot be mapped.
        unsafe { (list as *const i64).read() }
    }

    fn fill_allocations(&mut self, until: u64, board: &Board, page: u64) -> i64 {
        let (list, count, block) = self.blocks;
        let until = until.min(count.saturating_mul(block));
        let mut pages = 0;
        while self.filled < until && !board.stop.load(Ordering::Relaxed) {
            let (place, offset) = (self.filled / block, self.filled % block);
            let length = page.min(block - offset).min(until - self.filled);
            // SAFETY: the list has `count` addresses, and `place` is less.
            let address = unsafe { (list as *const u64).wrapping_add(place as usize).read() };
            touch_bytes(address + offset, length, offset, true);
            self.filled += length;
            board.done.store(self.filled, Ordering::Relaxed);
            pages += 1;
        }
        pages
    }

    /// Frees all blocks but the last `kept`.
    fn free(&mut self, kept: u64) -> i64 {
        let (list, count, block) = self.blocks;
        let freed = count.saturating_sub(kept);
        for place in 0..freed {
            // SAFETY: the list has `count` addresses.
            let block = unsafe { (list as *const u64).wrapping_add(place as usize).read() };
            // SAFETY: the block was allocated and is freed once.
            unsafe { libc::free(block as *mut c_void) };
        }
        self.filled = 0;
        self.blocks = (list + freed * 8, count - freed, block);
        0
    }

    fn fork(&mut self) -> i64 {
        // SAFETY: a plain system call.
        let own = unsafe { libc::getpid() };
        // SAFETY: this process has one thread, and its child only waits.
        let forked = unsafe { libc::fork() };
        if forked == 0 {
            end_with(Pid::from_raw(own));
            loop {
                // SAFETY: a plain system call.
                unsafe { libc::pause() };
            }
        }
        self.forked = forked;
        if forked < 0 { -i64::from(Errno::last_raw()) } else { forked.into() }
    }

    fn end_fork(&mut self) -> i64 {
        if self.forked > 0 {
            // SAFETY: a plain system call about the child of this process.
            unsafe { libc::kill(self.forked, libc::SIGKILL) };
            // SAFETY: as above.
            unsafe { libc::waitpid(self.forked, std::ptr::null_mut(), 0) };
        }
        self.forked = 0;
        0
    }
}

/// Waits until so many bytes may be done at this rate. Returns false if the order is to end early.
fn wait(begun: u64, done: u64, rate: u64, board: &Board) -> bool {
    if rate == 0 {
        return true;
    }
    let due = (u128::from(done) * 1_000_000_000 / u128::from(rate)) as u64;
    loop {
        let left = due.saturating_sub(now().saturating_sub(begun));
        if board.stop.load(Ordering::Relaxed) {
            return false;
        }
        // Shorter pauses would take longer than they should.
        if left < 1_000_000 {
            return true;
        }
        let pause = libc::timespec { tv_sec: 0, tv_nsec: left.min(20_000_000) as _ };
        // SAFETY: the value is valid; nothing is written.
        unsafe { libc::nanosleep(&raw const pause, std::ptr::null_mut()) };
    }
}

/// Writes `(place + i) % 128` to byte `i`, or reads each byte.
fn touch_bytes(address: u64, length: u64, place: u64, writes: bool) {
    if writes {
        // SAFETY: this process has mapped the memory and nothing else refers to it. It was zeroed by the kernel or
        // belongs to a block of the allocator. If a page cannot be provided, the kernel ends the process.
        let bytes = unsafe { std::slice::from_raw_parts_mut(address as *mut u8, length as usize) };
        demo_data::fill(bytes, place);
    } else {
        for byte in 0..length {
            // SAFETY: as above.
            unsafe { ((address + byte) as *const u8).read_volatile() };
        }
    }
}

/// The address below which the stack may be used by an order.
#[inline(never)]
fn stack(page: u64) -> i64 {
    let here = 0_u8;
    let address = (&raw const here) as u64;
    // What the child itself still calls needs much less.
    ((address - (64 << 10)) / page * page) as i64
}

/// Keeps the size from which on a block is a mapping of its own: glibc raises it when such a block is freed.
fn fix_threshold() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the allocator of the C library, in a process with one thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
    }
}

fn trim() -> i64 {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: the allocator of the C library, in a process with one thread.
        i64::from(unsafe { libc::malloc_trim(0) })
    }
    #[cfg(not(target_env = "gnu"))]
    {
        -i64::from(libc::ENOSYS)
    }
}

/// Allocates the blocks of a file. Where the file system cannot, it writes zeros to them, takes those out of the page
/// cache again, and returns 1.
fn allocate_blocks(fd: RawFd, length: u64, board: &Board) -> i64 {
    loop {
        // SAFETY: a plain system call.
        if unsafe { libc::fallocate64(fd, 0, 0, length as libc::off64_t) } == 0 {
            return 0;
        }
        match Errno::last() {
            Errno::EINTR => {}
            Errno::EOPNOTSUPP | Errno::ENOSYS => break,
            errno => return -i64::from(errno as i32),
        }
    }
    match (write_file(fd, length, false, board), evict(fd)) {
        (0, 0) => 1,
        (0, errno) | (errno, _) => errno,
    }
}

/// Writes a file back and drops its pages.
fn evict(fd: RawFd) -> i64 {
    // SAFETY: a plain system call.
    unsafe { libc::fdatasync(fd) };
    // SAFETY: a plain system call.
    -i64::from(unsafe { libc::posix_fadvise64(fd, 0, 0, libc::POSIX_FADV_DONTNEED) })
}

/// Writes `length` bytes to a file: data, or zeros.
fn write_file(fd: RawFd, length: u64, is_data: bool, board: &Board) -> i64 {
    const BUFFER: usize = 32 << 10;
    let mut buffer = [0_u8; BUFFER];
    if is_data {
        demo_data::fill(&mut buffer, 0);
    }
    let mut written = 0;
    while written < length && !board.stop.load(Ordering::Relaxed) {
        let count = (length - written).min(BUFFER as u64) as usize;
        // SAFETY: the buffer is as long.
        let result = unsafe { libc::pwrite64(fd, buffer.as_ptr().cast(), count, written as libc::off64_t) };
        if result < 0 {
            return -i64::from(Errno::last_raw());
        }
        written += result.unsigned_abs() as u64;
        board.done.store(written, Ordering::Relaxed);
    }
    0
}

fn residency(address: u64, length: u64, board: &Board) -> i64 {
    // SAFETY: the kernel writes a byte for each page, of which the order has no more than there is room for, and the
    // parent waits for the answer.
    match unsafe { libc::mincore(address as *mut c_void, length as usize, board.residency.get().cast()) } {
        0 => 0,
        _ => -i64::from(Errno::last_raw()),
    }
}

fn map_anonymous(length: u64, flags: c_int) -> i64 {
    map(0, length, libc::PROT_READ | libc::PROT_WRITE, flags | libc::MAP_ANONYMOUS, -1)
}

/// `mmap(2)`; the address or the negative error number.
fn map(address: u64, length: u64, access: c_int, flags: c_int, fd: RawFd) -> i64 {
    // SAFETY: a fixed address lies within memory that was reserved for it, any other is chosen by the kernel.
    let found = unsafe { libc::mmap64(address as *mut c_void, length as usize, access, flags, fd, 0) };
    if found == libc::MAP_FAILED { -i64::from(Errno::last_raw()) } else { found as i64 }
}

/// Reserves memory with a page or more on either side, so that what is mapped there never becomes a part of a
/// neighbour. What may have huge pages begins where one does, as if the kernel had chosen the address.
fn reserve(length: u64, page: u64) -> i64 {
    // A page table has entries of 8 bytes and fills a page.
    let huge = page / 8 * page;
    let unit = if length < huge { page } else { huge };
    let whole = length.div_ceil(page).saturating_mul(page).saturating_add(2 * page + unit - page);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    match map(0, whole, libc::PROT_NONE, flags, -1) {
        error if error < 0 => error,
        address => (address as u64 + page).next_multiple_of(unit) as i64,
    }
}

/// Maps memory at a place that is reserved for it.
fn map_reserved(length: u64, flags: c_int, fd: RawFd, page: u64) -> i64 {
    match reserve(length, page) {
        error if error < 0 => error,
        at => map(at as u64, length, libc::PROT_READ | libc::PROT_WRITE, flags | libc::MAP_FIXED, fd),
    }
}

fn sharing(is_shared: bool) -> c_int {
    if is_shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE }
}

/// The orders that are one system call, or a few.
#[allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "the arms are one system call each, or few that belong together"
)]
fn call(order: &Order, page: u64) -> i64 {
    let memory = |address: u64| address as *mut c_void;
    // SAFETY: the descriptors and the memory belong to this process, and no value of Rust lies in that memory.
    let result = unsafe {
        match *order {
            Order::Truncate { fd, length } => libc::ftruncate64(fd, length as libc::off64_t),
            Order::MapFile { fd, length, is_shared } => return map_reserved(length, sharing(is_shared), fd, page),
            Order::MapAnonymous { length, is_shared } => {
                return map_reserved(length, sharing(is_shared) | libc::MAP_ANONYMOUS, -1, page);
            }
            Order::MapHuge { length } => return map_anonymous(length, libc::MAP_PRIVATE | libc::MAP_HUGETLB),
            Order::Unmap { address, length } => libc::munmap(memory(address), length as usize),
            Order::Move { address, length } => {
                let to = reserve(length, page);
                if to < 0 {
                    return to;
                }
                let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
                let length = length.div_ceil(page).saturating_mul(page) as usize;
                match libc::mremap(memory(address), length, length, flags, memory(to as u64)) {
                    libc::MAP_FAILED => -1,
                    moved => return moved as i64,
                }
            }
            Order::Advise { address, length, advice } => {
                libc::madvise(memory(address), length as usize, advice.number())
            }
            Order::Sync { address, length } => libc::msync(memory(address), length as usize, libc::MS_SYNC),
            Order::Evict { fd } => return evict(fd),
            _ => 0,
        }
    };
    if result < 0 { -i64::from(Errno::last_raw()) } else { 0 }
}
