//! What every adapter of the port `Predictor` must do: one suite for all.
//!
//! An adapter's tests call [`check`] with a model and inputs that fit it.

use std::thread;

use bartizan_core::predictor::Dim;
use bartizan_core::tensor::Datatype;
use bartizan_core::{PredictError, Predictor, Tensor, Values};

/// Batch sizes into which the inputs are split.
const SPLITS: &[usize] = &[1, 2, 3, 7, 8, 9, 16, 63, 64, 65];
/// Threads that call at once.
const THREADS: usize = 4;

/// Runs the whole suite. `inputs` fit the signature and have at least 2 rows.
///
/// # Errors
/// The first promise that is broken, in words.
pub fn check(model: &dyn Predictor, inputs: &[Tensor]) -> Result<(), String> {
    let whole = predict(model, inputs)?;
    outputs_agree_with_the_signature(model, inputs, &whole)?;
    wrong_inputs_are_refused(model, inputs)?;
    for _ in 0..3 {
        equal("a repeated call", &whole, &predict(model, inputs)?)?;
    }
    if model.is_row_invariant() {
        splits_give_the_same_bytes(model, inputs, &whole)?;
        order_changes_no_row(model, inputs, &whole)?;
    }
    threads_give_the_same_bytes(model, inputs, &whole)?;
    if model.recipe().engine.is_empty() || model.recipe().version.is_empty() {
        return Err("the recipe does not name engine and version".into());
    }
    if model.resident_bytes() == 0 || model.row_cost_ns() == 0 {
        return Err("memory or cost is said to be nothing".into());
    }
    Ok(())
}

fn predict(model: &dyn Predictor, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    model.predict(inputs).map_err(|error| format!("inputs that fit were refused: {error}"))
}

fn outputs_agree_with_the_signature(
    model: &dyn Predictor,
    inputs: &[Tensor],
    outputs: &[Tensor],
) -> Result<(), String> {
    let signature = model.signature();
    if outputs.len() != signature.outputs.len() {
        return Err(format!("{} outputs, the signature has another number", outputs.len()));
    }
    let rows = inputs.first().map_or(0, Tensor::n_rows);
    for (tensor, spec) in outputs.iter().zip(&signature.outputs) {
        let fits = |(position, dim): (usize, &Dim)| {
            let found = tensor.shape().get(position).copied();
            match dim {
                Dim::Fixed(n) => found == Some(*n),
                Dim::Any => found.is_some() && (position != 0 || found == Some(rows as u64)),
            }
        };
        let is_shaped =
            tensor.shape().len() == spec.shape.len() && spec.shape.iter().enumerate().all(fits);
        if tensor.name() != spec.name || tensor.datatype() != spec.datatype || !is_shaped {
            let (name, shape) = (tensor.name(), tensor.shape());
            return Err(format!("output `{name}` {shape:?} is not what the signature says"));
        }
    }
    Ok(())
}

fn wrong_inputs_are_refused(model: &dyn Predictor, inputs: &[Tensor]) -> Result<(), String> {
    let mut wrong: Vec<(&str, Vec<Tensor>)> = vec![("no inputs", Vec::new())];
    let Some((first, rest)) = inputs.split_first() else { return Err("no inputs given".into()) };
    let with = |tensor: Tensor| {
        let mut tensors = vec![tensor];
        tensors.extend_from_slice(rest);
        tensors
    };
    let rebuilt = |name: &str, shape: Vec<u64>, values: Values| {
        Tensor::new(name, shape, values).map_err(|error| error.to_string())
    };
    let (name, shape, values) = (first.name(), first.shape().to_vec(), first.values().clone());
    let mut twice = inputs.to_vec();
    twice.push(first.clone());
    wrong.push(("one input too many", twice));
    wrong.push(("another name", with(rebuilt("no-such-input", shape.clone(), values.clone())?)));
    let other = if first.datatype() == Datatype::Uint8 {
        Values::Bool(vec![true; values.len()])
    } else {
        Values::Uint8(vec![1; values.len()])
    };
    wrong.push(("another type", with(rebuilt(name, shape.clone(), other)?)));
    let mut longer = shape.clone();
    longer.push(1);
    wrong.push(("one dimension too many", with(rebuilt(name, longer, values.clone())?)));
    wrong.push(("no dimension", with(rebuilt(name, Vec::new(), part(&values, 0..1))?)));
    let spec = model.signature().inputs.first();
    if spec.is_some_and(|spec| matches!(spec.shape.last(), Some(Dim::Fixed(2..)))) {
        let rows = first.n_rows();
        let mut narrow = vec![1; shape.len()];
        narrow[0] = rows as u64;
        let one_each = Tensor::new(name, narrow, part(&values, 0..rows));
        wrong.push(("too few columns", with(one_each.map_err(|error| error.to_string())?)));
    }
    if let Some(second) = rest.first() {
        let mut uneven = inputs.to_vec();
        uneven[1] = rows_of(second, 0..1)?;
        wrong.push(("inputs of several lengths", uneven));
    }
    for (what, tensors) in wrong {
        match model.predict(&tensors) {
            Err(PredictError::Inputs { reason }) if !reason.is_empty() => {}
            Err(error) => return Err(format!("{what}: refused as something else: {error}")),
            Ok(_) => return Err(format!("{what}: not refused")),
        }
    }
    Ok(())
}

