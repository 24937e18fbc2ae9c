//! Lists of packages for pip: what would be installed, and from where.

use crate::escape;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::source::Stream;

/// Whether every line of a head could be one of a list of packages, and one names a version.
pub(super) fn claims(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    // The last line of a head may be cut.
    let mut n = 0_usize;
    while let Some(line) = lines.next() {
        if lines.peek().is_none() && n > 0 && text.len() >= crate::engine::HEAD_BYTES {
            break;
        }
        if !line.starts_with('#') {
            if !is_plain(line) && !line.starts_with('-') && !line.contains(" @ ") {
                return false;
            }
            n = n.saturating_add(usize::from(
                ["==", ">=", "~=", " @ ", "--"].iter().any(|mark| line.contains(mark)),
            ));
        }
    }
    n > 0
}

/// Reads a whole list.
pub(super) fn read(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    let all = stream.rest(1024 * 1024)?;
    let text = crate::json::text(&all)?;
    // A backslash at the end joins lines.
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    for one in joined.lines() {
        scope.meter.steps(1)?;
        line(scope, one, 0);
    }
    Ok(())
}

/// Judges one line.
pub(super) fn line(scope: &mut Scope<'_>, line: &str, at: u64) {
    let line = match line.split_once(" #") {
        Some((before, _)) => before.trim(),
        None => line.trim(),
    };
    if line.is_empty() || line.starts_with('#') {
        return;
    }
    // Hashes pin what is installed.
    let (package, options) = match line.split_once(" --") {
        Some((package, options)) => (package.trim(), Some(options)),
        None => (line, None),
    };
    let pins = options.is_none_or(|options| {
        options.split_whitespace().all(|option| option.trim_start_matches('-').starts_with("hash="))
    });
    if !is_plain(package) || !pins {
        let what = format!("`{}`", escape::text(line));
        scope.report(&rules::REQUIREMENT_ODD, at, what);
    }
}

/// A name, perhaps with extras, versions and markers: `name[extra]>=1,<2; python_version > "3"`.
fn is_plain(line: &str) -> bool {
    let (package, marker) = match line.split_once(';') {
        Some((package, marker)) => (package.trim(), marker),
        None => (line.trim(), ""),
    };
    let end = package.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.'));
    let (name, rest) = package.split_at_checked(end.unwrap_or(package.len())).unwrap_or(("", ""));
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, rest)) => rest.trim_start(),
        None => rest,
    };
    let versions = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(rest);
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !name.contains("..")
        && (versions.is_empty() || versions.split(',').all(|one| is_version(one.trim())))
        && marker.chars().all(|c| c.is_ascii_graphic() || c == ' ')
}

/// A comparison and a version: `>=1.2.*`; `=` alone is conda's.
fn is_version(text: &str) -> bool {
    let version = text.trim_start_matches(['<', '>', '=', '!', '~']);
    let is_known = ["==", ">=", "<=", "~=", "!=", "<", ">", "===", "="]
        .contains(&text.strip_suffix(version).unwrap_or(""));
    let version = version.trim();
    is_known
        && version.starts_with(|c: char| c.is_ascii_digit())
        && version.chars().all(|c| c.is_ascii_alphanumeric() || ".*+-_!".contains(c))
}
