//! Packs aligned blocks of powers of two into a set of addresses.

use crate::addr::{Net, RangeSet};

/// A block that is sought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Who asks; equal sizes are placed in the order of names.
    pub(crate) name: String,
    /// Longest prefix, the least size.
    pub(crate) least: u8,
    /// Prefix that is better, not longer than `least`.
    pub(crate) wanted: u8,
    /// Where it goes if that is free.
    pub(crate) preferred: Option<Net>,
}

impl Request {
    /// A request for `n` addresses at least, with room to double.
    pub(crate) fn of(name: impl Into<String>, n: u64) -> Self {
        let least = prefix_for(n);
        Self { name: name.into(), least, wanted: least.saturating_sub(1), preferred: None }
    }
}

/// Longest prefix whose block has `n` addresses.
pub(crate) fn prefix_for(n: u64) -> u8 {
    let bits = n.max(1).next_power_of_two().trailing_zeros().min(32);
    u8::try_from(32 - bits).unwrap_or(0)
}

/// A placement of every request, in the order of the requests; `None` where none exists.
///
/// Tries the wanted sizes with the preferred places, then without, then gives up room step by
/// step, the largest first, down to the least sizes.
pub(crate) fn pack(free: &RangeSet, requests: &[Request]) -> Option<Vec<Net>> {
    let mut sizes: Vec<u8> = requests.iter().map(|request| request.wanted).collect();
    if let Some(placed) = attempt(free, requests, &sizes, true) {
        return Some(placed);
    }
    loop {
        if let Some(placed) = attempt(free, requests, &sizes, false) {
            return Some(placed);
        }
        // The one with the most room to give up; of equals the last by name.
        let givers = sizes.iter().zip(requests).enumerate();
        let giver = givers
            .filter(|(_, (size, request))| **size < request.least)
            .min_by(|(_, (a, one)), (_, (b, other))| a.cmp(b).then(other.name.cmp(&one.name)))
            .map(|(idx, _)| idx)?;
        sizes[giver] += 1;
    }
}

/// The requests that found no place at their least sizes, with the largest block that was free
/// for each.
pub(crate) fn unplaced(free: &RangeSet, requests: &[Request]) -> Vec<(String, u64, u64)> {
    let mut free = free.clone();
    let mut missing = Vec::new();
    for idx in order(requests, |request| request.least) {
        let request = &requests[idx];
        match first_fit(&free, request.least) {
            Some(net) => free.remove(&net),
            None => {
                let sizes = free.blocks();
                let largest = sizes.iter().map(|net| size(net.prefix())).max().unwrap_or(0);
                missing.push((request.name.clone(), size(request.least), largest));
            }
        }
    }
    missing
}

/// Addresses of a block with this prefix.
pub(crate) fn size(prefix: u8) -> u64 {
    1 << (32 - u32::from(prefix.min(32)))
}

fn order(requests: &[Request], prefix: impl Fn(&Request) -> u8) -> Vec<usize> {
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by(|a, b| {
        let (one, other) = (&requests[*a], &requests[*b]);
        prefix(one).cmp(&prefix(other)).then(one.name.cmp(&other.name))
    });
    order
}

fn attempt(
    free: &RangeSet,
    requests: &[Request],
    sizes: &[u8],
    with_preferred: bool,
) -> Option<Vec<Net>> {
    let mut free = free.clone();
    let mut placed: Vec<Option<Net>> = vec![None; requests.len()];
    if with_preferred {
        for (slot, request) in placed.iter_mut().zip(requests) {
            *slot = request.preferred.filter(|net| is_free(&free, net));
            if let Some(net) = slot {
                free.remove(net);
            }
        }
    }
    let mut order: Vec<usize> = (0..requests.len()).filter(|idx| placed[*idx].is_none()).collect();
    order.sort_by(|a, b| sizes[*a].cmp(&sizes[*b]).then(requests[*a].name.cmp(&requests[*b].name)));
    for idx in order {
        let net = first_fit(&free, sizes[idx])?;
        free.remove(&net);
        placed[idx] = Some(net);
    }
    placed.into_iter().collect()
}

/// The lowest free aligned block of this size.
pub(crate) fn first_fit(free: &RangeSet, prefix: u8) -> Option<Net> {
    let block = free.blocks().into_iter().find(|block| block.prefix() <= prefix)?;
    Some(Net::at(u32::try_from(block.first()).ok()?, prefix))
}

/// Whether every address of `net` is free.
pub(crate) fn is_free(free: &RangeSet, net: &Net) -> bool {
    let mut rest = free.clone();
    rest.remove(net);
    rest.n_addresses() + u64::try_from(net.size()).unwrap_or(u64::MAX) == free.n_addresses()
}
