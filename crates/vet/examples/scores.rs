//! Prints the scores of one data set as JSON: `scores FILE [--label l] [--source s] [--text t]
//! [--baseline f]`.

use std::collections::BTreeMap;
use std::path::Path;

use bartizan_vet::read::{ReadLimits, open};
use bartizan_vet::table::{Builder, Plan, Table};
use bartizan_vet::{Options, vet};

fn load(path: &str, plan: &Plan) -> Result<Table, Box<dyn std::error::Error>> {
    let mut builder = Builder::new(plan.clone());
    for batch in open(Path::new(path), &ReadLimits::default())? {
        builder.push(&batch?)?;
    }
    Ok(builder.finish()?)
}

#[expect(clippy::print_stdout, reason = "the example's answer")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).cloned()
    };
    let plan = Plan {
        label: option("--label"),
        source: option("--source"),
        text: option("--text"),
        ..Plan::default()
    };
    let table = load(&args[1], &plan)?;
    let baseline = option("--baseline").map(|path| load(&path, &plan)).transpose()?;
    let begun = std::time::Instant::now();
    let say = |what: &'static str, at: u32, _of: u32| {
        eprintln!("{:8.3} {at} {what}", begun.elapsed().as_secs_f64());
    };
    let report = vet(&table, baseline.as_ref(), &Options::default(), &say);
    for finding in &report.findings {
        eprintln!(
            "{} {} z={:.1} blocks={}",
            finding.rule.id, finding.claim, finding.strength, finding.blocks
        );
    }
    for member in &report.facts.members {
        eprintln!("{member:?}");
    }
    let scores: BTreeMap<&str, &Vec<f32>> =
        report.scores.iter().map(|(issue, scores)| (issue.as_str(), scores)).collect();
    let flags: BTreeMap<&str, Vec<u32>> =
        report.flags().into_iter().map(|(issue, rows)| (issue.as_str(), rows)).collect();
    let sources: BTreeMap<&str, f64> = report
        .facts
        .sources
        .iter()
        .map(|s| (s.name.as_str(), s.label_z.max(3.0 * s.shift_z)))
        .collect();
    let columns: BTreeMap<&str, f64> =
        report.facts.columns.iter().map(|c| (c.name.as_str(), c.z)).collect();
    println!(
        "{}",
        serde_json::json!({"scores": scores, "risk": report.risk, "flags": flags, "sources": sources, "columns": columns})
    );
    Ok(())
}
