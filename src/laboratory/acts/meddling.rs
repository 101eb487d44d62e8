//! What others do to the file of an experiment meanwhile.

use crate::join::who::MapperSearch;
use crate::pagecache::OpenFile;
use crate::process::ProcRoot;
use crate::units::counted;

/// What others have done to the file, as far as that can be known.
#[derive(Debug, Default)]
pub(super) struct Meddling {
    /// How its length was changed, if it was.
    pub(super) length: Option<String>,
    /// The other processes that have pages of it mapped in, in the order of their pids.
    mappers: Vec<u32>,
    /// Whether there may be more of them.
    may_be_more: bool,
    /// Whether what is written goes to a file system that cannot be seen, and the act depends on what it is.
    pub(super) is_layer_unseen: bool,
}

/// How many processes are named at most.
const MOST: usize = 3;

impl Meddling {
    /// The processes that map the file, as a cause; otherwise the other cause, with what may be behind it if not all
    /// processes could be inspected.
    pub(super) fn mappers_or(&self, otherwise: &str) -> String {
        let (first, rest) = self.mappers.split_at(self.mappers.len().min(MOST));
        let pids = first.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        match (first.len(), rest.len()) {
            (0, _) if self.may_be_more => format!("{otherwise}, or a process that rmap may not inspect maps the file"),
            (0, _) => otherwise.to_owned(),
            (1, _) => format!("process {pids} maps the file too"),
            (_, 0) => format!("processes {pids} map the file too"),
            (_, rest) => format!("processes {pids} and {} map the file too", counted(rest as u64, "other", "others")),
        }
    }

    /// The same, with whether what is written goes to a file system that cannot be seen.
    pub(super) fn with_layer(self, is_layer_unseen: bool) -> Meddling {
        Meddling { is_layer_unseen, ..self }
    }

    /// What others than the processes `own` have done to the file, if it could be opened.
    pub(super) fn find(length: Option<String>, file: Option<&OpenFile>, own: &[u32]) -> Meddling {
        let found = Meddling { length, may_be_more: true, ..Meddling::default() };
        let Some(file) = file else { return found };
        let mut mappers = Vec::new();
        let root = ProcRoot::live();
        let searched = MapperSearch::new(&root).each(file, &mut |process, mappings| {
            let is_own = own.contains(&process.pid());
            if !is_own && !process.read_pages_of(&mappings.proven, file.page_size())?.is_empty() {
                mappers.push(process.pid());
            }
            Ok(())
        });
        let may_be_more = !searched.is_ok_and(|unseen| unseen.processes == 0 && !unseen.is_blind);
        Meddling { mappers, may_be_more, ..found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_maps_the_file_is_named() {
        let said = |mappers: &[u32], may_be_more| {
            Meddling { mappers: mappers.to_vec(), may_be_more, ..Meddling::default() }.mappers_or("of chance")
        };
        assert_eq!(said(&[], false), "of chance");
        assert_eq!(said(&[], true), "of chance, or a process that rmap may not inspect maps the file");
        assert_eq!(said(&[7], true), "process 7 maps the file too");
        assert_eq!(said(&[7, 8], false), "processes 7, 8 map the file too");
        assert_eq!(said(&[7, 8, 9, 10], false), "processes 7, 8, 9 and 1 other map the file too");
    }
}
