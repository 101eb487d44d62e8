//! Loads the programs of one object file, and runs them.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use aya::maps::Map;
use aya::programs::{ProgramError, RawTracePoint, RawTracePointRunOptions, TestRun as _};
use aya::{Btf, Ebpf, EbpfLoader};
use nix::errno::Errno;

use super::shared::Shared;

/// Why the programs cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// This user may not load programs, or the kernel is locked down.
    Denied,
    /// The kernel does not describe its structures (`/sys/kernel/btf/vmlinux`), or has no BPF.
    NoBtf,
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
            Unavailable::Unknown(why) => write!(out, "{why}"),
            Unavailable::Failed(errno) => write!(out, "{}", errno.desc()),
        }
    }
}

/// The structures of the running kernel, from `/sys/kernel/btf/vmlinux`.
#[derive(Debug)]
pub(crate) struct Structures(Btf);

impl Structures {
    /// Reads them.
    pub(crate) fn read() -> Result<Structures, Unavailable> {
        Btf::from_sys_fs().map(Structures).map_err(|_| Unavailable::NoBtf)
    }
}

/// The loaded programs of one object file, which share one map.
#[derive(Debug)]
pub(super) struct Loaded {
    programs: Ebpf,
}

impl Loaded {
    /// Loads `object` and maps the memory that its programs share with layout `T`.
    pub(super) fn new<T>(
        structures: &Structures,
        object: &[u8],
        names: &[&str],
    ) -> Result<(Loaded, Shared<T>), Unavailable> {
        let mut loader = EbpfLoader::new();
        loader.btf(Some(&structures.0));
        let mut programs = loader.load(object).map_err(|error| why(&error))?;
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
