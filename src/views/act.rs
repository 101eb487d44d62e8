//! One row per act of an experiment (`rmap demo --acts`): both views after it, and whether they are as predicted.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::shared::{self, OfFile};
use crate::error::{Error, ErrorKind, Subject};
use crate::laboratory::acts::{Act, Experiment, Kind, Mapped, Observed, Spot};
use crate::table::{Cell, Colour, Column, Progress, RowKind, Rows, Source, Stop, col};
use crate::units::{Absent, Bytes, Human, PageSize};

/// A column of this view.
type C = Column<Acts>;

/// Acts.
pub struct Acts;

/// One act.
pub struct ActRow {
    observed: Observed,
    /// What must hold, in words.
    must: String,
}

impl RowKind for Acts {
    type Row = ActRow;
    type Need = ();
    const ROWS: &'static str = "acts";
    const LARGEST_BY: &'static str = "rss";
    const COLUMNS: &'static [C] = COLUMNS;

    fn identity(row: &ActRow) -> Vec<u8> {
        format!("{} {}", row.observed.kind.word(), row.observed.act.word()).into_bytes()
    }
}

impl OfFile for ActRow {
    fn path(&self) -> &Path {
        self.observed.path.as_deref().unwrap_or(Path::new(""))
    }

    fn page_size(&self) -> PageSize {
        self.observed.page_size
    }
}

/// What is shown by default.
pub const DEFAULT: &[&str] = &[
    "act",
    "size",
    "rss",
    "pss",
    "anonymous",
    "cached_bytes",
    "dirty",
    "minor_faults",
    "major_faults",
    "microseconds",
    "holds",
    "what",
    "must",
    "difference",
];

/// All columns.
const COLUMNS: &[C] = &[
    col!(new "act", "Act", Text, |row| Cell::Word(row.observed.act.word()), "what was done",
        one_of(|| Act::ALL.map(|(act, _)| act.word()).to_vec())),
    col!(new "kind", "Kind", Text, |row| Cell::Word(row.observed.kind.word()), "the kind of memory", minor(),
        one_of(|| Kind::ALL.map(Kind::word).to_vec())),
    col!(new "pid", "PID", Number, |row| Cell::Count(row.observed.pid.into()), "the process that acts"),
    col!(new "size", "Size", Bytes, |row| mapped(row, |mapped| mapped.size),
        "length of the mapping, from /proc/PID/smaps"),
    col!(new "rss", "Rss", Bytes, |row| mapped(row, |mapped| mapped.rss),
        "how much of it is in RAM and mapped, from smaps"),
    col!(new "pss", "Pss", Bytes, |row| mapped(row, |mapped| mapped.pss),
        "the same, with shared pages divided, from smaps", minor()),
    col!(new "anonymous", "Anonymous", Bytes, |row| mapped(row, |mapped| mapped.anonymous),
        "how much of it is not in a file, from smaps"),
    col!(new "swap", "Swap", Bytes, |row| mapped(row, |mapped| mapped.swap), "how much of it is in swap, from smaps"),
    col!(new "hugetlb", "Hugetlb", Bytes, |row| mapped(row, |mapped| mapped.hugetlb),
        "huge pages of hugetlbfs, which Rss does not count, from smaps"),
    col!(new "cached_bytes", "Cached", Bytes, |row| Cell::bytes(row.observed.figures.cached),
        "how much of the file is in the page cache"),
    col!(new "dirty", "Dirty", Bytes, |row| Cell::bytes(row.observed.figures.dirty),
        "how much of the file is not on the disk yet: dirty, or under writeback; also pages that are not up to date, \
         which Cached does not count", minor(), coloured(Colour::Yellow)),
    col!(new "method", "Method", Text,
        |row| row.observed.figures.method.map_or_else(Cell::Absent, |method| Cell::Word(method.word())),
        "how the page cache was measured", one_of(shared::methods)),
    col!(new "minor_faults", "Minor", Number, |row| Cell::Count(row.observed.minor_faults),
        "page faults of the act that needed no I/O, from getrusage(2)", minor()),
    col!(new "major_faults", "Major", Number, |row| Cell::Count(row.observed.major_faults),
        "page faults of the act that needed I/O", minor()),
    col!(new "microseconds", "Time us", Number, |row| Cell::Count(row.observed.time.as_micros() as u64),
        "how long the act took, in microseconds", minor()),
    col!(new "holds", "Holds", Flag, |row| row.observed.holds().map_or_else(Cell::Absent, Cell::Flag),
        "whether everything is as it must be after the act", least()),
    col!(new "what", "What", Prose, |row| Cell::Remark(Some(row.observed.sentence.as_str())),
        "what the kernel did, and why"),
    col!(new "must", "Must", Prose, |row| must(row), "what must hold after the act, with the figures before"),
    col!(new "difference", "But", Prose, |row| Cell::Remark(row.observed.difference.as_deref()),
        "what does not hold, with the likely cause"),
    col!(new "path", "Path", Text, |row| path(row), "the file, if it has a name", naming()),
    shared::path_bytes(),
    shared::page_size(),
];

