//! The guard against honest callers, attackers, framing, faults and its own past.

use super::*;
use crate::testing::{Source, ask, asker};

/// The rule of a finding that says that the caller is held.
fn is_stopped(verdict: Verdict) -> bool {
    Verdict::Degrade < verdict
}

/// A model's answer to a row.
type Label<'a> = dyn Fn(&[f32]) -> i64 + 'a;

/// Rows of a search by halving between a row of each class, each followed by four small steps
/// about it, as decision-based attacks ask: what HopSkipJump and its like send.
fn attack(source: Source, seed: u64) -> impl FnMut(&Label<'_>) -> Vec<f32> {
    let mut chance = Chance::new(seed, 11);
    let rows = source.rows(200, seed);
    let start = rows[0].clone();
    let class = source.label(&start);
    let end = rows.into_iter().find(|row| source.label(row) != class);
    let (mut low, mut high) = (start.clone(), end.unwrap_or_else(|| vec![0.0; start.len()]));
    let mut at = 0_usize;
    move |label| {
        at += 1;
        match at {
            1 => start.clone(),
            2 => high.clone(),
            _ if at < 12 => {
                let middle: Vec<f32> = low.iter().zip(&high).map(|(a, b)| (a + b) / 2.0).collect();
                if label(&middle) == class {
                    low.clone_from(&middle);
                } else {
                    high.clone_from(&middle);
                }
                middle
            }
            _ => {
                let spread: Vec<f32> =
                    start.iter().zip(&high).map(|(a, b)| (a - b).abs()).collect();
                let step = |(x, s): (&f32, &f32)| x + 0.05 * s * chance.normal() as f32;
                high.iter().zip(&spread).map(step).collect()
            }
        }
    }
}

fn rows_until_stopped(guard: &Guard, source: Source, who: u64, now_s: u64, seed: u64) -> usize {
    let mut next = attack(source, seed);
    let label = |row: &[f32]| source.label(row);
    let stopped = (1..=200).find(|_| {
        let row = next(&label);
        is_stopped(ask(guard, &asker(who), &[row], now_s, &label).0)
    });
    stopped.unwrap_or(usize::MAX)
}

#[test]
fn an_attack_is_stopped_within_twenty_rows() {
    for source in Source::ALL {
        let guard = source.guard(Mode::Enforce);
        let mut all: Vec<_> =
            (0..20).map(|seed| rows_until_stopped(&guard, source, 500 + seed, 10, seed)).collect();
        all.sort_unstable();
        assert!(all[19] <= 20, "{source:?}: {all:?}");
    }
}

/// A patient attacker, with a hundred thousand honest rows behind it (ten thousand in a plain
/// run), is stopped as soon as a hasty one.
#[test]
fn an_attack_after_many_honest_rows_is_stopped_within_twenty_rows() {
    let source = Source::Amounts;
    let guard = source.guard(Mode::Enforce);
    let label = |row: &[f32]| source.label(row);
    let n = if std::env::var_os("BARTIZAN_DEEP").is_some() { 100_000 } else { 10_000 };
    for rows in source.rows(n, 41).chunks(100) {
        assert!(!is_stopped(ask(&guard, &asker(1), rows, 10, &label).0));
    }
    let rows = rows_until_stopped(&guard, source, 1, 20, 3);
    assert!(rows <= 20, "{rows}");
}

/// 102,000 honest rows of three data sets and 1,020 callers; the plain run asks a tenth.
#[test]
fn honest_callers_are_not_blocked_and_none_is_quarantined() {
    let deep = std::env::var_os("BARTIZAN_DEEP").is_some();
    let (n_callers, n_rows) = if deep { (340, 100) } else { (60, 60) };
    for source in Source::ALL {
        let guard = source.guard(Mode::Enforce);
        let label = |row: &[f32]| source.label(row);
        let (mut n_blocked, mut n_held) = (0, 0);
        for caller in 0..n_callers {
            for row in source.rows(n_rows, 1_000 + caller) {
                let (verdict, ..) = ask(&guard, &asker(caller), &[row], 10, &label);
                n_blocked += usize::from(Verdict::Throttle < verdict);
                n_held += usize::from(is_stopped(verdict));
            }
        }
        let n = n_callers as usize * n_rows;
        assert!(n_blocked * 1_000 <= n, "{source:?}: {n_blocked} of {n} blocked");
        assert!(n_held * 500 <= n, "{source:?}: {n_held} of {n} held");
        assert_eq!(guard.n_quarantined(), 0);
    }
}

