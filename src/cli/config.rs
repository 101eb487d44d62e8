//! The configuration file: what tables show where nothing was typed.
//!
//! `$XDG_CONFIG_HOME/rmap/config.toml`, or `~/.config/rmap/config.toml`; `--config FILE` names another, `--no-config` reads
//! none. It has a section for each subcommand:
//!
//! ```toml
//! [pid]
//! columns = ["address", "size", "rss", "uss", "mapping"]
//! unit = "human"            # kib, bytes or human
//! ```
//!
//! It is for people's tables alone: a machine format holds what it always holds. Anything in the file that has no meaning is an
//! error, because a typing mistake that changes nothing is never found. The file that is found by itself is read only where it
//! belongs to the user that rmap runs as: under `sudo` with another user's environment it is as if it were not there.

use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::Stop;
use super::args::{Cli, Command};
use crate::error::{Error, ErrorKind, Subject};
use crate::output::{Column, RowKind, SizeUnit, column};
use crate::views::{demo_step, effect, file, mapping};

/// As much as is read.
const LONGEST: u64 = 1 << 20;

/// What a section says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// The columns of tables.
    pub columns: Option<Vec<String>>,
    /// The unit of sizes in tables.
    pub unit: Option<SizeUnit>,
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    pid: Section,
    pcstat: Section,
    demo: Section,
    warm: Section,
    evict: Section,
    lock: Section,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Section {
    columns: Option<Spanned<Vec<Spanned<String>>>>,
    unit: Option<Unit>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Kib,
    Bytes,
    Human,
}

/// Reads the file and gives the subcommand that was typed what it says.
pub(crate) fn apply(cli: &mut Cli) -> Result<(), Stop> {
    let Some((path, text)) = read(cli).map_err(Stop::Usage)? else { return Ok(()) };
    let mut sections = Text { path: &path, text: &text }.parse().map_err(Stop::Usage)?;
    match &mut cli.command {
        Command::Pid(args) => args.output.configured = std::mem::take(&mut sections.pid),
        Command::Pcstat(args) => args.output.configured = std::mem::take(&mut sections.pcstat),
        Command::Demo(args) => args.output.configured = std::mem::take(&mut sections.demo),
        Command::Warm(args) => args.output.configured = std::mem::take(&mut sections.warm),
        Command::Evict(args) => args.output.configured = std::mem::take(&mut sections.evict),
        Command::Lock(args) => args.output.configured = std::mem::take(&mut sections.lock),
    }
    Ok(())
}

/// The file's path and text; none where there is none to read.
fn read(cli: &Cli) -> Result<Option<(PathBuf, String)>, Error> {
    let named = cli.config.clone();
    let Some(path) = named.clone().or_else(default_path).filter(|_| !cli.no_config) else { return Ok(None) };
    let failed = |error: std::io::Error| Error::io(Subject::Path(path.clone()), &error);
    // Without waiting: a FIFO that nobody writes to would never open.
    let opened = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY).open(&path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if named.is_none() && is_not_there(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if named.is_none() && metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Ok(None);
    }
    let refused = |why: &'static str| Error::path(&path, ErrorKind::Refused, why);
    if !metadata.is_file() {
        return Err(refused("a configuration is a regular file, and this is none"));
    }
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LONGEST {
        return Err(refused("longer than 1 MiB: no configuration"));
    }
    Ok(Some((path, text)))
}

/// Another user's file that may not be read is not this user's configuration either.
fn is_not_there(error: &std::io::Error) -> bool {
    matches!(error.kind(), IoErrorKind::NotFound | IoErrorKind::NotADirectory | IoErrorKind::PermissionDenied)
}

fn default_path() -> Option<PathBuf> {
    let directory = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = directory("XDG_CONFIG_HOME").or_else(|| Some(directory("HOME")?.join(".config")))?;
    Some(config.join("rmap/config.toml"))
}

/// The sections, checked.
#[derive(Debug)]
struct Sections {
    pid: Configured,
    pcstat: Configured,
    demo: Configured,
    warm: Configured,
    evict: Configured,
    lock: Configured,
}

