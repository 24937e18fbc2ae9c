//! Random forests against a slow reader of the same lists: the same bits.

use bartizan_core::{Predictor, Tensor, Values};
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::build::{FLOAT, INT64, ML, Message, Model, floats, int, ints, text, texts, value};
use super::open::{open, refusal, run};

const MODES: [&str; 6] =
    ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];
const VALUES: [f32; 9] = [
    -1.0,
    0.0,
    -0.0,
    f32::MIN_POSITIVE,
    1.0,
    1.000_000_1,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];
const WIDTH: usize = 3;

/// The lists of a tree operator, with leaves' weights as `(tree, node, score, weight)`.
#[derive(Clone, Debug, Default)]
struct Lists {
    trees: Vec<i64>,
    nodes: Vec<i64>,
    features: Vec<i64>,
    thresholds: Vec<f32>,
    modes: Vec<&'static str>,
    if_true: Vec<i64>,
    if_false: Vec<i64>,
    missing: Vec<i64>,
    weights: Vec<(i64, i64, i64, f32)>,
}

impl Lists {
    fn attributes(&self, prefix: &str) -> Vec<Message> {
        let weights = |pick: fn(&(i64, i64, i64, f32)) -> i64| -> Vec<i64> {
            self.weights.iter().map(pick).collect()
        };
        let values: Vec<f32> = self.weights.iter().map(|weight| weight.3).collect();
        vec![
            ints("nodes_treeids", &self.trees),
            ints("nodes_nodeids", &self.nodes),
            ints("nodes_featureids", &self.features),
            floats("nodes_values", &self.thresholds),
            texts("nodes_modes", &self.modes),
            ints("nodes_truenodeids", &self.if_true),
            ints("nodes_falsenodeids", &self.if_false),
            ints("nodes_missing_value_tracks_true", &self.missing),
            ints(&format!("{prefix}_treeids"), &weights(|weight| weight.0)),
            ints(&format!("{prefix}_nodeids"), &weights(|weight| weight.1)),
            ints(&format!("{prefix}_ids"), &weights(|weight| weight.2)),
            floats(&format!("{prefix}_weights"), &values),
        ]
    }

    fn regressor(&self, n_targets: i64, more: &[Message]) -> Model {
        let mut attributes = self.attributes("target");
        attributes.push(int("n_targets", n_targets));
        attributes.extend_from_slice(more);
        Model::new(WIDTH as i64, FLOAT).node(
            "TreeEnsembleRegressor",
            ML,
            &["x"],
            &["y"],
            &attributes,
        )
    }

    fn classifier(&self, labels: &[i64], more: &[Message]) -> Model {
        let mut attributes = self.attributes("class");
        attributes.push(ints("classlabels_int64s", labels));
        attributes.extend_from_slice(more);
        let mut model = Model::new(WIDTH as i64, INT64);
        model.outputs.push(value("p", FLOAT, &[-1, -1]));
        model.node("TreeEnsembleClassifier", ML, &["x"], &["y", "p"], &attributes)
    }

    fn push(&mut self, tree: i64, node: i64, mode: &'static str, children: [i64; 2]) {
        self.trees.push(tree);
        self.nodes.push(node);
        self.features.push(0);
        self.thresholds.push(0.0);
        self.modes.push(mode);
        self.if_true.push(children[0]);
        self.if_false.push(children[1]);
        self.missing.push(0);
    }

    /// Node by node, as ONNX words it; sums in tree order.
    fn scores(&self, row: &[f32], n_scores: usize) -> Vec<f32> {
        let mut scores = vec![0.0_f32; n_scores];
        let find = |tree: i64, node: i64| {
            (0..self.trees.len())
                .find(|at| (self.trees[*at], self.nodes[*at]) == (tree, node))
                .unwrap()
        };
        let n_trees = self.trees.iter().max().map_or(0, |tree| tree + 1);
        for tree in 0..n_trees {
            let mut at = find(tree, 0);
            while self.modes[at] != "LEAF" {
                let (x, t) = (row[self.features[at] as usize], self.thresholds[at]);
                let passes = match self.modes[at] {
                    "BRANCH_LEQ" => x <= t,
                    "BRANCH_LT" => x < t,
                    "BRANCH_GTE" => x >= t,
                    "BRANCH_GT" => x > t,
                    "BRANCH_EQ" => x == t,
                    _ => x != t,
                } || (x.is_nan() && self.missing[at] != 0);
                let next = if passes { self.if_true[at] } else { self.if_false[at] };
                at = find(tree, next);
            }
            for (_, _, score, weight) in
                self.weights.iter().filter(|weight| (weight.0, weight.1) == (tree, self.nodes[at]))
            {
                scores[*score as usize] += weight;
            }
        }
        scores
    }
}

