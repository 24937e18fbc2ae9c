//! The footer of a Parquet file, looked through before the decoder trusts it.
//!
//! The decoder (parquet 59) reserves memory for as many row groups and child columns as a footer
//! claims, and descends as deep as its schema nests; both end the process where the claim is
//! hostile. Here every count is held against the bytes that are there.
//!
//! Source: `parquet.thrift` of apache/parquet-format 2.12.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use super::thrift::{Kind, Shape, ThriftError, Walk};

/// Largest footer, in bytes.
pub(super) const FOOTER_BYTES_MAX: u64 = 16 << 20;
/// Length of what stands behind the footer: its own length, and the magic.
pub(super) const TAIL_BYTES: u64 = 8;
/// Deepest schema: a fixed-size list takes two levels below the root and above its items.
const SCHEMA_DEPTH_MAX: usize = 8;

const I16: Shape = Shape::Plain(Kind::I16);
const I32: Shape = Shape::Plain(Kind::I32);
const I64: Shape = Shape::Plain(Kind::I64);
const BOOL: Shape = Shape::Plain(Kind::Bool);
const BYTE: Shape = Shape::Plain(Kind::Byte);
const DOUBLE: Shape = Shape::Plain(Kind::Double);
const BINARY: Shape = Shape::Plain(Kind::Binary);
const EMPTY: Shape = Shape::Struct(&[]);

const TIME: Shape =
    Shape::Struct(&[(1, BOOL), (2, Shape::Struct(&[(1, EMPTY), (2, EMPTY), (3, EMPTY)]))]);

const LOGICAL_TYPE: Shape = Shape::Struct(&[
    (1, EMPTY),
    (2, EMPTY),
    (3, EMPTY),
    (4, EMPTY),
    (5, Shape::Struct(&[(1, I32), (2, I32)])),
    (6, EMPTY),
    (7, TIME),
    (8, TIME),
    (9, EMPTY),
    (10, Shape::Struct(&[(1, BYTE), (2, BOOL)])),
    (11, EMPTY),
    (12, EMPTY),
    (13, EMPTY),
    (14, EMPTY),
    (15, EMPTY),
    (16, Shape::Struct(&[(1, BYTE)])),
    (17, Shape::Struct(&[(1, BINARY)])),
    (18, Shape::Struct(&[(1, BINARY), (2, I32)])),
]);

/// Fields of a schema element but its number of children, which is looked at.
const SCHEMA_ELEMENT: &[(i16, Shape)] = &[
    (1, I32),
    (2, I32),
    (3, I32),
    (4, BINARY),
    (6, I32),
    (7, I32),
    (8, I32),
    (9, I32),
    (10, LOGICAL_TYPE),
];
const N_CHILDREN: i16 = 5;

const KEY_VALUES: Shape = Shape::List(&Shape::Struct(&[(1, BINARY), (2, BINARY)]));

/// Of pages and of column chunks.
pub(super) const STATISTICS: Shape = Shape::Struct(&[
    (1, BINARY),
    (2, BINARY),
    (3, I64),
    (4, I64),
    (5, BINARY),
    (6, BINARY),
    (7, BOOL),
    (8, BOOL),
]);

const BOUNDING_BOX: Shape = Shape::Struct(&[
    (1, DOUBLE),
    (2, DOUBLE),
    (3, DOUBLE),
    (4, DOUBLE),
    (5, DOUBLE),
    (6, DOUBLE),
    (7, DOUBLE),
    (8, DOUBLE),
]);

const COLUMN_META: Shape = Shape::Struct(&[
    (1, I32),
    (2, Shape::List(&I32)),
    (3, Shape::List(&BINARY)),
    (4, I32),
    (5, I64),
    (6, I64),
    (7, I64),
    (8, KEY_VALUES),
    (9, I64),
    (10, I64),
    (11, I64),
    (12, STATISTICS),
    (13, Shape::List(&Shape::Struct(&[(1, I32), (2, I32), (3, I32)]))),
    (14, I64),
    (15, I32),
    (16, Shape::Struct(&[(1, I64), (2, Shape::List(&I64)), (3, Shape::List(&I64))])),
    (17, Shape::Struct(&[(1, BOUNDING_BOX), (2, Shape::List(&I32))])),
]);