/// A file's text and where it is from.
struct Text<'t> {
    path: &'t Path,
    text: &'t str,
}

impl Text<'_> {
    fn parse(&self) -> Result<Sections, Error> {
        let written: Written = toml::from_str(self.text)
            .map_err(|error| self.error(error.span().unwrap_or_default(), first_line(error.message())))?;
        Ok(Sections {
            pid: self.section(written.pid, &mapping::known_columns())?,
            pcstat: self.section(written.pcstat, file::COLUMNS)?,
            demo: self.section(written.demo, demo_step::COLUMNS)?,
            warm: self.section(written.warm, effect::COLUMNS)?,
            evict: self.section(written.evict, effect::COLUMNS)?,
            lock: self.section(written.lock, effect::COLUMNS)?,
        })
    }

    fn section<K: RowKind>(&self, written: Section, table: &[Column<K>]) -> Result<Configured, Error> {
        if let Some(none) = written.columns.as_ref().filter(|columns| columns.as_ref().is_empty()) {
            return Err(self.error(none.span(), "a table without columns shows nothing".to_owned()));
        }
        let columns = written.columns.map(Spanned::into_inner);
        for name in columns.iter().flatten() {
            let id = name.as_ref().to_ascii_lowercase();
            if column::find(table, &id).is_none() {
                let known = column::unknown(table, &id);
                let error = self.error(name.span(), format!("there is no column '{}'", name.as_ref()));
                return Err(error.with_advice(known.advice().unwrap_or_default().to_owned()));
            }
        }
        let columns: Option<Vec<String>> = columns.map(|names| {
            names.into_iter().map(|name| K::id_of(&name.into_inner().to_ascii_lowercase()).to_owned()).collect()
        });
        let unit = written.unit.map(|unit| match unit {
            Unit::Kib => SizeUnit::Kib,
            Unit::Bytes => SizeUnit::Bytes,
            Unit::Human => SizeUnit::Human,
        });
        Ok(Configured { columns, unit })
    }

    fn error(&self, place: Range<usize>, why: String) -> Error {
        let line = self.text.get(..place.start).unwrap_or_default().lines().count().max(1);
        let starts_line = place.start > 0 && self.text.get(..place.start).is_some_and(|before| before.ends_with('\n'));
        let line = line + usize::from(starts_line);
        let about = Subject::Words(format!("{}:{line}", self.path.display()));
        Error::new(about, ErrorKind::Refused, why)
    }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Sections, String> {
        Text { path: Path::new("/c.toml"), text }.parse().map_err(|error| error.to_string())
    }

    #[test]
    fn a_section_is_the_subcommands_own() {
        let sections =
            parse("[pid]\ncolumns = [\"RSS\", \"uss\"]\nunit = \"human\"\n[pcstat]\ncolumns = [\"name\"]").unwrap();
        assert_eq!(sections.pid.columns, Some(vec!["rss".to_owned(), "uss".to_owned()]));
        assert_eq!(sections.pid.unit, Some(SizeUnit::Human));
        assert_eq!(sections.pcstat.columns, Some(vec!["filename".to_owned()]));
        assert_eq!(sections.demo, Configured::default());
    }

    #[test]
    fn what_has_no_meaning_is_named_with_its_line() {
        for (text, start) in [
            ("[pid]\ncolumns = [\"rss\",\n  \"rsss\"]", "/c.toml:3: there is no column 'rsss'"),
            ("[pid]\n\ncolour = 1", "/c.toml:3: unknown field `colour`"),
            ("[pidd]\n", "/c.toml:1: unknown field `pidd`"),
            ("[pid]\nunit = \"feet\"", "/c.toml:2: unknown variant `feet`"),
            ("[pid]\ncolumns = 1", "/c.toml:2: invalid type"),
            ("[pcstat]\n\ncolumns = []", "/c.toml:3: a table without columns"),
            ("[pid]\nunit =\n", "/c.toml:2: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(start), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
