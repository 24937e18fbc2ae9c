//! JSON and UBJSON (draft 12) documents as XGBoost writes them: one reader's view of both.
//!
//! Lists of numbers are kept as numbers of 4 bytes, because they are almost all of a model.

#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

/// Most levels of lists and maps.
const DEPTH_MAX: usize = 64;

/// One value of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doc {
    /// `null`, `true`, `false`: nothing that a model's numbers depend on.
    Other,
    Text(String),
    Number(f64),
    /// Integers of 32 bits.
    Ints(Vec<i32>),
    /// Numbers, each rounded once to `f32`.
    Floats(Vec<f32>),
    List(Vec<Doc>),
    Map(Vec<(String, Doc)>),
}

impl Doc {
    /// What `path` names, keys with dots between them.
    pub(super) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |doc, wanted| match doc {
            Self::Map(entries) => {
                entries.iter().find(|(key, _)| key == wanted).map(|(_, value)| value)
            }
            Self::Other
            | Self::Text(_)
            | Self::Number(_)
            | Self::Ints(_)
            | Self::Floats(_)
            | Self::List(_) => None,
        })
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Integers; an empty list is of every type.
    pub(super) fn ints(&self) -> Option<&[i32]> {
        match self {
            Self::Ints(values) => Some(values),
            Self::List(list) if list.is_empty() => Some(&[]),
            Self::Floats(values) if values.is_empty() => Some(&[]),
            Self::Other
            | Self::Text(_)
            | Self::Number(_)
            | Self::Floats(_)
            | Self::List(_)
            | Self::Map(_) => None,
        }
    }

    /// Numbers as `f32`; integers are rounded to it.
    #[expect(clippy::cast_precision_loss, reason = "a list of numbers is of f32, however written")]
    pub(super) fn floats(&self) -> Option<Vec<f32>> {
        match self {
            Self::Floats(values) => Some(values.clone()),
            Self::Ints(values) => Some(values.iter().map(|value| *value as f32).collect()),
            Self::List(list) if list.is_empty() => Some(Vec::new()),
            Self::Other | Self::Text(_) | Self::Number(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            Self::Ints(values) if values.is_empty() => Some(&[]),
            Self::Other
            | Self::Text(_)
            | Self::Number(_)
            | Self::Ints(_)
            | Self::Floats(_)
            | Self::Map(_) => None,
        }
    }
}

