//! Which programs and libraries a process runs, from the names of its mapped files: some shapes are only those of one
//! program.

use crate::process::file_uses::last_name;
use crate::process::kind::has_file;
use crate::process::mapping::Mappings;

/// Which programs and libraries a process has mapped.
#[derive(Debug, Default)]
pub(super) struct Programs {
    pub(super) jvm: bool,
    pub(super) v8: bool,
    pub(super) musl: bool,
    pub(super) postgres: bool,
}

impl Programs {
    pub(super) fn of(mappings: &Mappings) -> Programs {
        let mut programs = Programs::default();
        let mut last: &[u8] = b"";
        for mapping in mappings.iter().filter(has_file) {
            let path = mapping.path();
            // The mappings of a file follow each other.
            if std::mem::replace(&mut last, path) == path {
                continue;
            }
            let name = last_name(path);
            programs.jvm |= name == b"libjvm.so";
            programs.musl |= name.starts_with(b"ld-musl-") || name.starts_with(b"libc.musl-");
            programs.postgres |= name == b"postgres";
            programs.v8 |= V8.contains(&name) || name.starts_with(b"libnode.so") || name.starts_with(b"libv8.so");
        }
        programs
    }
}

/// Programs that contain V8.
const V8: [&[u8]; 8] = [b"node", b"nodejs", b"deno", b"d8", b"chrome", b"chromium", b"electron", b"chromium-browser"];
