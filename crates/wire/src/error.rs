//! Why bytes make no request: the public error, and the one that grows a path on its way up.

use std::borrow::Cow;

use bartizan_core::RefusalCode;

/// Why a body is no request, or an answer cannot be written.
///
/// The message is for the caller: it names the field, the byte where it helps, the limit and the
/// remedy, and never holds a value or a text of the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WireError {
    /// What the caller is refused with.
    pub code: RefusalCode,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A [`WireError`] on its way up through the fields that contain it.
#[derive(Debug)]
pub(crate) struct Fault {
    code: RefusalCode,
    at: Option<usize>,
    path: String,
    what: Cow<'static, str>,
}

/// Result of reading something. Faults are boxed: they are rare, and results are returned once
/// an element.
pub(crate) type Parsed<T> = Result<T, Box<Fault>>;

impl Fault {
    /// A fault in the field that is being read.
    #[cold]
    pub(crate) fn new(code: RefusalCode, what: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self { code, at: None, path: String::new(), what: what.into() })
    }

    /// A body that is not what JSON or the protocol says, at byte `at`.
    #[cold]
    pub(crate) fn malformed(at: usize, what: impl Into<Cow<'static, str>>) -> Box<Self> {
        let mut fault = Self::new(RefusalCode::Malformed, what);
        fault.at = Some(at);
        fault
    }

    /// The same fault, said of `field` of what is around it; `field` is ours, never the body's.
    #[cold]
    pub(crate) fn within(mut self: Box<Self>, field: &str) -> Box<Self> {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path.insert_str(0, dot);
        self.path.insert_str(0, field);
        self
    }

    /// The same fault, said of a column by its name in the contract.
    #[cold]
    pub(crate) fn in_column(mut self: Box<Self>, name: &str) -> Box<Self> {
        self.what = format!("column `{name}`: {}", self.what).into();
        self
    }

    /// The same fault, said of item `item_idx` of the list around it.
    #[cold]
    pub(crate) fn within_item(self: Box<Self>, item_idx: usize) -> Box<Self> {
        self.within(&format!("[{item_idx}]"))
    }
}

impl From<Box<Fault>> for WireError {
    fn from(fault: Box<Fault>) -> Self {
        let at = fault.at.map(|at| format!("byte {at}")).unwrap_or_default();
        let path = if fault.path.is_empty() { String::new() } else { format!("`{}`", fault.path) };
        let place = match (path.is_empty(), at.is_empty()) {
            (true, true) => String::new(),
            (false, true) => format!("{path}: "),
            (true, false) => format!("{at}: "),
            (false, false) => format!("{path}, {at}: "),
        };
        Self { code: fault.code, message: format!("{place}{}", fault.what) }
    }
}
