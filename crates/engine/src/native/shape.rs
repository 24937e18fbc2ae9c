//! Shapes of which all is known at load but the number of rows.
//!
//! Invariants
//! - H1: at most one extent of a value depends on the number of rows, and all extents before it
//!   are 1: the values of one row lie together, in row order, and no operator mixes rows.

use std::fmt;

use bartizan_core::limits;

/// One dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Known at load.
    Fixed(u64),
    /// This many times the number of rows.
    Rows(u64),
}

/// A shape; see the module invariants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape(Vec<Extent>);

impl Shape {
    /// Why `extents` are no shape that we run, or the shape.
    pub(crate) fn new(extents: Vec<Extent>) -> Result<Self, String> {
        let shape = Self(extents);
        if limits::DIMS_MAX < shape.0.len() {
            return Err(format!("shape {shape} has more than {} dimensions", limits::DIMS_MAX));
        }
        // A zero must not hide what the other extents claim.
        let count = shape.0.iter().try_fold(1_u64, |product, extent| match extent {
            Extent::Fixed(n) | Extent::Rows(n) => product.checked_mul((*n).max(1)),
        });
        if count.is_none_or(|count| count > limits::ELEMENTS_MAX as u64) {
            let max = limits::ELEMENTS_MAX;
            return Err(format!("shape {shape} has more than {max} elements a row"));
        }
        let is_rows = |extent: &Extent| matches!(extent, Extent::Rows(_));
        let mut extents = shape.0.iter().skip_while(|extent| **extent == Extent::Fixed(1));
        let mut rest = extents.clone();
        if rest.any(is_rows) && (!extents.next().is_some_and(is_rows) || extents.any(is_rows)) {
            return Err(format!("it would mix rows: shape {shape}"));
        }
        Ok(shape)
    }

    /// A shape without rows.
    pub(crate) fn fixed(dims: &[u64]) -> Result<Self, String> {
        Self::new(dims.iter().map(|dim| Extent::Fixed(*dim)).collect())
    }

    pub(crate) fn extents(&self) -> &[Extent] {
        &self.0
    }

    /// The axis that depends on the number of rows.
    pub(crate) fn rows_axis(&self) -> Option<usize> {
        self.0.iter().position(|extent| matches!(extent, Extent::Rows(_)))
    }

    /// Elements of one row; of all where there are no rows.
    pub(crate) fn row_len(&self) -> usize {
        self.0.iter().fold(1, |product, extent| match extent {
            Extent::Fixed(n) | Extent::Rows(n) => product * *n as usize,
        })
    }

    /// Product of the extents from `axis` on; `None` where rows are among them.
    pub(crate) fn inner_len(&self, axis: usize) -> Option<usize> {
        self.0[axis.min(self.0.len())..].iter().try_fold(1, |product, extent| match extent {
            Extent::Fixed(n) => Some(product * *n as usize),
            Extent::Rows(_) => None,
        })
    }

    /// Length of the last dimension; `None` for a scalar or where it is the rows.
    pub(crate) fn last(&self) -> Option<usize> {
        if self.0.is_empty() { None } else { self.inner_len(self.0.len() - 1) }
    }

    /// The shape with the last dimension replaced.
    pub(crate) fn with_last(&self, len: usize) -> Result<Self, String> {
        let mut extents = self.0.clone();
        extents.pop();
        extents.push(Extent::Fixed(len as u64));
        Self::new(extents)
    }

    /// The dimensions for `rows` rows.
    pub(crate) fn at(&self, rows: usize) -> Vec<u64> {
        let at = |extent: &Extent| match extent {
            Extent::Fixed(n) => *n,
            Extent::Rows(n) => *n * rows as u64,
        };
        self.0.iter().map(at).collect()
    }

    /// `axis` counted from the front, where it may be negative; `None` where there is none.
    pub(crate) fn axis(&self, axis: i64) -> Option<usize> {
        let n_dims = self.0.len() as i64;
        let from_front = if axis < 0 { axis.checked_add(n_dims)? } else { axis };
        if (0..n_dims).contains(&from_front) { usize::try_from(from_front).ok() } else { None }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (position, extent) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            match extent {
                Extent::Fixed(n) => write!(f, "{comma}{n}")?,
                Extent::Rows(1) => write!(f, "{comma}rows")?,
                Extent::Rows(n) => write!(f, "{comma}{n} * rows")?,
            }
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H1 from both sides.
    #[test]
    fn a_shape_keeps_the_values_of_a_row_together() {
        use Extent::{Fixed, Rows};
        for good in [vec![], vec![Fixed(3)], vec![Rows(1), Fixed(4)], vec![Fixed(1), Rows(2)]] {
            assert!(Shape::new(good.clone()).is_ok(), "refused {good:?}");
        }
        for bad in [vec![Fixed(2), Rows(1)], vec![Rows(1), Rows(1)], vec![Fixed(0), Rows(1)]] {
            assert!(Shape::new(bad.clone()).is_err(), "accepted {bad:?}");
        }
        assert!(Shape::new(vec![Fixed(1); limits::DIMS_MAX]).is_ok());
        assert!(Shape::new(vec![Fixed(1); limits::DIMS_MAX + 1]).is_err());
        assert!(Shape::new(vec![Rows(1), Fixed(limits::ELEMENTS_MAX as u64)]).is_ok());
        assert!(Shape::new(vec![Rows(1), Fixed(limits::ELEMENTS_MAX as u64 + 1)]).is_err());
        assert!(Shape::new(vec![Fixed(u64::MAX), Fixed(u64::MAX)]).is_err());
        assert!(Shape::new(vec![Fixed(0), Fixed(u64::MAX)]).is_err());
    }

    #[test]
    fn axes_count_from_both_ends() {
        let shape = Shape::new(vec![Extent::Rows(1), Extent::Fixed(4)]).unwrap();
        assert_eq!([shape.axis(-1), shape.axis(1)], [Some(1); 2]);
        assert_eq!([shape.axis(2), shape.axis(-3), shape.axis(i64::MIN)], [None; 3]);
        assert_eq!(shape.to_string(), "[rows, 4]");
        assert_eq!(shape.at(3), [3, 4]);
        assert_eq!((shape.row_len(), shape.last()), (4, Some(4)));
    }
}
