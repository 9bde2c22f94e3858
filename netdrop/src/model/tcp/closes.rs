//! Ends of connections by how they ended.

use super::{CloseKind, TcpEvent, TcpKind};

/// How many connections ended how. The kernel counts ends by the state before; how they ended is seen in details, each of which
/// stands for its weight: with every detail there, these are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Closes([u64; CloseKind::ALL.len()]);

impl Closes {
    /// Takes an event; ends are counted.
    pub fn record(&mut self, event: &TcpEvent) {
        if let TcpKind::Close { kind, .. } = event.kind {
            self.count(kind, event.weight.into());
        }
    }

    /// So many more of a kind.
    pub fn count(&mut self, kind: CloseKind, count: u64) {
        let place = CloseKind::ALL.into_iter().position(|known| known == kind);
        if let Some(slot) = place.and_then(|place| self.0.get_mut(place)) {
            *slot = slot.saturating_add(count);
        }
    }

    /// All kinds with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (CloseKind, u64)> {
        CloseKind::ALL.into_iter().zip(self.0)
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut closes = self.0;
        closes.iter_mut().zip(earlier.0).for_each(|(now, then)| *now = now.saturating_sub(then));
        Self(closes)
    }

    /// These and `others`.
    pub fn add(&mut self, others: &Self) {
        self.0.iter_mut().zip(others.0).for_each(|(sum, more)| *sum = sum.saturating_add(more));
    }
}
