//! The dictionary of smaps keys: their names, units and order, as the kernel writes them.
//!
//! The parser fills it. If several processes share one, a [`FieldId`] means the same key in all of them. Nothing
//! depends on the kernel version: a key of a future kernel is one more entry. It holds no figures.

/// A key of smaps (`Rss`, `VmFlags`), as its number in one [`Fields`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(u32);

/// What the values of a key are, decided by its first value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldUnit {
    /// A number that the kernel writes in `kB` (of 1024 bytes), kept in bytes.
    Bytes,
    /// A bare number: `THPeligible`, `ProtectionKey`.
    Count,
    /// Anything else: `VmFlags`.
    Text,
}

/// Which keys a parser keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Every key that the kernel writes.
    Everything,
    /// These, by their kernel names (`Rss`) in any mix of cases. The values of others are skipped, but their keys are
    /// still entered in the dictionary.
    Only(Vec<String>),
}

/// The keys that have been read so far.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    entries: Vec<Entry>,
    order: Vec<FieldId>,
}

#[derive(Debug, Clone)]
struct Entry {
    /// The name and its colon, as a line begins.
    prefix: Box<str>,
    key: Box<str>,
    unit: FieldUnit,
}

/// Far more keys than any kernel writes (24 on 6.18), and few enough that a hostile capture cannot make lookups slow.
pub(super) const MOST_KEYS: usize = 256;

impl FieldId {
    /// The key with this number. No mapping has a value for a number that is not in the dictionary.
    pub fn from_number(number: u32) -> FieldId {
        FieldId(number)
    }

    /// Its number in its dictionary.
    pub fn number(self) -> u32 {
        self.0
    }

    /// Its place in arrays indexed by field.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

impl Wanted {
    /// Whether the key called `name` is kept.
    pub fn keeps(&self, name: &str) -> bool {
        match self {
            Wanted::Everything => true,
            Wanted::Only(names) => names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)),
        }
    }
}

impl Fields {
    /// An empty dictionary.
    pub fn new() -> Fields {
        Fields::default()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The key called `name`: an exact match if there is one, otherwise in any mix of cases (`rss`).
    pub fn find(&self, name: &[u8]) -> Option<FieldId> {
        self.find_exact(name).or_else(|| self.position(|entry| entry.name().as_bytes().eq_ignore_ascii_case(name)))
    }

    /// All keys in the kernel's order. A key that was first read later comes after the one that it followed.
    pub fn in_order(&self) -> impl Iterator<Item = FieldId> + '_ {
        self.order.iter().copied()
    }

    /// The kernel's own spelling of a key (`Pss_Dirty`): printable ASCII. Empty for a key of another dictionary.
    pub fn name(&self, id: FieldId) -> &str {
        self.entries.get(id.index()).map_or("", Entry::name)
    }

    /// The key in lower case (`pss_dirty`), as machine formats name it.
    pub fn key(&self, id: FieldId) -> &str {
        self.entries.get(id.index()).map_or("", |entry| &entry.key)
    }

    /// What its values are.
    pub fn unit(&self, id: FieldId) -> FieldUnit {
        self.entries.get(id.index()).map_or(FieldUnit::Text, |entry| entry.unit)
    }

    /// The key called exactly `name`.
    pub(super) fn find_exact(&self, name: &[u8]) -> Option<FieldId> {
        self.position(|entry| entry.name().as_bytes() == name)
    }

    /// All keys, in the order in which they were numbered.
    pub(super) fn numbered(&self) -> impl Iterator<Item = FieldId> + use<> {
        (0..self.entries.len() as u32).map(FieldId)
    }

    /// What follows `NAME:`, if the line begins with that.
    pub(super) fn value_in<'l>(&self, id: FieldId, line: &'l [u8]) -> Option<&'l [u8]> {
        line.strip_prefix(self.entries.get(id.index())?.prefix.as_bytes())
    }

    /// Enters a new key after `previous`, or before all others. None if there are already [`MOST_KEYS`].
    pub(super) fn enter(&mut self, name: &str, unit: FieldUnit, previous: Option<FieldId>) -> Option<FieldId> {
        if self.entries.len() >= MOST_KEYS {
            return None;
        }
        let id = FieldId(self.entries.len() as u32);
        let place = previous.and_then(|before| self.order.iter().position(|seen| *seen == before));
        self.order.insert(place.map_or(0, |place| place + 1), id);
        self.entries.push(Entry {
            prefix: format!("{name}:").into(),
            key: name.to_ascii_lowercase().into_boxed_str(),
            unit,
        });
        Some(id)
    }

    fn position(&self, is_it: impl Fn(&Entry) -> bool) -> Option<FieldId> {
        self.entries.iter().position(is_it).map(|index| FieldId(index as u32))
    }
}

impl Entry {
    fn name(&self) -> &str {
        self.prefix.strip_suffix(':').unwrap_or(&self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_first_read_later_comes_after_the_one_it_followed() {
        let mut fields = Fields::new();
        let size = fields.enter("Size", FieldUnit::Bytes, None);
        let flags = fields.enter("VmFlags", FieldUnit::Text, size);
        let key = fields.enter("ProtectionKey", FieldUnit::Count, size);
        let order: Vec<_> = fields.in_order().map(|id| fields.name(id)).collect();
        assert_eq!(order, ["Size", "ProtectionKey", "VmFlags"]);
        assert_eq!(fields.find(b"VmFlags"), flags);
        assert_eq!(fields.find(b"protectionkey"), key);
        assert_eq!(fields.find(b"Rss"), None);
        assert_eq!(fields.key(key.unwrap()), "protectionkey");
        assert_eq!(fields.unit(key.unwrap()), FieldUnit::Count);
    }

    #[test]
    fn the_kernels_spelling_wins_over_another_case() {
        let mut fields = Fields::new();
        let lower = fields.enter("rss", FieldUnit::Bytes, None);
        let kernel = fields.enter("Rss", FieldUnit::Bytes, lower);
        assert_eq!(fields.find(b"Rss"), kernel);
        assert_eq!(fields.find(b"rss"), lower);
    }

    #[test]
    fn the_dictionary_is_bounded() {
        let mut fields = Fields::new();
        for number in 0..MOST_KEYS {
            assert!(fields.enter(&format!("K{number}"), FieldUnit::Count, None).is_some());
        }
        assert!(fields.enter("One", FieldUnit::Count, None).is_none());
    }

    #[test]
    fn wanted_names_match_in_any_case() {
        let wanted = Wanted::Only(vec!["rss".into(), "VmFlags".into()]);
        assert!(wanted.keeps("Rss") && wanted.keeps("VmFlags") && !wanted.keeps("Pss"));
        assert!(Wanted::Everything.keeps("anything"));
    }
}
