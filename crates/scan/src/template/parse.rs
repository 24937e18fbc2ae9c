//! The grammar of Jinja's expressions and statements (Jinja 3.1: `parser.py`), followed token by
//! token. What is reached for is judged where it is read; what is kept of a value is only what it
//! could be as the name of an attribute.

use std::collections::BTreeMap;

use super::lex::{Part, Token};
use super::names;

/// Most brackets and operators inside each other.
const DEPTH_MAX: usize = 60;

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

type Parsed = Result<Value, Malformed>;

/// A template that is read.
#[derive(Default)]
pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// What each variable could be; the worst, if it is set twice.
    variables: BTreeMap<Box<str>, Value>,
    /// Macros of the template and their parameters.
    macros: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// Whether a text that the template puts together may have got into the data.
    is_polluted: bool,
    pub(super) found: Vec<Found>,
}

impl Parser {
    /// Reads it twice: what is set later in a loop, or passed to a macro, is known the second time.
    pub(super) fn read(&mut self, parts: &[Part]) -> Result<(), Malformed> {
        self.pass(parts)?;
        self.found.clear();
        self.pass(parts)
    }

    fn pass(&mut self, parts: &[Part]) -> Result<(), Malformed> {
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

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at = self.at.saturating_add(1);
        token
    }

