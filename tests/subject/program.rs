//! A program for the tests: it puts its own memory into a known state, reports it, and waits.
//!
//! `subject ACT...` does the acts in order, prints one line per mapping that it has created (`NAME START LENGTH
//! KEY=BYTES...`, with the figures that smaps must report), then `ready`, and waits for the end of its standard input.
//!
//! Acts (N is in pages):
//! * `anonymous:N:M`  maps N pages and writes to M of them
//! * `locked:N`       maps N pages and locks them
//! * `guard:N`        maps N pages without access
//! * `many:N`         creates N mappings of one page, alternately writable and read-only, and writes to the writable
//!   ones; they are not reported one by one
//! * `churn:N:MS`     maps and unmaps N slots of a memfd until it ends, pausing MS milliseconds after each: see
//!   [`churn`]
//! * `zero:N`         maps N pages and reads them, so that they are the zero page
//! * `huge:N:W`       maps N transparent huge pages, reads all of them and writes to the first W
//! * `hugetlb:N`      maps N pages of hugetlb and writes to them
//! * `guarded:N`      maps N pages, writes to all and makes a guard region of the second (`MADV_GUARD_INSTALL`)
//! * `swapped:N`      maps N pages, writes to them and asks the kernel to swap them out
//! * `shared_anonymous:N:M` maps N pages shared and writes to M of them
//! * `zero_file:N`    maps N pages of `/dev/zero` privately and writes to them
//!   (the figures of smaps for these last ones depend on the kernel, so they are not reported)
//! * `memfd:N:M`      maps a memfd of N pages and writes to M of them
//! * `shared:PATH:N:M`   creates a file of N pages, maps it shared and writes to M of them
//! * `private:PATH:N:R:W` creates a file of N pages, maps it private, reads R of them and writes to the first W of
//!   those
//! * `holes:PATH:N`    creates a file of N pages without blocks, maps it shared and reads all of them
//! * `synced:PATH:N:T` creates a file of N pages, writes it to the disk, maps it T times, reads all of it through each
//!   mapping, and locks the second mapping
//! * `part:PATH:O:N:M` maps N pages of a file that exists, from page O on, and writes to the first M of them;
//!   if M is 0, it is opened and mapped for reading only
//! * `paged_out:PATH:N` creates a file of N pages, maps it shared, writes to all of them and asks the kernel to swap
//!   them out
//! * `await:PATH`     waits until a file has this name
//! * `open:PATH`      keeps a file open
//! * `thread:PATH`    starts a thread with its own table of open files, in which it opens a file
//! * `view:PATH:N`    maps the first N pages of an existing file shared, reads all of them, and keeps it open
//! * `glance:PATH:N`  the same, and closes it: only the mapping is left
//! * `directory:DIR`  makes a directory its working directory
//! * `past:PATH:N:M`   creates a file of N pages, maps M pages of it and writes to the first one
//! * `ring:N`          maps a ring of N pages of a packet socket and reads it
//! * `marked:N`        maps N pages and has userfaultfd mark all of them
//! * `secret:N`        maps N pages of `memfd_secret` and writes to them
//! * `forbidden:N`     maps N pages, writes to them and takes all access away
//! * `chroot:DIR`      changes its root directory
//! * `share`           starts a child that shares the memory, as `vfork` does, and waits until the subject ends
//! * `share_as:UID`    the same, and the child runs as this user
//! * `unlink:PATH`    removes a file that was mapped before
//! * `rename:OLD:NEW` renames it
//! * `read:PID`       reads smaps of another process with the library, and prints errors as rmap does
//! * `headless`       ends its first thread when everything else is done, while another one keeps running
//! * `fork`           forks a child that holds the same memory until the subject ends: every page of a mapping with
//!   anonymous pages is then shared by two

#![allow(
    unsafe_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::multiple_unsafe_ops_per_block,
    reason = "a test program that maps memory by hand"
)]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mlock, mmap, mmap_anonymous};
use rmap::process::{Fields, Process, Wanted};

/// One mapping, and the figures that smaps must report for it, in pages.
struct Made {
    name: String,
    address: usize,
    pages: usize,
    rss: usize,
    anonymous: usize,
    locked: usize,
}

