//! Labels that do not go with their rows.
//!
//! Every row's classes are judged by models that have not seen it: planes, boosted trees and
//! nearest neighbours, mixed by the weights under which the labels are likeliest (a mixture fitted
//! by expectation-maximisation: A. P. Dempster, N. M. Laird, D. B. Rubin, 1977). The score is one
//! less the probability of the given label (C. G. Northcutt, L. Jiang, I. L. Chuang, *Confident
//! Learning*, 2021: self-confidence).

use bartizan_stats::chance::Chance;
use bartizan_stats::ln::ln;

use crate::knn::Neighbours;
use crate::linear::{Fit, Linear};
use crate::sample::{Graph, Means, Sample};
use crate::space::Space;
use crate::table::{Coded, Table};
use crate::trees::{Binner, Bins, Forest, Growth};

/// Parts into which rows are split: each is judged by models of the others.
const FOLDS: usize = 5;
/// Rows up to which they are split in several ways, and how many: few rows make noisy judges.
const FEW: usize = 1_000;
const WAYS: u64 = 4;
/// Probability that any label is given at least: one flipped label must not unseat a judge.
const NOISE: f64 = 1e-6;
/// Rows from which on one penalty does for the planes: they are many enough to need none.
const MANY: usize = 6_500;
/// Most parts where they are split by source.
const SOURCE_FOLDS: usize = 8;
/// Nearest rows that vote.
pub(crate) const VOTERS: usize = 25;
/// Columns beyond which trees are not grown: vectors are for planes and neighbours.
const TREE_COLUMNS_MAX: usize = 256;

/// Labels of the sample, and the parts into which its rows are split.
pub(crate) struct Labels {
    /// Class of each row of the table; missing labels are class 0 and not learnt from.
    pub(crate) of_row: Vec<u32>,
    pub(crate) n_classes: usize,
    /// Class of each row of the sample.
    pub(crate) of_sample: Vec<u32>,
    /// Part of each row, once for each way of splitting.
    folds: Vec<Vec<u32>>,
    n_folds: usize,
}

impl Labels {
    pub(crate) fn new(label: &Coded, source: Option<&Coded>, sample: &Sample, seed: u64) -> Self {
        let class =
            |row: usize| if label.codes[row] == Coded::MISSING { 0 } else { label.codes[row] };
        let of_row: Vec<u32> = (0..label.codes.len()).map(class).collect();
        let of_sample: Vec<u32> = sample.rows.iter().map(|row| of_row[*row as usize]).collect();
        let n_sources = source.map_or(0, |source| source.names.len());
        let (folds, n_folds) = if let (Some(source), true) = (source, 3 <= n_sources) {
            let n_folds = n_sources.min(SOURCE_FOLDS);
            let fold = |row: &u32| source.codes[*row as usize] % n_folds as u32;
            (vec![sample.rows.iter().map(fold).collect()], n_folds)
        } else {
            let n_ways = if sample.rows.len() <= FEW { WAYS } else { 1 };
            let split = |way: u64| stratified(&of_sample, label.names.len(), seed, way);
            ((0..n_ways).map(split).collect(), FOLDS)
        };
        Self { of_row, n_classes: label.names.len(), of_sample, folds, n_folds }
    }
}

/// A part for each row, classes spread evenly.
fn stratified(labels: &[u32], n_classes: usize, seed: u64, way: u64) -> Vec<u32> {
    let mut chance = Chance::new(seed, 300 + way);
    let mut fold = vec![0; labels.len()];
    for class in 0..n_classes as u32 {
        let mut rows: Vec<usize> = (0..labels.len()).filter(|at| labels[*at] == class).collect();
        chance.shuffle(&mut rows);
        for (place, row) in rows.into_iter().enumerate() {
            fold[row] = (place % FOLDS) as u32;
        }
    }
    fold
}

/// What was learnt without one part.
struct Fold {
    planes: Vec<Linear>,
    forest: Option<Forest>,
}

/// A judge of labels and its say.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its kind.
    pub name: &'static str,
    /// Mean negative logarithm of the probability that it gave the labels, in nats.
    pub log_loss: f64,
    /// Its weight in the mixture, together 1.
    pub weight: f64,
}

/// What the judges say.
pub(crate) struct Judged {
    /// Probability of each class, `n_classes` a row of the table.
    pub(crate) probs: Vec<f32>,
    pub(crate) n_classes: usize,
    pub(crate) members: Vec<Member>,
}

impl Judged {
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.probs[row * self.n_classes..(row + 1) * self.n_classes]
    }
}

