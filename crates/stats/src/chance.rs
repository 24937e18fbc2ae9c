//! Numbers that look random and are a function of their seed.
//!
//! SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, *Fast Splittable Pseudorandom Number
//! Generators*, 2014). For sampling, never for secrets.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Chance(u64);

/// One step of the generator's output function: a bijection that scatters its argument.
pub fn scatter(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Chance {
    /// The stream of `seed`; `stream` tells apart those of one seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(scatter(seed.wrapping_add(scatter(stream.wrapping_add(0x9e37_79b9_7f4a_7c15)))))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scatter(self.0)
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// A number below `n`; 0 for `n` = 0. Biased by less than `n / 2^64`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// A number with the standard normal distribution, near enough for random directions: the sum
    /// of 12 in `0.0..1.0`, less 6.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// `count` of the numbers below `n` without repetition, ascending; all if there are fewer.
    pub fn sample(&mut self, n: usize, count: usize) -> Vec<usize> {
        if n <= count {
            return (0..n).collect();
        }
        // Selection sampling (D. E. Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S).
        let mut chosen = Vec::with_capacity(count);
        for at in 0..n {
            let wanted = count - chosen.len();
            if wanted == 0 {
                break;
            }
            if self.below(n - at) < wanted {
                chosen.push(at);
            }
        }
        chosen
    }

    /// Puts `items` in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_its_size_and_no_repetition() {
        let mut chance = Chance::new(1, 2);
        for (n, count, size) in [(10, 3, 3), (3, 10, 3), (0, 2, 0), (5, 0, 0)] {
            let chosen = chance.sample(n, count);
            assert_eq!(chosen.len(), size);
            assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(chosen.iter().all(|at| *at < n));
        }
    }

    #[test]
    fn numbers_are_spread_evenly_and_repeat_with_the_seed() {
        let mut chance = Chance::new(7, 0);
        let mean = (0..10_000).map(|_| chance.unit()).sum::<f64>() / 1e4;
        assert!((mean - 0.5).abs() < 0.02);
        let spread = (0..10_000).map(|_| chance.normal().powi(2)).sum::<f64>() / 1e4;
        assert!((spread - 1.0).abs() < 0.06);
        assert_eq!(Chance::new(7, 1).bits(), Chance::new(7, 1).bits());
        assert_ne!(Chance::new(7, 1).bits(), Chance::new(7, 2).bits());
        assert_eq!(chance.below(0), 0);
        let mut items: Vec<_> = (0..50).collect();
        chance.shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
    }
}
