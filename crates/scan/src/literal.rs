//! Python literals as NumPy writes them into headers: dict, list, tuple, text, integer, boolean.

/// Most levels.
const DEPTH_MAX: usize = 16;
/// Most values.
const VALUES_MAX: usize = 65_536;

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    None,
    Bool(bool),
    Int(u64),
    Text(Box<str>),
    List(Vec<Literal>),
    Tuple(Vec<Literal>),
    Dict(Vec<(Literal, Literal)>),
}

/// Reads one literal and only blanks after it. `None`: it is something else.
pub(crate) fn parse(text: &str) -> Option<Literal> {
    let mut parser = Parser { rest: text, n_left: VALUES_MAX };
    let literal = parser.value(0)?;
    parser.blanks();
    parser.rest.is_empty().then_some(literal)
}

struct Parser<'a> {
    rest: &'a str,
    n_left: usize,
}

impl Parser<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\n', '\t']);
    }

    fn eat(&mut self, c: char) -> bool {
        self.blanks();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Literal> {
        self.n_left = self.n_left.checked_sub(1)?;
        if DEPTH_MAX < depth {
            return None;
        }
        let depth = depth.saturating_add(1);
        self.blanks();
        match self.rest.chars().next()? {
            '{' => {
                self.eat('{');
                let mut pairs = Vec::new();
                while !self.eat('}') {
                    let key = self.value(depth)?;
                    if !self.eat(':') {
                        return None;
                    }
                    pairs.push((key, self.value(depth)?));
                    if !self.eat(',') {
                        return self.eat('}').then_some(Literal::Dict(pairs));
                    }
                }
                Some(Literal::Dict(pairs))
            }
            '[' => self.items('[', ']', depth).map(|(items, _)| Literal::List(items)),
            '(' => {
                let (mut items, commas) = self.items('(', ')', depth)?;
                // A pair of brackets around one value is no tuple.
                if items.len() == 1 && commas == 0 {
                    return items.pop();
                }
                Some(Literal::Tuple(items))
            }
            quote @ ('\'' | '"') => {
                self.eat(quote);
                let (text, rest) = self.rest.split_once(quote)?;
                if text.contains(['\\', '\n']) {
                    return None;
                }
                self.rest = rest;
                Some(Literal::Text(text.into()))
            }
            '0'..='9' => {
                let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
                let (digits, rest) = self.rest.split_at_checked(end)?;
                // Python 2 wrote long integers with an L.
                self.rest = rest.strip_prefix('L').unwrap_or(rest);
                digits.parse().ok().map(Literal::Int)
            }
            _ => {
                for (word, literal) in [
                    ("True", Literal::Bool(true)),
                    ("False", Literal::Bool(false)),
                    ("None", Literal::None),
                ] {
                    if let Some(rest) = self.rest.strip_prefix(word) {
                        self.rest = rest;
                        return Some(literal);
                    }
                }
                None
            }
        }
    }

    fn items(&mut self, open: char, close: char, depth: usize) -> Option<(Vec<Literal>, usize)> {
        self.eat(open);
        let mut items = Vec::new();
        let mut commas = 0_usize;
        while !self.eat(close) {
            items.push(self.value(depth)?);
            if !self.eat(',') {
                return self.eat(close).then_some((items, commas));
            }
            commas = commas.saturating_add(1);
        }
        Some((items, commas))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What NumPy writes is read; calls, names, arithmetic and deep nests are not.
    #[test]
    fn only_plain_literals_are_read() {
        let header = "{'descr': [('a', '<f8'), ('b', '|O', (2,))], 'fortran_order': False, 'shape': (3L,), }  \n";
        assert!(matches!(parse(header), Some(Literal::Dict(pairs)) if pairs.len() == 3));
        assert_eq!(parse("(1)"), Some(Literal::Int(1)));
        for bad in ["f()", "1+1", "{'a'}", "'\\x41'", "[1", "{'a':1}x", "-1", &"(".repeat(99)] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
