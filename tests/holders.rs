//! Who holds a file, and where it is: processes in a known state, on file systems whose device and inode numbers do not
//! name a file, and in other mount namespaces.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rmap::join::{Holder, Holders};
use rmap::machine::Places;
use rmap::process::ProcRoot;

use common::{Subject, disk, memory};

/// All holders of this machine.
struct Found {
    places: Places,
    holders: Holders,
}

impl Found {
    fn read() -> Found {
        let root = ProcRoot::live();
        let places = Places::read(&root).unwrap();
        let holders = Holders::read(&root, &places).unwrap();
        Found { places, holders }
    }

    /// Who holds the file that is at a path, with this inode number.
    fn of(&self, path: &Path, inode: u64) -> Vec<Holder> {
        let (device, within) = self.places.locate(path.as_os_str().as_encoded_bytes()).unwrap();
        self.holders.of(&self.places, device, inode, &within)
    }
}

/// Pid, mapped, open.
fn ways(found: &[Holder]) -> Vec<(u32, bool, bool)> {
    found.iter().map(|holder| (holder.pid.unwrap_or(0), holder.is_mapped, holder.is_open)).collect()
}

/// The same for these subjects, in the order of their pids.
fn expected(of: &[(&Subject, bool, bool)]) -> Vec<(u32, bool, bool)> {
    let mut ways: Vec<_> = of.iter().map(|(subject, mapped, open)| (subject.pid(), *mapped, *open)).collect();
    ways.sort_unstable();
    ways
}

#[test]
fn all_processes_that_map_a_file_or_have_it_open_are_found() {
    for folder in [memory(), disk()] {
        let path = folder.path().join("a file");
        std::fs::write(&path, vec![1; 8 * 4096]).unwrap();
        let inode = path.metadata().unwrap().ino();
        let (file, name) = (path.to_str().unwrap(), folder.path().join("other name"));
        let mapped = [0; 2].map(|_| Subject::start([format!("part:{file}:0:8:0"), format!("part:{file}:2:1:0")]));
        let both = Subject::start([format!("view:{file}:8"), format!("open:{file}")]);
        let open = Subject::start([format!("open:{file}")]);
        let all = expected(&[
            (&mapped[0], true, false),
            (&mapped[1], true, false),
            (&both, true, true),
            (&open, false, true),
        ]);
        let found = Found::read();
        let holders = found.of(&path, inode);
        assert_eq!(ways(&holders), all);
        assert!(holders.iter().all(|holder| &*holder.command == b"subject"), "{holders:?}");
        assert_eq!(found.holders.paths(found.places.locate(file.as_bytes()).unwrap().0, inode).count(), 1);
        // A hard link is another name of the same file, and a removed one too.
        std::fs::hard_link(&path, &name).unwrap();
        let link = Subject::start([format!("open:{}", name.display())]);
        std::fs::remove_file(&path).unwrap();
        let all = [all, expected(&[(&link, false, true)])].concat();
        let found = Found::read();
        assert_eq!(ways(&found.of(&name, inode)), all);
        let (device, _) = found.places.locate(file.as_bytes()).unwrap();
        let mut names: Vec<_> = found.holders.paths(device, inode).map(|path| path.is_deleted()).collect();
        names.sort_unstable();
        assert_eq!(names, [false, true]);
    }
}

#[test]
fn memory_without_a_name_is_found_by_its_inode() {
    let subject = Subject::start(["memfd:16:4"]);
    let text = std::fs::read_to_string(format!("/proc/{}/maps", subject.pid())).unwrap();
    let line = text.lines().find(|line| line.contains("/memfd:")).unwrap();
    let fields: Vec<&str> = line.split_whitespace().collect();
    let part = |place: usize| u32::from_str_radix(fields[3].split(':').nth(place).unwrap(), 16).unwrap();
    let found = Found::read();
    let holders = found.holders.of(&found.places, (part(0), part(1)), fields[4].parse().unwrap(), b"");
    assert_eq!((holders.len(), holders[0].pid, holders[0].is_mapped), (1, Some(subject.pid()), true), "{holders:?}");
}

