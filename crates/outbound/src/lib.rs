//! Every adapter that reaches outside the process: the system's clock and entropy now, clients
//! that dial out as they come.

pub mod clock;
pub mod entropy;
pub mod https;
mod kernel_time;

pub use clock::OsClock;
pub use entropy::OsEntropy;
