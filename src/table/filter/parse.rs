//! The grammar of `--filter`: parses text into a tree of names and words. `bind` resolves the names.

use std::ops::Range;
use std::str::FromStr;

use super::{FilterError, Operator};

/// How deep parentheses and negations may nest: more than anybody needs, and few enough for any stack.
const DEEPEST: usize = 64;

/// The parsed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    pub(super) text: String,
    pub(super) root: Part,
}

/// One part of the parsed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Compare(Word, Operator, Word),
    Is(Word),
    Not(Box<Part>),
    All(Vec<Part>),
    Any(Vec<Part>),
}

/// A name or a value, and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) place: Range<usize>,
    pub(super) quoted: bool,
}

impl Expression {
    /// The names of the columns that it uses, in lower case.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.root.each_word(&mut |word| names.push(word.text.to_ascii_lowercase()));
        names
    }

    /// The same with these names of columns.
    #[must_use]
    pub fn named(mut self, name: impl Fn(&str) -> String) -> Expression {
        self.root.each_name(&mut |word| word.text = name(&word.text));
        self
    }
}

impl Part {
    /// Calls `each` with every word that names a column.
    fn each_word(&self, each: &mut dyn FnMut(&Word)) {
        match self {
            Part::Compare(column, ..) | Part::Is(column) => each(column),
            Part::Not(inner) => inner.each_word(each),
            Part::All(parts) | Part::Any(parts) => parts.iter().for_each(|part| part.each_word(each)),
        }
    }

    /// The same for changing them.
    fn each_name(&mut self, each: &mut dyn FnMut(&mut Word)) {
        match self {
            Part::Compare(column, ..) | Part::Is(column) => each(column),
            Part::Not(inner) => inner.each_name(each),
            Part::All(parts) | Part::Any(parts) => parts.iter_mut().for_each(|part| part.each_name(each)),
        }
    }
}

impl FromStr for Expression {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Expression, FilterError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let root = parser.any()?;
        match parser.next()? {
            (Token::End, _) => Ok(Expression { text: text.to_owned(), root }),
            (_, place) => Err(parser.error(place, "unexpected here; combine comparisons with && or ||")),
        }
    }
}

enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Operator(Operator),
    Word(Word),
    End,
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

type MakeToken = fn() -> Token;

/// The signs, the longer ones first.
const SIGNS: [(&str, MakeToken); 12] = [
    ("&&", || Token::And),
    ("||", || Token::Or),
    ("==", || Token::Operator(Operator::Equal)),
    ("!=", || Token::Operator(Operator::Unequal)),
    ("<=", || Token::Operator(Operator::LessOrEqual)),
    (">=", || Token::Operator(Operator::GreaterOrEqual)),
    ("=~", || Token::Operator(Operator::Matches)),
    ("<", || Token::Operator(Operator::Less)),
    (">", || Token::Operator(Operator::Greater)),
    ("!", || Token::Not),
    ("(", || Token::Open),
    (")", || Token::Close),
];

