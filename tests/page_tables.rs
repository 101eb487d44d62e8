//! Compares the figures from `maps` and the page tables with those of smaps, mapping by mapping, for memory in every
//! state that can be created here and for the real processes of this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::Subject;
use rmap::process::{Deleted, Fields, Interface, Process, ProcessMappings, Wanted};

/// The compared figures of a mapping: address, size, Rss, Swap.
type Row = (u64, u64, u64, u64);

fn rows(fields: &Fields, found: &ProcessMappings) -> Vec<Row> {
    let key = |name: &str| fields.find(name.as_bytes()).unwrap();
    let (size, rss, swap) = (key("Size"), key("Rss"), key("Swap"));
    let figures = found.mappings.iter().map(|row| {
        let bytes = |field| row.bytes(field).unwrap().0;
        (row.start(), bytes(size), bytes(rss), bytes(swap))
    });
    figures.collect()
}

fn wanted() -> Wanted {
    Wanted::Only(vec!["Size".into(), "Rss".into(), "Swap".into()])
}

/// Both readings. If the process keeps running, or the kernel reclaims its pages, two readings may differ, so this
/// repeats them until they agree, or returns the last ones.
fn read_both(pid: u32) -> rmap::Result<(Interface, Vec<Row>, Vec<Row>)> {
    let process = Process::open(pid)?;
    let mut last = None;
    for _ in 0..20 {
        let (mut ours, mut smaps) = (Fields::new(), Fields::new());
        let quick = process.read_mappings(&mut ours, &wanted())?;
        let slow = process.read_smaps(&mut smaps, &wanted())?;
        let (quick_rows, slow_rows) = (rows(&ours, &quick), rows(&smaps, &slow));
        let agree = quick_rows == slow_rows;
        last = Some((quick.interface, quick_rows, slow_rows));
        if agree {
            break;
        }
    }
    Ok(last.unwrap())
}

/// Swap and the hugetlb pool are shared by the whole machine, so these tests run one at a time.
fn machine() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this kernel supports reading by page tables.
fn is_new_enough() -> bool {
    let (source, ..) = read_both(Subject::start(["anonymous:4:2"]).pid()).unwrap();
    let enough = source == Interface::PageTables;
    if !enough {
        eprintln!("SKIPPED: this kernel has no PAGEMAP_SCAN (before 6.7)");
    }
    enough
}

/// Asserts that both agree for the subject, and which interface was used.
fn assert_same(acts: &[&str], expected: Interface) {
    let subject = Subject::start(acts);
    let (source, quick, slow) = read_both(subject.pid()).unwrap();
    let differ: Vec<_> = quick.iter().zip(&slow).filter(|(quick, slow)| quick != slow).collect();
    assert!(differ.is_empty() && quick.len() == slow.len(), "{acts:?}: {differ:#x?}");
    // If anything is in swap, files on tmpfs are read from smaps.
    if source == Interface::Smaps && expected == Interface::PageTables && swap_is_used() {
        return eprintln!("SKIPPED in part: this machine uses swap, so {acts:?} was read from smaps");
    }
    assert_eq!(source, expected, "{acts:?}");
}

fn swap_is_used() -> bool {
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    swaps.lines().skip(1).any(|line| line.split_whitespace().nth(3) != Some("0"))
}

#[test]
fn figures_agree_with_smaps_for_memory_in_every_state() {
    let _machine = machine();
    if !is_new_enough() {
        return;
    }
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let shared = format!("shared:{}:16:7", path("shared"));
    let private = format!("private:{}:16:9:3", path("private"));
    for acts in [
        &["anonymous:64:40", "locked:3", "guard:5"][..],
        &["zero:64", "anonymous:9:9"],
        &["guarded:4"],
        &["memfd:16:5", "shared_anonymous:16:5"],
        &[&shared, &private],
        &["anonymous:64:40", "fork"],
        &["many:500"],
        // More than 64 KiB of `maps`, so that several threads read it: with names, without, and of every kind in turn.
        &["many:4000", &private, "guard:5", "zero:64"],
    ] {
        assert_same(acts, Interface::PageTables);
    }
}

