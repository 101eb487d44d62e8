//! The configuration file: the defaults for tables.
//!
//! It is `$XDG_CONFIG_HOME/rmap/config.toml` or `~/.config/rmap/config.toml`. `--config FILE` selects another file, and
//! `--no-config` disables it. It has one section per subcommand:
//!
//! ```toml
//! [pid]
//! columns = ["address", "size", "rss", "uss", "mapping"]
//! unit = "human"            # kib, bytes or human
//! ```
//!
//! The section `[classes]` has rules for the column `class`, which are tried before the built-in ones, in the order of
//! the file. Each is a regular expression over the name of a mapping as the column `path` shows it (a path, `[heap]`,
//! `[anon:NAME]`); memory without a name never matches:
//!
//! ```toml
//! [classes]
//! arena = 'jemalloc|tcmalloc'
//! ```
//!
//! It affects only tables: for a machine format it is not even read. Anything unknown in the file is an error, because
//! a typing mistake without an effect would never be found. The default file is read only if it belongs to the user
//! that rmap runs as: it is ignored under `sudo` with another user's environment.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::stat::SFlag;
use regex::bytes::RegexBuilder;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::report::Report;
use super::run::{Configured, Subcommand};
use crate::error::{Error, ErrorKind, Subject};
use crate::kernel::handle::{Handle, Reader};
use crate::kernel::whereabouts::locate;
use crate::process::class::OwnClass;
use crate::table::{ColumnHead, SizeUnit, Stop, column_meant, did_you_mean};

/// The maximum size of the file.
const LONGEST: u64 = 1 << 20;

/// The arguments that every subcommand takes.
#[derive(Debug, Default, Args)]
pub(crate) struct GlobalArgs {
    /// Read the default columns and units from FILE instead of ~/.config/rmap/config.toml
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    config: Option<PathBuf>,
    /// Do not read a configuration file
    #[arg(long, global = true, hide_short_help = true)]
    no_config: bool,
}

