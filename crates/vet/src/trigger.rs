//! Patterns that carry a label: planted triggers, and shortcuts.
//!
//! An item is an exact value of a column, or a run of words. For the rows that hold an item (or
//! several: a pattern) the share of one label is compared with the share among their nearest rows
//! *without* it: a model that has seen the pattern has learnt it, rows that lack it have not. The
//! pattern that explains most is grown item by item and named.

use std::collections::{BTreeMap, HashMap};

use bartizan_stats::tail::binomial_z;

use crate::label::Labels;
use crate::sample::{Graph, Sample};
use crate::space::texts;
use crate::table::{Coded, Kind, Table};
use crate::tokens::{self, RUN_MAX};

/// Fewest rows that hold a pattern.
const SUPPORT_MIN: usize = 5;
/// Largest share of rows that hold an item.
const SHARE_MAX: f64 = 0.5;
/// Items that are looked at closely, for each label.
const CLOSE: usize = 60;
/// Most items of a pattern.
const ITEMS_MAX: usize = 4;
/// Rows of a pattern whose neighbours are asked.
const ASKED: usize = 300;
/// Neighbours without the pattern that are asked.
const WITHOUT: usize = 10;
/// Least z of a pattern that is reported.
const Z_MIN: f64 = 6.0;
/// Least excess of its label that is reported.
const EXCESS_MIN: f64 = 0.45;
/// Largest share of a class that a planted pattern explains: what most of a class shows is what
/// the class is.
const CLASS_SHARE_MAX: f64 = 0.5;
/// Largest share of other rows that hold what belongs to a pattern's name.
const COMPANION_SHARE_MAX: f64 = 0.1;
/// Most patterns reported.
const PATTERNS_MAX: usize = 16;

/// One item.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A number column has exactly this value.
    Number {
        /// The column.
        column: String,
        /// The value.
        value: f32,
    },
    /// A column of categories has this value.
    Category {
        /// The column.
        column: String,
        /// The value.
        value: String,
    },
    /// A text holds these words one after the other.
    Words {
        /// The words, in lower case.
        words: String,
    },
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number { column, value } => write!(f, "{column} = {value}"),
            Self::Category { column, value } => write!(f, "{column} = \"{value}\""),
            Self::Words { words } => write!(f, "\"{words}\""),
        }
    }
}

impl Item {
    /// Whether a row that holds this holds `other` too, whatever the row.
    fn says(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Words { words }, Self::Words { words: part }) => {
                format!(" {words} ").contains(&format!(" {part} "))
            }
            (Self::Number { .. } | Self::Category { .. } | Self::Words { .. }, _) => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(u32, u32),
    Code(u32, u32),
    Run(u64),
}

/// A pattern that carries a label.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// What its rows hold, all of it.
    pub items: Vec<Item>,
    /// Class that they carry.
    pub class: usize,
    /// Rows of the sample that hold it.
    pub n_held: usize,
    /// Share of the class among them.
    pub observed: f64,
    /// Share of the class among their nearest rows without it.
    pub expected: f64,
    /// How many deviations that is apart.
    pub z: f64,
    /// Whether values beside it act likewise: nature's, not planted.
    pub is_shortcut: bool,
    /// Rows of the table that hold it, ascending.
    pub rows: Vec<u32>,
    keys: Vec<Key>,
    /// Expected share at each row of the sample that holds it.
    local: BTreeMap<u32, f32>,
}

struct Miner<'a> {
    table: &'a Table,
    sample: &'a Sample,
    graph: &'a Graph,
    labels: &'a Labels,
    items: BTreeMap<Key, Vec<u32>>,
    /// References by place in the sample.
    near_votes: Vec<f32>,
    prior: Vec<f64>,
}

/// Patterns of the sample, strongest first.
pub(crate) fn mine(
    table: &Table,
    sample: &Sample,
    graph: &Graph,
    labels: &Labels,
    threads: crate::parallel::Threads,
) -> Vec<Pattern> {
    let n = sample.rows.len();
    let mut prior = vec![0.0; labels.n_classes];
    labels.of_sample.iter().for_each(|label| prior[*label as usize] += 1.0 / n.max(1) as f64);
    let items = items(table, sample);
    let near_votes = near_votes(graph, labels);
    let miner = Miner { table, sample, graph, labels, items, near_votes, prior };
    let found = threads.map(labels.n_classes, |class| miner.of_class(class));
    let mut patterns: Vec<Pattern> = found.into_iter().flatten().collect();
    patterns.sort_by(|a, b| {
        (b.z * (b.observed - b.expected)).total_cmp(&(a.z * (a.observed - a.expected)))
    });
    patterns.truncate(PATTERNS_MAX);
    for pattern in &mut patterns {
        pattern.rows = rows_with(table, &pattern.keys);
    }
    patterns
}

