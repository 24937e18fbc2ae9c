//! Values that are written in more than one way.

use serde_json::Value;

/// Whether two leaves mean the same: Kubernetes quantities, numbers as text, Azure's words and
/// ids in any case, regions with blanks.
pub(super) fn same(key: &str, a: &Value, b: &Value) -> bool {
    if a == b {
        return true;
    }
    match key {
        "cpu" | "memory" | "storage" | "sizeLimit" | "ephemeral-storage" => {
            let (a, b) = (quantity(a), quantity(b));
            a.is_some() && a == b
        }
        "region" | "location" => squash(a) == squash(b),
        "delegation" | "scope" | "role" | "defaultNextHop" => lower(a) == lower(b),
        // A zone by its name or by its resource id.
        "dnsZone" => {
            let zone = |value| lower(value).and_then(|id| Some(id.rsplit('/').next()?.to_owned()));
            zone(a) == zone(b)
        }
        _ => false,
    }
}

fn lower(value: &Value) -> Option<String> {
    value.as_str().map(str::to_ascii_lowercase)
}

fn squash(value: &Value) -> Option<String> {
    lower(value).map(|text| text.replace(' ', ""))
}

/// A quantity in thousandths: `500m`, `1`, `2Gi`, `1e3` is not taken.
fn quantity(value: &Value) -> Option<u128> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u128 = match unit {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if 6 < part.len() || 18 < whole.len() {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(part.len()).ok()?);
    let digits: u128 = format!("{whole}{part}").parse().ok()?;
    let scaled = digits.checked_mul(factor)?;
    (scaled % scale == 0).then_some(scaled / scale)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_amount_is_the_same() {
        for (a, b) in [
            (json!("1000m"), json!("1")),
            (json!("1"), json!(1)),
            (json!("1.5"), json!("1500m")),
            (json!("2Gi"), json!("2048Mi")),
            (json!("64Gi"), json!("68719476736")),
        ] {
            assert!(same("cpu", &a, &b), "{a} {b}");
        }
        for (a, b) in [
            (json!("1000m"), json!("2")),
            (json!("2G"), json!("2Gi")),
            (json!("x"), json!("y")),
            (json!("1"), json!(null)),
        ] {
            assert!(!same("cpu", &a, &b), "{a} {b}");
        }
        assert!(same("region", &json!("West Europe"), &json!("westeurope")));
        assert!(!same("name", &json!("A"), &json!("a")));
    }
}
