//! rmap: where is this memory, page by page, and who holds it?
//!
//! What a process has mapped, and how much of each mapping is in RAM:
//!
//! ```
//! let process = rmap::Process::own()?; // or Process::open(pid)?
//! for mapping in &process.mappings(&["Rss", "Pss"])?.mappings {
//!     let (rss, pss) = (mapping.figure("Rss")?, mapping.figure("Pss")?);
//!     println!("{:12x} {:>10} {:>10} {}", mapping.start(), rss.0, pss.0, mapping.path().escape_ascii());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Which pages of a file are in the page cache:
//!
//! ```
//! use rmap::pagecache::{Engine, OpenFile};
//!
//! let report = Engine::detect().map(&OpenFile::open("/proc/self/exe".as_ref())?);
//! println!("{} of {} pages are cached, says {}", report.cached()?.0, report.pages.0, report.method()?.word());
//! for run in report.runs.expect("a page map was requested")?.iter() {
//!     println!("pages {} to {}", run.first, run.end() - 1);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ([`pagecache::read_file`] is shorter if only the number of pages is of interest.)
//!
//! Both joined: how much of the file behind each mapping is cached, and how much of that the process has mapped in:
//!
//! ```
//! use rmap::{join::{SharedFiles, measure_mappings}, pagecache::Engine, process::Process};
//!
//! let process = Process::own()?;
//! let mappings = process.mappings(&["Rss", "Anonymous"])?.mappings;
//! let caches = measure_mappings(&process, &Engine::detect(), &mappings, &mut SharedFiles::new(false));
//! for (mapping, cache) in mappings.iter().zip(caches) {
//!     let mapped = mapping.figure("Rss")?.saturating_sub(mapping.figure("Anonymous")?);
//!     match cache.and_then(|cache| cache.cached) {
//!         Ok(cached) => println!("{:x}: {} cached, {} mapped in", mapping.start(), cached.0, mapped.0),
//!         Err(absent) => println!("{:x}: {absent}", mapping.start()),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything that the command can show is available as a [`Query`](query::Query): columns, a filter, groups, an order,
//! totals, as JSON or CSV. Only what these columns need is read:
//!
//! ```
//! use rmap::query::{Failures, Query, execute};
//! use rmap::{render, views::mapping::MappingSource};
//!
//! let query = Query::columns(&["start", "rss", "path"]).filter("rss > 64K && kind == file")?.sort("rss").top(10);
//! let (mut json, mut failures) = (Vec::new(), Failures::new());
//! execute(&query, &mut MappingSource::of(std::process::id()), &mut render::json_lines(&mut json), &mut failures)?;
//! print!("{}", String::from_utf8_lossy(&json)); // {"start":"55d0c8a4e000","rss":1302528,"path":...
//! failures.errors.iter().for_each(|error| eprintln!("{error}"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Absent is never zero
//!
//! The first rule of an inspector: a figure that could not be known is [`Absent`](units::Absent), with the reason, from
//! the system call up to `null` in JSON. Zero means zero. A [`Figure`](units::Figure) is a `Result`, so `?` passes the
//! reason on. What cannot be read at all is an [`Error`]: what it is about, why, what to do about it, and the system
//! error as its source. A query continues after a failure, and its [`Host`](query::Host) gets the error.
//!
//! # The rooms of the house
//!
//! `a <- b` reads "b may use a". Nothing points back, and `tests/tidy.rs` enforces it.
//!
//! ```text
//! units <- kernel <- process, pagecache, machine <- join <- control, laboratory <- views <- query <- cli
//! join <- capture <- cli
//! units <- table <- views          table <- render <- query
//! ```
//!
//! * [`units`], [`error`]: bytes, pages, page ranges and runs, figures; the error of the library.
//! * `kernel`: the raw kernel interfaces, and the only `unsafe` of the crate. It is private.
//! * [`process`]: a [`Process`] is opened once, and everything about it is read through the handle.
//! * [`pagecache`]: which pages of a file are in the page cache (`cachestat`, `mincore`).
//! * [`machine`]: facts about the whole machine.
//! * [`join`]: the same page seen from both sides.
//! * `capture`: what all of this reads of a machine, in one archive, behind the default feature `capture`.
//! * [`control`], [`laboratory`]: what changes the machine: warm, evict, lock; memory that rmap makes itself.
//! * [`table`]: columns, cells, filters, groups and totals over rows of any kind.
//! * [`views`]: one file per kind of row, with its columns and its source.
//! * [`render`]: the formats: JSON, JSON lines and CSV; with the feature `cli` also the table for people.
//! * [`query`]: a request as a value, and the one way in which it is carried out.
//! * `cli`: the command line, behind the default feature `cli`.

#[cfg(feature = "capture")]
pub mod capture;
#[cfg(any(test, fuzzing))]
#[path = "../tests/checks/mod.rs"]
pub mod checks;
pub mod control;
pub mod error;
pub mod join;
mod kernel;
pub mod laboratory;
pub mod machine;
pub mod pagecache;
pub mod process;
pub mod query;
pub mod render;
pub mod table;
pub mod units;
pub mod views;

#[cfg(feature = "cli")]
pub mod cli;

pub use error::{Error, Result};
pub use process::Process;
