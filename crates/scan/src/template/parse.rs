//! The grammar of Jinja's statements (Jinja 3.1: `parser.py`), followed token by token, and what
//! variables could be. What is reached for is judged where it is read; what is kept of a value is only what it
//! could be as the name of an attribute.

use std::collections::BTreeMap;

use super::lex::{Part, Token};
use super::names;

/// What a value could be, if it were taken as the name of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// This text.
    Text(String),
    Number,
    /// What came with the messages: a key of theirs.
    Data,
    /// A text that the template puts together.
    Built,
    /// What `namespace()` gives: its fields are known by name.
    Space,
    /// The variable of this name.
    Name(Box<str>),
}

/// What is said about a template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    /// Reaches for what runs code.
    Hostile(String),
    /// Is on no list.
    Unlisted(String),
}

/// Something that the grammar does not allow.
pub(super) struct Malformed;

pub(super) type Parsed = Result<Value, Malformed>;

/// A template that is read.
#[derive(Default)]
pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    pub(super) depth: usize,
    /// What each variable could be; the worst, if it is set twice.
    pub(super) variables: BTreeMap<Box<str>, Value>,
    /// Macros of the template and their parameters.
    pub(super) macros: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// Whether a text that the template puts together may have got into the data.
    pub(super) is_polluted: bool,
    pub(super) found: Vec<Found>,
}

impl Parser {
    /// Reads it twice: what is set later in a loop, or passed to a macro, is known the second time.
    pub(super) fn read(&mut self, parts: &[Part]) -> Result<(), Malformed> {
        self.pass(parts)?;
        self.found.clear();
        self.pass(parts)
    }

    pub(super) fn pass(&mut self, parts: &[Part]) -> Result<(), Malformed> {
        for part in parts {
            let is_print = matches!(part, Part::Print(_));
            let (Part::Print(tokens) | Part::Statement(tokens)) = part;
            (self.tokens, self.at, self.depth) = (tokens.clone(), 0, 0);
            if is_print {
                self.tuple()?;
            } else {
                self.statement()?;
            }
            if self.at != self.tokens.len() {
                return Err(Malformed);
            }
        }
        Ok(())
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at = self.at.saturating_add(1);
        token
    }

