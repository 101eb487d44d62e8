//! Files whose device and inode numbers do not name them, and files of other mount namespaces. Each test runs itself
//! again in its own mount namespace, so that nothing is left behind.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::common::{Subject, in_own_namespace, mounted, page, rmap, rmap_without_lists};
use crate::{assert_locked, below, bytes, complete, has_lists};

/// The container of a file that only this process's mount namespace has. If the process is in a control group whose
/// name is that of a container, as on some test machines, it is called after that.
fn is_namespace_of(container: &str, subject: &Subject) -> bool {
    container == format!("namespace of {} (subject)", subject.pid()) || container.contains(':')
}

#[test]
fn a_file_of_another_mount_namespace() {
    let name = "a_file_of_another_mount_namespace";
    let Some(folder) = mounted(name, "mkdir inside") else { return };
    if !has_lists(name) {
        return;
    }
    let file = folder.join("inside/file").display().to_string();
    let subject = in_own_namespace(&folder, "mount -t tmpfs none inside", &format!("shared:{file}:16:9"));
    let found = complete(&[crate::MORE]);
    let path = format!("/proc/{}/root{file}", subject.pid());
    let row = found.row(Path::new(&path));
    assert_eq!((bytes(row, "cached"), bytes(row, "mapped")), (16 * page(), 9 * page()), "{row}");
    assert!(is_namespace_of(row["container"].as_str().unwrap(), &subject), "{row}");
    assert_eq!(row["holders"], format!("subject {}", subject.pid()), "{row}");
    assert_eq!((&row["kind"], &row["deleted"]), (&"tmpfs".into(), &false.into()), "{row}");
    assert_eq!(fs::metadata(&path).unwrap().ino(), bytes(row, "inode"), "the path leads to another file");
    // Without the lists it is the same file, and not one below a directory that is called so here.
    let arguments = ["files", "--jsonl", "-o", "+kind"].map(OsStr::new);
    let without = |there: &[&OsStr]| rmap_without_lists([&arguments, there].concat());
    let Some(all) = without(&[]) else { return };
    let rows = all.lines_of_json();
    let same = rows.iter().find(|row| row["path"] == path).unwrap_or_else(|| panic!("{path}: {rows:?}"));
    for key in ["cached", "holders", "container", "kind", "deleted"] {
        assert_eq!(same[key], row[key], "{key}: {same}");
    }
    let below = without(&[folder.join("inside").as_os_str()]).unwrap();
    assert_eq!(below.lines_of_json(), [] as [serde_json::Value; 0]);
}

#[test]
fn a_file_that_a_container_sees_through_an_overlay() {
    let name = "a_file_that_a_container_sees_through_an_overlay";
    let mount = "mkdir low up work all && dd if=/dev/zero of=low/read bs=4096 count=8 status=none";
    let Some(folder) = mounted(name, mount) else { return };
    if !has_lists(name) {
        return;
    }
    let all = folder.join("all").display().to_string();
    let place = folder.display();
    let overlay = format!("mount -t overlay none -o lowerdir={place}/low,upperdir={place}/up,workdir={place}/work all");
    let acts = format!("glance:{all}/read:8 shared:{all}/new:16:5 open:{all}/new");
    let subject = in_own_namespace(&folder, &overlay, &acts);
    let found = below(&folder);
    for (path, cached, mapped) in [("low/read", 8 * 4096, 8 * 4096), ("up/new", 16 * page(), 5 * page())] {
        let row = found.row(&folder.join(path));
        assert_eq!((bytes(row, "cached"), bytes(row, "mapped")), (cached, mapped), "{row}");
        assert_eq!(row["holders"], format!("subject {}", subject.pid()), "{row}");
        assert_eq!(bytes(row, "inode"), folder.join(path).metadata().unwrap().ino());
    }
    // The pages are those of the layers: they are not counted again for the overlay.
    let copies = complete(&[crate::MORE]);
    let is_copy = |path: &str| path.ends_with("/all/read") || path.ends_with("/all/new");
    assert!(!copies.rows.iter().any(|row| is_copy(row["path"].as_str().unwrap())), "counted twice");
}

