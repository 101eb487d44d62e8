//! The acts of an experiment, the kinds of memory, and which acts make sense for which kind, in which order.

use crate::error::{Error, ErrorKind, Result, Subject};

/// What the experiment does with memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// A file is created.
    Create,
    /// It is mapped, or memory without a file is.
    Map,
    /// One byte is read.
    Touch,
    /// The first quarter is filled.
    Quarter,
    /// The first half is.
    Half,
    /// All of it is.
    Fill,
    /// `msync(2)`
    Msync,
    /// `madvise(2)` with `MADV_DONTNEED`
    DontNeed,
    /// One byte of each page is read.
    Read,
    /// A second process maps the same file and reads it.
    Second,
    /// The process is forked.
    Fork,
    /// `mremap(2)` to another address
    Mremap,
    /// `munmap(2)`
    Munmap,
    /// `posix_fadvise(2)` with `POSIX_FADV_DONTNEED`
    Evict,
    /// The name of the file is removed.
    Unlink,
    /// `malloc(3)` of many small blocks
    Small,
    /// `malloc(3)` of one large block
    Large,
    /// `free(3)` of all blocks but the last
    Keep,
    /// `malloc_trim(3)`
    Trim,
    /// `free(3)` of everything that is left
    Free,
}

impl Act {
    /// All acts, and the names that they are called by.
    pub const ALL: [(Act, &'static [&'static str]); 20] = [
        (Act::Create, &["create"]),
        (Act::Map, &["map", "mmap"]),
        (Act::Touch, &["touch"]),
        (Act::Quarter, &["quarter"]),
        (Act::Half, &["half"]),
        (Act::Fill, &["fill"]),
        (Act::Msync, &["msync"]),
        (Act::DontNeed, &["dontneed", "madvise"]),
        (Act::Read, &["read"]),
        (Act::Second, &["second"]),
        (Act::Fork, &["fork"]),
        (Act::Mremap, &["mremap"]),
        (Act::Munmap, &["munmap", "unmap"]),
        (Act::Evict, &["evict", "fadvise"]),
        (Act::Unlink, &["unlink"]),
        (Act::Small, &["small"]),
        (Act::Large, &["large"]),
        (Act::Keep, &["keep"]),
        (Act::Trim, &["trim"]),
        (Act::Free, &["free"]),
    ];

    /// Its name.
    pub fn word(self) -> &'static str {
        let names = Act::ALL.iter().find(|(act, _)| *act == self).map(|(_, names)| *names);
        names.and_then(<[_]>::first).copied().unwrap_or_default()
    }

    /// Which part of the memory is filled, in percent; `None` if it is not about filling.
    pub(super) fn part(self) -> Option<u64> {
        match self {
            Act::Quarter => Some(25),
            Act::Half => Some(50),
            Act::Fill => Some(100),
            _ => None,
        }
    }
}

