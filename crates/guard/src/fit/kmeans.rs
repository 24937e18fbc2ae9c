//! Centroids of remembered rows.

use bartizan_stats::chance::Chance;

use crate::index::apart;

/// Most centroids.
const CENTROIDS_MAX: usize = 64;
/// Fewest rows for one centroid, in the mean.
const ROWS_PER_CENTROID: usize = 8;
/// Rounds of Lloyd's algorithm.
const ROUNDS: usize = 12;

/// Centroids of `rows` (`width` bytes each), one after the other: S. Lloyd, *Least squares
/// quantization in PCM*, 1982, from rows drawn by `seed`. Cost: rows x 64 x 12 distances.
pub(super) fn centroids(rows: &[u8], width: usize, seed: u64) -> Vec<u8> {
    let n_rows = rows.len() / width;
    let n_centroids = (n_rows / ROWS_PER_CENTROID).min(CENTROIDS_MAX);
    if n_centroids == 0 {
        return Vec::new();
    }
    let row = |at: usize| &rows[at * width..(at + 1) * width];
    let drawn = Chance::new(seed, 2).sample(n_rows, n_centroids);
    let mut centroids: Vec<u8> = drawn.iter().flat_map(|at| row(*at)).copied().collect();
    for _ in 0..ROUNDS {
        let mut sums = vec![0_u64; n_centroids * width];
        let mut counts = vec![0_u64; n_centroids];
        for at in 0..n_rows {
            let nearest = (0..n_centroids)
                .min_by_key(|c| apart(&centroids[c * width..(c + 1) * width], row(at)))
                .unwrap_or(0);
            counts[nearest] += 1;
            let sums = &mut sums[nearest * width..(nearest + 1) * width];
            sums.iter_mut().zip(row(at)).for_each(|(sum, x)| *sum += u64::from(*x));
        }
        for (at, centroid) in centroids.iter_mut().enumerate() {
            let count = counts[at / width];
            if let Some(mean) = (sums[at] + count / 2).checked_div(count) {
                *centroid = mean as u8;
            }
        }
    }
    centroids
}