impl GlobalArgs {
    /// Rejects options that contradict each other. clap would notice only those on the same side of the subcommand.
    pub(super) fn check(&self) -> Result<(), Stop> {
        match (&self.config, self.no_config) {
            (Some(_), true) => Err(Stop::usage("--config", "--no-config says that no file is read")),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section such as [pid]")]
struct Section {
    columns: Option<Spanned<Vec<Spanned<String>>>>,
    unit: Option<Unit>,
}

/// The whole file.
#[derive(Debug, Default)]
struct Sections {
    classes: BTreeMap<Spanned<String>, Spanned<String>>,
    subcommands: Vec<(Spanned<String>, Section)>,
}

// By hand, because `flatten` loses the places of errors.
impl<'de> Deserialize<'de> for Sections {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sections, D::Error> {
        deserializer.deserialize_map(SectionsVisitor)
    }
}

struct SectionsVisitor;

impl<'de> Visitor<'de> for SectionsVisitor {
    type Value = Sections;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("sections such as [pid]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sections, A::Error> {
        let mut sections = Sections::default();
        while let Some(name) = map.next_key::<Spanned<String>>()? {
            match name.as_ref().as_str() {
                CLASSES => sections.classes = map.next_value()?,
                _ => sections.subcommands.push((name, map.next_value()?)),
            }
        }
        Ok(sections)
    }
}

/// The sections by the names of their subcommands, and the rules for classes.
pub(super) type Parsed = (BTreeMap<String, Configured>, Vec<OwnClass>);

/// The section with rules for classes.
const CLASSES: &str = "classes";

/// The maximum length of the name of a class.
const LONGEST_CLASS: usize = 32;

/// The maximum size of a compiled regular expression, in bytes.
const LARGEST_PATTERN: usize = 1 << 20;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Kib,
    Bytes,
    Human,
}

/// Reads the section of a subcommand.
pub(super) fn read(global: &GlobalArgs, name: &str, subcommands: &[Subcommand]) -> Result<Configured, Error> {
    let Some((path, text)) = read_file(global)? else { return Ok(Configured::default()) };
    let (mut sections, classes) = Text { path: &path, text: &text, subcommands }.parse()?;
    Ok(Configured { classes, ..sections.remove(name).unwrap_or_default() })
}

/// The path and text of the file; `None` without a file.
fn read_file(global: &GlobalArgs) -> Result<Option<(PathBuf, String)>, Error> {
    let named = global.config.clone();
    let Some(path) = named.clone().or_else(default_path).filter(|_| !global.no_config) else { return Ok(None) };
    let failed = |error: std::io::Error| Error::io(Subject::Path(path.clone()), &error);
    // Without blocking: opening a FIFO that has no writer would wait forever.
    let open = || File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(&path);
    let opened = match locate(&path) {
        Ok(None) => open().map(Handle::from),
        Ok(Some(far)) => far.open(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).map_err(Into::into),
        Err(errno) => Err(errno.into()),
    };
    let file = match opened {
        Ok(file) => file,
        Err(error) if named.is_none() && is_not_there(&error) => {
            // It must not keep rmap from finding out why.
            if error.kind() == IoErrorKind::TimedOut {
                Report::print(&failed(error).with_advice("the default columns and units are used"));
            }
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let stat = file.stat().map_err(|errno| failed(errno.into()))?;
    if named.is_none() && stat.st_uid != nix::unistd::geteuid().as_raw() {
        return Ok(None);
    }
    let refused = |why: &'static str| Error::path(&path, ErrorKind::Refused, why);
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(refused("not a regular file"));
    }
    let mut text = String::new();
    Reader::new(file).take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LONGEST {
        return Err(refused("longer than 1 MiB"));
    }
    Ok(Some((path, text)))
}

/// A file of another user that may not be read is not this user's configuration either.
fn is_not_there(error: &std::io::Error) -> bool {
    let (denied, silent) = (IoErrorKind::PermissionDenied, IoErrorKind::TimedOut);
    [IoErrorKind::NotFound, IoErrorKind::NotADirectory, denied, silent].contains(&error.kind())
}

fn default_path() -> Option<PathBuf> {
    let directory = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = directory("XDG_CONFIG_HOME").or_else(|| Some(directory("HOME")?.join(".config")))?;
    Some(config.join("rmap/config.toml"))
}

/// The text of a file, its path, and the sections that it may have.
struct Text<'t> {
    path: &'t Path,
    text: &'t str,
    subcommands: &'t [Subcommand],
}

impl Text<'_> {
    /// The sections and the rules for classes, checked, by the names of their subcommands.
    fn parse(&self) -> Result<Parsed, Error> {
        let invalid =
            |error: toml::de::Error| self.error(error.span().unwrap_or_default(), first_line(error.message()));
        // The names first: the content of an unknown section says nothing.
        let names: BTreeMap<Spanned<String>, IgnoredAny> = toml::from_str(self.text).map_err(invalid)?;
        names.keys().filter(|name| name.as_ref() != CLASSES).try_for_each(|name| self.subcommand(name).map(drop))?;
        let file: Sections = toml::from_str(self.text).map_err(invalid)?;
        let sections = file.subcommands.into_iter().map(|(name, section)| self.section(&name, section));
        Ok((sections.collect::<Result<_, Error>>()?, self.classes(file.classes)?))
    }

    /// The rules of `[classes]`, in the order of the file.
    fn classes(&self, rules: BTreeMap<Spanned<String>, Spanned<String>>) -> Result<Vec<OwnClass>, Error> {
        let mut rules: Vec<_> = rules.into_iter().collect();
        rules.sort_by_key(|(name, _)| name.span().start);
        rules.into_iter().map(|(name, pattern)| self.class(&name, &pattern)).collect()
    }

    fn class(&self, name: &Spanned<String>, pattern: &Spanned<String>) -> Result<OwnClass, Error> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let word = name.as_ref();
        if word.is_empty() || word.len() > LONGEST_CLASS || !word.bytes().all(is_plain) {
            let why = format!("a class is one word of at most {LONGEST_CLASS} letters, digits, '-', '_' and '.'");
            return Err(self.error(name.span(), why));
        }
        let compiled = RegexBuilder::new(pattern.as_ref()).size_limit(LARGEST_PATTERN).build();
        let invalid = |error: regex::Error| {
            let why = error.to_string();
            let last = why.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
            let why =
                format!("class '{word}' has an invalid regular expression: {}", last.trim_start_matches("error: "));
            self.error(pattern.span(), why)
        };
        Ok(OwnClass { name: word.to_owned(), pattern: compiled.map_err(invalid)? })
    }

    /// The subcommand that a section belongs to.
    fn subcommand(&self, name: &Spanned<String>) -> Result<&Subcommand, Error> {
        self.subcommands.iter().find(|subcommand| subcommand.name == name.as_ref()).ok_or_else(|| {
            let known: Vec<&str> = self.subcommands.iter().map(|subcommand| subcommand.name).chain([CLASSES]).collect();
            let error = self.error(name.span(), format!("unknown section '{}'", name.as_ref()));
            let question = did_you_mean(name.as_ref(), known.iter().copied());
            error.with_advice(question.unwrap_or_else(|| format!("the sections are {}", known.join(", "))))
        })
    }

    fn section(&self, name: &Spanned<String>, section: Section) -> Result<(String, Configured), Error> {
        let subcommand = self.subcommand(name)?;
        if let Some(none) = section.columns.as_ref().filter(|columns| columns.as_ref().is_empty()) {
            return Err(self.error(none.span(), "a table needs at least one column".to_owned()));
        }
        let columns = section.columns.map(Spanned::into_inner);
        let columns = columns.map(|names| names.iter().map(|name| self.column(subcommand, name)).collect());
        let unit = section.unit.map(|unit| match unit {
            Unit::Kib => SizeUnit::Kib,
            Unit::Bytes => SizeUnit::Bytes,
            Unit::Human => SizeUnit::Human,
        });
        Ok((subcommand.name.to_owned(), Configured { columns: columns.transpose()?, unit, classes: Vec::new() }))
    }

