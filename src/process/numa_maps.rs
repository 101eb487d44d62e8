//! `/proc/PID/numa_maps`: the NUMA policy of each mapping, and how many of its pages are on each node.
//!
//! One line per mapping, written by `show_numa_map` in the kernel's `fs/proc/task_mmu.c`:
//! `7f2c8000 interleave:0-1 anon=12 dirty=12 N0=6 N1=6 kernelpagesize_kB=4`. The line gives the first address but not
//! the last one, and counts pages of the size that it names. The kernel leaves out what is zero, and everything but the
//! policy and the name if no page is present. A shared page counts in every mapping that has it, as in Rss. The zero
//! page, pages of devices and those of the kernel itself (`[vdso]`) count on no node.

use std::io::Read;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::process::failure::{is_gone, read_error};
use crate::process::handle::Process;
use crate::process::mapping::Mappings;
use crate::process::parse_error::ParseError;
use crate::process::pool::Pool;
use crate::process::records::Records;
use crate::units::{Absent, Bytes, Figure, Reason};

/// The lines of `numa_maps`, in the order of their addresses.
#[derive(Debug, Clone)]
pub struct NumaMaps {
    lines: Vec<Line>,
    /// Nodes and amounts of all lines.
    nodes: Vec<(u32, Bytes)>,
    policies: Pool,
}

/// One mapping in `numa_maps`. A view into [`NumaMaps`].
#[derive(Debug, Clone, Copy)]
pub struct NumaMapping<'n> {
    all: &'n NumaMaps,
    line: &'n Line,
}

#[derive(Debug, Clone, Default)]
struct Line {
    start: u64,
    policy: u32,
    nodes: Range<usize>,
    pages: u64,
    page_size: Bytes,
    is_huge: bool,
    max_mapped: u64,
    amounts: [Bytes; 5],
    has_active: bool,
}

/// What `numa_maps` says about the pages of a mapping, apart from their nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumaAmount {
    /// Anonymous pages.
    Anonymous,
    /// Pages that are dirty in the page tables or by themselves.
    Dirty,
    /// Pages that are also in the swap cache.
    SwapCache,
    /// Pages that are not on an inactive list: active or unevictable.
    Active,
    /// Pages that are being written to disk or swap.
    Writeback,
}

impl NumaAmount {
    const KEYS: [&'static [u8]; 5] = [b"anon", b"dirty", b"swapcache", b"active", b"writeback"];
}

const NOT_COUNTED: Absent = Absent::new(Reason::NotApplicable, "the kernel does not count it for hugetlb pages");
const NO_PAGES: Absent = Absent::new(Reason::NotApplicable, "none of its pages is present");

impl<'n> NumaMapping<'n> {
    /// Its policy as the kernel writes it: `default`, `bind:0-1`, `interleave=static:0,2`.
    pub fn policy(&self) -> &'n [u8] {
        self.all.policies.get(self.line.policy).unwrap_or_default()
    }

    /// How much of it is on a node.
    pub fn on_node(&self, node: u32) -> Bytes {
        let nodes = self.all.nodes.get(self.line.nodes.clone()).unwrap_or_default();
        nodes.iter().filter(|(number, _)| *number == node).map(|(_, bytes)| *bytes).sum()
    }

    /// How much of it is on all nodes.
    fn on_nodes(&self) -> Bytes {
        self.all.nodes.get(self.line.nodes.clone()).unwrap_or_default().iter().map(|(_, bytes)| *bytes).sum()
    }

    /// Another amount.
    ///
    /// # Errors
    /// The kernel does not count active pages of hugetlb.
    pub fn amount(&self, what: NumaAmount) -> Figure<Bytes> {
        // It is left out if all pages are active.
        if what == NumaAmount::Active && !self.line.has_active {
            return if self.line.is_huge { Err(NOT_COUNTED) } else { Ok(self.on_nodes()) };
        }
        Ok(self.line.amounts.get(what as usize).copied().unwrap_or_default())
    }

    /// How often the page that is mapped most often is mapped, by any process. 0 if no page is present.
    pub fn max_mapped(&self) -> u64 {
        // 1 is left out.
        self.line.max_mapped.max(u64::from(self.line.pages > 0))
    }

