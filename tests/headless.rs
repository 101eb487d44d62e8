//! A process whose first thread has exited while another one is still running: the kernel shows its memory only through
//! the other thread, and rmap reads it as usual.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::os::unix::fs::MetadataExt;

use common::{Subject, memory, page, rmap};
use rmap::pagecache::OpenFile;
use rmap::process::{Criteria, Deleted, Fields, Held, Interface, ProcRoot, Process, Wanted, read_matching};

fn select(fill: impl Fn(&mut Criteria)) -> Vec<u32> {
    let mut criteria = Criteria::new();
    fill(&mut criteria);
    read_matching(&ProcRoot::live(), &criteria).unwrap()
}

#[test]
fn everything_is_read_through_another_thread() {
    let folder = memory();
    let path = folder.path().join("data");
    let unlinked = folder.path().join("unlinked");
    let acts = [
        "anonymous:64:40".to_owned(),
        format!("shared:{}:16:16", path.display()),
        format!("shared:{}:4:4", unlinked.display()),
        format!("unlink:{}", unlinked.display()),
        "headless".to_owned(),
    ];
    let subject = Subject::start(acts);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", subject.pid())).unwrap();
    assert!(stat.contains(") Z "), "{stat}");
    assert!(std::fs::read(format!("/proc/{}/maps", subject.pid())).unwrap_or_default().is_empty());
    let process = Process::open(subject.pid()).unwrap();

    // The figures of every interface.
    let start = u64::from_str_radix(&subject.made[0].start, 16).unwrap();
    let everything = &Wanted::Everything;
    let smaps = process.read_smaps(&mut Fields::new(), everything).unwrap();
    for found in [smaps.clone(), process.mappings(&["Rss"]).unwrap()] {
        let mapping = found.mappings.iter().find(|mapping| mapping.start() == start).unwrap();
        assert_eq!(mapping.figure("Rss").unwrap().0, 40 * page(), "{:?}", found.interface);
    }
    let named = |name: &str| smaps.mappings.iter().find(|mapping| mapping.path().ends_with(name.as_bytes())).unwrap();
    let totals = process.read_totals(&mut Fields::new(), everything).unwrap();
    assert!(totals.figure("Rss").unwrap().0 > 40 * page());
    if std::path::Path::new("/proc/self/smaps_rollup").exists() {
        assert_eq!(totals.interface, Interface::Rollup);
    }
    assert!(process.read_account().unwrap().resident.bytes.unwrap().0 > 40 * page());
    let status = process.read_status().unwrap();
    assert!(status.state == b'Z' && status.rss.unwrap().0 > 40 * page());
    assert_eq!(status.name, b"subject");

    // The page tables.
    let pages =
        process.read_present_pages(start..start + 64 * page(), rmap::pagecache::Engine::detect().page_size()).unwrap();
    assert_eq!(pages, std::slice::from_ref(&(0..40)));
    let parts = process.read_table_parts(&smaps.mappings, 4).unwrap();
    let place = smaps.mappings.iter().position(|mapping| mapping.start() == start).unwrap();
    assert_eq!(parts.mappings[place].iter().map(|part| part.present.0).sum::<u64>(), 40 * page());

    // Its files.
    let inode = path.metadata().unwrap().ino();
    let mapped = process.read_mappings_of_inode(inode).unwrap();
    let identity = OpenFile::open(&path).unwrap().identity();
    assert_eq!((mapped.len(), mapped[0].open(&process).unwrap().identity()), (1, identity));
    assert_eq!(process.open_mapped_file(&named("/data")).unwrap().identity(), identity);
    assert_eq!(process.read_deleted(&named("/unlinked (deleted)")), Deleted::Yes);
    let held = process.read_held_files().unwrap();
    let file = held.iter().find(|file| file.path() == path).unwrap();
    assert_eq!((file.held(), file.identity()), (Held::Mapped, identity));
    if nix::unistd::geteuid().is_root() {
        let deleted = process.open_mapped_file(&named("/unlinked (deleted)")).unwrap();
        assert_eq!((deleted.way(), deleted.links()), (rmap::process::Way::MapFiles, 0));
    }

    // Its identity, and how it is found.
    let who = process.identity().unwrap();
    assert!(who.command.ends_with(b"headless"), "{}", who.command.escape_ascii());
    let pid = subject.pid();
    let pattern = format!("anonymous:64:40 shared:{}", path.display());
    assert_eq!(select(|by| by.add_pattern(&pattern).unwrap()), [pid]);
    assert!(select(|by| by.add_name(b"subject")).contains(&pid));
    let user = nix::unistd::geteuid().as_raw().to_string();
    assert!(select(|by| by.add_user(&user).unwrap()).contains(&pid));
    if let Ok(group) = process.read_cgroup() {
        assert!(select(|by| by.add_group(&group)).contains(&pid));
    }

    // The command line shows it too.
    let run =
        rmap(["pid", &subject.word(), "--csv", "-o", "start,rss,cache_cached,map_present,path", "--cache", "--map"]);
    let text = run.good_of_own_files().text();
    let line = text.lines().find(|line| line.ends_with(&path.display().to_string())).unwrap();
    let bytes = 16 * page();
    assert!(line.contains(&format!(",{bytes},{bytes},{bytes},")), "{line}");
}

#[test]
fn two_without_their_first_thread_have_each_its_own_memory() {
    const PAGES: [u64; 2] = [6000, 1000];
    let subjects = PAGES.map(|pages| Subject::start([format!("anonymous:8192:{pages}"), "headless".to_owned()]));
    let pids = subjects.each_ref().map(Subject::word);
    let folder = memory();
    let capture = folder.path().join("two.tar").display().to_string();
    assert_eq!(rmap(["capture", "--no-files", "-o", &capture, &pids.join(",")]).status, Some(0));
    for root in [None, Some(&capture)] {
        let ask = |arguments: &[&str]| {
            let root = root.into_iter().flat_map(|root| ["--proc-root", root]);
            rmap(arguments.iter().copied().chain(["--json"]).chain(root)).json()
        };
        let is_near = |figure: &serde_json::Value, pages: u64| {
            let range = pages * page()..(pages + 2000) * page();
            assert!(range.contains(&figure.as_u64().unwrap()), "{figure}: not within {range:?}, {root:?}");
        };
        let ps = ask(&["ps", "--total", &pids[0], &pids[1]]);
        for (pages, pid) in PAGES.iter().zip(&pids) {
            let rows = ps["processes"].as_array().unwrap();
            let pid: u64 = pid.parse().unwrap();
            is_near(&rows.iter().find(|row| row["pid"] == pid).unwrap()["uss"], *pages);
        }
        let both = PAGES.iter().sum();
        is_near(&ps["total"]["uss"], both);
        is_near(&ask(&["pid", "--merge", "--total", &pids[0], &pids[1]])["total"]["anonymous"], both);
        is_near(&ask(&["pid", "--merge", "--summary", &pids[0], &pids[1]])[0]["amount"], both);
    }
}
