//! Directories as arguments, to which several paths lead. The test runs itself again in its own mount namespace.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::Value;

use crate::common::{
    Run, Subject, command, in_own_namespace, memory, mounted_as, page, rmap, rmap_without_lists, run, shell,
};
use crate::{bytes, complete, has_lists};

#[test]
fn a_directory_that_several_paths_lead_to_has_its_files_by_each_of_them() {
    let name = "a_directory_that_several_paths_lead_to_has_its_files_by_each_of_them";
    let mount = "P=$PWD; mkdir -p a/very/long/name/of/it short both up work empty && \
                 echo x > a/very/long/name/of/it/file && mount --bind a/very/long/name short && \
                 ln -s $P/a/very link && \
                 mount -t overlay -o lowerdir=$P/a/very/long,upperdir=$P/up,workdir=$P/work none both";
    let Some(folder) = mounted_as(&format!("directories::{name}"), mount) else { return };
    if !has_lists(name) {
        return;
    }
    let long = folder.join("a/very/long/name/of/it/file");
    let short = folder.join("short/of/it/file");
    // What was written just now is not reclaimed.
    let renew = || std::fs::write(&long, b"x").unwrap();
    let capture = folder.join("capture.tar");
    renew();
    rmap(["capture", "-o", capture.to_str().unwrap(), &std::process::id().to_string()]);
    // Unpacked it is read faster.
    let (archive, capture) = (capture, folder.join("capture"));
    std::fs::create_dir(&capture).unwrap();
    shell("tar -C $1 -xf $2", &[capture.as_os_str(), archive.as_os_str()]).good();
    let paths = |run: &Run| -> Vec<String> {
        run.lines_of_json().iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect()
    };
    let captured = |directory: &Path| {
        let arguments = ["files", "--jsonl", "-o", "path", "--proc-root", capture.to_str().unwrap()].map(OsStr::new);
        rmap(arguments.into_iter().chain([directory.as_os_str()]))
    };
    // The path below the directory that was given, if there is one.
    for (directory, expected) in [
        ("a/very", &long),
        ("short/of/./it//", &short),
        ("short/of/it/file", &short),
        // Of a file of a layer the layer is shown.
        ("both/name", &short),
    ] {
        renew();
        let live = complete(&[folder.join(directory)]);
        assert_eq!(live.rows.len(), 1, "{directory}: {live:?}");
        live.row(expected);
        let run = captured(&folder.join(directory));
        assert_eq!(paths(&run), [expected.to_str().unwrap()], "{directory}: {run:?}");
        assert!(!run.err.contains("symbolic"), "{directory}: {run:?}");
    }
    // Live a link is followed. A capture has no links, and does not know of directories without cached files.
    renew();
    complete(&[folder.join("link")]).row(&long);
    for directory in ["link/long", "empty"] {
        let run = captured(&folder.join(directory));
        let why = "no captured file is in or below it, and a capture does not know where symbolic links lead";
        let line = format!("rmap: {}: {why}; if it is one, name its target", folder.join(directory).display());
        assert!(run.status == Some(1) && run.complaints().contains(&&line[..]), "{run:?}");
        assert!(paths(&run).is_empty(), "{run:?}");
    }
    // What is mounted is known to be there.
    let run = captured(Path::new("/proc"));
    // Files of other mount namespaces are named through a process that sees them.
    let are_elsewhere = paths(&run).iter().all(|path| path.contains("/root/"));
    assert!(are_elsewhere && !run.err.contains("symbolic"), "{run:?}");
    // Without the lists too, for files that processes hold.
    let subject = Subject::start([format!("shared:{}:1:1", short.display())]);
    for (directory, expected) in [("a/very", &long), ("short", &short)] {
        let there = folder.join(directory);
        let arguments = ["files".as_ref(), "--jsonl".as_ref(), there.as_os_str()];
        let Some(run) = rmap_without_lists(arguments) else { return };
        assert_eq!(paths(&run), [expected.to_str().unwrap()], "{}: {directory}: {run:?}", subject.pid());
    }
}