const COLUMN_CHUNK: Shape = Shape::Struct(&[
    (1, BINARY),
    (2, I64),
    (3, COLUMN_META),
    (4, I64),
    (5, I32),
    (6, I64),
    (7, I32),
]);

const ROW_GROUP: Shape = Shape::Struct(&[
    (1, Shape::List(&COLUMN_CHUNK)),
    (2, I64),
    (3, I64),
    (4, Shape::List(&Shape::Struct(&[(1, I32), (2, BOOL), (3, BOOL)]))),
    (5, I64),
    (6, I64),
    (7, I16),
]);

const ROW_GROUPS: Shape = Shape::List(&ROW_GROUP);
const COLUMN_ORDERS: Shape = Shape::List(&Shape::Struct(&[(1, EMPTY)]));

/// Looks a whole footer through.
pub(super) fn check(footer: &[u8]) -> Result<(), ThriftError> {
    let mut walk = Walk::new(footer);
    let mut last = 0;
    let mut has_schema = false;
    while let Some(field) = walk.field(last)? {
        match field.id {
            1 => walk.expect(field, &I32)?,
            2 if field.kind == Kind::List => {
                check_schema(&mut walk)?;
                has_schema = true;
            }
            2 => return Err(ThriftError::Bad("the schema is not a list")),
            3 => walk.expect(field, &I64)?,
            4 => walk.expect(field, &ROW_GROUPS)?,
            5 => walk.expect(field, &KEY_VALUES)?,
            6 => walk.expect(field, &BINARY)?,
            7 => walk.expect(field, &COLUMN_ORDERS)?,
            8 | 9 => return Err(ThriftError::Bad("its columns are encrypted")),
            _ => walk.skip_field(field)?,
        }
        last = field.id;
    }
    if has_schema { Ok(()) } else { Err(ThriftError::Bad("the footer has no schema")) }
}

/// The schema is a tree in preorder, each element with the number of its children.
fn check_schema(walk: &mut Walk<'_>) -> Result<(), ThriftError> {
    let (kind, n) = walk.list()?;
    if n == 0 || kind != Kind::Struct {
        return Err(ThriftError::Bad("the schema is no list of elements"));
    }
    // Children that are still to come, at each level from the root down.
    let mut open: Vec<usize> = Vec::new();
    for idx in 0..n {
        let n_children = schema_element(walk)?;
        let n_after = n.saturating_sub(idx).saturating_sub(1);
        let n_children = match usize::try_from(n_children) {
            Ok(n_children) if n_children <= n_after => n_children,
            _ => return Err(ThriftError::Bad("the schema claims more columns than it has")),
        };
        match open.last_mut() {
            Some(missing) => *missing = missing.saturating_sub(1),
            None if idx == 0 => {}
            None => return Err(ThriftError::Bad("the schema has more than one root")),
        }
        if n_children != 0 {
            open.push(n_children);
        }
        if SCHEMA_DEPTH_MAX < open.len() {
            return Err(ThriftError::Bad("its columns are nested deeper than 8 levels"));
        }
        while open.last() == Some(&0) {
            open.pop();
        }
    }
    if open.is_empty() { Ok(()) } else { Err(ThriftError::Bad("the schema ends too soon")) }
}

fn schema_element(walk: &mut Walk<'_>) -> Result<i32, ThriftError> {
    let (mut last, mut n_children) = (0, 0);
    while let Some(field) = walk.field(last)? {
        match SCHEMA_ELEMENT.iter().find(|(id, _)| *id == field.id) {
            Some((_, shape)) => walk.expect(field, shape)?,
            None if field.id == N_CHILDREN && field.kind == Kind::I32 => {
                n_children = walk.int32()?;
            }
            None if field.id == N_CHILDREN => {
                return Err(ThriftError::Bad("a number of columns is no number"));
            }
            None => walk.skip_field(field)?,
        }
        last = field.id;
    }
    Ok(n_children)
}

#[cfg(test)]
mod tests;
