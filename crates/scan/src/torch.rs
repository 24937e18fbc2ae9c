//! Files of `torch.save`: the zip form, TorchScript, and the legacy stream of pickles.

mod script;

use std::collections::BTreeMap;

use crate::engine;
use crate::escape;
use crate::pickle::Machine;
use crate::rules;
use crate::scope::{Loader, Scope};
use crate::sighting::Stop;
use crate::sniff::{Format, Head, Reader};
use crate::source::{Stream, View};
use crate::zip::{self, Member};

/// `torch.serialization.MAGIC_NUMBER` as `LONG1`.
const MAGIC: &[u8] = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.";

pub(crate) const LEGACY: Format =
    Format { name: "torch legacy", claims: is_legacy, reader: Reader::Forward(read_legacy) };

fn is_legacy(head: &Head<'_>) -> bool {
    head.bytes.first() == Some(&0x80) && head.at(2, MAGIC)
}

/// Members of a few bytes that tell version, byte order and the like, and are read as numbers.
const MARKS: &[&str] = &[
    "version",
    "byteorder",
    ".format_version",
    ".storage_alignment",
    ".data/serialization_id",
    "attributes.pkl.version",
    "archive_format",
];
/// Most bytes of such a member.
const MARK_BYTES_MAX: u64 = 64;

/// Pickles of a legacy file: magic number, protocol, system, the object, names of storages.
const LEGACY_PICKLES: usize = 5;

/// Reads a legacy file (`torch.serialization._legacy_save`).
fn read_legacy(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    scope.loader = Loader::Torch;
    let before = std::mem::take(&mut scope.storages);
    let mut machine = Machine::new();
    for _ in 0..LEGACY_PICKLES {
        machine.run(scope, stream)?;
    }
    let storages = distinct(scope, 0)?;
    scope.storages = before;
    // Each storage: the number of its elements, then the elements.
    let mut bytes = 0_u64;
    for size in storages.values() {
        bytes = bytes.saturating_add(8).saturating_add(*size);
    }
    let at = stream.offset();
    stream.skip(bytes)?;
    if !stream.peek(1)?.is_empty() {
        scope.report(&rules::FILE_TRAILING, at.saturating_add(bytes), "bytes follow the storages");
    }
    Ok(())
}

/// Storages by key; one key must not stand for two sizes.
fn distinct(scope: &mut Scope<'_>, from: usize) -> Result<BTreeMap<Box<str>, u64>, Stop> {
    let mut storages = BTreeMap::new();
    for storage in scope.storages.get(from..).unwrap_or(&[]) {
        let old = storages.insert(storage.key.clone(), storage.bytes);
        if old.is_some_and(|old| old != storage.bytes) {
            return Err(Stop::broken(0, "a storage is named with two sizes"));
        }
    }
    Ok(storages)
}

/// Reads a zip archive if it is one of torch's: then all of it, and gives `true`.
///
/// `<name>/data.pkl` is the object, `<name>/data/<key>` are the raw bytes of storages: those that
/// the pickle names and that have the size it says are passed over, all else is a part like any.
pub(crate) fn read_zip(
    scope: &mut Scope<'_>,
    view: &View<'_>,
    members: &[Member],
) -> Result<bool, Stop> {
    let Some(data) = members.iter().find(|member| is_object(&member.name)) else {
        return Ok(false);
    };
    let folder = data.name.strip_suffix("data.pkl").unwrap_or("");
    let version = format!("{folder}version");
    if !members.iter().any(|member| member.name == version) {
        return Ok(false);
    }
    engine::begin(scope, "torch");
    let is_code = |member: &Member| {
        member.name.strip_prefix(folder).is_some_and(|name| {
            name.strip_prefix("code/").is_some_and(|name| name.ends_with(".py"))
        })
    };
    // As `torch.load` tells them apart (`_is_torchscript_zip`).
    let constants = format!("{folder}constants.pkl");
    let is_script = members.iter().any(|member| member.name == constants);
    let new = if is_script { Loader::TorchScript } else { Loader::Torch };
    let loader = std::mem::replace(&mut scope.loader, new);
    if is_script {
        engine::begin(scope, "torchscript");
    }
    for member in members.iter().filter(|member| is_code(member)) {
        script::read_member(scope, view, member)?;
    }
    let before = std::mem::take(&mut scope.storages);
    let is_pickle = |member: &Member| {
        member
            .name
            .strip_prefix(folder)
            .is_some_and(|name| matches!(name, "data.pkl" | "constants.pkl"))
    };
    for member in members.iter().filter(|member| is_pickle(member)) {
        zip::read_member(scope, view, member)?;
    }
    let storages = distinct(scope, 0);
    scope.storages = before;
    let storages = storages?;
    check_storages(scope, folder, members, &storages);
    let is_storage = |member: &Member| {
        let key = member.name.strip_prefix(folder).and_then(|name| {
            name.strip_prefix("data/").or_else(|| name.strip_prefix("constants/"))
        });
        member.method == 0
            && key.and_then(|key| storages.get(key)).is_some_and(|size| *size == member.unpacked)
    };
    let is_mark = |member: &Member| {
        member.name.strip_prefix(folder).is_some_and(|name| MARKS.contains(&name))
            && member.unpacked <= MARK_BYTES_MAX
    };
    zip::read_members(scope, view, members, |member| {
        is_pickle(member) || is_storage(member) || is_code(member) || is_mark(member)
    })?;
    scope.loader = loader;
    Ok(true)
}

fn is_object(name: &str) -> bool {
    name.strip_suffix("data.pkl").is_some_and(|folder| {
        folder.is_empty() || folder.ends_with('/') && !folder.trim_end_matches('/').contains('/')
    })
}

fn check_storages(
    scope: &mut Scope<'_>,
    folder: &str,
    members: &[Member],
    storages: &BTreeMap<Box<str>, u64>,
) {
    let sizes: BTreeMap<&str, u64> = members
        .iter()
        .filter_map(|member| Some((member.name.strip_prefix(folder)?, member.unpacked)))
        .collect();
    for (key, bytes) in storages {
        let found = ["data/", "constants/"]
            .iter()
            .find_map(|place| sizes.get(format!("{place}{key}").as_str()));
        if found != Some(bytes) {
            let what = format!("storage `{}` is missing or has another size", escape::text(key));
            scope.report(&rules::FILE_BROKEN, 0, what);
        }
    }
}

#[cfg(test)]
mod tests;