impl Made {
    /// Whether fork(2) copies its page table entries. It does not copy those of a mapping without anonymous pages; the
    /// child would fault them in, but accesses nothing.
    fn is_copied_by_fork(&self) -> bool {
        self.anonymous > 0
    }
}

fn main() {
    let page = page_size();
    let mut made = Vec::new();
    let mut sharers = 1;
    let mut headless = false;
    for act in std::env::args().skip(1) {
        let words: Vec<&str> = act.split(':').collect();
        let number = |place: usize| words[place].parse::<usize>().expect("a number of pages");
        match words[0] {
            "anonymous" => made.push(anonymous(&act, page, number(1), number(2))),
            "locked" => made.push(locked(&act, page, number(1))),
            "guard" => made.push(guard(&act, page, number(1))),
            "many" => many(page, number(1)),
            "churn" => made.push(churn(&act, page, number(1), number(2) as u64)),
            "zero" => read_pages(map_anonymous(page, number(1), READ_WRITE), page, number(1)),
            "huge" => huge(number(1), number(2)),
            "hugetlb" => hugetlb(number(1)),
            "guarded" => made.push(guarded(&act, page, number(1))),
            "swapped" => swapped(page, number(1)),
            "shared_anonymous" => write_pages(map_shared_anonymous(page, number(1)), page, number(2)),
            "zero_file" => {
                let file = OpenOptions::new().read(true).write(true).open("/dev/zero").expect("/dev/zero opens");
                write_pages(map_file(&file, page, number(1), MapFlags::MAP_PRIVATE), page, number(1));
            }
            "memfd" => made.push(memfd(&act, page, number(1), number(2))),
            "shared" => made.push(file(&act, page, words[1], number(2), Touch::SharedWrites(number(3)))),
            "private" => {
                made.push(file(
                    &act,
                    page,
                    words[1],
                    number(2),
                    Touch::Private { reads: number(3), writes: number(4) },
                ));
            }
            "holes" => holes(page, words[1], number(2)),
            "synced" => synced(page, words[1], number(2), number(3)),
            "part" => part(page, words[1], number(2), number(3), number(4)),
            "paged_out" => paged_out(page, words[1], number(2)),
            "await" => {
                while !std::path::Path::new(words[1]).exists() {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
            "open" => std::mem::forget(File::open(words[1]).expect("the file opens")),
            "thread" => thread(words[1]),
            "view" => std::mem::forget(view(page, words[1], number(2))),
            "glance" => drop(view(page, words[1], number(2))),
            "directory" => std::env::set_current_dir(words[1]).expect("the directory is entered"),
            "past" => past(page, words[1], number(2), number(3)),
            "ring" => ring(page, number(1)),
            "marked" => made.push(marked(&act, page, number(1))),
            "secret" => made.push(secret(&act, page, number(1))),
            "forbidden" => made.push(forbidden(&act, page, number(1))),
            "chroot" => nix::unistd::chroot(words[1]).expect("chroot"),
            "share" => share(None),
            "share_as" => share(Some(number(1))),
            "unlink" => std::fs::remove_file(words[1]).expect("the file is removed"),
            "rename" => std::fs::rename(words[1], words[2]).expect("the file is renamed"),
            "read" => read(words[1].parse().expect("a pid")),
            "headless" => headless = true,
            "fork" => {
                fork();
                sharers += 1;
            }
            other => panic!("unknown act {other}"),
        }
    }
    if headless {
        std::thread::spawn(move || {
            let is_alone = || std::fs::read_to_string("/proc/self/stat").is_ok_and(|text| text.contains(") Z "));
            while !is_alone() {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            tell(&made, page, sharers);
            wait_for_the_end();
            // The first thread no longer exists, so its return cannot end the process.
            std::process::exit(0);
        });
        // SAFETY: ends this thread alone; nothing that others use is on its stack.
        unsafe { nix::libc::syscall(nix::libc::SYS_exit, 0) };
        unreachable!("this thread has ended");
    }
    tell(&made, page, sharers);
    wait_for_the_end();
}

fn wait_for_the_end() {
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing).expect("standard input ends");
}

fn read(pid: u32) {
    let read = |process: Process| process.read_smaps(&mut Fields::new(), &Wanted::Everything);
    if let Err(error) = Process::open(pid).and_then(read) {
        eprintln!("{error}");
    }
}

fn tell(made: &[Made], page: usize, sharers: usize) {
    let mut out = std::io::stdout().lock();
    for one in made {
        let sharers = if one.is_copied_by_fork() { sharers } else { 1 };
        writeln!(
            out,
            "{} {:x} {} rss={} pss={} anonymous={} locked={}",
            one.name.replace([' ', '\n'], "_"),
            one.address,
            one.pages * page,
            one.rss * page,
            one.rss * page / sharers,
            one.anonymous * page,
            one.locked * page / sharers,
        )
        .expect("standard output takes it");
    }
    writeln!(out, "ready").expect("standard output takes it");
    out.flush().expect("standard output takes it");
}

fn page_size() -> usize {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).expect("sysconf").expect("a page size") as usize
}

fn length(page: usize, pages: usize) -> NonZeroUsize {
    NonZeroUsize::new(page * pages).expect("at least one page")
}

const READ_WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// Maps anonymous memory between two guard pages, so that the kernel does not merge it with a neighbour, and in small
/// pages.
fn map_anonymous(page: usize, pages: usize, protection: ProtFlags) -> *mut u8 {
    let around = length(page, pages + 2);
    // SAFETY: a new anonymous mapping overlaps nothing.
    let outer = unsafe { mmap_anonymous(None, around, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) }.expect("mmap");
    let inner = NonZeroUsize::new(outer.as_ptr() as usize + page).expect("an address");
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED;
    // SAFETY: it replaces the inside of the mapping that was just made, which nobody uses.
    let inner = unsafe { mmap_anonymous(Some(inner), length(page, pages), protection, flags) }.expect("mmap");
    // SAFETY: advice about a mapping of our own.
    unsafe { madvise(inner, page * pages, MmapAdvise::MADV_NOHUGEPAGE) }.expect("madvise");
    inner.as_ptr().cast()
}

fn write_pages(address: *mut u8, page: usize, count: usize) {
    for number in 0..count {
        // SAFETY: the caller mapped at least `count` writable pages there.
        unsafe { address.add(number * page).write_volatile(1) };
    }
}

fn read_pages(address: *mut u8, page: usize, count: usize) {
    for number in 0..count {
        // SAFETY: the caller mapped at least `count` readable pages there.
        unsafe { address.add(number * page).read_volatile() };
    }
}

/// The size of a huge page on machines with pages of 4 KiB.
const HUGE: usize = 2 << 20;

fn huge(count: usize, written: usize) {
    // SAFETY: a new anonymous mapping overlaps nothing.
    let outer = unsafe { mmap_anonymous(None, length(HUGE, count + 1), READ_WRITE, MapFlags::MAP_PRIVATE) };
    let outer = outer.expect("mmap");
    // SAFETY: advice about a mapping of our own.
    unsafe { madvise(outer, HUGE * (count + 1), MmapAdvise::MADV_HUGEPAGE) }.expect("madvise");
    let aligned = (outer.as_ptr() as usize).next_multiple_of(HUGE) as *mut u8;
    read_pages(aligned, HUGE, count);
    write_pages(aligned, HUGE, written);
}

fn hugetlb(count: usize) {
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_HUGETLB;
    // SAFETY: a new anonymous mapping overlaps nothing.
    let address = unsafe { mmap_anonymous(None, length(HUGE, count), READ_WRITE, flags) }.expect("mmap");
    write_pages(address.as_ptr().cast(), HUGE, count);
}

fn guarded(name: &str, page: usize, pages: usize) -> Made {
    /// `MADV_GUARD_INSTALL` of Linux 6.13.
    const GUARD_INSTALL: nix::libc::c_int = 102;
    let address = map_anonymous(page, pages, READ_WRITE);
    write_pages(address, page, pages);
    // SAFETY: the second page of a mapping of our own, which nobody uses; an older kernel refuses the advice.
    let refused = unsafe { nix::libc::madvise(address.add(page).cast(), page, GUARD_INSTALL) } != 0;
    let left = if refused { pages } else { pages - 1 };
    Made { name: name.into(), address: address as usize, pages, rss: left, anonymous: left, locked: 0 }
}

fn swapped(page: usize, pages: usize) {
    let address = map_anonymous(page, pages, READ_WRITE);
    write_pages(address, page, pages);
    let address = std::ptr::NonNull::new(address).expect("mapped").cast();
    // SAFETY: advice about a mapping of our own, which keeps its contents.
    unsafe { nix::libc::madvise(address.as_ptr(), page * pages, nix::libc::MADV_PAGEOUT) };
}

fn map_shared_anonymous(page: usize, pages: usize) -> *mut u8 {
    // SAFETY: a new anonymous mapping overlaps nothing.
    let address = unsafe { mmap_anonymous(None, length(page, pages), READ_WRITE, MapFlags::MAP_SHARED) };
    address.expect("mmap").as_ptr().cast()
}

fn anonymous(name: &str, page: usize, pages: usize, touched: usize) -> Made {
    let address = map_anonymous(page, pages, READ_WRITE);
    write_pages(address, page, touched);
    Made { name: name.into(), address: address as usize, pages, rss: touched, anonymous: touched, locked: 0 }
}

fn locked(name: &str, page: usize, pages: usize) -> Made {
    let address = map_anonymous(page, pages, READ_WRITE);
    write_pages(address, page, pages);
    // SAFETY: a mapping of our own.
    unsafe { mlock(std::ptr::NonNull::new(address).expect("mapped").cast(), page * pages) }.expect("mlock");
    Made { name: name.into(), address: address as usize, pages, rss: pages, anonymous: pages, locked: pages }
}

fn guard(name: &str, page: usize, pages: usize) -> Made {
    // The guard pages around it have the same protection, but not the advice, so that the kernel does not merge them.
    let address = map_anonymous(page, pages, ProtFlags::PROT_NONE) as usize;
    Made { name: name.into(), address, pages, rss: 0, anonymous: 0, locked: 0 }
}

/// Neighbours of different protection are not merged, so that each page is a mapping of its own.
fn many(page: usize, count: usize) {
    let address = map_anonymous(page, count, READ_WRITE);
    for number in 0..count {
        // SAFETY: within the mapping that was just made.
        let place = unsafe { address.add(number * page) };
        if number % 2 == 0 {
            write_pages(place, page, 1);
        } else {
            let place = std::ptr::NonNull::new(place).expect("mapped").cast();
            // SAFETY: a page of our own that nobody uses.
            unsafe { nix::sys::mman::mprotect(place, page, ProtFlags::PROT_READ) }.expect("mprotect");
        }
    }
}

/// Slot I of the churn is 16 pages, of which the first 1 + I % 4 are mapped, from page I of the file, and writable if I
/// is odd. Every eighth slot stays mapped; the others are mapped and unmapped.
fn churn(name: &str, page: usize, slots: usize, rest: u64) -> Made {
    let stride = 16 * page;
    // The thread is there before the slots are, or its own memory would be in them.
    let (work, works) = std::sync::mpsc::sync_channel::<Box<dyn FnOnce() + Send>>(0);
    std::thread::spawn(move || works.into_iter().for_each(|work| work()));
    work.send(Box::new(|| ())).expect("a thread");
    let fd = nix::sys::memfd::memfd_create("churn", nix::sys::memfd::MFdFlags::empty()).expect("memfd_create");
    let file = File::from(fd);
    file.set_len((page * (slots + 4)) as u64).expect("a length");
    // SAFETY: a new anonymous mapping overlaps nothing. Its own pages are given back: what is left is a hole to map
    // into.
    let base = unsafe { mmap_anonymous(None, length(stride, slots), ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) };
    let base = base.expect("mmap");
    // SAFETY: the mapping that was just made.
    unsafe { nix::sys::mman::munmap(base, stride * slots) }.expect("munmap");
    let base = base.as_ptr() as usize;
    let map = move |file: &File, slot: usize| {
        let protection = if slot % 2 == 1 { READ_WRITE } else { ProtFlags::PROT_READ };
        let place = NonZeroUsize::new(base + slot * stride);
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED_NOREPLACE | MapFlags::MAP_POPULATE;
        let size = length(page, 1 + slot % 4);
        // SAFETY: it replaces nothing.
        unsafe { mmap(place, size, protection, flags, file.as_fd(), (slot * page) as i64) }.is_ok()
    };
    (0..slots).step_by(8).for_each(|slot| assert!(map(&file, slot), "a slot is mapped"));
    let churning = move || {
        for slot in (0..slots).cycle().filter(|slot| slot % 8 != 0) {
            // Two neighbours at a time, in varying order.
            let other = slot * 7 % slots;
            map(&file, slot);
            if !other.is_multiple_of(8) {
                let place = std::ptr::NonNull::new((base + other * stride) as *mut _).expect("an address");
                // SAFETY: a slot of our own, mapped or not, that nobody looks into.
                unsafe { nix::sys::mman::munmap(place, (1 + other % 4) * page) }.expect("munmap");
            }
            if rest > 0 {
                std::thread::sleep(std::time::Duration::from_millis(rest));
            }
        }
    };
    work.send(Box::new(churning)).expect("a thread");
    Made { name: name.into(), address: base, pages: 16 * slots, rss: 0, anonymous: 0, locked: 0 }
}

fn memfd(name: &str, page: usize, pages: usize, touched: usize) -> Made {
    let fd = nix::sys::memfd::memfd_create("subject", nix::sys::memfd::MFdFlags::empty()).expect("memfd_create");
    let file = File::from(fd);
    file.set_len((page * pages) as u64).expect("a length");
    let address = map_file(&file, page, pages, MapFlags::MAP_SHARED);
    write_pages(address, page, touched);
    Made { name: name.into(), address: address as usize, pages, rss: touched, anonymous: 0, locked: 0 }
}

enum Touch {
    SharedWrites(usize),
    Private { reads: usize, writes: usize },
}

fn map_file(file: &File, page: usize, pages: usize, flags: MapFlags) -> *mut u8 {
    // SAFETY: a new mapping of a file that the test made and nobody truncates.
    let address = unsafe { mmap(None, length(page, pages), READ_WRITE, flags, file.as_fd(), 0) }.expect("mmap");
    // So that a fault maps only the accessed page, and none around it.
    // SAFETY: advice about a mapping of our own.
    unsafe { madvise(address, page * pages, MmapAdvise::MADV_RANDOM) }.expect("madvise");
    address.as_ptr().cast()
}

fn file(name: &str, page: usize, path: &str, pages: usize, touch: Touch) -> Made {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).truncate(true).open(path).expect("the file opens");
    file.write_all(&vec![7; page * pages]).expect("the file is written");
    let made = |address: *mut u8, rss, anonymous| Made {
        name: name.into(),
        address: address as usize,
        pages,
        rss,
        anonymous,
        locked: 0,
    };
    match touch {
        Touch::SharedWrites(touched) => {
            let address = map_file(&file, page, pages, MapFlags::MAP_SHARED);
            write_pages(address, page, touched);
            made(address, touched, 0)
        }
        Touch::Private { reads, writes } => {
            let address = map_file(&file, page, pages, MapFlags::MAP_PRIVATE);
            write_pages(address, page, writes);
            // A read fault may also map the cached pages around it, and advice cannot prevent that. So everything that
            // is not read is unmapped first.
            let rest = page * (pages - reads);
            if rest > 0 {
                // SAFETY: the tail of a mapping of our own, to which nobody else points.
                let tail = std::ptr::NonNull::new(unsafe { address.add(page * reads) }).expect("mapped").cast();
                // SAFETY: the same.
                unsafe { nix::sys::mman::munmap(tail, rest) }.expect("munmap");
            }
            for number in 0..reads {
                // SAFETY: within what is still mapped.
                unsafe { address.add(number * page).read_volatile() };
            }
            Made { pages: reads, ..made(address, reads, writes) }
        }
    }
}