#[test]
fn a_file_on_an_overlay_that_only_a_container_has() {
    let name = "a_file_on_an_overlay_that_only_a_container_has";
    let Some(folder) = mounted(name, "mkdir inside") else { return };
    if !has_lists(name) {
        return;
    }
    let inside = folder.join("inside").display().to_string();
    let overlay = format!(
        "mount -t tmpfs none inside; cd inside; mkdir low up work all; \
         mount -t overlay none -o lowerdir={inside}/low,upperdir={inside}/up,workdir={inside}/work all"
    );
    let subject = in_own_namespace(&folder, &overlay, &format!("shared:{inside}/all/file:12:12"));
    let found = complete(&[crate::MORE]);
    let is_of_it = |path: &str| path.starts_with(&format!("/proc/{}/root{inside}/", subject.pid()));
    let rows: Vec<_> = found.rows.iter().filter(|row| is_of_it(row["path"].as_str().unwrap())).collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((bytes(rows[0], "cached"), bytes(rows[0], "mapped")), (12 * page(), 12 * page()), "{rows:?}");
    assert!(is_namespace_of(rows[0]["container"].as_str().unwrap(), &subject), "{rows:?}");
    assert_eq!(rows[0]["holders"], format!("subject {}", subject.pid()), "{rows:?}");
    assert!(Path::new(rows[0]["path"].as_str().unwrap()).exists(), "{rows:?}");
}

#[test]
fn files_of_one_inode_number_on_two_subvolumes() {
    let name = "files_of_one_inode_number_on_two_subvolumes";
    let mount = "truncate -s 200M image && mkfs.btrfs -q image && mkdir all && mount -o loop image all && \
                 btrfs -q subvolume create all/a && btrfs -q subvolume create all/b";
    let Some(folder) = mounted(name, mount) else { return };
    if !has_lists(name) {
        return;
    }
    let files = ["all/a/file", "all/b/file"].map(|path| folder.join(path));
    let hold = |place: usize, pages: u64| Subject::start([format!("synced:{}:{pages}:2", files[place].display())]);
    let subjects = [hold(0, 8), hold(1, 5)];
    let inode = files[0].metadata().unwrap().ino();
    assert_eq!(files[1].metadata().unwrap().ino(), inode, "the test needs files of the same number");
    let found = below(&folder.join("all"));
    for ((file, subject), pages) in files.iter().zip(&subjects).zip([8, 5]) {
        let row = found.row(file);
        assert_eq!((bytes(row, "cached"), bytes(row, "inode")), (pages * page(), inode), "{row}");
        assert_locked(row, pages * page());
        assert_eq!((&row["holders"], &row["fs"]), (&format!("subject {}", subject.pid()).into(), &"btrfs".into()));
    }
    // A walk knows the type of the file system too, though `stat` gives another device than the list of mounts.
    let walked = rmap(["files", "--scan", "--jsonl", "-o", "path,fs", folder.join("all").to_str().unwrap()]);
    let rows = walked.lines_of_json();
    assert!(rows.len() == 2 && rows.iter().all(|row| row["fs"] == "btrfs"), "{walked:?}");
    // A row that was not read in time names it likewise.
    let late = rmap(["files", "--jsonl", "-o+device,inode", "--budget=0.001", files[0].to_str().unwrap()]);
    let rows = late.lines_of_json();
    assert_eq!(rows.len(), 1, "{late:?}");
    assert_eq!((&rows[0]["device"], bytes(&rows[0], "inode")), (&found.row(&files[0])["device"], inode), "{late:?}");
    // The trees of the file system are no file, and their pages have no length.
    let trees = complete(&["-o", "kind,size,percent,fs,inode", "--filter", "fs==btrfs && kind==metadata"]);
    assert!(!trees.rows.is_empty() && trees.rows.iter().any(|row| row["inode"] == 1), "{trees:?}");
    assert!(trees.rows.iter().filter(|row| row["inode"] == 1).all(|row| row["size"].is_null()), "{trees:?}");
    // The kernel holds the image.
    let image = below(&folder);
    let holders = image.row(&folder.join("image"))["holders"].clone();
    assert!(holders.as_str().unwrap().starts_with("loop"), "{holders}");
}

