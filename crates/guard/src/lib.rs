//! Is this request sane?