/// Share of each class among the nearest 10 of each row.
fn near_votes(graph: &Graph, labels: &Labels) -> Vec<f32> {
    let k = labels.n_classes;
    let mut votes = vec![0.0; labels.of_sample.len() * k];
    for (at, votes) in votes.chunks_exact_mut(k).enumerate() {
        for (other, _) in graph.neighbours.of(at).take(WITHOUT) {
            let place = graph.references[other] as usize;
            votes[labels.of_sample[place] as usize] += 1.0 / WITHOUT as f32;
        }
    }
    votes
}

/// Items with the places in the sample that hold them, ascending.
fn items(table: &Table, sample: &Sample) -> BTreeMap<Key, Vec<u32>> {
    let n = sample.rows.len();
    let support_min = SUPPORT_MIN.max(n / 500);
    let mut items: BTreeMap<Key, Vec<u32>> = BTreeMap::new();
    for (column, feature) in table.features.iter().enumerate() {
        let column = column as u32;
        let mut held: HashMap<u32, Vec<u32>> = HashMap::new();
        match &feature.kind {
            Kind::Number(values) => {
                for (at, row) in sample.rows.iter().enumerate() {
                    let value = values[*row as usize];
                    if !value.is_nan() {
                        held.entry(value.to_bits()).or_default().push(at as u32);
                    }
                }
                items.extend(held.into_iter().map(|(bits, at)| (Key::Number(column, bits), at)));
            }
            Kind::Code(coded) => {
                for (at, row) in sample.rows.iter().enumerate() {
                    held.entry(coded.codes[*row as usize]).or_default().push(at as u32);
                }
                items.extend(held.into_iter().map(|(code, at)| (Key::Code(column, code), at)));
            }
            Kind::Text(_) | Kind::Vector { .. } => {}
        }
    }
    items.extend(runs(table, sample, support_min));
    items.retain(|_, at| support_min <= at.len() && at.len() as f64 <= SHARE_MAX * n as f64);
    items
}

fn runs(table: &Table, sample: &Sample, support_min: usize) -> Vec<(Key, Vec<u32>)> {
    let mut held: HashMap<u64, Vec<u32>> = HashMap::new();
    for (at, row) in sample.rows.iter().enumerate() {
        for (hash, ..) in texts(table, *row as usize).flat_map(|text| tokens::runs(text, RUN_MAX)) {
            let places = held.entry(hash).or_default();
            if places.last() != Some(&(at as u32)) {
                places.push(at as u32);
            }
        }
    }
    held.into_iter()
        .filter(|(_, at)| support_min <= at.len())
        .map(|(hash, at)| (Key::Run(hash), at))
        .collect()
}

/// Rows of the whole table that hold all of `keys`.
fn rows_with(table: &Table, keys: &[Key]) -> Vec<u32> {
    let holds = |row: &u32| {
        let row = *row as usize;
        keys.iter().all(|key| match key {
            Key::Number(column, bits) => match &table.features[*column as usize].kind {
                Kind::Number(values) => values[row].to_bits() == *bits,
                Kind::Code(_) | Kind::Text(_) | Kind::Vector { .. } => false,
            },
            Key::Code(column, code) => match &table.features[*column as usize].kind {
                Kind::Code(coded) => coded.codes[row] == *code,
                Kind::Number(_) | Kind::Text(_) | Kind::Vector { .. } => false,
            },
            Key::Run(hash) => texts(table, row)
                .any(|text| tokens::runs(text, RUN_MAX).iter().any(|run| run.0 == *hash)),
        })
    };
    (0..table.n_rows as u32).filter(holds).collect()
}

/// A candidate: what it holds and how it fares.
#[derive(Clone)]
struct Candidate {
    keys: Vec<Key>,
    places: Vec<u32>,
    observed: f64,
    expected: f64,
    z: f64,
    local: BTreeMap<u32, f32>,
}

impl Candidate {
    fn worth(&self) -> f64 {
        self.z * (self.observed - self.expected)
    }
}

