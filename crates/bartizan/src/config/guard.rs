//! Configuration of the request gate.

use bartizan_guard as guard;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether verdicts have an effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// Everything is judged and recorded, nothing refused.
    #[default]
    Observe,
    /// Verdicts hold.
    Enforce,
}

/// The request gate: what is done about callers that probe a model. It works for models that were
/// added with a profile (`bartizan guard fit`, `bartizan model add --profile`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Guard {
    /// `observe` (everything is judged and recorded, nothing refused) or `enforce`: the mode of
    /// models in neither list.
    pub(crate) mode: Mode,
    /// Names of models of which callers are only observed.
    pub(crate) observe: Vec<String>,
    /// Names of models whose callers are degraded, throttled, blocked and quarantined.
    pub(crate) enforce: Vec<String>,
    /// Names of models whose honest callers ask variations of one row (what-if, sensors): then
    /// similarity alone degrades and never throttles.
    pub(crate) expects_near_duplicates: Vec<String>,
    /// Names of principals that speak for many end users (`bartizan-end-user`): these are judged
    /// one by one, the principal never.
    pub(crate) channels: Vec<String>,
    /// Whether a model without a profile is refused in this environment.
    pub(crate) profile_required: bool,
    /// Names of models that are served without a profile all the same.
    pub(crate) without_profile: Vec<String>,
    /// Mean time for which a caller is throttled or blocked, in seconds; each time is drawn anew.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub(crate) hold_s: u32,
    /// Most rows of one caller on one day (UTC), for each model; 0: no bound.
    pub(crate) rows_per_day: u64,
    /// Most different rows of one caller on one day, for each model; 0: no bound.
    pub(crate) distinct_rows_per_day: u64,
    /// Most rows of all callers of one model on one day; 0: no bound.
    pub(crate) model_rows_per_day: u64,
    /// Rows that are remembered, for each model: about 130 bytes each.
    #[schemars(range(min = 1_024, max = 16_777_216))]
    pub(crate) remembered_rows: u32,
    /// How long a row is remembered, in seconds.
    #[schemars(range(min = 60, max = 2_592_000))]
    pub(crate) remember_s: u32,
    /// Callers that are known apart, for each model.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub(crate) callers_max: u32,
}

impl Default for Guard {
    fn default() -> Self {
        let policy = guard::Policy::default();
        Self {
            mode: Mode::Observe,
            observe: Vec::new(),
            enforce: Vec::new(),
            expects_near_duplicates: Vec::new(),
            channels: Vec::new(),
            profile_required: false,
            without_profile: Vec::new(),
            hold_s: policy.hold_s,
            rows_per_day: 0,
            distinct_rows_per_day: 0,
            model_rows_per_day: 0,
            remembered_rows: policy.remembered_rows,
            remember_s: policy.remember_s,
            callers_max: 1 << 16,
        }
    }
}

impl Guard {
    /// How the model of that name is guarded.
    pub(crate) fn policy(&self, model: &str) -> guard::Policy {
        let has = |names: &[String]| names.iter().any(|name| name == model);
        let mode = match (has(&self.enforce), has(&self.observe), self.mode) {
            (true, _, _) | (false, false, Mode::Enforce) => guard::Mode::Enforce,
            (false, true, _) | (false, false, Mode::Observe) => guard::Mode::Observe,
        };
        let bound = |n: u64| (0 < n).then_some(n);
        guard::Policy {
            mode,
            expects_near_duplicates: has(&self.expects_near_duplicates),
            hold_s: self.hold_s,
            rows_per_day: bound(self.rows_per_day),
            distinct_rows_per_day: bound(self.distinct_rows_per_day),
            model_rows_per_day: bound(self.model_rows_per_day),
            remembered_rows: self.remembered_rows,
            remember_s: self.remember_s,
            callers_max: self.callers_max as usize,
            ..guard::Policy::default()
        }
    }

    /// Whether the model of that name may be served without a profile.
    pub(crate) fn may_lack_profile(&self, model: &str) -> bool {
        !self.profile_required || self.without_profile.iter().any(|name| name == model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_go_before_the_default_and_to_enforce_before_to_observe() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let guard =
            Guard { enforce: names(&["a"]), observe: names(&["a", "b"]), ..Guard::default() };
        assert_eq!(guard.policy("a").mode, guard::Mode::Enforce);
        assert_eq!(guard.policy("b").mode, guard::Mode::Observe);
        assert_eq!(guard.policy("c").mode, guard::Mode::Observe);
        let strict = Guard { mode: Mode::Enforce, ..guard };
        assert_eq!(strict.policy("b").mode, guard::Mode::Observe);
        assert_eq!(strict.policy("c").mode, guard::Mode::Enforce);
        let required =
            Guard { profile_required: true, without_profile: names(&["x"]), ..Guard::default() };
        assert!(required.may_lack_profile("x") && !required.may_lack_profile("y"));
        assert!(Guard::default().may_lack_profile("y"));
    }
}