#[test]
fn a_block_device_is_no_deleted_file() {
    let name = "a_block_device_is_no_deleted_file";
    let mount = "truncate -s 64M image; mkfs.ext4 -q image 8M; mkdir disk; mount -o loop image disk; \
                 losetup -n -O NAME -j \"$PWD/image\" > name";
    let Some(folder) = mounted(name, mount) else { return };
    if !has_lists(name) {
        return;
    }
    let device = fs::read_to_string(folder.join("name")).unwrap();
    let device = Path::new(device.trim());
    let file = fs::File::options().read(true).write(true).open(device).unwrap();
    // Past the end of the file system.
    file.write_all_at(&vec![7; 50 * page() as usize], 32 << 20).unwrap();
    let found = complete(&[crate::MORE]);
    let row = found.row(device);
    assert_eq!((&row["kind"], &row["deleted"]), (&"block device".into(), &false.into()), "{row}");
    assert!(bytes(row, "cached") >= 50 * page() && bytes(row, "cached") <= 64 << 20, "{row}");
    assert_eq!(below(Path::new("/dev")).row(device)["kind"], "block device");
    // What this process has open is the node of the device, which is another inode.
    let holders = row["holders"].as_str().unwrap_or_default();
    assert!(holders.ends_with(&format!(" {}", std::process::id())), "{row}");
    let agrees = || {
        let (cached, _, stale) = crate::by_cachestat(device);
        bytes(complete(&[crate::MORE]).row(device), "cached") == cached + stale
    };
    // The file system works on its device meanwhile.
    assert!(!crate::common::has_cachestat() || (0..5).any(|_| agrees()), "cachestat differs from {row}");
}

#[test]
fn files_on_a_mount_that_was_detached_have_their_holders() {
    let name = "files_on_a_mount_that_was_detached_have_their_holders";
    let Some(folder) = mounted(name, "mkdir gone; mount -t tmpfs none gone") else { return };
    if !has_lists(name) {
        return;
    }
    let (open, mapped) = (folder.join("gone/held-open"), folder.join("gone/held-mapped"));
    fs::write(&open, vec![7; 5 * page() as usize]).unwrap();
    let subject = Subject::start([format!("shared:{}:4:4", mapped.display()), format!("open:{}", open.display())]);
    let umount = std::process::Command::new("umount").arg("-l").arg(folder.join("gone")).status().unwrap();
    assert!(umount.success());
    let arguments = ["files", "--jsonl", "--budget=20", "-o+holder_count", "--filter", "path=~held-.*"];
    let without = rmap_without_lists(arguments);
    for run in [Some(rmap(arguments)), without].into_iter().flatten() {
        let rows = run.lines_of_json();
        for file in ["held-open", "held-mapped"] {
            let is_it = |row: &&serde_json::Value| row["path"].as_str().unwrap().ends_with(&format!("/{file}"));
            let row = rows.iter().find(is_it).unwrap_or_else(|| panic!("{file}: {run:?}"));
            assert_eq!(row["holders"], format!("subject {}", subject.pid()), "{row}");
            // A process that does not show what it holds may be one more.
            assert!(row["holder_count"] == 1 || run.err.contains("what holds a file is not known"), "{row}");
        }
    }
}

/// A file by its number, as servers of NFS know it: `name_to_handle_at(2)` and `open_by_handle_at(2)`.
#[repr(C)]
struct ByNumber {
    bytes: u32,
    kind: i32,
    handle: [u8; 128],
}