#[test]
fn an_honest_batch_of_ten_thousand_rows_passes() {
    for source in Source::ALL {
        let guard = source.guard(Mode::Enforce);
        let label = |row: &[f32]| source.label(row);
        let (verdict, ..) = ask(&guard, &asker(1), &source.rows(10_000, 6), 10, &label);
        assert!(!is_stopped(verdict), "{source:?}: {verdict:?}");
    }
}

/// What-if traffic: one record, one to three fields changed each time. It may be throttled, or
/// only degraded where that is expected; it is never blocked.
#[test]
fn what_if_traffic_is_never_blocked() {
    for source in Source::ALL {
        let policy = Policy {
            mode: Mode::Enforce,
            expects_near_duplicates: true,
            remembered_rows: 1 << 12,
            callers_max: 100,
            ..Policy::default()
        };
        let guard = Guard::new(source.profile(), policy, [8, 9]);
        // A model that hardly depends on the changed fields, as honest what-if finds it.
        let label =
            |row: &[f32]| source.label(&[row[..1].to_vec(), vec![0.0; row.len() - 1]].concat());
        let mut chance = Chance::new(4, 4);
        for caller in 0..20 {
            let rows = source.rows(60, 9_000 + caller);
            for other in &rows[1..] {
                let mut row = rows[0].clone();
                for _ in 0..=chance.below(3) {
                    let at = 1 + chance.below(row.len() - 1);
                    row[at] = other[at];
                }
                let (verdict, ..) = ask(&guard, &asker(caller), &[row], 10, &label);
                assert!(verdict <= Verdict::Degrade, "{source:?}: {verdict:?}");
            }
        }
    }
}

/// W2: an attacker seeds rows of the other class about the victim's next request; the victim is
/// judged as if it had not.
#[test]
fn rows_of_others_never_stop_a_victim() {
    let source = Source::Pixels;
    let label = |row: &[f32]| source.label(row);
    let victim_rows = source.rows(50, 71);
    let run = |is_framed: bool| {
        let guard = source.guard(Mode::Observe);
        if is_framed {
            let mut chance = Chance::new(2, 2);
            for row in &victim_rows {
                let near: Vec<Vec<f32>> = (0..20)
                    .map(|_| row.iter().map(|x| x + 0.2 * chance.unit() as f32).collect())
                    .collect();
                ask(&guard, &asker(666), &near, 10, &|row| 1 - source.label(row));
            }
        }
        let judge = |row: &Vec<f32>| {
            let (verdict, _, findings) =
                ask(&guard, &asker(1), std::slice::from_ref(row), 11, &label);
            // Drift is the model's, not the caller's.
            let rules = findings.kept().iter().map(|finding| finding.rule.id);
            (verdict, rules.filter(|rule| *rule != "guard.drift.input").collect::<Vec<_>>())
        };
        victim_rows.iter().map(judge).collect::<Vec<_>>()
    };
    assert_eq!(run(true), run(false));
}

/// One attack by three callers in turn: others' rows count once each has put two near rows there.
#[test]
fn an_attack_by_several_callers_is_stopped_within_twice_the_rows() {
    let source = Source::Pixels;
    let guard = source.guard(Mode::Enforce);
    let label = |row: &[f32]| source.label(row);
    let mut next = attack(source, 5);
    let mut stopped = [false; 3];
    let mut rows = 0;
    while stopped != [true; 3] && rows < 200 {
        let row = next(&label);
        let who = rows % 3;
        rows += 1;
        let asked = ask(&guard, &asker(who as u64), &[row], 10, &label);
        stopped[who] |= is_stopped(asked.0);
    }
    assert!(rows <= 60, "{rows}");
}

/// A channel: of a thousand end users one attacks; it is stopped, the others are untouched.
#[test]
fn of_a_channel_only_the_end_user_that_attacks_is_stopped() {
    let source = Source::Amounts;
    let guard = source.guard(Mode::Enforce);
    let label = |row: &[f32]| source.label(row);
    let mut next = attack(source, 8);
    let channel = |end_user| Asker { end_user: Some(end_user), is_channel: true, ..asker(1) };
    let names: Vec<String> = (0..1_000).map(|n| format!("user-{n}")).collect();
    let mut stopped_after = None;
    for (at, (name, row)) in names.iter().zip(source.rows(1_000, 21)).enumerate() {
        assert!(!is_stopped(ask(&guard, &channel(name), &[row], 10, &label).0));
        if at % 10 == 0 && stopped_after.is_none() {
            let row = next(&label);
            if is_stopped(ask(&guard, &channel("attacker"), &[row], 10, &label).0) {
                stopped_after = Some(at / 10 + 1);
            }
        }
    }
    assert!(stopped_after.is_some_and(|rows| rows <= 20), "{stopped_after:?}");
    // Without an end user it is the whole channel, which nobody holds.
    let open = Asker { is_channel: true, ..asker(1) };
    let mut next = attack(source, 8);
    for _ in 0..60 {
        let row = next(&label);
        assert!(!is_stopped(ask(&guard, &open, &[row], 10, &label).0));
    }
}

