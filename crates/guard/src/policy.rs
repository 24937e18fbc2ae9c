//! What follows from evidence: the steps of the ladder, and when they are taken.

/// Whether verdicts have an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Everything is judged and recorded, nothing refused.
    #[default]
    Observe,
    /// Verdicts hold.
    Enforce,
}

/// How one model is guarded. Evidence is on the scale of a mean run length: at the assumed rate
/// of honest flags, evidence `c` comes about once in `c` rows or less often.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Whether verdicts have an effect.
    pub mode: Mode,
    /// Whether honest callers ask variations of one row (what-if, sensors): then similarity alone
    /// degrades and never throttles.
    pub expects_near_duplicates: bool,
    /// Evidence of similarity from which answers are label only.
    pub degrade_at: f64,
    /// Evidence of similarity from which the caller is throttled.
    pub throttle_at: f64,
    /// Evidence of oddness or of straddling from which the caller is blocked.
    pub block_at: f64,
    /// Evidence of straddling from which it is quarantined.
    pub quarantine_at: f64,
    /// Blocks after which it is quarantined.
    pub blocks_max: u8,
    /// Mean length of a throttle or block, in seconds; the real one is drawn from half to one and
    /// a half of it.
    pub hold_s: u32,
    /// Rows without a flag after which a degraded caller gets whole answers again.
    pub clean_rows: u32,
    /// Rows of one caller on one day (UTC); no bound where absent.
    pub rows_per_day: Option<u64>,
    /// Different rows of one caller on one day; no bound where absent.
    pub distinct_rows_per_day: Option<u64>,
    /// Rows of all callers on one day; no bound where absent.
    pub model_rows_per_day: Option<u64>,
    /// How long a row is remembered, in seconds.
    pub remember_s: u32,
    /// Rows that are remembered.
    pub remembered_rows: u32,
    /// Callers that are known apart.
    pub callers_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            expects_near_duplicates: false,
            degrade_at: 1e2,
            throttle_at: 1e3,
            block_at: 1e4,
            quarantine_at: 1e6,
            blocks_max: 3,
            hold_s: 3_600,
            clean_rows: 1_000,
            rows_per_day: None,
            distinct_rows_per_day: None,
            model_rows_per_day: None,
            remember_s: 86_400,
            remembered_rows: 1 << 18,
            callers_max: 1 << 16,
        }
    }
}

impl Policy {
    /// The null rate that a channel bets against, for honest rows flagged at `rate`: twice that,
    /// and never below 2 %.
    pub fn null_rate(rate: f64) -> f64 {
        (2.0 * rate).clamp(0.02, 0.5)
    }

    /// An upper bound on false quarantines a year by straddling, at `rows_per_year` honest rows:
    /// one in `quarantine_at` rows at the assumed rate of flags, which honest rows do not reach.
    pub fn false_quarantines_per_year(&self, rows_per_year: f64) -> f64 {
        rows_per_year / self.quarantine_at
    }
}
