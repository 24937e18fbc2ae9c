//! Operators of `ai.onnx.ml` that turn values into other values: `LabelEncoder`, `CategoryMapper`,
//! `OneHotEncoder`, `Imputer`, `Binarizer`, `FeatureVectorizer`, `ZipMap`.

use std::collections::HashMap;

use bartizan_core::{Datatype, Values};

use super::labels::{LABEL_BYTES_MAX, Labels};
use crate::native::LoadError;
use crate::native::kernel::{Call, WRONG_TYPE};
use crate::native::node::{Compiled, NodeContext};
use crate::native::shape::{Extent, Shape};

/// A value as a key: floats by their bits, with one zero and one NaN.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Text(Vec<u8>),
    Int(i64),
    Float(u64),
}

fn float_key(value: f64) -> Key {
    let value = if value == 0.0 { 0.0 } else { value };
    Key::Float(if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() })
}

/// The keys of values, where they are of a type that has some.
fn keys(values: &Values) -> Option<Vec<Key>> {
    Some(if let Values::Bytes(v) = values {
        v.iter().map(|text| Key::Text(text.clone())).collect()
    } else if let Values::Int64(v) = values {
        v.iter().map(|x| Key::Int(*x)).collect()
    } else if let Values::Fp32(v) = values {
        v.iter().map(|x| float_key(f64::from(*x))).collect()
    } else if let Values::Fp64(v) = values {
        v.iter().map(|x| float_key(*x)).collect()
    } else {
        return None;
    })
}

/// Keys and values of one table, and what any other key becomes.
fn mapping(
    node: &NodeContext<'_>,
    (from, to): (Values, Values),
    default: Values,
) -> Result<Compiled, LoadError> {
    let n = from.len();
    if to.len() != n || default.len() != 1 || to.datatype() != default.datatype() {
        let n_to = to.len();
        return Err(
            node.fault(format!("{n} keys, {n_to} values and one default do not go together"))
        );
    }
    let input = node.input(0)?;
    if input.datatype != from.datatype() {
        let (found, wanted) = (input.datatype, from.datatype());
        return Err(node.fault(format!("input 0 is {found}, the keys are {wanted}")));
    }
    if let Values::Bytes(texts) = &to
        && texts.iter().any(|text| LABEL_BYTES_MAX < text.len())
    {
        return Err(node.fault(format!("a text is longer than {LABEL_BYTES_MAX} bytes")));
    }
    let Some(keys) = keys(&from) else {
        return Err(node.fault(format!("`native` has no keys of type {}", from.datatype())));
    };
    let mut table = HashMap::with_capacity(n);
    for (position, key) in keys.into_iter().enumerate() {
        table.entry(key).or_insert(position);
    }
    let (shape, datatype) = (input.shape.clone(), to.datatype());
    let cost = shape.row_len() as u64 * 30;
    let bytes = n * 64;
    let run = move |call: &mut Call<'_, '_>| {
        let Some(keys) = self::keys(call.input(0)?) else { return Err(WRONG_TYPE.into()) };
        let found: Vec<Option<usize>> = keys.iter().map(|key| table.get(key).copied()).collect();
        macro_rules! types {
            ($($variant:ident),*) => {
                match (&to, &default) {
                    $((Values::$variant(to), Values::$variant(default)) => {
                        let value = |at: &Option<usize>| at.map_or(&default[0], |at| &to[at]).clone();
                        Values::$variant(found.iter().map(value).collect())
                    })*
                    _ => return Err(WRONG_TYPE.into()),
                }
            };
        }
        let mapped = types!(Bytes, Int64, Fp32, Fp64, Int32, Int16);
        call.put(0, mapped);
        Ok(())
    };
    let compiled = Compiled::function(run, datatype, shape, cost);
    Ok(Compiled { resident_bytes: bytes, ..compiled })
}

fn texts(given: &[&[u8]]) -> Values {
    Values::Bytes(given.iter().map(|text| text.to_vec()).collect())
}

/// Version 1: texts to their positions and back.
pub(crate) fn label_positions(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let classes = texts(node.texts("classes_strings")?);
    let positions = Values::Int64((0..classes.len() as i64).collect());
    let default_text = Values::Bytes(vec![node.text("default_string", "_Unused")?.into()]);
    let default_int = Values::Int64(vec![node.int("default_int64", -1)?]);
    if node.input(0)?.datatype == Datatype::Bytes {
        mapping(node, (classes, positions), default_int)
    } else {
        mapping(node, (positions, classes), default_text)
    }
}

/// From version 2: any keys to any values.
pub(crate) fn label_encoder(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let from = side(node, "keys")?;
    let to = side(node, "values")?;
    let mut default = match node.tensor("default_tensor")? {
        Some(constant) => constant.values,
        None => same_default(node, &to)?,
    };
    // The defaults of other types say nothing.
    node.ignore(&["default_string", "default_int64", "default_float"]);
    if default.len() != 1 {
        default = same_default(node, &to)?;
    }
    mapping(node, (from, to), default)
}

