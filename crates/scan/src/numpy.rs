//! NumPy's `.npy`, versions 1 to 3: a literal header, then raw elements or a pickle of objects.

use crate::literal::{Literal, parse};
use crate::pickle::{self, DType, dtype_of};
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::{Format, Reader};
use crate::source::Stream;

/// Longest header, in bytes; `numpy.lib.format` refuses more than 10,000 unless told otherwise.
const HEADER_BYTES_MAX: u32 = 1024 * 1024;
/// Most dimensions (numpy 2: `NPY_MAXDIMS`).
const DIMS_MAX: usize = 64;

pub(crate) const FORMAT: Format =
    Format { name: "npy", claims: |head| head.starts(b"\x93NUMPY"), reader: Reader::Forward(read) };

fn read(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    let [_, _, _, _, _, _, major, minor] = stream.array()?;
    let len = match (major, minor) {
        (1, 0) => u32::from(u16::from_le_bytes(stream.array()?)),
        (2 | 3, 0) => u32::from_le_bytes(stream.array()?),
        _ => return Err(Stop::broken(6, "an unknown version of the format")),
    };
    if HEADER_BYTES_MAX < len {
        return Err(Stop::Budget("header bytes"));
    }
    let header = stream.take(usize::try_from(len).unwrap_or(usize::MAX))?;
    // Versions 1 and 2 are Latin-1; what differs from UTF-8 there can only be field names.
    let header = String::from_utf8_lossy(header).into_owned();
    let Some((dtype, count)) = understand(&header) else {
        scope.report(&rules::NUMPY_HEADER, 8, "the header is not the literal that NumPy writes");
        return Err(Stop::Unjudged("an array whose header is not understood"));
    };
    if dtype.has_object != Some(false) {
        return pickle::read(scope, stream);
    }
    let bytes = dtype.item_bytes.checked_mul(count).ok_or(Stop::broken(8, "it is too large"))?;
    stream.skip(bytes)?;
    if !stream.peek(1)?.is_empty() {
        scope.report(&rules::FILE_TRAILING, stream.offset(), "bytes follow the array");
    }
    Ok(())
}

/// Element type and number of elements: the three keys that NumPy writes and no others.
fn understand(header: &str) -> Option<(DType, u64)> {
    let Literal::Dict(pairs) = parse(header)? else { return None };
    let (mut dtype, mut count, mut order) = (None, None, None);
    for (key, value) in &pairs {
        let Literal::Text(key) = key else { return None };
        match (&**key, value) {
            ("descr", descr) if dtype.is_none() => dtype = Some(of_descr(descr)?),
            ("fortran_order", Literal::Bool(value)) if order.is_none() => order = Some(*value),
            ("shape", Literal::Tuple(dims)) if count.is_none() && dims.len() <= DIMS_MAX => {
                count = Some(elements(dims)?);
            }
            _ => return None,
        }
    }
    order?;
    Some((dtype?, count?))
}

fn elements(dims: &[Literal]) -> Option<u64> {
    dims.iter().try_fold(1_u64, |count, dim| match dim {
        Literal::Int(dim) => count.checked_mul(*dim),
        Literal::None
        | Literal::Bool(_)
        | Literal::Text(_)
        | Literal::List(_)
        | Literal::Tuple(_)
        | Literal::Dict(_) => None,
    })
}

/// A type code, or a list of `(name, type[, shape])` fields; names may be `(title, name)`.
fn of_descr(descr: &Literal) -> Option<DType> {
    match descr {
        Literal::Text(code) => {
            dtype_of(code).filter(|dtype| dtype.kind != b'?' || dtype.item_bytes == 1)
        }
        Literal::List(fields) => {
            let mut whole = DType { kind: b'V', item_bytes: 0, has_object: Some(false) };
            for field in fields {
                let Literal::Tuple(parts) = field else { return None };
                let (inner, count) = match parts.as_slice() {
                    [_, inner] => (inner, 1),
                    [_, inner, Literal::Tuple(dims)] => (inner, elements(dims)?),
                    [_, inner, Literal::Int(n)] => (inner, *n),
                    _ => return None,
                };
                let inner = of_descr(inner)?;
                let bytes = inner.item_bytes.checked_mul(count)?;
                whole.item_bytes = whole.item_bytes.checked_add(bytes)?;
                if inner.has_object != Some(false) {
                    whole.has_object = inner.has_object;
                }
            }
            Some(whole)
        }
        // (base, shape): a subarray, or a type with metadata.
        Literal::Tuple(parts) => match parts.as_slice() {
            [inner, Literal::Tuple(dims)] => {
                let inner = of_descr(inner)?;
                let item_bytes = inner.item_bytes.checked_mul(elements(dims)?)?;
                Some(DType { item_bytes, ..inner })
            }
            _ => None,
        },
        Literal::None | Literal::Bool(_) | Literal::Int(_) | Literal::Dict(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::Verdict;
    use crate::testing::{has, scan};

    fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x93];
        bytes.extend_from_slice(b"NUMPY");
        bytes.extend([version, 0]);
        if version == 1 {
            bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        } else {
            bytes.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
        }
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    /// Raw elements must be as many as the header says; objects are judged as the pickle they are
    /// (CVE-2019-6446).
    #[test]
    fn arrays_are_measured_and_objects_are_judged() {
        let header = "{'descr': [('a', '<f8'), ('b', '<i4', (2,))], 'fortran_order': False, 'shape': (3,), }\n";
        for version in 1..=3 {
            let good = npy(version, header, &[0; 48]);
            assert_eq!(scan(&good).verdict, Verdict::Cleared, "{:?}", scan(&good).sightings);
            assert_eq!(scan(&npy(version, header, &[0; 47])).verdict, Verdict::NotCleared);
            assert!(has(&scan(&npy(version, header, &[0; 49])), "scan.file.trailing"));
        }
        let objects = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n";
        let report = scan(&npy(1, objects, b"cos\nsystem\n(S'id'\ntR."));
        assert_eq!(report.verdict, Verdict::Hostile);
        assert!(has(&report, "scan.pickle.call"));
        let odd = "{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,), }\n";
        assert!(has(&scan(&npy(1, odd, &[0; 8])), "scan.numpy.header"));
    }
}
