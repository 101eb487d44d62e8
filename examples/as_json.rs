//! The mappings of a process that match a filter, as JSON lines.
//!
//! ```text
//! $ cargo run --example as_json 4690 'rss > 1M && kind == file'
//! {"start":"7f0c7e400000","rss":1581056,"path":"/usr/lib/x86_64-linux-gnu/libc.so.6","absent":null}
//! ```

use std::error::Error;
use std::io;
use std::process::ExitCode;

use rmap::query::{Failures, Query, execute};
use rmap::{render, views::mapping::MappingSource};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let pid = arguments.next().ok_or("usage: as_json PID [FILTER]")?.parse()?;
    let mut query = Query::columns(&["start", "rss", "path"]).sort("rss");
    if let Some(filter) = arguments.next() {
        query = query.filter(&filter)?;
    }
    let mut failures = Failures::new();
    execute(&query, &mut MappingSource::of(pid), &mut render::json_lines(io::stdout().lock()), &mut failures)?;
    failures.errors.iter().for_each(|error| eprintln!("as_json: {error}"));
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