mod mounts {
    use std::process::Command;

    use super::*;
    use crate::common::{Served, in_own_namespace, mounted, subject_program};

    #[test]
    fn a_file_that_another_namespace_sees_through_an_overlay() {
        let name = "a_file_that_another_namespace_sees_through_an_overlay";
        let mount = "mkdir low up work all private && ln -s low link && for n in one two three; do \
                     dd if=/dev/zero of=low/$n bs=4096 count=8 2>/dev/null; done && cp low/one up/new";
        let Some(folder) = mounted(name, mount) else { return };
        let all = folder.join("all").display().to_string();
        let place = folder.display();
        let options = format!("lowerdir={place}/link,upperdir={place}/up,workdir={place}/work");
        let overlay = format!("mount -t overlay none -o {options} all");
        let acts = format!("part:{all}/one:0:8:0 open:{all}/two part:{all}/new:0:4:1 part:{all}/three:0:8:8");
        let subject = in_own_namespace(&folder, &overlay, &acts);
        let found = Found::read();
        let inode = |path: &str| folder.join(path).metadata().unwrap().ino();
        let of = |path: &str| ways(&found.of(&folder.join(path), inode(path)));
        assert_eq!(of("low/one"), expected(&[(&subject, true, false)]));
        assert_eq!(of("low/two"), expected(&[(&subject, false, true)]));
        assert_eq!(of("up/new"), expected(&[(&subject, true, false)]));
        // It was opened to be written, and so copied up.
        assert_eq!(of("up/three"), expected(&[(&subject, true, false)]));
        // Nobody has this one, which has no name in the overlay.
        assert_eq!(ways(&found.of(&folder.join("low/two"), inode("low/one"))), []);
        // The overlay is only in the other namespace, and so is this path.
        let text = std::fs::read_to_string(format!("/proc/{}/mountinfo", subject.pid())).unwrap();
        let line = text.lines().find(|line| line.contains(" - overlay ") && line.contains(&all)).unwrap();
        let device = line.split(' ').nth(2).unwrap().split_once(':').unwrap();
        let device = (device.0.parse().unwrap(), device.1.parse().unwrap());
        let seen = found.places.find(device, b"/one").unwrap();
        assert_eq!(
            (seen.path, seen.pid, seen.is_hidden),
            (format!("{all}/one").into_bytes(), Some(subject.pid()), false)
        );
        let name = format!("namespace of {} (subject)", subject.pid());
        let container = seen.container.unwrap();
        // The shell had another name, if its control group is that of a container, as on some test machines.
        assert!(*container == *name || container.contains(':'), "{container}");
        let (on, within) = found.places.locate(folder.join("up/new").as_os_str().as_encoded_bytes()).unwrap();
        let layers = found.places.in_layers(device, b"/new");
        assert_eq!((layers[0].device, &layers[0].path, layers[0].is_upper), (on, &within, true));
        // The symbolic link was followed.
        assert!(layers[1].path.ends_with(b"/low/new") && layers.len() == 2, "{layers:?}");
    }

    #[test]
    fn an_overlay_in_the_same_namespace_and_a_layer_below_another_mount() {
        let name = "an_overlay_in_the_same_namespace_and_a_layer_below_another_mount";
        let mount = "mkdir one && mount -t tmpfs one one && mkdir one/low one/up one/work all && \
                     echo x > one/low/file && \
                     mount -t overlay overlay -o lowerdir=one/low,upperdir=one/up,workdir=one/work all && \
                     mount -t tmpfs over all";
        let Some(folder) = mounted(name, mount) else { return };
        let found = Found::read();
        // Relative layers without an upper layer next to the mount cannot be placed, but this must not stop anything.
        let place = found.places.locate(folder.join("all/x").as_os_str().as_encoded_bytes()).unwrap();
        assert_eq!(place.1, b"/x");
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let all = folder.join("all").display().to_string();
        let line = text.lines().find(|line| line.contains(" - overlay ") && line.contains(&all)).unwrap();
        let device = line.split(' ').nth(2).unwrap().split_once(':').unwrap();
        let device = (device.0.parse().unwrap(), device.1.parse().unwrap());
        let hidden = found.places.find(device, b"/file").unwrap();
        assert_eq!((hidden.path, hidden.pid, hidden.is_hidden), (format!("{all}/file").into_bytes(), None, true));
    }

