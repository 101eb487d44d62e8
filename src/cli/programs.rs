//! The programs that people come from, and their options: the meaning of each there, and what rmap does.
//!
//! This table is the only place that knows these programs. [`peers`](super::peers) translates, and
//! [`coming_from`](super::coming_from) explains. The options are those of the manual pages of pmap 4.0.2, vmtouch
//! 1.3.1, smem 1.5, ps_mem and fuser 23.6, and of the sources of fincore, pcstat and hcache; fincore has -c, -C and -R
//! only in its newest versions. Of lsof only what asks who holds a file is here.

use std::ffi::OsString;

use super::demo::shell_word;
use super::peers::{Answer, Letter, Peer, SIGNAL, Value};
use crate::units::Bytes;
use crate::views::processes::user_name;

/// Every program, in the order of the page.
pub(super) const PEERS: &[Peer] = &[PMAP, VMTOUCH, FINCORE, PCSTAT, HCACHE, SMEM, PS_MEM, FUSER, LSOF];

/// Names of programs that rmap cannot stand for, and what to type instead.
pub(super) const OTHERS: &[(&str, &str)] = &[
    (
        "touch",
        "touch(1) changes time stamps; to read a file into the page cache, as vmtouch -t does, type `rmap warm FILE`",
    ),
    ("free", "to see what the memory of this machine is used for, type `rmap mem`"),
    ("top", "to see which processes use most memory, type `rmap ps`, or `rmap ps -w 2` to repeat it"),
    ("htop", "to see which processes use most memory, type `rmap ps`, or `rmap ps -w 2` to repeat it"),
    ("numastat", "to see the memory of each NUMA node, type `rmap mem --by node`, or `rmap pid --numa PID`"),
    ("vmstat", "to see how the memory of this machine changes, type `rmap mem -w 1`"),
    ("slabtop", "to see the caches of kernel objects, type `rmap mem --slab`"),
];

/// An option with this meaning.
pub(super) const fn letter(names: &'static [&'static str], meaning: &'static str, answer: Answer) -> Letter {
    Letter { names, value: None, meaning, besides: &[], answer }
}

impl Letter {
    /// The same option with a value, which rmap takes as it is.
    const fn with(self, example: &'static str) -> Letter {
        self.converted(example, |value| Ok(vec![value]))
    }

    /// The same option, which has a meaning only after this one.
    const fn after(self, besides: &'static [&'static str]) -> Letter {
        Letter { besides, ..self }
    }

    /// The same option with a value, which rmap writes in another way.
    const fn converted(self, example: &'static str, in_rmap: fn(OsString) -> Result<Vec<OsString>, String>) -> Letter {
        Letter { value: Some(Value { example, in_rmap }), ..self }
    }
}

/// The same words in rmap.
const fn same(names: &'static [&'static str], meaning: &'static str) -> Letter {
    letter(names, meaning, Answer::Words(names.split_at(1).0))
}

/// The options of nearly all of them.
const HELP: &[Letter] = &[letter(&["-h", "--help"], "help", Answer::Help)];
const VERSION: &[Letter] = &[letter(&["-V", "--version"], "version", Answer::Version)];

const PMAP_CONFIGURATION: Answer =
    Answer::Line("`rmap pid -o LIST PID` selects columns, and ~/.config/rmap/config.toml has the default ones");

const PMAP: Peer = Peer {
    names: &["pmap"],
    operand: "PID",
    command: "pid",
    usual: &[],
    choice: &[],
    view: &[],
    columns: &[],
    letters: &[
        &[
            same(&["-x", "--extended"], "extended format"),
            same(&["-X"], "even more details"),
            same(&["-XX"], "everything that the kernel reports"),
            same(&["-d", "--device"], "device format"),
            same(&["-q", "--quiet"], "no header and footer"),
            same(&["-p", "--show-path"], "full paths"),
            letter(&["-A", "--range"], "only this range of addresses", Answer::Words(&["-A", "{}"])).with("1000,2000"),
            letter(&["-c", "--read-rc"], "read ~/.pmaprc", PMAP_CONFIGURATION),
            letter(&["-C", "--read-rc-from"], "read this configuration", PMAP_CONFIGURATION).with("FILE"),
            letter(&["-n", "--create-rc"], "create ~/.pmaprc", PMAP_CONFIGURATION),
            letter(&["-N", "--create-rc-to"], "create this configuration", PMAP_CONFIGURATION).with("FILE"),
            letter(&["-r"], "nothing (kept for SunOS)", Answer::Nothing("pmap ignores it, too")),
        ],
        HELP,
        VERSION,
    ],
};

