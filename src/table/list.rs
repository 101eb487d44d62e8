//! Lists of columns as users write them (`-o`).

/// The value of `-o`: a list that replaces the default columns, or `+LIST`, which adds to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnList {
    /// The names, in the order in which they were typed.
    pub ids: Vec<String>,
    /// Whether they come after the default columns.
    pub adds: bool,
}

impl std::str::FromStr for ColumnList {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        ColumnList::as_typed(text).map(|list| list.named(|word| word.to_ascii_lowercase()))
    }
}

impl ColumnList {
    /// The list that `text` is, with its words in upper and lower case as they were typed.
    pub(crate) fn as_typed(text: &str) -> std::result::Result<Self, String> {
        let (adds, list) = match text.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut columns = ColumnList { ids: Vec::new(), adds };
        for id in list.split(',').map(|id| id.trim().to_owned()) {
            if id.is_empty() {
                return Err("empty column name: write one comma between two names".to_owned());
            }
            if id.starts_with('+') {
                let plain: Vec<&str> = list.split(',').map(|id| id.trim().trim_start_matches('+')).collect();
                return Err(format!("put one + before the whole list: +{}", plain.join(",")));
            }
            columns.push(id);
        }
        Ok(columns)
    }

    /// The same list with these names for its words, without duplicates.
    pub(crate) fn named(self, name: impl Fn(&str) -> String) -> ColumnList {
        let mut list = ColumnList { ids: Vec::new(), adds: self.adds };
        self.ids.iter().for_each(|word| list.push(name(word)));
        list
    }

    /// These columns without duplicates, instead of the default columns.
    pub fn of(ids: &[&str]) -> ColumnList {
        let mut list = ColumnList { ids: Vec::new(), adds: false };
        ids.iter().for_each(|id| list.push(id.to_ascii_lowercase()));
        list
    }

    /// Adds a name. A column that is named twice is shown once, because JSON cannot have the same key twice.
    fn push(&mut self, id: String) {
        if !self.ids.contains(&id) {
            self.ids.push(id);
        }
    }

    /// The columns to show, given the default columns.
    pub fn over(&self, default: &[String]) -> Vec<String> {
        if !self.adds {
            return self.ids.clone();
        }
        let mut ids = default.to_vec();
        let added: Vec<String> = self.ids.iter().filter(|id| !default.contains(id)).cloned().collect();
        let place = before_the_name(&ids);
        ids.splice(place..place, added);
        ids
    }
}

/// The columns whose length varies, so that they come last on a line.
const LAST: &[&str] = &["mapping", "name", "path", "filename", "why", "command", "tree", "what", "note"];

/// The position at which columns are added: before the names and remarks at the end, if there are any.
pub(crate) fn before_the_name(ids: &[String]) -> usize {
    ids.iter().rposition(|id| !LAST.contains(&id.as_str())).map_or(0, |place| place + 1)
}
