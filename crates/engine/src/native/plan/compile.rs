//! Compiling a graph, node by node.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bartizan_core::{Datatype, Values, limits};

use super::order::order;
use super::{Plan, Port, Step, graph_fault};
use crate::native::kernel::{Operand, Slot};
use crate::native::node::{Compiled, Fact, NodeContext, PROBE_ROWS, node_name};
use crate::native::op::labels::LABEL_BYTES_MAX;
use crate::native::operators::{self, Missing, OPERATORS, OperatorInfo};
use crate::native::shape::{Extent, Shape};
use crate::native::{LoadError, LoadLimits};
use crate::onnx::{self, Constant, Model, ValueInfo};

/// Bytes that a text element is counted as: the longest label, and what it is held in.
const TEXT_BYTES: usize = LABEL_BYTES_MAX + size_of::<Vec<u8>>();
/// Constants may grow by this factor of the file when operators are run at load, and this much.
const FOLD_FACTOR: usize = 4;
const FOLD_BYTES: usize = 64 * 1024;

/// Most elements of a computed shape.
const PROBE_ELEMENTS_MAX: usize = 64;

/// A value while the graph is compiled.
struct Known {
    fact: Fact,
    slot: usize,
}

struct Compiler<'m> {
    model: &'m Model<'m>,
    values: HashMap<&'m str, Known>,
    steps: Vec<Step>,
    /// Steps by position, with the operator and the names they give: for missing values.
    flow: Vec<(&'static OperatorInfo, &'m onnx::Node<'m>)>,
    constants: Vec<(usize, Arc<Constant>)>,
    n_slots: usize,
    classes: Vec<Vec<String>>,
    row_cost_ns: u64,
    resident_bytes: usize,
    fold_bytes_left: usize,
    bytes_per_row: usize,
    bytes_per_run: usize,
}

/// Compiles `model`, read from a file of `file_bytes` bytes.
pub(crate) fn compile(
    model: &Model<'_>,
    file_bytes: usize,
    limits: &LoadLimits,
) -> Result<Plan, LoadError> {
    for (domain, version) in &model.opsets {
        operators::check_opset(domain, *version)?;
    }
    let order = order(&model.graph)?;
    let mut compiler = Compiler {
        model,
        values: HashMap::new(),
        steps: Vec::new(),
        flow: Vec::new(),
        constants: Vec::new(),
        n_slots: 0,
        classes: Vec::new(),
        row_cost_ns: 0,
        resident_bytes: 0,
        fold_bytes_left: file_bytes.saturating_mul(FOLD_FACTOR).saturating_add(FOLD_BYTES),
        bytes_per_row: 0,
        bytes_per_run: 0,
    };
    compiler.initializers()?;
    let inputs = compiler.inputs()?;
    for position in order {
        compiler.node(position)?;
    }
    let mut plan = compiler.finish(inputs)?;
    plan.mark_last_uses();
    if limits.resident_bytes_max < plan.resident_bytes {
        let (bytes, limit) = (plan.resident_bytes, limits.resident_bytes_max);
        return Err(LoadError::TooLarge { bytes, limit });
    }
    Ok(plan)
}

impl<'m> Compiler<'m> {
    fn slot(&mut self) -> usize {
        self.n_slots += 1;
        self.n_slots - 1
    }

    fn insert(&mut self, name: &'m str, fact: Fact) -> Result<usize, LoadError> {
        let slot = self.slot();
        if let Some(constant) = &fact.constant {
            self.resident_bytes += values_bytes(&constant.values);
            self.constants.push((slot, Arc::clone(constant)));
        }
        if self.values.insert(name, Known { fact, slot }).is_some() {
            return Err(graph_fault(format!("two values have the name `{name}`")));
        }
        Ok(slot)
    }

    fn initializers(&mut self) -> Result<(), LoadError> {
        for raw in &self.model.graph.initializers {
            let constant = raw.to_constant()?;
            let shape = Shape::fixed(&constant.dims)
                .map_err(|reason| graph_fault(format!("tensor `{}`: {reason}", raw.name)))?;
            let datatype = constant.values.datatype();
            let fact = Fact { datatype, shape, constant: Some(Arc::new(constant)), probes: None };
            self.insert(raw.name, fact)?;
        }
        Ok(())
    }

