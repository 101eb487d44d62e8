//! The memory control groups that are charged for pages.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use memmap2::{Advice, MmapOptions, MmapRaw};
use serde_json::Value;

use crate::common::{Group, disk, memory, page, rmap, shell};
use crate::{Answer, assert_locked, below, bytes, complete, has_lists};

/// Writes a part of a file page by page, in a group.
fn write_in(group: &Group, folder: &Path, name: &str, first: u64, pages: u64) {
    let page = page();
    let script = format!("dd if=/dev/zero of={name} bs={page} seek={first} count={pages} conv=notrunc status=none");
    group.run(&script, folder).good();
}

fn locked(path: &Path) -> MmapRaw {
    let map = MmapOptions::new().map_raw_read_only(&File::open(path).unwrap()).unwrap();
    map.advise(Advice::Random).unwrap();
    map.lock().unwrap();
    map
}

/// The rows of `--cgroup GROUP` below a directory.
fn charged_to(group: &Group, folder: &Path) -> Answer {
    complete(&[OsStr::new("-o+inode"), "--cgroup".as_ref(), group.name.as_ref(), folder.as_os_str()])
}

#[test]
fn a_file_that_is_mapped_in_part_is_not_unmapped_in_any_group() {
    if !has_lists("a_file_that_is_mapped_in_part_is_not_unmapped_in_any_group") {
        return;
    }
    let (Some(one), Some(two)) = (Group::new("mapped"), Group::new("unmapped")) else { return };
    let folder = memory();
    for name in ["mapped", "free"] {
        write_in(&one, folder.path(), name, 0, 32);
        write_in(&two, folder.path(), name, 32, 32);
    }
    let file = File::open(folder.path().join("mapped")).unwrap();
    let map = MmapOptions::new().len((20 * page()) as usize).map_raw_read_only(&file).unwrap();
    map.lock().unwrap();
    let place = folder.path().to_str().unwrap();
    for arguments in [&[][..], &["--by=cgroup"], &["--by=node"], &["--cgroup", &two.name], &["--cgroup", &one.name]] {
        let found = complete(&[&["--unmapped"], arguments, &[place]].concat());
        let is_part = arguments.iter().any(|argument| argument.contains("cgroup"));
        let rows = if arguments == ["--by=cgroup"] { 2 } else { 1 };
        assert_eq!(found.rows.len(), rows, "{arguments:?}: {found:?}");
        for row in &found.rows {
            assert_eq!(bytes(row, "cached"), if is_part { 32 } else { 64 } * page(), "{arguments:?}: {row}");
        }
    }
}

