//! The table of routes that the interoperability tests try with every kind of bad key is the
//! server's own: a route without a row there fails here.

use std::collections::BTreeSet;
use std::fs;

use bartizan_gateway::route::{Needs, ROUTES};
use xtask::tree::root;

#[test]
fn every_route_has_a_row_in_the_access_tests() {
    let text = fs::read_to_string(root().join("tests/interop/routes.json")).unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let field = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().to_owned();
    let tried: BTreeSet<[String; 4]> = rows
        .iter()
        .map(|row| ["listener", "method", "path", "needs"].map(|name| field(row, name)))
        .collect();
    let served: BTreeSet<[String; 4]> = ROUTES
        .iter()
        .map(|route| {
            let needs = match route.needs {
                Needs::Nothing => "nothing",
                Needs::Key(action) => action.as_str(),
                Needs::SameUser => "same user",
                Needs::OpenedByOperator => "opened by operator",
            };
            [route.listener.as_str(), route.method, route.path, needs].map(str::to_owned)
        })
        .collect();
    let untried: Vec<_> = served.difference(&tried).collect();
    let unserved: Vec<_> = tried.difference(&served).collect();
    assert!(untried.is_empty(), "routes without a row in routes.json: {untried:?}");
    assert!(unserved.is_empty(), "rows of routes.json without a route: {unserved:?}");
    assert_eq!(rows.len(), ROUTES.len(), "a row stands twice");
}
