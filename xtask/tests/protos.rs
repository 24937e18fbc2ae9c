//! The messages of gRPC in `crates/wire/generated` are what the `.proto` files say: they are made
//! here, by a compiler in Rust, and compared. `cargo xtask docs` writes them anew.

use std::fs;

use xtask::docs::WRITE_VAR;
use xtask::tree::root;

/// Proto files, and the package whose Rust file each becomes.
const FILES: &[&str] = &["inference.proto", "health.proto"];

#[test]
fn the_generated_messages_are_those_of_the_protos() {
    let wire = root().join("crates/wire");
    let protos = wire.join("protos");
    let set = protox::compile(FILES, [&protos]).unwrap();
    let out = std::env::temp_dir().join(format!("bartizan-protos-{}", std::process::id()));
    fs::create_dir_all(&out).unwrap();
    let mut config = prost_build::Config::new();
    // A map in a fixed order, so that the same message has the same bytes; large texts without
    // a copy.
    config.btree_map(["."]).bytes(["."]).out_dir(&out).compile_fds(set).unwrap();
    for entry in fs::read_dir(&out).unwrap() {
        let made = entry.unwrap().path();
        let kept = wire.join("generated").join(made.file_name().unwrap());
        let text = fs::read_to_string(&made).unwrap();
        if std::env::var_os(WRITE_VAR).is_some() {
            fs::write(&kept, &text).unwrap();
        }
        let kept_text = fs::read_to_string(&kept).unwrap_or_default();
        assert!(kept_text == text, "{} is stale: run `cargo xtask docs`", kept.display());
    }
    fs::remove_dir_all(&out).unwrap();
}