    #[test]
    fn layers_named_from_where_the_overlay_was_mounted() {
        let name = "layers_named_from_where_the_overlay_was_mounted";
        // Closer to the first mount are other directories with the names of its layers.
        let mount = "mkdir lo lo2 up up2 wk wk2 ov away there x x/ov x/lo x/up x/wk && mount -t tmpfs other lo2 && \
                     mkdir away/lo away/up away/wk lo2/a lo2/b && \
                     for d in lo up lo2/a lo2/b up2 away/lo away/up; do for n in map open both; do \
                     dd if=/dev/zero of=$d/$(echo $d | tr / -)-$n bs=4096 count=8 2>/dev/null; done; done && \
                     mount -t overlay overlay -o lowerdir=lo,upperdir=up,workdir=wk x/ov && \
                     mount -t overlay overlay -o lowerdir=lo2/a:./lo2/b:lo,upperdir=up2,workdir=wk2 ov && \
                     cd away && mount -t overlay overlay -o lowerdir=lo,upperdir=up,workdir=wk ../there";
        let Some(folder) = mounted(name, mount) else { return };
        let file = |layer: &str, way: &str| format!("{}-{way}", layer.replace('/', "-"));
        let hold = |overlay: &str, layer: &str| {
            let path = |way: &str| folder.join(overlay).join(file(layer, way)).display().to_string();
            let (map, open, both) = (path("map"), path("open"), path("both"));
            Subject::start([format!("view:{map}:8"), format!("open:{open}"), format!("part:{both}:0:8:0")])
        };
        let held = [("x/ov", "lo"), ("x/ov", "up"), ("ov", "lo2/a"), ("ov", "lo2/b"), ("ov", "up2")];
        let subjects = held.map(|(overlay, layer)| (layer, hold(overlay, layer)));
        let away = ["away/lo", "away/up"].map(|layer| (layer, hold("there", layer)));
        let check = |found: &Found, subject: &Subject, layer: &str| {
            for way in ["map", "open", "both"] {
                let path = folder.join(layer).join(file(layer, way));
                let holders = found.of(&path, path.metadata().unwrap().ino());
                // `view` keeps the file open.
                let expected = expected(&[(subject, way != "open", way != "both")]);
                assert_eq!(ways(&holders), expected, "{}", path.display());
            }
        };
        // Nobody is where the third one was mounted from, so that its layers are not known; but this is said.
        let found = Found::read();
        subjects.iter().for_each(|(layer, subject)| check(&found, subject, layer));
        let may_miss = |path: &str| {
            let path = folder.join(path);
            let (device, within) = found.places.locate(path.as_os_str().as_encoded_bytes()).unwrap();
            let inode = path.metadata().map_or(0, |found| std::os::unix::fs::MetadataExt::ino(&found));
            found.holders.may_miss(&found.places, device, inode, &within)
        };
        assert!(may_miss("away/lo/away-lo-open") && !may_miss("away/lo/other") && !may_miss("lo/lo-open"));
        let _shell = Subject::start([format!("directory:{}", folder.join("away").display())]);
        let found = Found::read();
        subjects.iter().chain(&away).for_each(|(layer, subject)| check(&found, subject, layer));
        assert!(!found.places.unplaced_layers().any(|(_, end)| end == b"lo"));
    }

