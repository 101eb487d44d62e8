//! "Did you mean": the known names that are nearest to a mistyped one.

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
    let length = typed.chars().count();
    let most = (length / 3).max(1).min(length.saturating_sub(1));
    let is_part = |name: &str| length >= SHORTEST_BEGINNING && (name.starts_with(&typed) || name.ends_with(&typed));
    let mut near: Vec<(usize, &str)> = Vec::new();
    for name in known {
        let lower = name.to_lowercase();
        let distance = strsim::osa_distance(&typed, &lower);
        if (distance <= most || is_part(&lower)) && !near.iter().any(|(_, earlier)| *earlier == name) {
            near.push((distance, name));
        }
    }
    // Stable: names that are equally near keep their order.
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// The nearest names as a question, such as `did you mean 'rss' or 'pss'?`; `None` if no name is near.
pub fn did_you_mean<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let names: Vec<String> = nearest(typed, known).into_iter().map(|name| format!("'{name}'")).collect();
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
