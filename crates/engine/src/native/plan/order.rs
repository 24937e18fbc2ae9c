//! The order in which a graph's nodes are compiled and run.

use std::collections::HashMap;

use super::graph_fault;
use crate::native::LoadError;
use crate::native::node::node_name;
use crate::onnx::Graph;

/// Positions of the nodes that the outputs need, each after those it needs itself.
pub(super) fn order(graph: &Graph<'_>) -> Result<Vec<usize>, LoadError> {
    let mut producer = HashMap::new();
    for (position, node) in graph.nodes.iter().enumerate() {
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            if producer.insert(*name, position).is_some() {
                return Err(graph_fault(format!("two nodes give the value `{name}`")));
            }
        }
    }
    let given = graph.inputs.iter().map(|input| input.name);
    for name in given.chain(graph.initializers.iter().map(|tensor| tensor.name)) {
        if producer.contains_key(name) {
            return Err(graph_fault(format!("`{name}` is given and computed by a node too")));
        }
    }
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut state = vec![State::New; graph.nodes.len()];
    let mut order = Vec::new();
    // Depth first, on a stack of our own: a node and how many of its inputs were followed.
    let mut stack: Vec<(usize, usize)> = Vec::new();
    for output in &graph.outputs {
        stack.extend(producer.get(output.name).map(|position| (*position, 0)));
        while let Some((position, followed)) = stack.last_mut() {
            if *followed == 0 && state[*position] == State::Done {
                stack.pop();
                continue;
            }
            state[*position] = State::Open;
            let node = &graph.nodes[*position];
            let Some(name) = node.inputs.get(*followed) else {
                state[*position] = State::Done;
                order.push(*position);
                stack.pop();
                continue;
            };
            *followed += 1;
            if let Some(needed) = producer.get(name) {
                match state[*needed] {
                    State::Done => {}
                    State::New => stack.push((*needed, 0)),
                    State::Open => {
                        let name = node_name(&graph.nodes[*needed], *needed);
                        return Err(graph_fault(format!("node `{name}` needs its own result")));
                    }
                }
            }
        }
    }
    Ok(order)
}
