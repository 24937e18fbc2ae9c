//! Sums in a fixed order.
//!
//! Floating-point addition does not associate: the order of a sum is part of its value. It is
//! fixed here by the length alone, never by the width of the processor's vectors (compare P.
//! Ahrens, J. Demmel, H. D. Nguyen, *Algorithms for Efficient Reproducible Floating Point
//! Summation*, 2020, which also frees it of the order of the terms; we do not need that).

/// Partial sums that [`dot_f32`] keeps.
pub const LANES: usize = 8;

/// Sum of the products `a[i] * b[i]`, in `f32`.
///
/// Term `i` goes to partial sum `i % 8`, each from its first term to its last; then with partial
/// sums `s` the result is `((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))`. Each product is
/// rounded before it is added. The longer slice's end is ignored.
pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a_body, a_tail) = a[..n].as_chunks::<LANES>();
    let (b_body, b_tail) = b[..n].as_chunks::<LANES>();
    let mut s = [0.0_f32; LANES];
    for (x, y) in a_body.iter().zip(b_body) {
        for lane in 0..LANES {
            s[lane] += x[lane] * y[lane];
        }
    }
    for (lane, (x, y)) in a_tail.iter().zip(b_tail).enumerate() {
        s[lane] += x * y;
    }
    ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order as the documentation states it, term by term.
    fn slow_dot(a: &[f32], b: &[f32]) -> f32 {
        let lane =
            |lane: usize| (lane..a.len()).step_by(LANES).fold(0.0_f32, |sum, i| sum + a[i] * b[i]);
        ((lane(0) + lane(4)) + (lane(2) + lane(6))) + ((lane(1) + lane(5)) + (lane(3) + lane(7)))
    }

    proptest::proptest! {
        /// S1: the order is the documented one, bit for bit, at every length.
        #[test]
        fn dot_adds_in_the_documented_order(
            pairs in proptest::collection::vec((-1e3_f32..1e3, -1e3_f32..1e3), 0..70)
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            proptest::prop_assert_eq!(dot_f32(&a, &b).to_bits(), slow_dot(&a, &b).to_bits());
            let exact: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            proptest::prop_assert!((f64::from(dot_f32(&a, &b)) - exact).abs() < 10.0);
        }
    }

    #[test]
    fn dot_of_nothing_is_zero() {
        assert_eq!(dot_f32(&[], &[]), 0.0);
        assert_eq!(dot_f32(&[2.0, 9.0], &[3.0]), 6.0);
    }
}