/// Keys or values: whichever list is given.
fn side(node: &mut NodeContext<'_>, name: &str) -> Result<Values, LoadError> {
    let given_texts = node.texts(&format!("{name}_strings"))?;
    let ints = node.ints(&format!("{name}_int64s"))?;
    let floats = node.floats(&format!("{name}_floats"))?;
    let tensor = node.tensor(&format!("{name}_tensor"))?;
    let mut found: Vec<Values> = tensor.map(|constant| constant.values).into_iter().collect();
    if !given_texts.is_empty() {
        found.push(texts(given_texts));
    }
    if !ints.is_empty() {
        found.push(Values::Int64(ints.to_vec()));
    }
    if !floats.is_empty() {
        found.push(Values::Fp32(floats.to_vec()));
    }
    match (found.pop(), found.is_empty()) {
        (Some(values), true) => Ok(values),
        (Some(_) | None, _) => Err(node.fault(format!("one list of {name} must be given"))),
    }
}

fn same_default(node: &mut NodeContext<'_>, to: &Values) -> Result<Values, LoadError> {
    Ok(if matches!(to, Values::Bytes(_)) {
        Values::Bytes(vec![node.text("default_string", "_Unused")?.into()])
    } else if matches!(to, Values::Int64(_)) {
        Values::Int64(vec![node.int("default_int64", -1)?])
    } else if matches!(to, Values::Fp32(_)) {
        // ONNX's default is minus zero.
        Values::Fp32(vec![node.float("default_float", -0.0)?])
    } else {
        return Err(node.fault("`default_tensor` must be given for values of this type"));
    })
}

/// `CategoryMapper`: texts to integers, or integers to texts.
pub(crate) fn category_mapper(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let cats = texts(node.texts("cats_strings")?);
    let ints = Values::Int64(node.ints("cats_int64s")?.to_vec());
    let default_text = Values::Bytes(vec![node.text("default_string", "_Unused")?.into()]);
    let default_int = Values::Int64(vec![node.int("default_int64", -1)?]);
    if node.input(0)?.datatype == Datatype::Bytes {
        mapping(node, (cats, ints), default_int)
    } else {
        mapping(node, (ints, cats), default_text)
    }
}

/// `OneHotEncoder`: a column of zeros and ones for every category.
pub(crate) fn one_hot(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let zeros = node.int("zeros", 1)? != 0;
    let (ints, given) = (node.ints("cats_int64s")?, node.texts("cats_strings")?);
    let input = node.input(0)?;
    let is_text = input.datatype == Datatype::Bytes;
    let cats: Vec<Key> = if is_text {
        given.iter().map(|text| Key::Text(text.to_vec())).collect()
    } else {
        ints.iter().map(|int| Key::Int(*int)).collect()
    };
    if cats.is_empty() || (!ints.is_empty() && !given.is_empty()) {
        return Err(node.fault("there must be categories of the input's type alone"));
    }
    node.check_type(
        0,
        &[Datatype::Bytes, Datatype::Int64, Datatype::Int32, Datatype::Fp32, Datatype::Fp64],
    )?;
    let n_cats = cats.len();
    let mut extents = input.shape.extents().to_vec();
    extents.push(Extent::Fixed(n_cats as u64));
    let shape = node.shape(Shape::new(extents))?;
    let mut table = HashMap::with_capacity(n_cats);
    for (position, cat) in cats.into_iter().enumerate() {
        table.entry(cat).or_insert(position);
    }
    let (cost, bytes) = (input.shape.row_len() as u64 * 30, n_cats * 64);
    let run = move |call: &mut Call<'_, '_>| {
        let keys: Vec<Key> = match call.input(0)? {
            Values::Bytes(v) => v.iter().map(|text| Key::Text(text.clone())).collect(),
            Values::Fp32(v) => v.iter().map(|x| Key::Int(*x as i64)).collect(),
            Values::Fp64(v) => v.iter().map(|x| Key::Int(*x as i64)).collect(),
            _ => call.integers(0)?.iter().map(|x| Key::Int(*x)).collect(),
        };
        let mut hot = vec![0.0_f32; keys.len() * n_cats];
        for (key, row) in keys.iter().zip(hot.chunks_exact_mut(n_cats)) {
            match table.get(key) {
                Some(position) => row[*position] = 1.0,
                None if zeros => {}
                None => return Err("a value is none of the categories".into()),
            }
        }
        call.put(0, Values::Fp32(hot));
        Ok(())
    };
    let compiled = Compiled::function(run, Datatype::Fp32, shape, cost);
    Ok(Compiled { resident_bytes: bytes, ..compiled })
}

