//! Each test runs itself again in its own mount namespace, so that nothing is left behind.

use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::sys::signal::Signal;
use rmap::pagecache::{Engine, Method, OpenFile};
use rmap::units::Pages;
use serde_json::Value;

use crate::common::{Run, Running, Subject, command, mounted, rmap, shell};

/// A file system of `kind` made by `mkfs` on a loop device, mounted at `disk`.
fn loop_disk(size: &str, mkfs: &str) -> String {
    format!("truncate -s {size} image; {mkfs} image; mkdir disk; mount -o loop image disk")
}

/// The one row of `rmap ARGS... --jsonl PATH`.
fn row(args: &[&str], path: &Path) -> (Run, Value) {
    let path = path.to_str().unwrap();
    let run = rmap([args, &["--jsonl", path]].concat());
    let rows = run.lines_of_json();
    assert_eq!(rows.len(), 1, "{run:?}");
    let row = rows[0].clone();
    (run, row)
}

/// The number of cached pages in each view of a file.
fn cached_in_each_view(path: &Path) -> Vec<(&'static str, u64)> {
    let figure = |row: &Value| row["cached"].as_u64().unwrap();
    let plain = figure(&row(&["pcstat"], path).1);
    let pages = row(&["pcstat", "--pps"], path).1;
    let listed = pages["status"].as_array().unwrap().iter().filter(|page| **page == true).count() as u64;
    let runs = rmap(["pcstat", "--runs", "--jsonl", path.to_str().unwrap()]).lines_of_json();
    let in_runs = runs.iter().filter(|run| run["is_cached"] == true).map(|run| run["pages"].as_u64().unwrap()).sum();
    let strip = row(&["pcstat", "--map", "-o", "cached,page_map"], path).1;
    // Nothing and everything are exact in a strip.
    let drawn = strip["page_map"].as_str().unwrap().bytes();
    let (is_none, is_all) = (drawn.clone().all(|cell| cell == b'.'), drawn.clone().all(|cell| cell == b'#'));
    assert_eq!((is_none, is_all), (plain == 0, plain == pages["pages"]), "{strip}");
    let total = rmap(["pcstat", "--total", "--json", path.to_str().unwrap()]).good().json();
    vec![
        ("plain", plain),
        ("--pps", figure(&pages)),
        ("status", listed),
        ("--runs", in_runs),
        ("--map", figure(&strip)),
        ("--histo", figure(&row(&["pcstat", "-o", "cached,histogram"], path).1)),
        ("--summary", figure(&row(&["pcstat", "--summary"], path).1)),
        ("--by-dir", figure(&row(&["pcstat", "--by-dir", "1"], path).1)),
        ("--by", figure(&row(&["pcstat", "--by", "method"], path).1)),
        ("--total", figure(&total["total"])),
    ]
}

/// The number of cached pages, on which every view of the file must agree, of dirty pages, and of pages that are not
/// up to date. If there are any of these, every view says so.
fn cached(path: &Path) -> (u64, u64, u64) {
    let views = cached_in_each_view(path);
    let (cached, plain) = (views[0].1, row(&["pcstat"], path).1);
    assert!(views.iter().all(|(_, figure)| *figure == cached), "{views:?}");
    let exact = row(&["pcstat", "-o", "cached,not_up_to_date_pages,note"], path).1;
    let stale = exact["not_up_to_date_pages"].as_u64().unwrap();
    assert_eq!(exact["cached"], cached, "{exact}");
    let summary = row(&["pcstat", "--summary", "-o", "not_up_to_date_pages,note"], path).1;
    assert_eq!(summary["not_up_to_date_pages"], stale, "{summary}");
    let runs = rmap(["pcstat", "--runs", "--jsonl", path.to_str().unwrap()]).lines_of_json();
    let of_state = runs.iter().filter(|run| run["state"] == "not up to date");
    assert_eq!(of_state.map(|run| run["pages"].as_u64().unwrap()).sum::<u64>(), stale, "{runs:?}");
    for note in [&plain["note"], &exact["note"], &summary["note"]] {
        assert_eq!(note.as_str().is_some_and(|note| note.contains("not up to date")), stale > 0, "{note}");
    }
    (cached, plain["dirty_pages"].as_u64().unwrap(), stale)
}

