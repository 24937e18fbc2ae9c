//! A node while it is compiled: its attributes, its inputs' facts, and errors that name it.

use std::sync::Arc;

use bartizan_core::{Datatype, Values};

use super::LoadError;
use super::kernel::{Call, Fault, Function, Kernel};
use super::shape::Shape;
use crate::onnx::{AttributeValue, Constant, Node};

/// What is known of a value at load.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) datatype: Datatype,
    pub(crate) shape: Shape,
    /// Its values, where they do not depend on the inputs.
    pub(crate) constant: Option<Arc<Constant>>,
    /// Its values for each number of rows in [`PROBE_ROWS`], where they depend on that alone:
    /// shapes that are computed.
    pub(crate) probes: Option<[Arc<Constant>; PROBE_ROWS.len()]>,
}

/// Numbers of rows for which a computed shape is evaluated: enough to tell a number from a
/// multiple of the rows.
pub(crate) const PROBE_ROWS: [usize; 3] = [1, 1_009, 2_003];

/// One dimension of a shape that a graph computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A number, -1 and 0 included.
    Number(i64),
    /// This many times the number of rows.
    Rows(u64),
}

/// What a node became.
pub(crate) struct Compiled {
    pub(crate) kernel: Box<dyn Kernel>,
    /// Type and shape of every output.
    pub(crate) outputs: Vec<(Datatype, Shape)>,
    /// Rough cost of one row, in nanoseconds.
    pub(crate) row_cost_ns: u64,
    /// Memory that the kernel holds, in bytes.
    pub(crate) resident_bytes: usize,
    /// Names of the classes, where the node is a classifier.
    pub(crate) classes: Option<Vec<String>>,
    /// The result depends on the shapes of the inputs alone, not on their values.
    pub(crate) by_shape: bool,
}

impl Compiled {
    /// A node that is a function, with one output and nothing to hold.
    pub(crate) fn function<F>(function: F, datatype: Datatype, shape: Shape, cost: u64) -> Self
    where
        F: Fn(&mut Call<'_, '_>) -> Result<(), Fault> + Send + Sync + 'static,
    {
        Self::plain(Function(function), datatype, shape, cost)
    }

    /// A node with several outputs.
    pub(crate) fn several(
        kernel: impl Kernel + 'static,
        outputs: Vec<(Datatype, Shape)>,
        row_cost_ns: u64,
    ) -> Self {
        let kernel = Box::new(kernel);
        Self { kernel, outputs, row_cost_ns, resident_bytes: 0, classes: None, by_shape: false }
    }

    /// A node with one output and nothing to hold.
    pub(crate) fn plain(
        kernel: impl Kernel + 'static,
        datatype: Datatype,
        shape: Shape,
        row_cost_ns: u64,
    ) -> Self {
        Self::several(kernel, vec![(datatype, shape)], row_cost_ns)
    }
}

/// A node and what is known of its inputs.
pub(crate) struct NodeContext<'m> {
    node: &'m Node<'m>,
    position: usize,
    inputs: Vec<Option<&'m Fact>>,
    used: Vec<bool>,
}

impl<'m> NodeContext<'m> {
    pub(crate) fn new(node: &'m Node<'m>, position: usize, inputs: Vec<Option<&'m Fact>>) -> Self {
        Self { node, position, inputs, used: vec![false; node.attributes.len()] }
    }

    /// An error that names this node.
    pub(crate) fn fault(&self, reason: impl Into<String>) -> LoadError {
        let (operator, node) = (self.node.op.into(), node_name(self.node, self.position));
        LoadError::Node { operator, node, reason: reason.into() }
    }

    fn attribute(&mut self, name: &str) -> Option<&'m AttributeValue<'m>> {
        let found = self.node.attributes.iter().position(|attribute| attribute.name == name)?;
        self.used[found] = true;
        Some(&self.node.attributes[found].value)
    }

    fn wrong(&self, name: &str, wanted: &str) -> LoadError {
        self.fault(format!("attribute `{name}` must be {wanted}"))
    }

