//! Several times, or several runs, as one.

use std::sync::Arc;

use netdrop_common::tcp::TcpTotal;

use super::{Counted, HostCounts, RttRow, TcpAccounts, TcpCount, TcpSummary, TransitionRow, WITHOUT_REASON};

impl TcpSummary {
    /// These and `others`, of another time or another run: whose intervals, totals and all else add up.
    pub fn add(&mut self, others: &Self) {
        self.accounts = self.accounts.plus(&others.accounts);
        self.total = self.total.plus(&others.total);
        for count in &others.counts {
            let detail = match (count.counted(), others.detail_name(count)) {
                (Counted::ResetSent, Some(reason)) => self.reset_detail(reason),
                _ => count.detail,
            };
            self.add_count(&TcpCount { detail, ..*count });
        }
        others.transitions.iter().for_each(|row| self.add_transition(row));
        others.rtt.iter().for_each(|row| self.add_rtt(row));
        self.closes.add(&others.closes);
        self.closes_total.add(&others.closes_total);
        self.host = self.host.plus(&others.host);
        self.host_total = self.host_total.plus(&others.host_total);
        self.existed = match (self.existed, others.existed) {
            (Some(here), Some(there)) => Some(here.saturating_add(there)),
            (here, there) => here.or(there),
        };
    }

    /// The next interval, whatever programs counted it, with the totals of all that `sum` has taken, this one included.
    #[must_use]
    pub fn summed(self, sum: &mut Option<Self>) -> Self {
        let part = Self { transitions: Vec::new(), queues: None, ..self.clone() }.into_total();
        match sum {
            Some(sum) => sum.add(&Self { existed: None, ..part }),
            None => *sum = Some(part),
        }
        match sum {
            Some(sum) => self.with_totals_of(sum),
            None => self,
        }
    }

    /// This interval and the one `before` as one, with the totals of this.
    #[must_use]
    pub fn after(&self, before: &Self) -> Self {
        let mut both = None;
        let _ = before.clone().summed(&mut both);
        let _ = self.clone().summed(&mut both);
        both.unwrap_or_default().with_totals_of(self)
    }

    /// What was counted since `earlier`, by the totals of both.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let count = |count: &TcpCount| {
            let then = earlier.counts.iter().find(|then| then.is_same(count));
            TcpCount { counts: minus(count.total, then.map(|then| then.total).unwrap_or_default()), ..*count }
        };
        let rtt = |row: &RttRow| {
            let then = earlier.rtt.iter().find(|then| then.is_alike(row));
            let interval = then.map_or_else(|| row.total.clone(), |then| row.total.since(&then.total));
            RttRow { interval, ..row.clone() }
        };
        Self {
            accounts: self.total.since(&earlier.total),
            counts: self.counts.iter().map(count).collect(),
            rtt: self.rtt.iter().map(rtt).collect(),
            host: self.host_total.since(&earlier.host_total),
            closes: self.closes_total.since(&earlier.closes_total),
            transitions: Vec::new(),
            ..self.clone()
        }
    }

    /// What was counted since `begin`, as if it were all; of all without one.
    #[must_use]
    pub fn whole_since(&self, begin: Option<&Self>) -> Self {
        begin.map_or_else(|| self.since_start(), |begin| self.since(begin)).into_total()
    }

    /// What was counted in all, as an interval.
    #[must_use]
    pub fn since_start(&self) -> Self {
        self.since(&Self::default())
    }

    /// The interval as if it were all.
    fn into_total(self) -> Self {
        let count = |count: TcpCount| TcpCount { total: count.counts, ..count };
        let rtt = |row: RttRow| RttRow { total: row.interval.clone(), ..row };
        Self {
            total: self.accounts,
            counts: self.counts.into_iter().map(count).collect(),
            rtt: self.rtt.into_iter().map(rtt).collect(),
            host_total: self.host,
            closes_total: self.closes,
            ..self
        }
    }

    /// This interval, whose totals are `sum`'s.
    fn with_totals_of(self, sum: &Self) -> Self {
        let count = |count: &TcpCount| {
            let now = self.counts.iter().find(|now| now.is_same(count));
            TcpCount { counts: now.map(|now| now.counts).unwrap_or_default(), ..*count }
        };
        let rtt = |row: &RttRow| {
            let now = self.rtt.iter().find(|now| now.is_alike(row));
            RttRow { interval: now.map(|now| now.interval.clone()).unwrap_or_default(), ..row.clone() }
        };
        Self {
            total: sum.total,
            counts: sum.counts.iter().map(count).collect(),
            rtt: sum.rtt.iter().map(rtt).collect(),
            host_total: sum.host_total,
            closes_total: sum.closes_total,
            reset_reasons: Arc::clone(&sum.reset_reasons),
            existed: sum.existed,
            ..self
        }
    }

    /// The detail that stands for a reset's reason here; a new one where it has none yet.
    pub fn reset_detail(&mut self, reason: &str) -> u8 {
        let known = self.reset_reasons.iter().position(|known| &**known == reason);
        let place = known.unwrap_or(self.reset_reasons.len());
        match u8::try_from(place) {
            Ok(place) if place < WITHOUT_REASON => {
                if known.is_none() {
                    let more = self.reset_reasons.iter().cloned().chain([Arc::from(reason)]);
                    self.reset_reasons = more.collect();
                }
                place
            }
            _ => WITHOUT_REASON,
        }
    }

    fn add_count(&mut self, count: &TcpCount) {
        match self.counts.iter_mut().find(|known| known.is_same(count)) {
            Some(known) => {
                known.counts = plus(known.counts, count.counts);
                known.total = plus(known.total, count.total);
            }
            None => self.counts.push(*count),
        }
    }

    fn add_transition(&mut self, row: &TransitionRow) {
        let is_same = |known: &&mut TransitionRow| (known.from, known.to) == (row.from, row.to);
        match self.transitions.iter_mut().find(is_same) {
            Some(known) => {
                known.count = known.count.saturating_add(row.count);
                known.total = known.total.saturating_add(row.total);
                known
                    .spent
                    .iter_mut()
                    .zip(&row.spent)
                    .for_each(|(sum, more)| *sum = sum.saturating_add(*more));
                known.spent_sum = known.spent_sum.saturating_add(row.spent_sum);
            }
            None => self.transitions.push(row.clone()),
        }
    }

    fn add_rtt(&mut self, row: &RttRow) {
        match self.rtt.iter_mut().find(|known| known.is_alike(row)) {
            Some(known) => {
                known.interval.add(&row.interval);
                known.total.add(&row.total);
            }
            None => self.rtt.push(row.clone()),
        }
    }
}