/// A checksum of what a program reads.
fn sum(path: &Path) -> Vec<u8> {
    shell("md5sum < \"$1\"", &[path.as_os_str()]).good().out
}

#[test]
fn pages_whose_writeback_failed_are_never_dropped() {
    let name = "pages_whose_writeback_failed_are_never_dropped";
    // The image is sparse on a tmpfs that is too small for it, so that writing to the disk fails.
    let mkfs = "mkfs.ext4 -qFO ^has_journal -E nodiscard,lazy_itable_init=1";
    let mount = format!("mkdir small; mount -t tmpfs -o size=24M none small; cd small; {}", loop_disk("300M", mkfs));
    let Some(folder) = mounted(name, &mount) else { return };
    let path = folder.join("small/disk/file");
    let data: Vec<u8> =
        (0..8u64 << 20).flat_map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_ne_bytes()).collect();
    let mut checked = 0;
    // Nobody has been told of the failure; the kernel has seen it on its own; another process has been told by `fsync`.
    for before in ["true", "sync -f \"$1\"", "sync \"$1\"; sync \"$1\""] {
        std::fs::write(&path, &data).unwrap();
        shell(before, &[path.as_os_str()]);
        let content = sum(&path);
        for attempt in 1..=3 {
            let (run, row) = row(&["evict"], &path);
            // The kernel reclaims such pages, because it takes them for clean: then they were gone before.
            if row["before_pages"].as_u64().unwrap() < data.len() as u64 / crate::common::page() {
                eprintln!("{name}: the kernel has reclaimed pages ({before}, attempt {attempt})");
                break;
            }
            checked += 1;
            assert_eq!(sum(&path), content, "the data is gone: {before}, attempt {attempt}: {row} {}", run.err);
            assert_eq!((run.status, row["left_pages"] == row["left_unwritten_pages"]), (Some(1), true), "{row}");
            assert!(row["why"].as_str().unwrap().contains("writing back failed"), "{row}");
            assert!(run.err.contains("could not be written back"), "{}", run.err);
            assert_eq!(run.err.lines().count(), 1, "{}", run.err);
        }
        std::fs::remove_file(&path).unwrap();
    }
    assert!(checked > 3, "only {checked} of 9 attempts were checked");
}

#[test]
fn a_device_whose_writeback_failed_is_not_dropped_at_the_next_try_either() {
    let name = "a_device_whose_writeback_failed_is_not_dropped_at_the_next_try_either";
    let mkfs = "mkfs.ext4 -qFO ^has_journal -E nodiscard,lazy_itable_init=1";
    let mount = format!("mkdir small; mount -t tmpfs -o size=24M none small; cd small; {}", loop_disk("300M", mkfs));
    let Some(folder) = mounted(name, &mount) else { return };
    let disk = folder.join("small/disk");
    let device = shell("findmnt -no SOURCE \"$1\"", &[disk.as_os_str()]).good().text().trim().to_owned();
    let read = "dd if=$1 bs=1M skip=200 count=8 2>/dev/null | md5sum";
    // The data is to replace blocks in place, so that no list of extents tells that it is missing.
    shell("dd if=/dev/urandom of=$1 bs=1M seek=200 count=40 conv=notrunc 2>/dev/null", &[device.as_ref()]).good();
    let content = shell(read, &[device.as_ref()]).good().text();
    for attempt in 1..=2 {
        let (run, row) = row(&["evict"], Path::new(&device));
        let (before, left) = (row["before_pages"].as_u64().unwrap(), row["left_pages"].as_u64().unwrap());
        if before < (8 << 20) / crate::common::page() {
            return eprintln!("SKIPPED: {name}: the kernel has reclaimed pages (attempt {attempt})");
        }
        assert_eq!(shell(read, &[device.as_ref()]).good().text(), content, "attempt {attempt}: {row} {}", run.err);
        assert_eq!((run.status, left), (Some(1), before), "attempt {attempt}: {row}");
        assert!(
            run.err.contains("could not be written back") && run.err.contains("nothing was dropped"),
            "{}",
            run.err
        );
    }
}

