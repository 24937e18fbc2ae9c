//! A plan under construction from exports.

use crate::check::Unknown;
use crate::read::{Data, Entry, Node, Pos, ReadError};

/// What marks a text that stands for a value which could not be resolved.
pub(super) const UNRESOLVED: &str = "\u{1}unresolved ";

/// See the module.
#[derive(Debug)]
pub(super) struct Draft {
    root: Node,
    unknown: Vec<Unknown>,
}

impl Default for Draft {
    fn default() -> Self {
        Self { root: Node::new(Pos::START, Data::Map(Vec::new())), unknown: Vec::new() }
    }
}

impl Draft {
    /// Sets the value at `path` (`lb.type`; `subnets[+]` appends) unless it is `null` or could
    /// not be resolved, which is remembered.
    pub(super) fn set(&mut self, path: &str, node: &Node) {
        if let Some(expression) = unresolved(node) {
            let what = format!("`{expression}` could not be resolved");
            self.unknown.push(Unknown { path: path.to_owned(), what, is_needed: true });
        } else if !node.is_null() {
            place(&mut self.root, path, node.clone());
        }
    }

    /// Sets the value if the export has it.
    pub(super) fn set_from(&mut self, path: &str, from: Option<&Node>) {
        if let Some(node) = from {
            self.set(path, node);
        }
    }

    /// Sets text of ours that stands where `at` is.
    pub(super) fn set_text(&mut self, path: &str, at: Pos, text: &str) {
        self.set(path, &Node::new(at, Data::Text(text.into())));
    }

    /// Sets the last part of a resource id.
    pub(super) fn set_name(&mut self, path: &str, id: Option<&Node>) {
        match id {
            Some(node) if node.text().is_some_and(|text| !text.starts_with(UNRESOLVED)) => {
                let text = node.text().unwrap_or_default();
                self.set_text(path, node.at, last_part(text));
            }
            other => self.set_from(path, other),
        }
    }

    /// What was set at `path`.
    pub(super) fn get(&self, path: &[&str]) -> Option<&Node> {
        self.root.dig(path)
    }

    /// Position of the subnet called `name`, made where there is none.
    pub(super) fn subnet(&mut self, name: &str, at: Pos) -> usize {
        let subnets = self.get(&["subnets"]).map(Node::items).unwrap_or_default();
        let found = subnets.iter().position(|subnet| {
            subnet.get("name").and_then(Node::text).is_some_and(|other| other == name)
        });
        let n_subnets = subnets.len();
        found.unwrap_or_else(|| {
            self.set_text("subnets[+].name", at, name);
            n_subnets
        })
    }

    /// Says that something is not told.
    pub(super) fn say(&mut self, path: &str, what: impl Into<String>) {
        let (path, what) = (path.to_owned(), what.into());
        self.unknown.push(Unknown { path, what, is_needed: false });
    }

    fn remove(&mut self, path: &[&str]) {
        let Some((last, parents)) = path.split_last() else { return };
        let mut node = &mut self.root;
        for key in parents {
            let Data::Map(entries) = &mut node.data else { return };
            let Some(entry) = entries.iter_mut().find(|entry| &*entry.key == *key) else { return };
            node = &mut entry.node;
        }
        if let Data::Map(entries) = &mut node.data {
            entries.retain(|entry| &*entry.key != *last);
        }
    }

    /// The tree of plan keys.
    pub(super) fn finish(mut self) -> Result<(Node, Vec<Unknown>), ReadError> {
        if self.get(&["region"]).is_none() {
            let what = "no cluster is in the files: give `az aks show`, an ARM template with \
                        managedClusters or `terraform show -json` with azurerm_kubernetes_cluster";
            if !self.unknown.iter().any(|unknown| unknown.path == "region") {
                return Err(ReadError::new(Pos::START, what));
            }
            self.set_text("region", Pos::START, "unknown");
        }
        if self.get(&["vnet", "name"]).is_none() && self.get(&["nodeSubnet"]).is_some() {
            // Subnets that the cluster names and that nobody shows are not missing, but unknown.
            for path in
                [&["nodeSubnet"][..], &["podSubnet"], &["privateCluster", "apiServerSubnet"]]
            {
                self.remove(path);
            }
            let what = "the cluster stands in a network that is not in the files: give `az network \
                        vnet show` as well";
            let (path, what) = ("vnet".to_owned(), what.to_owned());
            self.unknown.push(Unknown { path, what, is_needed: true });
        }
        if self.get(&["lb", "type"]).is_none() {
            // Not "public": it stands in the cluster, where these files do not look.
            self.set_text("exposure", Pos::START, "public");
            self.say("lb", "the load balancer is not in the files: LB rules were not checked");
        }
        Ok((self.root, self.unknown))
    }
}

/// The expression in `node` that could not be resolved, if there is one.
fn unresolved(node: &Node) -> Option<&str> {
    match &node.data {
        Data::Text(text) => text.strip_prefix(UNRESOLVED),
        Data::List(items) => items.iter().find_map(unresolved),
        Data::Map(entries) => entries.iter().find_map(|entry| unresolved(&entry.node)),
        Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) => None,
    }
}

/// The last part of a resource id.
pub(super) fn last_part(id: &str) -> &str {
    id.trim_end_matches('/').rsplit('/').next().unwrap_or(id)
}

fn place(node: &mut Node, path: &str, value: Node) {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let (key, index) = match first.split_once('[') {
        Some((key, index)) => (key, Some(index.trim_end_matches(']'))),
        None => (first, None),
    };
    let Data::Map(entries) = &mut node.data else { return };
    let idx = entries.iter().position(|entry| &*entry.key == key).unwrap_or_else(|| {
        let data = if index.is_some() { Data::List(Vec::new()) } else { Data::Map(Vec::new()) };
        entries.push(Entry { key: key.into(), at: value.at, node: Node::new(value.at, data) });
        entries.len() - 1
    });
    let Some(entry) = entries.get_mut(idx) else { return };
    match (index, rest) {
        (None, None) => entry.node = value,
        (None, Some(rest)) => place(&mut entry.node, rest, value),
        (Some(index), rest) => {
            let Data::List(items) = &mut entry.node.data else { return };
            let idx = index.parse().unwrap_or(items.len());
            if idx == items.len() {
                items.push(Node::new(value.at, Data::Map(Vec::new())));
            }
            let Some(item) = items.get_mut(idx) else { return };
            match rest {
                Some(rest) => place(item, rest, value),
                None => *item = value,
            }
        }
    }
}