/// Reads a document, which must end with the bytes; the error is a place and a reason.
pub(super) fn read(bytes: &[u8], is_ubj: bool) -> Result<Doc, String> {
    let mut reader = Reader { bytes, at: 0 };
    let doc = if is_ubj {
        let marker = reader.byte()?;
        reader.ubj(marker, 0)?
    } else {
        let doc = reader.json(0)?;
        reader.spaces();
        doc
    };
    if reader.at == bytes.len() { Ok(doc) } else { Err(reader.wrong("something follows its end")) }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn wrong(&self, what: &str) -> String {
        format!("byte {}: {what}", self.at)
    }

    fn take(&mut self, n: usize) -> Result<&'b [u8], String> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let taken = rest.get(..n).ok_or_else(|| self.wrong("it ends too early"))?;
        self.at = self.at.saturating_add(n);
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?.first().copied().unwrap_or(0))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at = self.at.saturating_add(1);
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize, String> {
        if depth < DEPTH_MAX {
            Ok(depth.saturating_add(1))
        } else {
            Err(self.wrong(&format!("more than {DEPTH_MAX} levels")))
        }
    }

    fn json(&mut self, depth: usize) -> Result<Doc, String> {
        self.spaces();
        match self.peek() {
            Some(b'{') => self.json_map(self.deeper(depth)?),
            Some(b'[') => self.json_list(self.deeper(depth)?),
            Some(b'"') => Ok(Doc::Text(self.json_text()?)),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => {
                let token = self.token();
                let number = token.parse().map_err(|_| self.wrong("no number"))?;
                Ok(Doc::Number(number))
            }
            Some(_) if matches!(self.token(), "null" | "true" | "false") => Ok(Doc::Other),
            Some(_) => Err(self.wrong("no JSON value")),
            None => Err(self.wrong("it ends too early")),
        }
    }

    /// What stands up to the next sign of structure.
    fn token(&mut self) -> &'b str {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
        let n = rest.iter().position(ends).unwrap_or(rest.len());
        self.at = self.at.saturating_add(n);
        std::str::from_utf8(rest.get(..n).unwrap_or(&[])).unwrap_or("")
    }

    fn json_map(&mut self, depth: usize) -> Result<Doc, String> {
        self.at = self.at.saturating_add(1);
        let mut entries = Vec::new();
        loop {
            self.spaces();
            if entries.is_empty() && self.peek() == Some(b'}') {
                self.at = self.at.saturating_add(1);
                return Ok(Doc::Map(entries));
            }
            let key = self.json_text()?;
            self.spaces();
            if self.byte()? != b':' {
                return Err(self.wrong("no colon after a key"));
            }
            let value = self.json(depth)?;
            entries.push((key, value));
            self.spaces();
            match self.byte()? {
                b',' => {}
                b'}' => return Ok(Doc::Map(entries)),
                _ => return Err(self.wrong("no comma between entries")),
            }
        }
    }

    fn json_list(&mut self, depth: usize) -> Result<Doc, String> {
        self.at = self.at.saturating_add(1);
        self.spaces();
        match self.peek() {
            Some(b']') => {
                self.at = self.at.saturating_add(1);
                return Ok(Doc::List(Vec::new()));
            }
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => return self.json_numbers(),
            Some(_) | None => {}
        }
        let mut list = Vec::new();
        loop {
            list.push(self.json(depth)?);
            self.spaces();
            match self.byte()? {
                b',' => {}
                b']' => return Ok(Doc::List(list)),
                _ => return Err(self.wrong("no comma between values")),
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "what began as integers is a list of f32")]
    fn json_numbers(&mut self) -> Result<Doc, String> {
        let (mut ints, mut floats, mut is_float) = (Vec::new(), Vec::new(), false);
        loop {
            self.spaces();
            let token = self.token();
            match token.parse::<i32>() {
                Ok(value) if !is_float && token != "-0" => ints.push(value),
                Ok(_) | Err(_) => {
                    if !is_float {
                        is_float = true;
                        floats = std::mem::take(&mut ints).iter().map(|int| *int as f32).collect();
                    }
                    floats.push(token.parse::<f32>().map_err(|_| self.wrong("no number"))?);
                }
            }
            self.spaces();
            match self.byte()? {
                b',' => {}
                b']' => return Ok(if is_float { Doc::Floats(floats) } else { Doc::Ints(ints) }),
                _ => return Err(self.wrong("no comma between numbers")),
            }
        }
    }

    /// A text; what is escaped in it stays escaped but for quotes and backslashes: no name that
    /// matters here needs more.
    fn json_text(&mut self) -> Result<String, String> {
        if self.byte()? != b'"' {
            return Err(self.wrong("no text where one should be"));
        }
        let mut text = Vec::new();
        loop {
            match self.byte()? {
                b'"' => return String::from_utf8(text).map_err(|_| self.wrong("it is not UTF-8")),
                b'\\' => match self.byte()? {
                    byte @ (b'"' | b'\\' | b'/') => text.push(byte),
                    byte => text.extend([b'\\', byte]),
                },
                byte => text.push(byte),
            }
        }
    }

    /// A length: an integer with its type before it.
    fn ubj_len(&mut self) -> Result<usize, String> {
        let marker = self.byte()?;
        let value = self.ubj_int(marker)?.ok_or_else(|| self.wrong("no length"))?;
        usize::try_from(value).map_err(|_| self.wrong("a length below zero"))
    }

    fn ubj_int(&mut self, marker: u8) -> Result<Option<i64>, String> {
        let n = match marker {
            b'U' => return Ok(Some(i64::from(self.byte()?))),
            b'i' => 1,
            b'I' => 2,
            b'l' => 4,
            b'L' => 8,
            _ => return Ok(None),
        };
        let bytes = self.take(n)?;
        let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
        Ok(Some(bytes.iter().fold(sign, |value: i64, byte| (value << 8) | i64::from(*byte))))
    }

    fn ubj_text(&mut self) -> Result<String, String> {
        let n = self.ubj_len()?;
        let text = self.take(n)?.to_vec();
        String::from_utf8(text).map_err(|_| self.wrong("it is not UTF-8"))
    }

    #[expect(clippy::cast_precision_loss, reason = "a count in a document is far below 2^53")]
    fn ubj(&mut self, marker: u8, depth: usize) -> Result<Doc, String> {
        if let Some(value) = self.ubj_int(marker)? {
            return Ok(Doc::Number(value as f64));
        }
        match marker {
            b'Z' | b'T' | b'F' | b'N' => Ok(Doc::Other),
            b'S' => Ok(Doc::Text(self.ubj_text()?)),
            b'C' => Ok(Doc::Text(char::from(self.byte()?).to_string())),
            b'd' => {
                let bytes = self.take(4)?.first_chunk().copied().unwrap_or_default();
                Ok(Doc::Number(f64::from(f32::from_be_bytes(bytes))))
            }
            b'D' => {
                let bytes = self.take(8)?.first_chunk().copied().unwrap_or_default();
                Ok(Doc::Number(f64::from_be_bytes(bytes)))
            }
            b'{' => self.ubj_map(self.deeper(depth)?),
            b'[' => self.ubj_list(self.deeper(depth)?),
            _ => Err(self.wrong("no UBJSON value")),
        }
    }

    fn ubj_map(&mut self, depth: usize) -> Result<Doc, String> {
        let mut entries = Vec::new();
        loop {
            if self.peek() == Some(b'}') {
                self.at = self.at.saturating_add(1);
                return Ok(Doc::Map(entries));
            }
            let key = self.ubj_text()?;
            let marker = self.byte()?;
            entries.push((key, self.ubj(marker, depth)?));
        }
    }

    fn ubj_list(&mut self, depth: usize) -> Result<Doc, String> {
        if self.peek() == Some(b'$') {
            self.at = self.at.saturating_add(1);
            let marker = self.byte()?;
            if self.byte()? != b'#' {
                return Err(self.wrong("a typed list without a length"));
            }
            let n = self.ubj_len()?;
            return self.ubj_numbers(marker, n);
        }
        let counted = self.peek() == Some(b'#');
        let mut left = usize::MAX;
        if counted {
            self.at = self.at.saturating_add(1);
            left = self.ubj_len()?;
        }
        let mut list = Vec::new();
        while 0 < left {
            if !counted && self.peek() == Some(b']') {
                self.at = self.at.saturating_add(1);
                break;
            }
            let marker = self.byte()?;
            list.push(self.ubj(marker, depth)?);
            left = left.saturating_sub(1);
        }
        Ok(joined(list))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a double is rounded once, as told")]
    fn ubj_numbers(&mut self, marker: u8, n: usize) -> Result<Doc, String> {
        let width = match marker {
            b'i' | b'U' => 1,
            b'I' => 2,
            b'l' | b'd' => 4,
            b'L' | b'D' => 8,
            _ => return Err(self.wrong("a typed list of something else than numbers")),
        };
        let n_bytes = n.checked_mul(width).ok_or_else(|| self.wrong("it ends too early"))?;
        let bytes = self.take(n_bytes)?;
        let float = |bytes: &[u8]| match (bytes.first_chunk::<8>(), bytes.first_chunk::<4>()) {
            (Some(bytes), _) => f64::from_be_bytes(*bytes) as f32,
            (None, Some(bytes)) => f32::from_be_bytes(*bytes),
            (None, None) => 0.0,
        };
        if matches!(marker, b'd' | b'D') {
            return Ok(Doc::Floats(bytes.chunks_exact(width).map(float).collect()));
        }
        let int = |bytes: &[u8]| {
            let negative = marker != b'U' && bytes.first().is_some_and(|byte| byte & 0x80 != 0);
            let sign = if negative { -1 } else { 0 };
            i32::try_from(bytes.iter().fold(sign, |value: i64, b| (value << 8) | i64::from(*b)))
        };
        let ints: Result<Vec<i32>, _> = bytes.chunks_exact(width).map(int).collect();
        Ok(Doc::Ints(ints.map_err(|_| self.wrong("an integer above 2147483647"))?))
    }
}

/// A list of numbers alone as these.
#[expect(clippy::cast_possible_truncation, reason = "looked at, or rounded once, as told")]
fn joined(list: Vec<Doc>) -> Doc {
    let number = |doc: &Doc| if let Doc::Number(number) = doc { Some(*number) } else { None };
    let Some(numbers) = list.iter().map(number).collect::<Option<Vec<f64>>>() else {
        return Doc::List(list);
    };
    let is_int = |number: &f64| f64::from(*number as i32) == *number;
    if numbers.iter().all(is_int) {
        Doc::Ints(numbers.iter().map(|number| *number as i32).collect())
    } else {
        Doc::Floats(numbers.iter().map(|number| *number as f32).collect())
    }
}