impl TcpCount {
    /// Whether it is of the same kind and detail as `other`.
    const fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.detail == other.detail
    }
}

impl RttRow {
    /// Whether it is of the same as `other`.
    pub fn is_alike(&self, other: &Self) -> bool {
        (self.what, self.others) == (other.what, other.others)
            && (self.local, self.local_port) == (other.local, other.local_port)
            && (self.remote, self.remote_port) == (other.remote, other.remote_port)
            && self.gateway == other.gateway
            && self.device == other.device
            && self.netns == other.netns
            && self.owner == other.owner
    }
}

impl TcpAccounts {
    /// These and `others` together.
    #[must_use]
    pub fn plus(&self, others: &Self) -> Self {
        Self {
            seen: self.seen.saturating_add(others.seen),
            detailed: self.detailed.saturating_add(others.detailed),
            sampled_out: self.sampled_out.saturating_add(others.sampled_out),
            ring_full: self.ring_full.saturating_add(others.ring_full),
            filtered: self.filtered.saturating_add(others.filtered),
            untracked: self.untracked.saturating_add(others.untracked),
            rtt_seen: self.rtt_seen.saturating_add(others.rtt_seen),
            rtt_others: self.rtt_others.saturating_add(others.rtt_others),
            recursion_misses: self.recursion_misses.saturating_add(others.recursion_misses),
        }
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            seen: self.seen.saturating_sub(earlier.seen),
            detailed: self.detailed.saturating_sub(earlier.detailed),
            sampled_out: self.sampled_out.saturating_sub(earlier.sampled_out),
            ring_full: self.ring_full.saturating_sub(earlier.ring_full),
            filtered: self.filtered.saturating_sub(earlier.filtered),
            untracked: self.untracked.saturating_sub(earlier.untracked),
            rtt_seen: self.rtt_seen.saturating_sub(earlier.rtt_seen),
            rtt_others: self.rtt_others.saturating_sub(earlier.rtt_others),
            recursion_misses: self.recursion_misses.saturating_sub(earlier.recursion_misses),
        }
    }
}

impl HostCounts {
    /// These and `others` together.
    #[must_use]
    pub fn plus(&self, others: &Self) -> Self {
        Self {
            segments_out: self.segments_out.saturating_add(others.segments_out),
            segments_retransmitted: self.segments_retransmitted.saturating_add(others.segments_retransmitted),
            segments_in: self.segments_in.saturating_add(others.segments_in),
            resets_out: self.resets_out.saturating_add(others.resets_out),
            established_resets: self.established_resets.saturating_add(others.established_resets),
            active_opens: self.active_opens.saturating_add(others.active_opens),
            passive_opens: self.passive_opens.saturating_add(others.passive_opens),
            attempt_fails: self.attempt_fails.saturating_add(others.attempt_fails),
        }
    }
}

