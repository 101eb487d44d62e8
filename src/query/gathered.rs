//! Failures of one kind that many files or processes have: one line for all of them, because thousands of lines would
//! bury everything else.

use crate::error::{Error, ErrorKind, Subject};
use crate::units::counted;

/// Failures by what they say.
#[derive(Default)]
pub(super) struct Gathered(Vec<Group>);

struct Group {
    first: Error,
    count: u64,
}

impl Gathered {
    /// Takes a failure that many others may share; returns any other.
    pub(super) fn take(&mut self, error: Error) -> Option<Error> {
        let is_shared = matches!(error.kind(), ErrorKind::Denied | ErrorKind::Changed);
        if !is_shared || matches!(error.subject(), Subject::Words(_)) {
            return Some(error);
        }
        match self.0.iter_mut().find(|group| group.is_like(&error)) {
            Some(group) => group.count += 1,
            None => self.0.push(Group { first: error, count: 1 }),
        }
        None
    }

    /// A failure for each group, with what all failures of the group say, which is the same in each round.
    pub(super) fn end(self) -> impl Iterator<Item = (String, Error)> {
        self.0.into_iter().map(|group| (group.key(), group.error()))
    }
}

impl Group {
    fn is_like(&self, error: &Error) -> bool {
        let says = |error: &Error| (error.why().to_owned(), error.advice().map(str::to_owned));
        let is_pid = |error: &Error| matches!(error.subject(), Subject::Pid(_));
        is_pid(&self.first) == is_pid(error) && says(&self.first) == says(error)
    }

    fn key(&self) -> String {
        let is_pid = matches!(self.first.subject(), Subject::Pid(_));
        format!("{is_pid} {} {}", self.first.why(), self.first.advice().unwrap_or_default())
    }

    fn error(self) -> Error {
        if self.count == 1 {
            return self.first;
        }
        let (what, example) = match self.first.subject() {
            Subject::Pid(pid) => (counted(self.count, "process", "processes"), format!("pid {pid}")),
            Subject::Path(path) => (format!("{} paths", self.count), path.display().to_string()),
            Subject::Words(words) => (format!("{} times", self.count), words.clone()),
        };
        let why = format!("{} (such as {example})", self.first.why());
        let gathered = Error::new(Subject::Words(what), self.first.kind(), why);
        match self.first.advice() {
            Some(advice) => gathered.with_advice(advice.to_owned()),
            None => gathered,
        }
    }
}