#[test]
fn a_file_that_is_charged_to_two_groups() {
    if !has_lists("a_file_that_is_charged_to_two_groups") {
        return;
    }
    let (Some(one), Some(two)) = (Group::new("one"), Group::new("two")) else { return };
    let folders = [memory(), disk()];
    for folder in &folders {
        write_in(&one, folder.path(), "split", 0, 32);
        write_in(&two, folder.path(), "split", 32, 32);
        write_in(&two, folder.path(), "of_two", 0, 5);
    }
    // The kernel could write the pages on the disk, and reclaim them.
    let _held = ["split", "of_two"].map(|name| locked(&folders[1].path().join(name)));
    let places: Vec<&OsStr> = folders.iter().map(|folder| folder.path().as_os_str()).collect();
    let shown = |arguments: &[&str]| {
        let arguments = arguments.iter().map(OsStr::new).chain(places.iter().copied());
        complete(&arguments.collect::<Vec<_>>())
    };
    let whole = shown(&[]);
    let of_one = shown(&["--cgroup", &one.name]);
    let of_two = shown(&["--cgroup", &two.name]);
    for (folder, is_disk) in folders.iter().zip([false, true]) {
        let path = folder.path().join("split");
        let row = whole.row(&path);
        assert_eq!(bytes(row, "cached"), 64 * page(), "{row}");
        let both = [format!("{}, {}", one.name, two.name), format!("{}, {}", two.name, one.name)];
        assert!(both.iter().any(|groups| row["cgroup"] == *groups), "{row}");
        assert_eq!(whole.row(&folder.path().join("of_two"))["cgroup"], two.name);
        // The pages of one group, no more and no fewer.
        let row = of_one.row(&path);
        assert_eq!((bytes(row, "cached"), bytes(row, "size")), (32 * page(), 64 * page()), "{row}");
        assert_eq!((&row["cgroup"], row["percent"].as_f64()), (&one.name.clone().into(), Some(50.0)), "{row}");
        assert_eq!(bytes(row, "mapped"), if is_disk { 32 * page() } else { 0 }, "{row}");
        assert_eq!(bytes(of_two.row(&path), "cached"), 32 * page());
    }
    assert_eq!((of_one.rows.len(), of_one.sum("cached")), (2, 64 * page()), "{of_one:?}");
    assert_eq!((of_two.rows.len(), of_two.sum("cached")), (4, 74 * page()), "{of_two:?}");

    // Grouped, a file counts for each group that is charged.
    let groups = shown(&["--by=cgroup"]);
    let of = |group: &Group| groups.rows.iter().find(|row| row["cgroup"] == group.name).unwrap();
    assert_eq!(groups.rows.len(), 2, "{groups:?}");
    assert_eq!((bytes(of(&one), "cached"), bytes(of(&one), "files")), (64 * page(), 2));
    assert_eq!((bytes(of(&two), "cached"), bytes(of(&two), "files")), (74 * page(), 4));
    assert_eq!(bytes(of(&two), "size"), 138 * page());
    // A file that has a row for each of two groups has its length once.
    let kinds = shown(&["--by=kind", "--cgroup", &one.name, "--cgroup", &two.name]);
    let tmpfs = kinds.rows.iter().find(|row| row["kind"] == "tmpfs").unwrap();
    assert_eq!((bytes(tmpfs, "cached"), bytes(tmpfs, "size")), (69 * page(), 69 * page()), "{tmpfs}");
    assert_eq!(tmpfs["files"], 2, "{tmpfs}");
}

#[test]
fn groups_are_named_from_the_root_of_the_namespace() {
    let test = "groups_are_named_from_the_root_of_the_namespace";
    if !has_lists(test) {
        return;
    }
    let (Some(root), Some(beside)) = (Group::new("namespace"), Group::new("beside")) else { return };
    let folder = memory();
    write_in(&root, folder.path(), "ours", 0, 16);
    write_in(&beside, folder.path(), "theirs", 0, 8);
    // As a privileged container has it: its own groups, and all of the page cache.
    let top = root.path().parent().unwrap().display();
    let mount = "mount -t cgroup -o memory none TOP 2>/dev/null || mount -t cgroup2 none TOP";
    let mount = format!("umount -l TOP && {{ {mount}; }}").replace("TOP", &top.to_string());
    let script = format!(
        "unshare -C -m true || {{ echo SKIPPED: {test}: no namespace >&2; exit 0; }}; \
         exec unshare -C -m sh -c '{mount} || {{ echo SKIPPED: {test}: no mount >&2; exit 0; }}; exec \"$@\"' \
         sh \"$@\""
    );
    let enter = format!("echo $$ > {}/cgroup.procs", root.path().display());
    let run_in = |script: &str, arguments: &[&str]| {
        let all = [&["rmap", "files", "--jsonl", "--budget=20"], arguments].concat();
        shell(&format!("{enter} && {script}"), &all.iter().map(OsStr::new).collect::<Vec<_>>())
    };
    let inside = |arguments: &[&str]| run_in(&script, arguments);
    let place = folder.path().to_str().unwrap();
    let run = inside(&[place]);
    if run.err.contains("SKIPPED") {
        eprint!("{}", run.err);
        return;
    }
    let name = format!("/../{}", beside.last_name());
    let all = Answer::of(&run);
    let group = |file: &str| all.row(&folder.path().join(file))["cgroup"].clone();
    assert_eq!((group("ours"), group("theirs")), ("/".into(), name[..].into()), "{all:?}");
    let mounted = top.to_string();
    for (wanted, file, pages) in [("/", "ours", 16), (&mounted, "ours", 16), (&name, "theirs", 8)] {
        let found = Answer::of(&inside(&["--cgroup", wanted, place]));
        assert_eq!((found.rows.len(), found.sum("cached")), (1, pages * page()), "{wanted}: {found:?}");
        assert_eq!(found.row(&folder.path().join(file))["cgroup"], if pages == 16 { "/" } else { &name }, "{found:?}");
    }
    // The whole tree is still mounted, which leads to the same groups by other names.
    for (group, pages) in [(&root, 16), (&beside, 8)] {
        let typed = group.path().to_str().unwrap();
        let found = Answer::of(&run_in("exec unshare -C \"$@\"", &["--cgroup", typed, place]));
        assert_eq!((found.rows.len(), found.sum("cached")), (1, pages * page()), "{typed}: {found:?}");
    }
    // A removed group beside it is not below it; one below it is.
    let kid = root.inner("kid");
    write_in(&kid, folder.path(), "kid", 0, 4);
    let kid_name = format!("(removed) /{}", kid.last_name());
    drop(kid);
    drop(beside);
    let found = Answer::of(&inside(&["--by", "cgroup", "--cgroup", "/", place]));
    let groups: Vec<_> = found.rows.iter().map(|row| row["cgroup"].as_str().unwrap()).collect();
    assert_eq!((&groups[..], found.sum("cached")), (&["/", &kid_name[..]][..], 20 * page()), "{found:?}");
}

