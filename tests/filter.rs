//! `--filter`: which rows it selects, how it reports errors, and that no text can make it panic.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use rmap::table::{Cell, Column, ColumnKind as Kind, Expression, RowKind};
use rmap::units::{Absent, Reason};

/// Rows of this test: a size that may be unknown, a name, a percentage, a flag and an address.
struct Things;

#[derive(Clone, Copy)]
struct Thing {
    size: Option<u64>,
    other: u64,
    name: &'static str,
    flag: bool,
}

impl RowKind for Things {
    type Row = Thing;
    type Need = ();
    const ROWS: &'static str = "things";
    const LARGEST_BY: &'static str = "size";

    fn columns() -> Vec<Column<Things>> {
        TABLE.to_vec()
    }

    fn identity(row: &Thing) -> Vec<u8> {
        row.name.as_bytes().to_vec()
    }
}

const UNKNOWN: Absent = Absent::new(Reason::Denied, "not yours");

type C = Column<Things>;

const TABLE: &[Column<Things>] = &[
    C::sum("size", "", Kind::Bytes, |row, _| row.size.map_or(Cell::Absent(UNKNOWN), Cell::Bytes), ""),
    C::sum("other", "", Kind::Bytes, |row, _| Cell::Bytes(row.other), ""),
    C::new("name", "", Kind::Text, |row, _| Cell::Text(row.name.as_bytes()), ""),
    C::new("share", "", Kind::Percent, |_, _| Cell::Percent(12.5), ""),
    C::new("flag", "", Kind::Flag, |row, _| Cell::Flag(row.flag), ""),
    C::new("start", "", Kind::Address, |_, _| Cell::Address(0x7f00), ""),
    C::new("time", "", Kind::Time, |_, _| Cell::Time(std::time::UNIX_EPOCH), ""),
];

fn holds(text: &str, thing: Thing) -> bool {
    let filter = text.parse::<Expression>().and_then(|expression| expression.over(TABLE));
    filter.unwrap_or_else(|error| panic!("{text}: {error}")).matches(&thing)
}

fn mistake(text: &str) -> (String, String) {
    let error = match text.parse::<Expression>().and_then(|expression| expression.over(TABLE)) {
        Ok(_) => panic!("{text} was understood"),
        Err(error) => error,
    };
    (error.why.clone(), text[error.place].to_owned())
}

const THING: Thing = Thing { size: Some(10 << 20), other: 5, name: "/usr/lib/a (x86).so", flag: true };

#[test]
fn comparisons_depend_on_the_type_of_the_column() {
    for text in [
        "size == 10M",
        "size>=10240K",
        "size < 1G",
        "SIZE != 0",
        "size > other",
        "name =~ ^/usr/",
        "name == '/usr/lib/a (x86).so'",
        "name =~ \"(x86|arm)\"",
        "share > 12 && share <= 12.5%",
        "flag",
        "flag == yes && !(flag == no)",
        "start >= 7f00 && start < 0x7f01",
        "time < 2000-01-01 && time >= 1970-01-01T00:00:00Z",
        "size > 1G || flag && other == 5",
        "!(size > 1G || other != 5)",
    ] {
        assert!(holds(text, THING), "{text}");
    }
    for text in ["size > 10M", "name == /usr", "!flag", "name != '/usr/lib/a (x86).so'", "flag && size == 0"] {
        assert!(!holds(text, THING), "{text}");
    }
}

#[test]
fn an_absent_figure_never_matches() {
    let unknown = Thing { size: None, ..THING };
    for text in ["size > 0", "size == 0", "size != 0", "!(size > 0)", "size < other", "!(size > 0 && flag)"] {
        assert!(!holds(text, unknown), "{text}");
    }
    // The rest of the expression is still known.
    assert!(holds("size > 0 || flag", unknown) && holds("!(size > 0 && !flag)", unknown));
}

#[test]
fn an_error_marks_its_position() {
    for (text, why, place) in [
        ("sizee > 1", "unknown column 'sizee'", "sizee"),
        ("size > 10X && flag", "'size' requires a size", "10X"),
        ("size > ", "expected a value", ""),
        ("(size > 1", "this parenthesis is not closed", "("),
        ("size > 1)", "unexpected here", ")"),
        ("size = 1", "write ==", "="),
        ("size > 1 & flag", "write &&", "&"),
        ("name =~ '[a'", "invalid regular expression", "'[a'"),
        ("name > a", "'name' cannot be ordered", "a"),
        ("size =~ 1", "=~ requires a text column", "1"),
        ("size", "'size' is not a yes/no column", "size"),
        ("name == 'a", "this quote is not closed", "'"),
        ("", "expected a column name", ""),
        ("size > 1 flag", "unexpected here", "flag"),
        ("share > nan", "'share' requires a percentage", "nan"),
    ] {
        let (said, pointed) = mistake(text);
        assert!(said.starts_with(why), "{text}: {said}");
        assert_eq!(pointed, place, "{text}");
    }
}

#[test]
fn the_message_says_where_the_error_is() {
    let error = "flag && sizé > 1".parse::<Expression>().unwrap().over(TABLE).err().unwrap();
    assert!(error.to_string().ends_with(" (at character 9)"), "{error}");
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    for sign in ["(", "!", "!("] {
        let (why, _) = mistake(&sign.repeat(100_000));
        assert!(why.contains("nested too deeply"), "{why}");
    }
}

proptest! {
    #[test]
    fn any_text_is_an_expression_or_an_error_with_a_position(text in ".*") {
        check(&text);
    }

    #[test]
    fn any_sequence_of_tokens_is_an_expression_or_an_error_with_a_position(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "size", "name", "flag", "==", "!=", "<", ">=", "=~", "&&", "||", "!", "(", ")", "10M", "'a b'", "\"",
                "é", "=", "1", "start", "share", "\\", "[",
            ]),
            0..12,
        )
    ) {
        check(&words.join(" "));
        check(&words.concat());
    }
}

fn check(text: &str) {
    match text.parse::<Expression>().and_then(|expression| expression.over(TABLE)) {
        Ok(filter) => {
            filter.matches(&THING);
        }
        Err(error) => {
            assert!(text.get(error.place.clone()).is_some(), "{text}: {:?}", error.place);
            assert!(!error.to_string().is_empty());
        }
    }
}
