//! The options that select files, which are the same in every subcommand that takes files, and the selection that they
//! become.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use globset::{Glob, GlobSet, GlobSetBuilder};

use super::answer::refuse_if;
use super::found::FoundArgs;
use super::programs::range_of_vmtouch;
use crate::join::{Choice, ChosenFiles};
use crate::process::NamedProcess;
use crate::table::Stop;
use crate::units::{ByteRange, Bytes};

/// What has to be named, at least one of them.
pub(crate) const OPERANDS: &str = "PATH, --pid, --name or --files-from";

/// Which files.
#[derive(Debug, Clone, Args)]
pub(crate) struct ChosenArgs {
    /// Files; with -R also directories
    #[arg(value_name = "PATH", required_unless_present_any = ["pid", "found", "files_from"])]
    pub(crate) paths: Vec<PathBuf>,
    /// Add the files that these processes map or have open
    ///
    /// Several are separated by commas, or the option is repeated. "self" is rmap itself. --name, --match, --user and
    /// --cgroup add the files of other processes: those that match all of these options.
    #[arg(long, value_name = "PID", value_delimiter = ',', help_heading = "Files")]
    pub(crate) pid: Vec<NamedProcess>,
    /// The files of processes with these properties.
    #[command(flatten)]
    found: FoundArgs,
    /// Add the files listed in FILE (-: standard input)
    ///
    /// One per line, or with -0 each ended by a NUL.
    #[arg(long, value_name = "FILE", help_heading = "Files", hide_short_help = true)]
    pub(crate) files_from: Option<PathBuf>,
    /// With --files-from: names end in NUL, as written by find -print0
    #[arg(short = '0', long = "null", help_heading = "Files", hide_short_help = true)]
    pub(crate) null: bool,
    /// Include the files in and below directories
    ///
    /// Each file is counted once, even if it has several names.
    #[arg(short = 'R', long, help_heading = "Files")]
    pub(crate) recursive: bool,
    /// With -R: number of threads (default: number of processors)
    #[arg(
        short = 'j',
        long,
        value_name = "N",
        value_parser = thread_count,
        help_heading = "Files",
        hide_short_help = true
    )]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// With -R: also enter other file systems that are mounted below; /proc, /sys and the like are never entered
    #[arg(long, help_heading = "Files", hide_short_help = true)]
    pub(crate) cross_file_systems: bool,
    /// Open files on FUSE to measure them, although that may drop their cached pages; otherwise they are measured only
    /// through the descriptor of a process that has them open
    #[arg(long, help_heading = "Files", hide_short_help = true)]
    pub(crate) open_fuse: bool,
    /// With -R: follow symbolic links found on the way
    #[arg(long, help_heading = "Files", hide_short_help = true)]
    pub(crate) follow: bool,
    /// Do not follow symbolic links that are named, as vmtouch does
    #[arg(long, help_heading = "Files", hide_short_help = true, overrides_with = "follow")]
    pub(crate) no_follow: bool,
    /// Include only files that match this glob
    ///
    /// Can be repeated. A glob without a slash is matched against the file name. A glob with a slash is matched against
    /// the path below the given directory and against the path as printed. A glob that ends with a slash matches every
    /// file below a matching directory.
    #[arg(long, value_name = "GLOB", help_heading = "Files", hide_short_help = true)]
    pub(crate) include: Vec<String>,
    /// Exclude files and whole directories that match this glob, with the same rules (can be repeated)
    #[arg(long, value_name = "GLOB", help_heading = "Files", hide_short_help = true)]
    pub(crate) exclude: Vec<String>,
    /// Include only files of this size or larger
    #[arg(long, value_name = "SIZE", help_heading = "Files", hide_short_help = true)]
    pub(crate) min_size: Option<Bytes>,
    /// Include only files of this size or smaller
    #[arg(long, value_name = "SIZE", help_heading = "Files", hide_short_help = true)]
    pub(crate) max_size: Option<Bytes>,
    /// Use only this part of each file, such as 1G,64M
    ///
    /// Without LEN, up to the end. If no file is that long, a line on standard error says so.
    #[arg(long, value_name = "OFF[,LEN]", value_parser = parse_range, help_heading = "Files", hide_short_help = true)]
    pub(crate) range: Option<ByteRange>,
    /// Do not look for leases first, which takes about 10 ms
    ///
    /// A file that another process has leased (see fcntl(2); Samba and NFS servers do that) is then opened, which
    /// breaks the lease.
    #[arg(long, help_heading = "Files", hide_short_help = true)]
    pub(crate) break_leases: bool,
}

