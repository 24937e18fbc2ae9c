//! Bounds that more than one crate must agree on. A bound of one crate lives there.

/// Longest record, in bytes: what an entry bundle of a transparency log can carry (C2SP
/// tlog-tiles gives an entry a 16-bit length).
pub const RECORD_BYTES_MAX: usize = 65_535;
/// Most findings that one record names; the rest are counted exactly.
pub const FINDINGS_MAX: usize = 64;
/// Most tensors in one request or reply.
pub const TENSORS_MAX: usize = 64;
/// Most dimensions of a tensor.
pub const DIMS_MAX: usize = 8;
/// Most elements in all tensors of one request.
pub const ELEMENTS_MAX: usize = 16 * 1024 * 1024;
/// Most rows in one request, unless a contract says fewer.
pub const ROWS_MAX: u64 = 65_536;
/// Longest request body, in bytes, unless the configuration says otherwise.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest text that a caller may assert about a request (subject, end user, purpose,
/// correlation id), in bytes.
pub const ASSERTED_BYTES_MAX: usize = 256;
/// Most cells of a row that get a commitment each; a longer row is committed to whole.
pub const CELLS_PER_ROW_MAX: usize = 256;
