//! Which training rows look planted, and the reader of files of rows.