#[test]
fn a_file_that_is_read_in_pieces_is_counted_once() {
    if !has_lists("a_file_that_is_read_in_pieces_is_counted_once") {
        return;
    }
    let (Some(one), Some(two)) = (Group::new("pieces_one"), Group::new("pieces_two")) else { return };
    let folder = memory();
    // More than 2 GiB in pages of 4 KiB, so that two readers share it; the border is in the middle of a piece.
    let (ours, theirs) = (400_003, 199_999);
    write_in(&one, folder.path(), "large", 0, ours);
    write_in(&two, folder.path(), "large", ours, theirs);
    let groups = complete(&["--by=cgroup".as_ref(), folder.path().as_os_str()]);
    let cached =
        |group: &Group| groups.rows.iter().find(|row| row["cgroup"] == group.name).map(|row| bytes(row, "cached"));
    assert_eq!(groups.rows.len(), 2, "{groups:?}");
    assert_eq!((cached(&one), cached(&two)), (Some(ours * page()), Some(theirs * page())), "{groups:?}");
    let whole = complete(&[folder.path().as_os_str()]);
    assert_eq!((whole.rows.len(), whole.sum("cached")), (1, (ours + theirs) * page()), "{whole:?}");
}

#[test]
fn what_was_reclaimed_is_not_said_to_belong_to_a_group() {
    if !has_lists("what_was_reclaimed_is_not_said_to_belong_to_a_group") {
        return;
    }
    let (Some(one), Some(two)) = (Group::new("reclaimed"), Group::new("kept")) else { return };
    let folder = disk();
    write_in(&one, folder.path(), "split", 0, 32);
    write_in(&two, folder.path(), "split", 32, 32);
    let path = folder.path().join("split");
    let file = File::open(&path).unwrap();
    file.sync_all().unwrap();
    let kept = MmapOptions::new().offset(32 * page()).map_raw_read_only(&file).unwrap();
    kept.lock().unwrap();
    if !one.reclaim() {
        eprintln!("SKIPPED what_was_reclaimed_is_not_said_to_belong_to_a_group: a group cannot be reclaimed from here");
        return;
    }
    let whole = complete(&[OsStr::new("-o+evicted"), folder.path().as_os_str()]);
    assert_eq!(bytes(whole.row(&path), "evicted"), 32 * page(), "{whole:?}");
    let groups = complete(&["--by=cgroup".as_ref(), OsStr::new("-ocached,evicted,cgroup"), folder.path().as_os_str()]);
    let row = groups.rows.iter().find(|row| row["cgroup"] == two.name).unwrap();
    assert_eq!((bytes(row, "cached"), &row["evicted"]), (32 * page(), &Value::Null), "{row}");
}