    /// Inputs that are not merely defaults, as older files list them.
    fn inputs(&mut self) -> Result<Vec<Port>, LoadError> {
        let model = self.model;
        let mut ports: Vec<Port> = Vec::new();
        for info in &model.graph.inputs {
            if self.values.get(info.name).is_some_and(|known| known.fact.constant.is_some()) {
                continue;
            }
            let (datatype, shape) = input_type(info)?;
            let fact = Fact { datatype, shape: shape.clone(), constant: None, probes: None };
            let slot = self.insert(info.name, fact)?;
            let name = info.name.to_owned();
            ports.push(Port { name, slot, datatype, shape, copes_with_missing: false });
        }
        let first = |port: &Port| port.shape.extents().first().copied();
        let differs = |port: &Port| first(port) != ports.first().and_then(first);
        if let Some(other) = ports.iter().find(|port| differs(port)) {
            let name = &other.name;
            let reason = format!("input `{name}` has another number of rows than the first one");
            return Err(graph_fault(reason));
        }
        if ports.is_empty() || limits::TENSORS_MAX < ports.len() {
            let (n, max) = (ports.len(), limits::TENSORS_MAX);
            return Err(graph_fault(format!("it has {n} inputs, there must be 1 to {max}")));
        }
        Ok(ports)
    }

    fn node(&mut self, position: usize) -> Result<(), LoadError> {
        let model = self.model;
        let node = &model.graph.nodes[position];
        let info = find(model, position)?;
        let (facts, operands) = self.inputs_of(node, position)?;
        let given: Vec<&Fact> = facts.iter().flatten().copied().collect();
        let constants: Option<Vec<_>> = given.iter().map(|fact| fact.constant.clone()).collect();
        let probes = PROBE_ROWS.map(|rows| probe_inputs(&given, rows, false));
        let shapes = PROBE_ROWS.map(|rows| probe_inputs(&given, rows, true));
        let mut context = NodeContext::new(node, position, facts);
        let compiled = (info.compile)(&mut context)?;
        context.finish()?;
        if compiled.outputs.len() < node.outputs.len() {
            return Err(context.fault("it has more outputs than the operator gives"));
        }
        let Compiled { kernel, outputs, row_cost_ns, resident_bytes, classes, by_shape } = compiled;
        self.resident_bytes += resident_bytes;
        let inputs = operands.into_boxed_slice();
        let mut step = Step {
            kernel,
            inputs,
            outputs: Box::default(),
            shapes: outputs.iter().map(|(_, shape)| shape.clone()).collect(),
            info,
            node: node_name(node, position),
            row_cost_ns,
        };
        let cost: usize = outputs.iter().map(|(datatype, shape)| bytes(*datatype, shape)).sum();
        if let Some(constants) = constants
            && cost <= self.fold_bytes_left
        {
            self.fold_bytes_left -= cost;
            return self.fold(node, step, outputs, &constants);
        }
        let known = if by_shape { shapes } else { probes };
        let probes = probe(&mut step, &outputs, &known)?;
        if let Some([one, some, many]) = &probes
            && one == some
            && one == many
        {
            // It does not depend on the rows after all.
            let constant = Some(Arc::clone(one));
            if let (Some(name), Some((datatype, shape))) =
                (node.outputs.first(), outputs.into_iter().next())
            {
                self.insert(name, Fact { datatype, shape, constant, probes: None })?;
            }
            return Ok(());
        }
        step.outputs = self.outputs_of(node, outputs, probes.as_ref())?;
        self.row_cost_ns = self.row_cost_ns.saturating_add(row_cost_ns);
        self.classes.extend(classes.filter(|classes| !classes.is_empty()));
        self.steps.push(step);
        self.flow.push((info, node));
        Ok(())
    }