    /// The size of the pages that it is counted in.
    ///
    /// # Errors
    /// The kernel does not name it if no page is present.
    pub fn page_size(&self) -> Figure<Bytes> {
        if self.line.page_size.0 > 0 { Ok(self.line.page_size) } else { Err(NO_PAGES) }
    }

    /// Whether its pages are hugetlb pages.
    pub fn is_huge(&self) -> bool {
        self.line.is_huge
    }
}

impl NumaMaps {
    /// The line at `place`.
    pub fn get(&self, place: usize) -> Option<NumaMapping<'_>> {
        self.lines.get(place).map(|line| NumaMapping { all: self, line })
    }

    /// The nodes that have a page of any mapping, in ascending order.
    pub fn nodes(&self) -> Vec<u32> {
        let mut nodes: Vec<u32> = self.nodes.iter().map(|(node, _)| *node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// The place of the line of each of these mappings of the same process. They were read at another moment: a mapping
    /// has no line if there is none that begins where it does, or if that line has more pages than fit into it.
    pub fn places(&self, mappings: &Mappings) -> Vec<Figure<u32>> {
        let mut lines = (0u32..).zip(&self.lines).peekable();
        let place = |(start, size): (u64, Bytes)| {
            while lines.next_if(|(_, line)| line.start < start).is_some() {}
            let (place, line) = lines.next_if(|(_, line)| line.start == start).ok_or(MOVED)?;
            let fits = NumaMapping { all: self, line }.on_nodes() <= size;
            if fits { Ok(place) } else { Err(MOVED) }
        };
        let listed = |start: u64| if start < KERNEL_ADDRESSES { Ok(start) } else { Err(NOT_LISTED) };
        let mut place = place;
        mappings.iter().map(|mapping| place((listed(mapping.start())?, mapping.size()))).collect()
    }
}

/// No process has addresses this high. x86's `[vsyscall]` is there, and has no line.
const KERNEL_ADDRESSES: u64 = 1 << 63;

const NOT_LISTED: Absent = Absent::new(Reason::NotApplicable, "numa_maps does not list it");
const MOVED: Absent = Absent::new(Reason::Changed, "the mapping changed while it was read");

/// Parses a whole numa_maps text.
///
/// # Errors
/// A line that does not begin with an address above that of the line before, or has no policy; a count that is not a
/// number, or amounts to more than 64 bits; a text that ends within a line. Unknown words are ignored.
pub fn parse_numa_maps(text: &[u8]) -> std::result::Result<NumaMaps, ParseError> {
    let mut maps = NumaMaps { lines: Vec::new(), nodes: Vec::new(), policies: Pool::new() };
    let mut rest = text;
    for number in 1.. {
        if rest.is_empty() {
            break;
        }
        let error = |why: &'static str| ParseError { line: number, why: why.into() };
        let end = memchr::memchr(b'\n', rest).ok_or_else(|| error("the text is truncated: it ends within a line"))?;
        maps.add(rest.get(..end).unwrap_or_default()).map_err(error)?;
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    Ok(maps)
}

impl NumaMaps {
    fn add(&mut self, text: &[u8]) -> std::result::Result<(), &'static str> {
        // The kernel escapes spaces in names.
        let mut words = text.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).peekable();
        let start = words.next().and_then(|word| number(word, 16)).ok_or("it does not begin with an address")?;
        if self.lines.last().is_some_and(|last| last.start >= start) {
            return Err("the addresses are out of order");
        }
        let mut policy = words.next().ok_or("it has no policy")?.to_vec();
        // Two policies have a space in their names.
        let rest_of_name: &[u8] = match &policy[..] {
            b"prefer" => b"(many)",
            b"weighted" => b"interleave",
            _ => b"=",
        };
        if let Some(word) = words.next_if(|word| word.starts_with(rest_of_name)) {
            policy = [&policy, &b" "[..], word].concat();
        }
        let first = self.nodes.len();
        let policy = self.policies.store(&policy).ok_or("the policies take more than 4 GiB")?;
        let mut line = Line { start, policy, nodes: first..first, ..Line::default() };
        let mut pages = Vec::new();
        let mut amounts = [0u64; 5];
        for word in words {
            let Some(equals) = memchr::memchr(b'=', word) else {
                line.is_huge |= word == b"huge";
                continue;
            };
            let (key, value) = (word.get(..equals).unwrap_or_default(), word.get(equals + 1..).unwrap_or_default());
            let count = || number(value, 10).ok_or("a count is not a number");
            match key {
                b"kernelpagesize_kB" => {
                    line.page_size = Bytes::from_kib(count()?).ok_or(TOO_LARGE)?;
                }
                b"mapmax" => line.max_mapped = count()?,
                [b'N', node @ ..] if !node.is_empty() && node.iter().all(u8::is_ascii_digit) => {
                    let node = number(node, 10).and_then(|node| u32::try_from(node).ok());
                    pages.push((node.ok_or("the number of a node is too large")?, count()?));
                }
                key => {
                    let known = NumaAmount::KEYS.iter().position(|known| *known == key);
                    if let Some(amount) = known.and_then(|place| amounts.get_mut(place)) {
                        *amount = count()?;
                        line.has_active |= key == b"active";
                    }
                }
            }
        }
        let has_counts = pages.iter().map(|(_, count)| *count).chain(amounts).any(|count| count > 0);
        if has_counts && line.page_size.0 == 0 {
            return Err("it has pages but not their size (kernelpagesize_kB, new in Linux 3.19)");
        }
        let bytes = |count: u64| count.checked_mul(line.page_size.0).map(Bytes).ok_or(TOO_LARGE);
        for (node, count) in pages {
            line.pages = line.pages.checked_add(count).ok_or(TOO_LARGE)?;
            self.nodes.push((node, bytes(count)?));
        }
        bytes(line.pages)?;
        for (amount, count) in line.amounts.iter_mut().zip(amounts) {
            *amount = bytes(count)?;
        }
        line.nodes = first..self.nodes.len();
        self.lines.push(line);
        Ok(())
    }
}

