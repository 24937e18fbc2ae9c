//! Bytes of a plan or an export into a tree that remembers where each value stands.
//!
//! TOML, YAML and JSON become the same [`Node`]s. What a value means is not known here.
//!
//! Invariants
//! - RD1: no bytes make it panic, recurse deeper than [`DEPTH_MAX`] or build more than
//!   [`NODES_MAX`] values;
//! - RD2: a key that stands twice, an alias that contains itself and a text that is not UTF-8 are
//!   errors, never a guess.

mod json;
pub mod shape;
mod suggest;
#[cfg(test)]
mod tests;
mod toml;
mod value;
mod yaml;

pub use suggest::nearest;
pub use value::{of_value, to_value};

use std::fmt;

/// Longest file that is read, in bytes: a subscription's whole export fits.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Deepest nesting.
pub const DEPTH_MAX: usize = 64;
/// Most values of one file, after YAML aliases are expanded.
pub const NODES_MAX: usize = 1_000_000;

/// A place in a file: line and column from 1, columns counted in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pos {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl Pos {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };

    fn new(line: usize, column: usize) -> Self {
        let short = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Self { line: short(line), column: short(column) }
    }
}

impl fmt::Display for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: Pos,
    /// What it is.
    pub data: Data,
}

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `null`, or nothing after a YAML key.
    Null,
    /// Truth value.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Box<str>),
    /// List.
    List(Vec<Node>),
    /// Keys with values, in the order of the file, no key twice.
    Map(Vec<Entry>),
}

impl Data {
    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a fraction",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a table",
        }
    }
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Box<str>,
    /// Where the key begins.
    pub at: Pos,
    /// The value.
    pub node: Node,
}

impl Node {
    /// A node that stands at `at`.
    pub fn new(at: Pos, data: Data) -> Self {
        Self { at, data }
    }

    /// The value of `key`, where this is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| &*entry.key == key).map(|entry| &entry.node)
    }

    /// The value at the end of `keys`.
    pub fn dig(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Keys and values; none where this is no table.
    pub fn entries(&self) -> &[Entry] {
        if let Data::Map(entries) = &self.data { entries } else { &[] }
    }

    /// Members; none where this is no list.
    pub fn items(&self) -> &[Node] {
        if let Data::List(items) = &self.data { items } else { &[] }
    }

    /// The text, where this is text.
    pub fn text(&self) -> Option<&str> {
        if let Data::Text(text) = &self.data { Some(text) } else { None }
    }

    /// The truth value, where this is one.
    pub fn bool(&self) -> Option<bool> {
        if let Data::Bool(value) = &self.data { Some(*value) } else { None }
    }

    /// The whole number, where this is one.
    pub fn int(&self) -> Option<i64> {
        if let Data::Int(value) = &self.data { Some(*value) } else { None }
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        self.data == Data::Null
    }

    /// Where the value at `path` (`subnets[0].cidr`) stands, or the nearest thing around it that
    /// does exist.
    pub fn locate(&self, path: &str) -> Pos {
        let (mut node, mut at) = (self, self.at);
        for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
            let next = match part.strip_suffix(']').map(str::parse::<usize>) {
                Some(Ok(index)) => node.items().get(index).map(|item| (item.at, item)),
                _ => {
                    let entry = node.entries().iter().find(|entry| &*entry.key == part);
                    entry.map(|entry| (entry.at, &entry.node))
                }
            };
            match next {
                Some((found, below)) => (node, at) = (below, found),
                None => break,
            }
        }
        at
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML 1.1.
    Toml,
    /// YAML 1.2, core schema.
    Yaml,
    /// JSON.
    Json,
}

