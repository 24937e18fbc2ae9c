//! Sets of IPv4 addresses as sorted, disjoint intervals.

use super::Net;

/// A set of IPv4 addresses: sorted, disjoint, never adjacent intervals `first..end`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RangeSet {
    intervals: Vec<(u64, u64)>,
}

impl RangeSet {
    /// The union of IPv4 `nets`; IPv6 ones are left out.
    pub fn of<'a>(nets: impl IntoIterator<Item = &'a Net>) -> Self {
        let mut set = Self::default();
        for net in nets {
            set.insert(net);
        }
        set
    }

    /// Adds a range. O(number of intervals).
    pub fn insert(&mut self, net: &Net) {
        let Some((mut first, mut end)) = interval(net) else { return };
        let mut kept = Vec::with_capacity(self.intervals.len().saturating_add(1));
        for &(other_first, other_end) in &self.intervals {
            if other_end < first || end < other_first {
                kept.push((other_first, other_end));
            } else {
                first = first.min(other_first);
                end = end.max(other_end);
            }
        }
        kept.push((first, end));
        kept.sort_unstable();
        self.intervals = kept;
    }

    /// Takes a range away. O(number of intervals).
    pub fn remove(&mut self, net: &Net) {
        let Some((first, end)) = interval(net) else { return };
        let mut kept = Vec::with_capacity(self.intervals.len().saturating_add(1));
        for &(other_first, other_end) in &self.intervals {
            if other_end <= first || end <= other_first {
                kept.push((other_first, other_end));
                continue;
            }
            if other_first < first {
                kept.push((other_first, first));
            }
            if end < other_end {
                kept.push((end, other_end));
            }
        }
        self.intervals = kept;
    }

    /// How many addresses are in it.
    pub fn n_addresses(&self) -> u64 {
        self.intervals
            .iter()
            .fold(0, |sum, (first, end)| sum.saturating_add(end.saturating_sub(*first)))
    }

    /// The largest aligned blocks whose disjoint union is this set, by address. At most 62 an
    /// interval.
    pub fn blocks(&self) -> Vec<Net> {
        let mut blocks = Vec::new();
        for &(first, end) in &self.intervals {
            let mut at = first;
            while at < end {
                let room = end.saturating_sub(at);
                let aligned = if at == 0 { 32 } else { at.trailing_zeros().min(32) };
                let bits = aligned.min(room.checked_ilog2().unwrap_or(0));
                let prefix = u8::try_from(32_u32.saturating_sub(bits)).unwrap_or(32);
                let Ok(base) = u32::try_from(at) else { break };
                blocks.push(Net::at(base, prefix));
                at = at.saturating_add(1_u64.checked_shl(bits).unwrap_or(1));
            }
        }
        blocks
    }
}

fn interval(net: &Net) -> Option<(u64, u64)> {
    if net.is_v6() {
        return None;
    }
    let first = u64::try_from(net.first()).ok()?;
    Some((first, u64::try_from(net.last()).ok()?.saturating_add(1)))
}