const IN_BACKGROUND: Answer = Answer::Shell("lock", &["&"]);

const VMTOUCH: Peer = Peer {
    names: &["vmtouch"],
    operand: "FILE",
    command: "pcstat",
    usual: &["-R", "--cross-file-systems", "--no-follow"],
    choice: &[],
    view: &["--summary"],
    columns: &[],
    letters: &[&[
        letter(&["-t"], "touch pages into memory", Answer::Command("warm")),
        letter(&["-e"], "evict pages from memory", Answer::Command("evict")),
        letter(&["-l"], "lock pages with mlock(2)", Answer::Command("lock")),
        letter(&["-L"], "lock pages with mlockall(2)", Answer::Command("lock")),
        letter(&["-d"], "run in the background", IN_BACKGROUND),
        letter(&["-w"], "with -d: wait until all pages are locked (rmap prints its table then)", IN_BACKGROUND),
        letter(&["-P"], "write a file with the pid", Answer::Shell("lock", &["&", "echo $! > {}"]))
            .converted("PIDFILE", |file| Ok(vec![shell_word(file.as_encoded_bytes()).into()])),
        letter(&["-p"], "only this part of each file", Answer::Words(&["--range={}"]))
            .converted("4k-64k", range_of_vmtouch),
        letter(&["-m"], "skip larger files", Answer::Words(&["--max-size={}"])).converted("100M", size),
        letter(&["-i"], "ignore files and directories with such a name", Answer::Words(&["--exclude={}"]))
            .with("*.bak"),
        letter(&["-I"], "only files with such a name", Answer::Words(&["--include={}"])).with("*.db"),
        letter(&["-b"], "read the names from a file", Answer::Operand(&["--files-from={}"])).with("LIST"),
        letter(&["-0"], "with -b: names end in NUL", Answer::Words(&["--null"])).after(&["-b", "LIST"]),
        letter(&["-f"], "follow symbolic links", Answer::Words(&["-R", "--follow"])),
        letter(&["-F"], "stay on one file system", Answer::Usually(&["-R", "--no-follow"])),
        letter(
            &["-h"],
            "count a file once per hard link",
            Answer::Line("each file counts once, however many names it has; for help, type `rmap help vmtouch`"),
        ),
        letter(&["-v"], "print each file (with a map of its pages)", Answer::Each(&["--map", "--total"], &["--total"])),
        letter(&["-q"], "print nothing (rmap still prints errors)", Answer::Shell("", &["> /dev/null"])),
    ]],
};

const FINCORE: Peer = Peer {
    names: &["fincore"],
    operand: "FILE",
    command: "pcstat",
    usual: &[],
    choice: &[],
    view: &[],
    columns: FINCORE_COLUMNS,
    letters: &[
        &[
            letter(&["-J", "--json"], "JSON", Answer::Words(&["--json"])),
            same(&["-b", "--bytes"], "sizes in bytes"),
            letter(&["-n", "--noheadings"], "no header", Answer::Words(&["--no-header"])),
            letter(&["-r", "--raw"], "raw output", Answer::Words(&["--plain"])),
            letter(&["-c", "--total"], "add a total", Answer::Words(&["--total"])),
            letter(&["-R", "--recursive"], "the files below directories", Answer::Words(&["-R"])),
            letter(
                &["-C", "--cachestat"],
                "use cachestat(2)",
                Answer::Nothing(
                    "rmap uses it wherever its answer can be trusted; the column method says which call was used",
                ),
            ),
            letter(&["-o", "--output"], "these columns", Answer::View(&["-o", "{}"]))
                .converted("RES,PAGES,SIZE,FILE", |list| columns(list, FINCORE_COLUMNS)),
            letter(&["--output-all"], "all columns", Answer::View(&["-o", FINCORE_ALL])),
        ],
        HELP,
        VERSION,
    ],
};

