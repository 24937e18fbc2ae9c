//! The tidy rules, run on the project itself by every plain test run.

use xtask::{
    tidy::CHECKS,
    tree::{Tree, root},
};

/// Each rule holds everywhere; all breaches are named at once.
#[test]
fn the_house_is_tidy() {
    let tree = Tree::read(&root()).expect("the project can be read");
    assert!(tree.sources.len() > 10, "only {} sources were found", tree.sources.len());
    let mut broken = String::new();
    for check in CHECKS {
        for breach in (check.run)(&tree) {
            broken.push_str(&format!("{} ({}): {breach}\n", check.name, check.says));
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}