#[allow(unsafe_code, reason = "no library wraps these calls")]
impl ByNumber {
    fn of(path: &Path) -> ByNumber {
        let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        let (mut found, mut mount) = (ByNumber { bytes: 128, kind: 0, handle: [0; 128] }, 0);
        let handle = (&raw mut found).cast();
        // SAFETY: the handle has room for as many bytes as it says.
        let done = unsafe { nix::libc::name_to_handle_at(nix::libc::AT_FDCWD, path.as_ptr(), handle, &mut mount, 0) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        found
    }

    /// Opens it by any file of its file system.
    fn open(&mut self, beside: &fs::File) -> fs::File {
        let handle = (&raw mut *self).cast();
        let flags = nix::libc::O_RDONLY | nix::libc::O_CLOEXEC;
        // SAFETY: the kernel made the handle.
        let opened = unsafe { nix::libc::open_by_handle_at(beside.as_raw_fd(), handle, flags) };
        assert!(opened >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: it was opened just now, and nothing else has it.
        unsafe { fs::File::from_raw_fd(opened) }
    }
}

#[test]
fn files_without_a_name_in_memory_are_below_the_whole_file_system_and_may_be_below_a_part() {
    let name = "files_without_a_name_in_memory_are_below_the_whole_file_system_and_may_be_below_a_part";
    let mount = "truncate -s 64M image; mkfs.ext4 -q image; mkdir disk; mount -o loop image disk; mkdir disk/part";
    let Some(folder) = mounted(name, mount) else { return };
    if !has_lists(name) {
        return;
    }
    let disk = folder.join("disk");
    let paths = ["held", "other"].map(|name| disk.join("part").join(name));
    paths.iter().for_each(|path| fs::write(path, vec![7; 40960]).unwrap());
    let numbers = paths.each_ref().map(|path| path.metadata().unwrap().ino());
    let mut handles = paths.each_ref().map(|path| ByNumber::of(path));
    let again = "cd $1; umount disk; mount -o loop image disk";
    crate::common::shell(again, &[folder.as_os_str()]).good();
    let root = fs::File::open(&disk).unwrap();
    let open = |handle: &mut ByNumber| {
        let map = memmap2::MmapOptions::new().map_raw_read_only(&handle.open(&root)).unwrap();
        map.lock().unwrap();
        map
    };
    let _maps = handles.each_mut().map(open);
    // The file system keeps pages of its own about free blocks, which are in no directory.
    fs::write(disk.join("new"), b"x").unwrap();
    fs::File::open(disk.join("new")).unwrap().sync_all().unwrap();
    let whole = below(&disk);
    assert!(!whole.has_nameless, "{whole:?}");
    assert!(whole.rows.iter().all(|row| row["kind"] == "file"), "{whole:?}");
    for number in numbers {
        let row = whole.row_of_inode("file", number);
        let path = row["path"].as_str().unwrap();
        assert!(path.starts_with("[ext4 ") && path.ends_with(&format!("] inode {number}")), "{row}");
        assert_eq!(bytes(row, "cached"), 40960, "{row}");
        assert!(row["holders"].as_str().unwrap().ends_with(&format!(" {}", std::process::id())), "{row}");
    }
    let part = rmap(["files", "--jsonl", "--budget=20", disk.join("part").to_str().unwrap()]);
    let line = format!("{}2 files (80K) without a name in memory may be below the given directory", crate::LISTS);
    assert!(part.complaints().contains(&&line[..]) && part.status == Some(0), "{part:?}");
    // A capture knows as much.
    let capture = folder.join("capture.tar");
    let taken = rmap(["capture", "-o", capture.to_str().unwrap(), &std::process::id().to_string()]);
    let captured = |below: &[&Path]| {
        let arguments = ["files", "--jsonl", "-o+inode,kind", "--proc-root", capture.to_str().unwrap()].map(OsStr::new);
        rmap(arguments.into_iter().chain(below.iter().map(|path| path.as_os_str())))
    };
    for directory in [&disk, Path::new("/")] {
        let run = captured(&[directory]);
        let rows = run.lines_of_json();
        for number in numbers {
            let path = |row: &&serde_json::Value| row["path"].as_str().unwrap().ends_with(&format!("] inode {number}"));
            let found: Vec<_> = rows.iter().filter(path).filter(|row| row["kind"] == "file").collect();
            assert!(!found.is_empty() && found.iter().any(|row| bytes(row, "cached") == 40960), "{taken:?}, {run:?}");
        }
    }
    let run = captured(&[&disk]);
    assert!(!run.complaints().iter().any(|line| crate::is_nameless(line)), "{run:?}");
    let run = captured(&[&disk.join("part")]);
    assert!(run.complaints().contains(&&line[..]), "{run:?}");
    let run = captured(&[&disk.join("part"), &disk.join("lost+found")]);
    assert!(run.complaints().contains(&&line.replace("directory", "directories")[..]), "{run:?}");
    // Nothing is below a file.
    let run = captured(&[&disk.join("new")]);
    assert_eq!(run.lines_of_json().len(), 1, "{run:?}");
    assert!(!run.complaints().iter().any(|line| crate::is_nameless(line)), "{run:?}");
    // What was looked up has its name.
    fs::metadata(&paths[0]).unwrap();
    assert_eq!(bytes(below(&disk.join("part")).row(&paths[0]), "cached"), 40960);
}

#[test]
fn in_a_chroot_whose_root_is_no_mount_point_files_have_the_path_that_is_typed_there() {
    let name = "in_a_chroot_whose_root_is_no_mount_point_files_have_the_path_that_is_typed_there";
    let mount = "mkdir -p jail/proc jail/sys jail/data jail/usr; mount -t proc proc jail/proc; \
                 mount --rbind /usr jail/usr; mount --rbind /sys jail/sys; \
                 for name in lib lib64 bin; do ln -s usr/$name jail/$name; done; touch jail/rmap";
    let Some(folder) = mounted(name, mount) else { return };
    let bind = "mount --bind $1 $2";
    let program = crate::common::program();
    crate::common::shell(bind, &[program.as_os_str(), folder.join("jail/rmap").as_os_str()]).good();
    let file = folder.join("jail/data/held");
    let subject = Subject::start([format!("shared:{}:4:4", file.display())]);
    let jail = folder.join("jail");
    let files = |before: &[&str], args: &[&str]| {
        let mut run = std::process::Command::new("env");
        run.args(before).arg("chroot").arg(&jail).args(["/rmap", "files", "--jsonl", "-o+holders,holder_count,kind"]);
        if !args.contains(&"--scan") {
            run.arg("--budget=20");
        }
        run.args(args);
        crate::common::run(run)
    };
    let is_held = |row: &&serde_json::Value| row["path"] == "/data/held";
    let checked = |args: &[&str]| {
        let run = files(&[], args);
        let rows = run.lines_of_json();
        let row = rows.iter().find(is_held).unwrap_or_else(|| panic!("{args:?}: {run:?}"));
        assert_eq!(row["holders"], format!("subject {}", subject.pid()), "{row}");
        assert!(row["holder_count"] == 1 || run.err.contains("what holds a file is not known"), "{row}");
        assert!(row["container"].is_null() && row["absent"]["container"].is_null(), "{row}");
        rows
    };
    assert_eq!(checked(&["--scan", "/data"]).len(), 1);
    // What is outside of it has no path there, not even one that it has outside.
    let outside = folder.join("outside");
    let holder = Subject::start([format!("shared:{}:4:4", outside.display())]);
    let run = files(&["setpriv", "--bounding-set", "-sys_admin,-bpf"], &[]);
    let held = format!("subject {}", holder.pid());
    let rows = run.lines_of_json();
    let rows: Vec<_> = rows.iter().filter(|row| row["holders"] == held).collect();
    let of_outside = rows.iter().filter(|row| row["path"].as_str().unwrap().ends_with("/outside"));
    let paths: Vec<&str> = of_outside.map(|row| row["path"].as_str().unwrap()).collect();
    assert_eq!(paths.len(), 1, "{rows:?}");
    assert!(paths[0].starts_with("/proc/"), "{paths:?}");
    assert_eq!(fs::metadata(paths[0]).unwrap().ino(), fs::metadata(&outside).unwrap().ino(), "{paths:?}");
    // Nobody in this namespace sees the mount that the root directory is on.
    let alone = ["unshare", "--mount", "--propagation", "private"];
    let run = files(&alone, &["--scan", "/data"]);
    let why = run.lines_of_json()[0]["absent"]["container"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("is not in the list of mounts of this process"), "{run:?}");
    if !has_lists(name) {
        return;
    }
    assert_eq!(checked(&["/data"]).len(), 1);
    assert_eq!(checked(&["/data/held"]).len(), 1);
    checked(&[]);
    // Below `/` there is no `/dev`, although the kernel knows devices by such names.
    let rows = checked(&["/"]);
    assert!(!rows.iter().any(|row| row["kind"] == "block device"), "{rows:?}");
    let run = files(&alone, &["/data"]);
    assert_eq!((run.status, run.lines_of_json().len()), (Some(1), 0), "{run:?}");
    assert!(run.err.contains("what is in /data is not known: the mount that it is on is not in the list"), "{run:?}");
    assert!(run.err.contains("`rmap files --scan /data`") && !run.err.contains("no row matches"), "{run:?}");
}

#[test]
fn where_sysfs_is_not_mounted_that_is_the_reason() {
    let name = "where_sysfs_is_not_mounted_that_is_the_reason";
    if !has_lists(name) {
        return;
    }
    let reason = |mount: &str| {
        let script = format!("{mount}; exec {} files --top 1", crate::common::program().display());
        let mut run = std::process::Command::new("unshare");
        run.args(["--mount", "--propagation", "private", "sh", "-ec", &script]);
        crate::common::run(run).err
    };
    let here = "rmap: the kernel's lists of cached files: ";
    let err = reason("mount -t tmpfs none /sys");
    assert!(err.contains(&format!("{here}there is no /sys/kernel/btf/vmlinux here: mount sysfs on /sys")), "{err}");
    let err = reason("mount -t tmpfs none /sys/kernel");
    assert!(err.contains(&format!("{here}this kernel has no BPF, or does not describe its structures")), "{err}");
}

#[test]
fn what_is_locked_of_a_mapped_file_with_large_folios_is_a_lower_bound() {
    let name = "what_is_locked_of_a_mapped_file_with_large_folios_is_a_lower_bound";
    let Some(folder) = mounted(name, "mkdir huge; mount -t tmpfs -o huge=always none huge") else { return };
    if !has_lists(name) {
        return;
    }
    let [directory, path] = ["huge", "huge/file"].map(|name| folder.join(name));
    fs::write(&path, vec![1; 2 << 20]).unwrap();
    let large = bytes(below(&directory).row(&path), "large");
    let shown = || {
        let looks = [&[][..], &["--by", "holder"]].map(|by| {
            let columns = [&["files", "-n", "--budget=20", "-b", "-o", "locked,unevictable"][..], by].concat();
            let text = rmap(columns.into_iter().map(OsStr::new).chain([directory.as_os_str()])).text();
            text.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
        });
        // Sums are bounds too.
        assert_eq!(looks[0], looks[1]);
        looks[0].clone()
    };
    assert_eq!(shown(), ["0", "0"]);
    let mapped = memmap2::MmapOptions::new().len(1 << 20).map_raw_read_only(&fs::File::open(&path).unwrap()).unwrap();
    mapped.lock().unwrap();
    if large == 0 {
        return eprintln!("SKIPPED: {name}: there are no huge pages on tmpfs here");
    }
    let row = below(&directory).row(&path).clone();
    assert!(bytes(&row, "locked") < 1 << 20, "the kernel tells it now: {row}");
    assert_eq!(shown(), [">=0", ">=0"], "{row}");
}
