//! Memory that a loaded program shares with this process: the value of a BPF array map, mapped.

use std::io;
use std::marker::PhantomData;
use std::mem::{align_of, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};

use memmap2::{MmapMut, MmapOptions};

/// A type of plain numbers.
///
/// # Safety
/// Every pattern of bits must be a valid value, and there must be no padding whose content matters.
#[allow(unsafe_code, reason = "whoever implements it promises that any bits are a valid value")]
pub(super) unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($kind:ty),*) => {$(
        // SAFETY: it consists of integers (or arrays of them), for which any bits are a valid value.
        #[allow(unsafe_code, reason = "the promise above")]
        unsafe impl $crate::kernel::bpf::shared::Plain for $kind {}
    )*};
}
pub(super) use plain;

plain!(u8, u32, u64);

/// Memory with the layout of `T`, which a program writes while it runs.
///
/// Programs run only while this process waits for them in `BPF_PROG_TEST_RUN`, so nothing changes between two calls;
/// the compiler does not know that, so each access is volatile.
pub(super) struct Shared<T> {
    map: MmapMut,
    layout: PhantomData<T>,
}

impl<T> Shared<T> {
    /// Maps the value of the map behind `map`.
    ///
    /// # Errors
    /// As `mmap(2)`.
    #[allow(unsafe_code, reason = "memory that the kernel writes too")]
    pub(super) fn new(map: BorrowedFd<'_>) -> io::Result<Shared<T>> {
        // SAFETY: the map was created for this process, and nobody else has its descriptor. The programs that write to
        // it run only in calls of this process. It is accessed only with volatile reads and writes of plain types.
        let map = unsafe { MmapOptions::new().len(size_of::<T>()).map_mut(map.as_raw_fd()) }?;
        Ok(Shared { map, layout: PhantomData })
    }

    /// Where `count` values of type `U` begin at `offset`, if they lie within the memory.
    fn place<U: Plain>(&self, offset: usize, count: usize) -> Option<*const U> {
        let length = size_of::<U>().checked_mul(count)?;
        let place = self.map.get(offset..offset.checked_add(length)?)?.as_ptr().cast::<U>();
        (place.align_offset(align_of::<U>()) == 0).then_some(place)
    }

    /// The values at `offset`; fewer if the memory ends before.
    #[allow(unsafe_code, reason = "memory that the kernel writes too")]
    pub(super) fn read<U: Plain>(&self, offset: usize, count: usize) -> impl Iterator<Item = U> {
        let place = self.place::<U>(offset, count);
        (0..count).map_while(move |index| {
            let place = place?.wrapping_add(index);
            // SAFETY: `place` is aligned and lies within the mapping, which lives as long as `self`; any bits are a
            // valid value.
            Some(unsafe { place.read_volatile() })
        })
    }

    /// The value at `offset`.
    pub(super) fn get<U: Plain + Default>(&self, offset: usize) -> U {
        self.read(offset, 1).next().unwrap_or_default()
    }

    /// Writes values at `offset`, if they lie within the memory.
    #[allow(unsafe_code, reason = "memory that the kernel reads too")]
    pub(super) fn write<U: Plain>(&mut self, offset: usize, values: &[U]) {
        let Some(place) = self.place::<U>(offset, values.len()) else { return };
        for (index, value) in values.iter().enumerate() {
            // SAFETY: as in `read`; the mapping is writable, and `self` is borrowed for writing.
            unsafe { place.cast_mut().wrapping_add(index).write_volatile(*value) };
        }
    }
}

impl<T> std::fmt::Debug for Shared<T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Shared({} bytes)", self.map.len())
    }
}