/// Makes files whose cached pages look as if the disk did not have them: in holes, in blocks that were reserved, with
/// data in the inode, compressed, and with blocks smaller than a page of which only some are written.
const HARD_TO_TELL: &str = "cd $1
    truncate -s 64M holes; printf x | dd of=holes bs=1 seek=20000000 conv=notrunc 2>/dev/null; cat holes > /dev/null
    printf small > inline
    fallocate -l 4M reserved; cat reserved > /dev/null
    fallocate -l 4M half; head -c 2M /dev/urandom | dd of=half conv=notrunc 2>/dev/null; cat half > /dev/null
    yes rmap | head -c 4M > compressed
    for block in 1 6 11 700 1027; do
        head -c 1024 /dev/urandom | dd of=blocks bs=1024 seek=$block conv=notrunc 2>/dev/null
    done
    cat blocks > /dev/null
    head -c 20M /dev/urandom > dirty
    for number in $(seq 0 1300); do printf x | dd of=many bs=1 seek=$((number * 8192)) conv=notrunc 2>/dev/null; done
    cat many > /dev/null";

#[test]
fn pages_that_the_disk_has_or_that_are_empty_are_dropped() {
    let name = "pages_that_the_disk_has_or_that_are_empty_are_dropped";
    let disks = [
        ("ext4", "mkfs.ext4 -qF -b 4096", "defaults"),
        ("small", "mkfs.ext4 -qF -b 1024 -O inline_data -I 256", "defaults"),
        ("xfs", "mkfs.xfs -q", "defaults"),
        ("btrfs", "mkfs.btrfs -q", "compress-force=zstd"),
        ("f2fs", "mkfs.f2fs -q", "defaults"),
    ];
    // A kind that this machine does not have is left out.
    let mount = |(disk, mkfs, options): (&str, &str, &str)| {
        format!(
            "truncate -s 512M {disk}.image; mkdir {disk}; {{ {mkfs} {disk}.image && \
             mount -o loop,{options} {disk}.image {disk} && touch {disk}/mounted; }} >&2 || echo SKIPPED: {disk}"
        )
    };
    let Some(folder) = mounted(name, &disks.map(mount).join("\n")) else { return };
    for (disk, ..) in disks {
        let disk = folder.join(disk);
        if !disk.join("mounted").exists() {
            eprintln!("SKIPPED: {name}: no {}", disk.display());
            continue;
        }
        shell(HARD_TO_TELL, &[disk.as_os_str()]).good();
        for entry in ["holes", "inline", "reserved", "half", "compressed", "blocks", "dirty", "many"] {
            let path = disk.join(entry);
            let (run, row) = row(&["evict"], &path);
            let left = &row["left_pages"];
            assert_eq!((run.status, left), (Some(0), &Value::from(0)), "{}: {row} {}", path.display(), run.err);
        }
    }
}

