//! Failures of one kind that many files or processes have: one line for all of them, because thousands of lines would
//! bury everything else.

use crate::error::{Error, ErrorKind, Subject};

/// Failures by what they say.
#[derive(Default)]
pub(super) struct Gathered(Vec<Group>);

struct Group {
    things: Things,
    first: Error,
    count: u64,
}

/// What failures of one group are about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Things {
    Processes,
    Paths,
}

impl Things {
    /// The word for several of them.
    fn word(self) -> &'static str {
        match self {
            Things::Processes => "processes",
            Things::Paths => "paths",
        }
    }
}

impl Gathered {
    /// Takes a failure that many others may share; returns any other.
    pub(super) fn take(&mut self, error: Error) -> Option<Error> {
        let things = match error.subject() {
            _ if !matches!(error.kind(), ErrorKind::Denied | ErrorKind::Changed) => return Some(error),
            Subject::Pid(_) | Subject::Process(..) => Things::Processes,
            Subject::Path(_) => Things::Paths,
            Subject::Words(_) => return Some(error),
        };
        match self.0.iter_mut().find(|group| group.things == things && says(&group.first) == says(&error)) {
            Some(group) => group.count += 1,
            None => self.0.push(Group { things, first: error, count: 1 }),
        }
        None
    }

    /// A failure for each group, with what all failures of the group say, which is the same in each round.
    pub(super) fn end(self) -> impl Iterator<Item = (String, Error)> {
        self.0.into_iter().map(|group| (group.key(), group.error()))
    }
}

impl Group {
    fn key(&self) -> String {
        let (why, advice) = says(&self.first);
        format!("{} {why} {}", self.things.word(), advice.unwrap_or_default())
    }

    fn error(self) -> Error {
        if self.count == 1 {
            return self.first;
        }
        let (why, advice) = says(&self.first);
        let what = format!("{} {}", self.count, self.things.word());
        let why = format!("{why} (such as {})", self.first.subject());
        let gathered = Error::new(Subject::Words(what), self.first.kind(), why);
        match advice {
            Some(advice) => gathered.with_advice(advice.to_owned()),
            None => gathered,
        }
    }
}

/// What a failure says, whatever it is about.
fn says(error: &Error) -> (&str, Option<&str>) {
    (error.why(), error.advice())
}