/// A kind of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A file, mapped with `MAP_SHARED`.
    Shared,
    /// A file, mapped with `MAP_PRIVATE`.
    Private,
    /// Private memory without a file.
    Anon,
    /// Memory of the allocator of the C library.
    Heap,
    /// Shared memory without a file.
    Shmem,
    /// A file in memory, without a name: `memfd_create(2)`.
    Memfd,
    /// Huge pages: `MAP_HUGETLB`.
    Hugetlb,
    /// The stack.
    Stack,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 8] =
        [Kind::Shared, Kind::Private, Kind::Anon, Kind::Heap, Kind::Shmem, Kind::Memfd, Kind::Hugetlb, Kind::Stack];

    /// Its name.
    pub fn word(self) -> &'static str {
        self.words().0
    }

    /// What it is, in a few words.
    pub fn about(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Kind::Shared => ("shared", "A file, mapped with MAP_SHARED"),
            Kind::Private => ("private", "A file, mapped with MAP_PRIVATE: copy on write"),
            Kind::Anon => ("anon", "Private memory without a file"),
            Kind::Heap => ("heap", "Memory of malloc: brk beside mmap, and what free gives back"),
            Kind::Shmem => ("shmem", "Shared memory without a file"),
            Kind::Memfd => ("memfd", "A file that exists only in memory"),
            Kind::Hugetlb => ("hugetlb", "Huge pages (they must be reserved: sysctl vm.nr_hugepages)"),
            Kind::Stack => ("stack", "The stack"),
        }
    }

    /// Whether it has a file with a name.
    pub fn has_name(self) -> bool {
        matches!(self, Kind::Shared | Kind::Private)
    }

    /// Whether its pages are those of a file, so that the page cache has them.
    pub fn is_shared(self) -> bool {
        matches!(self, Kind::Shared | Kind::Shmem | Kind::Memfd)
    }

    /// The script for `all`.
    pub fn acts(self) -> &'static [Act] {
        use Act::{
            Create, DontNeed, Evict, Fill, Fork, Free, Half, Keep, Large, Map, Mremap, Msync, Munmap, Quarter, Read,
            Second, Small, Touch, Trim, Unlink,
        };
        match self {
            Kind::Shared => &[
                Create, Map, Touch, Quarter, Half, Fill, Msync, DontNeed, Read, Second, Fork, Mremap, Munmap, Evict,
                Map, Read, Unlink,
            ],
            Kind::Private => {
                &[Create, Map, Touch, Quarter, Half, Fill, Fork, DontNeed, Read, Second, Mremap, Munmap, Evict]
            }
            Kind::Anon => &[Map, Touch, Quarter, Half, Fill, Fork, DontNeed, Read, Mremap, Munmap],
            Kind::Heap => &[Small, Fill, Keep, Trim, Free, Large, Fill, Free],
            Kind::Shmem => &[Map, Touch, Quarter, Half, Fill, DontNeed, Read, Fork, Mremap, Munmap],
            Kind::Memfd => {
                &[Create, Map, Touch, Quarter, Half, Fill, Msync, DontNeed, Read, Second, Fork, Mremap, Munmap, Evict]
            }
            Kind::Hugetlb => &[Map, Touch, Quarter, Half, Fill, DontNeed, Munmap],
            Kind::Stack => &[Touch, Quarter, Half, Fill, DontNeed, Read],
        }
    }

    /// The names of the acts that have a meaning for it.
    fn names(self) -> String {
        let acts = Act::ALL.iter().filter(|(act, _)| self.takes(*act)).map(|(act, _)| act.word());
        acts.collect::<Vec<_>>().join(", ")
    }

    /// Whether an act has a meaning for it.
    fn takes(self, act: Act) -> bool {
        let is_private_file = self == Kind::Private;
        self.acts().contains(&act) || (is_private_file && matches!(act, Act::Msync | Act::Unlink))
    }
}

/// The acts of a list that have a meaning for this kind of memory, for a list that is also meant for another kind.
///
/// # Errors
/// As [`parse_acts`], except that an act without a meaning is left out if it has one for `other`; also if none is left.
pub fn parse_shared_acts(list: &str, kind: Kind, other: Kind) -> Result<Vec<Act>> {
    let is_other = |name: &str| {
        let act = Act::ALL.iter().find(|(_, names)| names.contains(&name)).map(|(act, _)| *act);
        act.is_some_and(|act| !kind.takes(act) && other.takes(act))
    };
    let names: Vec<&str> = list.split(',').map(str::trim).filter(|name| !is_other(name)).collect();
    if names.is_empty() {
        let why = format!("no act of the list has a meaning for {}, only for {}", kind.word(), other.word());
        return Err(refused(why).with_advice(format!("add some of {}", kind.names())));
    }
    parse_acts(&names.join(","), kind)
}

/// The acts that a list names: `all`, or names separated by commas.
///
/// # Errors
/// [`ErrorKind::Refused`]: an act that is unknown, that has no meaning for this kind of memory, or that needs another
/// one before it.
pub fn parse_acts(list: &str, kind: Kind) -> Result<Vec<Act>> {
    let mut acts = Vec::new();
    for name in list.split(',').map(str::trim) {
        match Act::ALL.iter().find(|(_, names)| names.contains(&name)) {
            Some((act, _)) => acts.push(*act),
            None if name == "all" => acts.extend(kind.acts()),
            None => {
                return Err(refused(format!("unknown act '{name}'"))
                    .with_advice(format!("use all, or some of {}", kind.names())));
            }
        }
    }
    check(&acts, kind)?;
    Ok(acts)
}

/// What exists at one point of a script.
struct State {
    file: bool,
    name: bool,
    mapping: bool,
    blocks: Blocks,
}