/// Forks a child that waits for the end of a pipe that only the subject holds open.
fn fork() {
    let (read, write) = nix::unistd::pipe().expect("a pipe");
    // SAFETY: the program has one thread; the child only reads from the pipe and leaves.
    match unsafe { nix::unistd::fork() }.expect("fork") {
        nix::unistd::ForkResult::Child => {
            drop(write);
            let mut byte = [0];
            let _ = nix::unistd::read(&read, &mut byte);
            // SAFETY: leaves at once, without the parent's exit handlers.
            unsafe { nix::libc::_exit(0) };
        }
        nix::unistd::ForkResult::Parent { .. } => {
            drop(read);
            // Held open until the subject ends.
            std::mem::forget(write);
        }
    }
}

fn open_new(path: &str) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).open(path).expect("the file opens")
}

fn holes(page: usize, path: &str, pages: usize) {
    let file = open_new(path);
    file.set_len((page * pages) as u64).expect("a length");
    read_pages(map_file(&file, page, pages, MapFlags::MAP_SHARED), page, pages);
}

fn synced(page: usize, path: &str, pages: usize, times: usize) {
    let mut file = open_new(path);
    file.write_all(&vec![7; page * pages]).expect("the file is written");
    file.sync_all().expect("the file is on the disk");
    for time in 0..times {
        let address = map_file(&file, page, pages, MapFlags::MAP_SHARED);
        read_pages(address, page, pages);
        if time == 1 {
            let address = std::ptr::NonNull::new(address).expect("mapped").cast();
            // SAFETY: a mapping of our own.
            unsafe { mlock(address, page * pages) }.expect("mlock");
        }
    }
}

