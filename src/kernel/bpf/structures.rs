//! The kernel's description of its structures (BTF), cut down to what the programs use.
//!
//! A kernel describes some 150,000 types. The loader compares the few that the programs name with each of them, once
//! per program, and keeps them all in memory: 60 ms and 20 MB on 6.18, of which one pass over the description leaves 5
//! ms. Behind a pointer nothing is kept, because a program never needs to know what another structure's pointer leads
//! to: it names that structure itself.
//!
//! The format is documented in the kernel's `Documentation/bpf/btf.rst`.

use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;
const HEADER: usize = 24;

const INTEGER: u32 = 1;
const POINTER: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FORWARD: u32 = 7;
const TYPEDEF: u32 = 8;
const RESTRICT: u32 = 11;
const FUNCTION: u32 = 12;
const FUNCTION_TYPE: u32 = 13;
const VARIABLE: u32 = 14;
const SECTION: u32 = 15;
const FLOAT: u32 = 16;
const TAG: u32 = 17;
const TYPE_TAG: u32 = 18;
const ENUM64: u32 = 19;

/// What a type of one kind consists of, after its name, its kind and its size (or the type that it refers to).
struct Shape {
    /// The number of further words.
    words: usize,
    /// The number of words of one member.
    step: usize,
    /// Which of these is a name.
    name: Option<usize>,
    /// Which of these are types.
    types: &'static [usize],
    /// Whether the third word of all is a type.
    refers: bool,
}

impl Shape {
    /// The shape of a kind with `count` members; `None` for a kind that this code does not know.
    fn of(kind: u32, count: usize) -> Option<Shape> {
        let (words, step, name, types): (usize, usize, Option<usize>, &[usize]) = match kind {
            INTEGER | VARIABLE | TAG => (1, 1, None, &[]),
            ARRAY => (3, 3, None, &[0, 1]),
            STRUCT | UNION => (3 * count, 3, Some(0), &[1]),
            ENUM => (2 * count, 2, Some(0), &[]),
            ENUM64 => (3 * count, 3, Some(0), &[]),
            FUNCTION_TYPE => (2 * count, 2, Some(0), &[1]),
            SECTION => (3 * count, 3, None, &[0]),
            POINTER | FORWARD | TYPEDEF..=FUNCTION | FLOAT | TYPE_TAG => (0, 1, None, &[]),
            _ => return None,
        };
        Some(Shape { words, step, name, types, refers: matches!(kind, TYPEDEF..=RESTRICT | TYPE_TAG) })
    }

    /// Whether a word of the type, the first of all being number 0, is a name.
    fn is_name(&self, word: usize) -> bool {
        word == 0 || word >= 3 && self.name == Some((word - 3) % self.step)
    }

    /// Whether it is the number of a type that is kept with this one.
    fn is_type(&self, word: usize) -> bool {
        word == 2 && self.refers || word >= 3 && self.types.contains(&((word - 3) % self.step))
    }
}

/// A description as words, and where its names are.
struct Description<'b> {
    types: &'b [u8],
    names: &'b [u8],
    /// The position of each type, in units of 32 bits; the first type is number 1.
    places: Vec<usize>,
}

impl<'b> Description<'b> {
    fn parse(whole: &'b [u8]) -> Option<Description<'b>> {
        let at = |place: usize| Some(u32::from_ne_bytes(whole.get(place..place + 4)?.try_into().ok()?) as usize);
        if whole.get(..2)? != MAGIC.to_ne_bytes() {
            return None;
        }
        let body = whole.get(at(4)?..)?;
        let types = body.get(at(8)?..)?.get(..at(12)?)?;
        let names = body.get(at(16)?..)?.get(..at(20)?)?;
        let mut found = Description { types, names, places: vec![0] };
        let mut place = 0;
        while place * 4 < types.len() {
            found.places.push(place);
            let (kind, count) = found.kind(place)?;
            place += 3 + Shape::of(kind, count)?.words;
        }
        // A type without a name has the name at offset 0, which is empty.
        (place * 4 == types.len() && names.first() == Some(&0)).then_some(found)
    }

    fn word(&self, place: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(self.types.get(place * 4..place * 4 + 4)?.try_into().ok()?))
    }

    /// The kind of the type at a place, and the number of its members.
    fn kind(&self, place: usize) -> Option<(u32, usize)> {
        let info = self.word(place + 1)?;
        Some((info >> 24 & 0x1f, (info & 0xffff) as usize))
    }