/// Which blocks of the heap are allocated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blocks {
    None,
    Small,
    Large,
    /// All but the last are free.
    One,
}

/// Whether each act is possible when its turn comes.
fn check(acts: &[Act], kind: Kind) -> Result<()> {
    let needs_file = kind.takes(Act::Create);
    let mut state = State { file: !needs_file, name: !needs_file, mapping: kind == Kind::Stack, blocks: Blocks::None };
    for act in acts {
        let word = act.word();
        if !kind.takes(*act) {
            return Err(refused(format!("'{word}' has no meaning for --kind {}", kind.word())));
        }
        let missing = |what: &str, before: &str| {
            Err(refused(format!("'{word}' needs {what}")).with_advice(format!("put '{before}' before it")))
        };
        match act {
            Act::Create if state.file => return Err(refused("'create' again: the file exists".to_owned())),
            Act::Create => (state.file, state.name) = (true, true),
            Act::Small | Act::Large if state.blocks != Blocks::None => return missing("an empty heap", "free"),
            Act::Small => state.blocks = Blocks::Small,
            Act::Large => state.blocks = Blocks::Large,
            Act::Free if state.blocks == Blocks::None => return missing("allocated blocks", "small' or 'large"),
            Act::Free => state.blocks = Blocks::None,
            Act::Trim if state.blocks != Blocks::One => return missing("free memory inside the heap", "keep"),
            Act::Trim => {}
            Act::Fill if kind == Kind::Heap && !matches!(state.blocks, Blocks::Small | Blocks::Large) => {
                return missing("allocated blocks", "small' or 'large");
            }
            // Of one large block, all but the last are none.
            Act::Keep if state.blocks != Blocks::Small => return missing("small blocks", "small"),
            Act::Keep => state.blocks = Blocks::One,
            Act::Fill if kind == Kind::Heap => {}
            _ if !state.file => return missing("a file", "create"),
            Act::Map if state.mapping => return missing("that nothing is mapped", "munmap"),
            Act::Map => state.mapping = true,
            Act::Unlink if !state.name => return Err(refused("'unlink' again: the name is gone".to_owned())),
            Act::Unlink => state.name = false,
            Act::Evict => {}
            _ if !state.mapping => return missing("a mapping", "map"),
            Act::Munmap => state.mapping = false,
            _ => {}
        }
    }
    Ok(())
}

fn refused(why: String) -> Error {
    Error::new(Subject::Words("--acts".to_owned()), ErrorKind::Refused, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_makes_sense_and_every_act_has_its_own_names() {
        for kind in Kind::ALL {
            assert_eq!(parse_acts("all", kind).unwrap(), kind.acts(), "{kind:?}");
        }
        let mut names: Vec<&str> = Act::ALL.iter().flat_map(|(_, names)| *names).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn an_act_out_of_place_is_refused_with_what_must_come_before_it() {
        let refusal = |list: &str, kind| parse_acts(list, kind).unwrap_err();
        assert_eq!(refusal("create,touch", Kind::Shared).why(), "'touch' needs a mapping");
        assert_eq!(refusal("create,touch", Kind::Shared).advice(), Some("put 'map' before it"));
        assert_eq!(refusal("map", Kind::Memfd).why(), "'map' needs a file");
        assert_eq!(refusal("map,munmap,fill", Kind::Anon).why(), "'fill' needs a mapping");
        assert_eq!(refusal("map,evict", Kind::Anon).why(), "'evict' has no meaning for --kind anon");
        assert_eq!(refusal("fill", Kind::Heap).why(), "'fill' needs allocated blocks");
        assert_eq!(refusal("small,free,keep", Kind::Heap).why(), "'keep' needs small blocks");
        assert_eq!(refusal("large,keep", Kind::Heap).why(), "'keep' needs small blocks");
        assert_eq!(refusal("small,keep,keep", Kind::Heap).advice(), Some("put 'small' before it"));
        assert_eq!(refusal("small,trim", Kind::Heap).why(), "'trim' needs free memory inside the heap");
        assert_eq!(refusal("small,keep,fill", Kind::Heap).why(), "'fill' needs allocated blocks");
        assert_eq!(refusal("create,map,nothing", Kind::Shared).why(), "unknown act 'nothing'");
        assert!(parse_acts("create,map,munmap,map,unlink,fill", Kind::Shared).is_ok());
    }
}