fn mapped(row: &ActRow, take: fn(&Mapped) -> Bytes) -> Cell<'_> {
    Cell::bytes(row.observed.figures.of_mapping(take))
}

fn must(row: &ActRow) -> Cell<'_> {
    Cell::Remark(Some(row.must.as_str()).filter(|must| !must.is_empty()))
}

fn path(row: &ActRow) -> Cell<'_> {
    match &row.observed.path {
        Some(path) => Cell::Text(path.as_os_str().as_bytes()),
        None => Cell::Remark(None),
    }
}

/// Carries out experiments and yields a row per act. With several of them, the rows of one act follow each other.
pub struct ActSource {
    /// The experiments.
    pub experiments: Vec<Experiment>,
    /// For the picture of an act that takes long: how many characters it has, and whether they may be other than ASCII.
    pub picture: (usize, bool),
    /// Called before each act but the first.
    pub pause: Option<Pause>,
    /// Whether everything held that must hold.
    pub all_held: bool,
    /// What could not be checked, and why, with the acts after which that was so.
    pub unknown: Vec<(String, Absent, Vec<&'static str>)>,
    /// Whether what does not hold is also reported as a failure, because its row may not be shown.
    pub reports: bool,
    /// Whether the last act was carried out.
    pub is_finished: bool,
    /// Whether the file is kept: then all acts are carried out although the rows cannot be written any more.
    pub is_wanted_alone: bool,
}

/// Waits until the next act may begin.
pub type Pause = Box<dyn FnMut(&str) -> Result<(), Stop>>;

/// How often the picture is drawn anew.
const REDRAW: Duration = Duration::from_millis(200);

/// How often an act has a line in the log, which replaces the picture where it cannot be shown.
const LOG: Duration = Duration::from_secs(1);

impl Source for ActSource {
    type Kind = Acts;

    fn is_live(&self) -> bool {
        true
    }

    fn is_work(&self) -> bool {
        self.is_wanted_alone
    }

    fn read(&mut self, _: &[()], rows: &mut dyn Rows<Acts>) -> Result<(), Stop> {
        let done = self.carry_out(rows);
        // One line for all acts of which that is so.
        for (names, absent, acts) in &self.unknown {
            let subject = Subject::Words(format!("{}: {names} could not be checked", acts.join(", ")));
            rows.failure(Error::absent(subject, *absent));
        }
        done
    }
}

impl ActSource {
    fn carry_out(&mut self, rows: &mut dyn Rows<Acts>) -> Result<(), Stop> {
        let scripts: Vec<Vec<Act>> = self.experiments.iter().map(|experiment| experiment.acts().to_vec()).collect();
        let mut is_first = true;
        for (act, performers) in together(&scripts) {
            if let Some(pause) = self.pause.as_mut().filter(|_| !is_first) {
                pause(act.word())?;
            }
            is_first = false;
            for performer in performers {
                self.perform(act, performer, rows)?;
            }
        }
        self.is_finished = true;
        Ok(())
    }

