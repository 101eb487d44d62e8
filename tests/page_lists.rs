//! What only the kernel's lists of pages say about a file, for files whose pages belong to another inode, and for parts
//! of files. `fuse` and `walk` have the tests of files that must not be opened.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use common::{Group, Run, can_read_lists, in_own_namespace, memory, mounted_as, page, rmap, shell};
use memmap2::{MmapOptions, MmapRaw};
use serde_json::Value;

const COLUMNS: &str = "cached,method,active_pages,mapped_pages,node,cgroup";

/// The one row of a file that could be measured in every respect.
#[track_caller]
fn row(options: &[&str], path: &Path) -> Value {
    let rows = rmap([&["pcstat", "--json", "-o", COLUMNS], options, &[path.to_str().unwrap()]].concat()).rows();
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0].clone()
}

/// A mapping of the first pages of a file, which are locked and so on no list of candidates for reclaim.
fn mapped(path: &Path, pages: u64) -> MmapRaw {
    let file = File::open(path).unwrap();
    let map = MmapOptions::new().len((pages * page()) as usize).map_raw_read_only(&file).unwrap();
    map.lock().unwrap();
    map
}

/// Two layers with a file each, one with two names in the lower layer, one that was copied up, and one that was copied
/// up although only its permissions have changed.
const LAYERS: &str = "mkdir lower upper work shown lower/sub
    for file in lower/low lower/sub/deep lower/written lower/chosen upper/up; do
        head -c 40960 /dev/urandom > $file
    done
    ln lower/low lower/same";