/// `Imputer`: another value for one that stands for missing.
pub(crate) fn imputer(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let datatype = node.check_type(0, &[Datatype::Fp32, Datatype::Fp64, Datatype::Int64])?;
    let floats = node.floats("imputed_value_floats")?.to_vec();
    let ints = node.ints("imputed_value_int64s")?.to_vec();
    let (gone, gone_int) =
        (node.float("replaced_value_float", 0.0)?, node.int("replaced_value_int64", 0)?);
    let width = node.width(0)?.max(1);
    let n = if datatype == Datatype::Int64 { ints.len() } else { floats.len() };
    if n != 1 && n != width {
        return Err(node.fault(format!("it has {n} values for {width} columns")));
    }
    let shape = node.input(0)?.shape.clone();
    let cost = shape.row_len() as u64;
    let run = move |call: &mut Call<'_, '_>| {
        let mut values = call.take(0)?;
        match &mut values {
            Values::Fp32(values) => {
                for (at, value) in values.iter_mut().enumerate() {
                    if *value == gone || (value.is_nan() && gone.is_nan()) {
                        *value = floats[at % n];
                    }
                }
            }
            Values::Fp64(values) => {
                for (at, value) in values.iter_mut().enumerate() {
                    if *value == f64::from(gone) || (value.is_nan() && gone.is_nan()) {
                        *value = f64::from(floats[at % n]);
                    }
                }
            }
            Values::Int64(values) => {
                for (at, value) in values.iter_mut().enumerate() {
                    if *value == gone_int {
                        *value = ints[at % n];
                    }
                }
            }
            _ => return Err(WRONG_TYPE.into()),
        }
        call.put(0, values);
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

/// `Binarizer`: 1 above the threshold, else 0.
pub(crate) fn binarizer(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    node.check_type(0, &[Datatype::Fp32])?;
    let threshold = node.float("threshold", 0.0)?;
    let shape = node.input(0)?.shape.clone();
    let cost = shape.row_len() as u64;
    let run = move |call: &mut Call<'_, '_>| {
        let mut values = call.take_f32s(0)?;
        values.iter_mut().for_each(|value| *value = if threshold < *value { 1.0 } else { 0.0 });
        call.put(0, Values::Fp32(values));
        Ok(())
    };
    Ok(Compiled::function(run, Datatype::Fp32, shape, cost))
}

/// `FeatureVectorizer`: columns of several inputs side by side, as 32-bit floats.
pub(crate) fn feature_vectorizer(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let told = node.ints("inputdimensions")?;
    let (mut widths, mut total) = (Vec::new(), 0_usize);
    for position in 0..node.n_inputs() {
        node.check_type(
            position,
            &[Datatype::Fp32, Datatype::Fp64, Datatype::Int64, Datatype::Int32],
        )?;
        let shape = &node.input(position)?.shape;
        let width = if shape.extents().len() == 1 { 1 } else { node.width(position)? };
        if shape.row_len() != width || !shape.is_by_rows() {
            return Err(node.fault(format!("input {position} has shape {shape}, not [rows, n]")));
        }
        if told.get(position).is_some_and(|told| *told != width as i64) {
            return Err(node.fault(format!("`inputdimensions` {told:?} differ from the inputs")));
        }
        total = total.saturating_add(width);
        widths.push(width);
    }
    let rows = node.input(0)?.shape.extents().first().copied();
    let extents = vec![rows.unwrap_or(Extent::Fixed(1)), Extent::Fixed(total as u64)];
    let shape = node.shape(Shape::new(extents))?;
    let cost = total as u64;
    let run = move |call: &mut Call<'_, '_>| {
        let parts: Result<Vec<_>, _> = (0..widths.len()).map(|at| call.rounded(at)).collect();
        let parts = parts?;
        let n_rows = parts.first().map_or(0, |part| part.len() / widths[0].max(1));
        let mut joined = Vec::with_capacity(n_rows * total);
        for row in 0..n_rows {
            for (part, width) in parts.iter().zip(&widths) {
                let Some(part) = part.get(row * width..(row + 1) * width) else {
                    return Err("inputs have different numbers of rows".into());
                };
                joined.extend_from_slice(part);
            }
        }
        call.put(0, Values::Fp32(joined));
        Ok(())
    };
    Ok(Compiled::function(run, Datatype::Fp32, shape, cost))
}

/// `ZipMap`: the scores as they are. A map for every row has no place in a tensor; the names of
/// the classes are in the model's signature instead.
pub(crate) fn zip_map(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let labels = Labels::read(node, "classlabels_int64s", "classlabels_strings")?;
    let datatype = node.check_type(0, &[Datatype::Fp32])?;
    let (shape, width) = (node.input(0)?.shape.clone(), node.width(0)?);
    if labels.len() != width {
        let n = labels.len();
        return Err(node.fault(format!("it has {n} labels for {width} scores")));
    }
    let run = |call: &mut Call<'_, '_>| {
        let values = call.take(0)?;
        call.put(0, values);
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, 0))
}