    pub(super) fn eat(&mut self, op: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Op(here)) if *here == op);
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(here)) if **here == *word);
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    pub(super) fn expect(&mut self, op: &str) -> Result<(), Malformed> {
        if self.eat(op) { Ok(()) } else { Err(Malformed) }
    }

    pub(super) fn name(&mut self) -> Result<Box<str>, Malformed> {
        match self.next() {
            Some(Token::Name(name)) => Ok(name),
            _ => Err(Malformed),
        }
    }

    pub(super) fn hostile(&mut self, what: impl Into<String>) {
        self.found.push(Found::Hostile(what.into()));
    }

    pub(super) fn unlisted(&mut self, what: impl Into<String>) {
        self.found.push(Found::Unlisted(what.into()));
    }

    pub(super) fn statement(&mut self) -> Result<(), Malformed> {
        let word = self.name()?;
        match &*word {
            "if" | "elif" => self.tuple().map(|_| ()),
            "for" => self.for_loop(),
            "set" => self.set(),
            "macro" => {
                let name = self.name()?;
                self.variable(&name);
                self.expect("(")?;
                let parameters = self.parameters(")")?;
                self.macros.insert(name, parameters);
                Ok(())
            }
            "call" => {
                if self.eat("(") {
                    // Whatever the macro gives back to its caller.
                    for name in self.parameters(")")? {
                        self.assign(name, Value::Built);
                    }
                }
                self.expression().map(|_| ())
            }
            "filter" => {
                let name = self.name()?;
                self.filter_named(&name, &Value::Built).map(|_| ())
            }
            "with" => self.with(),
            "do" => self.tuple().map(|_| ()),
            "block" => {
                while self.at < self.tokens.len() {
                    self.name()?;
                }
                Ok(())
            }
            "autoescape" => self.expression().map(|_| ()),
            "else" | "endif" | "endfor" | "endset" | "endmacro" | "endcall" | "endfilter"
            | "endwith" | "endautoescape" | "break" | "continue" | "generation"
            | "endgeneration" => Ok(()),
            "endblock" => {
                self.at = self.tokens.len();
                Ok(())
            }
            "include" | "import" | "from" | "extends" => {
                self.unlisted(format!("statement `{word}` reads another template"));
                self.at = self.tokens.len();
                Ok(())
            }
            _ => Err(Malformed),
        }
    }

    pub(super) fn targets(&mut self) -> Result<Vec<Box<str>>, Malformed> {
        let mut names = Vec::new();
        let bracket = self.eat("(");
        loop {
            names.push(self.name()?);
            if !self.eat(",") {
                break;
            }
        }
        if bracket {
            self.expect(")")?;
        }
        Ok(names)
    }

    pub(super) fn for_loop(&mut self) -> Result<(), Malformed> {
        let names = self.targets()?;
        if !self.word("in") {
            return Err(Malformed);
        }
        let items = self.tuple_no_condition()?;
        // Items of what came from outside came from outside, too.
        let item = match self.resolved(&items) {
            Value::Data | Value::Number => Value::Data,
            Value::Text(_) | Value::Built | Value::Space | Value::Name(_) => Value::Built,
        };
        for name in names {
            self.assign(name, item.clone());
        }
        if self.word("if") {
            self.expression()?;
        }
        self.word("recursive");
        Ok(())
    }

    pub(super) fn set(&mut self) -> Result<(), Malformed> {
        let name = self.name()?;
        if self.eat(".") {
            let field = self.name()?;
            self.attribute(&field);
            self.expect("=")?;
            let value = self.tuple()?;
            let value = self.resolved(&value);
            let is_space = self.resolved(&Value::Name(name)) == Value::Space;
            self.is_polluted |= !is_space && !is_plain(&value);
            self.assign(format!(".{field}").into(), value);
            return Ok(());
        }
        let mut names = vec![name];
        while self.eat(",") {
            names.push(self.name()?);
        }
        let value = if self.eat("=") {
            let value = self.tuple()?;
            self.resolved(&value)
        } else {
            // A block whose text becomes the value, perhaps through filters.
            while self.eat("|") {
                let filter = self.name()?;
                self.filter_named(&filter, &Value::Built)?;
            }
            Value::Built
        };
        for name in names {
            self.assign(name, value.clone());
        }
        Ok(())
    }

    pub(super) fn with(&mut self) -> Result<(), Malformed> {
        while self.at < self.tokens.len() {
            let name = self.name()?;
            self.expect("=")?;
            let value = self.expression()?;
            let value = self.resolved(&value);
            self.assign(name, value);
            self.eat(",");
        }
        Ok(())
    }

    /// Parameters of a macro: what they could be is what any call passes.
    pub(super) fn parameters(&mut self, close: &str) -> Result<Vec<Box<str>>, Malformed> {
        let mut names = Vec::new();
        while !self.eat(close) {
            let name = self.name()?;
            let value = if self.eat("=") { self.expression()? } else { Value::Data };
            let value = self.resolved(&value);
            names.push(name.clone());
            self.assign(name, value);
            if !self.eat(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(names)
    }

    /// A name that the template gives to something: macros and dictionaries give it back as text.
    pub(super) fn variable(&mut self, name: &str) {
        if name.starts_with("__") || names::is_internal(name.trim_start_matches('_')) {
            self.hostile(format!("names something `{name}`"));
        }
    }

    pub(super) fn assign(&mut self, name: Box<str>, value: Value) {
        self.variable(name.trim_start_matches('.'));
        let worst = match (self.variables.get(&name), value) {
            (None, value) => value,
            (Some(old), value) if *old == value => value,
            // Fields of what is a namespace only at times are not followed.
            (Some(Value::Space), _) | (_, Value::Space) => Value::Built,
            (Some(old), value) if is_plain(old) && is_plain(&value) => Value::Data,
            _ => Value::Built,
        };
        self.variables.insert(name, worst);
    }

    pub(super) fn resolved(&self, value: &Value) -> Value {
        let value = match value {
            // Arguments of a macro that it does not name.
            Value::Name(name) if matches!(&**name, "varargs" | "kwargs") => Value::Built,
            Value::Name(name) => self.variables.get(name).cloned().unwrap_or(Value::Data),
            Value::Text(_) | Value::Number | Value::Data | Value::Built | Value::Space => {
                value.clone()
            }
        };
        if value == Value::Data && self.is_polluted { Value::Built } else { value }
    }

    /// Whether none of these could be a name that the template puts together.
    pub(super) fn are_plain(&self, arguments: &[(Box<str>, Value)]) -> bool {
        arguments.iter().all(|(_, value)| is_plain(&self.resolved(value)))
    }
}

/// Whether a value could not be a name that the template puts together: a plain text is as good as
/// a key of a message.
pub(super) fn is_plain(value: &Value) -> bool {
    match value {
        Value::Number | Value::Data | Value::Space => true,
        Value::Text(text) => !names::is_internal(text) && !names::names_internal(text),
        Value::Built | Value::Name(_) => false,
    }
}
