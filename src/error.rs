//! The one error type of the crate: what is wrong, where, and what to do about it.
//!
//! Every error names its subject (a file, a key, a node, a command-line value), says what was
//! expected, and carries the remedy as help. Where the fault lies in a text file, the error also
//! carries the text and the span, so that the binary can print the offending line.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

/// Result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that names its subject, the problem and the remedy.
pub struct Error(Box<Inner>);

struct Inner {
    subject: String,
    problem: String,
    remedy: Option<String>,
    text: Option<NamedSource<String>>,
    span: Option<Range<usize>>,
}

impl Error {
    /// An error about `subject` (a file, key, node or value); `problem` says what is wrong and
    /// what was expected.
    pub fn new(subject: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self(Box::new(Inner {
            subject: subject.to_string(),
            problem: problem.to_string(),
            remedy: None,
            text: None,
            span: None,
        }))
    }

    /// A failed operation on a file or folder.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::new(path.as_ref().display(), source)
    }

    /// Adds what the user can do about it.
    pub fn remedy(mut self, remedy: impl fmt::Display) -> Self {
        self.0.remedy = Some(remedy.to_string());
        self
    }

    /// Points at the bytes `span` of `text`, the content of the file `name`.
    pub fn at(mut self, name: &str, text: &str, span: Range<usize>) -> Self {
        self.0.text = Some(NamedSource::new(name, text.to_owned()));
        self.0.span = Some(span);
        self
    }

    /// Names the file or folder in which the subject lies.
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        self.0.subject = format!("{place}, {}", self.0.subject);
        self
    }

    /// Whether the error points into a text.
    pub fn has_span(&self) -> bool {
        self.0.span.is_some()
    }

    /// The file, key, node or value at fault.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.subject, self.0.problem)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        match &self.0.remedy {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl Diagnostic for Error {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.remedy.as_ref().map(|r| Box::new(r) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.text.as_ref().map(|t| t as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.0.span.clone()?;
        let label = LabeledSpan::new(Some("here".into()), span.start, span.len());
        Some(Box::new(std::iter::once(label)))
    }
}
