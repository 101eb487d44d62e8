//! As a user who neither owns a file nor may write it: denied, never 100 %.

use std::os::unix::fs::PermissionsExt;

use crate::known::page_size;
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rmap::pagecache::{Engine, FileReport, Method, OpenFile};
use rmap::units::Reason;

use crate::known::{self, known_file};

/// Runs `look` as the user nobody. If that is not allowed, prints SKIPPED and returns `None`.
///
/// The kernel stores the file-system user per thread, and changing it from root drops the thread's file capabilities,
/// so this only needs a separate thread.
pub(crate) fn as_nobody<T: Send>(look: impl FnOnce() -> T + Send) -> Option<T> {
    if !Uid::effective().is_root() {
        eprintln!("SKIPPED: only root can become another user to look at a file");
        return None;
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setfsgid(Gid::from_raw(65534));
            setfsuid(Uid::from_raw(65534));
            look()
        });
        Some(thread.join().unwrap())
    })
}

/// What the user nobody sees for an uncached file with `mode` that anyone may read.
fn seen_by_nobody(engine: Engine, mode: u32) -> Option<FileReport> {
    let known = known_file(&known::memory(), 100 * page_size().bytes(), known::runs(&[]));
    known.file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
    let path = known.file.path().to_owned();
    as_nobody(|| {
        let open = OpenFile::open(&path).unwrap();
        assert!(!open.owned());
        engine.map(&open)
    })
}

#[test]
fn an_uncached_file_of_another_user_is_denied_instead_of_fully_cached() {
    for engine in [Engine::detect(), Engine::only(Method::Mincore), Engine::only(Method::Cachestat)] {
        let Some(report) = seen_by_nobody(engine, 0o644) else { return };
        match report.cached() {
            // On kernels before 6.12.12 cachestat reports the correct figures to any user.
            Ok(cached) => assert_eq!(cached.0, 0, "{report:?}"),
            Err(absent) => assert_eq!(absent.reason, Reason::Denied, "{report:?}"),
        }
    }
}

#[test]
fn a_writable_file_of_another_user_is_measured_but_not_mapped() {
    if !rmap::pagecache::Engine::detect().has_cachestat() {
        eprintln!("SKIPPED: cachestat is not available here (kernel before 6.5, or seccomp)");
        return;
    }
    let Some(report) = seen_by_nobody(Engine::detect(), 0o666) else { return };
    assert_eq!((report.method(), report.cached().map(|pages| pages.0)), (Ok(Method::Cachestat), Ok(0)));
    let Some(report) = seen_by_nobody(Engine::only(Method::Mincore), 0o666) else { return };
    assert_eq!(
        report.cached().unwrap_err().to_string(),
        "denied: mapping it for mincore would change its access time; only its owner can avoid that"
    );
}

#[test]
fn an_unreadable_file_is_an_error() {
    let known = known_file(&known::memory(), 1, known::runs(&[]));
    let Some(error) = as_nobody(|| OpenFile::open(known.file.path()).unwrap_err()) else { return };
    assert_eq!(error.kind(), rmap::error::ErrorKind::Denied);
    assert_eq!(error.why(), "permission denied");
}