const TOO_LARGE: &str = "an amount is too large";

/// A number of at most 64 bits that consists only of digits.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    u64::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| is_plain)?, radix).ok()
}

impl Process {
    /// Reads `/proc/PID/numa_maps`. The kernel walks all page tables for it, as for smaps.
    ///
    /// # Errors
    /// As for [`Process::read_smaps`]; [`ErrorKind::Unsupported`]: a kernel without NUMA, or a capture without the
    /// file.
    pub fn read_numa_maps(&self) -> Result<NumaMaps> {
        let opened = self.memory()?.directory.open_file("numa_maps");
        let file = opened.map_err(|error| match is_gone(&error) && (!self.is_live() || self.read_stat().is_ok()) {
            true if self.is_live() => Error::pid(self.pid(), ErrorKind::Unsupported, NO_NUMA).caused_by(&error),
            true => Error::pid(self.pid(), ErrorKind::Unsupported, "the capture has no numa_maps of it"),
            false => self.open_error("numa_maps", &error),
        })?;
        let mut text = Vec::new();
        Records::of(file).read_to_end(&mut text).map_err(|error| read_error(self.pid(), &error))?;
        parse_numa_maps(&text)
            .map_err(|error| Error::pid(self.pid(), ErrorKind::Malformed, format!("invalid numa_maps: {error}")))
    }
}

