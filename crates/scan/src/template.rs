//! Jinja templates of chats: read by Jinja's grammar, never rendered.
//!
//! Whoever renders with a plain environment (CVE-2024-34359) runs what attributes reach: fields
//! are judged by their form (all that lead into Python's own objects have one of a few), methods,
//! functions, filters and tests by lists, and a name that the template puts together is not
//! cleared.
//!
//! Invariants
//! - J1: an attribute is seen however it is written: dot, subscript, `attr`, `map`, escapes, texts
//!   joined;
//! - J2: a template that the grammar does not read is not cleared.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

mod expression;
mod lex;
mod names;
mod parse;

use crate::escape;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use parse::{Found, Parser};

/// Longest template, in bytes.
const TEMPLATE_BYTES_MAX: usize = 1024 * 1024;

/// What a text is taken as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    /// Somebody renders it.
    Template,
    /// It has the marks of a template; only what is hostile counts.
    Text,
}

const ADVISORIES: &[&str] = &["CVE-2024-34359"];

/// Judges a template.
pub(crate) fn judge(scope: &mut Scope<'_>, text: &str, at: u64, is: As) -> Result<(), Stop> {
    if TEMPLATE_BYTES_MAX < text.len() {
        return Err(Stop::Budget("length of a template"));
    }
    scope.meter.steps(text.len() as u64)?;
    let mut parser = Parser::default();
    let read = lex::parts(text).is_some_and(|parts| parser.read(&parts).is_ok());
    for found in &parser.found {
        match found {
            Found::Hostile(what) => {
                scope.report_known(
                    &rules::TEMPLATE_ATTRIBUTE,
                    at,
                    format!("the template {}", escape::text(what)),
                    ADVISORIES,
                );
            }
            Found::Unlisted(what) if is == As::Template => {
                let what = format!("the template {}", escape::text(what));
                scope.report(&rules::TEMPLATE_UNLISTED, at, what);
            }
            Found::Unlisted(_) => {}
        }
    }
    if !read {
        if names::names_internal(text) {
            let what = "the template names Python's own attributes, and cannot be read".to_owned();
            scope.report_known(&rules::TEMPLATE_ATTRIBUTE, at, what, ADVISORIES);
        } else if is == As::Template {
            scope.report(&rules::TEMPLATE_UNLISTED, at, "the template cannot be read");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
