//! Renames a file only if the new name is free.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc;

/// Renames `from` to `to`, which must not exist: `renameat2(RENAME_NOREPLACE)`, or `link(2)` and `unlink(2)` if the
/// file system does not support that (NFS, 9p, some FUSE).
///
/// # Errors
/// `EEXIST` if the name is taken; otherwise as `rename(2)` and `link(2)`.
#[doc(alias = "renameat2")]
pub(crate) fn rename_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    let renamed = rename_no_replace(from, to);
    match renamed.as_ref().map_err(io::Error::raw_os_error) {
        Err(Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP)) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        _ => renamed,
    }
}

#[allow(unsafe_code, reason = "nix has renameat2 only with the GNU C library")]
fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    let [from, to] = [from, to].map(|path| CString::new(path.as_os_str().as_bytes()));
    let (from, to) = (from?, to?);
    let here = libc::AT_FDCWD;
    // SAFETY: both pointers are to NUL-terminated strings that outlive the call, which only reads them.
    let answer =
        unsafe { libc::syscall(libc::SYS_renameat2, here, from.as_ptr(), here, to.as_ptr(), libc::RENAME_NOREPLACE) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two, three] = ["one", "two", "three"].map(|name| folder.path().join(name));
        fs::write(&one, "1").unwrap();
        fs::write(&two, "2").unwrap();
        let error = rename_to_free_name(&one, &two).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&two).unwrap(), b"2");
        rename_to_free_name(&one, &three).unwrap();
        assert_eq!(fs::read(&three).unwrap(), b"1");
        assert!(!one.exists());
    }
}
