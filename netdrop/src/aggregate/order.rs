//! The order of rows.

use std::cmp::{Ordering, Reverse};

use crate::model::Row;

/// Most drops first, then the largest total; of equals, by what they count, so that rows keep their places, and a recording
/// reads as the run did. The row of all others comes last.
pub fn order(a: &Row, b: &Row) -> Ordering {
    let counts = |row: &Row| (row.other, Reverse((row.counts.packets, row.total.packets)));
    counts(a).cmp(&counts(b)).then_with(|| place(a).cmp(&place(b)))
}

/// What a row counts, as far as its names tell.
fn place(row: &Row) -> impl Ord + '_ {
    let site = row.site.as_deref();
    let code = (
        site.and_then(|site| site.function.as_deref()).or(row.function.as_deref()),
        site.map(|site| (site.offset, site.module.as_deref(), site.address)),
    );
    let reason = row.reason.as_ref().map(|reason| (reason.name.as_str(), reason.subsystem.as_str()));
    let device = row.device.as_ref().map(|device| (device.index, device.name.as_deref()));
    let netns = row.netns.as_ref().map(|netns| (netns.inode, netns.name.as_deref()));
    let flow = (row.source, row.destination, row.port);
    (code, reason, device, netns, row.protocol, flow, (&row.owner, &row.workload))
}
