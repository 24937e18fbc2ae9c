//! Members of groups and attributes of objects, where they are kept outside of the header: B-trees
//! of both versions.

use std::collections::BTreeSet;

use super::fields::Fields;
use super::heap::Fractal;
use super::{Walk, attribute};
use crate::scope::Scope;
use crate::sighting::Stop;

/// Most nodes of one index.
const NODES_MAX: usize = 100_000;

/// A group of the old kind: a B-tree of nodes of symbols.
pub(super) fn old_group(
    walk: &mut Walk<'_>,
    scope: &mut Scope<'_>,
    body: &mut Fields<'_>,
) -> Result<(), Stop> {
    let Some(root) = body.offset()? else { return Ok(()) };
    let mut left = vec![root];
    let mut met = BTreeSet::new();
    while let Some(at) = left.pop() {
        scope.meter.steps(1)?;
        if !met.insert(at) || NODES_MAX < met.len() {
            return Err(Stop::broken(at, "an index that leads to itself, or is too large"));
        }
        let mark: [u8; 4] = walk.file.view.array(at)?;
        match &mark {
            b"TREE" => {
                let (offset, length) =
                    (walk.file.offset_bytes as u64, walk.file.length_bytes as u64);
                let head_len = 8_u64.saturating_add(offset.saturating_mul(2));
                let head = walk.file.block(at, head_len)?;
                let mut fields = walk.file.fields(&head, at);
                fields.skip(4)?;
                if fields.u8()? != 0 {
                    return Err(Stop::broken(at, "an index of something else"));
                }
                fields.skip(1)?;
                let n = u64::from(fields.u16()?);
                // Siblings are children of the same parent.
                let at = at.saturating_add(head_len);
                let bytes = walk.file.block(at, n.saturating_mul(offset.saturating_add(length)))?;
                let mut fields = walk.file.fields(&bytes, at);
                for _ in 0..n {
                    fields.length()?;
                    left.extend(fields.offset()?);
                }
            }
            b"SNOD" => symbols(walk, at)?,
            _ => return Err(Stop::broken(at, "an index without its mark")),
        }
    }
    Ok(())
}

/// Entries of a node of symbols.
fn symbols(walk: &mut Walk<'_>, at: u64) -> Result<(), Stop> {
    let n = u64::from(walk.file.view.u16(at.saturating_add(6))?);
    let entry = (walk.file.offset_bytes as u64).saturating_mul(2).saturating_add(24);
    let start = at.saturating_add(8);
    let bytes = walk.file.block(start, n.saturating_mul(entry))?;
    let mut headers = Vec::new();
    let mut fields = walk.file.fields(&bytes, start);
    for _ in 0..n {
        let at = fields.at();
        fields.offset()?;
        let header = fields.offset()?;
        let kind = fields.u32()?;
        fields.skip(20)?;
        match kind {
            // Two: a soft link, which has no header.
            0 | 1 => headers.push(header.ok_or(Stop::broken(at, "a member without a header"))?),
            2 => {}
            _ => return Err(Stop::broken(at, "a member of an unknown kind")),
        }
    }
    headers.into_iter().try_for_each(|header| walk.reach(header))
}

/// Where the links of a new group are, if not in its header.
pub(super) fn links(
    walk: &mut Walk<'_>,
    scope: &mut Scope<'_>,
    body: &mut Fields<'_>,
) -> Result<(), Stop> {
    let at = body.at();
    body.skip(1)?;
    if body.u8()? & 1 != 0 {
        body.skip(8)?;
    }
    let (Some(heap), names) = (body.offset()?, body.offset()?) else { return Ok(()) };
    let names = names.ok_or(Stop::broken(at, "links without an index"))?;
    for (bytes, at) in objects(walk, scope, heap, names, 5)? {
        let mut fields = Fields::new(&bytes, at, walk.file.offset_bytes, walk.file.length_bytes);
        walk.link(scope, &mut fields)?;
    }
    Ok(())
}

/// Where the attributes of an object are, if not in its header.
pub(super) fn attributes(
    walk: &Walk<'_>,
    scope: &mut Scope<'_>,
    body: &mut Fields<'_>,
) -> Result<(), Stop> {
    let at = body.at();
    body.skip(1)?;
    if body.u8()? & 1 != 0 {
        body.skip(2)?;
    }
    let (Some(heap), names) = (body.offset()?, body.offset()?) else { return Ok(()) };
    let names = names.ok_or(Stop::broken(at, "attributes without an index"))?;
    for (bytes, at) in objects(walk, scope, heap, names, 8)? {
        let mut fields = walk.file.fields(&bytes, at);
        attribute::read(walk, scope, &mut fields)?;
    }
    Ok(())
}

/// All objects of a heap that an index of names lists. `kind`: 5 links, 8 attributes.
fn objects(
    walk: &Walk<'_>,
    scope: &mut Scope<'_>,
    heap: u64,
    names: u64,
    kind: u8,
) -> Result<Vec<(Vec<u8>, u64)>, Stop> {
    let file = &walk.file;
    let fractal = Fractal::read(file, heap)?;
    let head_len =
        18_u64.saturating_add(file.offset_bytes as u64).saturating_add(file.length_bytes as u64);
    let head = file.block(names, head_len)?;
    let mut fields = file.fields(&head, names);
    if fields.take(4)? != b"BTHD" || fields.u8()? != 0 || fields.u8()? != kind {
        return Err(Stop::broken(names, "an index without its mark"));
    }
    let node_len = u64::from(fields.u32()?);
    let record_len = usize::from(fields.u16()?);
    let depth = fields.u16()?;
    fields.skip(2)?;
    let root = fields.offset()?;
    let n_root = u64::from(fields.u16()?);
    let Some(root) = root else { return Ok(Vec::new()) };
    // The heap's id comes first in attributes' records, after the hash in links'.
    let before = if kind == 5 { 4_usize } else { 0 };
    if record_len < before.saturating_add(fractal.id_len()) || 1 < depth {
        return Err(Stop::Unjudged("deep indexes of names of HDF5"));
    }
    let per_leaf = node_len.saturating_sub(10).checked_div(record_len as u64).unwrap_or(0);
    let count_bits = 64_u32.saturating_sub(per_leaf.leading_zeros());
    let count_len = usize::try_from(count_bits.div_ceil(8)).unwrap_or(8);
    let mut left = vec![(root, n_root, depth)];
    let mut met = BTreeSet::new();
    let mut found = Vec::new();
    while let Some((at, n, depth)) = left.pop() {
        if !met.insert(at) || NODES_MAX < met.len() {
            return Err(Stop::broken(at, "an index that leads to itself, or is too large"));
        }
        let bytes = file.block(at, node_len)?;
        let mut fields = file.fields(&bytes, at);
        let mark: &[u8] = if depth == 0 { b"BTLF" } else { b"BTIN" };
        if fields.take(4)? != mark {
            return Err(Stop::broken(at, "an index without its mark"));
        }
        fields.skip(2)?;
        for _ in 0..n {
            scope.meter.steps(1)?;
            let at = fields.at();
            let record = fields.take(record_len)?;
            let id = record.get(before..before.saturating_add(fractal.id_len())).unwrap_or(&[]);
            found.push(fractal.object(file, id, at)?);
        }
        if depth == 1 {
            for _ in 0..=n {
                let child = fields.offset()?.ok_or(Stop::broken(at, "an index with a gap"))?;
                left.push((child, fields.uint(count_len)?, 0));
            }
        }
    }
    Ok(found)
}
