//! How much of each file named is in the page cache.
//!
//! ```text
//! $ cargo run --example cached /usr/bin/*
//! ```

use std::process::ExitCode;

use rmap::pagecache::{Engine, OpenFile};

fn main() -> ExitCode {
    let engine = Engine::detect();
    let mut status = ExitCode::SUCCESS;
    for path in std::env::args_os().skip(1) {
        let file = match OpenFile::open(path.as_ref()) {
            Ok(file) => file,
            Err(error) => {
                eprintln!("cached: {error}");
                status = ExitCode::FAILURE;
                continue;
            }
        };
        let report = engine.measure(&file);
        let name = report.path.display();
        match (report.cached(), report.percent()) {
            (Ok(cached), Ok(percent)) => println!("{percent:5.1} %  {} of {} pages  {name}", cached.0, report.pages.0),
            // An empty file has no share, and some files have no pages in the page cache.
            (Err(absent), _) | (_, Err(absent)) => println!("      -  {absent}  {name}"),
        }
    }
    status
}
