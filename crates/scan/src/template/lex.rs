//! Tokens of Jinja templates (Jinja 3.1: `lexer.py`), with the default delimiters.

/// A token inside `{{ }}` or `{% %}`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(Box<str>),
    Text(Box<str>),
    Number,
    /// Brackets, operators, punctuation.
    Op(&'static str),
}

/// A part of a template that does something.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    Print(Vec<Token>),
    Statement(Vec<Token>),
}

/// Digits of a number that no template needs.
const LONG_NUMBER: usize = 7;
/// Most tokens of a template.
const TOKENS_MAX: usize = 200_000;

const OPS: &[&str] = &[
    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "|", ".", ",",
    ":", "(", ")", "[", "]", "{", "}", ";",
];

/// Splits a template. `None`: it is none.
pub(super) fn parts(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut n_left = TOKENS_MAX;
    while let Some(at) = ["{{", "{%", "{#"].iter().filter_map(|mark| rest.find(mark)).min() {
        let (mark, inside) = rest.get(at..)?.split_at_checked(2)?;
        if mark == "{#" {
            rest = inside.split_once("#}")?.1;
            continue;
        }
        let close = if mark == "{{" { "}}" } else { "%}" };
        let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside);
        let (tokens, after) = tokens(inside, close, &mut n_left)?;
        rest = after;
        if mark == "{{" {
            parts.push(Part::Print(tokens));
            continue;
        }
        if tokens == [Token::Name("raw".into())] {
            rest = after_raw(rest)?;
            continue;
        }
        parts.push(Part::Statement(tokens));
    }
    Some(parts)
}

/// What follows `{% endraw %}`.
fn after_raw(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let (_, inside) = rest.split_once("{%")?;
        rest = inside;
        let word = inside.strip_prefix(['-', '+']).unwrap_or(inside).trim_start();
        if let Some(after) = word.strip_prefix("endraw") {
            let after = after.trim_start();
            let after = after.strip_prefix(['-', '+']).unwrap_or(after);
            if let Some(after) = after.strip_prefix("%}") {
                return Some(after);
            }
        }
    }
}

/// Tokens up to `close`, and what follows it.
fn tokens<'a>(text: &'a str, close: &str, n_left: &mut usize) -> Option<(Vec<Token>, &'a str)> {
    let mut tokens = Vec::new();
    let mut rest = text;
    // Brackets that are open: `}}` inside a dictionary does not close.
    let mut depth = 0_usize;
    loop {
        rest = rest.trim_start();
        if depth == 0 {
            let end = rest.strip_prefix(['-', '+']).filter(|rest| rest.starts_with(close));
            if let Some(after) = end.unwrap_or(rest).strip_prefix(close) {
                return Some((tokens, after));
            }
        }
        *n_left = n_left.checked_sub(1)?;
        let first = rest.chars().next()?;
        if first == '"' || first == '\'' {
            let (text, after) = string(rest, first)?;
            tokens.push(Token::Text(text.into()));
            rest = after;
        } else if first.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
            let (number, after) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
            // `1.upper` is no number with an attribute in Jinja either, but be careful.
            if number.bytes().filter(|byte| *byte == b'.').count() > 1 {
                return None;
            }
            // Loops over such numbers are made to hang whoever renders.
            if LONG_NUMBER <= number.len() {
                return None;
            }
            tokens.push(Token::Number);
            rest = after;
        } else if first == '_' || first.is_alphabetic() {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            let (name, after) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
            tokens.push(Token::Name(name.into()));
            rest = after;
        } else {
            let op = OPS.iter().find(|op| rest.starts_with(**op))?;
            match *op {
                "(" | "[" | "{" => depth = depth.checked_add(1)?,
                ")" | "]" | "}" => depth = depth.checked_sub(1)?,
                _ => {}
            }
            tokens.push(Token::Op(op));
            rest = rest.get(op.len()..)?;
        }
    }
}

/// A quoted text with Python's escapes, and what follows.
fn string(text: &str, quote: char) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((out, text.get(at.checked_add(1)?..)?));
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next()?.1 {
            'x' => hex(&mut chars, 2)?,
            'u' => hex(&mut chars, 4)?,
            'U' => hex(&mut chars, 8)?,
            // A name of a character, or an octal number: no template writes them.
            'N' | '0'..='7' => return None,
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            other => other,
        });
    }
    None
}

fn hex(chars: &mut impl Iterator<Item = (usize, char)>, n: usize) -> Option<char> {
    let digits: String = chars.take(n).map(|(_, c)| c).collect();
    u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
}