impl ChosenArgs {
    /// Whether files of processes are selected.
    pub(crate) fn has_processes(&self) -> bool {
        !(self.pid.is_empty() && self.found.is_empty())
    }

    /// The options that may leave out every file.
    pub(crate) fn narrowing(&self) -> Vec<&'static str> {
        let options = [
            (!self.include.is_empty(), "--include"),
            (!self.exclude.is_empty(), "--exclude"),
            (self.min_size.is_some(), "--min-size"),
            (self.max_size.is_some(), "--max-size"),
        ];
        options.into_iter().filter(|(typed, _)| *typed).map(|(_, option)| option).collect()
    }

    /// The paths that may be pids after a blank: `--pid` separates them with commas.
    pub(crate) fn paths_like_pids(&self) -> Vec<PathBuf> {
        let is_like = |path: &&PathBuf| path.to_str().is_some_and(|path| path.parse::<NamedProcess>().is_ok());
        self.paths.iter().filter(|_| !self.pid.is_empty()).filter(is_like).cloned().collect()
    }

    /// The selected files.
    pub(crate) fn chosen(self) -> Result<ChosenFiles, Stop> {
        let least = self.min_size.map_or(0, |size| size.0);
        let most = self.max_size.map_or(u64::MAX, |size| size.0);
        if least > most {
            return Err(Stop::usage("--min-size", "larger than --max-size, so no file can match"));
        }
        let walks =
            [(self.jobs.is_some(), "-j"), (self.cross_file_systems, "--cross-file-systems"), (self.follow, "--follow")];
        for (typed, option) in walks {
            refuse_if(typed && !self.recursive, option, "it is about walking directories; use it with -R")?;
        }
        refuse_if(
            self.null && self.files_from.is_none(),
            "-0",
            "it is about a list of names; use it with --files-from",
        )?;
        let globs = Globs::parse(&self)?;
        let choose = move |path: &Path, depth: usize, is_directory: bool| globs.choose(path, depth, is_directory);
        let is_any_glob = !(self.include.is_empty() && self.exclude.is_empty());
        Ok(ChosenFiles {
            list: self.files_from,
            null: self.null,
            processes: self.found.choice(self.pid)?.into(),
            recursive: self.recursive,
            jobs: self.jobs,
            cross_file_systems: self.cross_file_systems,
            follow: self.follow,
            follow_named: !self.no_follow,
            opens_fuse: self.open_fuse,
            sizes: least..=most,
            choice: is_any_glob.then(|| Arc::new(choose) as Choice),
            range: self.range.unwrap_or(ByteRange::ALL),
            breaks_leases: self.break_leases,
            names_denied: false,
            ..ChosenFiles::named(self.paths)
        })
    }
}

fn thread_count(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "use a number of threads, at least 1".to_owned())
}

pub(super) fn parse_range(text: &str) -> Result<ByteRange, String> {
    let (offset, length) = text.split_once(',').map_or((text, None), |(offset, length)| (offset, Some(length)));
    let offset: Bytes = offset.parse().map_err(|why| match range_of_vmtouch(text.into()) {
        Ok(words) => format!("it is an offset and a length; type --range={}", words.join(",".as_ref()).display()),
        Err(_) => why,
    })?;
    let length = length.map_or(Ok(Bytes(u64::MAX)), str::parse)?;
    if length == Bytes(0) {
        return Err("a length of 0 selects nothing; leave it out to go on to the end of the file".to_owned());
    }
    Ok(ByteRange { offset: offset.0, length: length.0 })
}

/// Which names are selected.
struct Globs {
    include: Option<Patterns>,
    exclude: Option<Patterns>,
}

