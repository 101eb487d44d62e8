//! Loads the programs of one object file, and runs them.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use aya::maps::Map;
use aya::programs::{ProgramError, RawTracePoint, RawTracePointRunOptions, TestRun as _};
use aya::{Btf, Ebpf, EbpfLoader, Endianness};
use nix::errno::Errno;

use super::shared::Shared;
use super::structures;

/// Why the programs cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// This user may not load programs, or the kernel is locked down.
    Denied,
    /// The kernel does not describe its structures (`/sys/kernel/btf/vmlinux`), or has no BPF.
    NoBtf,
    /// There is no `/sys/kernel` here in which it could.
    NoSysfs,
    /// Its structures are not those that the programs know.
    Unknown(String),
    /// Anything else.
    Failed(Errno),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::Denied => write!(out, "it needs root, or CAP_BPF and CAP_PERFMON, and no lockdown"),
            Unavailable::NoBtf => write!(out, "this kernel has no BPF, or does not describe its structures (BTF)"),
            Unavailable::NoSysfs => write!(out, "there is no /sys/kernel/btf/vmlinux here: mount sysfs on /sys"),
            Unavailable::Unknown(why) => write!(out, "{why}"),
            Unavailable::Failed(errno) => write!(out, "{}", errno.desc()),
        }
    }
}

/// The types of `programs/kernel.h` and the enumerations that the programs ask for.
const NAMED: &[&str] = &[
    "address_space",
    "atomic_t",
    "backing_dev_info",
    "cgroup",
    "cgroup_namespace",
    "cgroup_subsys_id",
    "cgroup_subsys_state",
    "css_set",
    "dentry",
    "file_system_type",
    "folio",
    "fs_struct",
    "hlist_bl_node",
    "hlist_head",
    "hlist_node",
    "inode",
    "kernfs_node",
    "kmem_cache",
    "list_head",
    "mapping_flags",
    "mem_cgroup",
    "nsproxy",
    "obj_cgroup",
    "page",
    "pageflags",
    "path",
    "qstr",
    "super_block",
    "task_struct",
    "xa_node",
    "xarray",
];

/// The programs of one object file, moved to the structures of the running kernel, which has not checked them yet.
#[derive(Debug)]
pub(crate) struct Adapted(Ebpf);

/// An object file for the running kernel, or why its structures do not fit.
pub(crate) type Adaptation = Result<Adapted, Unavailable>;

const INODES: &[u8] = aya::include_bytes_aligned!("programs/inodes.bpf.o");
const PAGES: &[u8] = aya::include_bytes_aligned!("programs/pages.bpf.o");

/// Moves the object file for inodes and `readers` copies of that for pages to the structures of the running kernel,
/// described in `/sys/kernel/btf/vmlinux`.
///
/// One loader serves for all: each new one would first read and parse the whole description on its own, although it is
/// given another.
///
/// # Errors
/// The kernel does not describe its structures.
pub(crate) fn adapt(readers: usize) -> Result<(Adaptation, Vec<Adaptation>), Unavailable> {
    let whole = std::fs::read("/sys/kernel/btf/vmlinux").map_err(|error| undescribed(&error))?;
    // If the description cannot be cut, all of it serves as well.
    let description = structures::cut(&whole, NAMED).unwrap_or(whole);
    let structures = Btf::parse(&description, Endianness::default()).map_err(|_| Unavailable::NoBtf)?;
    let mut loader = EbpfLoader::new();
    loader.btf(Some(&structures));
    let mut adapt = |object| loader.load(object).map(Adapted).map_err(|error| why(&error));
    Ok((adapt(INODES), (0..readers).map(|_| adapt(PAGES)).collect()))
}

/// Why the description cannot be read.
fn undescribed(error: &io::Error) -> Unavailable {
    match errno(error) {
        // A kernel that has it shows it in every sysfs.
        Errno::ENOENT if !std::fs::exists("/sys/kernel").unwrap_or(true) => Unavailable::NoSysfs,
        Errno::ENOENT => Unavailable::NoBtf,
        Errno::EACCES | Errno::EPERM => Unavailable::Denied,
        other => Unavailable::Failed(other),
    }
}

/// The loaded programs of one object file, which share one map.
#[derive(Debug)]
pub(super) struct Loaded {
    programs: Ebpf,
}

impl Loaded {
    /// Loads the programs with these names and maps the memory that they share with layout `T`.
    pub(super) fn new<T>(adapted: Adapted, names: &[&str]) -> Result<(Loaded, Shared<T>), Unavailable> {
        let Adapted(mut programs) = adapted;
        for name in names {
            let program = programs.program_mut(name).ok_or_else(|| unknown("a program is missing"))?;
            let program: &mut RawTracePoint = program.try_into().map_err(|error: ProgramError| why(&error))?;
            program.load().map_err(|error| why(&error))?;
        }
        let map = match programs.map("shared") {
            Some(Map::Array(map)) => map.fd().as_fd(),
            _ => return Err(unknown("its map is missing")),
        };
        let shared = Shared::new(map).map_err(|error| Unavailable::Failed(errno(&error)))?;
        Ok((Loaded { programs }, shared))
    }

    /// Runs a program once.
    ///
    /// # Errors
    /// As `bpf(2)`.
    #[doc(alias = "BPF_PROG_TEST_RUN")]
    pub(super) fn run(&self, name: &str) -> io::Result<()> {
        let program: Option<&RawTracePoint> = self.programs.program(name).and_then(|program| program.try_into().ok());
        let program = program.ok_or(io::ErrorKind::NotFound)?;
        program.test_run(RawTracePointRunOptions::default()).map(drop).map_err(io::Error::other)
    }
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn unknown(why: &str) -> Unavailable {
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    Unavailable::Unknown(format!("kernel {} is not known: {why}", release.as_deref().unwrap_or("?")))
}

/// The reason behind an error of the loader.
fn why(error: &(dyn std::error::Error + 'static)) -> Unavailable {
    let mut cause = Some(error);
    while let Some(one) = cause {
        if let Some(system) = one.downcast_ref::<io::Error>() {
            return match errno(system) {
                Errno::EPERM => Unavailable::Denied,
                Errno::ENOSYS => Unavailable::NoBtf,
                // What the verifier says about a field that this kernel does not have.
                Errno::EINVAL | Errno::EACCES | Errno::E2BIG => unknown("its structures do not fit"),
                other => Unavailable::Failed(other),
            };
        }
        cause = one.source();
    }
    unknown("its structures do not fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_structure_that_the_programs_name_is_kept() {
        let source = [
            include_str!("programs/kernel.h"),
            include_str!("programs/inodes.bpf.c"),
            include_str!("programs/pages.bpf.c"),
        ]
        .concat();
        let described = source.split("#pragma clang attribute").nth(1).unwrap();
        let structures = described.lines().filter_map(|line| line.strip_prefix("struct ")?.split([' ', ';']).next());
        let structures = structures.map(|name| name.split("___").next().unwrap());
        let asked =
            source.match_indices("(enum ").filter_map(|(at, found)| source[at + found.len()..].split(',').next());
        let named: Vec<&str> = structures.chain(asked).collect();
        assert!(named.len() > 30, "{named:?}");
        let missing: Vec<&&str> = named.iter().filter(|name| !NAMED.contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
