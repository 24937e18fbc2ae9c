//! One request's way, step by step, as types.
//!
//! `admit -> Admitted`, `.clear(..) -> Cleared`, `Model::predict -> Predicted`,
//! `.review() -> Withheld`, `.release(receipt) -> Reply`. Each step consumes the one before; none
//! of the values is `Clone`, `Default` or `Deserialize`, and their fields are private. The pairs
//! below are equal but for the step that the second leaves out.
//!
//! What the guard has not cleared is not predicted:
//! ```
//! use bartizan_decision::{Admitted, Model, Predicted, Spoken};
//! fn ask(model: &Model, admitted: Admitted, spoken: Spoken) -> Vec<Predicted> {
//!     let Ok(cleared) = admitted.clear(spoken) else { return Vec::new() };
//!     model.predict(vec![cleared])
//! }
//! ```
//! ```compile_fail,E0308
//! use bartizan_decision::{Admitted, Model, Predicted, Spoken};
//! fn ask(model: &Model, admitted: Admitted, spoken: Spoken) -> Vec<Predicted> {
//!     model.predict(vec![admitted])
//! }
//! ```
//!
//! What was not reviewed is not released:
//! ```
//! use bartizan_decision::{Predicted, Reply};
//! use bartizan_ledger::Receipt;
//! fn tell(predicted: Predicted, receipt: Receipt) -> Option<Reply> {
//!     predicted.review().release(receipt).ok()
//! }
//! ```
//! ```compile_fail,E0599
//! use bartizan_decision::{Predicted, Reply};
//! use bartizan_ledger::Receipt;
//! fn tell(predicted: Predicted, receipt: Receipt) -> Option<Reply> {
//!     predicted.release(receipt).ok()
//! }
//! ```
//!
//! What was not recorded is not sent:
//! ```
//! use bartizan_decision::{Reply, Withheld};
//! use bartizan_ledger::Receipt;
//! fn body(withheld: Withheld, receipt: Receipt) -> Option<Vec<u8>> {
//!     withheld.release(receipt).ok().map(Reply::into_body)
//! }
//! ```
//! ```compile_fail,E0599
//! use bartizan_decision::{Reply, Withheld};
//! use bartizan_ledger::Receipt;
//! fn body(withheld: Withheld, receipt: Receipt) -> Option<Vec<u8>> {
//!     withheld.into_body()
//! }
//! ```
//!
//! A judgement is used once, and its tensors cannot be exchanged after it:
//! ```
//! use bartizan_decision::{Cleared, Model, Predicted};
//! fn ask(model: &Model, cleared: Cleared) -> Vec<Predicted> {
//!     model.predict(vec![cleared])
//! }
//! ```
//! ```compile_fail,E0599
//! use bartizan_decision::{Cleared, Model, Predicted};
//! fn ask(model: &Model, cleared: Cleared) -> Vec<Predicted> {
//!     model.predict(vec![cleared.clone(), cleared])
//! }
//! ```
//! ```compile_fail,E0616
//! use bartizan_core::Tensor;
//! use bartizan_decision::{Cleared, Model, Predicted};
//! fn ask(model: &Model, mut cleared: Cleared, others: Vec<Tensor>) -> Vec<Predicted> {
//!     cleared.inputs = others;
//!     model.predict(vec![cleared])
//! }
//! ```
//!
//! A model is asked through its steps alone:
//! ```
//! use bartizan_decision::Model;
//! fn rows(model: &Model) -> u64 {
//!     model.row_cost_ns()
//! }
//! ```
//! ```compile_fail,E0616
//! use bartizan_decision::Model;
//! fn rows(model: &Model) -> u64 {
//!     model.predictor.row_cost_ns()
//! }
//! ```

mod arrival;
mod budget;
mod case;
mod fold;
mod model;
mod review;
mod served;
mod snapshot;
mod steps;
mod tally;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod watched;

pub use arrival::{Answer, Arrival, Chance, Protocol, Received, Rendered};
pub use budget::{COUNTED_MAX, DayRows, RowAsk, RowBudget};
pub use fold::{
    FoldKey, Folded, Folder, SINGLE_REFUSALS_PER_S, TALLIES_PER_WINDOW_MAX, WINDOW_NS, Whom,
};
pub use model::{Model, ModelTerms, Watch};
pub use served::Served;
pub use snapshot::{Site, Snapshot};
pub use steps::{
    Admitted, Ask, Cleared, Predicted, Reply, Spoken, Unrecorded, Withheld, admit, refuse,
};
pub use tally::{gap_entry, tally_entry};
