//! TorchScript: the code of an archive, held against the operators that its interpreter has.
//!
//! The language reaches nothing but operators and the archive's own classes: there is no import
//! and no attribute of Python. So the code is lexed, and every dotted name that begins with `ops`,
//! `torch` or `__torch__` is judged.

use std::io::Read;

use crate::compress;
use crate::escape;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::source::View;
use crate::zip::Member;

/// Longest file of code, in bytes.
const CODE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Namespaces of operators that torch and its own libraries register.
const NAMESPACES: &[&str] =
    &["aten", "prim", "prims", "quantized", "torchvision", "torchaudio", "inductor", "mkldnn"];
/// Operators that open files or leave the interpreter.
const REACHING: &[&str] = &[
    "from_file",
    "save",
    "load",
    "_save",
    "_load",
    "PythonOp",
    "CallFunction_",
    "python",
    "system",
    "popen",
    "exec",
    "eval",
    "open",
    "read_file",
    "write_file",
    "decode_image",
    "read_video",
    "_read_video_from_file",
    "rpc_async",
    "rpc_sync",
    "rpc_remote",
    "remote",
];

/// Judges a file of code.
pub(super) fn read_member(
    scope: &mut Scope<'_>,
    view: &View<'_>,
    member: &Member,
) -> Result<(), Stop> {
    scope.within(&member.name, |scope| {
        if CODE_BYTES_MAX < member.unpacked {
            return Err(Stop::Budget("window"));
        }
        let data = view.slice(member.data_at, member.packed)?;
        let bytes = match member.stored(view) {
            Some(stored) => stored.bytes(0, stored.len(), CODE_BYTES_MAX)?,
            None => {
                let mut bytes = Vec::new();
                let decoder = compress::member(member.method, &data)?;
                decoder
                    .take(CODE_BYTES_MAX)
                    .read_to_end(&mut bytes)
                    .map_err(|_| Stop::broken(0, "compressed data is damaged or cut off"))?;
                bytes
            }
        };
        if bytes.len() as u64 != member.unpacked {
            return Err(Stop::broken(0, "it has another size than the archive says"));
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| Stop::broken(error.valid_up_to() as u64, "code that is no text"))?;
        judge(scope, text)
    })
}

/// Judges the code itself.
fn judge(scope: &mut Scope<'_>, code: &str) -> Result<(), Stop> {
    let mut rest = code;
    let mut at = 0_u64;
    let mut previous = ' ';
    while let Some(first) = rest.chars().next() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let len = match first {
            '"' | '\'' => literal(rest).ok_or(Stop::broken(at, "a text that does not end"))?,
            '#' => rest.find('\n').unwrap_or(rest.len()),
            c if is_name(c) => {
                let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                let word = rest.get(..end).unwrap_or("");
                scope.meter.steps(1)?;
                if previous != '.' && previous != ')' {
                    name(scope, at, word);
                }
                end
            }
            c => c.len_utf8(),
        };
        let (passed, after) = rest.split_at_checked(len).unwrap_or((rest, ""));
        previous = passed.chars().last().unwrap_or(' ');
        at = at.saturating_add(len as u64);
        rest = after;
    }
    Ok(())
}

/// Length of a text literal with its quotes, triple ones included.
fn literal(text: &str) -> Option<usize> {
    let quote = text.get(..1)?;
    let triple = text.get(..3).filter(|three| *three == quote.repeat(3));
    let quote = triple.unwrap_or(quote);
    let mut at = quote.len();
    loop {
        let rest = text.get(at..)?;
        if rest.starts_with(quote) {
            return at.checked_add(quote.len());
        }
        let c = rest.chars().next()?;
        at = at.checked_add(c.len_utf8())?;
        if c == '\\' {
            at = at.checked_add(text.get(at..)?.chars().next()?.len_utf8())?;
        }
    }
}

fn name(scope: &mut Scope<'_>, at: u64, word: &str) {
    let mut parts = word.split('.');
    let (first, second, third) = (parts.next(), parts.next(), parts.next());
    let operator = match (first, second) {
        (Some("torch"), Some("ops" | "classes" | "jit" | "hub" | "serialization")) => None,
        (Some("torch"), Some(operator)) => Some(operator),
        (Some("ops"), Some(namespace)) if NAMESPACES.contains(&namespace) => third,
        (Some("ops"), _) => None,
        (Some("__torch__"), Some("torch")) if third == Some("classes") => None,
        (Some("import" | "exec" | "eval" | "open" | "__import__" | "__builtins__"), None) => {
            if word == "import" {
                return; // `import __torch__.x as _0`: only of the archive's own code
            }
            None
        }
        _ => return,
    };
    let shown = escape::text(word);
    match operator {
        Some(operator) if !REACHING.contains(&operator) && !operator.starts_with("__py") => {}
        Some(_) => {
            let what = format!("the code uses `{shown}`, which reaches files or Python");
            scope.report(&rules::TORCHSCRIPT_REACHES, at, what);
        }
        None => {
            let what = format!("the code uses `{shown}`, which a library of somebody's provides");
            scope.report(&rules::TORCHSCRIPT_UNLISTED, at, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;
    use crate::testing::scope_of;

    /// Operators of torch are cleared; custom ones are not; those that reach files are hostile.
    #[test]
    fn operators_are_judged_by_name() {
        let of = |code: &str| scope_of(|scope| judge(scope, code).unwrap()).0;
        let good = "class M(Module):\n  def forward(self, x: Tensor) -> Tensor:\n    # torch.save\n    y = torch.add(x, 1)\n    return ops.prim.min(torch.relu(y), \"torch.save \\\" ops.x\")\n";
        assert_eq!(of(good), Verdict::Cleared);
        for bad in ["torch.save(x, 'a')", "torch.from_file('/etc/passwd')", "ops.aten.from_file(x)"]
        {
            assert_eq!(of(bad), Verdict::Hostile, "{bad}");
        }
        for odd in [
            "ops.mine.run(x)",
            "__torch__.torch.classes.mine.Thing()",
            "torch.ops.x()",
            "open('x')",
        ] {
            assert_eq!(of(odd), Verdict::NotCleared, "{odd}");
        }
    }
}