/// fincore's columns, and rmap's names for them. The others are called the same.
const FINCORE_COLUMNS: &[(&str, &str)] = &[("res", "cached_bytes"), ("pages", "cached"), ("file", "filename")];

/// All columns of fincore.
const FINCORE_ALL: &str = "cached_bytes,cached,size,dirty_pages,dirty,writeback_pages,writeback,evicted_pages,evicted,\
                           recently_evicted_pages,recently_evicted,filename";

/// pcstat's options, which can also be written with one dash after `rmap pcstat`.
const PCSTAT_LETTERS: &[Letter] = &[
    letter(&["-json"], "JSON", Answer::Words(&["--json"])),
    letter(&["-pps"], "with -json: whether each page is cached", Answer::Words(&["--pps"])).after(&["-json"]),
    letter(&["-terse"], "comma-separated values", Answer::Words(&["--terse"])),
    letter(&["-nohdr"], "no header", Answer::Words(&["--nohdr"])),
    letter(&["-bname"], "only the last part of each path", Answer::Words(&["--bname"])),
    letter(&["-histo"], "one line of bars per file", Answer::Words(&["--histo"])),
    letter(&["-plain"], "no rules", Answer::Words(&["--plain"])),
    letter(&["-unicode"], "rules of box characters", Answer::Words(&["--unicode"])),
    letter(&["-pid"], "the files that a process maps", Answer::Operand(&["--pid={}"])).with("4690"),
    letter(&["-help", "-h"], "help", Answer::Help),
];

pub(super) const PCSTAT: Peer = Peer {
    names: &["pcstat"],
    operand: "FILE",
    command: "pcstat",
    usual: &[],
    choice: &[],
    view: &[],
    columns: &[],
    letters: &[
        PCSTAT_LETTERS,
        &[
            letter(&["-sort"], "largest first", Answer::Words(&["--sort=cached"])),
            letter(&["-top"], "(hcache) the N files with the most cached pages", Answer::Words(&["--top={}"]))
                .with("10"),
        ],
    ],
};

const HCACHE: Peer = Peer {
    names: &["hcache"],
    view: &["--sort=cached"],
    letters: &[
        PCSTAT_LETTERS,
        &[letter(
            &["-top"],
            "the N files with the most cached pages, of all processes",
            Answer::Operand(&["--match=.", "--top={}"]),
        )
        .with("10")],
    ],
    ..PCSTAT
};

const SMEM: Peer = Peer {
    names: &["smem"],
    operand: "",
    command: "ps",
    usual: &[],
    choice: &[],
    view: &[],
    columns: SMEM_COLUMNS,
    letters: &[SMEM_ROWS, SMEM_PRESENTATION, SMEM_SOURCES, HELP],
};

const SMEM_ROWS: &[Letter] = &[
    letter(&["-u", "--users"], "one row per user", Answer::View(&["--by=user"])),
    letter(
        &["-m", "--mappings"],
        "one row per mapped file",
        Answer::Line("`rmap pid --match . --by mapping --merge` adds up what all processes have mapped of each file"),
    ),
    letter(
        &["-w", "--system"],
        "the whole system",
        Answer::Line("`rmap mem` shows what the memory of the whole machine is used for, the kernel's own included"),
    ),
    letter(&["-P", "--processfilter"], "processes that match", Answer::Words(&["--match={}"])).with("^python"),
    letter(&["-U", "--userfilter"], "users that match", Answer::Words(&["--filter={}"]))
        .converted("www", |pattern| filter("user", &pattern)),
    letter(
        &["-M", "--mapfilter"],
        "mappings that match",
        Answer::Line("`rmap pid --match . --by pid --filter 'mapping =~ \"/usr/lib\"'` adds up such mappings"),
    )
    .with("/usr/lib"),
    letter(
        &["-s", "--sort"],
        "sort (smallest first; in rmap: largest first, -COL reverses)",
        Answer::Words(&["--sort={}"]),
    )
    .converted("rss", |list| columns(list, SMEM_COLUMNS)),
    letter(&["-r", "--reverse"], "with -s: largest first (as in rmap anyway)", Answer::Words(&[]))
        .after(&["-s", "rss"]),
];