/// Grows trees from random numbers: each says what the next node is.
fn forest(n_scores: i64, only_leq: bool) -> impl Strategy<Value = Lists> {
    let choices = proptest::collection::vec(any::<u32>(), 1..120);
    proptest::collection::vec(choices, 1..12).prop_map(move |trees| {
        let mut lists = Lists::default();
        for (tree, choices) in trees.into_iter().enumerate() {
            grow(&mut lists, tree as i64, &choices, n_scores, only_leq);
        }
        lists
    })
}

fn grow(lists: &mut Lists, tree: i64, choices: &[u32], n_scores: i64, only_leq: bool) {
    let mut open = vec![0_i64];
    let mut next_id = 1;
    let mut choices = choices.iter();
    while let Some(node) = open.pop() {
        let Some(choice) = choices.next().filter(|choice| !choice.is_multiple_of(3)) else {
            lists.push(tree, node, "LEAF", [0, 0]);
            // Scores by turns: every leaf all of them, one, or none.
            for score in 0..n_scores {
                if n_scores == 1 || (node + score) % 3 != 0 {
                    lists.weights.push((tree, node, score, (node * 7 + score) as f32 * 0.37 - 1.1));
                }
            }
            continue;
        };
        let pick = |shift: u32, n: usize| (*choice >> shift) as usize % n;
        let mode = if only_leq { MODES[0] } else { MODES[pick(4, 6)] };
        lists.push(tree, node, mode, [next_id, next_id + 1]);
        *lists.features.last_mut().unwrap() = pick(8, WIDTH) as i64;
        let strict = mode == "BRANCH_LT" || mode == "BRANCH_GTE";
        *lists.thresholds.last_mut().unwrap() = VALUES[pick(12, if strict { 7 } else { 8 })];
        *lists.missing.last_mut().unwrap() = pick(20, 2) as i64;
        open.extend([next_id, next_id + 1]);
        next_id += 2;
    }
}

fn rows() -> impl Strategy<Value = Vec<f32>> {
    let cell = (0..VALUES.len()).prop_map(|position| VALUES[position]);
    proptest::collection::vec(cell, WIDTH..WIDTH * 80).prop_map(|mut cells| {
        cells.truncate(cells.len() / WIDTH * WIDTH);
        cells
    })
}

fn same_as_slow(
    lists: &Lists,
    n_scores: usize,
    rows: &[f32],
) -> Result<(), proptest::test_runner::TestCaseError> {
    let outputs = run(&lists.regressor(n_scores as i64, &[]), WIDTH, rows).unwrap();
    let Values::Fp32(found) = outputs[0].values() else { panic!("{outputs:?}") };
    for (row, found) in rows.chunks_exact(WIDTH).zip(found.chunks_exact(n_scores)) {
        let told = lists.scores(row, n_scores);
        prop_assert_eq!(found, &told, "row {:?}", row);
    }
    Ok(())
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(128))]

    /// W1, W2 and W3: every mode, threshold and missing value, alone and in blocks of rows.
    #[test]
    fn every_walk_ends_in_the_leaf_that_onnx_says(lists in forest(1, false), rows in rows()) {
        same_as_slow(&lists, 1, &rows)?;
    }

    #[test]
    fn plain_trees_do_too(lists in forest(1, true), rows in rows()) {
        same_as_slow(&lists, 1, &rows)?;
    }

    #[test]
    fn leaves_with_some_scores_add_to_these(lists in forest(4, false), rows in rows()) {
        same_as_slow(&lists, 4, &rows)?;
    }
}

/// `x <= 0` goes to a leaf of one weight each way.
fn stump(left: f32, right: f32) -> Lists {
    let mut lists = Lists::default();
    lists.push(0, 0, "BRANCH_LEQ", [1, 2]);
    lists.push(0, 1, "LEAF", [0, 0]);
    lists.push(0, 2, "LEAF", [0, 0]);
    lists.weights = vec![(0, 1, 0, left), (0, 2, 0, right)];
    lists
}

const X: [f32; 6] = [-1.0, 0.0, 0.0, 1.0, 0.0, 0.0];

