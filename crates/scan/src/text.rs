//! Texts without marks: what they are read as, by their first lines and by their file name.
//!
//! The name decides only which reader of text is asked, or that nobody reads the file as anything:
//! content that another format claims never comes here.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use crate::config;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::{Format, Head, Reader};
use crate::source::Stream;
use crate::template;

/// Longest template, in bytes.
const TEMPLATE_BYTES_MAX: u64 = 1024 * 1024;
/// Longest piece of XML that is looked at for declarations, in bytes.
const XML_BYTES_MAX: u64 = 12 * 1024 * 1024;

const TEMPLATE: Format =
    Format { name: "jinja", claims: |_| false, reader: Reader::Forward(read_template) };
const PLAIN: Format =
    Format { name: "text", claims: |_| false, reader: Reader::Forward(read_plain) };
const CODE: Format = Format {
    name: "script",
    claims: |_| false,
    reader: Reader::None("source code beside a model runs when the model is loaded with trust"),
};

const TEXT_GRAPH: Format = Format {
    name: "protobuf text",
    claims: |_| false,
    reader: Reader::None("graphs in protobuf's text form are not judged: save them in binary form"),
};

/// Endings of source code.
const CODE_ENDINGS: &[&str] = &[
    ".bat", ".cmd", ".cu", ".ipynb", ".js", ".lua", ".pl", ".ps1", ".py", ".pyi", ".pyx", ".r",
    ".rb", ".sh",
];
/// Files that people read and no loader: their names, and the beginnings of names.
const PROSE_NAMES: &[&str] = &[
    ".gitattributes",
    ".gitignore",
    "classes.txt",
    "labels.txt",
    "merges.txt",
    "vocab.txt",
    "vocabulary.txt",
];
const PROSE_STARTS: &[&str] =
    &["authors", "changelog", "copying", "licence", "license", "notice", "readme", "use_policy"];

/// The format of a text; `None` if it is no text, or no reader is known for it.
pub(crate) fn of(head: &Head<'_>, name: &str) -> Option<Format> {
    let text = match std::str::from_utf8(head.bytes) {
        Ok(text) => text,
        // The head may end inside a character.
        Err(error) if head.bytes.len().saturating_sub(error.valid_up_to()) < 4 => {
            std::str::from_utf8(head.bytes.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    if text.bytes().any(is_control) {
        return None;
    }
    let base = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let start = text.trim_start_matches('\u{feff}').trim_start();
    if start.starts_with("#!") || CODE_ENDINGS.iter().any(|ending| base.ends_with(ending)) {
        return Some(CODE);
    }
    // As text, a graph may pass for YAML.
    if [".pbtxt", ".prototxt"].iter().any(|ending| base.ends_with(ending)) {
        return Some(TEXT_GRAPH);
    }
    if PROSE_NAMES.contains(&&*base)
        || PROSE_STARTS.iter().any(|start| base.starts_with(start))
        || base.ends_with(".md")
    {
        return Some(PLAIN);
    }
    if start.starts_with('<') && !start.starts_with("<|") {
        return Some(xml(start));
    }
    let is_template = [".jinja", ".jinja2", ".j2"].iter().any(|ending| base.ends_with(ending))
        || base.contains("chat_template") && !base.ends_with(".json")
        || ["{%", "{{", "{#"].iter().any(|mark| start.starts_with(mark));
    if is_template {
        return Some(TEMPLATE);
    }
    let marked = text.contains("{%") || text.contains("{{");
    config::of_text(text, &base).or_else(|| marked.then_some(TEMPLATE))
}

fn is_control(byte: u8) -> bool {
    byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c) || byte == 0x7f
}

/// XML, by its outermost element.
fn xml(start: &str) -> Format {
    let (name, why): (_, Reader) = if start.contains("<PMML") {
        ("pmml", Reader::Forward(read_pmml))
    } else if start.contains("<net") {
        ("openvino", Reader::Forward(read_openvino))
    } else {
        ("xml", Reader::Forward(read_xml))
    };
    Format { name, claims: |_| false, reader: why }
}

fn read_template(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    let all = stream.rest(TEMPLATE_BYTES_MAX)?;
    template::judge(scope, crate::json::text(&all)?, 0, template::As::Template)
}

fn read_plain(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    loop {
        scope.meter.steps(1)?;
        let at = stream.offset();
        let chunk = stream.peek(4096)?;
        if chunk.is_empty() {
            return Ok(());
        }
        if chunk.iter().any(|byte| is_control(*byte)) {
            return Err(Stop::broken(at, "a text with control characters"));
        }
        let n = chunk.len() as u64;
        stream.skip(n)?;
    }
}

fn read_pmml(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    declarations(scope, stream)?;
    Err(Stop::Unjudged("extensions and functions of PMML are not judged yet"))
}

fn read_openvino(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    declarations(scope, stream)?;
    Err(Stop::Unjudged("operations and libraries of OpenVINO are not judged yet"))
}

fn read_xml(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    declarations(scope, stream)?;
    Err(Stop::Unjudged("this kind of XML is not judged"))
}

/// Declarations of entities: they read files and addresses, or grow without end.
fn declarations(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    let all = stream.rest(XML_BYTES_MAX)?;
    for mark in ["<!ENTITY", "<!DOCTYPE", "<?xml-stylesheet", "xi:include"] {
        if let Some(at) = all.windows(mark.len()).position(|part| part == mark.as_bytes()) {
            let what = format!("the XML holds `{mark}`");
            let reaches = all.windows(6).any(|part| part == b"SYSTEM" || part == b"PUBLIC");
            let rule = if reaches || mark == "<!ENTITY" || mark == "xi:include" {
                &rules::CONFIG_PATH
            } else {
                &rules::CONFIG_TARGET
            };
            scope.report(rule, at as u64, what);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
