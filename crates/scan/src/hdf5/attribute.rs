//! Attributes: the texts that they hold are configurations, or pickles of PyTables.

use super::Walk;
use super::fields::Fields;
use super::heap;
use crate::config;
use crate::engine;
use crate::escape;
use crate::pickle;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::Head;
use crate::source::View;

/// Most texts of one attribute that are looked at, and most bytes of one.
const TEXTS_MAX: usize = 4096;

/// Reads one attribute message.
pub(super) fn read(
    walk: &Walk<'_>,
    scope: &mut Scope<'_>,
    body: &mut Fields<'_>,
) -> Result<(), Stop> {
    let at = body.at();
    let version = body.u8()?;
    let flags = body.u8()?;
    let [name_len, type_len, space_len] =
        [usize::from(body.u16()?), usize::from(body.u16()?), usize::from(body.u16()?)];
    let (name, kind) = match version {
        1 => {
            let name = body.padded(name_len)?;
            let kind = body.padded(type_len)?;
            body.padded(space_len)?;
            (name, kind)
        }
        2 | 3 => {
            if version == 3 {
                body.skip(1)?;
            }
            let name = body.take(name_len)?;
            let kind = body.take(type_len)?;
            body.take(space_len)?;
            (name, kind)
        }
        _ => return Err(Stop::broken(at, "an attribute of an unknown version")),
    };
    let name = name.split(|byte| *byte == 0).next().unwrap_or(&[]);
    let name = String::from_utf8_lossy(name).into_owned();
    if 2 <= version && flags & 3 != 0 {
        let what = format!("attribute `{}` is of a shared type", escape::text(&name));
        scope.report(&rules::FILE_IDENTIFIED, at, what);
        return Ok(());
    }
    values(walk, scope, &name, kind, body)
}

/// H3
fn values(
    walk: &Walk<'_>,
    scope: &mut Scope<'_>,
    name: &str,
    kind: &[u8],
    body: &mut Fields<'_>,
) -> Result<(), Stop> {
    let &[class_version, bits, _, _, s0, s1, s2, s3, ..] = kind else {
        return Err(Stop::broken(body.at(), "a type of data is cut off"));
    };
    let size = usize::try_from(u32::from_le_bytes([s0, s1, s2, s3])).unwrap_or(0);
    match class_version & 0x0f {
        // Texts, opaque bytes, and characters as numbers of one byte.
        3 | 5 if size > 0 => {
            for text in body.rest().chunks(size).take(TEXTS_MAX) {
                judge(scope, name, text, body.at())?;
            }
            if size.saturating_mul(TEXTS_MAX) < body.left() {
                return Err(Stop::Budget("texts of an attribute"));
            }
        }
        0 if size == 1 => judge(scope, name, body.rest(), body.at())?,
        9 => {
            // A sequence of what is no text may be bytes all the same.
            let item = kind.get(8..).unwrap_or(&[]);
            let is_bytes = bits & 0x0f == 1
                || matches!(item, [inner, _, _, _, 1, 0, 0, 0, ..] if inner & 0x0f == 0);
            if !is_bytes {
                return Ok(());
            }
            let mut n = 0_usize;
            while 0 < body.left() {
                n = n.saturating_add(1);
                if TEXTS_MAX < n {
                    return Err(Stop::Budget("texts of an attribute"));
                }
                let at = body.at();
                let len = body.u32()?;
                let heap_at = body.offset()?;
                let index = body.u32()?;
                if let Some(heap_at) = heap_at.filter(|heap_at| *heap_at != 0 && len > 0) {
                    let text = heap::global(&walk.file, heap_at, index)?;
                    judge(scope, name, &text, at)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn judge(scope: &mut Scope<'_>, name: &str, text: &[u8], at: u64) -> Result<(), Stop> {
    let end = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
    let text = text.get(..end).unwrap_or(text);
    if name == "PSEUDOATOM" && text.starts_with(b"object") {
        scope.report(&rules::FILE_IDENTIFIED, at, "an array of pickled objects, as PyTables loads");
    }
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_config = matches!(name, "model_config" | "training_config");
    if is_config || first == Some(&b'{') {
        let done = config::judge_json(scope, text.to_vec());
        // A text that is no JSON matters where a reader takes it as JSON.
        return if is_config { done } else { Ok(()) };
    }
    let bytes = text.to_vec();
    let view = View::whole(&bytes);
    let head = Head { bytes: text, len: Some(text.len() as u64), view: Some(&view) };
    if text.len() > 2 && pickle::claims(&head) {
        return scope.within(name, |scope| engine::read_view(scope, &view));
    }
    Ok(())
}