/// As onnxruntime 1.32 answers the same files.
#[test]
fn two_classes_from_one_score_are_answered_like_onnxruntime_does() {
    let answer = |left: f32, right: f32, more: &[Message]| {
        let outputs = run(&stump(left, right).classifier(&[10, 20], more), WIDTH, &X).unwrap();
        (outputs[0].values().clone(), outputs[1].values().clone())
    };
    let labels = |a: i64, b: i64| Values::Int64(vec![a, b]);
    let (label, chance) = answer(0.2, 0.7, &[]);
    assert_eq!(
        (label, chance),
        (labels(10, 20), Values::Fp32(vec![1.0 - 0.2, 0.2, 1.0 - 0.7, 0.7]))
    );
    let (label, chance) = answer(-0.2, 0.7, &[]);
    assert_eq!((label, chance), (labels(10, 20), Values::Fp32(vec![0.2, -0.2, -0.7, 0.7])));
    let base = floats("base_values", &[0.25]);
    let (label, chance) = answer(-0.2, 0.7, &[base, text("post_transform", "LOGISTIC")]);
    let told = [0.487_502_63_f32, 0.512_497_37, 0.278_884_83, 0.721_115_2];
    let Values::Fp32(chance) = chance else { panic!("{chance:?}") };
    assert_eq!(label, labels(20, 20));
    assert!(chance.iter().zip(told).all(|(a, b)| (a - b).abs() <= 1e-7), "{chance:?}");
}

#[test]
fn three_classes_go_to_the_largest_score_among_those_touched() {
    let mut lists = stump(-0.2, 0.0);
    lists.weights = vec![(0, 1, 0, -0.2), (0, 1, 1, -0.8), (0, 2, 2, 0.3)];
    let answer = |more: &[Message]| {
        let outputs = run(&lists.classifier(&[10, 20, 30], more), WIDTH, &X).unwrap();
        (outputs[0].values().clone(), outputs[1].values().clone())
    };
    let told = Values::Fp32(vec![-0.2, -0.8, 0.0, 0.0, 0.0, 0.3]);
    assert_eq!(answer(&[]), (Values::Int64(vec![10, 30]), told));
    let (label, _) = answer(&[floats("base_values", &[0.25, 0.5, 0.125])]);
    assert_eq!(label, Values::Int64(vec![30, 20]));
}

#[test]
fn regressors_sum_or_average_and_add_the_base_last() {
    let lists = stump(1.0, 3.0);
    let base = floats("base_values", &[0.5]);
    let outputs = run(&lists.regressor(1, std::slice::from_ref(&base)), WIDTH, &X).unwrap();
    assert_eq!(outputs[0].values(), &Values::Fp32(vec![1.5, 3.5]));
    let mut two = lists.clone();
    for (at, mode) in ["BRANCH_GT", "LEAF", "LEAF"].into_iter().enumerate() {
        two.push(1, at as i64, mode, [1, 2]);
    }
    two.weights.extend([(1, 1, 0, 10.0), (1, 2, 0, 20.0)]);
    let average = text("aggregate_function", "AVERAGE");
    let outputs = run(&two.regressor(1, &[base, average]), WIDTH, &X).unwrap();
    assert_eq!(outputs[0].values(), &Values::Fp32(vec![11.0, 7.0]));
}

#[test]
fn trees_that_are_none_are_refused_by_node() {
    type Spoil = Box<dyn Fn(&mut Lists)>;
    let cases: Vec<(&str, Spoil)> = vec![
        ("its child 9 does not exist", Box::new(|lists| lists.if_true[0] = 9)),
        ("is the child of two", Box::new(|lists| lists.if_true[0] = 2)),
        ("they go in a circle", Box::new(|lists| lists.if_true[0] = 0)),
        ("feature 3 is not among the 3 columns", Box::new(|lists| lists.features[0] = 3)),
        ("feature -1 is not", Box::new(|lists| lists.features[0] = -1)),
        ("threshold is NaN", Box::new(|lists| lists.thresholds[0] = f32::NAN)),
        ("mode `BRANCH_MAYBE` is unknown", Box::new(|lists| lists.modes[0] = "BRANCH_MAYBE")),
        ("tree 0, node 1 is there twice", Box::new(|lists| lists.nodes[2] = 1)),
        ("tree 0 has two roots", Box::new(|lists| lists.push(0, 7, "LEAF", [0, 0]))),
        (
            "`nodes_values` has 2 values for 3 nodes",
            Box::new(|lists| {
                lists.thresholds.pop();
            }),
        ),
        ("which is not there", Box::new(|lists| lists.weights[0].1 = 5)),
        ("score 1 of 1", Box::new(|lists| lists.weights[0].2 = 1)),
        ("score -1 of 1", Box::new(|lists| lists.weights[0].2 = -1)),
        ("it has 0 tree nodes", Box::new(|lists| *lists = Lists::default())),
    ];
    for (reason, spoil) in cases {
        let mut lists = stump(1.0, 2.0);
        spoil(&mut lists);
        let found = refusal(&lists.regressor(1, &[]));
        assert!(found.contains(reason), "{reason}: {found}");
        assert!(found.contains("the-TreeEnsembleRegressor"), "{found}");
    }
    // A circle beside a sound tree, which every node of it enters once.
    let mut lists = stump(1.0, 2.0);
    lists.push(0, 3, "BRANCH_LEQ", [4, 5]);
    lists.push(0, 4, "BRANCH_LEQ", [3, 6]);
    lists.push(0, 5, "LEAF", [0, 0]);
    lists.push(0, 6, "LEAF", [0, 0]);
    assert!(refusal(&lists.regressor(1, &[])).contains("4 nodes are not reached"));
}