    #[test]
    fn what_is_below_a_directory_is_found_on_its_file_systems() {
        let name = "what_is_below_a_directory_is_found_on_its_file_systems";
        let mount = "mkdir lo up wk top top/ov top/bound top/hidden far && mount -t tmpfs far far && mkdir far/part && \
                     mount --bind far/part top/bound && mount -t tmpfs one top/hidden && \
                     mount -t overlay overlay -o lowerdir=lo,upperdir=up,workdir=wk top/ov && mkdir top/ov/sub && \
                     mount -t tmpfs two top/hidden";
        let Some(folder) = mounted(name, mount) else { return };
        let found = Found::read();
        let at = |path: &str| found.places.locate(folder.join(path).as_os_str().as_encoded_bytes()).unwrap();
        let below = |path: &str| found.places.below(folder.join(path).as_os_str().as_encoded_bytes());
        let mut expected = ["top", "far/part", "top/hidden", "top/ov", "lo", "up"].map(at);
        expected.sort_unstable();
        assert_eq!(below("top"), expected);
        let mut expected = ["top/ov/sub", "lo/sub", "up/sub"].map(at);
        expected.sort_unstable();
        assert_eq!(below("top/ov/sub"), expected);
    }

    #[test]
    fn the_holder_of_a_block_device() {
        let name = "the_holder_of_a_block_device";
        let mount = "truncate -s 8M image && mkfs.ext4 -q image && mkdir all && mount -o loop image all && \
                     findmnt -no SOURCE all > source";
        let Some(folder) = mounted(name, mount) else { return };
        let device = std::fs::read_to_string(folder.join("source")).unwrap().trim().to_owned();
        let subject = Subject::start([format!("open:{device}")]);
        let number = Path::new(&device).metadata().unwrap().rdev();
        let number = (nix::libc::major(number), nix::libc::minor(number));
        let found = Found::read();
        let holders = found.holders.of_block_device(&found.places, number);
        assert_eq!(ways(&holders), expected(&[(&subject, false, true)]));
    }

    /// What a test is told when it runs again in another pid namespace: whether it is blind there.
    const BLIND: &str = "RMAP_TEST_BLIND";