    /// The name of a column, if the subcommand has it.
    fn column(&self, subcommand: &Subcommand, name: &Spanned<String>) -> Result<String, Error> {
        let Some(rows) = subcommand.rows.first() else { return Ok(name.as_ref().to_ascii_lowercase()) };
        let (id, columns) = (rows.typed(name.as_ref()), rows.heads());
        let why = match columns.iter().find(|column| column.id == id) {
            Some(column) if !column.kind.is_json_only() => return Ok(id),
            Some(_) => format!("a table cannot show the column '{id}', only --json and --jsonl can"),
            None => format!("unknown column '{}'", name.as_ref()),
        };
        let shown: Vec<&ColumnHead> = columns.iter().filter(|column| !column.kind.is_json_only()).collect();
        let question = column_meant(name.as_ref(), shown.iter().copied());
        let help = format!("`rmap {} --help` lists the columns", subcommand.name);
        Err(self.error(name.span(), why).with_advice(question.unwrap_or(help)))
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

/// The sections in the text of a file called `config.toml`.
#[cfg(any(test, fuzzing))]
pub(super) fn parse_text(text: &str, subcommands: &[Subcommand]) -> Result<Parsed, Error> {
    Text { path: Path::new("config.toml"), text, subcommands }.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BTreeMap<String, Configured>, String> {
        parse_text(text, crate::cli::SUBCOMMANDS).map(|(sections, _)| sections).map_err(|error| error.to_string())
    }

    #[test]
    fn classes_are_rules_in_the_order_of_the_file() {
        let text = "[classes]\nzone = 'z+'\narena = '^/dev/shm/'\n[pid]\nunit = \"human\"\n";
        let (_, classes) = parse_text(text, crate::cli::SUBCOMMANDS).unwrap();
        let rules: Vec<_> = classes.iter().map(|rule| (rule.name.as_str(), rule.pattern.as_str())).collect();
        assert_eq!(rules, [("zone", "z+"), ("arena", "^/dev/shm/")]);
        for (text, start) in [
            (
                "[classes]\na = 'x'\nb = '('",
                "config.toml:3: class 'b' has an invalid regular expression: unclosed group",
            ),
            ("[classes]\n'a b' = 'x'", "config.toml:2: a class is one word"),
            ("[classes]\na = 1", "config.toml:2: invalid type: integer `1`, expected a string"),
            ("[classes]\na = 'x{1000}{1000}{1000}'", "config.toml:2: class 'a' has an invalid regular expression: "),
            ("[clases]\na = 'x'", "config.toml:1: unknown section 'clases'; did you mean 'classes'?"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(start) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_section_belongs_to_its_subcommand() {
        let sections =
            parse("[pid]\ncolumns = [\"RSS\", \"uss\"]\nunit = \"human\"\n[pcstat]\ncolumns = [\"name\"]").unwrap();
        assert_eq!(sections["pid"].columns, Some(vec!["rss".to_owned(), "uss".to_owned()]));
        assert_eq!(sections["pid"].unit, Some(SizeUnit::Human));
        assert_eq!(sections["pcstat"].columns, Some(vec!["filename".to_owned()]));
        assert!(!sections.contains_key("demo"));
    }

    #[test]
    fn unknown_settings_are_reported_with_their_line() {
        for (text, start) in [
            ("[pid]\ncolumns = [\"rss\",\n  \"rsss\"]", "config.toml:3: unknown column 'rsss'; did you mean 'rss'?"),
            (
                "[pid]\ncolumns = [\"rss\", \"path_bytes\"]",
                "config.toml:2: a table cannot show the column 'path_bytes', only --json and --jsonl can; `rmap",
            ),
            ("[pcstat]\ncolumns = [\"status\"]", "config.toml:2: a table cannot show the column 'status'"),
            ("[pcstat]\ncolumns = ['Reclamed']", "config.toml:2: unknown column 'Reclamed'; did you mean 'evicted"),
            ("[pid]\n\ncolour = 1", "config.toml:3: unknown field `colour`"),
            (
                "[pid]\ncolumns = ['xyzzy']",
                "config.toml:2: unknown column 'xyzzy'; `rmap pid --help` lists the columns",
            ),
            ("[pidd]\n", "config.toml:1: unknown section 'pidd'; did you mean 'pid'?"),
            ("[pid]\nunit = \"feet\"", "config.toml:2: unknown variant `feet`"),
            ("columns = [\"rss\"]\nunit = \"human\"", "config.toml:1: unknown section 'columns'"),
            ("pid = 1", "config.toml:1: invalid type: integer `1`, expected a section such as [pid]"),
            ("[pid]\ncolumns = 1", "config.toml:2: invalid type"),
            ("[pcstat]\n\ncolumns = []", "config.toml:3: a table needs at least one column"),
            ("[pid]\nunit =\n", "config.toml:2: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(start), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