impl Format {
    /// By the file's name; `None` where the name does not tell.
    pub fn of_name(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// By the first character that is not space.
    pub fn of_text(text: &str) -> Self {
        match text.trim_start_matches('\u{feff}').trim_start().as_bytes().first() {
            Some(b'{') => Self::Json,
            Some(b'[') if text.lines().any(|line| line.contains(" = ")) => Self::Toml,
            Some(b'[') => Self::Json,
            _ if text.lines().any(|line| line.contains(" = ")) => Self::Toml,
            _ => Self::Yaml,
        }
    }
}

/// Why bytes are no tree: where, what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {what}")]
pub struct ReadError {
    /// Where.
    pub at: Pos,
    /// What is wrong, one line.
    pub what: String,
}

impl ReadError {
    pub(crate) fn new(at: Pos, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

/// Reads one document.
///
/// # Errors
/// [`ReadError`] with the first thing that is wrong.
pub fn read(bytes: &[u8], format: Format) -> Result<Node, ReadError> {
    let text = decode(bytes)?;
    match format {
        Format::Toml => toml::read(text),
        Format::Yaml => {
            let mut documents = yaml::read(text)?;
            match (documents.pop(), documents.pop()) {
                (Some(only), None) => Ok(only),
                (None, _) => Err(ReadError::new(Pos::START, "the file is empty")),
                (Some(last), Some(_)) => {
                    let what = "a second document begins here: a plan is one document";
                    Err(ReadError::new(last.at, what))
                }
            }
        }
        Format::Json => json::read(text),
    }
}

/// Reads every document of a YAML stream, or the one of JSON.
///
/// # Errors
/// [`ReadError`] with the first thing that is wrong.
pub fn read_all(bytes: &[u8], format: Format) -> Result<Vec<Node>, ReadError> {
    match format {
        Format::Yaml => yaml::read(decode(bytes)?),
        Format::Toml | Format::Json => Ok(vec![read(bytes, format)?]),
    }
}

fn decode(bytes: &[u8]) -> Result<&str, ReadError> {
    if FILE_BYTES_MAX < bytes.len() {
        let what = format!(
            "the file has {} bytes, limit is {FILE_BYTES_MAX}: export only the cluster and its \
             network",
            bytes.len()
        );
        return Err(ReadError::new(Pos::START, what));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let at = Lines::of(&String::from_utf8_lossy(good)).at(good.len());
        ReadError::new(at, "not UTF-8: save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Byte offsets into lines and columns.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(at, _)| at.saturating_add(1))).collect();
        Self { text, starts }
    }

    fn at(&self, offset: usize) -> Pos {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.as_bytes().get(start..offset).unwrap_or_default();
        // Continuation bytes of UTF-8 are no characters of their own.
        let n_chars = before.iter().filter(|byte| (**byte & 0xc0) != 0x80).count();
        Pos::new(line, n_chars.saturating_add(1))
    }
}

/// Counts values and depth while a tree is built: RD1.
struct Budget {
    n_left: usize,
}

impl Budget {
    fn new() -> Self {
        Self { n_left: NODES_MAX }
    }

    fn spend(&mut self, n_nodes: usize, depth: usize, at: Pos) -> Result<(), ReadError> {
        if DEPTH_MAX < depth {
            let what = format!("nested deeper than {DEPTH_MAX}");
            return Err(ReadError::new(at, what));
        }
        match self.n_left.checked_sub(n_nodes) {
            Some(left) => {
                self.n_left = left;
                Ok(())
            }
            None => Err(ReadError::new(at, format!("more than {NODES_MAX} values"))),
        }
    }
}

/// Where a key stands a second time: RD2. O(n log n).
fn refuse_twins(entries: &[Entry]) -> Result<(), ReadError> {
    let mut keys: Vec<(&str, Pos)> = entries.iter().map(|entry| (&*entry.key, entry.at)).collect();
    keys.sort_unstable();
    let twin = keys.windows(2).find_map(|pair| match pair {
        [(first, _), (second, at)] if first == second => Some((*second, *at)),
        _ => None,
    });
    match twin {
        Some((key, at)) => Err(ReadError::new(at, format!("key `{key}` stands twice: keep one"))),
        None => Ok(()),
    }
}
