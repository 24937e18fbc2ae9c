//! Tests of the walk through protocol buffers.

use super::*;
use crate::budget::{Budget, Meter};
use crate::testing::Still;
use crate::testing::build::{bytes, number, varint};
use crate::{Allow, Alone};

static OUTER: Schema = Schema {
    name: "Outer",
    fields: &[
        once(1, Kind::Varint),
        many(2, Kind::Bytes),
        once(3, Kind::Message(&OUTER)),
        many(4, Kind::Text),
    ],
};

/// Notes each field that it is shown.
#[derive(Default)]
struct Notes(Vec<(u32, u64)>);

impl Visit for Notes {
    fn leave(&mut self, _: &mut Scope<'_>, _: &'static Schema, _: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn field(
        &mut self,
        _scope: &mut Scope<'_>,
        _schema: &'static Schema,
        number: u32,
        value: Value<'_>,
        _at: u64,
    ) -> Result<(), Stop> {
        self.0.push(match value {
            Value::Number(value) => (number, value),
            Value::Bytes(bytes) => (number, bytes.view.len()),
        });
        Ok(())
    }
}

/// What was seen, how it ended, and how many sightings there were.
fn walked(file: Vec<u8>) -> (Vec<(u32, u64)>, Result<(), Stop>, usize) {
    let allow = Allow::new();
    let meter = Meter::new(Budget::default(), &Still);
    let mut scope = Scope::new(&allow, &meter, &Alone);
    let mut notes = Notes::default();
    let done = walk(&mut scope, &View::whole(&file), &OUTER, &mut notes);
    (notes.0, done, scope.finish().1.len())
}

/// B1: a field that is there twice is visited twice and said; so are unknown numbers and types.
#[test]
fn every_occurrence_is_visited_and_what_readers_merge_is_said() {
    let file = [number(1, 5), number(1, 6), bytes(2, "ab"), bytes(3, bytes(2, "c"))].concat();
    assert_eq!(walked(file), (vec![(1, 5), (1, 6), (2, 2), (2, 1)], Ok(()), 1));
    for odd in [bytes(9, "x"), number(2, 1), bytes(1, "x"), bytes(4, "a\u{1}")] {
        let (_, done, n) = walked(odd);
        assert_eq!((done, n), (Ok(()), 1));
    }
    assert_eq!(walked(bytes(4, "a\n")).2, 0);
}

/// B2: nests, groups, lengths and numbers that are made to overflow end in an error.
#[test]
fn claims_beyond_the_bytes_are_refused() {
    let mut deep = number(1, 1);
    for _ in 0..DEPTH_MAX {
        deep = bytes(3, deep);
    }
    assert_eq!(walked(deep).1, Err(Stop::Budget("depth of messages")));
    let long = [varint(2 << 3 | 2), varint(u64::MAX)].concat();
    let inner = bytes(3, [varint(2 << 3 | 2), varint(9), b"123".to_vec()].concat());
    for bad in
        [long, inner, vec![0x0b], vec![0x02, 0], vec![0x08; 1], [&[0x08][..], &[0xff; 11]].concat()]
    {
        assert!(walked(bad).1.is_err());
    }
}