/// Rows that a program makes up, as thieves without data do.
#[test]
fn made_up_rows_are_blocked_within_25_rows() {
    for source in Source::ALL {
        let guard = source.guard(Mode::Enforce);
        let profile = source.profile();
        let mut chance = Chance::new(1, 1);
        let stopped = (1..=100).find(|_| {
            let row = profile
                .columns
                .iter()
                .map(|column| (column.low + chance.unit() * (column.high - column.low)) as f32);
            let row: Vec<f32> = row.collect();
            let asked = ask(&guard, &asker(1), &[row], 10, &|row| source.label(row));
            Verdict::Throttle < asked.0
        });
        assert!(stopped.is_some_and(|rows| rows <= 25), "{source:?}: {stopped:?}");
    }
}

#[test]
fn to_observe_refuses_nothing_and_says_the_same() {
    let source = Source::Pixels;
    let guard = source.guard(Mode::Observe);
    let label = |row: &[f32]| source.label(row);
    let mut next = attack(source, 2);
    let mut rules = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let row = next(&label);
        let (verdict, _, findings) = ask(&guard, &asker(1), &[row], 10, &label);
        assert!(verdict <= Verdict::Flag);
        rules.extend(findings.kept().iter().map(|finding| finding.rule.id));
    }
    let held = ["guard.caller.throttled", "guard.caller.blocked"];
    assert!(held.iter().any(|rule| rules.contains(rule)), "{rules:?}");
    assert!(rules.contains("guard.evidence.similar"), "{rules:?}");
}

/// A throttle hits all that the caller asks, for its time, and a release ends it.
#[test]
fn a_held_caller_waits_whatever_it_asks_until_its_time_or_a_release() {
    let source = Source::Reals;
    let label = |row: &[f32]| source.label(row);
    for is_released in [false, true] {
        let guard = source.guard(Mode::Enforce);
        assert!(rows_until_stopped(&guard, source, 1, 100, 4) <= 20);
        let honest = source.rows(3, 900);
        let (verdict, judgement, findings) = ask(&guard, &asker(1), &honest[..1], 101, &label);
        assert!(is_stopped(verdict), "{verdict:?}");
        let retry_after_s = u64::from(judgement.retry_after_s.unwrap());
        assert!((1_700..=5_400).contains(&retry_after_s), "{retry_after_s}");
        assert_eq!(findings.kept().len(), 1);
        let other = ask(&guard, &asker(2), &honest[..1], 101, &label);
        assert!(!is_stopped(other.0));
        if is_released {
            assert!(guard.release(&asker(1)) && !guard.release(&asker(3)));
            assert!(!is_stopped(ask(&guard, &asker(1), &honest[1..2], 102, &label).0));
        } else {
            let last = 101 + retry_after_s - 1;
            assert!(is_stopped(ask(&guard, &asker(1), &honest[1..2], last, &label).0));
            assert!(!is_stopped(ask(&guard, &asker(1), &honest[2..], last + 1, &label).0));
        }
    }
}

/// Each budget from both sides; the day ends it.
#[test]
fn a_budget_ends_with_its_last_row_and_begins_with_the_day() {
    let source = Source::Amounts;
    let rows = source.rows(12, 5);
    let label = |row: &[f32]| source.label(row);
    let plain = Policy { remembered_rows: 1_024, callers_max: 9, ..Policy::default() };
    for (policy, n_ok) in [
        (Policy { rows_per_day: Some(5), ..plain.clone() }, 5),
        (Policy { distinct_rows_per_day: Some(6), ..plain.clone() }, 6),
        (Policy { model_rows_per_day: Some(7), ..plain }, 7),
    ] {
        let guard = Guard::new(source.profile(), policy, [1, 2]);
        let verdict = |row: usize, now_s| ask(&guard, &asker(1), &rows[row..=row], now_s, &label);
        for row in 0..n_ok {
            assert!(!is_stopped(verdict(row, 86_000).0), "{row} of {n_ok}");
        }
        let (stopped, judgement, _) = verdict(n_ok, 86_000);
        assert_eq!((stopped, judgement.retry_after_s), (Verdict::Throttle, Some(400)));
        assert!(!is_stopped(verdict(n_ok, 86_400).0));
    }
}

