//! Which HTTP status says what a refusal says.

use bartizan_core::RefusalCode;

/// HTTP status of a refusal (RFC 9110, 6585).
///
/// Everything that is wrong *in* a body is 400, as Triton and KServe answer: clients of the
/// protocol know no 422. 503 goes with `Retry-After` wherever trying again may help.
pub fn status(code: RefusalCode) -> u16 {
    match code {
        RefusalCode::Malformed | RefusalCode::Mismatch | RefusalCode::InputRefused => 400,
        RefusalCode::Unauthenticated => 401,
        RefusalCode::Forbidden => 403,
        RefusalCode::NotFound => 404,
        RefusalCode::MethodNotAllowed => 405,
        RefusalCode::Slow => 408,
        RefusalCode::TooLarge => 413,
        RefusalCode::Unsupported => 415,
        RefusalCode::Throttled => 429,
        RefusalCode::HeadersTooLarge => 431,
        RefusalCode::Internal => 500,
        RefusalCode::Overloaded
        | RefusalCode::ModelUnavailable
        | RefusalCode::Unrecordable
        | RefusalCode::Unpublished
        | RefusalCode::AccessUnavailable
        | RefusalCode::Draining => 503,
        RefusalCode::DeadlineExceeded => 504,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refusal never looks like an answer or a redirect.
    #[test]
    fn every_refusal_is_an_error_status() {
        for code in RefusalCode::ALL {
            assert!((400..600).contains(&status(*code)), "{}", code.as_str());
        }
    }
}