fn paged_out(page: usize, path: &str, pages: usize) {
    let file = open_new(path);
    file.set_len((page * pages) as u64).expect("a length");
    let address = map_file(&file, page, pages, MapFlags::MAP_SHARED);
    write_pages(address, page, pages);
    let address = std::ptr::NonNull::new(address).expect("mapped").cast();
    // SAFETY: a mapping of our own, whose contents the kernel keeps.
    unsafe { madvise(address, page * pages, MmapAdvise::MADV_PAGEOUT) }.expect("madvise");
}

fn thread(path: &str) {
    let (path, (send, opened)) = (path.to_owned(), std::sync::mpsc::channel());
    std::thread::spawn(move || {
        // SAFETY: gives this thread a copy of the table; nothing else uses it.
        assert_eq!(unsafe { nix::libc::unshare(nix::libc::CLONE_FILES) }, 0, "unshare");
        let file = File::open(path).expect("the file opens");
        send.send(()).expect("the first thread waits");
        std::thread::park();
        drop(file);
    });
    opened.recv().expect("the thread has opened it");
}

fn part(page: usize, path: &str, first: usize, pages: usize, written: usize) {
    let file = OpenOptions::new().read(true).write(written > 0).open(path).expect("the file opens");
    let access = if written > 0 { READ_WRITE } else { ProtFlags::PROT_READ };
    let (length, offset) = (length(page, pages), (page * first) as i64);
    // SAFETY: a new mapping overlaps nothing.
    let address = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &file, offset) };
    // A fault of a write maps only one page.
    write_pages(address.expect("mmap").as_ptr().cast(), page, written);
}

