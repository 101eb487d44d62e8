//! Feeds arbitrary bytes to the parsers of `/proc/PID/smaps`, `maps` and `status`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rmap::process::{
    Deleted, Fields, MappingKind, Mappings, SmapsParser, Wanted, flags_in_words, parse_maps, parse_smaps, parse_status,
};

fuzz_target!(|text: &[u8]| {
    let mut fields = Fields::new();
    let whole = parse_smaps(text, &mut fields, &Wanted::Everything);
    if let Ok(mappings) = &whole {
        check(mappings, &fields);
    }
    // Split into reads of equal length; the first byte chooses the length.
    let length = 1 + usize::from(text.first().copied().unwrap_or(0)) * 3;
    let mut cut_fields = Fields::new();
    let cut = parse_in_reads(text, length, &mut cut_fields);
    assert_eq!(whole.as_ref().map(Mappings::len), cut.as_ref().map(Mappings::len), "reads of {length} bytes");
    if let (Ok(whole), Ok(cut)) = (&whole, &cut) {
        assert_eq!(rows(whole, &fields), rows(cut, &cut_fields));
    }
    // Unwanted fields are skipped unparsed, so that more texts are accepted, never fewer.
    let some = parse_smaps(text, &mut Fields::new(), &Wanted::Only(vec!["Rss".into()]));
    assert!(whole.is_err() || some.is_ok());
    if let Ok(mappings) = parse_maps(text) {
        check(&mappings, &Fields::new());
    }
    let _ = parse_status(text);
});

fn parse_in_reads(text: &[u8], length: usize, fields: &mut Fields) -> Result<Mappings, rmap::process::ParseError> {
    let wanted = Wanted::Everything;
    let mut parser = SmapsParser::new(fields, &wanted);
    text.chunks(length).try_for_each(|read| parser.feed(read))?;
    parser.finish()
}

fn check(mappings: &Mappings, fields: &Fields) {
    let mut end = 0;
    for mapping in mappings.iter() {
        assert!(mapping.start() < mapping.end() && mapping.start() >= end, "rows overlap");
        end = mapping.end();
        let flags = fields.find(b"VmFlags").and_then(|field| mapping.text(field));
        let _ = (MappingKind::of(&mapping, flags).word(), Deleted::by_name(&mapping));
        flags.into_iter().flat_map(flags_in_words).for_each(|words| assert!(!words.is_empty()));
    }
}

/// Everything that was kept, as text.
fn rows(mappings: &Mappings, fields: &Fields) -> Vec<String> {
    let row = |mapping: rmap::process::Mapping<'_>| {
        let values: Vec<_> = fields
            .in_order()
            .map(|id| (fields.name(id).to_owned(), mapping.bytes(id), mapping.count(id), mapping.text(id)))
            .collect();
        format!("{:x}-{:x} {} {:?} {values:?}", mapping.start(), mapping.end(), mapping.perm(), mapping.path())
    };
    mappings.iter().map(row).collect()
}