struct Judges<'a> {
    labels: &'a Labels,
    penalties: Vec<f32>,
    growth: Option<Growth>,
    reference_labels: Vec<u32>,
    prior: Vec<f32>,
    sample: &'a Sample,
}

impl Judges<'_> {
    fn n_members(&self) -> usize {
        self.penalties.len() + usize::from(self.growth.is_some()) + 2
    }

    fn learn(&self, bins: Option<&Bins>, way: usize, fold: usize) -> Fold {
        let labels = &self.labels.of_sample;
        let rows: Vec<u32> = (0..labels.len() as u32)
            .filter(|at| self.labels.folds[way][*at as usize] as usize != fold)
            .collect();
        let n_classes = self.labels.n_classes;
        let plane = |penalty: &f32| {
            let fit = Fit { penalty: penalty / rows.len().max(1) as f32, steps_max: 60 };
            Linear::fit(&self.sample.space, labels, n_classes, &rows, fit)
        };
        let planes = self.penalties.iter().map(plane).collect();
        let grow = |(bins, growth)| Forest::classes(bins, labels, n_classes, &rows, growth);
        Fold { planes, forest: bins.zip(self.growth.as_ref()).map(grow) }
    }

    /// Probabilities by planes and trees at one point, members one after the other.
    fn ask(&self, fold: &Fold, space: &Space, bins: Option<&Bins>, at: usize, out: &mut [f32]) {
        let k = self.labels.n_classes;
        let mut out = out.chunks_exact_mut(k);
        for (plane, out) in fold.planes.iter().zip(&mut out) {
            plane.probs(space, at, out);
        }
        if let (Some(forest), Some(bins), Some(out)) = (&fold.forest, bins, out.next()) {
            forest.probs(bins, at, out);
        }
    }

    /// Probabilities by the nearest 8 and by all voters.
    fn vote(&self, neighbours: &Neighbours, at: usize, out: &mut [f32]) {
        let k = self.labels.n_classes;
        for (voters, out) in [8, VOTERS].into_iter().zip(out.chunks_exact_mut(k)) {
            let reach = neighbours.of(at).take(voters).last().map_or(1.0, |(_, d)| d).max(1e-9);
            let mut sum = 1.0;
            out.copy_from_slice(&self.prior);
            for (other, distance) in neighbours.of(at).take(voters) {
                let weight = 1.0 / (0.3 + distance / reach);
                out[self.reference_labels[other] as usize] += weight;
                sum += weight;
            }
            out.iter_mut().for_each(|p| *p /= sum);
        }
    }
}

/// The judges, taught.
pub(crate) struct Panel<'a> {
    judges: Judges<'a>,
    binner: Binner,
    bins: Option<Bins>,
    folds: Vec<Fold>,
    members: Vec<Member>,
    said: Vec<f32>,
}

impl<'a> Panel<'a> {
    /// Teaches the judges. Cost: the folds' models on at most the sample.
    pub(crate) fn learn(
        table: &Table,
        sample: &'a Sample,
        graph: &Graph,
        labels: &'a Labels,
        means: Means,
    ) -> Self {
        let k = labels.n_classes;
        let order = |row: usize| labels.of_row[row] as f32;
        let binner = Binner::learn(table, &sample.rows, &order, None);
        let growth = (1..=TREE_COLUMNS_MAX).contains(&binner.len()).then(|| growth(k, means.seed));
        let bins = growth.is_some().then(|| binner.map(table, &sample.rows));
        let n = sample.rows.len().max(1) as f32;
        let mut prior = vec![0.0; k];
        labels.of_sample.iter().for_each(|label| prior[*label as usize] += 1.0 / n);
        let is_text = sample.space.text.is_some();
        let judges = Judges {
            labels,
            penalties: match sample.rows.len() {
                _ if is_text => vec![0.1, 1.0],
                n if n <= MANY => vec![1.0, 6.0, 40.0],
                _ => vec![2.0],
            },
            growth,
            reference_labels: graph
                .references
                .iter()
                .map(|at| labels.of_sample[*at as usize])
                .collect(),
            prior,
            sample,
        };
        let folds = means.threads.map(labels.folds.len() * labels.n_folds, |at| {
            judges.learn(bins.as_ref(), at / labels.n_folds, at % labels.n_folds)
        });
        let mut panel = Self { judges, binner, bins, folds, members: Vec::new(), said: Vec::new() };
        panel.said = panel.hear(graph);
        panel.members = weigh(&panel.judges, &panel.said, k);
        panel
    }

    fn width(&self) -> usize {
        self.judges.n_members() * self.judges.labels.n_classes
    }