const NO_NUMA: &str = "this kernel has no numa_maps (it was built without CONFIG_NUMA)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::maps::parse_maps;

    fn parse(text: &str) -> NumaMaps {
        parse_numa_maps(text.as_bytes()).unwrap()
    }

    #[test]
    fn pages_are_counted_in_their_size() {
        let maps = parse(
            "7f0000000000 default anon=3 dirty=2 swapcache=1 active=0 N0=1 N1=2 kernelpagesize_kB=4\n\
             7f0000200000 bind:1 file=/anon_hugepage\\040(deleted) huge anon=5 dirty=5 N1=5 kernelpagesize_kB=2048\n",
        );
        let row = maps.get(0).unwrap();
        assert_eq!([0, 1, 2].map(|node| row.on_node(node).0), [4096, 8192, 0]);
        use NumaAmount::{Active, Anonymous, Dirty, SwapCache, Writeback};
        let amounts = [Anonymous, Dirty, SwapCache, Active, Writeback].map(|what| row.amount(what).unwrap().0);
        assert_eq!(amounts, [12288, 8192, 4096, 0, 0]);
        assert_eq!((row.page_size(), row.max_mapped(), row.is_huge()), (Ok(Bytes(4096)), 1, false));
        let huge = maps.get(1).unwrap();
        assert_eq!((huge.on_node(1), huge.is_huge(), huge.policy()), (Bytes(10 << 20), true, &b"bind:1"[..]));
        assert_eq!(huge.amount(Active), Err(NOT_COUNTED));
        assert_eq!(maps.nodes(), [0, 1]);
    }

    #[test]
    fn active_is_left_out_if_every_page_is() {
        let maps = parse("1000 default file=/a mapped=7 mapmax=90 N0=7 kernelpagesize_kB=4\n2000 default stack\n");
        let (row, empty) = (maps.get(0).unwrap(), maps.get(1).unwrap());
        assert_eq!((row.amount(NumaAmount::Active), row.max_mapped()), (Ok(Bytes(28672)), 90));
        assert_eq!((empty.amount(NumaAmount::Active), empty.max_mapped()), (Ok(Bytes(0)), 0));
        assert_eq!(empty.page_size(), Err(NO_PAGES));
    }

    #[test]
    fn every_policy_is_one_text() {
        for policy in [
            "default",
            "local",
            "prefer:1",
            "bind=static:0-1,3",
            "interleave=relative|balancing:0-1",
            "prefer (many):0-1",
            "weighted interleave:0,2",
        ] {
            let maps = parse(&format!("1000 {policy} heap anon=1 dirty=1 N0=1 kernelpagesize_kB=4\n"));
            let row = maps.get(0).unwrap();
            assert_eq!((row.policy(), row.on_node(0)), (policy.as_bytes(), Bytes(4096)), "{policy}");
        }
    }

    #[test]
    fn a_name_cannot_add_a_count() {
        // The kernel escapes spaces and equals signs.
        let maps = parse("1000 default file=/a\\040N1\\0759 mapped=1 N0=1 kernelpagesize_kB=4 later=x new\n");
        assert_eq!((maps.nodes(), maps.get(0).unwrap().on_node(0)), (vec![0], Bytes(4096)));
    }

    #[test]
    fn other_text_is_rejected() {
        for (text, why) in [
            ("1000 default", "line 1: the text is truncated: it ends within a line"),
            ("x default\n", "line 1: it does not begin with an address"),
            ("1000\n", "line 1: it has no policy"),
            ("1000 default\n1000 default\n", "line 2: the addresses are out of order"),
            ("1000 default anon=x\n", "line 1: a count is not a number"),
            ("1000 default N0=+1 kernelpagesize_kB=4\n", "line 1: a count is not a number"),
            ("1000 default N0=9223372036854775807 kernelpagesize_kB=4\n", "line 1: an amount is too large"),
            ("1000 default N99999999999=1 kernelpagesize_kB=4\n", "line 1: the number of a node is too large"),
        ] {
            assert_eq!(parse_numa_maps(text.as_bytes()).unwrap_err().to_string(), why);
        }
        let unsized_pages = parse_numa_maps(b"1000 default N0=1\n").unwrap_err().to_string();
        assert!(unsized_pages.contains("not their size"), "{unsized_pages}");
    }

    #[test]
    fn a_mapping_that_moved_has_no_line() {
        let mappings = parse_maps(
            b"1000-2000 rw-p 00000000 00:00 0 \n3000-4000 rw-p 00000000 00:00 0 \n5000-6000 rw-p 00000000 00:00 0 \n\
              ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n",
        )
        .unwrap();
        let maps = parse("1000 default\n2000 default\n5000 default N0=2 kernelpagesize_kB=4\n");
        assert_eq!(maps.places(&mappings), [Ok(0), Err(MOVED), Err(MOVED), Err(NOT_LISTED)]);
    }
}
