//! A reader of DER (X.690, chapter 10): definite lengths in their shortest form, one byte of tag.

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OID: u8 = 0x06;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The tag of a context-specific, constructed element.
pub(super) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
}

/// The elements of some bytes, one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element; `None` where there is none, or none that is well formed.
    pub(super) fn any(&mut self) -> Option<Element<'a>> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>()?;
        // A tag number beyond 30 takes more bytes, which nothing that is read here has.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (len, rest) = match first {
            0..0x80 => (usize::from(first), rest),
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
                let len = digits.iter().fold(0_usize, |len, digit| len << 8 | usize::from(*digit));
                let shortest = digits.first() != Some(&0) && 0x7f < len;
                if !shortest {
                    return None;
                }
                (len, rest)
            }
            0x80 | 0x84.. => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        let whole = self.0.get(..self.0.len().checked_sub(rest.len())?)?;
        self.0 = rest;
        Some(Element { tag, content, whole })
    }

    /// The next element, which must have this tag.
    pub(super) fn take(&mut self, tag: u8) -> Option<Element<'a>> {
        self.any().filter(|element| element.tag == tag)
    }

    /// The next element, if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Element<'a>> {
        let mut ahead = *self;
        let element = ahead.take(tag)?;
        *self = ahead;
        Some(element)
    }

    /// What is inside the next element, which must have this tag.
    pub(super) fn inside(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(|element| Self(element.content))
    }
}

/// An unsigned integer of at most 64 bits.
pub(super) fn unsigned(content: &[u8]) -> Option<u64> {
    let is_negative = 0x7f < *content.first()?;
    let digits = content.strip_prefix(&[0]).unwrap_or(content);
    if is_negative || 8 < digits.len() {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit)))
}

/// An element of `tag` around `parts`; at most 65,535 bytes of them.
pub(super) fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().fold(0, |len, part| len.saturating_add(part.len()));
    let mut out = vec![tag];
    match u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes() {
        [0, low @ 0..0x80] => out.push(low),
        [0, low] => out.extend([0x81, low]),
        [high, low] => out.extend([0x82, high, low]),
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// An element around an unsigned integer given by its big-endian bytes.
pub(super) fn wrap_unsigned(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let digits = bytes.get(first..).unwrap_or_default();
    // A leading zero keeps it from being negative, and stands for 0 itself.
    let sign: &[u8] = if digits.first().is_none_or(|byte| 0x7f < *byte) { &[0] } else { &[] };
    wrap(INTEGER, &[sign, digits])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shortest_definite_form_is_read() {
        let long = wrap(OCTET_STRING, &[&[7; 300]]);
        let element = Der::new(&long).take(OCTET_STRING).unwrap();
        assert_eq!((element.content.len(), element.whole.len()), (300, 304));
        for bad in [
            &[0x04, 0x80, 0, 0][..],
            &[0x04, 0x81, 0x01, 7],
            &[0x04, 0x82, 0x00, 0x81],
            &[0x04, 0x02, 7],
            &[0x04],
            &[0x1f, 0x01, 7],
            &[0x04, 0x84, 0, 0, 0, 1, 7],
        ] {
            assert!(Der::new(bad).any().is_none(), "{bad:?}");
        }
        let mut two = Der::new(&[0x02, 1, 5, 0x01, 1, 0xff]);
        assert!(two.optional(BOOLEAN).is_none());
        assert_eq!(two.take(INTEGER).unwrap().content, [5]);
        assert!(two.optional(BOOLEAN).is_some() && two.is_empty());
    }

    #[test]
    fn unsigned_integers_have_at_most_64_bits() {
        for (bytes, number) in [(&[0][..], 0), (&[0x7f], 127), (&[0, 0x80], 128)] {
            assert_eq!(unsigned(bytes), Some(number));
            assert_eq!(wrap_unsigned(bytes).get(2..), Some(bytes));
        }
        assert_eq!(unsigned(&[0, 255, 255, 255, 255, 255, 255, 255, 255]), Some(u64::MAX));
        for bad in [&[0x80][..], &[1; 9], &[]] {
            assert_eq!(unsigned(bad), None, "{bad:?}");
        }
    }
}
