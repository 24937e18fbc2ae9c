//! What a pickle does: imports, calls, states, persistent ids. Each is reported when it happens.

use super::judge::{self, Standing};
use super::machine::Machine;
use super::names::Global;
use super::show;
use super::special::{self, Special};
use super::value::{Node, Value};
use crate::allow::Role;
use crate::escape;
use crate::rules;
use crate::scope::{Loader, Scope};
use crate::sighting::Stop;
use crate::source::Stream;

/// How a class or function is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// `callee(*args)`.
    Call,
    /// `callee.__new__(callee, *args)`: without `__init__`.
    New,
}

impl Machine {
    /// Imports a name, as the loader would.
    pub(super) fn import(&mut self, module: &str, name: &str, scope: &mut Scope<'_>) -> Value {
        let (module, name) =
            if self.proto < 3 { super::compat::map(module, name) } else { (module, name) };
        if let Some(known) = self.names.find(module, name) {
            return Value::Global(known);
        }
        // TorchScript's own classes are made by its interpreter, from code that is judged.
        let is_script = scope.loader == Loader::TorchScript
            && (module == "__torch__" || module.starts_with("__torch__."));
        let standing = if is_script {
            Standing::Listed(Role::Class)
        } else {
            judge::standing(scope.allow, module, name)
        };
        let path = escape::text(&format!("{module}.{name}"));
        match standing {
            Standing::Listed(_) | Standing::Judged(_) => {
                if let Some(by) = scope.allow.added_by(module, name) {
                    let what = format!("imports {path}, added {by}");
                    scope.report(&rules::PICKLE_ADDED, self.at, what);
                }
            }
            Standing::Dangerous(danger) => {
                let what = format!("imports {path} on load");
                scope.report_known(&rules::PICKLE_IMPORT, self.at, what, danger.advisories);
            }
            Standing::Unlisted { walks: true } => {
                let what = format!("imports {path}, a name that reaches through other objects");
                scope.report(&rules::PICKLE_COMPUTED, self.at, what);
            }
            Standing::Unlisted { walks: false } => {
                scope.report(&rules::PICKLE_UNLISTED, self.at, format!("imports {path}"));
            }
        }
        if !(judge::is_name(module.as_bytes()) && judge::is_name(name.as_bytes()))
            && matches!(standing, Standing::Unlisted { .. })
        {
            let what = format!("imports {path}, which is not written like a name");
            scope.report(&rules::PICKLE_DIFFERS, self.at, what);
        }
        let global = Global { module: module.into(), name: name.into(), standing };
        match self.names.add(global) {
            Some(at) => Value::Global(at),
            None => {
                scope.report(&rules::FILE_BUDGET, self.at, "it imports too many names");
                Value::Unknown
            }
        }
    }

    /// Calls `callee`, or makes an instance of it, and gives the result.
    pub(super) fn call(
        &mut self,
        how: How,
        callee: Value,
        args: Value,
        scope: &mut Scope<'_>,
        stream: &mut Stream<'_>,
    ) -> Value {
        let Value::Global(global) = callee else {
            let shown = show::show(self, callee, 0);
            let what = format!("calls {shown}, which is no imported name");
            scope.report(&rules::PICKLE_COMPUTED, self.at, what);
            return Value::Unknown;
        };
        let Some(standing) = self.names.global(global).map(|global| global.standing) else {
            return Value::Unknown;
        };
        match standing {
            Standing::Listed(Role::Class | Role::Function) => Value::Instance(global),
            Standing::Listed(Role::State) => {
                if how == How::Call {
                    self.misused(global, args, "it is listed to be given state, not called", scope);
                }
                Value::Instance(global)
            }
            Standing::Listed(Role::Reference | Role::Judged) => {
                self.misused(global, args, "it is listed to be kept, not called", scope);
                Value::Unknown
            }
            Standing::Judged(special) => special::call(self, special, global, args, scope, stream),
            Standing::Dangerous(danger) => {
                let call = format!("calls {}{} on load", self.path(global), self.args(args));
                scope.report_known(&rules::PICKLE_CALL, self.at, call, danger.advisories);
                Value::Unknown
            }
            Standing::Unlisted { .. } => {
                let call = format!("calls {}{} on load", self.path(global), self.args(args));
                scope.report(&rules::PICKLE_UNLISTED, self.at, call);
                Value::Instance(global)
            }
        }
    }

