//! Texts and imported names of one file, each kept once.

use std::collections::HashMap;

use super::judge::Standing;
use super::value::Word;

/// Longest text that is kept whole, in bytes: no genuine name is longer.
pub(crate) const WORD_BYTES_MAX: usize = 128;
/// Most bytes of all texts together.
const WORDS_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Most texts.
const WORDS_MAX: usize = 150_000;
/// Most distinct names that one file may import.
const GLOBALS_MAX: usize = 20_000;

/// An imported name and what is thought of it.
#[derive(Clone, Debug)]
pub(crate) struct Global {
    pub(crate) module: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) standing: Standing,
}

impl Global {
    /// `module.name`, as people write it; to be escaped before it is shown.
    pub(crate) fn path(&self) -> String {
        format!("{}.{}", self.module, self.name)
    }
}

/// The two tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    words: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
    n_bytes: usize,
    globals: Vec<Global>,
    by_name: HashMap<(Box<str>, Box<str>), u32>,
    by_words: HashMap<(Word, Word), u32>,
}

impl Names {
    /// The text as a word, or `None` when it is too long or there are too many.
    pub(crate) fn word(&mut self, text: &str) -> Option<Word> {
        if WORD_BYTES_MAX < text.len() {
            return None;
        }
        if let Some(&at) = self.words.get(text) {
            return Some(Word(at));
        }
        let full = WORDS_MAX <= self.texts.len() || WORDS_BYTES_MAX <= self.n_bytes;
        if full && !super::judge::is_listed_word(text) {
            return None;
        }
        let at = u32::try_from(self.texts.len()).ok()?;
        self.n_bytes = self.n_bytes.saturating_add(text.len()).saturating_add(64);
        self.texts.push(text.into());
        self.words.insert(text.into(), at);
        Some(Word(at))
    }

    pub(crate) fn text(&self, word: Word) -> &str {
        usize::try_from(word.0).ok().and_then(|at| self.texts.get(at)).map_or("", |text| text)
    }

    pub(crate) fn known(&self, module: Word, name: Word) -> Option<u32> {
        self.by_words.get(&(module, name)).copied()
    }

    pub(crate) fn remember(&mut self, module: Word, name: Word, global: u32) {
        self.by_words.insert((module, name), global);
    }

    pub(crate) fn find(&self, module: &str, name: &str) -> Option<u32> {
        self.by_name.get(&(Box::from(module), Box::from(name))).copied()
    }

    /// Adds a name; `None` when there are too many.
    pub(crate) fn add(&mut self, global: Global) -> Option<u32> {
        if GLOBALS_MAX <= self.globals.len() {
            return None;
        }
        let at = u32::try_from(self.globals.len()).ok()?;
        self.by_name.insert((global.module.clone(), global.name.clone()), at);
        self.globals.push(global);
        Some(at)
    }

    pub(crate) fn global(&self, at: u32) -> Option<&Global> {
        self.globals.get(usize::try_from(at).ok()?)
    }
}