/// W1: from a snapshot the same calls give the same verdicts, findings and steps.
#[test]
fn a_snapshot_goes_on_as_the_guard_itself_would() {
    let source = Source::Pixels;
    let label = |row: &[f32]| source.label(row);
    let guard = source.guard(Mode::Enforce);
    for (at, row) in source.rows(700, 13).into_iter().enumerate() {
        ask(&guard, &asker(at as u64 % 7), &[row], 10 + at as u64, &label);
    }
    rows_until_stopped(&guard, source, 3, 800, 2);
    let kept = guard.snapshot().unwrap();
    let mut twin = source.guard(Mode::Enforce);
    twin.restore(&kept).unwrap();
    assert_eq!(twin.snapshot().unwrap(), kept);
    let go_on = |guard: &Guard| {
        let mut all = Vec::new();
        let mut next = attack(source, 90);
        for (at, row) in source.rows(400, 14).into_iter().enumerate() {
            let row = if at % 4 == 0 { next(&label) } else { row };
            let who = asker(at as u64 % 4);
            let (verdict, judgement, findings) = ask(guard, &who, &[row], 900 + at as u64, &label);
            all.push((verdict, judgement.step, judgement.retry_after_s, findings));
        }
        (all, guard.snapshot().unwrap())
    };
    assert_eq!(go_on(&guard), go_on(&twin));
}

#[test]
fn a_snapshot_that_is_damaged_or_another_s_changes_nothing() {
    let guard = Source::Reals.guard(Mode::Enforce);
    let label = |row: &[f32]| Source::Reals.label(row);
    ask(&guard, &asker(1), &Source::Reals.rows(40, 1), 5, &label);
    let kept = guard.snapshot().unwrap();
    let mut other = Source::Amounts.guard(Mode::Enforce);
    assert_eq!(other.restore(&kept), Err(SnapshotError::Other));
    let mut twin = Source::Reals.guard(Mode::Enforce);
    let before = twin.snapshot().unwrap();
    for cut in [0, 7, 39, 60, 700, kept.len() - 1] {
        assert!(twin.restore(&kept[..cut]).is_err(), "{cut}");
    }
    let longer = [kept.as_slice(), &[0]].concat();
    assert!(twin.restore(&longer).is_err());
    assert_eq!(twin.snapshot().unwrap(), before);
}

/// An erasure: no byte of a row is left, neither here nor in what is kept; who is held stays held.
#[test]
fn rows_that_are_forgotten_are_in_no_snapshot() {
    let source = Source::Pixels;
    let guard = source.guard(Mode::Enforce);
    let label = |row: &[f32]| source.label(row);
    assert!(rows_until_stopped(&guard, source, 1, 100, 4) <= 20);
    ask(&guard, &asker(2), &source.rows(30, 8), 100, &label);
    let with_rows = guard.snapshot().unwrap().len();
    guard.forget_rows();
    assert!(guard.snapshot().unwrap().len() + 30 * 64 < with_rows);
    assert_eq!(guard.state.lock().unwrap().index.n_held(), 0);
    assert!(is_stopped(ask(&guard, &asker(1), &source.rows(1, 9), 101, &label).0));
}

/// W3: a fault leaves nothing unjudged without saying so.
#[test]
fn what_cannot_be_judged_is_refused_or_on_record() {
    for (mode, expected) in [(Mode::Observe, Verdict::Flag), (Mode::Enforce, Verdict::Block)] {
        let guard = Source::Reals.guard(mode);
        let mut findings = Findings::default();
        let wrong = [crate::testing::tensor(&[vec![0.0; 5]])];
        let judgement = guard.before(&asker(1), &wrong, 1, &mut findings);
        assert_eq!(judgement.verdict, expected);
        assert_eq!(findings.kept()[0].rule.id, "guard.row.not-judged");
    }
}

/// W4 needs no allocator to be shown: notes of a few rows lie in the judgement itself.
#[test]
fn notes_of_a_few_rows_take_no_memory() {
    assert!(matches!(Notes::for_rows(INLINE_ROWS), Notes::Few(..)));
    assert!(matches!(Notes::for_rows(INLINE_ROWS + 1), Notes::Many(..)));
}