    /// Gives `state` to the object on top of the stack.
    pub(super) fn build(
        &mut self,
        target: Value,
        state: Value,
        scope: &mut Scope<'_>,
        stream: &mut Stream<'_>,
    ) -> Result<(), Stop> {
        match target {
            Value::Instance(global) => {
                self.check_state(global, state, scope);
                let standing = self.names.global(global).map(|global| global.standing);
                if standing == Some(Standing::Judged(Special::ArrayWrapper)) && !self.is_plain {
                    return self.raw_array(state, scope, stream);
                }
            }
            Value::Node(at) => {
                if let Some(Node::DType(global, dtype)) = self.heap.known(at) {
                    self.check_state(global, state, scope);
                    let dtype = super::joblib::with_state(self, dtype, state);
                    self.heap.renew(at, Node::DType(global, dtype));
                }
            }
            Value::Global(global) => {
                let what = format!(
                    "sets {} on {} itself",
                    show::show(self, state, 0),
                    show::name(self, global)
                );
                scope.report(&rules::PICKLE_BUILD, self.at, what);
            }
            Value::Unknown => {
                // Whatever gave it has been reported.
            }
            Value::Absent
            | Value::None
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Long(_)
            | Value::Number
            | Value::Word(_)
            | Value::Excerpt(_)
            | Value::Text
            | Value::Bytes(_)
            | Value::Blob
            | Value::Tuple(_)
            | Value::List
            | Value::Dict(_)
            | Value::Set
            | Value::Bulk => {
                return Err(Stop::broken(self.at, "state is given to a plain value"));
            }
        }
        Ok(())
    }

    /// Attributes that redirect later code must not be among an instance's state.
    fn check_state(&mut self, global: u32, state: Value, scope: &mut Scope<'_>) {
        let parts = match self.heap.items(state) {
            Some(&[fields, slots]) => [fields, slots],
            _ => [state, Value::None],
        };
        for part in parts {
            let special = self.heap.pairs(part).and_then(|dict| dict.special);
            if let Some(word) = special {
                let attribute = escape::text(self.names.text(word));
                let what = format!("sets {attribute} of a {}", self.path(global));
                scope.report(&rules::PICKLE_BUILD, self.at, what);
            } else if part == Value::Bulk && self.heap.special_lost {
                let what = "state that was not kept may set special attributes";
                scope.report(&rules::FILE_BUDGET, self.at, what);
            }
        }
    }

    /// A method of the object on top is called: `append`, `extend`, `add`, `__setitem__`.
    pub(super) fn mutate(
        &mut self,
        target: Value,
        method: &str,
        scope: &mut Scope<'_>,
    ) -> Result<(), Stop> {
        match target {
            Value::List | Value::Set | Value::Dict(_) | Value::Bulk | Value::Unknown => Ok(()),
            // The class is listed or has been reported; so its methods are what they are.
            Value::Instance(_) | Value::Node(_) => Ok(()),
            Value::Global(global) => {
                let what = format!("calls {}.{method} on load", self.path(global));
                scope.report(&rules::PICKLE_BUILD, self.at, what);
                Ok(())
            }
            Value::Absent
            | Value::None
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Long(_)
            | Value::Number
            | Value::Word(_)
            | Value::Excerpt(_)
            | Value::Text
            | Value::Bytes(_)
            | Value::Blob
            | Value::Tuple(_) => Err(Stop::broken(self.at, "a plain value is added to")),
        }
    }

    /// The loader resolves a persistent id.
    pub(super) fn persistent(&mut self, id: Value, scope: &mut Scope<'_>) -> Value {
        if scope.loader != Loader::Any
            && let Some(value) = super::special::storage(self, id, scope)
        {
            return value;
        }
        let what = format!("has the loader resolve the persistent id {}", show::show(self, id, 0));
        scope.report(&rules::PICKLE_PERSISTENT, self.at, what);
        Value::Unknown
    }

    /// A listed name is used as it is not listed.
    pub(super) fn misused(&self, global: u32, args: Value, why: &str, scope: &mut Scope<'_>) {
        let what = format!("calls {}{}: {why}", self.path(global), self.args(args));
        scope.report(&rules::PICKLE_USE, self.at, what);
    }

    pub(super) fn path(&self, global: u32) -> String {
        show::name(self, global)
    }

    fn args(&self, args: Value) -> String {
        match self.heap.items(args) {
            Some(_) => show::show(self, args, 0),
            None => "(..)".into(),
        }
    }
}