/// The rows of `rmap files --jsonl ARGS... WHERE` in a working directory, which must be complete.
fn rows_in(directory: &Path, arguments: &[&str]) -> Vec<Value> {
    let mut command = command(["files", "--jsonl", "-o", "path,cached,holders,container"].iter().chain(arguments));
    command.current_dir(directory);
    let run = run(command);
    assert_eq!(run.status, Some(0), "{arguments:?}: {}", run.err);
    run.lines_of_json()
}

fn paths_in(directory: &Path, arguments: &[&str]) -> Vec<String> {
    let mut paths: Vec<String> =
        rows_in(directory, arguments).iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect();
    paths.sort_unstable();
    paths
}

#[test]
fn a_directory_of_another_mount_namespace_has_the_files_that_are_there() {
    let name = "a_directory_of_another_mount_namespace_has_the_files_that_are_there";
    let mount = "mkdir inside && echo x > inside/ours";
    let Some(folder) = mounted_as(&format!("directories::{name}"), mount) else { return };
    let lists = has_lists(name);
    let inside = folder.join("inside").display().to_string();
    let mounts = "mount -t tmpfs none inside; mkdir inside/only inside/below; echo x > inside/only/deep; \
                  echo x > inside/below/hidden; mount -t tmpfs none inside/below; echo x > inside/below/seen";
    let subject = in_own_namespace(&folder, mounts, &format!("shared:{inside}/file:16:9"));
    let there = format!("/proc/{}/root{inside}", subject.pid());
    std::os::unix::fs::symlink(&there, folder.join("link")).unwrap();
    let ways: &[&[&str]] = if lists { &[&["--budget=20"], &["--scan"]] } else { &[&["--scan"]] };
    for way in ways {
        let hidden = *way != ["--scan"];
        let rows = |directory: &Path, typed: &str| rows_in(directory, &[way, &[typed][..]].concat());
        for (directory, typed) in
            [(&*folder, &there[..]), (&folder, "link"), (Path::new(&there), "."), (&folder, "link/")]
        {
            let found = paths_in(directory, &[way, &[typed][..]].concat());
            let mut expected = vec!["below/seen", "file", "only/deep"];
            expected.extend(hidden.then_some("below/hidden"));
            expected.sort_unstable();
            let expected: Vec<String> =
                expected.iter().map(|name| format!("{}/{name}", typed.trim_end_matches('/'))).collect();
            assert_eq!(found, expected, "{way:?} {typed}");
        }
        let file = rows(&folder, &format!("{there}/file"));
        assert_eq!((file.len(), bytes(&file[0], "cached")), (1, 16 * page()), "{file:?}");
        assert_eq!(file[0]["holders"], format!("subject {}", subject.pid()), "{file:?}");
        assert!(file[0]["container"].is_string(), "{file:?}");
        assert_eq!(rows(&folder, &format!("{there}/only")).len(), 1);
        assert_eq!(paths_in(&folder, &[way, &["inside"][..]].concat()), [format!("{inside}/ours")]);
    }
    let Some(run) = rmap_without_lists(["files", "--jsonl", "-o", "path", &there]) else { return };
    let paths: Vec<Value> = run.lines_of_json().iter().map(|row| row["path"].clone()).collect();
    assert_eq!(paths, [format!("{there}/file")], "{run:?}");
    let run = rmap(["files", &format!("{there}/none")]);
    assert!(run.status == Some(1) && run.err.contains("/none: no such file"), "{run:?}");
}

