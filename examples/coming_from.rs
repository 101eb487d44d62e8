//! Writes the page `docs/coming-from.md`: `cargo run --example coming_from > docs/coming-from.md`.

fn main() {
    print!("{}", rmap::cli::coming_from_page());
}