    fn name(&self, offset: u32) -> Option<&'b [u8]> {
        let rest = self.names.get(offset as usize..)?;
        rest.get(..memchr::memchr(0, rest)?)
    }

    /// The numbers of the types that have one of these names, and of all types inside them, in ascending order.
    fn reach(&self, wanted: &[&str]) -> Option<Vec<usize>> {
        let mut is_kept = vec![false; self.places.len()];
        let mut open = Vec::new();
        for (number, place) in self.places.iter().enumerate().skip(1) {
            let (kind, _) = self.kind(*place)?;
            let is_named = matches!(kind, STRUCT | UNION | ENUM | TYPEDEF | ENUM64);
            if is_named
                && self.name(self.word(*place)?).is_some_and(|name| wanted.iter().any(|one| one.as_bytes() == name))
            {
                open.push(number);
            }
        }
        while let Some(number) = open.pop() {
            let Some(is_kept) = is_kept.get_mut(number).filter(|is_kept| !**is_kept && number > 0) else { continue };
            *is_kept = true;
            let place = *self.places.get(number)?;
            let (kind, count) = self.kind(place)?;
            let shape = Shape::of(kind, count)?;
            for word in (0..3 + shape.words).filter(|word| shape.is_type(*word)) {
                open.push(self.word(place + word)? as usize);
            }
        }
        Some((1..is_kept.len()).filter(|number| is_kept.get(*number) == Some(&true)).collect())
    }

    /// A description of these types alone, in the same order. What they point to has no type.
    fn only(&self, kept: &[usize]) -> Option<Vec<u8>> {
        let new: HashMap<u32, u32> = (1..).zip(kept).map(|(new, old)| (*old as u32, new)).collect();
        let (mut types, mut names) = (Vec::new(), vec![0]);
        for number in kept {
            let place = *self.places.get(*number)?;
            let (kind, count) = self.kind(place)?;
            let shape = Shape::of(kind, count)?;
            for word in 0..3 + shape.words {
                let value = self.word(place + word)?;
                let value = match () {
                    () if shape.is_name(word) && value == 0 => 0,
                    () if shape.is_name(word) => {
                        let new = names.len() as u32;
                        names.extend_from_slice(self.name(value)?);
                        names.push(0);
                        new
                    }
                    () if shape.is_type(word) => new.get(&value).copied().unwrap_or(0),
                    () if word == 2 && kind == POINTER => 0,
                    () => value,
                };
                types.extend_from_slice(&value.to_ne_bytes());
            }
        }
        let mut whole = Vec::with_capacity(HEADER + types.len() + names.len());
        whole.extend_from_slice(&MAGIC.to_ne_bytes());
        whole.extend_from_slice(&[1, 0]);
        let (types_long, names_long) = (types.len() as u32, names.len() as u32);
        for word in [HEADER as u32, 0, types_long, types_long, names_long] {
            whole.extend_from_slice(&word.to_ne_bytes());
        }
        Some([whole, types, names].concat())
    }
}

/// The description of the types with these names and of what is inside them; `None` if `whole` is not a description
/// that this code knows.
pub(in crate::kernel) fn cut(whole: &[u8], wanted: &[&str]) -> Option<Vec<u8>> {
    let whole = Description::parse(whole)?;
    whole.only(&whole.reach(wanted)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(types: &[u32], names: &[u8]) -> Vec<u8> {
        let long = types.len() as u32 * 4;
        let head = [HEADER as u32, 0, long, long, names.len() as u32];
        let words = head.iter().chain(types).flat_map(|word| word.to_ne_bytes());
        MAGIC.to_ne_bytes().into_iter().chain([1, 0]).chain(words).chain(names.iter().copied()).collect()
    }

    #[test]
    fn what_is_inside_a_structure_is_kept_and_what_it_points_to_is_not() {
        let kind = |kind: u32, count: u32| kind << 24 | count;
        // int (1); struct other (2); pointer to it (3); typedef number of int (4); struct page with a member of each.
        let whole = [
            &[1, kind(INTEGER, 0), 4, 32][..],
            &[5, kind(STRUCT, 1), 4, 11, 1, 0],
            &[0, kind(POINTER, 0), 2],
            &[13, kind(TYPEDEF, 0), 1],
            &[20, kind(STRUCT, 2), 16, 11, 3, 0, 13, 4, 64],
        ]
        .concat();
        let names = b"\0int\0other\0x\0number\0page\0";
        // int becomes 1, the pointer 2, number 3.
        let expected = [
            &[1, kind(INTEGER, 0), 4, 32][..],
            &[0, kind(POINTER, 0), 0],
            &[5, kind(TYPEDEF, 0), 1],
            &[12, kind(STRUCT, 2), 16, 17, 2, 0, 19, 3, 64],
        ]
        .concat();
        let cut = cut(&described(&whole, names), &["page"]).unwrap();
        assert_eq!(cut, described(&expected, b"\0int\0number\0page\0x\0number\0"));
    }

    #[test]
    fn what_is_no_description_is_not_cut() {
        assert_eq!(cut(b"", &["page"]), None);
        assert_eq!(cut(&[0; 64], &["page"]), None);
        let unknown = described(&[0, 31 << 24, 0], b"\0");
        assert_eq!(cut(&unknown, &["page"]), None);
        let beyond = described(&[0, STRUCT << 24 | 9, 0], b"\0");
        assert_eq!(cut(&beyond, &["page"]), None);
        // A type without a name is not one of the first name.
        let named = described(&[0, INTEGER << 24, 4, 32], b"page\0");
        assert_eq!(cut(&named, &["page"]), None);
    }
}
