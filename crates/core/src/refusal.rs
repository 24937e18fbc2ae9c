//! What a caller is told when there is no answer.
//!
//! A refusal is poorer than what the operator sees: a code, a decision id, and for what the
//! published metadata already says (names, types, shapes, sizes, syntax) a reason. It never says
//! which guard tripped.

use crate::id::DecisionId;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $text:literal $message:literal),* $(,)?) => {
        /// Why a request was refused. Each is explained in `docs/errors.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RefusalCode { $($(#[$doc])* $variant),* }

        impl RefusalCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code that callers, records and metrics carry.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// One plain sentence for the caller, in lower case and without a full stop.
            pub fn message(self) -> &'static str {
                match self { $(Self::$variant => $message),* }
            }
        }
    };
}

codes! {
    /// No credential, or one that proves nothing.
    Unauthenticated "unauthenticated" "a valid credential is needed",
    /// The credential does not cover this act on this resource.
    Forbidden "forbidden" "the credential does not cover this",
    /// Too many failures from this source, or too many requests.
    Throttled "throttled" "too many requests, wait before trying again",
    /// No such route, model or version, or none that the caller may know of.
    NotFound "not-found" "there is no such model, version or route",
    /// The route exists, the method does not.
    MethodNotAllowed "method-not-allowed" "this route does not take that method",
    /// The body is not what the protocol says.
    Malformed "malformed" "the request is not well formed",
    /// An encoding or media type that this server does not take.
    Unsupported "unsupported" "this encoding or media type is not supported",
    /// Larger than a named limit.
    TooLarge "too-large" "the request is larger than a limit",
    /// Headers larger than a named limit.
    HeadersTooLarge "headers-too-large" "the headers are larger than a limit",
    /// Names, types or shapes are not the model's.
    Mismatch "mismatch" "the inputs do not fit the model",
    /// Values break the contract.
    InputRefused "input-refused" "the input was refused",
    /// The body did not arrive in time.
    Slow "slow" "the request did not arrive in time",
    /// All places are taken for the moment.
    Overloaded "overloaded" "the server is busy, try again",
    /// The model is being loaded or failed to load.
    ModelUnavailable "model-unavailable" "the model is not ready",
    /// The answer was not ready in time.
    DeadlineExceeded "deadline-exceeded" "the answer was not ready in time",
    /// The decision cannot be recorded, so it is not made.
    Unrecordable "unrecordable" "decisions cannot be recorded at the moment",
    /// The decision is recorded, and not yet as widely known as its model asks.
    Unpublished "unpublished" "the decision is recorded, but not yet published or witnessed as its model asks",
    /// What replicas share about access was not seen for too long.
    AccessUnavailable "access-unavailable" "who may ask cannot be checked at the moment",
    /// The server is going away.
    Draining "draining" "the server is stopping",
    /// A fault of ours.
    Internal "internal" "the server failed to answer",
}

/// A refusal as the caller gets it, before a protocol gives it its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
    /// The decision (or tally) under which the operator finds the reason.
    pub decision: Option<DecisionId>,
    /// What is wrong with names, types, shapes, sizes or syntax; never a value, never a guard.
    pub detail: Option<String>,
    /// After how many seconds another try may succeed.
    pub retry_after_s: Option<u32>,
}

impl Refusal {
    /// A refusal with nothing but its code.
    pub fn new(code: RefusalCode) -> Self {
        Self { code, decision: None, detail: None, retry_after_s: None }
    }

    /// The same with a reason that the caller may know.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The sentence for the caller: the reason where there is one, else the code's own.
    pub fn message(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.code.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_codes_share_a_text() {
        let mut texts: Vec<_> = RefusalCode::ALL.iter().map(|code| code.as_str()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), RefusalCode::ALL.len());
    }
}