    fn perform(&mut self, act: Act, performer: usize, rows: &mut dyn Rows<Acts>) -> Result<(), Stop> {
        let (cells, has_unicode) = self.picture;
        let Some(experiment) = self.experiments.get_mut(performer) else { return Ok(()) };
        let (mut drawn, mut logged) = (Instant::now(), Instant::now());
        let observed = experiment.perform(act, |look| {
            if rows.check().is_err() {
                return false;
            }
            if drawn.elapsed() >= REDRAW {
                drawn = Instant::now();
                let (spots, done) = look(cells);
                rows.progress(Progress::Picture(picture(act, done, &spots, has_unicode)));
                if logged.elapsed() >= LOG {
                    logged = Instant::now();
                    let strip = strip(&spots, false);
                    rows.progress(Progress::Log(format!("{} {strip}", so_far(act, done)).trim_end().to_owned()));
                }
            }
            true
        });
        rows.progress(Progress::Done);
        // If the process that acts had to be killed for it, that is the reason.
        rows.check()?;
        let observed = observed?;
        self.all_held &= observed.difference.is_none();
        match &observed.difference {
            Some(difference) if self.reports => {
                let subject = Subject::Words(act.word().to_owned());
                rows.failure(Error::new(subject, ErrorKind::Changed, difference.clone()));
            }
            Some(_) => rows.incomplete(),
            None => {}
        }
        if let Some((names, absent)) = &observed.unknown {
            match self.unknown.iter_mut().find(|(known, why, _)| (known, *why) == (names, *absent)) {
                Some((.., acts)) => acts.push(act.word()),
                None => self.unknown.push((names.clone(), *absent, vec![act.word()])),
            }
        }
        let must = observed.must();
        rows.row(ActRow { observed, must })
    }
}

/// The characters for where the pages of a part are.
const SIGNS: [(Spot, char, char, &str); 6] = [
    (Spot::Empty, '\u{b7}', '.', "not in memory"),
    (Spot::Partly, ':', ':', "partly in memory"),
    (Spot::Unknown, '?', '?', "not known"),
    (Spot::Cached, '\u{2591}', '-', "cached"),
    (Spot::Mapped, '\u{2592}', '+', "mapped in"),
    (Spot::Dirty, '\u{2588}', '#', "mapped in and dirty"),
];

/// A line with where the pages are, and two that explain it.
fn picture(act: Act, done: Bytes, spots: &[Spot], has_unicode: bool) -> String {
    let sign = |unicode: char, ascii: char| if has_unicode { unicode } else { ascii };
    let strip = strip(spots, has_unicode);
    let legend = |signs: &[(Spot, char, char, &str)]| {
        let signs = signs.iter().filter(|(spot, ..)| *spot != Spot::Unknown || spots.contains(spot));
        let signs = signs.map(|(_, one, other, words)| format!("{} {words}", sign(*one, *other)));
        signs.collect::<Vec<_>>().join("  ")
    };
    let (absent, present) = SIGNS.split_at(3);
    format!("{strip}\n{}   {}\n{}", so_far(act, done), legend(absent), legend(present))
}

/// How much of an act is done; many acts are one system call, of which that is not known.
fn so_far(act: Act, done: Bytes) -> String {
    match done {
        Bytes(0) => format!("{}: under way", act.word()),
        done => format!("{}: {} done", act.word(), Human(done)),
    }
}

fn strip(spots: &[Spot], has_unicode: bool) -> String {
    let sign_of = |spot: &Spot| SIGNS.iter().find(|(of, ..)| of == spot);
    let signs = spots.iter().filter_map(sign_of);
    signs.map(|(_, unicode, ascii, _)| if has_unicode { *unicode } else { *ascii }).collect()
}

/// The acts of several scripts in one order, each with the scripts that it belongs to. An act that several scripts have
/// at their turn is carried out for all of them before the next one.
fn together(scripts: &[Vec<Act>]) -> Vec<(Act, Vec<usize>)> {
    let mut rest: Vec<&[Act]> = scripts.iter().map(Vec::as_slice).collect();
    let mut order = Vec::new();
    loop {
        let next: Vec<(usize, Act)> =
            rest.iter().enumerate().filter_map(|(script, acts)| acts.first().map(|act| (script, *act))).collect();
        // First what no other script will come to.
        let is_awaited = |(script, act): &&(usize, Act)| {
            rest.iter()
                .enumerate()
                .any(|(other, acts)| other != *script && acts.iter().skip(1).any(|later| later == act))
        };
        let Some((_, act)) = next.iter().find(|next| !is_awaited(next)).or(next.first()).copied() else { return order };
        let performers: Vec<usize> = next.iter().filter(|(_, own)| *own == act).map(|(script, _)| *script).collect();
        for performer in &performers {
            if let Some(acts) = rest.get_mut(*performer) {
                *acts = acts.get(1..).unwrap_or_default();
            }
        }
        order.push((act, performers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_of_two_scripts_are_carried_out_together() {
        use Act::{Create, Fill, Fork, Map, Msync, Munmap};
        let order = together(&[vec![Create, Map, Fill, Msync, Munmap], vec![Map, Fill, Fork, Munmap]]);
        let wanted: Vec<(Act, Vec<usize>)> = vec![
            (Create, vec![0]),
            (Map, vec![0, 1]),
            (Fill, vec![0, 1]),
            (Msync, vec![0]),
            (Fork, vec![1]),
            (Munmap, vec![0, 1]),
        ];
        assert_eq!(order, wanted);
    }
}