    /// What is known of a node's inputs, and where they are.
    #[expect(clippy::type_complexity, reason = "two lists, side by side")]
    fn inputs_of(
        &self,
        node: &'m onnx::Node<'m>,
        position: usize,
    ) -> Result<(Vec<Option<&Fact>>, Vec<Option<Operand>>), LoadError> {
        let mut facts = Vec::with_capacity(node.inputs.len());
        let mut operands = Vec::with_capacity(node.inputs.len());
        for name in &node.inputs {
            if name.is_empty() {
                facts.push(None);
                operands.push(None);
                continue;
            }
            let Some(known) = self.values.get(name) else {
                let node = node_name(node, position);
                return Err(graph_fault(format!("node `{node}` needs `{name}`, which is nowhere")));
            };
            facts.push(Some(&known.fact));
            operands.push(Some(Operand { slot: known.slot, last_use: false }));
        }
        Ok((facts, operands))
    }

    /// Places for a node's outputs, whose memory is counted.
    fn outputs_of(
        &mut self,
        node: &'m onnx::Node<'m>,
        outputs: Vec<(Datatype, Shape)>,
        probes: Option<&[Arc<Constant>; PROBE_ROWS.len()]>,
    ) -> Result<Box<[Option<usize>]>, LoadError> {
        let mut slots = Vec::with_capacity(outputs.len());
        for (position, (datatype, shape)) in outputs.into_iter().enumerate() {
            // Counted twice: some kernels work on a copy.
            let cost = bytes(datatype, &shape).saturating_mul(2);
            let per = match shape.rows_axis() {
                Some(_) => &mut self.bytes_per_row,
                None => &mut self.bytes_per_run,
            };
            *per = per.saturating_add(cost);
            let name = node.outputs.get(position).copied().filter(|name| !name.is_empty());
            slots.push(match name {
                Some(name) => {
                    let probes = probes.cloned();
                    Some(self.insert(name, Fact { datatype, shape, constant: None, probes })?)
                }
                None => None,
            });
        }
        Ok(slots.into_boxed_slice())
    }

    /// Runs a step that depends on no input, now and never again. `constants` are its inputs, the
    /// absent ones left out.
    fn fold(
        &mut self,
        node: &'m onnx::Node<'m>,
        mut step: Step,
        outputs: Vec<(Datatype, Shape)>,
        constants: &[Arc<Constant>],
    ) -> Result<(), LoadError> {
        let computed = run_once(&mut step, constants, outputs.len(), 1)?;
        for ((name, (datatype, shape)), values) in node.outputs.iter().zip(outputs).zip(computed) {
            let Some(values) = values else { continue };
            if !name.is_empty() {
                let constant = Some(Arc::new(Constant { dims: shape.at(1), values }));
                self.insert(name, Fact { datatype, shape, constant, probes: None })?;
            }
        }
        Ok(())
    }

    fn finish(mut self, mut inputs: Vec<Port>) -> Result<Plan, LoadError> {
        let graph = &self.model.graph;
        let n_outputs = graph.outputs.len();
        if n_outputs == 0 || limits::TENSORS_MAX < n_outputs {
            let max = limits::TENSORS_MAX;
            return Err(graph_fault(format!(
                "it has {n_outputs} outputs, there must be 1 to {max}"
            )));
        }
        let by_rows = inputs.iter().any(|port| port.shape.rows_axis().is_some());
        let mut outputs: Vec<Port> = Vec::with_capacity(n_outputs);
        for info in &graph.outputs {
            let Some(known) = self.values.get(info.name) else {
                return Err(graph_fault(format!("output `{}` is computed by no node", info.name)));
            };
            let (datatype, shape) = (known.fact.datatype, by_rows_shape(&known.fact.shape)?);
            check_output(info, datatype, &shape, by_rows)?;
            if outputs.iter().any(|other| other.name == info.name) {
                return Err(graph_fault(format!("output `{}` is there twice", info.name)));
            }
            let (name, slot) = (info.name.to_owned(), known.slot);
            outputs.push(Port { name, slot, datatype, shape, copes_with_missing: false });
        }
        for port in &mut inputs {
            port.copes_with_missing = self.copes(&port.name);
        }
        let classes = match self.classes.len() {
            1 => self.classes.swap_remove(0),
            // None, or several classifiers of which none speaks for the model.
            _ => Vec::new(),
        };
        Ok(Plan {
            steps: self.steps,
            constants: self.constants,
            n_slots: self.n_slots,
            inputs,
            outputs,
            classes,
            row_cost_ns: self.row_cost_ns,
            resident_bytes: self.resident_bytes,
            bytes_per_row: self.bytes_per_row,
            bytes_per_run: self.bytes_per_run,
        })
    }