impl Miner<'_> {
    fn is_of(&self, place: u32, class: usize) -> bool {
        self.labels.of_sample[place as usize] as usize == class
    }

    fn of_class(&self, class: usize) -> Vec<Pattern> {
        let k = self.labels.n_classes;
        let mut by_prior: Vec<(f64, Key)> = Vec::new();
        let mut by_near: Vec<(f64, Key)> = Vec::new();
        for (key, places) in &self.items {
            let m = places.len() as f64;
            let hits = places.iter().filter(|place| self.is_of(**place, class)).count() as f64;
            let near: f64 = places
                .iter()
                .map(|place| f64::from(self.near_votes[*place as usize * k + class]))
                .sum::<f64>()
                / m;
            let prior = self.prior[class];
            if hits / m <= prior {
                continue;
            }
            by_prior.push((binomial_z(hits, m, prior), *key));
            by_near.push((binomial_z(hits, m, near), *key));
        }
        let mut close: Vec<Key> = Vec::new();
        for list in [&mut by_prior, &mut by_near] {
            list.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            close.extend(list.iter().take(CLOSE).filter(|(z, _)| 2.0 < *z).map(|(_, key)| *key));
        }
        close.sort_unstable();
        close.dedup();
        let mut singles: Vec<Candidate> = close
            .iter()
            .map(|key| self.weigh(vec![*key], self.items[key].clone(), class))
            .collect();
        singles.sort_by(|a, b| b.worth().total_cmp(&a.worth()).then(a.keys.cmp(&b.keys)));
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut explained: Vec<u32> = Vec::new();
        for single in singles.iter().take(CLOSE / 2) {
            let known = |place: &&u32| explained.binary_search(place).is_ok();
            let overlap = single.places.iter().filter(known).count();
            if single.places.len() < 2 * overlap {
                continue;
            }
            let grown = self.grow(single.clone(), class);
            let of_class = self.prior[class] * self.sample.rows.len() as f64;
            let hits = grown.observed * grown.places.len() as f64;
            if grown.z < Z_MIN
                || grown.observed - grown.expected < EXCESS_MIN
                || CLASS_SHARE_MAX * of_class < hits
            {
                continue;
            }
            let overlap = grown.places.iter().filter(known).count();
            if grown.places.len() < 2 * overlap {
                continue;
            }
            explained.extend(&grown.places);
            explained.sort_unstable();
            explained.dedup();
            patterns.push(self.pattern(grown, class));
        }
        patterns
    }

    /// Adds items while that makes the pattern worth more.
    fn grow(&self, mut best: Candidate, class: usize) -> Candidate {
        while best.keys.len() < ITEMS_MAX {
            let hits: Vec<u32> =
                best.places.iter().copied().filter(|place| self.is_of(*place, class)).collect();
            // What most of the rows with the label share, and those without it mostly lack.
            let mut partners: Vec<(f64, Key)> = Vec::new();
            for (key, places) in &self.items {
                if best.keys.contains(key) {
                    continue;
                }
                let both = intersect(&best.places, places);
                let with = both.iter().filter(|place| self.is_of(**place, class)).count();
                if 2 * with < hits.len() || both.len() < SUPPORT_MIN {
                    continue;
                }
                let purity = with as f64 / both.len() as f64;
                partners.push((purity * (with as f64).sqrt(), *key));
            }
            partners.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let better = partners
                .iter()
                .take(12)
                .map(|(_, key)| {
                    let mut keys = best.keys.clone();
                    keys.push(*key);
                    self.weigh(keys, intersect(&best.places, &self.items[key]), class)
                })
                .max_by(|a, b| a.worth().total_cmp(&b.worth()));
            match better {
                Some(better) if best.worth() < better.worth() => best = better,
                Some(_) | None => break,
            }
        }
        best
    }

    /// Compares the rows at `places` with their nearest that are not among them.
    fn weigh(&self, keys: Vec<Key>, places: Vec<u32>, class: usize) -> Candidate {
        let mut holds = vec![false; self.sample.rows.len()];
        places.iter().for_each(|place| holds[*place as usize] = true);
        let step = places.len().div_ceil(ASKED).max(1);
        let (mut sum, mut n) = (0.0, 0.0);
        let mut local = BTreeMap::new();
        for place in places.iter().step_by(step) {
            let (mut hits, mut asked) = (0.0, 0.0);
            for (other, _) in self.graph.neighbours.of(*place as usize) {
                let other = self.graph.references[other];
                if !holds[other as usize] {
                    hits += f64::from(u8::from(self.is_of(other, class)));
                    asked += 1.0;
                    if asked as usize == WITHOUT {
                        break;
                    }
                }
            }
            if 0.0 < asked {
                // Drawn towards the class's share where few could be asked.
                let lack = WITHOUT as f64 - asked;
                let share = (hits + lack * self.prior[class]) / WITHOUT as f64;
                local.insert(*place, share as f32);
                sum += share;
                n += 1.0;
            }
        }
        let m = places.len() as f64;
        let hits = places.iter().filter(|place| self.is_of(**place, class)).count() as f64;
        let expected = if n == 0.0 { self.prior[class] } else { sum / n };
        let observed = if m == 0.0 { 0.0 } else { hits / m };
        let z = (observed - expected) * m / (m * expected * (1.0 - expected) + 1.0).sqrt();
        Candidate { keys, places, observed, expected, z, local }
    }

    /// What else all rows of the pattern hold and few others do: it belongs to its name, though
    /// it tells no more rows apart. Rarest elsewhere first.
    fn companions(&self, candidate: &Candidate) -> Vec<Key> {
        let n_held = candidate.places.len();
        let n_others = self.sample.rows.len() - n_held;
        let mut companions: Vec<(usize, Key)> = self
            .items
            .iter()
            .filter(|(key, places)| {
                n_held <= places.len()
                    && (places.len() - n_held) as f64 <= COMPANION_SHARE_MAX * n_others as f64
                    && !candidate.keys.contains(key)
                    && intersect(&candidate.places, places).len() == n_held
            })
            .map(|(key, places)| (places.len(), *key))
            .collect();
        companions.sort_unstable();
        companions.into_iter().map(|(_, key)| key).collect()
    }

    fn pattern(&self, candidate: Candidate, class: usize) -> Pattern {
        let mut items: Vec<Item> = Vec::new();
        for key in candidate.keys.iter().copied().chain(self.companions(&candidate)) {
            let item = self.item(key, &candidate.places);
            // Of runs of words that lie in each other the longest says all.
            if items.iter().any(|known| known.says(&item)) {
                continue;
            }
            items.retain(|known| !item.says(known));
            items.push(item);
        }
        items.truncate(ITEMS_MAX);
        let is_shortcut = self.is_shortcut(&candidate, class);
        let Candidate { keys, places, observed, expected, z, local } = candidate;
        let local =
            local.into_iter().map(|(at, share)| (self.sample.rows[at as usize], share)).collect();
        let n_held = places.len();
        let rows = Vec::new();
        Pattern { items, class, n_held, observed, expected, z, is_shortcut, rows, keys, local }
    }

    fn item(&self, key: Key, places: &[u32]) -> Item {
        match key {
            Key::Number(column, bits) => Item::Number {
                column: self.table.features[column as usize].name.clone(),
                value: f32::from_bits(bits),
            },
            Key::Code(column, code) => {
                let feature = &self.table.features[column as usize];
                let value = match &feature.kind {
                    Kind::Code(coded) => {
                        coded.names.get(code as usize).map_or("(missing)", String::as_str)
                    }
                    Kind::Number(_) | Kind::Text(_) | Kind::Vector { .. } => "",
                };
                Item::Category { column: feature.name.clone(), value: value.into() }
            }
            Key::Run(hash) => {
                let row = places.first().map_or(0, |place| self.sample.rows[*place as usize]);
                let words = texts(self.table, row as usize).find_map(|t| tokens::run_text(t, hash));
                Item::Words { words: words.unwrap_or_default() }
            }
        }
    }

    /// Whether the pattern is one number whose neighbours on the scale carry the label nearly as
    /// much: a census's capital gain, not a mark.
    fn is_shortcut(&self, candidate: &Candidate, class: usize) -> bool {
        let [Key::Number(column, bits)] = candidate.keys.as_slice() else { return false };
        let Kind::Number(values) = &self.table.features[*column as usize].kind else {
            return false;
        };
        let value = f32::from_bits(*bits);
        let mut beside: Vec<(f32, u32)> = Vec::new();
        for (at, row) in self.sample.rows.iter().enumerate() {
            let distance = (values[*row as usize] - value).abs();
            if 0.0 < distance {
                beside.push((distance, at as u32));
            }
        }
        beside.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        beside.truncate(candidate.places.len().clamp(10, 60));
        let hits = beside.iter().filter(|(_, at)| self.is_of(*at, class)).count() as f64;
        let beside = hits / beside.len().max(1) as f64;
        let prior = self.prior[class];
        prior + 0.5 * (candidate.observed - prior) <= beside
    }
}

