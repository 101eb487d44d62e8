//! The code, data and stack of the child. After `fork(2)` the page table of the child lacks them in part, so that their
//! page faults would be counted as those of the memory that it is told to touch. Therefore they are mapped in first.
//!
//! The pages stay unless the kernel reclaims them.

use std::ops::Range;

use nix::libc::{self, c_int, c_void, dl_phdr_info};

/// A segment of the program or of a library in memory.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    addresses: Range<u64>,
    /// The part that may be written to.
    writable: Range<u64>,
}

/// The segments of this process, as `dl_iterate_phdr(3)` lists them.
pub(super) fn segments(page: u64) -> Vec<Segment> {
    let mut found = Found { segments: Vec::new(), page };
    // SAFETY: the function is called only during this call, with a pointer to `found`.
    unsafe { libc::dl_iterate_phdr(Some(take), (&raw mut found).cast()) };
    found.segments
}

struct Found {
    segments: Vec<Segment>,
    page: u64,
}

unsafe extern "C" fn take(info: *mut dl_phdr_info, _size: usize, found: *mut c_void) -> c_int {
    // SAFETY: this is what `segments` passes, and nothing else uses it meanwhile.
    let found = unsafe { &mut *found.cast::<Found>() };
    // SAFETY: the C library passes a valid description.
    let info = unsafe { &*info };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the description says how many headers there are.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let base = address(info.dlpi_addr);
    // What the linker has made read-only after relocation.
    let sealed = headers.iter().filter(|header| header.p_type == libc::PT_GNU_RELRO);
    let sealed = sealed.map(|header| place(base, header)).max_by_key(|range| range.end);
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_R != 0) {
        let addresses = place(base, header);
        let after = sealed.as_ref().filter(|sealed| addresses.contains(&sealed.start)).map_or(0, |sealed| sealed.end);
        let start = addresses.start.max(after.next_multiple_of(found.page)).min(addresses.end);
        let is_writable = header.p_flags & libc::PF_W != 0;
        let writable = if is_writable { start..addresses.end } else { 0..0 };
        found.segments.push(Segment { addresses, writable });
    }
    0
}

/// The addresses of what a header describes.
fn place(base: u64, header: &Header) -> Range<u64> {
    let start = base.wrapping_add(address(header.p_vaddr));
    start..start.saturating_add(address(header.p_memsz))
}

/// Addresses and lengths have 32 bits on some machines.
fn address(number: impl Into<u64>) -> u64 {
    number.into()
}

#[cfg(target_pointer_width = "64")]
type Header = libc::Elf64_Phdr;
#[cfg(target_pointer_width = "32")]
type Header = libc::Elf32_Phdr;

/// In the child: maps in the segments, and the part of the stack that it needs.
pub(super) fn map_in(segments: &[Segment], page: u64) {
    for segment in segments {
        for address in segment.addresses.clone().step_by(page as usize) {
            // SAFETY: the segment is mapped and readable. If the disk fails, the kernel ends the process.
            let byte = unsafe { (address as *const u8).read_volatile() };
            if segment.writable.contains(&address) {
                // SAFETY: it is writable, this process has one thread, and the value stays the same.
                unsafe { (address as *mut u8).write_volatile(byte) };
            }
        }
    }
    map_stack_in();
}

/// How much stack the child needs at most: less than what it keeps for itself below the stack of an experiment.
const STACK: usize = 48 << 10;

#[inline(never)]
fn map_stack_in() {
    std::hint::black_box(&mut [0_u8; STACK]);
}