    #[test]
    fn in_another_pid_namespace_it_is_blind() {
        let name = "in_another_pid_namespace_it_is_blind";
        if let Some(is_blind) = std::env::var_os(BLIND) {
            assert_eq!(Found::read().holders.is_blind(), is_blind == "true");
            return;
        }
        let Some(folder) = mounted(name, "mkdir proc") else { return };
        let again = |options: &[&str], is_blind: bool| {
            let mut command = Command::new("unshare");
            command.args(["--pid", "--fork", "--kill-child"]).args(options).arg(std::env::current_exe().unwrap());
            command.args(["--exact", &format!("mounts::{name}")]).env(BLIND, is_blind.to_string());
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("1 passed"), "{options:?}: {said}");
        };
        again(&["--mount-proc"], true);
        // These tests may run in a container. With this `/proc`, what it shows is the same in any namespace.
        let is_blind = Found::read().holders.is_blind();
        again(&[], is_blind);
        // The processes of another namespace, seen from here.
        let proc = folder.join("proc");
        let script = format!("mount -t proc proc {}; exec {}", proc.display(), subject_program().display());
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "sh", "-ec", &script]);
        let _subject = Subject::until_ready(command);
        let root = ProcRoot::at(proc);
        let places = Places::read(&root).unwrap();
        assert!(Holders::read(&root, &places).unwrap().is_blind());
    }

    #[test]
    fn files_of_one_inode_number_on_two_subvolumes() {
        let name = "files_of_one_inode_number_on_two_subvolumes";
        let mount = "truncate -s 200M image && mkfs.btrfs -q image && mkdir all deep && mount -o loop image all && \
                     btrfs -q subvolume create all/a && btrfs -q subvolume create all/b && \
                     mount -o subvol=b $(findmnt -no SOURCE all | sed 's/\\[.*//') deep";
        let Some(folder) = mounted(name, mount) else { return };
        let files = ["all/a/file", "all/b/file"].map(|path| folder.join(path));
        for file in &files {
            std::fs::write(file, vec![1; 8 * 4096]).unwrap();
        }
        let inode = files[0].metadata().unwrap().ino();
        assert_eq!(files[1].metadata().unwrap().ino(), inode, "the test needs files of the same number");
        let mapped = Subject::start([format!("part:{}:0:8:0", files[0].display())]);
        let open = Subject::start([format!("open:{}", files[1].display())]);
        // The second one, by another path.
        let deep = Subject::start([format!("view:{}:8", folder.join("deep/file").display())]);
        let found = Found::read();
        let device = found.places.locate(files[0].as_os_str().as_encoded_bytes()).unwrap().0;
        assert!(found.places.repeats_inodes(device));
        assert_eq!(ways(&found.of(&files[0], inode)), expected(&[(&mapped, true, false)]));
        assert_eq!(ways(&found.of(&files[1], inode)), expected(&[(&open, false, true), (&deep, true, true)]));
        assert_eq!(found.holders.paths(device, inode).count(), 2);
        // The shorter path is given.
        let place = found.places.find(device, b"/b/file").unwrap();
        assert_eq!(place.path, folder.join("deep/file").as_os_str().as_encoded_bytes());
        // The kernel holds the image.
        let image = folder.join("image");
        let holders = found.of(&image, image.metadata().unwrap().ino());
        let name = String::from_utf8_lossy(&holders[0].command);
        assert!(holders.len() == 1 && holders[0].pid.is_none() && name.starts_with("loop"), "{holders:?}");
        std::fs::remove_file(&files[0]).unwrap();
        let (device, within) = found.places.locate(files[0].as_os_str().as_encoded_bytes()).unwrap();
        let found = Found::read();
        let left = found.holders.of(&found.places, device, inode, &within);
        assert_eq!(ways(&left), expected(&[(&mapped, true, false)]));
    }

    #[test]
    fn a_process_in_a_chroot_and_one_in_another_namespace_hold_the_same_file() {
        let name = "a_process_in_a_chroot_and_one_in_another_namespace_hold_the_same_file";
        let mount = "mkdir -p root inside && echo x > root/file && mount -t tmpfs inside inside";
        let Some(folder) = mounted(name, mount) else { return };
        let root = folder.join("root").display().to_string();
        let file = folder.join("root/file");
        let chroot = Subject::start([format!("chroot:{root}"), "open:/file".to_owned()]);
        let bound = format!("mount --bind {root} inside");
        let inside = folder.join("inside/file").display().to_string();
        let bound = in_own_namespace(&folder, &bound, &format!("view:{inside}:1"));
        let found = Found::read();
        let holders = found.of(&file, file.metadata().unwrap().ino());
        assert_eq!(ways(&holders), expected(&[(&chroot, false, true), (&bound, true, true)]));
    }

    #[test]
    fn a_server_that_does_not_answer_is_not_asked() {
        let name = "a_server_that_does_not_answer_is_not_asked";
        let Some(folder) = mounted(name, "mkdir there") else { return };
        let there = folder.join("there");
        let Some(served) = Served::mount(&there) else { return };
        let path = there.join("a");
        let inode = path.metadata().unwrap().ino();
        let subject = Subject::start([format!("view:{}:4", path.display())]);
        let silence = served.fall_silent();
        let begun = std::time::Instant::now();
        let found = Found::read();
        let took = begun.elapsed();
        let holders = found.of(&path, inode);
        drop(silence);
        assert_eq!(ways(&holders), expected(&[(&subject, true, true)]));
        assert!(took < std::time::Duration::from_secs(2), "{took:?}");
    }
}