#[test]
fn dirty_pages_on_btrfs_are_dropped_at_the_first_try() {
    let name = "dirty_pages_on_btrfs_are_dropped_at_the_first_try";
    let Some(folder) = mounted(name, &loop_disk("512M", "mkfs.btrfs -q")) else { return };
    for count in 0..5 {
        let path = folder.join(format!("disk/{count}"));
        std::fs::write(&path, vec![7; 40 << 20]).unwrap();
        let (run, row) = row(&["evict"], &path);
        assert_eq!((run.status, &row["left_pages"]), (Some(0), &Value::from(0)), "{row}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_page_left_in_a_hole_by_truncation_is_not_cached() {
    let name = "a_page_left_in_a_hole_by_truncation_is_not_cached";
    let Some(folder) = mounted(name, &loop_disk("64M", "mkfs.ext4 -qF")) else { return };
    let path = folder.join("disk/file");
    let script = "truncate -s 1M $1; truncate -s 100001 $1; truncate -s 300001 $1; truncate -s 200001 $1";
    shell(script, &[path.as_os_str()]).good();
    let (cached_pages, dirty, stale) = cached(&path);
    assert_eq!((cached_pages, dirty), (0, 0));
    assert!(stale > 0, "nothing was left behind");
    // The same in blocks that were reserved.
    let reserved = folder.join("disk/reserved");
    shell("truncate -s 1M $1; fallocate -l 1M $1; truncate -s 100001 $1", &[reserved.as_os_str()]).good();
    assert_eq!(cached(&reserved).0, 0);
    // A hole that has been read is cached.
    shell("head -c 8192 $1 > /dev/null", &[path.as_os_str()]).good();
    assert!(cached(&path).0 >= 2);
}

#[test]
fn partially_written_pages_are_dirty_but_not_cached() {
    let name = "partially_written_pages_are_dirty_but_not_cached";
    let Some(folder) = mounted(name, &loop_disk("64M", "mkfs.ext4 -qF -b 1024")) else { return };
    let path = folder.join("disk/file");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(64 * 4096).unwrap();
    for page in 0..64 {
        file.write_all_at(&[7; 1024], page * 4096 + 1024).unwrap();
    }
    assert_eq!(cached(&path), (0, 64, 64));
    let map = rmap(["pcstat", "--map", "--color", "never", path.to_str().unwrap()]).good().text();
    assert!(map.lines().any(|line| !line.trim().is_empty() && line.trim().chars().all(|mark| mark == 'D')), "{map}");
    file.write_all_at(&[7; 4096], 3 * 4096).unwrap();
    assert_eq!(cached(&path), (1, 64, 63));
}

#[test]
fn reserved_blocks_of_tmpfs_are_not_cached() {
    let name = "reserved_blocks_of_tmpfs_are_not_cached";
    let Some(folder) = mounted(name, "mkdir tmp; mount -t tmpfs none tmp; chmod 755 . tmp") else { return };
    let path = folder.join("tmp/file");
    shell("fallocate -l 1M $1; chmod 644 $1", &[path.as_os_str()]).good();
    assert_eq!(cached(&path), (0, 0, 256));
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[7; 3 * 4096], 8192).unwrap();
    assert_eq!(cached(&path), (3, 0, 253));
    let demo = rmap(["demo", "--size=8M", "--json", "--file", folder.join("tmp/demo").to_str().unwrap()]);
    let steps = demo.rows();
    assert!(steps.iter().all(|step| step["agree"] == true), "{steps:?}");
}

#[test]
fn a_page_that_could_not_be_read_is_not_cached() {
    let name = "a_page_that_could_not_be_read_is_not_cached";
    let Some(folder) = mounted(name, &loop_disk("64M", "mkfs.ext4 -qF")) else { return };
    let path = folder.join("disk/file");
    std::fs::write(&path, vec![7; 32 << 20]).unwrap();
    // The second half of the disk is lost.
    shell("rmap evict $1/disk/file; truncate -s 20M $1/image; cat $1/disk/file > /dev/null", &[folder.as_os_str()]);
    let open = OpenFile::open(&path).unwrap();
    let (plain, exact) = (Engine::detect().measure(&open), Engine::detect().exact().measure(&open));
    let mincore = Engine::only(Method::Mincore).measure(&open).cached();
    assert_eq!((exact.cached(), exact.not_up_to_date().is_ok()), (mincore, true), "{exact:?}");
    assert!(plain.cached() == mincore || plain.not_up_to_date().is_err(), "{plain:?}");
    let map = Engine::detect().exact().map(&open);
    assert_eq!(map.cached(), mincore);
    assert_ne!(exact.not_up_to_date(), Ok(Pages(0)), "nothing failed to be read: {exact:?}");
}

#[test]
fn views_agree_on_pages_that_could_not_be_read() {
    let name = "views_agree_on_pages_that_could_not_be_read";
    let Some(folder) = mounted(name, &loop_disk("64M", "mkfs.ext4 -qF -b 4096")) else { return };
    let path = folder.join("disk/file");
    std::fs::write(&path, vec![7; 32 << 20]).unwrap();
    let lose = "rmap evict $1/disk/file > /dev/null; truncate -s 20M $1/image";
    shell(lose, &[folder.as_os_str()]);
    let fail = || {
        shell("dd if=$1/disk/file of=/dev/null bs=4096 conv=noerror", &[folder.as_os_str()]);
    };
    // The kernel may drop clean pages at any time.
    let agrees = (0..5).any(|_| {
        fail();
        let views = cached_in_each_view(&path);
        views.iter().all(|view| view.1 == views[0].1)
    });
    assert!(agrees, "{:?}", cached_in_each_view(&path));
    // Whoever asks for it gets the pages that were read, and those that were not.
    let is_exact = (0..5).any(|_| {
        fail();
        let plain = row(&["pcstat"], &path).1["cached"].as_u64().unwrap();
        let exact = row(&["pcstat", "-o", "cached,not_up_to_date_pages"], &path).1;
        let mincore = Engine::only(Method::Mincore).measure(&OpenFile::open(&path).unwrap()).cached().unwrap().0;
        let stale = exact["not_up_to_date_pages"].as_u64().unwrap();
        stale > 0 && exact["cached"] == mincore && mincore + stale == plain
    });
    assert!(is_exact, "{}", row(&["pcstat", "-o", "cached,not_up_to_date_pages"], &path).1);
}

#[test]
fn pages_of_tmpfs_in_swap_are_not_cached() {
    let mount = "mkdir tmp && mount -t tmpfs none tmp";
    let Some(folder) = mounted("pages_of_tmpfs_in_swap_are_not_cached", mount) else { return };
    let Some(_swap) = Swap::on() else { return };
    let path = folder.join("tmp/file");
    let subject = Subject::start([format!("paged_out:{}:256", path.display())]);
    let swapped = || row(&["pcstat"], &path).1["evicted_pages"].as_u64().unwrap();
    if swapped() == 0 {
        return eprintln!("SKIPPED: the kernel swaps nothing out");
    }
    let (cached_pages, _, stale) = cached(&path);
    assert_eq!((cached_pages + swapped(), stale), (256, 0));
    // A page that is read again is cached, and may keep its copy in swap.
    shell("dd if=$1 of=/dev/null bs=4096 count=1 skip=200", &[path.as_os_str()]).status.unwrap();
    let (cached_pages, _, stale) = cached(&path);
    assert_eq!((cached_pages + swapped(), stale), (256, 0));
    drop(subject);
}

/// A swap file of 64 MiB, in use until the test ends.
struct Swap(tempfile::TempDir);

impl Swap {
    /// If there can be none here, prints SKIPPED and returns `None`.
    fn on() -> Option<Swap> {
        let swap = Swap(tempfile::tempdir_in("/var/tmp").unwrap());
        let script = "umask 077; fallocate -l 64M $1/swap && mkswap -q $1/swap && swapon $1/swap";
        let run = shell(script, &[swap.0.path().as_os_str()]);
        if run.status != Some(0) {
            eprintln!("SKIPPED: no swap file can be used here: {}", run.err);
        }
        (run.status == Some(0)).then_some(swap)
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _ = std::process::Command::new("swapoff").arg(self.0.path().join("swap")).status();
    }
}

#[test]
fn locking_an_unreadable_file_does_not_hang() {
    let name = "locking_an_unreadable_file_does_not_hang";
    let Some(folder) = mounted(name, &loop_disk("64M", "mkfs.ext4 -qF")) else { return };
    let path = folder.join("disk/file");
    std::fs::write(&path, vec![7; 32 << 20]).unwrap();
    let script =
        "rmap evict $1/disk/file >/dev/null; truncate -s 20M $1/image; timeout -s KILL 10 rmap lock $1/disk/file";
    let run = shell(script, &[folder.as_os_str()]);
    assert!(run.err.ends_with("disk/file: I/O error\n"), "{run:?}");
    assert_eq!(run.status, Some(1));
    let (run, row) = row(&["warm"], &path);
    let left = row["left_pages"].as_u64().unwrap();
    assert!(left > 0 && row["after_pages"].as_u64().unwrap() + left == 8192, "{row}");
    assert_eq!((run.status, run.err.ends_with("disk/file: I/O error\n")), (Some(1), true), "{run:?}");
}

#[test]
fn any_file_is_measured_with_little_address_space() {
    let name = "any_file_is_measured_with_little_address_space";
    let mount = "mkdir low up work all && mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work all";
    let Some(folder) = mounted(name, mount) else { return };
    let file = std::fs::File::create(folder.join("all/file")).unwrap();
    file.set_len(4 << 30).unwrap();
    file.write_all_at(&[1], 3 << 30).unwrap();
    let script = "ulimit -v 262144; rmap pcstat --jsonl $1/all/file";
    let row = &shell(script, &[folder.as_os_str()]).lines_of_json()[0];
    assert_eq!((&row["cached"], &row["method"]), (&Value::from(1), &Value::from("mincore")), "{row}");
}

#[test]
fn a_block_device_is_measured_and_evicted_and_warming_it_is_refused() {
    let name = "a_block_device_is_measured_and_evicted_and_warming_it_is_refused";
    // The mount holds the device open, and the file system ends before the pages that are used here.
    let mount = "truncate -s 64M image; mkfs.ext4 -q image 8M; mkdir disk nodes; mount -o loop image disk; \
                 losetup -n -O NAME -j \"$PWD/image\" > name; cp -a \"$(cat name)\" nodes/device";
    let Some(folder) = mounted(name, mount) else { return };
    let device = std::fs::read_to_string(folder.join("name")).unwrap();
    let device = Path::new(device.trim());
    let file = std::fs::File::options().read(true).write(true).open(device).unwrap();
    let (start, page) = (32u64 << 20, crate::common::page());
    file.write_all_at(&vec![7; 5 * page as usize], start).unwrap();
    let word = device.to_str().unwrap();

    let (_, row) = row(&["pcstat", "--range", "32M"], device);
    assert_eq!((&row["size"], &row["cached"], &row["dirty_pages"]), (&(64u64 << 20).into(), &5.into(), &5.into()));
    let opened = OpenFile::open(device).unwrap();
    let by_mincore = Engine::only(Method::Mincore).measure(&opened).cached();
    assert_eq!(Engine::detect().measure(&opened).cached(), by_mincore);
    let runs = rmap(["pcstat", "--runs", "--range", "32M", "--jsonl", word]).lines_of_json();
    let first = (&runs[0]["offset"], &runs[0]["length"], &runs[0]["state"]);
    assert_eq!(first, (&start.into(), &(5 * page).into(), &"cached".into()));

    let refused = rmap(["warm", word]);
    let why = "the kernel drops the pages of a block device as soon as nobody has it open";
    assert!(refused.status == Some(1) && refused.err.contains(why), "{refused:?}");
    let (_, evicted) = self::row(&["evict", "--range", "32M"], device);
    assert_eq!((&evicted["before_pages"], &evicted["after_pages"]), (&5.into(), &0.into()));
    assert_eq!(rmap(["pcstat", "--json", "-R", folder.join("nodes").to_str().unwrap()]).rows(), [] as [Value; 0]);
}

#[test]
fn a_holder_is_found_through_overlayfs_and_without_its_first_thread() {
    let name = "a_holder_is_found_through_overlayfs_and_without_its_first_thread";
    let mount = "truncate -s 64M image; mkfs.ext4 -q image; mkdir disk; mount -o loop image disk; cd disk; \
                 mkdir low up work all; for file in read copied; do \
                 dd if=/dev/zero of=low/$file bs=4096 count=4 status=none; done; \
                 mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work all; \
                 dd if=/dev/zero of=all/copied bs=4096 count=1 conv=notrunc status=none; sync -f .; sleep 1";
    let Some(folder) = mounted(name, mount) else { return };
    let disk = folder.join("disk");
    let holder = |path: &str, acts: &[&str]| {
        let map = format!("shared:{}:4:4", disk.join(path).display());
        let subject = Subject::start([&[map.as_str()], acts].concat());
        shell("sync -f \"$1\"", &[disk.as_os_str()]).good();
        subject
    };
    let is_kept = |pid: u32, evicted: &str, how: &str| {
        for arguments in [&["evict"][..], &["evict", "--dry-run"]] {
            let (run, row) = row(arguments, &disk.join(evicted));
            let why = format!("4 pages (16K) {how} by pid {pid} (");
            let left = (&row["left_pages"], &row["left_unknown_pages"]);
            assert_eq!(left, (&4.into(), &0.into()), "{evicted}: {row}");
            assert!(row["why"].as_str().unwrap().starts_with(&why), "{evicted}: {row}");
            assert_eq!(run.status, Some(i32::from(arguments.len() == 1)), "{row}");
        }
    };
    for (mapped, evicted) in [("all/x", "up/x"), ("up/y", "all/y")] {
        let subject = holder(mapped, &[]);
        is_kept(subject.pid(), evicted, "mapped");
    }
    // Files of the lower layer, one of which was copied up before it was mapped.
    for evicted in ["low/read", "all/read", "up/copied", "all/copied"] {
        let mapped =
            format!("glance:{}:4", disk.join(evicted.replace("up/", "all/").replace("low/", "all/")).display());
        let subject = Subject::start([&mapped]);
        is_kept(subject.pid(), evicted, "mapped");
    }
    // What is locked below the overlay is locked in it.
    let mut locker = Running::start(command(["lock", "--jsonl", disk.join("up/copied").to_str().unwrap()]));
    assert_eq!(locker.row()["locked"], 4 * crate::common::page());
    is_kept(locker.pid(), "all/copied", "locked");
    locker.end(Signal::SIGTERM);
    let subject = holder("low/z", &["headless"]);
    let (_, row) = row(&["evict"], &disk.join("low/z"));
    let why = format!("4 pages (16K) mapped by pid {} (", subject.pid());
    assert!(row["why"].as_str().unwrap().starts_with(&why), "{row}");
}

#[test]
fn a_last_page_of_which_one_block_is_in_memory_is_warmed() {
    let mount = "truncate -s 64M image; mkfs.ext4 -qF -b 1024 image; mkdir disk; mount -o loop image disk; \
                 printf x | dd of=disk/f bs=1 seek=1429827 status=none";
    let name = "a_last_page_of_which_one_block_is_in_memory_is_warmed";
    let Some(folder) = mounted(name, mount) else { return };
    let row = rmap(["warm", "--json", folder.join("disk/f").to_str().unwrap()]).rows()[0].clone();
    assert_eq!((&row["after_pages"], &row["left_pages"]), (&1.into(), &0.into()), "{row}");
}

#[test]
fn pages_of_a_mounted_block_device_that_are_not_marked_need_not_be_read() {
    let name = "pages_of_a_mounted_block_device_that_are_not_marked_need_not_be_read";
    let Some(folder) = mounted(name, &loop_disk("64M", "mkfs.ext4 -qF -b 4096")) else { return };
    let look = "for i in $(seq 200); do mkdir -p disk/d$i/e; done; sync; umount disk; mount -o loop image disk; \
                find disk > /dev/null; losetup -n -O NAME -j image";
    let device = shell(&format!("cd $1; {look}"), &[folder.as_os_str()]).good().text();
    let device = Path::new(device.trim());
    // The kernel may drop clean pages at any time.
    let exact = ["pcstat", "-o", "cached,uncached,percent,not_up_to_date_pages,note"];
    let seen = row(&exact, device).1;
    let unmarked = seen["not_up_to_date_pages"].as_u64().unwrap();
    assert!(unmarked > 0 && seen["uncached"].is_null() && seen["percent"].is_null(), "{seen}");
    let why = "more may be cached: of a block device the kernel does not mark every page that is up to date (`rmap \
               files` counts all that are in memory)";
    assert_eq!(seen["note"], why, "{seen}");
    let cached = seen["cached"].as_u64().unwrap();
    let table = rmap(["pcstat", "-n", "-o", "cached,uncached", device.to_str().unwrap()]).good().text();
    let shown = table.split_whitespace().next().unwrap().strip_prefix(">=").unwrap().parse::<u64>().unwrap();
    assert!(shown.abs_diff(cached) < cached.max(8) && table.contains(" -"), "{table}: {seen}");
    // A sum has them as a lower bound, too.
    let total = rmap(["pcstat", "-n", "--total", "-o", "cached,percent", device.to_str().unwrap()]).good().text();
    let last: Vec<&str> = total.lines().last().unwrap().split_whitespace().collect();
    assert!(last.iter().any(|word| word.starts_with(">=")) && last.last() == Some(&"-"), "{total}");
    let summary = row(&["pcstat", "--summary", "-o", "cached,uncached,percent,note"], device).1;
    assert!(summary["uncached"].is_null() && summary["percent"].is_null(), "{summary}");
    assert!(summary["note"].as_str().unwrap().contains("of 1 block device more may be cached"), "{summary}");
    // What they are is said of no run, either.
    let runs = rmap(["pcstat", "--runs", "--json", device.to_str().unwrap()]).good().json();
    let states: Vec<_> = runs.as_array().unwrap().iter().map(|run| (&run["state"], &run["is_cached"])).collect();
    assert!(states.contains(&(&"not marked up to date".into(), &Value::Null)), "{states:?}");
    assert!(states.iter().all(|(state, _)| **state != "not up to date"), "{states:?}");
}