    pub(crate) fn int(&mut self, name: &str, default: i64) -> Result<i64, LoadError> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::Int(value)) => Ok(*value),
            Some(_) => Err(self.wrong(name, "an integer")),
        }
    }

    pub(crate) fn float(&mut self, name: &str, default: f32) -> Result<f32, LoadError> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::Float(value)) => Ok(*value),
            Some(_) => Err(self.wrong(name, "a float")),
        }
    }

    /// Empty where it is absent.
    pub(crate) fn floats(&mut self, name: &str) -> Result<&'m [f32], LoadError> {
        match self.attribute(name) {
            None => Ok(&[]),
            Some(AttributeValue::Floats(values)) => Ok(values),
            Some(_) => Err(self.wrong(name, "a list of floats")),
        }
    }

    /// Empty where it is absent.
    pub(crate) fn ints(&mut self, name: &str) -> Result<&'m [i64], LoadError> {
        match self.attribute(name) {
            None => Ok(&[]),
            Some(AttributeValue::Ints(values)) => Ok(values),
            Some(_) => Err(self.wrong(name, "a list of integers")),
        }
    }

    /// Empty where it is absent.
    pub(crate) fn texts(&mut self, name: &str) -> Result<&'m [&'m [u8]], LoadError> {
        match self.attribute(name) {
            None => Ok(&[]),
            Some(AttributeValue::Texts(values)) => Ok(values),
            Some(_) => Err(self.wrong(name, "a list of strings")),
        }
    }

    pub(crate) fn text(&mut self, name: &str, default: &'static str) -> Result<&'m str, LoadError> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::Text(bytes)) => {
                std::str::from_utf8(bytes).map_err(|_| self.wrong(name, "UTF-8"))
            }
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    pub(crate) fn tensor(&mut self, name: &str) -> Result<Option<Constant>, LoadError> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Tensor(raw)) => Ok(Some(raw.to_constant()?)),
            Some(_) => Err(self.wrong(name, "a tensor")),
        }
    }

    /// Marks attributes that say nothing about the result.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.attribute(name);
        }
    }

    /// An error where the node has an attribute that nobody asked for: it might change the result.
    pub(crate) fn finish(&self) -> Result<(), LoadError> {
        match self.used.iter().position(|used| !used) {
            None => Ok(()),
            Some(position) => {
                let name = self.node.attributes[position].name;
                Err(self.fault(format!("attribute `{name}` is not supported by `native`")))
            }
        }
    }

    pub(crate) fn n_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Facts of input `position`, which must be there.
    pub(crate) fn input(&self, position: usize) -> Result<&'m Fact, LoadError> {
        match self.optional(position) {
            Some(fact) => Ok(fact),
            None => Err(self.fault(format!("input {position} is missing"))),
        }
    }

    /// Facts of input `position`, if it is there.
    pub(crate) fn optional(&self, position: usize) -> Option<&'m Fact> {
        self.inputs.get(position).copied().flatten()
    }

    /// Values of input `position`, which must not depend on the model's inputs.
    pub(crate) fn constant(&self, position: usize) -> Result<&'m Arc<Constant>, LoadError> {
        match &self.input(position)?.constant {
            Some(constant) => Ok(constant),
            None => Err(self.fault(format!("input {position} must be a constant"))),
        }
    }

    /// Values of input `position`, which must be constant integers.
    pub(crate) fn numbers(&self, position: usize) -> Result<Vec<i64>, LoadError> {
        integers(&self.constant(position)?.values)
            .ok_or_else(|| self.fault(format!("input {position} must be INT64 or INT32")))
    }

    /// Values of input `position`, which must be integers that depend on the number of rows at
    /// most.
    pub(crate) fn dims(&self, position: usize) -> Result<Vec<Told>, LoadError> {
        let fact = self.input(position)?;
        if fact.constant.is_some() {
            return Ok(self.numbers(position)?.into_iter().map(Told::Number).collect());
        }
        let none = || self.fault(format!("input {position} must not depend on values"));
        let probes = fact.probes.as_ref().ok_or_else(none)?;
        let [one, some, many] = probes.each_ref().map(|probe| integers(&probe.values));
        let (Some(one), Some(some), Some(many)) = (one, some, many) else {
            return Err(self.fault(format!("input {position} must be INT64")));
        };
        let told = |((one, some), many): ((&i64, &i64), &i64)| {
            let times = |rows: usize| one.checked_mul(rows as i64);
            let told = match u64::try_from(*one) {
                _ if one == some && one == many => Told::Number(*one),
                Ok(n)
                    if times(PROBE_ROWS[1]) == Some(*some)
                        && times(PROBE_ROWS[2]) == Some(*many) =>
                {
                    Told::Rows(n)
                }
                Ok(_) | Err(_) => return None,
            };
            Some(told)
        };
        let dims: Option<Vec<_>> = one.iter().zip(&some).zip(&many).map(told).collect();
        dims.ok_or_else(|| {
            self.fault(format!("input {position} is no multiple of the number of rows"))
        })
    }

    /// Axes of input 0 given by attribute `name` or, where there is one, by input `position`:
    /// from the front, in order, each once. `None` where they are not given.
    pub(crate) fn axes(&mut self, position: usize) -> Result<Option<Vec<usize>>, LoadError> {
        let mut axes = self.ints("axes")?.to_vec();
        let is_given = self.has("axes") || self.optional(position).is_some();
        if self.optional(position).is_some() {
            axes = self.numbers(position)?;
        }
        let shape = &self.input(0)?.shape;
        let found: Option<Vec<usize>> = axes.iter().map(|axis| shape.axis(*axis)).collect();
        let Some(mut found) = found else {
            return Err(self.fault(format!("an axis of {axes:?} is not one of {shape}")));
        };
        found.sort_unstable();
        found.dedup();
        Ok(if is_given { Some(found) } else { None })
    }

    /// Whether the attribute is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.node.attributes.iter().any(|attribute| attribute.name == name)
    }

    /// Number of outputs that the graph names.
    pub(crate) fn n_outputs(&self) -> usize {
        self.node.outputs.len()
    }

    /// The axis `axis` of `shape`, which must not be the rows.
    pub(crate) fn fixed_axis(&self, shape: &Shape, axis: i64) -> Result<usize, LoadError> {
        match shape.axis(axis) {
            Some(axis) if !shape.extents()[axis].is_rows() => Ok(axis),
            Some(_) => Err(self.fault(format!("`axis` {axis} of {shape} would mix rows"))),
            None => Err(self.fault(format!("`axis` {axis} is not one of {shape}"))),
        }
    }

    /// The last dimension of input `position`, which must not be the rows.
    pub(crate) fn width(&self, position: usize) -> Result<usize, LoadError> {
        let shape = &self.input(position)?.shape;
        shape.last().ok_or_else(|| {
            self.fault(format!("input {position} has shape {shape}, its columns must be fixed"))
        })
    }

    /// A shape, or the error that names this node.
    pub(crate) fn shape(&self, shape: Result<Shape, String>) -> Result<Shape, LoadError> {
        shape.map_err(|reason| self.fault(reason))
    }

    /// An error unless the type of input `position` is one of `types`.
    pub(crate) fn check_type(
        &self,
        position: usize,
        types: &[Datatype],
    ) -> Result<Datatype, LoadError> {
        let found = self.input(position)?.datatype;
        if types.contains(&found) {
            return Ok(found);
        }
        let names: Vec<_> = types.iter().map(|datatype| datatype.as_str()).collect();
        let wanted = names.join(", ");
        Err(self.fault(format!("input {position} is {found}, `native` takes {wanted}")))
    }
}

fn integers(values: &Values) -> Option<Vec<i64>> {
    if let Values::Int64(values) = values {
        return Some(values.clone());
    }
    if let Values::Int32(values) = values {
        return Some(values.iter().copied().map(i64::from).collect());
    }
    None
}

/// The node's name, or its position where it has none.
pub(crate) fn node_name(node: &Node<'_>, position: usize) -> String {
    if node.name.is_empty() { format!("#{position}") } else { node.name.into() }
}