/// Globs for names and globs for paths; those that end with a slash match only directories.
struct Patterns {
    names: GlobSet,
    paths: GlobSet,
    directory_names: GlobSet,
    directory_paths: GlobSet,
}

impl Globs {
    /// The globs that were typed.
    fn parse(args: &ChosenArgs) -> Result<Globs, Stop> {
        Ok(Globs { include: Patterns::parse(&args.include)?, exclude: Patterns::parse(&args.exclude)? })
    }

    /// Whether a file or directory is selected. The last `depth` parts of its path are below the named directory.
    fn choose(&self, path: &Path, depth: usize, is_directory: bool) -> bool {
        let below = below(path, depth);
        let excluded = self.exclude.as_ref().is_some_and(|globs| globs.matches(path, below, is_directory));
        let included = |globs: &Patterns| globs.matches(path, below, false) || globs.matches_a_directory_above(below);
        !excluded && (is_directory || self.include.as_ref().is_none_or(included))
    }
}

/// The part of a path below the named directory; the whole path if it was named itself.
fn below(path: &Path, depth: usize) -> &Path {
    let named = path.ancestors().nth(depth).filter(|_| depth > 0);
    named.and_then(|named| path.strip_prefix(named).ok()).unwrap_or(path)
}

impl Patterns {
    fn parse(texts: &[String]) -> Result<Option<Patterns>, Stop> {
        if texts.is_empty() {
            return Ok(None);
        }
        let (directories, any): (Vec<&str>, Vec<&str>) =
            texts.iter().map(String::as_str).partition(|text| text.ends_with('/'));
        let (paths, names): (Vec<&str>, Vec<&str>) = any.into_iter().partition(|text| text.contains('/'));
        let directories = directories.into_iter().map(|text| text.trim_end_matches('/'));
        let (directory_paths, directory_names): (Vec<&str>, Vec<&str>) =
            directories.partition(|text| text.contains('/'));
        Ok(Some(Patterns {
            names: set(&names)?,
            paths: set(&paths)?,
            directory_names: set(&directory_names)?,
            directory_paths: set(&directory_paths)?,
        }))
    }

    fn matches(&self, path: &Path, below: &Path, is_directory: bool) -> bool {
        let matches = |names: &GlobSet, paths: &GlobSet| {
            let name = path.file_name().is_some_and(|name| names.is_match(Path::new(name)));
            name || paths.is_match(below) || paths.is_match(path)
        };
        matches(&self.names, &self.paths) || (is_directory && matches(&self.directory_names, &self.directory_paths))
    }

    /// Whether a directory glob matches one of the directories that contain the file, below the named directory.
    fn matches_a_directory_above(&self, below: &Path) -> bool {
        let is_meant = |above: &Path| {
            let name = above.file_name().is_some_and(|name| self.directory_names.is_match(Path::new(name)));
            name || self.directory_paths.is_match(above)
        };
        below.ancestors().skip(1).any(is_meant)
    }
}

fn set(texts: &[&str]) -> Result<GlobSet, Stop> {
    let mut builder = GlobSetBuilder::new();
    for text in texts {
        let invalid = |error: globset::Error| {
            Stop::usage("--include, --exclude", format!("invalid glob '{text}': {}", error.kind()))
        };
        builder.add(Glob::new(text).map_err(invalid)?);
    }
    builder.build().map_err(|error| Stop::usage("--include, --exclude", error.kind().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_an_offset_and_a_length() {
        assert_eq!(parse_range("1K,64K"), Ok(ByteRange { offset: 1024, length: 65536 }));
        assert_eq!(parse_range("4096"), Ok(ByteRange { offset: 4096, length: u64::MAX }));
        assert!(parse_range("1K,").is_err());
        assert!(parse_range(",1").is_err());
        assert!(parse_range("1,2,3").is_err());
        let line = "a length of 0 selects nothing; leave it out to go on to the end of the file";
        assert_eq!(parse_range("5M,0"), Err(line.to_owned()));
        let line = "it is an offset and a length; type --range=4096,61440";
        assert_eq!(parse_range("4k-64k"), Err(line.to_owned()));
    }
}
