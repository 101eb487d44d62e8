//! File systems that a test must mount first. Each test runs itself again in a mount namespace of its own, so that
//! nothing is left behind.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rmap::kernel::file_system::Kind;
use rmap::kernel::page_size;
use rmap::pagecache::{Engine, Method, OpenFile};
use rmap::units::{Pages, Reason};

use crate::known::{self, pairs};

/// Where the test finds its folder when it runs inside the namespace.
const FOLDER: &str = "RMAP_TEST_MOUNTED_FOLDER";

/// Runs the test `name` again in a mount namespace after the shell script `mount`, which finds an empty directory on a
/// tmpfs as `$FOLDER`. Inside, gives that directory.
fn mounted(name: &str, mount: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return Some(PathBuf::from(folder));
    }
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("SKIPPED: {name}: only root can mount a file system to look at");
        return None;
    }
    let folder = tempfile::tempdir_in(known::memory()).unwrap();
    let script = format!("FOLDER=${FOLDER}; {{ {mount}; }} || exit 77; exec \"$0\" --exact mounts::{name} --nocapture");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", &script])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output();
    match output {
        Err(error) => eprintln!("SKIPPED: {name}: no unshare(1): {error}"),
        Ok(output) if output.status.code() == Some(77) => {
            eprintln!("SKIPPED: {name}: cannot mount here: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && said.contains("1 passed"),
                "{said}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    None
}

fn write_pages(path: &Path, pages: u64, written: &[u64]) {
    let page = page_size().bytes();
    let file = std::fs::File::create(path).unwrap();
    file.set_len(pages * page).unwrap();
    for index in written {
        file.write_all_at(&[1], index * page).unwrap();
    }
}

#[test]
fn on_overlayfs_the_zeros_of_cachestat_are_not_believed() {
    let mount = "mkdir $FOLDER/low $FOLDER/up $FOLDER/work $FOLDER/all && \
                 mount -t overlay overlay -o lowerdir=$FOLDER/low,upperdir=$FOLDER/up,workdir=$FOLDER/work $FOLDER/all";
    let Some(folder) = mounted("on_overlayfs_the_zeros_of_cachestat_are_not_believed", mount) else { return };
    let path = folder.join("all/file");
    write_pages(&path, 40, &[3, 4, 39]);
    let open = OpenFile::open(&path).unwrap();
    assert_eq!(open.file_system().kind, Kind::Stacked("overlayfs"));
    let report = Engine::detect().map(&open);
    assert_eq!((report.method(), report.cached()), (Ok(Method::Mincore), Ok(Pages(3))));
    assert_eq!(pairs(&report.runs.unwrap().unwrap()), [(3, 2), (39, 1)]);
    let forced = Engine::only(Method::Cachestat).measure(&open).cached().unwrap_err();
    assert_eq!(forced.to_string(), "unsupported: cachestat answers zeros on this file system");
}

#[test]
fn huge_pages_have_no_page_cache() {
    let mount = "mkdir $FOLDER/huge && mount -t hugetlbfs none $FOLDER/huge";
    let Some(folder) = mounted("huge_pages_have_no_page_cache", mount) else { return };
    let path = folder.join("huge/file");
    std::fs::File::create(&path).unwrap().set_len(4 << 20).unwrap();
    let open = OpenFile::open(&path).unwrap();
    for engine in [Engine::detect(), Engine::only(Method::Mincore), Engine::only(Method::Cachestat)] {
        let absent = engine.map(&open).cached().unwrap_err();
        assert_eq!(absent.reason, Reason::Unsupported);
        assert_eq!(absent.why, "huge pages of hugetlbfs are in no page cache");
    }
}

#[test]
fn where_the_mount_keeps_no_access_times_a_writer_can_look_with_mincore() {
    let mount = "mkdir $FOLDER/quiet && mount -t tmpfs -o noatime none $FOLDER/quiet && chmod 755 $FOLDER";
    let name = "where_the_mount_keeps_no_access_times_a_writer_can_look_with_mincore";
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