const SMEM_DRAWS: Answer = Answer::Line("`rmap ps --csv` writes the figures for a program that draws them");

const SMEM_PRESENTATION: &[Letter] = &[
    letter(&["-c", "--columns"], "these columns", Answer::Words(&["--columns={}"]))
        .converted("pid,pss,uss", |list| columns(spaces_to_commas(list)?, SMEM_COLUMNS)),
    letter(&["-t", "--totals"], "add a total", Answer::Words(&["--total"])),
    letter(&["-k", "--abbreviate"], "sizes with units", Answer::Words(&["--human"])),
    letter(
        &["-p", "--percent"],
        "shares of all memory",
        Answer::Line("`rmap pid --summary PID` has shares of the memory of a process; the other views have sizes"),
    ),
    letter(
        &["-n", "--numeric"],
        "users as numbers",
        Answer::Line("`rmap ps --user 0` takes numbers, but the rows have the names of users"),
    ),
    letter(&["-H", "--no-header"], "no header", Answer::Words(&["--no-header"])),
    letter(&["-a", "--autosize"], "fit the terminal", Answer::Nothing("every table fits the terminal")),
    letter(&["--pie"], "a chart", SMEM_DRAWS).with("name"),
    letter(&["--bar"], "a chart", SMEM_DRAWS).with("name"),
];

const SMEM_SOURCES: &[Letter] = &[
    letter(
        &["-S", "--source"],
        "read this directory (or archive) instead of the system",
        Answer::Words(&["--proc-root={}"]),
    )
    .converted("capture", captured),
    letter(&["-R", "--realmem"], "with -w, -p: the amount of memory", Answer::Nothing("it matters only with those"))
        .with("1024M"),
    letter(&["-K", "--kernel"], "with -w: the image of the kernel", Answer::Nothing("it matters only with that"))
        .with("vmlinux"),
];

/// smem's columns, and rmap's names for them. The others are called the same.
const SMEM_COLUMNS: &[(&str, &str)] = &[("vss", "size"), ("count", "processes")];

const PS_MEM: Peer = Peer {
    names: &["ps_mem", "ps_mem.py", "psmem"],
    operand: "",
    command: "ps",
    usual: &[],
    choice: &[],
    view: &["--by=name"],
    columns: &[],
    letters: &[
        &[
            letter(&["-p"], "only these processes", Answer::Choice(&["{}"]))
                .converted("4690,4691", |list| parts(&list)),
            letter(&["-S", "--swap"], "show swap", Answer::Words(&["-o", "+swap"])),
            letter(&["-d", "--discriminate-by-pid"], "one row per process", Answer::View(&[])),
            letter(&["-s", "--split-args"], "one row per command line", Answer::View(&["--by=command"])),
            letter(
                &["-t", "--total"],
                "only the total (rmap shows that of each user above it)",
                Answer::View(&["--by=user", "--total"]),
            ),
            letter(
                &["-u", "--user"],
                "only the total of the own processes",
                Answer::Line("`rmap ps --user NAME` ends with the total of the processes of a user"),
            ),
            letter(&["-w"], "repeat every N seconds", Answer::Words(&["-w", "{}"])).with("2"),
            letter(&["--version"], "version", Answer::Version),
        ],
        HELP,
    ],
};

const FUSER_KILLS: Answer = Answer::Line("no process is ended; `rmap who -o pid FILE` prints the pids for kill(1)");
const FUSER_MOUNT: Answer =
    Answer::Line("`rmap files -o +holders DIR` lists the cached files of a file system, each with who holds it");
const FUSER_PORTS: Answer = Answer::Line("`rmap who FILE` is about files; ss(8) -p tells who has a port open");

