//! Files that make other tools hang, change them or report wrong figures.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::known::page_size;
use nix::sys::stat::Mode;
use rmap::error::ErrorKind;
use rmap::pagecache::{Change, Engine, Method, OpenFile};
use rmap::units::{ByteRange, Pages, Reason};

use crate::known::{self, known_file};

/// The error for a file that is rejected.
fn refusal(path: &Path) -> String {
    let error = OpenFile::open(path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    error.why().to_owned()
}

#[test]
fn a_fifo_is_rejected_without_blocking() {
    let folder = known::disk();
    let path = folder.path().join("fifo");
    nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    assert_eq!(refusal(&path), "is a FIFO");
}

#[test]
fn files_that_are_not_regular_are_rejected_by_type() {
    let folder = known::disk();
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    assert_eq!(refusal(&socket), "is a socket");
    assert_eq!(refusal(folder.path()), "is a directory");
    assert_eq!(refusal(Path::new("/dev/null")), "is a character device");
}

#[test]
fn files_generated_by_the_kernel_are_rejected() {
    let why = "is on procfs, where the kernel generates files as they are read: it has no cached pages";
    assert_eq!(refusal(Path::new("/proc/self/smaps")), why);
    assert!(refusal(Path::new("/sys/kernel/mm/transparent_hugepage/enabled")).starts_with("is on sysfs"));
}

#[test]
fn errors_for_a_missing_file_and_a_symlink_loop_name_the_path() {
    let folder = known::disk();
    let missing = folder.path().join("missing");
    let error = OpenFile::open(&missing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), format!("{}: no such file", missing.display()));
    let link = folder.path().join("loop");
    std::os::unix::fs::symlink(&link, &link).unwrap();
    assert_eq!(OpenFile::open(&link).unwrap_err().kind(), ErrorKind::System);
}

#[test]
fn an_empty_file_has_no_pages_and_no_percentage() {
    let file = tempfile::NamedTempFile::new_in(known::memory()).unwrap();
    let open = OpenFile::open(file.path()).unwrap();
    for engine in [Engine::detect(), Engine::only(Method::Mincore)] {
        let report = engine.map(&open);
        assert_eq!((report.pages, report.cached(), report.dirty()), (Pages(0), Ok(Pages(0)), Ok(Pages(0))));
        assert_eq!(report.percent().unwrap_err().reason, Reason::NotApplicable);
        assert_eq!(report.runs.as_ref().unwrap().as_ref().unwrap().len(), 0);
    }
}

#[test]
fn a_range_past_the_end_has_no_pages() {
    let page = page_size().bytes();
    let known = known_file(&known::memory(), 4 * page, known::runs(&[(0, 4)]));
    let open = OpenFile::open(known.file.path()).unwrap();
    let report = Engine::detect().map_range(&open, ByteRange { offset: 4 * page, length: u64::MAX });
    assert_eq!((report.pages, report.cached()), (Pages(0), Ok(Pages(0))));
    assert_eq!(report.percent().unwrap_err().reason, Reason::NotApplicable);
}

#[test]
fn measuring_does_not_change_the_access_time() {
    let folder = known::disk();
    let path = folder.path().join("file");
    std::fs::write(&path, vec![1; 100_000]).unwrap();
    // Older than the modification time, so that with `relatime` any read would update it.
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    file.set_times(std::fs::FileTimes::new().set_accessed(old)).unwrap();
    let open = OpenFile::open(&path).unwrap();
    for method in [Method::Cachestat, Method::Mincore] {
        Engine::only(method).map(&open);
    }
    Engine::detect().map(&OpenFile::from_fd(&path, OwnedFd::from(std::fs::File::open(&path).unwrap())).unwrap());
    assert_eq!(path.metadata().unwrap().atime(), 1_000_000);
}

#[test]
fn a_file_truncated_after_opening_has_no_pages_past_its_end() {
    let page = page_size().bytes();
    let known = known_file(&known::memory(), 64 * page, known::runs(&[(0, 64)]));
    let open = OpenFile::open(known.file.path()).unwrap();
    known.file.as_file().set_len(page / 2).unwrap();
    for engine in [Engine::detect(), Engine::only(Method::Mincore)] {
        let report = engine.map(&open);
        assert_eq!((report.size.0, report.pages, report.cached()), (page / 2, Pages(1), Ok(Pages(1))));
    }
}

#[test]
fn a_file_that_changes_size_during_the_measurement_never_shows_too_many_pages() {
    let page = page_size().bytes();
    let known = known_file(&known::memory(), 2048 * page, known::runs(&[(0, 2048)]));
    let open = OpenFile::open(known.file.path()).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = known.file.as_file();
            while !stop.load(Ordering::Relaxed) {
                file.set_len(page).unwrap();
                file.set_len(2048 * page).unwrap();
                file.write_all(&[1; 4096]).unwrap();
            }
        });
        for engine in [Engine::detect(), Engine::only(Method::Mincore)] {
            for _ in 0..300 {
                let report = engine.map(&open);
                match report.cached() {
                    Ok(cached) => assert!(cached <= report.pages, "{report:?}"),
                    Err(absent) => assert_eq!(absent.reason, Reason::Changed, "{report:?}"),
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_file_that_grows_during_the_measurement_is_marked_as_changed() {
    let file = tempfile::NamedTempFile::new_in(known::memory()).unwrap();
    file.as_file().write_all(&[1]).unwrap();
    let open = OpenFile::open(file.path()).unwrap();
    let marked = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !marked.load(Ordering::Relaxed) && file.as_file().metadata().unwrap().len() < 1 << 24 {
                file.as_file().write_all(&[1; 4096]).unwrap();
            }
        });
        let report = (0..1_000_000).map(|_| Engine::detect().measure(&open)).find(|report| report.changed.is_some());
        marked.store(true, Ordering::Relaxed);
        let report = report.unwrap();
        assert!(report.cached().unwrap() > Pages(0), "{report:?}");
    });
}

