//! Each file is counted once, however many names it has; special files are left out.

use std::os::unix::fs::symlink;

use crate::command::{file, folder, pcstat, pcstat_all};

#[test]
fn hard_links_count_once() {
    let folder = folder();
    file(folder.path(), "a/one", 4096);
    std::fs::create_dir(folder.path().join("b")).unwrap();
    std::fs::hard_link(folder.path().join("a/one"), folder.path().join("b/two")).unwrap();
    std::fs::hard_link(folder.path().join("a/one"), folder.path().join("b/three")).unwrap();
    for jobs in [1, 3] {
        let summary = pcstat(&format!("-R -j {jobs} --summary"), folder.path()).rows();
        assert_eq!((&summary[0]["files"], &summary[0]["again"]), (&1.into(), &2.into()));
    }
}

#[test]
fn a_path_that_is_named_twice_counts_once() {
    let folder = folder();
    file(folder.path(), "sub/one", 1);
    file(folder.path(), "two", 1);
    let (top, sub, one) = (folder.path(), folder.path().join("sub"), folder.path().join("sub/one"));
    let count = |paths: &[&std::path::Path]| pcstat_all("-R -j 2", paths).rows().len();
    assert_eq!(count(&[&one, &one]), 1);
    assert_eq!(count(&[top, top]), 2);
    assert_eq!(count(&[&sub, top]), 2);
    assert_eq!(count(&[top, &one, &sub]), 2);
}

#[test]
fn symbolic_links_are_followed_only_on_request_and_loops_end() {
    let folder = folder();
    let elsewhere = crate::command::folder();
    file(elsewhere.path(), "far/away", 1);
    file(folder.path(), "a/near", 1);
    symlink("..", folder.path().join("a/loop")).unwrap();
    symlink("self", folder.path().join("self")).unwrap();
    symlink(elsewhere.path(), folder.path().join("out")).unwrap();
    symlink("near", folder.path().join("a/again")).unwrap();
    assert_eq!(pcstat("-R", folder.path()).names(), ["near"]);
    assert_eq!(pcstat("-R --summary", folder.path()).rows()[0]["links"], 4);
    let followed = pcstat("-R --follow -j 2", folder.path());
    assert_eq!(followed.status, Some(1), "{}", followed.err);
    assert_eq!(followed.err.lines().count(), 1, "{}", followed.err);
    assert!(followed.err.contains("/self: Too many symbolic links"), "{}", followed.err);
    std::fs::remove_file(folder.path().join("self")).unwrap();
    let mut names = pcstat("-R --follow -j 2", folder.path()).names();
    // Either name may be found first.
    names.iter_mut().for_each(|name| *name = name.replace("again", "near"));
    names.sort();
    assert_eq!(names, ["away", "near"]);
    symlink("nowhere", folder.path().join("dangling")).unwrap();
    let dangling = pcstat("-R --follow", folder.path());
    assert!(dangling.err.ends_with("/dangling: is a broken symbolic link\n"), "{}", dangling.err);
}

#[test]
fn a_directory_named_through_a_symlink_is_walked() {
    let folder = folder();
    file(folder.path(), "real/one", 1);
    symlink("real", folder.path().join("link")).unwrap();
    assert_eq!(pcstat("-R", folder.path().join("link")).names(), ["one"]);
}

#[test]
fn special_files_are_left_out_and_counted() {
    let folder = folder();
    file(folder.path(), "one", 1);
    nix::unistd::mkfifo(&folder.path().join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    let mut special = 2;
    let device = nix::sys::stat::mknod(
        &folder.path().join("null"),
        nix::sys::stat::SFlag::S_IFCHR,
        nix::sys::stat::Mode::from_bits_truncate(0o600),
        nix::sys::stat::makedev(1, 3),
    );
    match device {
        Ok(()) => special += 1,
        Err(error) => eprintln!("SKIPPED: the device among them: {error}"),
    }
    let summary = pcstat("-R --summary", folder.path()).rows();
    assert_eq!((&summary[0]["files"], &summary[0]["special"]), (&1.into(), &special.into()));
}
