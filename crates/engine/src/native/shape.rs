//! Shapes of which all is known at load but the number of rows.
//!
//! Invariants
//! - H1: at most one extent of a value depends on the number of rows, so that each element belongs
//!   to one row, and no operator mixes rows.

use std::fmt;

use bartizan_core::limits;

/// One dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Known at load.
    Fixed(u64),
    /// This many times the number of rows, the values of a row together.
    Rows(u64),
    /// This many times the number of rows, one value of every row, then the next of every row:
    /// what is made by joining along the rows.
    Stacked(u64),
}

impl Extent {
    /// Its factor, with or without rows.
    pub(crate) fn factor(self) -> u64 {
        match self {
            Self::Fixed(n) | Self::Rows(n) | Self::Stacked(n) => n,
        }
    }

    pub(crate) fn is_rows(self) -> bool {
        !matches!(self, Self::Fixed(_))
    }

    /// The length for `rows` rows.
    pub(crate) fn at(self, rows: usize) -> u64 {
        match self {
            Self::Fixed(n) => n,
            Self::Rows(n) | Self::Stacked(n) => n * rows as u64,
        }
    }
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
        let mut factors = shape.0.iter().map(|extent| extent.factor().max(1));
        let count = factors.try_fold(1_u64, u64::checked_mul);
        if count.is_none_or(|count| count > limits::ELEMENTS_MAX as u64) {
            let max = limits::ELEMENTS_MAX;
            return Err(format!("shape {shape} has more than {max} elements a row"));
        }
        if 1 < shape.0.iter().filter(|extent| extent.is_rows()).count() {
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
        self.0.iter().position(|extent| extent.is_rows())
    }

    /// How often one value of every row comes before the next value of the first row; `None`
    /// without rows. Two shapes of as many elements hold them in one order where this agrees.
    pub(crate) fn blocks(&self) -> Option<u64> {
        let axis = self.rows_axis()?;
        let stacked = match self.0[axis] {
            Extent::Stacked(n) => n,
            Extent::Fixed(_) | Extent::Rows(_) => 1,
        };
        Some(self.0[..axis].iter().fold(stacked, |product, extent| product * extent.factor()))
    }

    /// Whether the values of a row lie together, in row order (or there are no rows).
    pub(crate) fn is_by_rows(&self) -> bool {
        self.blocks().is_none_or(|blocks| blocks == 1)
    }

    /// Elements of one row; of all where there are no rows.
    pub(crate) fn row_len(&self) -> usize {
        self.0.iter().fold(1, |product, extent| product * extent.factor() as usize)
    }

    /// Product of the extents from `axis` on; `None` where rows are among them.
    pub(crate) fn inner_len(&self, axis: usize) -> Option<usize> {
        self.0[axis.min(self.0.len())..].iter().try_fold(1, |product, extent| match extent {
            Extent::Fixed(n) => Some(product * *n as usize),
            Extent::Rows(_) | Extent::Stacked(_) => None,
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
        self.0.iter().map(|extent| extent.at(rows)).collect()
    }

    /// Number of elements for `rows` rows.
    pub(crate) fn len_at(&self, rows: usize) -> usize {
        let rows = if self.rows_axis().is_some() { rows } else { 1 };
        self.row_len().saturating_mul(rows)
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
                Extent::Stacked(n) => write!(f, "{comma}{n} * rows, stacked")?,
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
    fn a_shape_has_rows_once_and_knows_how_they_lie() {
        use Extent::{Fixed, Rows, Stacked};
        let blocks = |extents: &[Extent]| Shape::new(extents.to_vec()).map(|shape| shape.blocks());
        let good: [(&[Extent], Option<u64>); 6] = [
            (&[], None),
            (&[Fixed(3)], None),
            (&[Rows(1), Fixed(4)], Some(1)),
            (&[Fixed(1), Rows(2)], Some(1)),
            (&[Fixed(3), Rows(1), Fixed(2)], Some(3)),
            (&[Stacked(3), Fixed(1)], Some(3)),
        ];
        for (extents, told) in good {
            assert_eq!(blocks(extents), Ok(told), "{extents:?}");
        }
        for bad in [[Rows(1), Rows(1)], [Stacked(2), Rows(1)]] {
            assert!(Shape::new(bad.to_vec()).is_err(), "accepted {bad:?}");
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
