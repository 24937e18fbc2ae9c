//! What the columns of one input may hold, made ready to be held against values.
//!
//! Limits are compared without a rounding trap: for integers the contract's `f64` limits become
//! the integers just within them; for floating-point types they become the nearest number of
//! that very type, since a value was rounded to it too: with `max = 0.1` the `FP32` value that
//! a caller writes as `0.1` is allowed, although it is larger than the `f64` 0.1.
//!
//! Invariants
//! - G1: a value passes the fast test exactly when [`Limits::judge`] finds nothing.

use bartizan_core::contract::{Category, Feature, Input, Missing};
use bartizan_core::{Datatype, Rule, half};

use crate::rules;

/// The checks of one input's values.
#[derive(Clone, Debug)]
pub(crate) enum Columns {
    /// `FP32`, `FP16` and `BF16`, which all fit `f32`.
    Single(Vec<Limits<f32>>),
    /// `FP64`.
    Double(Vec<Limits<f64>>),
    /// `BOOL` as 0 and 1, and all integers.
    Whole(Vec<WholeLimits>),
    /// `BYTES`.
    Text(Vec<Texts>),
}

/// What a floating-point column may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<T> {
    /// Smallest value, finite unless nothing passes.
    pub(crate) min: T,
    /// Largest value, finite unless nothing passes.
    pub(crate) max: T,
    /// Whether NaN passes.
    pub(crate) nan_passes: bool,
}

/// What an integer column may hold.
#[derive(Clone, Debug)]
pub(crate) struct WholeLimits {
    min: i128,
    max: i128,
    /// Sorted; `None` where all are allowed.
    categories: Option<Vec<i128>>,
}

impl Columns {
    /// The checks of `input`: one entry for all columns, or one a column (C2).
    pub(crate) fn new(input: &Input) -> Self {
        let free = [Feature::default()];
        let features = if input.features.is_empty() { &free[..] } else { &input.features };
        let single = |round: fn(f64) -> f32, largest: f32| {
            Self::Single(features.iter().map(|f| Limits::<f32>::new(f, round, largest)).collect())
        };
        match input.datatype {
            Datatype::Fp16 => single(|x| half::fp16_to_f32(half::fp16_from_f64(x)), 65_504.0),
            Datatype::Bf16 => {
                let largest = half::bf16_to_f32(0x7f7f);
                single(|x| half::bf16_to_f32(half::bf16_from_f64(x)), largest)
            }
            Datatype::Fp32 => single(|x| x as f32, f32::MAX),
            Datatype::Fp64 => Self::Double(features.iter().map(Limits::<f64>::new).collect()),
            Datatype::Bytes => Self::Text(features.iter().map(Texts::new).collect()),
            Datatype::Bool
            | Datatype::Uint8
            | Datatype::Uint16
            | Datatype::Uint32
            | Datatype::Uint64
            | Datatype::Int8
            | Datatype::Int16
            | Datatype::Int32
            | Datatype::Int64 => Self::Whole(features.iter().map(WholeLimits::new).collect()),
        }
    }
}

fn nan_passes(feature: &Feature) -> bool {
    match feature.missing {
        Missing::Allowed => true,
        Missing::Refused => false,
    }
}

impl Limits<f32> {
    fn new(feature: &Feature, round: fn(f64) -> f32, largest: f32) -> Self {
        // A limit beyond the type rounds to an infinity; an infinite value never passes.
        let min = feature.min.map_or(-largest, round);
        let max = feature.max.map_or(largest, round);
        Self { min: min.max(-largest), max: max.min(largest), nan_passes: nan_passes(feature) }
    }
}

impl Limits<f64> {
    fn new(feature: &Feature) -> Self {
        let min = feature.min.unwrap_or(f64::MIN);
        let max = feature.max.unwrap_or(f64::MAX);
        Self { min, max, nan_passes: nan_passes(feature) }
    }
}

macro_rules! judge {
    ($float:ty) => {
        impl Limits<$float> {
            /// Whether nothing is to be found in `value`; without a branch (G1).
            #[inline(always)]
            pub(crate) fn pass(&self, value: $float) -> bool {
                (self.min <= value) & (value <= self.max) | (value.is_nan() & self.nan_passes)
            }

            /// What is to be found in `value`.
            pub(crate) fn judge(&self, value: $float) -> Option<Found> {
                if value.is_nan() {
                    if self.nan_passes { None } else { Some(Found::Missing) }
                } else if value.is_infinite() {
                    Some(Found::NotFinite)
                } else if value < self.min {
                    Some(Found::Below)
                } else if self.max < value {
                    Some(Found::Above)
                } else {
                    None
                }
            }
        }
    };
}

