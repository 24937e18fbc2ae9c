//! Every adapter that reaches outside the process: the system's clock and entropy now, clients
//! that dial out as they come.

pub mod clock;
pub mod cosigning;
pub mod entropy;
pub mod https;
pub mod issuer_keys;
mod kernel_time;
pub mod shared_folder;
pub mod stamps;
#[cfg(test)]
mod testing;
pub mod upstream;
pub mod witness;

pub use clock::OsClock;
pub use entropy::OsEntropy;