    fn eat(&mut self, op: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Op(here)) if *here == op);
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(here)) if **here == *word);
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    fn expect(&mut self, op: &str) -> Result<(), Malformed> {
        if self.eat(op) { Ok(()) } else { Err(Malformed) }
    }

    fn name(&mut self) -> Result<Box<str>, Malformed> {
        match self.next() {
            Some(Token::Name(name)) => Ok(name),
            _ => Err(Malformed),
        }
    }

    fn hostile(&mut self, what: impl Into<String>) {
        self.found.push(Found::Hostile(what.into()));
    }

    fn unlisted(&mut self, what: impl Into<String>) {
        self.found.push(Found::Unlisted(what.into()));
    }

    fn statement(&mut self) -> Result<(), Malformed> {
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

    fn targets(&mut self) -> Result<Vec<Box<str>>, Malformed> {
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

    fn for_loop(&mut self) -> Result<(), Malformed> {
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

    fn set(&mut self) -> Result<(), Malformed> {
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

    fn with(&mut self) -> Result<(), Malformed> {
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
    fn parameters(&mut self, close: &str) -> Result<Vec<Box<str>>, Malformed> {
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
    fn variable(&mut self, name: &str) {
        if name.starts_with("__") || names::is_internal(name.trim_start_matches('_')) {
            self.hostile(format!("names something `{name}`"));
        }
    }

    fn assign(&mut self, name: Box<str>, value: Value) {
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

    fn resolved(&self, value: &Value) -> Value {
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
    fn are_plain(&self, arguments: &[(Box<str>, Value)]) -> bool {
        arguments.iter().all(|(_, value)| is_plain(&self.resolved(value)))
    }

    /// An expression, or several with commas.
    fn tuple(&mut self) -> Parsed {
        let first = self.expression()?;
        if !matches!(self.peek(), Some(Token::Op(","))) {
            return Ok(first);
        }
        while self.eat(",") {
            if self.at < self.tokens.len() {
                self.expression()?;
            }
        }
        Ok(Value::Built)
    }

    fn tuple_no_condition(&mut self) -> Parsed {
        self.or()
    }

    fn expression(&mut self) -> Parsed {
        self.depth = self.depth.saturating_add(1);
        if DEPTH_MAX < self.depth {
            return Err(Malformed);
        }
        let mut value = self.or()?;
        while self.word("if") {
            self.or()?;
            if self.word("else") {
                let other = self.expression()?;
                value = self.either(value, other);
            }
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(value)
    }

    fn either(&self, one: Value, other: Value) -> Value {
        let (one, other) = (self.resolved(&one), self.resolved(&other));
        match (&one, &other) {
            _ if one == other => one,
            (Value::Number | Value::Data, Value::Number | Value::Data) => Value::Data,
            _ => Value::Built,
        }
    }

    fn or(&mut self) -> Parsed {
        let mut value = self.not()?;
        while self.word("or") || self.word("and") {
            let other = self.not()?;
            value = self.either(value, other);
        }
        Ok(value)
    }

    fn not(&mut self) -> Parsed {
        let mut negated = false;
        while self.word("not") {
            negated = true;
        }
        let value = self.compare()?;
        Ok(if negated { Value::Number } else { value })
    }

    fn compare(&mut self) -> Parsed {
        let mut value = self.arithmetic()?;
        loop {
            let start = self.at;
            let is_op = ["==", "!=", "<=", ">=", "<", ">"].iter().any(|op| self.eat(op));
            let is_in = !is_op && (self.word("in") || self.word("not") && self.word("in"));
            if !is_op && !is_in {
                self.at = start;
                return Ok(value);
            }
            self.arithmetic()?;
            value = Value::Number;
        }
    }

    /// `+ - ~ * / // % **`, all on one level: what comes out does not depend on the order.
    fn arithmetic(&mut self) -> Parsed {
        let mut value = self.unary()?;
        loop {
            let Some(op) =
                ["+", "-", "~", "**", "*", "//", "/", "%"].into_iter().find(|op| self.eat(op))
            else {
                return Ok(value);
            };
            let other = self.unary()?;
            let (one, other) = (self.resolved(&value), self.resolved(&other));
            value = match (op, one, other) {
                ("-" | "/" | "//" | "**", ..) => Value::Number,
                ("+" | "~", Value::Text(one), Value::Text(other)) => {
                    let joined = one + &other;
                    self.constant(&joined);
                    Value::Text(joined)
                }
                ("+" | "*" | "%", Value::Number | Value::Data, Value::Number | Value::Data) => {
                    Value::Number
                }
                _ => Value::Built,
            };
        }
    }

    fn unary(&mut self) -> Parsed {
        let mut signed = false;
        while self.eat("-") || self.eat("+") {
            signed = true;
        }
        let first = self.primary()?;
        let value = self.postfix(first)?;
        Ok(if signed { Value::Number } else { value })
    }

    fn primary(&mut self) -> Parsed {
        match self.next().ok_or(Malformed)? {
            Token::Number => Ok(Value::Number),
            Token::Text(first) => {
                let mut text = String::from(first);
                while let Some(Token::Text(more)) = self.peek() {
                    text.push_str(more);
                    self.at = self.at.saturating_add(1);
                }
                self.constant(&text);
                Ok(Value::Text(text))
            }
            Token::Name(name) => match &*name {
                "true" | "false" | "none" | "True" | "False" | "None" => Ok(Value::Number),
                _ => {
                    if names::is_internal(&name) || names::is_code(&name) {
                        self.hostile(format!("uses `{name}`"));
                    }
                    Ok(Value::Name(name))
                }
            },
            Token::Op("(") => {
                if self.eat(")") {
                    return Ok(Value::Built);
                }
                let mut value = self.expression()?;
                while self.eat(",") {
                    value = Value::Built;
                    if !matches!(self.peek(), Some(Token::Op(")"))) {
                        self.expression()?;
                    }
                }
                self.expect(")")?;
                Ok(value)
            }
            Token::Op("[") => {
                while !self.eat("]") {
                    self.expression()?;
                    if !self.eat(",") {
                        self.expect("]")?;
                        break;
                    }
                }
                Ok(Value::Built)
            }
            Token::Op("{") => {
                while !self.eat("}") {
                    self.expression()?;
                    self.expect(":")?;
                    self.expression()?;
                    if !self.eat(",") {
                        self.expect("}")?;
                        break;
                    }
                }
                Ok(Value::Built)
            }
            Token::Op(_) => Err(Malformed),
        }
    }

    fn postfix(&mut self, value: Value) -> Parsed {
        let mut value = value;
        loop {
            if self.eat(".") {
                match self.next() {
                    Some(Token::Name(name)) => value = self.member(&value, &name)?,
                    Some(Token::Number) => value = Value::Data,
                    _ => return Err(Malformed),
                }
            } else if self.eat("[") {
                value = self.subscript(&value)?;
            } else if self.eat("(") {
                value = self.call(&value)?;
            } else if self.eat("|") {
                let name = self.name()?;
                value = self.filter_named(&name, &value)?;
            } else if self.word("is") {
                self.test()?;
                value = Value::Number;
            } else {
                return Ok(value);
            }
        }
    }

    fn member(&mut self, of: &Value, name: &str) -> Parsed {
        self.attribute(name);
        if !self.eat("(") {
            return Ok(self.field(of, name));
        }
        if names::is_code(name) {
            self.hostile(format!("calls `{name}`"));
        } else if !names::METHODS.contains(&name) {
            self.unlisted(format!("calls the method `{name}`"));
        }
        let arguments = self.arguments()?;
        let plain = self.are_plain(&arguments);
        if !plain && names::CHANGING.contains(&name) {
            self.is_polluted = true;
        }
        let passes_on = matches!(name, "copy" | "get" | "items" | "keys" | "pop" | "values");
        Ok(if names::NUMBER_METHODS.contains(&name) {
            Value::Number
        } else if passes_on && plain && self.resolved(of) == Value::Data {
            Value::Data
        } else {
            Value::Built
        })
    }

    /// A field of a value, by dot or by a text in brackets.
    fn field(&self, of: &Value, name: &str) -> Value {
        let is_loop = matches!(of, Value::Name(of)
            if &**of == "loop" && !self.variables.contains_key("loop"));
        if is_loop {
            return if names::LOOP_NUMBERS.contains(&name) { Value::Number } else { Value::Built };
        }
        match self.resolved(of) {
            // Fields of a namespace are what the template sets them to.
            Value::Space if self.is_polluted => Value::Built,
            Value::Space => {
                let value = self.variables.get(&*format!(".{name}")).cloned();
                self.resolved(&value.unwrap_or(Value::Number))
            }
            Value::Number | Value::Data => self.resolved(&Value::Data),
            Value::Built | Value::Text(_) | Value::Name(_) => Value::Built,
        }
    }

    fn attribute(&mut self, name: &str) {
        if names::is_internal(name) {
            self.hostile(format!("reaches for the attribute `{name}`"));
        }
    }

    /// A text of the template that names what only attacks need.
    fn constant(&mut self, text: &str) {
        if names::names_internal(text) {
            self.hostile(format!("holds the text `{text}`"));
        }
    }

    fn subscript(&mut self, of: &Value) -> Parsed {
        let mut is_slice = false;
        let mut index = Value::Number;
        loop {
            if self.eat(":") {
                is_slice = true;
            } else if self.eat("]") {
                break;
            } else if self.eat(",") {
                index = Value::Built;
            } else {
                index = self.expression()?;
            }
        }
        let of_data = matches!(self.resolved(of), Value::Data | Value::Number);
        let item = if of_data { Value::Data } else { Value::Built };
        if is_slice {
            return Ok(item);
        }
        match self.resolved(&index) {
            Value::Text(name) => {
                self.attribute(&name);
                return Ok(self.field(of, &name));
            }
            Value::Built | Value::Space => {
                self.unlisted("takes an item whose name it puts together");
            }
            Value::Number | Value::Data | Value::Name(_) => {}
        }
        Ok(item)
    }

    fn call(&mut self, callee: &Value) -> Parsed {
        let Value::Name(name) = callee else {
            self.unlisted("calls what is no function by name");
            self.arguments()?;
            return Ok(Value::Built);
        };
        let is_macro = self.macros.contains_key(name);
        let is_known = names::FUNCTIONS.contains(&&**name) && !self.variables.contains_key(name);
        if names::is_code(name) {
            self.hostile(format!("calls `{name}`"));
        } else if !is_macro && !is_known {
            self.unlisted(format!("calls the function `{name}`"));
        }
        let arguments = self.arguments()?;
        let parameters = self.macros.get(name).cloned().unwrap_or_default();
        for (place, (argument, value)) in arguments.iter().enumerate() {
            let by_place = parameters.get(place).filter(|_| argument.is_empty());
            let parameter = by_place.or(parameters.iter().find(|name| *name == argument));
            if let Some(parameter) = parameter {
                let value = self.resolved(value);
                self.assign(parameter.clone(), value);
            }
        }
        match &**name {
            _ if !is_known => {}
            "range" => return Ok(Value::Number),
            "namespace" => {
                for (field, value) in &arguments {
                    let value = self.resolved(value);
                    if field.is_empty() {
                        self.is_polluted |= !is_plain(&value);
                    } else {
                        self.assign(format!(".{field}").into(), value);
                    }
                }
                return Ok(Value::Space);
            }
            _ => {}
        }
        Ok(Value::Built)
    }

    /// Arguments of a call, whose opening bracket was taken: names (empty for positions), values.
    fn arguments(&mut self) -> Result<Vec<(Box<str>, Value)>, Malformed> {
        let mut arguments = Vec::new();
        while !self.eat(")") {
            while self.eat("*") || self.eat("**") {}
            let mut name: Box<str> = "".into();
            if let (Some(Token::Name(word)), Some(Token::Op("="))) =
                (self.peek(), self.tokens.get(self.at.saturating_add(1)))
            {
                name = word.clone();
                self.at = self.at.saturating_add(2);
                self.attribute(&name);
            }
            let value = self.expression()?;
            arguments.push((name, value));
            if !self.eat(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(arguments)
    }

    fn filter_named(&mut self, name: &str, of: &Value) -> Parsed {
        if !names::FILTERS.contains(&name) {
            self.unlisted(format!("uses the filter `{name}`"));
        }
        let arguments = if self.eat("(") { self.arguments()? } else { Vec::new() };
        let plain = self.are_plain(&arguments);
        let applies = matches!(name, "map" | "select" | "reject");
        let mut place = 0_usize;
        for (argument, value) in &arguments {
            let value = self.resolved(value);
            let is_attribute = if argument.is_empty() {
                let known = names::ATTRIBUTE_PLACES.contains(&(name, place));
                place = place.saturating_add(1);
                // What `map` applies may take the name of an attribute in any place.
                known || applies && place > 1
            } else {
                matches!(&**argument, "attribute" | "name")
            };
            if applies && place == 1 && argument.is_empty() {
                self.applied(&value);
            } else if is_attribute {
                self.attribute_value(name, &value);
            }
        }
        let passes_on = names::PASSING.contains(&name);
        Ok(match name {
            "length" | "count" | "int" | "float" | "round" | "abs" | "wordcount" => Value::Number,
            _ if passes_on && plain && self.resolved(of) == Value::Data => Value::Data,
            _ => Value::Built,
        })
    }

    /// The filter or test that `map`, `select` or `reject` applies.
    fn applied(&mut self, filter: &Value) {
        match filter {
            Value::Text(filter)
                if names::FILTERS.contains(&&**filter) || names::TESTS.contains(&&**filter) => {}
            Value::Text(filter) => self.unlisted(format!("uses the filter `{filter}`")),
            Value::Number | Value::Data | Value::Built | Value::Space | Value::Name(_) => {
                self.hostile("applies a filter whose name is computed");
            }
        }
    }

    fn attribute_value(&mut self, filter: &str, value: &Value) {
        match value {
            Value::Text(path) => path.split('.').for_each(|part| self.attribute(part)),
            Value::Number => {}
            Value::Data | Value::Built | Value::Space | Value::Name(_) => {
                self.hostile(format!("`{filter}` takes an attribute whose name is computed"));
            }
        }
    }

    fn test(&mut self) -> Result<(), Malformed> {
        self.word("not");
        let name = self.name()?;
        if !names::TESTS.contains(&&*name) {
            self.unlisted(format!("uses the test `{name}`"));
        }
        if self.eat("(") {
            self.arguments()?;
        } else if matches!(self.peek(), Some(Token::Text(_) | Token::Number))
            || matches!(self.peek(), Some(Token::Op("[" | "{")))
            || matches!(self.peek(), Some(Token::Name(word))
                if !matches!(&**word, "and" | "or" | "else" | "if" | "is" | "not" | "in"))
        {
            self.unary()?;
        }
        Ok(())
    }
}

/// Whether a value could not be a name that the template puts together: a plain text is as good as
/// a key of a message.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Number | Value::Data | Value::Space => true,
        Value::Text(text) => !names::is_internal(text) && !names::names_internal(text),
        Value::Built | Value::Name(_) => false,
    }
}