#[test]
fn a_directory_over_which_something_was_mounted_since() {
    let name = "a_directory_over_which_something_was_mounted_since";
    let mount = "mkdir inside && echo x > inside/ours";
    let Some(folder) = mounted_as(&format!("directories::{name}"), mount) else { return };
    let inside = folder.join("inside");
    let way = if has_lists(name) { "--budget=20" } else { "--scan" };
    let script = "cd $1 && mount -t tmpfs none $1 && echo x > $1/theirs && \
                  for way in $2 --scan; do rmap files --jsonl -o path $way .; rmap files --jsonl -o path $way $1; done";
    let run = shell(script, &[inside.as_os_str(), way.as_ref()]);
    shell("umount $1", &[inside.as_os_str()]).good();
    let paths: Vec<Value> = run.lines_of_json().iter().map(|row| row["path"].clone()).collect();
    let theirs = inside.join("theirs").display().to_string();
    assert_eq!(paths, ["./ours", &theirs[..], "./ours", &theirs[..]], "{run:?}");
}

#[test]
fn a_file_is_found_by_each_of_its_names() {
    let folder = memory();
    let place = |name: &str| folder.path().join(name);
    fs::create_dir(place("other")).unwrap();
    fs::write(place("one"), [7; 5]).unwrap();
    fs::hard_link(place("one"), place("other/two")).unwrap();
    if !has_lists("a_file_is_found_by_each_of_its_names") {
        return;
    }
    for name in ["one", "other/two"] {
        let found = complete(&[place(name)]);
        assert_eq!((found.rows.len(), found.sum("size")), (1, 5), "{name}: {found:?}");
        assert_eq!(found.row(&place(name))["note"], Value::Null, "{name}");
    }
    // Which of its names is known has not changed.
    assert_eq!(complete(&[folder.path()]).rows.len(), 1);
    let subject = Subject::start([format!("shared:{}:1:1", place("other/two").display())]);
    let Some(run) = rmap_without_lists(["files".as_ref(), "--jsonl".as_ref(), place("one").as_os_str()]) else {
        return;
    };
    let rows = run.lines_of_json();
    assert_eq!((rows.len(), &rows[0]["path"]), (1, &place("one").to_str().unwrap().into()), "{}", subject.pid());
}

#[test]
fn a_file_without_a_name_is_found_through_a_descriptor_and_what_is_no_file_is_refused() {
    let name = "a_file_without_a_name_is_found_through_a_descriptor_and_what_is_no_file_is_refused";
    let folder = memory();
    let path = folder.path().join("gone");
    let gone = fs::File::create(&path).unwrap();
    gone.write_all_at(&vec![7; (8 * page()) as usize], 0).unwrap();
    fs::remove_file(&path).unwrap();
    let memfd = nix::sys::memfd::memfd_create(c"mine", nix::sys::memfd::MFdFlags::empty()).unwrap();
    let memfd = fs::File::from(memfd);
    memfd.write_all_at(&vec![7; (5 * page()) as usize], 0).unwrap();
    let (pipe, _end) = std::io::pipe().unwrap();
    let through = |number: i32| format!("/proc/{}/fd/{number}", std::process::id());
    let lists = has_lists(name);
    let ways: &[&[&str]] = if lists { &[&["--budget=20"], &["--scan"]] } else { &[&["--scan"]] };
    for way in ways {
        let of = |path: &str| rmap([&["files", "--jsonl", "-o", "cached,kind,deleted,path"], *way, &[path]].concat());
        for (file, cached, kind, path) in
            [(&gone, 8, "tmpfs", path.to_str().unwrap()), (&memfd, 5, "memfd", "memfd:mine")]
        {
            let run = of(&through(file.as_raw_fd()));
            let rows = run.lines_of_json();
            assert_eq!(rows.len(), 1, "{way:?}: {run:?}");
            let found = (bytes(&rows[0], "cached"), &rows[0]["kind"], &rows[0]["path"], &rows[0]["deleted"]);
            let deleted = (kind == "tmpfs").into();
            assert_eq!(found, (cached * page(), &kind.into(), &path.into(), &deleted), "{way:?}");
        }
        let path = through(pipe.as_raw_fd());
        let run = of(&path);
        let line = format!("rmap: {path}: a pipe, which has no cached pages\n");
        assert_eq!((run.status, run.out.is_empty(), &run.err), (Some(1), true, &line), "{way:?}");
    }
}
