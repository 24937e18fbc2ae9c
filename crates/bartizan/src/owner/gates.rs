//! What gates concluded, put on record: of models before they are loaded, and of commands.

use bartizan_core::Principal;
use bartizan_core::limits::FINDINGS_MAX;
use bartizan_ledger::{FindingList, Outcome as RecordedOutcome};

use super::operation::{DecisionText, GateRun, Outcome};
use super::store::Act;
use super::{OperationError, Owner};
use crate::gate::{self, GateError, Judged};
use crate::models::prepare::PrepareError;
use crate::models::{Files, Shelved};

/// Longest id of a rule, in bytes.
const RULE_BYTES_MAX: usize = 64;

impl Owner {
    /// Scans a model's bytes and records what came of it; an error unless they may be loaded.
    pub(super) fn pass_gate(
        &self,
        caller: &Principal,
        shelved: &Shelved,
        files: &Files,
    ) -> Result<(), OperationError> {
        let name = format!("{} version {}", shelved.name, shelved.version);
        let scanner = &*self.world.scanner;
        let keys = self.environment.exception_keys().map_err(PrepareError::File)?;
        let now_ns = self.clock().now().wall_ns;
        let rights = gate::Rights { exception: files.exception.as_deref(), keys: &keys, now_ns };
        let passed = gate::pass(scanner, &name, &files.model, shelved.entry.model, &rights);
        let act = |outcome, judged: Option<&Judged>, words: String| Act::ModelScanned {
            shelved: shelved.clone(),
            outcome,
            conclusion: format!("{words}; scanned {}", scanner.confinement()),
            findings: judged.map_or_else(FindingList::default, Judged::recorded),
        };
        let act = match &passed {
            Ok(passed) => {
                let mut words = passed.excepted.clone().unwrap_or_default();
                if !words.is_empty() {
                    words.push_str("; ");
                }
                words.push_str(&passed.judged.conclusion());
                act(RecordedOutcome::Done, Some(&passed.judged), words)
            }
            Err(GateError::Exception { judged, source, .. }) => {
                let words = format!("not excepted: {source}; {}", judged.conclusion());
                act(RecordedOutcome::Refused, Some(judged), words)
            }
            Err(GateError::Refused(refusal)) => {
                let judged = &refusal.judged;
                act(RecordedOutcome::Refused, Some(judged), judged.conclusion())
            }
            Err(GateError::Unscanned { .. }) => {
                act(RecordedOutcome::Failed, None, "the scan gave no answer".to_owned())
            }
            Err(GateError::OtherBytes { .. }) => {
                act(RecordedOutcome::Failed, None, "the scan saw other bytes".to_owned())
            }
        };
        self.record(caller, &act)?;
        passed.map(|_| ()).map_err(|error| PrepareError::Gate(error).into())
    }

    /// By which means whatever scans models is shut in, and whether wholly.
    pub(crate) fn scan_confined(&self) -> Vec<(&'static str, bool)> {
        self.world.scanner.confined()
    }

    /// How models are scanned before they are loaded, in words.
    pub(crate) fn scan_confinement(&self) -> String {
        self.world.scanner.confinement()
    }

    /// Puts a run of a gate's command on record.
    pub(super) fn record_gate_run(
        &self,
        caller: &Principal,
        run: &GateRun,
    ) -> Result<Outcome, OperationError> {
        let plain =
            |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.');
        let rules_are_plain = run
            .findings
            .iter()
            .all(|found| found.rule.len() <= RULE_BYTES_MAX && found.rule.bytes().all(plain));
        if FINDINGS_MAX < run.findings.len() || !rules_are_plain {
            return Err(OperationError::GateRun);
        }
        let act = Act::GateRun(run.clone());
        let recorded = self.store.record_named(caller, &act, &*self.world.entropy);
        let (id, receipt) = recorded.map_err(OperationError::Unrecorded)?;
        Ok(Outcome::Recorded { id: DecisionText(id), recorded: receipt.to_string() })
    }
}
