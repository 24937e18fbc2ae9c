//! The bans of `deny.toml`, read from the lock file: CI needs no further tool to hold them.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::Breach;
use crate::tree::Tree;

/// Every locked package that `deny.toml` bans.
pub(super) fn bans(tree: &Tree) -> Vec<Breach> {
    let read = |path: &str| -> Result<Table, Breach> {
        let text = tree.text(path).ok_or_else(|| Breach::new(path, "is missing"))?;
        text.parse().map_err(|error| Breach::new(path, format!("cannot be parsed: {error}")))
    };
    let (deny, lock) = match (read("deny.toml"), read("Cargo.lock")) {
        (Ok(deny), Ok(lock)) => (deny, lock),
        (deny, lock) => return [deny.err(), lock.err()].into_iter().flatten().collect(),
    };
    let entries = deny.get("bans").and_then(|bans| bans.get("deny")).and_then(Value::as_array);
    let banned: BTreeSet<&str> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get("crate").unwrap_or(entry).as_str())
        .collect();
    if banned.is_empty() {
        return vec![Breach::new("deny.toml", "bans nothing under `[bans] deny`")];
    }
    let packages = lock.get("package").and_then(Value::as_array).into_iter().flatten();
    packages
        .filter_map(|package| package.get("name").and_then(Value::as_str))
        .filter(|name| banned.contains(name))
        .map(|name| Breach::new("Cargo.lock", format!("`{name}` is banned by deny.toml")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banned_package_is_found() {
        let deny = ("deny.toml", "[bans]\ndeny = [{ crate = \"cmake\" }, \"native-tls\"]\n");
        let lock = |name: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n");
        for (name, n) in [("serde", 0), ("cmake", 1), ("native-tls", 1)] {
            let text = lock(name);
            assert_eq!(bans(&Tree::of(&[deny, ("Cargo.lock", &text)])).len(), n, "{name}");
        }
        let text = lock("serde");
        assert_eq!(bans(&Tree::of(&[("Cargo.lock", &text)])).len(), 1);
        assert_eq!(bans(&Tree::of(&[("deny.toml", "[bans]\n"), ("Cargo.lock", &text)])).len(), 1);
    }
}
