//! The ten mappings of a process that hold the most RAM, and whether their figures are all there.
//!
//! ```text
//! $ cargo run --example heaviest 4690
//! ```

use std::error::Error;

use rmap::Process;

fn main() -> Result<(), Box<dyn Error>> {
    let process = match std::env::args().nth(1) {
        Some(pid) => Process::open(pid.parse()?)?,
        None => Process::own()?,
    };
    let read = process.mappings(&["Rss", "Swap"])?;
    let mut mappings: Vec<_> = read.mappings.iter().collect();
    // Mappings whose Rss is absent come first: they may be the heaviest.
    mappings.sort_by_key(|mapping| mapping.figure("Rss").map_or(0, |rss| u64::MAX - rss.0));
    println!("{:>12} {:>12}  mapping of pid {}", "Rss", "Swap", process.pid());
    for mapping in mappings.iter().take(10) {
        let [rss, swap] = ["Rss", "Swap"].map(|name| match mapping.figure(name) {
            Ok(bytes) => bytes.0.to_string(),
            Err(absent) => absent.reason.word().to_owned(),
        });
        let name = if mapping.path().is_empty() { b"[anon]" } else { mapping.path() };
        println!("{rss:>12} {swap:>12}  {}", name.escape_ascii());
    }
    let changed = read.mappings.changed();
    if changed > 0 {
        println!("{changed} mappings changed while they were read and may be missing");
    }
    Ok(())
}
