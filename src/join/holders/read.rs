//! Reads what all processes hold, on several threads.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{Device, FoundFile, Hold, Holders, Known, NUMBER, Stray, kernel};
use crate::error::{ErrorKind, Result};
use crate::join::crowd::visit_all;
use crate::kernel::mount_table::parts;
use crate::kernel::nameless::is_segment;
use crate::machine::Places;
use crate::process::{
    FileUse, Needles, ProcRoot, Process, UseBuffers, UsedIn, hides_processes, last_name, read_pids_of_holders,
    shows_whole_machine,
};

impl Holders {
    /// Reads which files all processes hold. Those that exit meanwhile hold nothing.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn read(root: &ProcRoot, places: &Places) -> Result<Holders> {
        Holders::read_until(root, places, None)
    }

    /// The same, but no process is asked any more after `until`: those that were not are counted.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn read_until(root: &ProcRoot, places: &Places, until: Option<Instant>) -> Result<Holders> {
        let mut pids = read_pids_of_holders(root)?;
        pids.sort_unstable();
        let collector = Mutex::new(Collector::default());
        let late = AtomicU64::new(0);
        let new = || One {
            places,
            buffers: UseBuffers::default(),
            text: Vec::new(),
            files: Vec::new(),
            segments: Vec::new(),
        };
        visit_all(&pids, new, |one, pid| match until.is_some_and(|until| Instant::now() > until) {
            true => drop(late.fetch_add(1, Ordering::Relaxed)),
            false => one.read(root, pid, &collector),
        });
        let mut holders = collector.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
        holders.late = late.into_inner();
        let is_live = root.is_live();
        holders.is_live = is_live;
        holders.is_blind = hides_processes(root) || is_live && !shows_whole_machine(root);
        kernel::add(root, places, &mut holders);
        Ok(holders)
    }
}

/// What one thread reads with.
struct One<'p> {
    places: &'p Places,
    buffers: UseBuffers,
    /// The paths of the files of one process, one after the other.
    text: Vec<u8>,
    files: Vec<Found>,
    /// The numbers of the System V segments that one process maps or has open.
    segments: Vec<u64>,
}

/// A file of one process; its path is a part of the text.
struct Found {
    /// `None` if it is not known.
    device: Option<(u32, u32)>,
    inode: Option<u64>,
    generation: Option<u32>,
    end: usize,
    is_within: bool,
    is_mapped: bool,
}

impl One<'_> {
    fn read(&mut self, root: &ProcRoot, pid: u32, collector: &Mutex<Collector>) {
        self.text.clear();
        self.files.clear();
        let process = match Process::open_in(root, pid) {
            Ok(process) => process,
            Err(error) => return lock(collector, |all| all.holders.denied += u64::from(is_denied(error.kind()))),
        };
        let namespace = process.read_mount_namespace().ok().flatten();
        let mut buffers = std::mem::take(&mut self.buffers);
        let is_listed = |mount| self.places.has_mount(mount);
        let read = process.read_file_uses(&mut buffers, &is_listed, &mut |file| self.add(namespace, file));
        self.buffers = buffers;
        self.add_segments(&process);
        // What was read of a process that has exited meanwhile is what it held.
        let is_denied = read.as_ref().is_err_and(|error| is_denied(error.kind())) && !process.is_kernel_thread();
        if self.files.is_empty() && !is_denied {
            return;
        }
        let command = process.read_name().unwrap_or_default();
        lock(collector, |all| {
            all.holders.denied += u64::from(is_denied);
            all.add(pid, command, &self.files, &self.text, self.places);
        });
    }

    fn add(&mut self, namespace: Option<u64>, file: &FileUse<'_>) {
        let (device, within) = match file.place {
            UsedIn::Mapping(device) => (Some(device), self.places.within(namespace, device, file.path)),
            UsedIn::Descriptor(mount) => match self.places.of_descriptor(mount, file.path) {
                Some((device, within)) => (Some(device), within),
                None => (None, None),
            },
            UsedIn::Unlisted(device) => (device, None),
        };
        if is_segment(file.path) && device.is_some_and(|device| self.places.is_nameless(device)) {
            return self.segments.extend(file.inode);
        }
        self.text.extend_from_slice(within.as_deref().unwrap_or(file.path));
        self.files.push(Found {
            device,
            inode: file.inode,
            generation: None,
            end: self.text.len(),
            is_within: within.is_some(),
            is_mapped: matches!(file.place, UsedIn::Mapping(_)),
        });
    }
}

