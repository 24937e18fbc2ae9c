//! What the data gate can find.

use bartizan_core::{Rule, Severity};

macro_rules! rules {
    ($($name:ident $id:literal $severity:ident $atlas:expr, $why:literal, $remedy:literal;)*) => {
        $(
            #[doc = $why]
            pub const $name: &Rule = &Rule {
                id: $id,
                severity: Severity::$severity,
                why: $why,
                remedy: $remedy,
                atlas: $atlas,
            };
        )*
        /// All of them, by id.
        pub const RULES: &[&Rule] = &[$($name),*];
    };
}

rules! {
    COLUMN_UNITS "vet.column.units" High Some("AML.T0020"),
        "a column has values that the trusted baseline's own relations cannot explain: a change of unit or scale, by mistake or by design",
        "convert the rows back where the report names a ratio, or leave them out; ask their source";
    DUPLICATE_CONTRADICTION "vet.duplicate.contradiction" Info None,
        "equal rows carry different labels: at most one of them can be right",
        "look at them; if the label depends on something the columns do not hold, add it";
    DUPLICATE_EXACT "vet.duplicate.exact" Info None,
        "rows are repeated exactly: they count more than once in training and leak between splits",
        "remove all but one of each, unless repetition means something";
    DUPLICATE_FLOOD "vet.duplicate.flood" High Some("AML.T0020"),
        "many copies or near copies of one row crowd together where nothing else lies: a flood gives one example the weight of many",
        "keep one row of each crowd and ask who sent the others";
    LABEL_NOISE "vet.label.noise" High Some("AML.T0020"),
        "rows that models which have not seen them are sure about carry another label: mistakes or planted flips",
        "have the listed rows labelled anew, worst first; where one class turns into one other, look for intent";
    LEAK_ROWS "vet.leak.rows" High None,
        "more rows stand in the baseline too than chance allows: a test on them tests memory",
        "remove the listed rows from one of the two sets";
    OUTLIER_ROWS "vet.outlier.rows" Low None,
        "rows lie far from all others",
        "look at the worst; outliers may be errors, rare truths or planted points";
    PATTERN_SHORTCUT "vet.pattern.shortcut" Info None,
        "one value goes with one label far more than its surroundings explain, and so do the values beside it: a natural shortcut that a model will learn",
        "decide whether the model may rely on it";
    PATTERN_TRIGGER "vet.pattern.trigger" Critical Some("AML.T0018"),
        "a pattern goes with one label though rows that are alike but for the pattern have another: whoever shows the pattern to the model will get that label",
        "remove the listed rows, ask who sent them, and train again";
    SOURCE_LABELS "vet.source.labels" High Some("AML.T0020"),
        "the labels of one source are contradicted far more often than those of the others",
        "quarantine the source's rows until its labels are checked";
    SOURCE_SHIFT "vet.source.shift" Medium Some("AML.T0020"),
        "one source's rows are distributed unlike those of all others in the named column",
        "ask the source how it measures; leave its rows out until that is known";
    VALUE_DISGUISED "vet.value.disguised" High Some("AML.T0020"),
        "values are other values in disguise: look-alike letters, stray blanks, invisible characters or case split one category in two",
        "replace them by what they stand for and ask their source";
    VALUE_IMPOSSIBLE "vet.value.impossible" High Some("AML.T0020"),
        "numbers are beyond all that the column can hold by the baseline",
        "correct or remove the rows";
    VALUE_MISSING "vet.value.missing" Medium None,
        "values are missing, not a number or infinite in a column that is complete in the baseline",
        "find out why they are missing before they are filled";
    VALUE_UNKNOWN "vet.value.unknown" Info None,
        "values are new: the baseline does not have them, or they are a little beyond its range",
        "extend the baseline if they are real";
}
