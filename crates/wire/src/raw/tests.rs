//! Raw bytes, both ways, and every length that is not the right one.

use proptest::prelude::*;

use super::*;

fn bits(values: &Values) -> Vec<u8> {
    let mut out = Vec::new();
    write(values, &mut out);
    out
}

/// B1 for every type, with the patterns that arithmetic would change.
#[test]
fn every_type_survives_raw_bytes() {
    let odd = f32::from_bits(0xffc1_2345);
    let all = [
        Values::Bool(vec![true, false]),
        Values::Uint8(vec![0, 255]),
        Values::Uint16(vec![1, u16::MAX]),
        Values::Uint32(vec![1, u32::MAX]),
        Values::Uint64(vec![1, u64::MAX]),
        Values::Int8(vec![-128, 127]),
        Values::Int16(vec![i16::MIN, i16::MAX]),
        Values::Int32(vec![i32::MIN, i32::MAX]),
        Values::Int64(vec![i64::MIN, i64::MAX]),
        Values::Fp16(vec![0x7e01, 0x8000]),
        Values::Bf16(vec![0x7fc1, 0x8000]),
        Values::Fp32(vec![odd, -0.0]),
        Values::Fp64(vec![f64::MIN_POSITIVE / 4.0, f64::INFINITY]),
        Values::Bytes(vec![b"".to_vec(), vec![0, 255]]),
    ];
    assert_eq!(all.len(), Datatype::ALL.len());
    for values in all {
        let bytes = bits(&values);
        assert_eq!(bytes.len(), len(&values));
        let back = read(values.datatype(), 2, &bytes).unwrap();
        assert_eq!((back.datatype(), bits(&back)), (values.datatype(), bytes));
    }
}

#[test]
fn a_wrong_length_is_refused_from_both_sides() {
    for datatype in Datatype::ALL.iter().filter(|datatype| **datatype != Datatype::Bytes) {
        let right = 3 * datatype.width();
        let bytes = vec![0; right + 1];
        assert!(read(*datatype, 3, &bytes[..right]).is_ok());
        assert!(read(*datatype, 3, &bytes[..right - 1]).is_err(), "{datatype} took too few");
        assert!(read(*datatype, 3, &bytes).is_err(), "{datatype} took too many");
    }
    assert!(read(Datatype::Bool, 1, &[2]).is_err());
}

#[test]
fn a_bytes_tensor_ends_where_its_lengths_say() {
    let good = [1, 0, 0, 0, b'a', 0, 0, 0, 0];
    assert_eq!(read(Datatype::Bytes, 2, &good).unwrap(), Values::Bytes(vec![b"a".into(), vec![]]));
    for (n_values, bytes) in [
        (1, good.as_slice()),
        (3, good.as_slice()),
        (2, &good[..8]),
        (1, &[2, 0, 0, 0, b'a']),
        (1, &[255, 255, 255, 255, b'a']),
        (usize::MAX, &[]),
    ] {
        assert!(read(Datatype::Bytes, n_values, bytes).is_err(), "took {n_values} of {bytes:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever bytes there are: what is taken is written back as it was (B1).
    #[test]
    fn what_is_read_is_written_the_same(
        idx in 0..Datatype::ALL.len(), n_values in 0_usize..9, bytes in prop::collection::vec(any::<u8>(), 0..64)
    ) {
        if let Ok(values) = read(Datatype::ALL[idx], n_values, &bytes) {
            prop_assert_eq!(values.len(), n_values);
            prop_assert_eq!(bits(&values), bytes);
        }
    }
}
