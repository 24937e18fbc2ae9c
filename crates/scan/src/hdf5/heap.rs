//! Heaps: texts of varying length (global), names of old groups (not needed), and the fractal heap
//! of new groups and attributes.

use super::File;
use crate::sighting::Stop;

/// Most bytes of a collection of the global heap, or of a text in it.
const COLLECTION_BYTES_MAX: u64 = 12 * 1024 * 1024;
/// Most blocks inside each other in a fractal heap.
const DEPTH_MAX: u32 = 8;

/// Object `index` of the collection at `at`.
pub(super) fn global(file: &File<'_>, at: u64, index: u32) -> Result<Vec<u8>, Stop> {
    let head_len = 8_u64.saturating_add(file.length_bytes as u64);
    let head = file.block(at, head_len)?;
    let mut fields = file.fields(&head, at);
    if fields.take(4)? != b"GCOL" {
        return Err(Stop::broken(at, "a heap without its mark"));
    }
    fields.skip(4)?;
    let size = fields.length()?;
    let body_len =
        size.checked_sub(head_len).ok_or(Stop::broken(at, "a heap that is too small"))?;
    let bytes = file.view.bytes(at.saturating_add(head_len), body_len, COLLECTION_BYTES_MAX)?;
    let mut fields = file.fields(&bytes, at.saturating_add(head_len));
    while 8_usize.saturating_add(file.length_bytes) <= fields.left() {
        let found = fields.u16()?;
        fields.skip(6)?;
        let len = usize::try_from(fields.length()?).unwrap_or(usize::MAX);
        if found == 0 {
            break;
        }
        let object = fields.take(len)?;
        if u32::from(found) == index {
            return Ok(object.to_vec());
        }
        let padding = len.next_multiple_of(8).saturating_sub(len);
        fields.skip(padding.min(fields.left()))?;
    }
    Err(Stop::broken(at, "a text is not in its heap"))
}

/// A fractal heap.
pub(super) struct Fractal {
    id_len: usize,
    /// Bytes of an offset in the heap, and of a length.
    offset_len: usize,
    length_len: usize,
    width: u64,
    start: u64,
    direct_max: u64,
    root: u64,
    rows: u64,
}

impl Fractal {
    pub(super) fn read(file: &File<'_>, at: u64) -> Result<Self, Stop> {
        let len = 22_u64
            .saturating_add((file.length_bytes as u64).saturating_mul(12))
            .saturating_add((file.offset_bytes as u64).saturating_mul(3));
        let bytes = file.block(at, len)?;
        let mut fields = file.fields(&bytes, at);
        if fields.take(5)? != b"FRHP\0" {
            return Err(Stop::broken(at, "a heap without its mark"));
        }
        let id_len = usize::from(fields.u16()?);
        if fields.u16()? != 0 {
            return Err(Stop::Unjudged("heaps with filters of HDF5"));
        }
        fields.skip(1)?;
        let object_max = u64::from(fields.u32()?);
        fields.length()?;
        fields.offset()?;
        fields.length()?;
        fields.offset()?;
        for _ in 0..8 {
            fields.length()?;
        }
        let width = u64::from(fields.u16()?);
        let start = fields.length()?;
        let direct_max = fields.length()?;
        let bits = u64::from(fields.u16()?);
        fields.skip(2)?;
        let root = fields.offset()?.ok_or(Stop::broken(at, "a heap without blocks"))?;
        let rows = u64::from(fields.u16()?);
        let is_sane =
            start.is_power_of_two() && direct_max.is_power_of_two() && start <= direct_max;
        if !is_sane || width == 0 || 64 < bits || bits == 0 || rows > 128 {
            return Err(Stop::broken(at, "a heap with impossible sizes"));
        }
        let offset_len = usize::try_from(bits.div_ceil(8)).unwrap_or(8);
        let size = object_max.min(direct_max);
        let length_bits = 64_u32.saturating_sub(size.leading_zeros());
        let length_len = usize::try_from(length_bits.div_ceil(8)).unwrap_or(8);
        Ok(Self { id_len, offset_len, length_len, width, start, direct_max, root, rows })
    }

    pub(super) fn id_len(&self) -> usize {
        self.id_len
    }

    /// The object of an id, and where it is.
    pub(super) fn object(
        &self,
        file: &File<'_>,
        id: &[u8],
        at: u64,
    ) -> Result<(Vec<u8>, u64), Stop> {
        let mut fields = file.fields(id, at);
        match fields.u8()? & 0x30 {
            0 => {}
            0x20 => return Ok((fields.rest().to_vec(), at)),
            _ => return Err(Stop::Unjudged("huge objects of HDF5")),
        }
        let offset = fields.uint(self.offset_len)?;
        let len = fields.uint(self.length_len)?;
        let place = self.place(file, offset)?;
        Ok((file.block(place, len)?, place))
    }

    /// Bytes of a block in a row.
    fn block_size(&self, row: u64) -> Option<u64> {
        self.start.checked_shl(u32::try_from(row.saturating_sub(1)).ok()?)
    }

    /// Address in the file of an offset in the heap.
    fn place(&self, file: &File<'_>, offset: u64) -> Result<u64, Stop> {
        let mut block = self.root;
        let mut rows = self.rows;
        let mut inside = offset;
        let broken = Stop::broken(self.root, "an object lies outside its heap");
        for _ in 0..DEPTH_MAX {
            if rows == 0 {
                return block.checked_add(inside).ok_or(broken);
            }
            let mut row = 0_u64;
            let mut size = self.block_size(0).ok_or(broken.clone())?;
            let mut children = 0_u64;
            // The row in which it lies.
            loop {
                let row_size = size.checked_mul(self.width).ok_or(broken.clone())?;
                if inside < row_size {
                    break;
                }
                inside = inside.saturating_sub(row_size);
                children = children.saturating_add(self.width);
                row = row.checked_add(1).filter(|row| *row < rows).ok_or(broken.clone())?;
                size = self.block_size(row).ok_or(broken.clone())?;
            }
            let column = inside.checked_div(size).unwrap_or(0);
            inside = inside.checked_rem(size).unwrap_or(0);
            let head = 5_u64
                .saturating_add(file.offset_bytes as u64)
                .saturating_add(self.offset_len as u64);
            let entry = block.saturating_add(head).saturating_add(
                children.saturating_add(column).saturating_mul(file.offset_bytes as u64),
            );
            let bytes = file.block(entry, file.offset_bytes as u64)?;
            block = file.fields(&bytes, entry).offset()?.ok_or(broken.clone())?;
            // A block that is larger than direct ones is a table of rows of its own.
            rows = if size <= self.direct_max {
                0
            } else {
                let first = self.start.checked_mul(self.width).ok_or(broken.clone())?;
                let ratio = size.checked_div(first).unwrap_or(0);
                u64::from(ratio.checked_ilog2().ok_or(broken.clone())?).saturating_add(1)
            };
        }
        Err(Stop::Budget("depth of a heap of HDF5"))
    }
}
