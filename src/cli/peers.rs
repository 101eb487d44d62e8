//! Rewrites the arguments of pcstat users into a form that clap can parse.

use std::ffi::OsString;

use super::pcstat::PcstatArgs;
use super::run::Run;

/// pcstat's options, which can also be written with one dash.
const PCSTAT_OPTIONS: [&str; 10] =
    ["-json", "-pps", "-terse", "-nohdr", "-bname", "-histo", "-pid", "-sort", "-plain", "-unicode"];

/// Rewrites pcstat's arguments: `-json` becomes `--json`, and `--sort` takes the next word only if it is the name of a
/// column (`size` is a column, `./size` is a file). Otherwise files are sorted by their cached pages.
pub(super) fn understand(arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_none_or(|word| word != "pcstat") {
        return arguments;
    }
    let mut options_end = false;
    let mut understood: Vec<OsString> = Vec::with_capacity(arguments.len());
    let mut words = arguments.into_iter().peekable();
    while let Some(word) = words.next() {
        options_end |= word == "--";
        let text = word.to_str().filter(|_| !options_end).unwrap_or_default().to_owned();
        match text.as_str() {
            "--sort" | "-sort" => {
                let column = words.next_if(|next| next.to_str().is_some_and(is_sort_column));
                let column = column.unwrap_or_else(|| OsString::from("cached"));
                understood.push([OsString::from("--sort="), column].into_iter().collect());
            }
            text if PCSTAT_OPTIONS.contains(&text) => understood.push(OsString::from(format!("-{text}"))),
            _ => understood.push(word),
        }
    }
    understood
}

/// Whether a word is a column of one of pcstat's tables.
fn is_sort_column(word: &str) -> bool {
    let name = word.strip_prefix('-').unwrap_or(word);
    PcstatArgs::ROWS.iter().any(|rows| rows.heads().iter().any(|head| head.id == rows.id_of(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(words: &[&str]) -> Vec<String> {
        let words = words.iter().map(OsString::from).collect();
        understand(words).into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn pcstat_options_can_be_written_with_one_dash() {
        assert_eq!(understood(&["rmap", "pcstat", "-json", "-pps", "x"]), ["rmap", "pcstat", "--json", "--pps", "x"]);
        assert_eq!(understood(&["rmap", "pcstat", "--", "-json"]), ["rmap", "pcstat", "--", "-json"]);
        assert_eq!(understood(&["rmap", "pid", "-json"]), ["rmap", "pid", "-json"]);
    }

    #[test]
    fn sort_takes_a_column_but_not_a_file() {
        assert_eq!(understood(&["rmap", "pcstat", "--sort", "size", "x"]), ["rmap", "pcstat", "--sort=size", "x"]);
        assert_eq!(understood(&["rmap", "pcstat", "--sort", "files", "x"]), ["rmap", "pcstat", "--sort=files", "x"]);
        assert_eq!(understood(&["rmap", "pcstat", "--sort", "state", "x"]), ["rmap", "pcstat", "--sort=state", "x"]);
        assert_eq!(understood(&["rmap", "pcstat", "--sort", "big.db"]), ["rmap", "pcstat", "--sort=cached", "big.db"]);
        assert_eq!(understood(&["rmap", "pcstat", "--sort", "./size"]), ["rmap", "pcstat", "--sort=cached", "./size"]);
    }
}
