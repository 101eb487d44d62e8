//! `mincore(2)` over a window of a file: which of its pages are in the page cache.
//!
//! The window is a mapping that is never accessed, so no page is read in and no SIGBUS is possible. This module does
//! not decide whether the answer is true: since Linux 5.2 the kernel reports every page as resident to a caller who
//! neither owns the file nor may write it.

#![allow(unsafe_code, reason = "mincore takes addresses; nix has no wrapper for it")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use memmap2::Advice;
use nix::errno::Errno;
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::handle::Handle;
use super::map::Map;
use super::page_size;

/// A part of a file, mapped for `mincore` and never accessed.
pub(crate) struct Window {
    map: Map,
    page: usize,
}

impl Window {
    /// Maps `length` bytes of the file from `offset`, readable and shared. The window may extend past the end of the
    /// file.
    ///
    /// `offset` must be a multiple of `page`, the page size in bytes. The kernel updates the access time of the file
    /// unless the descriptor has `O_NOATIME` or the mount does not keep access times.
    ///
    /// # Errors
    /// * `EINVAL`: `length` is zero or `offset` is not a multiple of the page size.
    /// * `ENODEV`: the file system cannot map files.
    /// * `EOVERFLOW`: past the largest offset of the file system.
    /// * `ENOMEM`: not enough address space (`RLIMIT_AS`), or too many mappings.
    /// * `EACCES`: the descriptor is not open for reading.
    #[doc(alias = "mmap")]
    pub(crate) fn map(file: &Handle, offset: u64, length: usize, page: usize) -> Result<Window, Errno> {
        if length == 0 || page == 0 || !offset.is_multiple_of(page as u64) {
            return Err(Errno::EINVAL);
        }
        let map = Map::of(file, offset, length)?;
        if let Map::Own(map) = &map {
            // On tmpfs with huge pages khugepaged would otherwise fill the holes of what is mapped. A kernel without
            // huge pages refuses this.
            let _ = map.advise(Advice::NoHugePage);
        }
        Ok(Window { map, page })
    }

    /// How many pages the window has. The last one may be partly used.
    pub(crate) fn pages(&self) -> usize {
        self.map.len().div_ceil(self.page)
    }

    /// Fills `answer` with one byte per page, starting at page `first` of the window. Bit 0 is set if the page is
    /// cached; the other bits are reserved. This is not a snapshot: the kernel drops its lock every 4096 pages.
    ///
    /// # Errors
    /// * `EINVAL`: the range extends past the window.
    /// * `EAGAIN`: the kernel was temporarily out of memory.
    #[doc(alias = "mincore")]
    pub(crate) fn cached(&self, first: usize, answer: &mut [u8]) -> Result<(), Errno> {
        if answer.is_empty() {
            return Ok(());
        }
        let inside = first.checked_add(answer.len()).is_some_and(|end| end <= self.pages());
        if !inside {
            return Err(Errno::EINVAL);
        }
        let start = match &self.map {
            Map::Own(map) => map.as_ptr().wrapping_add(first * self.page).cast_mut(),
            Map::Far(far) => return far.cached(first * self.page, answer.len() * self.page, answer),
        };
        // SAFETY: the window is mapped while `self` lives, and `answer.len()` pages from `start` are inside it (checked
        // above; a mapping ends on a page boundary). The kernel writes one byte per page to `answer`, which has that
        // length, and does not access the memory at `start`.
        let status = unsafe { libc::mincore(start.cast(), answer.len() * self.page, answer.as_mut_ptr()) };
        Errno::result(status).map(drop)
    }
}

/// Whether `mincore` reports the truth to this process at all, tested once on two pages of which one is cached. A
/// sandbox may let the call succeed without doing anything.
pub(crate) fn works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        let page = page_size().bytes();
        let probe = || -> std::io::Result<[u8; 2]> {
            let file = File::from(memfd_create(c"rmap-probe", MFdFlags::MFD_CLOEXEC)?);
            file.set_len(2 * page)?;
            file.write_all_at(&[1], page)?;
            let page = usize::try_from(page).map_err(std::io::Error::other)?;
            // Neither value is what the kernel would write.
            let mut answer = [1, 0];
            Window::map(&file.into(), 0, 2 * page, page)?.cached(0, &mut answer)?;
            Ok(answer)
        };
        probe().is_ok_and(|answer| answer.map(|byte| byte & 1) == [0, 1])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of_pages(pages: u64, written: &[u64]) -> (Handle, usize) {
        let page = crate::kernel::page_size().bytes();
        let file = File::from(memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap());
        file.set_len(pages * page).unwrap();
        for index in written {
            file.write_all_at(&[1], index * page).unwrap();
        }
        (file.into(), page as usize)
    }

    #[test]
    fn only_written_pages_are_cached_and_measuring_changes_nothing() {
        let (file, page) = file_of_pages(4, &[0, 2]);
        let window = Window::map(&file, 0, 4 * page, page).unwrap();
        let mut answer = [9; 4];
        for _ in 0..2 {
            window.cached(0, &mut answer).unwrap();
            assert_eq!(answer.map(|byte| byte & 1), [1, 0, 1, 0]);
        }
        window.cached(1, &mut answer[..2]).unwrap();
        assert_eq!(answer[..2], [0, 1]);
    }

    #[test]
    fn khugepaged_leaves_the_holes_of_a_mapped_file_alone() {
        if std::fs::metadata("/sys/kernel/mm/transparent_hugepage").is_err() {
            eprintln!("SKIPPED: this kernel has no transparent huge pages");
            return;
        }
        let (file, page) = file_of_pages(4, &[0]);
        let window = Window::map(&file, 0, 4 * page, page).unwrap();
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let Map::Own(map) = &window.map else { panic!("it is mapped here") };
        let start = format!("{:08x}-", map.as_ptr() as usize);
        let mapping = smaps.split_once(&start).unwrap().1;
        let flags = mapping.lines().find(|line| line.starts_with("VmFlags:")).unwrap();
        assert!(flags.split(' ').any(|flag| flag == "nh"), "{flags}");
    }

    #[test]
    fn a_range_past_the_window_is_an_error() {
        let (file, page) = file_of_pages(4, &[]);
        let window = Window::map(&file, 0, 2 * page, page).unwrap();
        assert_eq!(window.cached(1, &mut [0; 2]), Err(Errno::EINVAL));
        assert_eq!(window.cached(usize::MAX, &mut [0; 2]), Err(Errno::EINVAL));
        assert_eq!(window.cached(2, &mut []), Ok(()));
        assert_eq!(Window::map(&file, 0, 0, page).err(), Some(Errno::EINVAL));
        assert_eq!(Window::map(&file, 1, page, page).err(), Some(Errno::EINVAL));
    }

    #[test]
    fn pages_past_the_end_of_the_file_are_not_cached() {
        let (file, page) = file_of_pages(1, &[0]);
        let window = Window::map(&file, 64 * page as u64, page, page).unwrap();
        let mut answer = [9];
        window.cached(0, &mut answer).unwrap();
        assert_eq!(answer, [0]);
    }
}