fn view(page: usize, path: &str, pages: usize) -> File {
    let file = File::open(path).expect("the file opens");
    let flags = MapFlags::MAP_SHARED;
    // SAFETY: a new mapping at an address that the kernel chooses.
    let address = unsafe { mmap(None, length(page, pages), ProtFlags::PROT_READ, flags, &file, 0) }.expect("mmap");
    read_pages(address.as_ptr().cast(), page, pages);
    file
}

fn past(page: usize, path: &str, pages: usize, mapped: usize) {
    let file = open_new(path);
    file.set_len((page * pages) as u64).expect("a length");
    let around = length(page, mapped + HUGE / page);
    // SAFETY: a new anonymous mapping overlaps nothing.
    let outer = unsafe { mmap_anonymous(None, around, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) }.expect("mmap");
    let place = NonZeroUsize::new((outer.as_ptr() as usize).next_multiple_of(HUGE));
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
    // SAFETY: it replaces the inside of the mapping that was just made, which nobody uses.
    let address = unsafe { mmap(place, length(page, mapped), READ_WRITE, flags, &file, 0) }.expect("mmap");
    // One page of each huge page is enough.
    write_pages(address.as_ptr().cast(), HUGE, pages.div_ceil(HUGE / page));
}

fn ring(page: usize, pages: usize) {
    use nix::libc;
    // SAFETY: plain system calls; the kernel reads the four numbers and keeps no pointer.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
    assert!(socket >= 0, "a packet socket");
    let ring = [page as u32, pages as u32, 2048, (pages * page / 2048) as u32];
    // SAFETY: see above; PACKET_RX_RING is option 5 of SOL_PACKET, 263.
    let set = unsafe { libc::setsockopt(socket, 263, 5, ring.as_ptr().cast(), 16) };
    assert_eq!(set, 0, "a ring");
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping overlaps nothing.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), page * pages, protection, libc::MAP_SHARED, socket, 0) };
    assert!(address != libc::MAP_FAILED, "the ring is mapped");
    read_pages(address.cast(), page, pages);
}