    /// Where the neighbours' votes begin in what the members say.
    fn voters_at(&self) -> usize {
        self.width() - 2 * self.judges.labels.n_classes
    }

    /// What the members say of the sample's rows, each by models that have not seen it.
    fn hear(&self, graph: &Graph) -> Vec<f32> {
        let labels = self.judges.labels;
        let (width, n_ways) = (self.width(), labels.folds.len());
        let mut said = vec![0.0; labels.of_sample.len() * width];
        let mut once = vec![0.0; width];
        for (at, out) in said.chunks_exact_mut(width).enumerate() {
            for (way, fold_of) in labels.folds.iter().enumerate() {
                let fold = &self.folds[way * labels.n_folds + fold_of[at] as usize];
                let space = &self.judges.sample.space;
                self.judges.ask(fold, space, self.bins.as_ref(), at, &mut once);
                out.iter_mut().zip(&once).for_each(|(p, q)| *p += q / n_ways as f32);
            }
            self.judges.vote(&graph.neighbours, at, &mut out[self.voters_at()..]);
        }
        said
    }

    fn mix(&self, said: &[f32]) -> Vec<f32> {
        let k = self.judges.labels.n_classes;
        let mut out = vec![0.0; k];
        for (member, said) in self.members.iter().zip(said.chunks_exact(k)) {
            out.iter_mut().zip(said).for_each(|(p, q)| *p += member.weight as f32 * q);
        }
        out
    }

    /// Probabilities of the sample's rows.
    pub(crate) fn own(&self) -> Vec<f32> {
        self.said.chunks_exact(self.width()).flat_map(|said| self.mix(said)).collect()
    }

    /// Probabilities of other rows, whose neighbours among the references are `near`.
    pub(crate) fn judge(
        &self,
        table: &Table,
        rows: &[u32],
        space: &Space,
        near: &Neighbours,
    ) -> Vec<f32> {
        let bins = self.judges.growth.is_some().then(|| self.binner.map(table, rows));
        let width = self.width();
        let mut out = Vec::with_capacity(rows.len() * self.judges.labels.n_classes);
        let mut said = vec![0.0; width];
        for at in 0..rows.len() {
            // One of the folds' models: all would cost more and say the same.
            if let Some(fold) = self.folds.first() {
                self.judges.ask(fold, space, bins.as_ref(), at, &mut said);
            }
            self.judges.vote(near, at, &mut said[self.voters_at()..]);
            out.extend(self.mix(&said));
        }
        out
    }

    /// The whole table's probabilities, as what the judges say.
    pub(crate) fn verdict(&self, probs: Vec<f32>) -> Judged {
        Judged { probs, n_classes: self.judges.labels.n_classes, members: self.members.clone() }
    }
}

fn growth(n_classes: usize, seed: u64) -> Growth {
    let rounds = if n_classes <= 2 { 80 } else { 50 };
    Growth {
        rounds,
        leaves: 16,
        rate: 0.1,
        leaf_rows_min: 20.0,
        ridge: 1.0,
        columns_share: 0.6,
        seed,
    }
}

/// The weights under which the sample's labels are likeliest, by expectation-maximisation.
fn weigh(judges: &Judges<'_>, said: &[f32], k: usize) -> Vec<Member> {
    let n_members = judges.n_members();
    let labels = &judges.labels.of_sample;
    let given: Vec<f64> = said
        .chunks_exact(n_members * k)
        .zip(labels)
        .flat_map(|(said, label)| {
            said.chunks_exact(k).map(|p| f64::from(p[*label as usize]).max(NOISE))
        })
        .collect();
    let mut weights = vec![1.0 / n_members as f64; n_members];
    for _ in 0..100 {
        let mut sums = vec![0.0; n_members];
        for p in given.chunks_exact(n_members) {
            let all: f64 = p.iter().zip(&weights).map(|(p, w)| p * w).sum();
            sums.iter_mut().zip(p).zip(&weights).for_each(|((s, p), w)| *s += p * w / all);
        }
        let n = labels.len().max(1) as f64;
        weights = sums.into_iter().map(|sum| sum / n).collect();
    }
    let mut names = vec!["planes"; judges.penalties.len()];
    names.extend(judges.growth.as_ref().map(|_| "trees"));
    names.extend(["8 neighbours", "25 neighbours"]);
    let loss = |member: usize| {
        let own = given.iter().skip(member).step_by(n_members);
        -own.map(|p| ln(*p)).sum::<f64>() / labels.len().max(1) as f64
    };
    let member = |(at, name)| Member { name, log_loss: loss(at), weight: weights[at] };
    names.into_iter().enumerate().map(member).collect()
}