    /// Whether every node that reads `name` copes with missing values, and some node does.
    fn copes(&self, name: &str) -> bool {
        let mut carriers = HashSet::from([name]);
        let mut someone = false;
        for (info, node) in &self.flow {
            if !node.inputs.iter().any(|input| carriers.contains(input)) {
                continue;
            }
            match info.missing {
                Missing::Copes => someone = true,
                Missing::PassesOn => carriers.extend(node.outputs.iter().copied()),
                Missing::Spoils => return false,
            }
        }
        let is_output =
            |carrier: &&str| self.model.graph.outputs.iter().any(|output| output.name == *carrier);
        someone && !carriers.iter().any(is_output)
    }
}

/// Runs a step on `constants`, its inputs without the absent ones, and gives what it puts.
fn run_once(
    step: &mut Step,
    constants: &[Arc<Constant>],
    n_outputs: usize,
    rows: usize,
) -> Result<Vec<Option<Values>>, LoadError> {
    let n_inputs = constants.len();
    let (inputs, outputs) = (step.inputs.clone(), std::mem::take(&mut step.outputs));
    for (slot, operand) in step.inputs.iter_mut().flatten().enumerate() {
        operand.slot = slot;
    }
    step.outputs = (n_inputs..n_inputs + n_outputs).map(Some).collect();
    let mut slots: Vec<_> = constants.iter().map(|constant| Slot::Lent(&constant.values)).collect();
    slots.resize_with(n_inputs + n_outputs, || Slot::Empty);
    step.run(rows, &mut slots).map_err(|error| graph_fault(error.to_string()))?;
    (step.inputs, step.outputs) = (inputs, outputs);
    let computed = slots.drain(n_inputs..).map(|slot| match slot {
        Slot::Owned(values) => Some(values),
        Slot::Empty | Slot::Lent(_) => None,
    });
    Ok(computed.collect())
}

/// Inputs of a node for `rows` rows, where they depend on nothing else; where only shapes count,
/// values are left out.
fn probe_inputs(facts: &[&Fact], rows: usize, shapes_only: bool) -> Option<Vec<Arc<Constant>>> {
    let at = PROBE_ROWS.iter().position(|probe| *probe == rows)?;
    let known = |fact: &&Fact| match (&fact.constant, &fact.probes) {
        (Some(constant), _) => Some(Arc::clone(constant)),
        (None, Some(probes)) => Some(Arc::clone(&probes[at])),
        (None, None) if shapes_only => {
            Some(Arc::new(Constant { dims: fact.shape.at(rows), values: Values::Bool(Vec::new()) }))
        }
        (None, None) => None,
    };
    facts.iter().map(known).collect()
}

/// What a step gives for each of [`PROBE_ROWS`], where that depends on nothing else and is a
/// computed shape: one small tensor of integers.
fn probe(
    step: &mut Step,
    outputs: &[(Datatype, Shape)],
    known: &[Option<Vec<Arc<Constant>>>; PROBE_ROWS.len()],
) -> Result<Option<[Arc<Constant>; PROBE_ROWS.len()]>, LoadError> {
    let [(datatype, shape)] = outputs else { return Ok(None) };
    let is_shape =
        matches!(datatype, Datatype::Int64 | Datatype::Int32 | Datatype::Bool | Datatype::Fp32)
            && shape.rows_axis().is_none()
            && shape.row_len() <= PROBE_ELEMENTS_MAX;
    let [Some(one), Some(some), Some(many)] = known else { return Ok(None) };
    if !is_shape {
        return Ok(None);
    }
    let mut found = Vec::with_capacity(PROBE_ROWS.len());
    for (inputs, rows) in [one, some, many].into_iter().zip(PROBE_ROWS) {
        let Some(values) = run_once(step, inputs, 1, rows)?.into_iter().next().flatten() else {
            return Ok(None);
        };
        found.push(Arc::new(Constant { dims: shape.at(rows), values }));
    }
    Ok(<[_; PROBE_ROWS.len()]>::try_from(found).ok())
}