fn marked(name: &str, page: usize, pages: usize) -> Made {
    use nix::libc;
    let address = map_anonymous(page, pages, READ_WRITE);
    // SAFETY: a system call without pointers. 1 is UFFD_USER_MODE_ONLY.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | 1) } as i32;
    assert!(fd >= 0, "userfaultfd");
    // UFFDIO_API with the features WP_UNPOPULATED and PAGEFAULT_FLAG_WP, UFFDIO_REGISTER for write protection,
    // UFFDIO_WRITEPROTECT.
    let mut api = [0xaa_u64, 1 | 1 << 13, 0];
    let mut range = [address as u64, (page * pages) as u64, 2, 0];
    let mut protect = [address as u64, (page * pages) as u64, 1];
    let calls: [(u64, *mut u64); 3] =
        [(0xc018_aa3f, api.as_mut_ptr()), (0xc020_aa00, range.as_mut_ptr()), (0xc018_aa06, protect.as_mut_ptr())];
    for (request, argument) in calls {
        // SAFETY: each argument has the size that its request says, and outlives the call.
        let done = unsafe { libc::ioctl(fd, request as _, argument) };
        assert_eq!(done, 0, "{request:x}: {}", std::io::Error::last_os_error());
    }
    Made { name: name.into(), address: address as usize, pages, rss: 0, anonymous: 0, locked: 0 }
}

