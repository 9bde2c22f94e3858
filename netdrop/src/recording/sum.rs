//! Several runs as one.

use std::collections::HashMap;
use std::sync::Arc;

use super::identity::Identity;
use crate::aggregate::order;
use crate::model::Summary;
use crate::order::InOrder as _;

/// One summary of all: counts, accounts and times are added up.
pub fn sum(runs: Vec<Summary>) -> Summary {
    let mut runs = runs.into_iter();
    let Some(first) = runs.next() else { return Summary::default() };
    let mut all = runs.fold(first, add);
    all.rows.order_by(order);
    all
}

fn add(mut all: Summary, run: Summary) -> Summary {
    let mut places: HashMap<Identity, usize> =
        all.rows.iter().enumerate().map(|(place, row)| (Identity::of(row), place)).collect();
    for row in run.rows {
        let place = *places.entry(Identity::of(&row)).or_insert(all.rows.len());
        match all.rows.get_mut(place) {
            None => all.rows.push(row),
            Some(known) => {
                known.counts += row.counts;
                known.total += row.total;
                known.estimated |= row.estimated;
                known.example = row.example.or(known.example);
            }
        }
    }
    all.attribution.extend(run.attribution);
    Summary {
        time: all.time.max(run.time),
        interval: all.interval.saturating_add(run.interval),
        elapsed: all.elapsed.saturating_add(run.elapsed),
        rows: all.rows,
        accounts: all.accounts.plus(&run.accounts),
        total: all.total.plus(&run.total),
        attribution: all.attribution,
        tcp: match (all.tcp, run.tcp) {
            (Some(one), Some(other)) => {
                let mut sum = Arc::unwrap_or_clone(one);
                sum.add(&other);
                Some(Arc::new(sum))
            }
            (one, other) => one.or(other),
        },
        findings: if run.findings.is_empty() { all.findings } else { run.findings },
    }
}
