//! The grammar of Jinja's expressions (Jinja 3.1: `parser.py`), and what their values could be.

use super::lex::Token;
use super::names;
use super::parse::{Malformed, Parsed, Parser, Value, is_plain};

/// Most brackets and operators inside each other.
const DEPTH_MAX: usize = 60;

impl Parser {
    /// An expression, or several with commas.
    pub(super) fn tuple(&mut self) -> Parsed {
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

    pub(super) fn tuple_no_condition(&mut self) -> Parsed {
        self.or()
    }

    pub(super) fn expression(&mut self) -> Parsed {
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

    pub(super) fn either(&self, one: Value, other: Value) -> Value {
        let (one, other) = (self.resolved(&one), self.resolved(&other));
        match (&one, &other) {
            _ if one == other => one,
            (Value::Number | Value::Data, Value::Number | Value::Data) => Value::Data,
            _ => Value::Built,
        }
    }

    pub(super) fn or(&mut self) -> Parsed {
        let mut value = self.not()?;
        while self.word("or") || self.word("and") {
            let other = self.not()?;
            value = self.either(value, other);
        }
        Ok(value)
    }

    pub(super) fn not(&mut self) -> Parsed {
        let mut negated = false;
        while self.word("not") {
            negated = true;
        }
        let value = self.compare()?;
        Ok(if negated { Value::Number } else { value })
    }

    pub(super) fn compare(&mut self) -> Parsed {
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
    pub(super) fn arithmetic(&mut self) -> Parsed {
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

    pub(super) fn unary(&mut self) -> Parsed {
        let mut signed = false;
        while self.eat("-") || self.eat("+") {
            signed = true;
        }
        let first = self.primary()?;
        let value = self.postfix(first)?;
        Ok(if signed { Value::Number } else { value })
    }

    pub(super) fn primary(&mut self) -> Parsed {
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
                    if names::is_internal(&name) {
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

    pub(super) fn postfix(&mut self, value: Value) -> Parsed {
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

    pub(super) fn member(&mut self, of: &Value, name: &str) -> Parsed {
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
    pub(super) fn field(&self, of: &Value, name: &str) -> Value {
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

    pub(super) fn attribute(&mut self, name: &str) {
        if names::is_internal(name) {
            self.hostile(format!("reaches for the attribute `{name}`"));
        }
    }

    /// A text of the template that names what only attacks need.
    pub(super) fn constant(&mut self, text: &str) {
        if names::names_internal(text) {
            self.hostile(format!("holds the text `{text}`"));
        }
    }

    pub(super) fn subscript(&mut self, of: &Value) -> Parsed {
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

    pub(super) fn call(&mut self, callee: &Value) -> Parsed {
        let Value::Name(name) = callee else {
            self.unlisted("calls what is no function by name");
            self.arguments()?;
            return Ok(Value::Built);
        };
        let is_macro = self.macros.contains_key(name);
        let is_known = names::FUNCTIONS.contains(&&**name) && !self.variables.contains_key(name);
        if names::is_code(name) && !is_macro {
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
    pub(super) fn arguments(&mut self) -> Result<Vec<(Box<str>, Value)>, Malformed> {
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

    pub(super) fn filter_named(&mut self, name: &str, of: &Value) -> Parsed {
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
    pub(super) fn applied(&mut self, filter: &Value) {
        match filter {
            Value::Text(filter)
                if names::FILTERS.contains(&&**filter) || names::TESTS.contains(&&**filter) => {}
            Value::Text(filter) => self.unlisted(format!("uses the filter `{filter}`")),
            Value::Number | Value::Data | Value::Built | Value::Space | Value::Name(_) => {
                self.hostile("applies a filter whose name is computed");
            }
        }
    }

    pub(super) fn attribute_value(&mut self, filter: &str, value: &Value) {
        match value {
            Value::Text(path) => path.split('.').for_each(|part| self.attribute(part)),
            Value::Number => {}
            Value::Data | Value::Built | Value::Space | Value::Name(_) => {
                self.hostile(format!("`{filter}` takes an attribute whose name is computed"));
            }
        }
    }

    pub(super) fn test(&mut self) -> Result<(), Malformed> {
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
