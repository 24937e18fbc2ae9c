//! Every adapter that reaches outside: clock, entropy, and clients that dial out.