impl Parser<'_> {
    /// `ALL || ALL ...`
    fn any(&mut self) -> Result<Part, FilterError> {
        let mut parts = vec![self.all()?];
        while self.takes(|token| matches!(token, Token::Or))? {
            parts.push(self.all()?);
        }
        Ok(single(parts, Part::Any))
    }

    /// `TERM && TERM ...`
    fn all(&mut self) -> Result<Part, FilterError> {
        let mut parts = vec![self.term()?];
        while self.takes(|token| matches!(token, Token::And))? {
            parts.push(self.term()?);
        }
        Ok(single(parts, Part::All))
    }

    /// `!TERM`, `( ANY )`, `COLUMN`, or `COLUMN OPERATOR VALUE`.
    fn term(&mut self) -> Result<Part, FilterError> {
        match self.next()? {
            (Token::Not, place) => {
                self.deeper(&place)?;
                let inner = self.term()?;
                self.depth -= 1;
                Ok(Part::Not(Box::new(inner)))
            }
            (Token::Open, place) => {
                self.deeper(&place)?;
                let inner = self.any()?;
                self.depth -= 1;
                match self.next()? {
                    (Token::Close, _) => Ok(inner),
                    (Token::End, _) => Err(self.error(place, "this parenthesis is not closed")),
                    (_, place) => Err(self.error(place, "expected a closing parenthesis, && or ||")),
                }
            }
            (Token::Word(column), _) => self.comparison(column),
            (_, place) => Err(self.error(place, "expected a column name")),
        }
    }

    fn comparison(&mut self, column: Word) -> Result<Part, FilterError> {
        let before = self.at;
        let (Token::Operator(operator), _) = self.next()? else {
            self.at = before;
            return Ok(Part::Is(column));
        };
        match self.next()? {
            (Token::Word(value), _) => Ok(Part::Compare(column, operator, value)),
            (_, place) => Err(self.error(place, "expected a value; quote it if it contains any of ()&|!<>=")),
        }
    }

    /// Takes the next token if it is the expected one.
    fn takes(&mut self, is_it: impl Fn(&Token) -> bool) -> Result<bool, FilterError> {
        let before = self.at;
        let taken = is_it(&self.next()?.0);
        if !taken {
            self.at = before;
        }
        Ok(taken)
    }

    fn deeper(&mut self, place: &Range<usize>) -> Result<(), FilterError> {
        self.depth += 1;
        match self.depth > DEEPEST {
            true => Err(self.error(place.clone(), "nested too deeply")),
            false => Ok(()),
        }
    }

    /// The next token and its place.
    fn next(&mut self) -> Result<(Token, Range<usize>), FilterError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let start = self.at + (rest.len() - rest.trim_start().len());
        let rest = rest.trim_start();
        self.at = start;
        let Some(first) = rest.chars().next() else { return Ok((Token::End, start..start)) };
        for (sign, token) in &SIGNS {
            if rest.starts_with(sign) {
                self.at = start + sign.len();
                return Ok((token(), start..self.at));
            }
        }
        match first {
            '\'' | '"' => self.quoted(start, first, rest),
            '=' | '&' | '|' => Err(self.error(start..start + 1, &format!("write {first}{first}"))),
            _ => Ok(self.bare(start, rest)),
        }
    }

    /// A word up to a blank or a sign.
    fn bare(&mut self, start: usize, rest: &str) -> (Token, Range<usize>) {
        let ends = |letter: char| letter.is_whitespace() || "()&|!<>=\"'".contains(letter);
        let length = rest.find(ends).unwrap_or(rest.len());
        let text = rest.get(..length).unwrap_or_default().to_owned();
        self.at = start + length;
        (Token::Word(Word { text, place: start..self.at, quoted: false }), start..self.at)
    }

    /// Text in quotes. A backslash escapes a quote of the same kind; before anything else it is kept, because regular
    /// expressions often contain backslashes.
    fn quoted(&mut self, start: usize, quote: char, rest: &str) -> Result<(Token, Range<usize>), FilterError> {
        let mut text = String::new();
        let mut letters = rest.char_indices().skip(1).peekable();
        while let Some((place, letter)) = letters.next() {
            match letter {
                '\\' if letters.peek().is_some_and(|(_, next)| *next == quote) => {
                    letters.next();
                    text.push(quote);
                }
                _ if letter == quote => {
                    self.at = start + place + 1;
                    return Ok((Token::Word(Word { text, place: start..self.at, quoted: true }), start..self.at));
                }
                _ => text.push(letter),
            }
        }
        Err(self.error(start..start + 1, "this quote is not closed"))
    }

    fn error(&self, place: Range<usize>, why: &str) -> FilterError {
        FilterError { text: self.text.to_owned(), place, why: why.to_owned() }
    }
}

fn single(mut parts: Vec<Part>, join: fn(Vec<Part>) -> Part) -> Part {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            join(parts)
        }
    }
}
