//! Who is asking, and the least they may see.