const CHANGES: &str = "cd $1; cat shown/low shown/written shown/chosen > /dev/null
    printf x | dd of=shown/written conv=notrunc status=none; chmod 600 shown/chosen
    head -c 40960 /dev/zero > shown/new; cat shown/* shown/sub/deep > /dev/null 2>&1 || true";

#[test]
fn the_pages_of_a_file_on_an_overlay_are_those_of_its_layer() {
    let name = "the_pages_of_a_file_on_an_overlay_are_those_of_its_layer";
    let disk = "truncate -s 64M image; mkfs.ext4 -q image; mkdir disk; mount -o loop image disk; cd disk";
    let overlay = "mount -t overlay none -o lowerdir=$PWD/lower,upperdir=$PWD/upper,workdir=$PWD/work shown";
    let Some(folder) = mounted_as(name, &format!("{disk}; {LAYERS}; {overlay}")) else { return };
    if !can_read_lists(name) {
        return;
    }
    let disk = folder.join("disk");
    shell(CHANGES, &[disk.as_os_str()]).good();
    let pages = 40960 / page();
    for (shown, layer) in [
        ("low", "lower/low"),
        ("same", "lower/low"),
        ("sub/deep", "lower/sub/deep"),
        ("up", "upper/up"),
        ("new", "upper/new"),
        ("written", "upper/written"),
        ("chosen", "upper/chosen"),
    ] {
        let path = disk.join("shown").join(shown);
        let held = mapped(&path, 3);
        // The kernel moves pages to the active list in batches, also between two looks.
        let look = || (row(&[], &path), row(&[], &disk.join(layer)));
        let mut looks = std::iter::repeat_with(look).take(10);
        let agree = |(found, below): &(Value, Value)| found["active_pages"] == below["active_pages"];
        let (found, below) = looks.find(agree).expect("it has never as many active pages as the layer");
        assert_eq!((&found["cached"], &found["method"]), (&pages.into(), &"mincore".into()), "{shown}: {found}");
        assert_eq!((&found["mapped_pages"], &found["node"]), (&3.into(), &below["node"]), "{shown}: {found}");
        for figure in ["mapped_pages", "cgroup"] {
            assert_eq!(found[figure], below[figure], "{shown}: {found} {below}");
        }
        drop(held);
    }
}

#[test]
fn layers_that_were_named_from_another_directory_are_found_or_the_figures_are_absent() {
    let name = "layers_that_were_named_from_another_directory_are_found_or_the_figures_are_absent";
    let overlay = "mount -t overlay none -o lowerdir=lower,upperdir=upper,workdir=work shown";
    let Some(folder) = mounted_as(name, &format!("{LAYERS}; {overlay}")) else { return };
    if !can_read_lists(name) {
        return;
    }
    shell(CHANGES, &[folder.as_os_str()]).good();
    for shown in ["sub/deep", "up", "new", "written", "chosen"] {
        let path = folder.join("shown").join(shown);
        let _held = mapped(&path, 2);
        assert_eq!(row(&[], &path)["mapped_pages"], 2, "{shown}");
    }
    // The kernel may give the other of its two names.
    for shown in ["low", "same"] {
        let path = folder.join("shown").join(shown);
        let _held = mapped(&path, 2);
        let found = row(&[], &path);
        let why = found["absent"]["mapped_pages"].as_str().unwrap_or_default();
        assert!(found["mapped_pages"] == 2 || why.contains("cannot be told"), "{found}");
    }
}

#[test]
fn a_block_device_is_found_by_its_number() {
    let name = "a_block_device_is_found_by_its_number";
    let Some(folder) = mounted_as(name, "truncate -s 8M image; losetup -f --show image > device") else { return };
    let device = fs::read_to_string(folder.join("device")).unwrap().trim().to_owned();
    let _detached = Detached(&device);
    if !can_read_lists(name) {
        return;
    }
    let _held = mapped(Path::new(&device), 5);
    let found = row(&["--range", "0,16k"], Path::new(&device));
    let asked = (16 << 10) / page();
    assert_eq!((&found["cached"], &found["mapped_pages"]), (&asked.into(), &asked.min(5).into()), "{found}");
    assert!(found["node"].is_string() && found["cgroup"].is_string(), "{found}");
    let listed = rmap(["files", "--json", &device]);
    let rows = listed.json();
    assert_eq!((&rows[0]["path"], &rows[0]["kind"]), (&device.as_str().into(), &"block device".into()), "{listed:?}");
    // Its other names are as good.
    let other = folder.join("other");
    let numbers = shell("stat -c '0x%t 0x%T' $1", &[device.as_ref()]).good().text();
    let mut made = Command::new("mknod");
    made.arg(&other).arg("b").args(numbers.split_whitespace());
    if made.status().unwrap().success() && File::open(&other).is_ok() {
        assert_eq!(row(&[], &other)["mapped_pages"], 5);
    }
    let listed = rmap(["pcstat", "--json", "--method", "pages", "--range", "0,16k", &device]).rows();
    assert_eq!((&listed[0]["cached"], &listed[0]["method"]), (&asked.into(), &"pages".into()), "{listed:?}");
}

/// Detaches a loop device, however the test ends.
struct Detached<'d>(&'d str);

impl Drop for Detached<'_> {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["-d", self.0]).status();
    }
}

#[test]
fn a_range_has_the_groups_of_its_own_pages() {
    if !can_read_lists("a_range_has_the_groups_of_its_own_pages") {
        return;
    }
    let (Some(one), Some(two)) = (Group::new("half"), Group::new("rest")) else { return };
    let (folder, page) = (memory(), page());
    let write = |group: &Group, first: u64, pages: u64| {
        let script = format!("dd if=/dev/zero of=file bs={page} seek={first} count={pages} conv=notrunc status=none");
        group.run(&script, folder.path()).good();
    };
    write(&one, 0, 16);
    write(&two, 16, 20);
    let path = folder.path().join("file");
    File::options().write(true).open(&path).unwrap().set_len(64 * page).unwrap();
    let of = |first: u64, pages: u64| row(&["--range", &format!("{},{}", first * page, pages * page)], &path);
    assert_eq!(of(0, 64)["cgroup"], format!("{}, {}", two.name, one.name));
    assert_eq!(of(0, 16)["cgroup"], one.name);
    assert_eq!(of(15, 1)["cgroup"], one.name);
    assert_eq!(of(16, 48)["cgroup"], two.name);
    assert_eq!(of(4, 14)["cgroup"], format!("{}, {}", one.name, two.name));
    // Nothing of it is cached, so nobody is charged and it is on no node.
    let none = of(40, 8);
    assert_eq!((&none["cached"], &none["active_pages"]), (&0.into(), &0.into()));
    for figure in ["node", "cgroup"] {
        assert!(none[figure].is_null(), "{none}");
        assert_eq!(none["absent"][figure], "not applicable: it has no cached pages", "{none}");
    }
    // One more page of another group.
    File::options().write(true).open(&path).unwrap().write_all_at(b"x", 50 * page).unwrap();
    assert_ne!(of(50, 1)["cgroup"], one.name);
}

#[test]
fn the_map_shows_dirty_pages_where_cachestat_does() {
    let name = "the_map_shows_dirty_pages_where_cachestat_does";
    if !can_read_lists(name) || !common::has_cachestat() {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("file");
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    file.write_all_at(&vec![7; (400 * page()) as usize], 0).unwrap();
    file.sync_all().unwrap();
    let _held = mapped(&path, 400);
    let map = |method: &str| {
        rmap(["pcstat", "--map", "-n", "-o", "page_map", "--method", method, path.to_str().unwrap()]).good().text()
    };
    // The kernel may write them meanwhile.
    let agree = (0..5).any(|_| {
        file.write_all_at(&vec![8; (100 * page()) as usize], 100 * page()).unwrap();
        let (before, found, after) = (map("cachestat"), map("pages"), map("cachestat"));
        if before != after || !before.contains('D') {
            return false;
        }
        assert_eq!(found, before);
        true
    });
    assert!(agree, "the pages were never dirty, or the file system does not keep them dirty");
}

/// A run of rmap as root that may not read the files of other users. The folder of the program may be closed to it.
fn not_overriding(program: &Path, arguments: &[&str]) -> Run {
    let mut run = Command::new("setpriv");
    run.args(["--bounding-set", "-dac_override,-dac_read_search,-fowner"]).arg(program).args(arguments);
    common::run(run)
}

#[test]
fn a_file_that_may_not_be_opened_is_measured_by_its_pages() {
    let name = "a_file_that_may_not_be_opened_is_measured_by_its_pages";
    if !can_read_lists(name) || !common::has("setpriv", "util-linux") {
        return;
    }
    let folder = memory();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let path = folder.path().join("private");
    fs::write(&path, vec![7; (9 * page()) as usize]).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&path, Some(common::NOBODY), Some(common::NOBODY)).unwrap();
    for arguments in [&["pcstat", "--jsonl"][..], &["pcstat", "-R", "--jsonl"], &["pcstat", "--summary", "--jsonl"]] {
        let found = if arguments.contains(&"-R") { folder.path() } else { &path };
        let run = not_overriding(common::program(), &[arguments, &[found.to_str().unwrap()]].concat()).good();
        let rows = run.lines_of_json();
        assert_eq!((rows.len(), &rows[0]["cached"]), (1, &9.into()), "{arguments:?}: {rows:?}");
    }
    let who = not_overriding(common::program(), &["who", "--json", "--total", path.to_str().unwrap()]).json();
    assert_eq!(who["files"][0]["cached"], 9 * page(), "{who}");
    // No other method can.
    let run = not_overriding(common::program(), &["pcstat", "--method", "cachestat", path.to_str().unwrap()]);
    assert!(run.status == Some(1) && run.err.contains("permission denied"), "{run:?}");
}

#[test]
fn who_may_not_read_the_lists_is_told_so_and_not_that_another_method_is_missing() {
    let folder = memory();
    let path = folder.path().join("file");
    fs::write(&path, b"x").unwrap();
    let arguments = ["pcstat", "--method", "pages", path.to_str().unwrap()];
    let Some(run) = common::rmap_without_lists(arguments) else { return };
    assert!(run.status == Some(1) && run.err.contains("CAP_BPF and CAP_PERFMON"), "{run:?}");
    assert!(!run.err.contains("cachestat"), "{run:?}");
}

#[test]
fn a_file_that_a_process_of_another_namespace_holds_on_an_overlay_is_that_of_its_layer() {
    let name = "a_file_that_a_process_of_another_namespace_holds_on_an_overlay_is_that_of_its_layer";
    let Some(folder) = mounted_as(name, LAYERS) else { return };
    if !can_read_lists(name) {
        return;
    }
    // A file that is younger than the process may have been copied up since it was mapped.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let mount = "mount -t overlay none -o lowerdir=$PWD/lower,upperdir=$PWD/upper,workdir=$PWD/work shown";
    let (path, pages) = (folder.join("shown/sub/deep"), 40960 / page());
    let subject = in_own_namespace(&folder, mount, &format!("glance:{}:{pages}", path.display()));
    assert!(!path.exists(), "the overlay is mounted here, too");
    let pid = subject.pid().to_string();
    let filter = format!("path == \"{}\"", path.display());
    let rows = rmap(["pcstat", "--jsonl", "-o", &format!("path,{COLUMNS}"), "--pid", &pid, "--filter", &filter]);
    let held = &rows.lines_of_json()[0];
    let layer = row(&[], &folder.join("lower/sub/deep"));
    for figure in ["cached", "mapped_pages", "node", "cgroup"] {
        assert!(!held[figure].is_null() && held[figure] == layer[figure], "{figure}: {held} {layer}");
    }
    assert_eq!(held["mapped_pages"], pages, "{held}");
}