impl One<'_> {
    /// Adds the segments that were found, each with what tells it from others of its number.
    fn add_segments(&mut self, process: &Process) {
        let mut segments = std::mem::take(&mut self.segments);
        segments.sort_unstable();
        segments.dedup();
        for inode in &segments {
            let mut mappings = process.read_mappings_of_inode(*inode).unwrap_or_default();
            mappings.retain(|mapping| self.places.is_nameless(mapping.device.numbers()) && is_segment(&mapping.path));
            for mapping in mappings {
                let file = mapping.open(process);
                // It was unmapped meanwhile, or the process has exited.
                if file.is_ok() || mapping.is_still_there(process) {
                    let generation = file.ok().and_then(|file| file.identity().generation());
                    self.add_segment(mapping.device.numbers(), *inode, generation, &mapping.path, true);
                }
            }
        }
        self.add_open_segments(process, &segments);
        segments.clear();
        self.segments = segments;
    }

    /// Adds those that were opened through `map_files`.
    fn add_open_segments(&mut self, process: &Process, segments: &[u64]) {
        if segments.is_empty() || !process.is_live() {
            return;
        }
        let shown = process.search_maps(&Needles::new(&[], &[]), &mut UseBuffers::default(), &mut |_| {});
        let Ok(Some(shown)) = shown else { return };
        // What cannot be read was denied before, too.
        let _ = shown.each_descriptor(&mut |found| {
            let (Some(device), Some(inode)) = (found.device.map(parts), found.inode) else { return };
            if !self.places.is_nameless(device) || !segments.contains(&inode) {
                return;
            }
            let Some(text) = shown.describe(&found).filter(|text| is_segment(&text.path)) else { return };
            if let Some(identity) =
                shown.compare(&found).map_or(Some(None), |file| file.map(|file| Some(file.identity)))
            {
                let generation = identity.and_then(|identity| identity.generation());
                self.add_segment(device, inode, generation, &text.path, false);
            }
        });
    }

    fn add_segment(&mut self, device: Device, inode: u64, generation: Option<u32>, path: &[u8], is_mapped: bool) {
        self.text.extend_from_slice(path);
        let (device, inode, end) = (Some(device), Some(inode), self.text.len());
        self.files.push(Found { device, inode, generation, end, is_within: false, is_mapped });
    }
}

fn is_denied(kind: ErrorKind) -> bool {
    !matches!(kind, ErrorKind::NotFound | ErrorKind::Unsupported)
}

fn lock(collector: &Mutex<Collector>, change: impl FnOnce(&mut Collector)) {
    change(&mut collector.lock().unwrap_or_else(PoisonError::into_inner));
}

#[derive(Default)]
struct Collector {
    holders: Holders,
    names: HashSet<Arc<[u8]>>,
}

impl Collector {
    fn add(&mut self, pid: u32, command: Vec<u8>, files: &[Found], text: &[u8], places: &Places) {
        let Ok(process) = u32::try_from(self.holders.processes.len()) else { return };
        let known = self.names.get(&command[..]).cloned();
        let command = known.unwrap_or_else(|| {
            let new: Arc<[u8]> = command.into();
            self.names.insert(Arc::clone(&new));
            new
        });
        self.holders.processes.push(Known { pid: Some(pid), command });
        let mut start = 0;
        for file in files {
            let path = text.get(start..file.end).unwrap_or_default();
            start = file.end;
            let hold = Hold { process, is_mapped: file.is_mapped, is_open: !file.is_mapped };
            let (inode, generation, is_within) = (file.inode, file.generation, file.is_within);
            if !is_within && file.device.is_none_or(|device| places.may_be_elsewhere(device)) {
                let stray = Stray { device: file.device, name: last_name(path).into() };
                self.holders.strays.entry(inode.map(|inode| inode & NUMBER)).or_default().insert(stray);
            }
            let Some(device) = file.device else {
                self.holders.unplaced += 1;
                continue;
            };
            let is_stacked = places.is_overlay(device);
            self.holders.add(&FoundFile { device, inode, generation, path, is_within, is_stacked }, hold);
        }
    }