const FUSER: Peer = Peer {
    names: &["fuser"],
    operand: "FILE",
    command: "who",
    usual: &[],
    choice: &[],
    view: &[],
    columns: &[],
    letters: &[
        &[
            letter(&["-v", "--verbose"], "user, access and command", Answer::Nothing("the table has columns for them")),
            letter(&["-u", "--user"], "the user", Answer::Nothing("the table has a column for it")),
            letter(&["-a", "--all"], "also files that nobody holds", Answer::Nothing("each file has a line anyway")),
            letter(
                &["-s", "--silent"],
                "print nothing (rmap still prints errors)",
                Answer::Shell("", &["> /dev/null"]),
            ),
            letter(&["-k", "--kill"], "kill the processes", FUSER_KILLS),
            letter(&[SIGNAL], "with -k: another signal", FUSER_KILLS),
            letter(&["-i", "--interactive"], "with -k: ask first", FUSER_KILLS),
            letter(&["-w", "--writeonly"], "with -k: only those that write", FUSER_KILLS),
            letter(&["-l", "--list-signals"], "the names of signals", FUSER_KILLS),
            letter(&["-m", "--mount"], "all files of a file system", FUSER_MOUNT),
            letter(&["-c"], "the same", FUSER_MOUNT),
            letter(&["-M", "--ismountpoint"], "with -m: only of a mount point", FUSER_MOUNT),
            letter(&["-I", "--inode"], "compare inodes", Answer::Nothing("rmap compares files by what they are")),
            letter(&["-n", "--namespace"], "other things than files", FUSER_PORTS).with("tcp"),
            letter(&["-4", "--ipv4"], "sockets", FUSER_PORTS),
            letter(&["-6", "--ipv6"], "sockets", FUSER_PORTS),
        ],
        HELP,
        VERSION,
    ],
};

const LSOF: Peer = Peer {
    names: &["lsof"],
    letters: &[
        &[
            letter(&["-t"], "only the pids (and what is cached of the file)", Answer::View(&["-n", "-o", "pid"])),
            letter(&["-u"], "only these users, by name or number (^: not this one)", Answer::Rows)
                .converted("www,^root", users_of_lsof),
            letter(&["-c"], "only commands that begin so (^: not these), or that match /REGEX/", Answer::Rows)
                .converted("python", command_of_lsof),
            letter(
                &["-a"],
                "what all of these options select, not one of them",
                Answer::AllRows("one `--filter` per condition; a row must match all of them"),
            ),
            letter(&["-p"], "the files of a process", Answer::Line("`rmap pcstat --pid 4690` lists them")).with("4690"),
            letter(&["-i"], "sockets", FUSER_PORTS),
            letter(&["-n"], "no names of hosts", Answer::Nothing("rmap looks none up")),
            letter(&["-P"], "no names of ports", Answer::Nothing("rmap looks none up")),
            letter(&["-w"], "no warnings", Answer::Nothing("rmap prints one line for what it could not see")),
        ],
        HELP,
    ],
    ..FUSER
};

fn text(value: OsString) -> Result<String, String> {
    value.into_string().map_err(|_| "the value is not UTF-8".to_owned())
}

/// The names of columns in rmap. A list may begin with `+`.
fn columns(list: OsString, names: &[(&str, &str)]) -> Result<Vec<OsString>, String> {
    let list = text(list)?.to_ascii_lowercase();
    let (plus, list) = list.strip_prefix('+').map_or(("", list.as_str()), |list| ("+", list));
    let name = |typed: &str| names.iter().find(|(peer, _)| *peer == typed).map_or(typed, |(_, name)| name).to_owned();
    Ok(vec![format!("{plus}{}", list.split(',').map(name).collect::<Vec<_>>().join(",")).into()])
}