fn splits_give_the_same_bytes(
    model: &dyn Predictor,
    inputs: &[Tensor],
    whole: &[Tensor],
) -> Result<(), String> {
    let n_rows = inputs.first().map_or(0, Tensor::n_rows);
    for size in SPLITS {
        let mut start = 0;
        while start < n_rows {
            let range = start..n_rows.min(start + size);
            let part: Result<Vec<_>, _> =
                inputs.iter().map(|tensor| rows_of(tensor, range.clone())).collect();
            let expected: Result<Vec<_>, _> =
                whole.iter().map(|tensor| rows_of(tensor, range.clone())).collect();
            let what = format!("rows {range:?} alone");
            equal(&what, &expected?, &predict(model, &part?)?)?;
            start = range.end;
        }
    }
    Ok(())
}

/// Rows in reverse, and the whole batch twice over.
fn order_changes_no_row(
    model: &dyn Predictor,
    inputs: &[Tensor],
    whole: &[Tensor],
) -> Result<(), String> {
    let n_rows = inputs.first().map_or(0, Tensor::n_rows);
    let reversed: Vec<usize> = (0..n_rows).rev().collect();
    let doubled: Vec<usize> = (0..n_rows).chain(0..n_rows).collect();
    for (what, order) in [("rows in reverse", reversed), ("the batch twice over", doubled)] {
        let ordered = |tensors: &[Tensor]| -> Result<Vec<_>, String> {
            tensors.iter().map(|tensor| in_order(tensor, &order)).collect()
        };
        equal(what, &ordered(whole)?, &predict(model, &ordered(inputs)?)?)?;
    }
    Ok(())
}

/// Rows of a tensor in another order.
fn in_order(tensor: &Tensor, order: &[usize]) -> Result<Tensor, String> {
    let rows: Result<Vec<_>, _> = order.iter().map(|row| rows_of(tensor, *row..row + 1)).collect();
    let mut rows = rows?.into_iter();
    let Some(first) = rows.next() else { return Ok(tensor.clone()) };
    let mut values = first.values().clone();
    for row in rows {
        append(&mut values, row.values())?;
    }
    let mut shape = tensor.shape().to_vec();
    shape[0] = order.len() as u64;
    Tensor::new(tensor.name(), shape, values).map_err(|error| error.to_string())
}

fn append(into: &mut Values, more: &Values) -> Result<(), String> {
    macro_rules! types {
        ($($variant:ident)*) => {
            match (into, more) {
                $((Values::$variant(into), Values::$variant(more)) => into.extend_from_slice(more),)*
                _ => return Err("rows of one tensor have different types".into()),
            }
        };
    }
    types!(Bool Uint8 Uint16 Uint32 Uint64 Int8 Int16 Int32 Int64 Fp16 Bf16 Fp32 Fp64 Bytes);
    Ok(())
}

fn threads_give_the_same_bytes(
    model: &dyn Predictor,
    inputs: &[Tensor],
    whole: &[Tensor],
) -> Result<(), String> {
    thread::scope(|scope| {
        let call = || predict(model, inputs).and_then(|found| equal("a thread", whole, &found));
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(call)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    })
}

/// Compares by canonical bytes, which is how answers are recorded.
fn equal(what: &str, expected: &[Tensor], found: &[Tensor]) -> Result<(), String> {
    for (a, b) in expected.iter().zip(found) {
        let bytes = |tensor: &Tensor| {
            let mut bytes = Vec::new();
            tensor.values().canonical(0..tensor.values().len(), &mut bytes);
            bytes
        };
        if a.shape() != b.shape() || bytes(a) != bytes(b) {
            return Err(format!("{what}: output `{}` has other bytes", a.name()));
        }
    }
    Ok(())
}

/// Rows `range` of a tensor.
fn rows_of(tensor: &Tensor, range: std::ops::Range<usize>) -> Result<Tensor, String> {
    let mut shape = tensor.shape().to_vec();
    let Some(rows) = shape.first_mut() else { return Err("a tensor without rows".into()) };
    *rows = range.len() as u64;
    let len = tensor.row_len();
    let values = part(tensor.values(), range.start * len..range.end * len);
    Tensor::new(tensor.name(), shape, values).map_err(|error| error.to_string())
}

fn part(values: &Values, range: std::ops::Range<usize>) -> Values {
    match values {
        Values::Bool(v) => Values::Bool(v[range].to_vec()),
        Values::Uint8(v) => Values::Uint8(v[range].to_vec()),
        Values::Uint16(v) => Values::Uint16(v[range].to_vec()),
        Values::Uint32(v) => Values::Uint32(v[range].to_vec()),
        Values::Uint64(v) => Values::Uint64(v[range].to_vec()),
        Values::Int8(v) => Values::Int8(v[range].to_vec()),
        Values::Int16(v) => Values::Int16(v[range].to_vec()),
        Values::Int32(v) => Values::Int32(v[range].to_vec()),
        Values::Int64(v) => Values::Int64(v[range].to_vec()),
        Values::Fp16(v) => Values::Fp16(v[range].to_vec()),
        Values::Bf16(v) => Values::Bf16(v[range].to_vec()),
        Values::Fp32(v) => Values::Fp32(v[range].to_vec()),
        Values::Fp64(v) => Values::Fp64(v[range].to_vec()),
        Values::Bytes(v) => Values::Bytes(v[range].to_vec()),
    }
}