    /// Puts the processes, which several threads have read, in the order of their pids.
    fn finish(self) -> Holders {
        let mut holders = self.holders;
        let mut order: Vec<u32> = (0..).take(holders.processes.len()).collect();
        order.sort_by_key(|place| holders.processes.get(*place as usize).map(|known| known.pid));
        let mut places = vec![0; order.len()];
        for (new, old) in (0..).zip(&order) {
            if let Some(place) = places.get_mut(*old as usize) {
                *place = new;
            }
        }
        holders.processes.sort_by_key(|known| known.pid);
        for entry in &mut holders.entries {
            for hold in &mut entry.holds {
                hold.process = places.get(hold.process as usize).copied().unwrap_or(hold.process);
            }
            entry.holds.sort_unstable();
            entry.holds.shrink_to_fit();
        }
        holders
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use nix::fcntl::OFlag;

    use super::super::Holder;
    use super::*;
    use crate::kernel::handle::FarPath;

    /// A process of a capture: pid, namespace, mounts, maps, and descriptors (path, mount, inode).
    type Captured<'t> = (u32, u64, &'t str, &'t str, &'t [(&'t str, u64, Option<u64>)]);

    fn capture(processes: &[Captured<'_>], swaps: &str) -> (Places, Holders) {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("swaps"), swaps).unwrap();
        for (pid, namespace, mounts, maps, open) in processes {
            let folder = top.path().join(pid.to_string());
            for name in ["ns", "fd", "fdinfo"] {
                fs::create_dir_all(folder.join(name)).unwrap();
            }
            std::os::unix::fs::symlink(format!("mnt:[{namespace}]"), folder.join("ns/mnt")).unwrap();
            std::os::unix::fs::symlink("/", folder.join("root")).unwrap();
            for (number, (path, mount, inode)) in open.iter().enumerate() {
                std::os::unix::fs::symlink(path, folder.join(format!("fd/{number}"))).unwrap();
                let inode = inode.map_or(String::new(), |inode| format!("ino:\t{inode}\n"));
                let info = format!("pos:\t0\nflags:\t02\nmnt_id:\t{mount}\n{inode}");
                fs::write(folder.join(format!("fdinfo/{number}")), info).unwrap();
            }
            for (name, text) in [("comm", "name\n"), ("mountinfo", mounts), ("maps", maps), ("cgroup", "0::/\n")] {
                fs::write(folder.join(name), text).unwrap();
            }
        }
        let root = ProcRoot::at(top.path().to_owned());
        let places = Places::read(&root).unwrap();
        let holders = Holders::read(&root, &places).unwrap();
        (places, holders)
    }

    fn words(holders: Vec<Holder>) -> Vec<String> {
        let word = |holder: Holder| {
            let name =
                holder.pid.map_or_else(|| String::from_utf8_lossy(&holder.command).into(), |pid| pid.to_string());
            let ways = [(holder.is_mapped, "mapped"), (holder.is_open, "open")];
            let ways: Vec<&str> = ways.iter().filter(|(is, _)| *is).map(|(_, way)| *way).collect();
            format!("{name} {}", ways.join("+"))
        };
        holders.into_iter().map(word).collect()
    }

    const PLAIN: &str = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /home rw - ext4 b rw\n";

    #[test]
    fn each_holder_is_given_once_with_all_its_ways() {
        let twice = "1000-2000 r--p 00000000 08:01 7    /a\n2000-3000 r--p 00000000 08:01 8    /b\n\
                     3000-4000 r--p 00000000 08:01 7    /a\n";
        let open: &[_] = &[("/a", 1, Some(7)), ("/home/x", 2, Some(7)), ("pipe:[3]", 9, Some(3)), ("/a", 77, Some(7))];
        let (places, holders) =
            capture(&[(9, 1, PLAIN, twice, &[]), (5, 1, PLAIN, twice, open)], "Filename\n/home/swap file 1 0 -2\n");
        let of = |device, inode, path: &str| words(holders.of(&places, device, inode, path.as_bytes()));
        assert_eq!(of((8, 1), 7, "/a"), ["5 mapped+open", "9 mapped"]);
        assert_eq!(of((8, 1), 8, "/b"), ["5 mapped", "9 mapped"]);
        assert_eq!(of((8, 2), 7, "/x"), ["5 open"]);
        assert_eq!(of((8, 2), 8, "/x"), [""; 0]);
        // Of the swap file only the path is known.
        assert_eq!(of((8, 2), 1234, "/swap"), ["swap open"]);
        assert_eq!((holders.denied(), holders.unplaced(), holders.len()), (0, 1, 4));
    }

    #[test]
    fn hard_links_are_one_file_and_removed_names_too() {
        let maps = |name: &str| format!("1000-2000 r--p 00000000 08:01 7    {name}\n");
        let names = ["/a", "/b", "/a (deleted)"].map(maps);
        let (places, holders) =
            capture(&[(1, 1, PLAIN, &names[0], &[]), (2, 1, PLAIN, &names[1], &[]), (3, 1, PLAIN, &names[2], &[])], "");
        assert_eq!(words(holders.of(&places, (8, 1), 7, b"/a")), ["1 mapped", "2 mapped", "3 mapped"]);
        let mut paths: Vec<_> =
            holders.paths((8, 1), 7).map(|path| (path.path().to_vec(), path.is_deleted())).collect();
        paths.sort();
        assert_eq!(paths, [(b"/a".to_vec(), false), (b"/a (deleted)".to_vec(), true), (b"/b".to_vec(), false)]);
    }

    #[test]
    fn the_path_decides_where_inode_numbers_repeat() {
        let mounts =
            "1 0 8:1 / / rw - ext4 a rw\n2 1 0:40 /one /one rw - btrfs b rw\n3 1 0:40 /two /two rw - btrfs b rw\n";
        let maps = |path: &str| format!("1000-2000 r--p 00000000 00:28 257    {path}\n");
        let (one, gone) = (maps("/one/file"), maps("/one/file (deleted)"));
        let open: &[_] = &[("/two/file", 3, Some(257))];
        let (places, holders) =
            capture(&[(1, 1, mounts, &one, &[]), (2, 1, mounts, "", open), (3, 1, mounts, &gone, &[])], "");
        let of = |path: &str| words(holders.of(&places, (0, 40), 257, path.as_bytes()));
        assert_eq!(of("/one/file"), ["1 mapped", "3 mapped"]);
        assert_eq!(of("/two/file"), ["2 open"]);
        assert_eq!(of("/three/file"), [""; 0]);
        assert_eq!(holders.paths((0, 40), 257).count(), 3);
    }

    #[test]
    fn a_file_on_fuse_with_the_same_number_and_another_name_may_be_another_one() {
        let mounts = "1 0 8:1 / / rw - ext4 a rw\n2 1 0:40 / /there rw - fuse.bindfs b rw\n";
        let maps = |path: &str| format!("1000-2000 r--p 00000000 00:28 2    {path}\n");
        let (one, two) = (maps("/there/1/f"), maps("/there/2/f"));
        let (places, holders) = capture(&[(1, 1, mounts, &one, &[]), (2, 1, mounts, &two, &[])], "");
        let of = |path: &str| words(holders.of(&places, (0, 40), 2, path.as_bytes()));
        assert_eq!((of("/1/f"), of("/2/f"), of("/3/f")), (vec!["1 mapped".into()], vec!["2 mapped".into()], vec![]));
        // It may be a hard link too.
        assert!(holders.may_miss(&places, (0, 40), 2, b"/1/f") && !holders.may_miss(&places, (0, 40), 3, b"/1/f"));
    }

    #[test]
    fn holders_in_an_overlay_hold_the_file_of_the_layer() {
        let overlay = "overlay o rw,lowerdir=/low,upperdir=/up,workdir=/w";
        let own = format!("1 0 8:1 / / rw - ext4 a rw\n2 1 0:60 / /merged rw - {overlay}\n");
        let inside = format!("3 0 0:60 / / rw - {overlay}\n");
        let maps = |inode: u64, path: &str| format!("1000-2000 r--p 00000000 00:3c {inode}    {path}\n");
        let (low, copied, replaced) = (maps(0x8_0000_0007, "/bin/x"), maps(7, "/bin/y"), maps(9, "/bin/y (deleted)"));
        let (places, holders) = capture(
            &[
                (1, 1, &own, "", &[]),
                (2, 2, &inside, &low, &[]),
                (3, 2, &inside, &copied, &[]),
                (4, 2, &inside, &replaced, &[]),
                (5, 1, &own, "", &[("/merged/bin/x", 2, Some(7))]),
            ],
            "",
        );
        let of = |inode, path: &str| words(holders.of(&places, (8, 1), inode, path.as_bytes()));
        assert_eq!(of(7, "/low/bin/x"), ["2 mapped", "5 open"]);
        // Another file of that name.
        assert_eq!(of(8, "/low/bin/x"), [""; 0]);
        // A file that was copied up keeps the number that it had in the lower layer.
        assert_eq!(of(1001, "/up/bin/y"), ["3 mapped"]);
        assert_eq!(of(9, "/up/bin/y"), ["3 mapped", "4 mapped"]);
        assert_eq!(words(holders.of(&places, (0, 60), 7, b"/bin/y")), ["3 mapped"]);
    }

    #[test]
    fn a_file_in_a_layer_that_was_not_found_may_have_more_holders() {
        let own =
            "1 0 8:1 / / rw - ext4 a rw\n2 1 0:60 / /m rw - overlay o rw,lowerdir=d/low:.,upperdir=/up,workdir=/w\n";
        let (places, holders) = capture(&[(5, 1, own, "", &[("/m/bin/x", 2, Some(7))])], "");
        let may_miss = |path: &str| holders.may_miss(&places, (8, 1), 7, path.as_bytes());
        assert!(may_miss("/any/d/low/bin/x") && may_miss("/d/low/bin/x"));
        // The lower layer `.` may be anywhere.
        assert!(may_miss("/any/bin/x") && !may_miss("/any/bin/y") && !may_miss("/any/xbin/x"));
        let own = own.replace(":.", "");
        let (places, holders) = capture(&[(5, 1, &own, "", &[("/m/bin/x", 2, Some(7))])], "");
        let may_miss = |path: &str| holders.may_miss(&places, (8, 1), 7, path.as_bytes());
        assert!(may_miss("/any/d/low/bin/x") && !may_miss("/any/xd/low/bin/x") && !may_miss("/any/bin/x"));
        assert!(!holders.is_blind(), "a capture");
        assert_eq!(words(holders.of_block_device(&places, (8, 1))), [""; 0]);
    }

    #[test]
    fn a_file_like_one_that_is_held_on_an_unlisted_mount_may_have_that_holder() {
        let maps = "1000-2000 r--p 00000000 00:77 8    /elsewhere/y (deleted)\n";
        let open: &[_] = &[("/x", 77, Some(7)), ("/z", 77, None)];
        let (places, holders) = capture(&[(5, 1, PLAIN, maps, open)], "");
        let may_miss = |inode, path: &str| holders.may_miss(&places, (8, 1), inode, path.as_bytes());
        assert!(may_miss(7, "/home/x") && may_miss(8, "/y") && may_miss(99, "/z") && may_miss(7, ""));
        assert!(!may_miss(8, "/x") && !may_miss(7, "/xx") && !may_miss(9, "/a") && !may_miss(9, ""));
        // A hard link may have another name.
        assert!(holders.may_miss(&places, (0, 9), 7, b"/w") && !holders.may_miss(&places, (0, 9), 9, b"/w"));
        assert_eq!(words(holders.of(&places, (0, 0x77), 8, b"/y")), ["5 mapped"]);
        assert!(!holders.may_miss(&places, (0, 0x77), 8, b"/y"), "it is that file");
    }

    #[test]
    fn without_inode_numbers_in_fdinfo_the_path_decides() {
        let open: &[_] = &[("/home/x", 2, None), ("/home/x", 2, None), ("/home/gone (deleted)", 2, None)];
        let (places, holders) = capture(&[(1, 1, PLAIN, "", open)], "");
        assert_eq!(words(holders.of(&places, (8, 2), 5, b"/x")), ["1 open"]);
        assert_eq!(words(holders.of(&places, (8, 2), 6, b"/gone")), ["1 open"]);
        assert_eq!(holders.len(), 2);
    }

    #[test]
    fn this_process_holds_its_program() {
        let root = ProcRoot::live();
        let places = Places::read(&root).unwrap();
        let holders = Holders::read(&root, &places).unwrap();
        let program: PathBuf = std::env::current_exe().unwrap();
        let text = fs::read_to_string("/proc/self/maps").unwrap();
        let line = text.lines().find(|line| line.ends_with(program.to_str().unwrap())).unwrap();
        let inode = line.split_whitespace().nth(4).unwrap().parse().unwrap();
        let (device, path) = places.locate(program.as_os_str().as_encoded_bytes()).unwrap();
        let found = holders.of(&places, device, inode, &path);
        let own = found.iter().find(|holder| holder.pid == Some(std::process::id())).unwrap();
        assert!(own.is_mapped && own.command.len() <= 15, "{own:?}");
        assert!(found.is_sorted_by_key(|holder| holder.pid));
    }

    #[test]
    fn what_asks_about_a_file_in_place_of_this_process_does_not_hold_it() {
        let root = ProcRoot::live();
        let places = Places::read(&root).unwrap();
        let named = tempfile::NamedTempFile::new().unwrap();
        let asked = FarPath::new((u32::MAX, 2), named.path()).unwrap().open(OFlag::O_RDONLY).unwrap();
        let inode = asked.stat().unwrap().st_ino;
        let (device, path) = places.locate(named.path().as_os_str().as_encoded_bytes()).unwrap();
        let holders = Holders::read(&root, &places).unwrap().of(&places, device, inode, &path);
        assert_eq!(holders.iter().map(|holder| holder.pid).collect::<Vec<_>>(), [Some(std::process::id())]);
        assert!(asked.stat().is_ok(), "nobody has it open");
    }
}