/// smem separates columns by blanks, too.
fn spaces_to_commas(list: OsString) -> Result<OsString, String> {
    Ok(text(list)?.split([' ', ',']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(",").into())
}

/// A size that rmap takes, too.
fn size(typed: OsString) -> Result<Vec<OsString>, String> {
    let typed = text(typed)?;
    typed.parse::<Bytes>().map(|_| vec![typed.into()])
}

fn parts(list: &OsString) -> Result<Vec<OsString>, String> {
    Ok(text(list.clone())?.split(',').map(OsString::from).collect())
}

/// smem's patterns match anywhere, as those of rmap do.
fn filter(column: &str, pattern: &OsString) -> Result<Vec<OsString>, String> {
    let pattern = text(pattern.clone())?;
    Ok(vec![format!("{column} =~ {}", quoted(&pattern)?).into()])
}

/// A value as `--filter` takes it.
fn quoted(value: &str) -> Result<String, String> {
    let quote = ['"', '\''].into_iter().find(|quote| !value.contains(*quote)).ok_or("the value has both quotes")?;
    Ok(format!("{quote}{value}{quote}"))
}

/// lsof's list of users: names and numbers, and those with `^` that are left out.
fn users_of_lsof(list: OsString) -> Result<Vec<OsString>, String> {
    let compared = |user: &str| {
        let (not, user) = user.strip_prefix('^').map_or(("", user), |user| ("!", user));
        if user.is_empty() {
            return Err("a user is missing".to_owned());
        }
        // A capture has the numbers of users instead of their names.
        let name =
            user.parse().ok().map(|number| user_name(number, true)).and_then(|name| String::from_utf8(name).ok());
        let mut names = vec![user];
        names.extend(name.as_deref().filter(|name| *name != user));
        let any: Vec<String> =
            names.into_iter().map(|name| Ok(format!("user == {}", quoted(name)?))).collect::<Result<_, String>>()?;
        Ok(if not.is_empty() { any.join(" || ") } else { format!("!({})", any.join(" || ")) }.into())
    };
    text(list)?.split(',').map(compared).collect()
}

/// lsof's commands: the start of a name, with `^` of one that is left out, or a regular expression between slashes.
fn command_of_lsof(typed: OsString) -> Result<Vec<OsString>, String> {
    let typed = text(typed)?;
    let regex = |expression: &str| Ok(vec![format!("name =~ {}", quoted(expression)?).into()]);
    match typed.strip_prefix('/').map(|rest| rest.rsplit_once('/')) {
        Some(Some((expression, "" | "x"))) => regex(expression),
        Some(Some((expression, "i" | "ix" | "xi"))) => regex(&format!("(?i){expression}")),
        Some(_) => Err("a regular expression is /REGEX/, /REGEX/i or /REGEX/x in rmap".to_owned()),
        None => match typed.strip_prefix('^') {
            Some("") => Err("a command is missing".to_owned()),
            Some(start) => Ok(vec![format!("!(name =~ {})", quoted(&format!("^{}", regex::escape(start)))?).into()]),
            None => regex(&format!("^{}", regex::escape(&typed))),
        },
    }
}

/// smem's directory has the processes in `proc`, below it.
fn captured(directory: OsString) -> Result<Vec<OsString>, String> {
    let name = text(directory)?;
    if name.contains(".tar") {
        return Err("unpack the archive, and name its directory: `rmap ps --proc-root DIR`".to_owned());
    }
    Ok(vec![format!("{}/proc", name.trim_end_matches('/')).into()])
}

/// vmtouch's range: `FROM-TO`, where each may be missing, or the first SIZE bytes.
pub(super) fn range_of_vmtouch(typed: OsString) -> Result<Vec<OsString>, String> {
    let typed = text(typed)?;
    let (from, to) = typed.split_once('-').unwrap_or(("", &typed));
    let size = |text: &str| text.parse::<Bytes>().map(|size| size.0);
    let from = if from.is_empty() { 0 } else { size(from)? };
    let to = if to.is_empty() { 0 } else { size(to)? };
    // vmtouch takes 0 for no end.
    if to == 0 {
        return Ok(vec![from.to_string().into()]);
    }
    let length = to.checked_sub(from).filter(|length| *length > 0);
    let length = length.ok_or("the range does not end after it starts")?;
    Ok(vec![format!("{from},{length}").into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_vmtouch_is_an_offset_and_a_length() {
        let rmap = |typed: &str| range_of_vmtouch(typed.into()).map(|words| words[0].clone().into_string().unwrap());
        assert_eq!(rmap("4k-64k").as_deref(), Ok("4096,61440"));
        assert_eq!(rmap("4k").as_deref(), Ok("0,4096"));
        assert_eq!(rmap("-5M").as_deref(), Ok("0,5242880"));
        assert_eq!(rmap("1G-").as_deref(), Ok("1073741824"));
        assert_eq!(rmap("-").as_deref(), Ok("0"));
        assert_eq!((rmap("0-0").as_deref(), rmap("0").as_deref()), (Ok("0"), Ok("0")));
        assert_eq!(rmap("4k-0").as_deref(), Ok("4096"));
        assert!(rmap("2k-1k").is_err() && rmap("4k-4k").is_err() && rmap("x").is_err());
    }
}