#[test]
fn the_files_of_a_group_add_up_to_what_it_is_charged_for() {
    if !has_lists("the_files_of_a_group_add_up_to_what_it_is_charged_for") {
        return;
    }
    let Some(group) = Group::new("stat") else { return };
    let folder = memory();
    write_in(&group, folder.path(), "a", 0, 300);
    let _subject = group.start(&[format!("synced:{}:100:2", folder.path().join("b").display())]);
    // The kernel collects the figures of a group every two seconds.
    let start = Instant::now();
    loop {
        let found = complete(&["-o", "cached", "--cgroup", &group.name]);
        let stat = group.stat(&["total_cache", "file"]).unwrap();
        let sum = found.sum("cached");
        assert!(sum >= 400 * page(), "{found:?}");
        if sum == stat {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(15), "{sum} in files, {stat} in memory.stat");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn a_group_includes_the_groups_below_it() {
    if !has_lists("a_group_includes_the_groups_below_it") {
        return;
    }
    let Some(outer) = Group::new("outer") else { return };
    let inner = outer.inner("inner");
    let folder = memory();
    write_in(&inner, folder.path(), "file", 0, 7);
    for group in [&outer, &inner] {
        let found = charged_to(group, folder.path());
        let row = found.row(&folder.path().join("file"));
        assert_eq!((bytes(row, "cached"), &row["cgroup"]), (7 * page(), &inner.name.clone().into()), "{row}");
    }
}

#[test]
fn a_file_of_a_group_that_was_removed_since() {
    if !has_lists("a_file_of_a_group_that_was_removed_since") {
        return;
    }
    let Some(group) = Group::new("gone") else { return };
    let folder = disk();
    let path = folder.path().join("file");
    let subject = group.start(&[format!("synced:{}:24:2", path.display())]);
    let named = below(folder.path());
    assert_eq!(named.row(&path)["cgroup"], group.name);
    let (called, name) = (group.name.clone(), format!("(removed) {}", group.name));
    group.remove_without(&subject);
    let found = below(folder.path());
    let row = found.row(&path);
    assert_eq!(bytes(row, "cached"), 24 * page(), "{row}");
    assert_locked(row, 24 * page());
    assert_eq!(row["cgroup"], name, "{row}");
    // It can be named as it is shown, or as it was called.
    for name in [&name, &called] {
        let found = complete(&["--cgroup".as_ref(), OsStr::new(name), folder.path().as_os_str()]);
        assert_eq!(bytes(found.row(&path), "cached"), 24 * page(), "{name}");
    }
    assert_eq!(row["holders"], format!("subject {}", subject.pid()), "{row}");
    // That its files are not among those that are shown does not tell that it never was.
    let elsewhere = memory();
    let narrowed = |narrow: &str, status: i32| {
        let start = ["files", "--jsonl", "--budget=20", "-o", "cached,path", "--cgroup", &called, narrow];
        let runs = (0..10).map(|_| rmap(start));
        runs.into_iter().find(|run| run.status == Some(status)).unwrap_or_else(|| panic!("{narrow}: {:?}", rmap(start)))
    };
    let clean = narrowed("--dirty", 0);
    assert_eq!(clean.err, "rmap: --dirty, --cgroup: no row matches\n");
    let other = narrowed(elsewhere.path().to_str().unwrap(), 1);
    let note = "no such control group now; if it was removed, it may be charged for files that were not read";
    assert!(other.err.contains(&format!("rmap: {called}: {note}\n")), "{other:?}");
    assert!(clean.out.is_empty() && other.out.is_empty(), "{clean:?}, {other:?}");
}

#[test]
fn a_name_that_a_new_group_has_is_not_that_of_the_removed_one() {
    if !has_lists("a_name_that_a_new_group_has_is_not_that_of_the_removed_one") {
        return;
    }
    let Some(old) = Group::new("again") else { return };
    let folder = memory();
    write_in(&old, folder.path(), "before", 0, 7);
    let before = folder.path().join("before");
    let removed = format!("(removed) {}", old.name);
    assert_eq!(charged_to(&old, folder.path()).row(&before)["cgroup"], old.name);
    drop(old);
    let new = Group::new("again").unwrap();
    // Also before it is charged for anything.
    assert_eq!(charged_to(&new, folder.path()).rows.len(), 0);
    write_in(&new, folder.path(), "mine", 0, 5);
    let found = charged_to(&new, folder.path());
    assert_eq!((found.rows.len(), bytes(found.row(&folder.path().join("mine")), "cached")), (1, 5 * page()));
    let found = complete(&["--cgroup".as_ref(), OsStr::new(&removed), folder.path().as_os_str()]);
    assert_eq!((found.rows.len(), bytes(found.row(&before), "cached")), (1, 7 * page()), "{found:?}");
    // `rmap cgroups` gives the same sum, however the group is named.
    for name in [&new.name[..], new.last_name()] {
        let run = rmap(["cgroups", name]).text();
        assert!(run.contains("/mine\n") && !run.contains("/before\n"), "{name}: {run}");
        let found = complete(&["--cgroup".as_ref(), OsStr::new(name), folder.path().as_os_str()]);
        assert_eq!((found.rows.len(), found.sum("cached")), (1, 5 * page()), "{name}: {found:?}");
    }
}

#[test]
fn a_removed_group_below_another_is_of_that_one_and_not_of_a_later_one_of_the_same_name() {
    if !has_lists("a_removed_group_below_another_is_of_that_one_and_not_of_a_later_one_of_the_same_name") {
        return;
    }
    let Some(outer) = Group::new("above") else { return };
    let inner = outer.inner("kid");
    let folder = memory();
    write_in(&inner, folder.path(), "file", 0, 7);
    drop(inner);
    let path = folder.path().join("file");
    for name in [&outer.name[..], outer.last_name(), "/"] {
        let found = complete(&["--cgroup".as_ref(), OsStr::new(name), folder.path().as_os_str()]);
        assert_eq!(bytes(found.row(&path), "cached"), 7 * page(), "{name}: {found:?}");
    }
    drop(outer);
    let new = Group::new("above").unwrap();
    for name in [&new.name[..], new.last_name()] {
        let found = complete(&["--cgroup".as_ref(), OsStr::new(name), folder.path().as_os_str()]);
        assert_eq!(found.rows.len(), 0, "{name}: {found:?}");
    }
}

#[test]
fn a_group_that_is_charged_for_nothing_has_no_rows() {
    if !has_lists("a_group_that_is_charged_for_nothing_has_no_rows") {
        return;
    }
    let Some(group) = Group::new("empty") else { return };
    // Without holders, the answer lacks nothing.
    let run =
        (0..10).map(|_| rmap(["files", "-o", "cached,cgroup", "--budget=20", "--jsonl", "--cgroup", &group.name]));
    let run = run.into_iter().find(|run| run.status == Some(0)).unwrap();
    assert_eq!((run.lines_of_json(), run.err.as_str()), (Vec::<Value>::new(), "rmap: --cgroup: no row matches\n"));
    // A part of a name is not a name.
    let part = group.name.trim_end_matches(|c: char| c.is_ascii_digit());
    let run = rmap(["files", "-o", "cached", "--budget=20", "--jsonl", "--cgroup", part, "--cgroup", &group.name]);
    assert_eq!((run.status, run.lines_of_json()), (Some(1), Vec::new()), "{run:?}");
    let line = format!("rmap: {part}: no such control group with memory control; `rmap cgroups` lists them\n");
    assert!(run.err.contains(&line) && !run.err.contains(&group.name), "{run:?}");
}
