//! The kernel's own lists of inodes and pages, read by BPF programs: which files are cached, and in which state each of
//! their pages is, without opening or mapping a file and without a walk over directories.
//!
//! The programs (`programs/*.bpf.c`) only read. They are compiled once and moved to the structures of the running
//! kernel when they are loaded (CO-RE, from its BTF); a kernel whose structures do not fit refuses them. Loading needs
//! root of the whole machine, or `CAP_BPF` and `CAP_PERFMON`.
//!
//! Here are the raw lists. What they mean, and whether they can be trusted, is decided in
//! [`machine`](crate::machine).

pub(crate) mod inodes;
mod loaded;
pub(crate) mod pages;
mod shared;
pub(in crate::kernel) mod structures;

pub(crate) use loaded::{Adaptation, Adapted, Unavailable, adapt};

/// A path whose names were read from the last one up, each after a NUL. A name of the kernel's own may contain slashes.
fn downwards(upwards: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(upwards.len());
    for part in upwards.rsplit(|byte| *byte == 0).filter(|part| !part.is_empty()) {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_the_last_one_up_become_a_path() {
        assert_eq!(downwards(b"\0file\0below\0top"), b"/top/below/file");
        assert_eq!(downwards(b"\0dev/zero"), b"/dev/zero");
        assert_eq!(downwards(b"\0\0"), b"/");
    }
}
