//! Which processes were asked for: pids, `self`, and those that a selection finds.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::args::ProcessArgs;
use super::{Report, Stop};
use crate::error::{Error, ErrorKind, Subject};
use crate::output::escape;
use crate::process::{Criteria, ProcRoot, Process, read_matching};

/// One process that was asked for.
pub(crate) struct Asked {
    pub(crate) pid: u32,
    /// It was found, not named: if it is gone by now, there is nothing to complain about.
    pub(crate) found: bool,
}

/// The processes that were asked for, each once: first those that were named, then those that were found.
pub(crate) fn asked_for(
    words: &[OsString],
    by: &ProcessArgs,
    root: &ProcRoot,
    report: &mut Report,
) -> Result<Vec<Asked>, Stop> {
    let mut asked: Vec<Asked> = Vec::new();
    let mut add = |pid, found| {
        if asked.iter().all(|earlier| earlier.pid != pid) {
            asked.push(Asked { pid, found });
        }
    };
    for word in words {
        match pid_of(word, root) {
            Ok(pid) => add(pid, false),
            Err(error) => report.failure(&error),
        }
    }
    let selection = selection(by).map_err(Stop::Usage)?;
    if !selection.is_empty() {
        let found = read_matching(root, &selection).map_err(Stop::Failed)?;
        if found.is_empty() {
            let about = Subject::Words("--name, --match, --user, --cgroup".to_owned());
            report.failure(&Error::new(about, ErrorKind::NotFound, "no process is like that"));
        }
        found.into_iter().for_each(|pid| add(pid, true));
    }
    Ok(asked)
}

/// The pid that a word on the command line stands for.
fn pid_of(word: &OsStr, root: &ProcRoot) -> Result<u32, Error> {
    if word == "self" {
        return Process::own_in(root).map(|own| own.pid());
    }
    word.to_str().and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        Error::new(Subject::Words(escape::escaped(word.as_bytes())), ErrorKind::NotFound, "not a pid")
            .with_advice("name a process by its number, by --name, or self")
    })
}

fn selection(by: &ProcessArgs) -> Result<Criteria, Error> {
    let mut selection = Criteria::new();
    by.name.iter().for_each(|name| selection.add_name(name.as_bytes()));
    by.cgroup.iter().for_each(|group| selection.add_group(group.as_bytes()));
    by.pattern.iter().try_for_each(|pattern| selection.add_pattern(pattern))?;
    by.user.iter().try_for_each(|user| selection.add_user(user))?;
    Ok(selection)
}