fn secret(name: &str, page: usize, pages: usize) -> Made {
    use std::os::fd::FromRawFd;
    // SAFETY: a system call without pointers.
    let fd = unsafe { nix::libc::syscall(nix::libc::SYS_memfd_secret, 0) } as i32;
    assert!(fd >= 0, "memfd_secret");
    // SAFETY: a descriptor that nothing else owns.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len((page * pages) as u64).expect("a length");
    let address = map_file(&file, page, pages, MapFlags::MAP_SHARED);
    write_pages(address, page, pages);
    Made { name: name.into(), address: address as usize, pages, rss: pages, anonymous: 0, locked: pages }
}

fn forbidden(name: &str, page: usize, pages: usize) -> Made {
    let address = map_anonymous(page, pages, READ_WRITE);
    write_pages(address, page, pages);
    let place = std::ptr::NonNull::new(address).expect("mapped").cast();
    // SAFETY: a mapping of our own that is no longer used.
    unsafe { nix::sys::mman::mprotect(place, page * pages, ProtFlags::PROT_NONE) }.expect("mprotect");
    Made { name: name.into(), address: address as usize, pages, rss: pages, anonymous: pages, locked: 0 }
}

/// Starts a child with `CLONE_VM`, on a stack of its own, that sleeps until its parent ends; as this user, if any.
fn share(user: Option<usize>) {
    use std::sync::atomic::{AtomicBool, Ordering};

    use nix::libc;
    static IS_READY: AtomicBool = AtomicBool::new(false);
    extern "C" fn sleep(user: *mut libc::c_void) -> libc::c_int {
        if !user.is_null() {
            // SAFETY: a system call without pointers, and for this process alone: the library would have it done by all
            // threads.
            unsafe { libc::syscall(libc::SYS_setuid, user as libc::c_long) };
        }
        IS_READY.store(true, Ordering::Release);
        // SAFETY: a system call without pointers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        loop {
            // SAFETY: only waits.
            unsafe { libc::pause() };
        }
    }
    let user = std::ptr::without_provenance_mut(user.unwrap_or_default());
    let stack = Box::leak(vec![0u8; 64 << 10].into_boxed_slice());
    let top = stack.as_mut_ptr_range().end;
    // SAFETY: the child runs on a stack that lives as long as the program, and only waits.
    let child = unsafe { libc::clone(sleep, top.cast(), libc::CLONE_VM | libc::SIGCHLD, user) };
    assert!(child > 0, "clone");
    while !IS_READY.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
}
