//! What configurations say, whichever notation they are in: values in order, judged by their keys.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{objects, values};
use crate::escape;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;

/// Most keys of all open objects, kept to find duplicates.
const KEYS_MAX: usize = 2_000_000;
/// Most texts that may turn out to be paths, kept for each object.
const PATHS_MAX: usize = 8;
/// Longest text that is kept as a fact, in bytes.
const FACT_BYTES_MAX: usize = 512;

/// A value that is neither text nor container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Number,
}

/// What an object says under a key that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Text(Box<str>),
    Plain(Plain),
    /// A list or an object.
    Inside,
}

impl Fact {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Plain(_) | Self::Inside => None,
        }
    }
}

/// Keys whose values are kept until the object ends.
const KEPT: &[&str] = &[
    "__class__",
    "__loader__",
    "__module__",
    "_class_name",
    "cells",
    "class_name",
    "config",
    "flavors",
    "function",
    "id",
    "idx",
    "lc",
    "learner",
    "module",
    "module_path",
    "nbformat",
    "registered_name",
    "type",
    "version",
    "weight_map",
];

/// An object or list that is open.
#[derive(Default)]
pub(super) struct Frame {
    is_object: bool,
    /// Key under which it stands, also through lists.
    pub(super) key: Box<str>,
    /// Key whose value comes next.
    now: Box<str>,
    keys: HashSet<u64>,
    pub(super) facts: BTreeMap<&'static str, Fact>,
    /// Texts that are paths, and where: what they mean is known when a class around them is.
    pub(super) paths: Vec<(Box<str>, u64)>,
    /// Texts of a list of two, as diffusers names library and class.
    items: Vec<Fact>,
    pub(super) pairs: Vec<(Box<str>, Box<str>)>,
}

/// Judges one document.
#[derive(Default)]
pub(crate) struct Judge {
    stack: Vec<Frame>,
    n_keys: usize,
    /// How many `_target_` were judged.
    pub(super) n_targets: usize,
}

impl Judge {
    pub(super) fn open(
        &mut self,
        _scope: &mut Scope<'_>,
        is_object: bool,
        _at: u64,
    ) -> Result<(), Stop> {
        self.note(&Fact::Inside);
        let key = self.key_now().into();
        self.stack.push(Frame { is_object, key, ..Frame::default() });
        Ok(())
    }

    pub(super) fn key(&mut self, scope: &mut Scope<'_>, key: &str, at: u64) -> Result<(), Stop> {
        let Some(top) = self.stack.last_mut() else { return Ok(()) };
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        if !top.keys.insert(hasher.finish()) {
            let what = format!("key `{}` is there twice", escape::text(key));
            scope.report(&rules::FILE_BROKEN, at, what);
        }
        top.now = key.into();
        self.n_keys = self.n_keys.saturating_add(1);
        if KEYS_MAX < self.n_keys {
            return Err(Stop::Budget("keys of a configuration"));
        }
        values::key(scope, key, at);
        Ok(())
    }

    pub(super) fn text(&mut self, scope: &mut Scope<'_>, text: &str, at: u64) -> Result<(), Stop> {
        let kept = text.get(..FACT_BYTES_MAX).unwrap_or(text);
        self.note(&Fact::Text(kept.into()));
        let key: Box<str> = self.key_now().into();
        let in_list = self.stack.last().is_some_and(|top| !top.is_object);
        let is_path = values::is_path(text) || &*key == "vocabulary";
        if is_path
            && !in_list
            && let Some(top) = self.stack.last_mut()
            && top.paths.len() < PATHS_MAX
        {
            top.paths.push((kept.into(), at));
        }
        if &*key == "_target_" {
            self.n_targets = self.n_targets.saturating_add(1);
        }
        values::text(scope, &self.stack, &key, text, at)
    }

    pub(super) fn plain(
        &mut self,
        scope: &mut Scope<'_>,
        value: &Plain,
        at: u64,
    ) -> Result<(), Stop> {
        self.note(&Fact::Plain(*value));
        values::plain(scope, self.key_now(), *value, at);
        Ok(())
    }

    pub(super) fn close(&mut self, scope: &mut Scope<'_>, at: u64) -> Result<(), Stop> {
        let Some(mut frame) = self.stack.pop() else { return Ok(()) };
        self.n_keys = self.n_keys.saturating_sub(frame.keys.len());
        if frame.is_object {
            objects::judge(scope, &mut frame, self.stack.is_empty(), at);
        }
        if let Some(around) = self.stack.last_mut() {
            let room = PATHS_MAX.saturating_sub(around.paths.len());
            around.paths.extend(frame.paths.into_iter().take(room));
            if let [Fact::Text(library), Fact::Text(class)] = frame.items.as_slice()
                && around.pairs.len() < 64
            {
                around.pairs.push((library.clone(), class.clone()));
            }
        }
        Ok(())
    }

    /// Key of the value that comes.
    fn key_now(&self) -> &str {
        match self.stack.last() {
            Some(top) if top.is_object => &top.now,
            Some(top) => &top.key,
            None => "",
        }
    }

    fn note(&mut self, fact: &Fact) {
        let Some(top) = self.stack.last_mut() else { return };
        if !top.is_object {
            if top.items.len() < 3 {
                top.items.push(fact.clone());
            }
            return;
        }
        if let Some(kept) = KEPT.iter().find(|kept| **kept == &*top.now) {
            top.facts.insert(kept, fact.clone());
        }
    }
}