/// The operator of node `position`, in the version that the model imports.
fn find<'m>(model: &'m Model<'m>, position: usize) -> Result<&'static OperatorInfo, LoadError> {
    let node = &model.graph.nodes[position];
    let opset = model.opsets.get(node.domain).copied();
    let domain = operators::domain_name(node.domain);
    let Some(opset) = opset else {
        let name = node_name(node, position);
        return Err(graph_fault(format!(
            "node `{name}` is of domain `{domain}`, which the model does not import"
        )));
    };
    if let Some(info) = operators::find(node.domain, node.op, opset) {
        return Ok(info);
    }
    let known = OPERATORS.iter().filter(|info| (info.domain, info.name) == (node.domain, node.op));
    let versions: Vec<_> = known.map(|info| format!("{} to {}", info.since, info.until)).collect();
    Err(LoadError::Operator {
        operator: node.op.into(),
        domain: domain.into(),
        opset,
        node: node_name(node, position),
        versions: versions.join(", "),
    })
}

fn input_type(info: &ValueInfo<'_>) -> Result<(Datatype, Shape), LoadError> {
    let fault = |reason: &str| graph_fault(format!("input `{}` {reason}", info.name));
    let Some(elem_type) = info.elem_type else { return Err(fault("is not a tensor")) };
    let Some(datatype) = onnx::datatype(elem_type) else {
        return Err(fault(&format!("has element type {elem_type}, which is not read")));
    };
    let Some(dims) = &info.shape else {
        return Err(fault("has no shape; export the model with one"));
    };
    let mut extents = Vec::with_capacity(dims.len());
    for (axis, dim) in dims.iter().enumerate() {
        extents.push(match (axis, dim.map(u64::try_from)) {
            (_, Some(Ok(dim))) => Extent::Fixed(dim),
            // An unknown dimension has a name, nothing, or (older exporters) -1.
            (0, None | Some(Err(_))) => Extent::Rows(1),
            (axis, None | Some(Err(_))) => {
                return Err(fault(&format!(
                    "has an open dimension {axis}; `native` needs all but the first one fixed: \
                     export the model with its number of columns"
                )));
            }
        });
    }
    if extents.is_empty() {
        return Err(fault("is a scalar; `native` needs a first dimension that counts rows"));
    }
    let shape = Shape::new(extents).map_err(|reason| fault(&reason))?;
    Ok((datatype, shape))
}

/// `shape` without the ones before its rows: exporters write `[1, rows]` for a column of labels.
fn by_rows_shape(shape: &Shape) -> Result<Shape, LoadError> {
    let extents = shape.extents();
    let ones = match shape.rows_axis() {
        Some(axis) if shape.is_by_rows() => axis,
        Some(_) | None => 0,
    };
    Shape::new(extents[ones..].to_vec()).map_err(graph_fault)
}

fn check_output(
    info: &ValueInfo<'_>,
    datatype: Datatype,
    shape: &Shape,
    by_rows: bool,
) -> Result<(), LoadError> {
    let fault = |reason: String| graph_fault(format!("output `{}` {reason}", info.name));
    if info.elem_type.and_then(onnx::datatype).is_some_and(|told| told != datatype) {
        return Err(fault(format!("is {datatype}, the graph says otherwise")));
    }
    if by_rows && shape.extents().first() != Some(&Extent::Rows(1)) {
        return Err(fault(format!("has shape {shape}; its first dimension must count rows")));
    }
    Ok(())
}

fn bytes(datatype: Datatype, shape: &Shape) -> usize {
    let width = if datatype == Datatype::Bytes { TEXT_BYTES } else { datatype.width() };
    shape.row_len().saturating_mul(width)
}

fn values_bytes(values: &Values) -> usize {
    match values {
        Values::Bytes(texts) => {
            texts.iter().map(|text| text.len() + size_of::<Vec<u8>>()).sum::<usize>()
        }
        Values::Bool(_)
        | Values::Uint8(_)
        | Values::Uint16(_)
        | Values::Uint32(_)
        | Values::Uint64(_)
        | Values::Int8(_)
        | Values::Int16(_)
        | Values::Int32(_)
        | Values::Int64(_)
        | Values::Fp16(_)
        | Values::Bf16(_)
        | Values::Fp32(_)
        | Values::Fp64(_) => values.len() * values.datatype().width(),
    }
}