judge!(f32);
judge!(f64);

impl WholeLimits {
    fn new(feature: &Feature) -> Self {
        // `as` saturates, and i128 is wider than every type of a tensor.
        let min = feature.min.map_or(i128::MIN, |min| min.ceil() as i128);
        let max = feature.max.map_or(i128::MAX, |max| max.floor() as i128);
        let number = |category: &Category| match category {
            Category::Number(number) => Some(i128::from(*number)),
            Category::Text(_) => None,
        };
        // A set of categories is sorted, numbers by their value.
        let categories =
            feature.categories.as_ref().map(|set| set.iter().filter_map(number).collect());
        Self { min, max, categories }
    }

    /// What is to be found in `value`.
    #[inline]
    pub(crate) fn judge(&self, value: i128) -> Option<Found> {
        if value < self.min {
            return Some(Found::Below);
        }
        if self.max < value {
            return Some(Found::Above);
        }
        match &self.categories {
            Some(categories) if categories.binary_search(&value).is_err() => Some(Found::Unknown),
            Some(_) | None => None,
        }
    }
}

/// The texts that a column may hold, sorted by their bytes; `None` where all are allowed.
#[derive(Clone, Debug)]
pub(crate) struct Texts(Option<Vec<Box<[u8]>>>);

impl Texts {
    fn new(feature: &Feature) -> Self {
        let text = |category: &Category| match category {
            Category::Text(text) => Some(text.as_bytes().into()),
            Category::Number(_) => None,
        };
        Self(feature.categories.as_ref().map(|set| set.iter().filter_map(text).collect()))
    }

    /// What is to be found in `value`.
    #[inline]
    pub(crate) fn judge(&self, value: &[u8]) -> Option<Found> {
        let categories = self.0.as_ref()?;
        match categories.binary_search_by(|category| (**category).cmp(value)) {
            Ok(_) => None,
            Err(_) => Some(Found::Unknown),
        }
    }
}

/// What may be found in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Missing,
    NotFinite,
    Below,
    Above,
    Unknown,
}

impl Found {
    /// Kinds of finding, in the order in which a column's findings are listed.
    pub(crate) const RULES: [&'static Rule; 5] = [
        &rules::MISSING,
        &rules::NOT_FINITE,
        &rules::BELOW_LIMIT,
        &rules::ABOVE_LIMIT,
        &rules::UNKNOWN_CATEGORY,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G1 at every edge of every kind of limit.
    #[test]
    fn the_fast_test_passes_what_the_slow_one_finds_nothing_in() {
        let edges = [0.0, 0.1, -2.5, 1e300, f64::MAX, f64::MIN, 5e-324];
        for (min, max, nan_passes) in [
            (None, None, false),
            (None, None, true),
            (Some(-2.5), Some(0.1), false),
            (Some(0.0), Some(0.0), true),
            (Some(1e300), None, false),
            (None, Some(-1e300), true),
        ] {
            let missing = if nan_passes { Missing::Allowed } else { Missing::Refused };
            let feature = Feature { min, max, missing, ..Feature::default() };
            let single = Limits::<f32>::new(&feature, |x| x as f32, f32::MAX);
            let double = Limits::<f64>::new(&feature);
            for x in edges.iter().flat_map(|x| [x.next_down(), *x, x.next_up(), -*x, f64::NAN]) {
                assert_eq!(double.pass(x), double.judge(x).is_none(), "{x:e} in {double:?}");
                let x = x as f32;
                for x in [x.next_down(), x, x.next_up()] {
                    assert_eq!(single.pass(x), single.judge(x).is_none(), "{x:e} in {single:?}");
                }
            }
        }
        let bounds = Feature { min: Some(0.1), max: Some(0.1), ..Feature::default() };
        assert!(Limits::<f32>::new(&bounds, |x| x as f32, f32::MAX).pass(0.1));
        assert!(Limits::<f64>::new(&bounds).pass(0.1));
    }
}