/// What means anything of them.
fn plus(one: TcpTotal, other: TcpTotal) -> TcpTotal {
    TcpTotal {
        events: one.events.saturating_add(other.events),
        bytes: one.bytes.saturating_add(other.bytes),
        segments: one.segments.saturating_add(other.segments),
        ..one
    }
}

fn minus(one: TcpTotal, other: TcpTotal) -> TcpTotal {
    TcpTotal {
        events: one.events.saturating_sub(other.events),
        bytes: one.bytes.saturating_sub(other.bytes),
        segments: one.segments.saturating_sub(other.segments),
        ..one
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use netdrop_common::tcp::kind;

    use super::*;
    use crate::model::tcp::CloseKind;

    fn resets(reasons: [&str; 2], counts: [u64; 2]) -> TcpSummary {
        let count = |(detail, events): (u8, u64)| {
            let counts = TcpTotal { events, ..TcpTotal::default() };
            TcpCount { kind: kind::RESET_SENT, detail, counts, total: counts }
        };
        TcpSummary {
            counts: [(0, counts[0]), (1, counts[1]), (31, 1)].map(count).into(),
            reset_reasons: reasons.map(Arc::from).into(),
            existed: Some(1),
            ..TcpSummary::default()
        }
    }

    /// The numbers of reasons differ from kernel to kernel.
    #[test]
    fn reasons_are_added_by_name() {
        let mut sum = resets(["A", "B"], [1, 2]);
        sum.add(&resets(["B", "C"], [10, 20]));
        let told: Vec<_> =
            sum.counts.iter().map(|count| (sum.detail_name(count), count.counts.events)).collect();
        assert_eq!(told, [(Some("A"), 1), (Some("B"), 12), (None, 2), (Some("C"), 20)]);
        assert_eq!(sum.existed, Some(2));
    }

    /// Whatever programs counted them: totals are the sum of all intervals, and what lies between two is their difference.
    #[test]
    fn intervals_are_summed_over_programs() {
        use crate::tcp::samples::counted;
        let mut sum = None;
        let first = counted().summed(&mut sum);
        // Another program begins anew, and has met nothing yet.
        let quiet = TcpSummary { reset_reasons: first.reset_reasons.clone(), ..TcpSummary::default() };
        let second = quiet.summed(&mut sum);
        let third = counted().summed(&mut sum);
        let events = |tcp: &TcpSummary| tcp.events(|_| true);
        let total = |tcp: &TcpSummary| tcp.counts.iter().map(|count| count.total.events).sum::<u64>();
        assert_eq!([&first, &second, &third].map(events), [16, 0, 16]);
        assert_eq!([&first, &second, &third].map(total), [16, 16, 32]);
        assert_eq!((third.accounts.seen, third.total.seen, third.host_total.segments_out), (16, 32, 8400));
        assert_eq!((third.rtt[0].interval.count(), third.rtt[0].total.count()), (3, 6));
        assert_eq!((third.closes_total.total(), third.existed), (4, Some(12)));
        let (between, all) = (third.since(&second), third.since_start());
        assert_eq!((events(&between), between.closes.total(), between.rtt[0].interval.count()), (16, 2, 3));
        assert_eq!((events(&all), all.closes.total(), all.rtt[0].interval.count()), (32, 4, 6));
        let recorded = third.whole_since(Some(&first));
        assert_eq!((recorded.total.seen, total(&recorded), third.whole_since(None).total.seen), (16, 16, 32));
        let two = third.after(&second.after(&first));
        assert_eq!(
            (events(&two), total(&two), two.closes.total(), two.rtt[0].interval.count()),
            (32, 32, 4, 6)
        );
        assert_eq!((between.host.segments_out, all.host.segments_out, all.accounts.seen), (4200, 8400, 32));
    }

    #[test]
    fn more_reasons_than_there_are_details_have_no_name() {
        let mut sum = TcpSummary::default();
        let details: Vec<u8> = (0..40).map(|number| sum.reset_detail(&format!("R{number}"))).collect();
        assert_eq!(details[..31], (0..31).collect::<Vec<u8>>());
        assert_eq!(details[31..], [31; 9]);
        assert_eq!(sum.reset_detail("R30"), 30);
    }

    #[test]
    fn every_kind_of_end_has_a_count() {
        let mut sum = TcpSummary::default();
        for (count, kind) in (1..).zip(CloseKind::ALL) {
            sum.closes.count(kind, count);
        }
        let twice = sum.clone();
        sum.add(&twice);
        assert!(sum.closes.iter().zip(1..).all(|((_, count), number)| count == 2 * number));
        assert_eq!(sum.closes.since(&twice.closes), twice.closes);
        assert_eq!(sum.closes.total(), 72);
    }
}
