//! Labels of classifiers: integers or texts.

use bartizan_core::{Datatype, Values};

use crate::native::LoadError;
use crate::native::node::NodeContext;

/// Longest label, in bytes: an answer holds one for every row.
pub(crate) const LABEL_BYTES_MAX: usize = 1_024;

/// A classifier's labels in the order of its scores.
#[derive(Debug)]
pub(crate) enum Labels {
    Ints(Vec<i64>),
    Texts(Vec<Vec<u8>>),
}

impl Labels {
    /// From whichever of the two attributes is there.
    pub(crate) fn read(
        node: &mut NodeContext<'_>,
        ints: &str,
        texts: &str,
    ) -> Result<Self, LoadError> {
        let (given_ints, given_texts) = (node.ints(ints)?, node.texts(texts)?);
        match (given_ints.is_empty(), given_texts.is_empty()) {
            (false, true) => Ok(Self::Ints(given_ints.to_vec())),
            (true, false) if given_texts.iter().any(|text| LABEL_BYTES_MAX < text.len()) => {
                Err(node.fault(format!("a label is longer than {LABEL_BYTES_MAX} bytes")))
            }
            (true, false) => {
                Ok(Self::Texts(given_texts.iter().map(|text| text.to_vec()).collect()))
            }
            (true, true) | (false, false) => {
                Err(node.fault(format!("one of `{ints}` and `{texts}` must be given")))
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Ints(labels) => labels.len(),
            Self::Texts(labels) => labels.len(),
        }
    }

    pub(crate) fn datatype(&self) -> Datatype {
        match self {
            Self::Ints(_) => Datatype::Int64,
            Self::Texts(_) => Datatype::Bytes,
        }
    }

    /// As text, for people.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Ints(labels) => labels.iter().map(i64::to_string).collect(),
            Self::Texts(labels) => {
                labels.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
            }
        }
    }

    /// The labels at `chosen` positions, each below [`Self::len`].
    pub(crate) fn pick(&self, chosen: impl ExactSizeIterator<Item = usize>) -> Values {
        match self {
            Self::Ints(labels) => Values::Int64(chosen.map(|class| labels[class]).collect()),
            Self::Texts(labels) => {
                Values::Bytes(chosen.map(|class| labels[class].clone()).collect())
            }
        }
    }
}

/// Position of the largest score, the first of equals; 0 where the first is NaN.
pub(crate) fn largest(scores: &[f32]) -> usize {
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = class;
        }
    }
    best
}