#[test]
fn a_renamed_or_removed_file_is_reported() {
    let folder = tempfile::tempdir_in(known::memory()).unwrap();
    let at = |name: &str| folder.path().join(name);
    let changed = |meanwhile: &dyn Fn()| {
        std::fs::write(at("file"), [1; 5000]).unwrap();
        let open = OpenFile::open(&at("file")).unwrap();
        meanwhile();
        let report = Engine::detect().measure(&open);
        assert_eq!(report.cached(), Ok(page_size().pages(rmap::units::Bytes(5000))));
        report.changed
    };
    let link = |to: &str| std::fs::hard_link(at("file"), at(to)).unwrap();
    let remove = |name: &str| std::fs::remove_file(at(name)).unwrap();
    assert_eq!(changed(&|| ()), None);
    assert_eq!(changed(&|| remove("file")), Some(Change::Removed));
    assert_eq!(changed(&|| (link("second"), remove("second")).1), None);
    link("other");
    assert_eq!(changed(&|| remove("other")), None, "another name was removed");
    link("other");
    assert_eq!(changed(&|| remove("file")), Some(Change::Removed), "the file still has another name");
    remove("other");
    std::fs::write(at("new"), "new").unwrap();
    let replace = || std::fs::rename(at("new"), at("file")).unwrap();
    assert_eq!(changed(&replace), Some(Change::Replaced));
}

/// The result of a long measurement during which something happens to the file.
fn changed_in_the_midst(meanwhile: impl FnOnce(&Path, &std::fs::File) + Send) -> (u64, Option<Change>) {
    let folder = tempfile::tempdir_in(known::memory()).unwrap();
    let path = folder.path().join("file");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(16 << 30).unwrap();
    let open = OpenFile::open(&path).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            meanwhile(&path, &file);
        });
        let report = Engine::only(Method::Mincore).with_threads(std::num::NonZeroUsize::MIN).measure(&open);
        (report.size.0, report.changed)
    })
}

#[test]
fn a_file_that_is_truncated_and_measured_again_is_marked() {
    assert_eq!(changed_in_the_midst(|_, file| file.set_len(4096).unwrap()), (4096, Some(Change::Written)));
}

#[test]
fn a_name_that_leads_to_another_file_is_noticed_even_if_the_link_count_is_unchanged() {
    let renamed = changed_in_the_midst(|path, _| std::fs::rename(path, path.with_extension("old")).unwrap());
    assert_eq!(renamed.1, Some(Change::Renamed));
    let replaced = changed_in_the_midst(|path, _| {
        std::fs::rename(path, path.with_extension("old")).unwrap();
        std::fs::write(path, "new").unwrap();
    });
    assert_eq!(replaced.1, Some(Change::Replaced));
}

#[test]
fn a_deleted_file_is_measured_through_its_descriptor() {
    let page = page_size().bytes();
    let known = known_file(&known::memory(), 8 * page, known::runs(&[(1, 2)]));
    let fd = OwnedFd::from(std::fs::File::open(known.file.path()).unwrap());
    let path = known.file.path().to_owned();
    drop(known);
    let open = OpenFile::from_fd(&path, fd).unwrap();
    assert_eq!(open.links(), 0);
    assert_eq!(Engine::detect().measure(&open).cached(), Ok(Pages(2)));
}

#[test]
fn a_descriptor_of_a_pipe_is_rejected() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let error = OpenFile::from_fd(Path::new("pipe:[1]"), OwnedFd::from(reader)).unwrap_err();
    assert_eq!(error.to_string(), "pipe:[1]: is a FIFO");
}

/// The kernel clears the end of the last page when a file is extended to the middle of one. That page is in the page
/// cache, but nothing was read or written: the sum and the page map agree that it is not cached.
#[test]
fn a_last_page_that_was_never_written_is_not_cached() {
    let folder = known::disk();
    let page = page_size().bytes();
    for written in [0, 1] {
        let path = folder.path().join(format!("reserved-{written}"));
        let mut file = std::fs::File::create_new(&path).unwrap();
        file.write_all(&vec![7; (written * page) as usize]).unwrap();
        let reserved = nix::fcntl::posix_fallocate(&file, 0, (page + 100) as i64);
        assert_eq!(reserved, Ok(()), "fallocate");
        let file = OpenFile::open(&path).unwrap();
        let (sum, map) = (Engine::detect().measure(&file), Engine::detect().map(&file));
        assert_eq!((sum.cached(), map.cached()), (Ok(Pages(written)), Ok(Pages(written))), "{written}");
        assert_eq!(Engine::only(Method::Mincore).measure(&file).cached(), Ok(Pages(written)), "{written}");
    }
}
