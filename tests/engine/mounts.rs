//! File systems that the test has to mount. Each test runs itself again in its own mount namespace, so that nothing is
//! left behind.

use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::known::page_size;
use rmap::pagecache::FileSystemKind;
use rmap::pagecache::{Engine, Method, OpenFile};
use rmap::units::{Pages, Reason};

use crate::common::mounted;
use crate::known::pairs;

fn write_pages(path: &Path, pages: u64, written: &[u64]) {
    let page = page_size().bytes();
    let file = std::fs::File::create(path).unwrap();
    file.set_len(pages * page).unwrap();
    for index in written {
        file.write_all_at(&[1], index * page).unwrap();
    }
}

#[test]
fn on_overlayfs_cachestat_is_not_trusted() {
    let mount = "mkdir low up work all && \
                 mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work all";
    let Some(folder) = mounted("on_overlayfs_cachestat_is_not_trusted", mount) else { return };
    let path = folder.join("all/file");
    write_pages(&path, 40, &[3, 4, 39]);
    let open = OpenFile::open(&path).unwrap();
    assert_eq!(open.file_system().kind, FileSystemKind::Stacked("overlayfs"));
    let report = Engine::detect().map(&open);
    assert_eq!((report.method(), report.cached()), (Ok(Method::Mincore), Ok(Pages(3))));
    assert_eq!(pairs(&report.runs.unwrap().unwrap()), [(3, 2), (39, 1)]);
    let forced = Engine::only(Method::Cachestat).measure(&open).cached().unwrap_err();
    assert_eq!(forced.to_string(), "unsupported: cachestat reports zeros on this file system");
}

#[test]
fn huge_pages_have_no_page_cache() {
    let mount = "mkdir huge && mount -t hugetlbfs none huge";
    let Some(folder) = mounted("huge_pages_have_no_page_cache", mount) else { return };
    let path = folder.join("huge/file");
    std::fs::File::create(&path).unwrap().set_len(4 << 20).unwrap();
    let open = OpenFile::open(&path).unwrap();
    for engine in [Engine::detect(), Engine::only(Method::Mincore), Engine::only(Method::Cachestat)] {
        let absent = engine.map(&open).cached().unwrap_err();
        assert_eq!(absent.reason, Reason::Unsupported);
        assert_eq!(absent.why, "huge pages of hugetlbfs are not in the page cache");
    }
}

#[test]
fn on_a_noatime_mount_a_writer_can_use_mincore() {
    let mount = "mkdir quiet && mount -t tmpfs -o noatime none quiet && chmod 755 .";
    let name = "on_a_noatime_mount_a_writer_can_use_mincore";
    let Some(folder) = mounted(name, mount) else { return };
    for (mode, cached) in [(0o666, Ok(Pages(2))), (0o644, Err(Reason::Denied))] {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join("quiet/file");
        write_pages(&path, 9, &[1, 8]);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let report =
            crate::other_users::as_nobody(|| Engine::only(Method::Mincore).measure(&OpenFile::open(&path).unwrap()));
        assert_eq!(report.unwrap().cached().map_err(|absent| absent.reason), cached, "mode {mode:o}");
    }
}
