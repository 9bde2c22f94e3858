//! Several runs as one.

use std::collections::HashMap;

use crate::aggregate::order;
use crate::model::{Endpoint, Protocol, Row, Summary, Trap};

/// What rows of different runs have in common. Numbers differ from boot to boot and from machine to machine: names count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Identity {
    other: bool,
    function: Option<String>,
    /// Offset and module; the address where there is no function.
    place: Option<(u64, Option<String>)>,
    trap: Option<Trap>,
    reason: Option<String>,
    device: Option<String>,
    netns: Option<String>,
    protocol: Option<Protocol>,
    flow: (Option<Endpoint>, Option<Endpoint>, Option<u16>),
}

impl Identity {
    fn of(row: &Row) -> Self {
        let named = |name: &Option<String>, number: u32| name.clone().unwrap_or_else(|| format!("#{number}"));
        let site = row.site.as_deref();
        Self {
            other: row.other,
            function: site.and_then(|site| site.function.clone()).or_else(|| row.function.clone()),
            place: site.filter(|site| site.trap.is_none()).map(|site| match site.function {
                Some(_) => (site.offset, site.module.clone()),
                None => (site.address, None),
            }),
            trap: site.and_then(|site| site.trap.clone()),
            reason: row.reason.as_ref().map(|reason| reason.name.clone()),
            device: row.device.as_ref().map(|device| named(&device.name, device.index)),
            netns: row.netns.as_ref().map(|netns| named(&netns.name, netns.inode)),
            protocol: row.protocol,
            flow: (row.source, row.destination, row.port),
        }
    }
}

/// One summary of all: counts, accounts and times are added up.
pub fn sum(runs: Vec<Summary>) -> Summary {
    let mut runs = runs.into_iter();
    let Some(first) = runs.next() else { return Summary::default() };
    let mut all = runs.fold(first, add);
    all.rows.sort_unstable_by(order);
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
    }
}
