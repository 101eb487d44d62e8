//! "Did you mean": the known names that are nearest to a mistyped one.

use super::head::ColumnHead;

/// The maximum number of names: more would not be a hint.
const MOST: usize = 3;

/// A shorter text begins too many names.
const SHORTEST_BEGINNING: usize = 3;

/// The known names that `typed` may stand for, the nearest first: it differs from them in at most every third letter,
/// or they begin or end with it.
///
/// ```
/// let columns = ["rss", "pss", "private_clean", "private_dirty"];
/// assert_eq!(rmap::table::nearest("rsss", columns), ["rss"]);
/// assert_eq!(rmap::table::nearest("Private", columns), ["private_clean", "private_dirty"]);
/// assert!(rmap::table::nearest("colour", columns).is_empty());
/// ```
pub fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Vec<&'k str> {
    let typed = typed.to_lowercase();
    let is_long = typed.chars().count() >= SHORTEST_BEGINNING;
    let is_part = |name: &str| is_long && (name.starts_with(&typed) || name.ends_with(&typed));
    ranked(known.into_iter().filter_map(|name| {
        let lower = name.to_lowercase();
        let (distance, is_near) = distance(&typed, &lower);
        (is_near || is_part(&lower)).then_some((distance, name))
    }))
}

/// In how many letters two words in lower case differ, and whether these are few.
fn distance(typed: &str, known: &str) -> (usize, bool) {
    let length = typed.chars().count();
    let most = (length / 3).max(1).min(length.saturating_sub(1));
    let distance = strsim::osa_distance(typed, known);
    (distance, distance <= most)
}

/// The first names by their distances, each once.
fn ranked<'k>(near: impl Iterator<Item = (usize, &'k str)>) -> Vec<&'k str> {
    let mut near: Vec<(usize, &str)> = near.collect();
    // Stable: names that are equally near keep their order.
    near.sort_by_key(|(distance, _)| *distance);
    let mut each: Vec<&str> = Vec::new();
    for (_, name) in near {
        if !each.contains(&name) {
            each.push(name);
        }
    }
    each.truncate(MOST);
    each
}

/// The columns that a mistyped id may stand for, or else a mistyped title, as a question with their ids.
pub(crate) fn column_meant<'h, C>(typed: &str, columns: C) -> Option<String>
where
    C: IntoIterator<Item = &'h ColumnHead, IntoIter: Clone>,
{
    let columns = columns.into_iter();
    let lower = typed.to_lowercase();
    let titled = columns.clone().filter_map(|head| {
        let (distance, is_near) = distance(&lower, &head.title.to_lowercase());
        is_near.then_some((distance, &*head.id))
    });
    did_you_mean(typed, columns.map(|head| &*head.id)).or_else(|| question(&ranked(titled)))
}

/// The nearest names as a question, such as `did you mean 'rss' or 'pss'?`; `None` if no name is near.
pub fn did_you_mean<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    question(&nearest(typed, known))
}

fn question(names: &[&str]) -> Option<String> {
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let (last, first) = names.split_last()?;
    Some(match first {
        [] => format!("did you mean {last}?"),
        first => format!("did you mean {} or {last}?", first.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_is_near_and_another_word_is_not() {
        let known = ["rss", "pss", "mapping", "anonymous", "pid", "shared_dirty"];
        let ask = |typed: &str| did_you_mean(typed, known);
        assert_eq!(ask("rsss").as_deref(), Some("did you mean 'rss'?"));
        assert_eq!(ask("sss").as_deref(), Some("did you mean 'rss' or 'pss'?"));
        assert_eq!(ask("mappnig").as_deref(), Some("did you mean 'mapping'?"));
        assert_eq!(ask("ANON").as_deref(), Some("did you mean 'anonymous'?"));
        assert_eq!(ask("dirty").as_deref(), Some("did you mean 'shared_dirty'?"));
        for other in ["", "x", "xy", "colour", "virtual"] {
            assert_eq!(ask(other), None, "{other}");
        }
    }

    #[test]
    fn only_the_nearest_names_are_given_and_each_once() {
        let known = ["swap_a", "swap_b", "swap", "swap_c", "swap_d", "swap"];
        assert_eq!(nearest("swa", known), ["swap", "swap_a", "swap_b"]);
        assert_eq!(nearest("swp", known), ["swap"]);
    }
}