#[test]
fn a_tree_may_be_deep_but_not_deeper_than_the_bound() {
    let chain = |depth: i64| {
        let mut lists = Lists::default();
        for node in 0..depth {
            lists.push(0, 2 * node, "BRANCH_LEQ", [2 * node + 1, 2 * node + 2]);
            lists.push(0, 2 * node + 1, "LEAF", [0, 0]);
        }
        lists.push(0, 2 * depth, "LEAF", [0, 0]);
        lists.weights = vec![(0, 2 * depth, 0, 5.0)];
        lists
    };
    let outputs = run(&chain(1_024).regressor(1, &[]), WIDTH, &[1.0, 0.0, 0.0]).unwrap();
    assert_eq!(outputs[0].values(), &Values::Fp32(vec![5.0]));
    assert!(refusal(&chain(1_025).regressor(1, &[])).contains("deeper than 1024"));
}

#[test]
fn what_engines_disagree_about_is_refused_by_name() {
    let mut both = stump(1.0, 2.0);
    both.weights[0].2 = 1;
    assert!(refusal(&both.classifier(&[0, 1], &[])).contains("scores of their own"));
    let softmax = text("post_transform", "SOFTMAX");
    assert!(refusal(&stump(1.0, 2.0).classifier(&[0, 1], &[softmax])).contains("SOFTMAX"));
    let base = floats("base_values", &[1.0, 2.0]);
    assert!(refusal(&stump(1.0, 2.0).classifier(&[0, 1], &[base])).contains("2 base values"));
    let min = text("aggregate_function", "MIN");
    assert!(refusal(&stump(1.0, 2.0).regressor(1, &[min])).contains("`MIN`"));
}

/// A missing value reaches a tree as it is only where every reader of the input is a tree.
#[test]
fn only_inputs_that_trees_alone_read_cope_with_missing_values() {
    let copes =
        |model: Model| open(&model.bytes()).unwrap().signature().inputs[0].copes_with_missing;
    let trees = stump(1.0, 2.0).regressor(1, &[]);
    assert!(copes(trees.clone()));
    let mut also_read = trees.clone().node("Relu", "", &["x"], &["z"], &[]);
    also_read.outputs.push(value("z", FLOAT, &[-1, 3]));
    assert!(!copes(also_read));
    let mut shown = trees;
    shown.outputs.push(value("x", FLOAT, &[-1, 3]));
    assert!(!copes(shown));
    let mut attributes = stump(1.0, 2.0).attributes("target");
    attributes.push(int("n_targets", 1));
    let through = Model::new(3, FLOAT).node("Identity", "", &["x"], &["same"], &[]).node(
        "TreeEnsembleRegressor",
        ML,
        &["same"],
        &["y"],
        &attributes,
    );
    assert!(copes(through));
    let scaled = Model::new(3, FLOAT).node("Scaler", ML, &["x"], &["same"], &[]).node(
        "TreeEnsembleRegressor",
        ML,
        &["same"],
        &["y"],
        &attributes,
    );
    // A scaled NaN is NaN still.
    assert!(copes(scaled));
    let spoilt = Model::new(3, FLOAT).node("Exp", "", &["x"], &["same"], &[]).node(
        "TreeEnsembleRegressor",
        ML,
        &["same"],
        &["y"],
        &attributes,
    );
    assert!(!copes(spoilt));
}

#[test]
fn a_caller_may_bring_infinities_and_missing_values() {
    let model = open(&stump(1.0, 2.0).regressor(1, &[]).bytes()).unwrap();
    let x = vec![f32::NAN, 0.0, 0.0, f32::INFINITY, 0.0, 0.0, f32::NEG_INFINITY, 0.0, 0.0];
    let input = Tensor::new("x", vec![3, 3], Values::Fp32(x)).unwrap();
    let outputs = model.predict(&[input]).unwrap();
    assert_eq!(outputs[0].values(), &Values::Fp32(vec![2.0, 2.0, 1.0]));
}