#[test]
fn figures_agree_with_smaps_for_huge_pages() {
    let _machine = machine();
    if !is_new_enough() {
        return;
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map(|word| word.parse::<u32>().unwrap_or(0));
    // Older kernels do not report the huge zero page, so smaps is read.
    let reports_it = (numbers.next().unwrap(), numbers.next().unwrap()) >= (6, 18);
    let expected = if reports_it { Interface::PageTables } else { Interface::Smaps };
    for acts in [["huge:3:3"], ["huge:3:0"], ["huge:4:2"]] {
        assert_same(&acts, expected);
    }
}

#[test]
fn figures_that_cannot_be_proven_are_read_from_smaps() {
    let _machine = machine();
    if !is_new_enough() {
        return;
    }
    // A private mapping of a device may have pages that are not accounted.
    assert_same(&["zero_file:4"], Interface::Smaps);
}

#[test]
fn hugetlb_is_not_in_rss() {
    let _machine = machine();
    let pool = "/proc/sys/vm/nr_hugepages";
    let before: u64 = std::fs::read_to_string(pool).unwrap_or_default().trim().parse().unwrap_or(0);
    if !is_new_enough() || std::fs::write(pool, (before + 2).to_string()).is_err() {
        return eprintln!("SKIPPED: only root can reserve pages of hugetlb");
    }
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let count =
        |key: &str| meminfo.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok()).unwrap_or(0);
    // Another process may have reserved the free pages.
    if count("HugePages_Free:") >= count("HugePages_Rsvd:") + 2 {
        assert_same(&["hugetlb:2"], Interface::Smaps);
    } else {
        eprintln!("SKIPPED: the kernel has no room for two huge pages");
    }
    std::fs::write(pool, before.to_string()).unwrap();
}

#[test]
fn figures_agree_with_smaps_for_swapped_memory() {
    let _machine = machine();
    let Some(_swap) = SwapFile::new() else { return };
    if !is_new_enough() {
        return;
    }
    for acts in [&["swapped:64"][..], &["swapped:64", "memfd:16:16", "shared_anonymous:16:16"]] {
        assert_same(acts, Interface::Smaps);
    }
    let subject = Subject::start(["swapped:64"]);
    let (_, rows, _) = read_both(subject.pid()).unwrap();
    let swapped: u64 = rows.iter().map(|row| row.3).sum();
    if swapped == 0 {
        eprintln!("SKIPPED in part: the kernel swapped nothing out");
    }
}

/// A swap file for the duration of a test.
struct SwapFile(tempfile::TempDir);

impl SwapFile {
    fn new() -> Option<SwapFile> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: only root can swap on a file");
            return None;
        }
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let file = directory.path().join("swap");
        std::fs::write(&file, vec![0; 16 << 20]).unwrap();
        let run = |program: &str| Command::new(program).arg(&file).output().is_ok_and(|done| done.status.success());
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        if !run("mkswap") || !run("swapon") {
            eprintln!("SKIPPED: mkswap or swapon does not work here");
            return None;
        }
        Some(SwapFile(directory))
    }
}

impl Drop for SwapFile {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(self.0.path().join("swap")).output();
    }
}

#[test]
fn figures_agree_with_smaps_for_all_processes_of_this_machine() {
    let _machine = machine();
    // At least this process is of this user.
    let subject = Subject::start(["anonymous:8:3"]);
    let mut compared = 0;
    for entry in std::fs::read_dir("/proc").unwrap() {
        let Some(pid) = entry.unwrap().file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // The test process itself changes.
        if pid == std::process::id() {
            continue;
        }
        match read_both(pid) {
            // The process is not stopped, so a few mappings may change between two readings.
            Ok((_, quick, slow)) if quick.len() == slow.len() => {
                let same = quick.iter().zip(&slow).filter(|(quick, slow)| quick == slow).count();
                assert!(
                    quick.len() - same <= 3 + quick.len() / 20,
                    "pid {pid}: {same} of {} are the same",
                    quick.len()
                );
                compared += 1;
            }
            Ok(_) | Err(_) => {}
        }
    }
    assert!(compared > 0, "no process could be read, not even {}", subject.pid());
}

#[test]
fn without_counters_only_maps_is_read() {
    let subject = Subject::start(["anonymous:4:2"]);
    let (mut fields, wanted) = (Fields::new(), Wanted::Only(vec!["Size".into()]));
    let found = Process::open(subject.pid()).unwrap().read_mappings(&mut fields, &wanted).unwrap();
    let size = fields.find(b"Size").unwrap();
    assert_eq!(found.interface, Interface::Maps);
    assert!(found.mappings.iter().all(|row| row.bytes(size) == Some(row.size())));
}

#[test]
fn a_file_with_deleted_in_its_name_is_not_deleted() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let acts = [
        format!("shared:{}:4:4", path("alive (deleted)")),
        format!("shared:{}:4:4", path("gone")),
        format!("shared:{}:4:4", path("kept")),
        format!("unlink:{}", path("gone")),
    ];
    let subject = Subject::start(acts);
    let process = Process::open(subject.pid()).unwrap();
    let found = process.mappings(&[]).unwrap();
    let of = |name: &str| {
        let mapping = found.mappings.iter().find(|row| row.path() == path(name).as_bytes()).unwrap();
        (Deleted::by_name(&mapping), process.read_deleted(&mapping))
    };
    assert_eq!(of("kept"), (Deleted::No, Deleted::No));
    assert_eq!(of("gone (deleted)"), (Deleted::Unknown, Deleted::Yes));
    let (text, looked) = of("alive (deleted)");
    assert_eq!(text, Deleted::Unknown);
    assert_eq!(looked, Deleted::No);
}
