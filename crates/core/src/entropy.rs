//! The port through which every random byte comes.

/// A source of random bytes. In production it is the operating system, in tests a seed.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` whole. A source that cannot must end the process rather than return: there
    /// is no safe answer without it.
    fn fill(&self, bytes: &mut [u8]);
}

/// `N` fresh random bytes.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}
