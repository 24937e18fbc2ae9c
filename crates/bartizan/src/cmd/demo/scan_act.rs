//! The act of the model gate: a hostile pickle refused in words, an ordinary joblib cleared.

use std::io::Write;
use std::path::Path;

use crate::answer::Answer;
use crate::cmd::{Failure, Place, model, scan};
use crate::files;

/// A pickle that runs a command when it is loaded (`examples/gate/make.py`).
const HOSTILE: &[u8] = include_bytes!("../../../../../examples/gate/credit-model.pkl");
/// A pipeline of scikit-learn, as joblib writes it (`examples/gate/make.py`).
const GENUINE: &[u8] = include_bytes!("../../../../../examples/gate/cancer.joblib");

/// Tries to add the hostile file to the environment in `root`, and scans the other.
///
/// # Errors
/// Where the hostile file is let in, or the genuine one is not cleared.
pub(super) fn play(root: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let (hostile, genuine) = (root.join("credit-model.pkl"), root.join("cancer.joblib"));
    files::replace(&hostile, HOSTILE).map_err(Failure::unknown)?;
    files::replace(&genuine, GENUINE).map_err(Failure::unknown)?;
    let place = Place { environment: root.to_owned() };
    let shown = root.display();
    writeln!(out, "$ bartizan -e {shown} model add {}", hostile.display())?;
    let name = "credit-model".parse().map_err(Failure::unknown)?;
    let file = model::FileArgs::of(&hostile, None);
    let Err(refused) = model::add(&file, name, None, root) else {
        return Err(Failure::no("the hostile file was let in"));
    };
    writeln!(out, "bartizan: {}", refused.error)?;
    if refused.answer != Answer::No {
        return Err(Failure::no("the hostile file was not called hostile"));
    }
    writeln!(out, "\n$ bartizan -e {shown} scan {}", genuine.display())?;
    out.flush()?;
    if scan::run(&scan::Args::of(&genuine), &place, out)? != Answer::Yes {
        return Err(Failure::no("an ordinary joblib was not cleared"));
    }
    writeln!(
        out,
        "Every import of the second is on a list of exact names, each with how it is used:"
    )?;
    writeln!(out, "  bartizan scan --explain sklearn.linear_model._logistic.LogisticRegression")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    /// Outside an environment too: one is refused and says what it would do, the other is cleared.
    #[test]
    fn the_act_refuses_the_one_and_clears_the_other() {
        let folder = TempDir::new();
        let paths = [("a.pkl", HOSTILE, Answer::No), ("b.joblib", GENUINE, Answer::Yes)];
        for (name, bytes, expected) in paths {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let place = Place { environment: folder.path().to_owned() };
            let mut out = Vec::new();
            assert_eq!(scan::run(&scan::Args::of(&path), &place, &mut out).unwrap(), expected);
            let text = String::from_utf8(out).unwrap();
            let told = text.contains("calls posix.system('echo this could have been anything')");
            assert_eq!(told, expected == Answer::No, "{text}");
        }
    }
}