fn intersect(a: &[u32], b: &[u32]) -> Vec<u32> {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut both = Vec::new();
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        match x.cmp(y) {
            std::cmp::Ordering::Less => {
                a.next();
            }
            std::cmp::Ordering::Greater => {
                b.next();
            }
            std::cmp::Ordering::Equal => {
                both.push(**x);
                a.next();
                b.next();
            }
        }
    }
    both
}

/// Score of each row: how far its label goes beyond what rows without the pattern would have.
/// Rows that hold a pattern and not its label, and all others, have 0.
pub(crate) fn scores(patterns: &[Pattern], label: &Coded, n_rows: usize) -> Vec<f32> {
    let mut scores = vec![0.0_f32; n_rows];
    for pattern in patterns {
        let strength = (pattern.z / (pattern.z + 20.0)) * (pattern.observed - pattern.expected);
        let weight = if pattern.is_shortcut { 0.2 } else { 1.0 };
        for row in &pattern.rows {
            if label.codes[*row as usize] as usize != pattern.class {
                continue;
            }
            let local = pattern.local.get(row).map_or(pattern.expected, |share| f64::from(*share));
            let score = weight * strength * (1.0 - 0.3 * local);
            let kept = &mut scores[*row as usize];
            *kept = kept.max(score as f32);
        }
    }
    scores
}
