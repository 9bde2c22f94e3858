//! dropwatch's own lines, for scripts that read them. As dropwatch 1.5 prints software drops: the count in decimal, the
//! offset in hexadecimal without prefix, the address as `%p`; without a symbol `1 drops at location 0xffffffff8193bb1c [software]`;
//! what hardware drops by the trap's name: `1 drops at tail_drop [hardware]`.

use std::collections::BTreeMap;

use super::words::{Plain, TrapName};
use super::{Output, append};
use crate::model::{Drop, Site, Summary};
use crate::order::InOrder as _;

/// The dropwatch format: one line a site and interval, nothing else.
#[derive(Debug, Default)]
pub struct Dropwatch;

impl Output for Dropwatch {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    /// Needs rows by site; those of one site that differ in something else are summed.
    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        let mut sites: BTreeMap<u64, (&Site, u64)> = BTreeMap::new();
        for row in &summary.rows {
            if let Some(site) = &row.site {
                sites.entry(site.address).or_insert((site, 0)).1 += row.counts.packets;
            }
        }
        let mut sites: Vec<_> = sites.into_values().filter(|(_, count)| *count > 0).collect();
        sites.order_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (site, count) in sites {
            push_line(site, count, out);
        }
    }

    /// Nothing: dropwatch keeps no totals, and what was counted since the last interval comes in a last summary.
    fn end(&mut self, _: &Summary, _: &mut Vec<u8>) {}
}

fn push_line(site: &Site, count: u64, out: &mut Vec<u8>) {
    let address = site.address;
    if let Some(trap) = &site.trap {
        return append(out, format_args!("{count} drops at {} [hardware]\n", TrapName(trap)));
    }
    match &site.function {
        Some(function) => {
            let (function, offset) = (Plain(function), site.offset);
            append(out, format_args!("{count} drops at {function}+{offset:x} ({address:#x}) [software]\n"));
        }
        None => append(out, format_args!("{count} drops at location {address:#x} [software]\n")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use insta::assert_snapshot;

    use super::super::samples::{counts, site, trapped, written};
    use super::*;
    use crate::model::Row;

    fn row(site: &Arc<Site>, packets: u64) -> Row {
        Row { counts: counts(packets, 0), site: Some(Arc::clone(site)), ..Row::default() }
    }

    #[test]
    fn each_site_is_one_line_as_dropwatch_prints_it() {
        let icmp = Arc::new(Site { address: 0xffff_ffff_8193_bb1c, ..(*site("icmp_rcv", 0x11c)).clone() });
        let nameless = Arc::new(Site { address: 0xffff_ffff_c012_3456, ..Site::default() });
        let quiet = Arc::new(Site { address: 1, ..Site::default() });
        let rows =
            vec![row(&icmp, 1), row(&nameless, 5), row(&quiet, 0), row(&icmp, 2), row(&trapped().site, 4)];
        let summary = Summary { rows, ..Summary::default() };
        assert_snapshot!(written(|out| Dropwatch.summary(&summary, out)), @r"
        5 drops at location 0xffffffffc0123456 [software]
        4 drops at blackhole_route [hardware]
        3 drops at icmp_rcv+11c (0xffffffff8193bb1c) [software]
        ");
        assert_eq!(written(|out| Dropwatch.end(&summary, out)), "");
    }
}
