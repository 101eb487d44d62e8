//! Directories as arguments, to which several paths lead. The test runs itself again in its own mount namespace.

use std::ffi::OsStr;
use std::path::Path;

use crate::common::{Run, Subject, mounted_as, rmap, rmap_without_lists, shell};
use crate::{complete, has_lists};

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
    assert!(paths(&run).is_empty() && !run.err.contains("symbolic"), "{run:?}");
    // Without the lists too, for files that processes hold.
    let subject = Subject::start([format!("shared:{}:1:1", short.display())]);
    for (directory, expected) in [("a/very", &long), ("short", &short)] {
        let there = folder.join(directory);
        let arguments = ["files".as_ref(), "--jsonl".as_ref(), there.as_os_str()];
        let Some(run) = rmap_without_lists(arguments) else { return };
        assert_eq!(paths(&run), [expected.to_str().unwrap()], "{}: {directory}: {run:?}", subject.pid());
    }
}
