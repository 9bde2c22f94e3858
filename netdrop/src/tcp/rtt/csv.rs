//! The whole run's histograms as CSV (RFC 4180): a line a bucket that isn't empty.

use std::ops::Range;

use clap::ValueEnum as _;

use super::rows::merged;
use super::{Dimension, word};
use crate::model::tcp::Histogram;
use crate::model::{Drop, Summary};
use crate::output::Output;
use crate::output::csv::record;

/// The CSV format. Nothing is written before the end. The header never changes; what rows don't tell apart is empty, as is the end
/// of the last bucket.
#[derive(Debug, Default)]
pub struct Csv;

impl Output for Csv {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    fn summary(&mut self, _: &Summary, _: &mut Vec<u8>) {}

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        let names = Dimension::value_variants().iter().map(|dimension| dimension.name());
        record(["rtt"].into_iter().chain(names).chain(["others", "lower_us", "upper_us", "count"]), out);
        let Some(tcp) = &summary.tcp else { return };
        for row in merged(tcp.rtt.iter().cloned()) {
            let identity: Vec<String> = Dimension::value_variants()
                .iter()
                .map(|dimension| dimension.of(&row).unwrap_or_default())
                .collect();
            for (bucket, count) in row.total.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
                let Range { start, end } = Histogram::range_us(bucket);
                let end = if Histogram::is_open(bucket) { String::new() } else { end.to_string() };
                let numbers = [row.others.to_string(), start.to_string(), end, count.to_string()];
                let what = word(row.what).to_owned();
                record([what].into_iter().chain(identity.iter().cloned()).chain(numbers), out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{histogram, of_all, to, told};
    use super::*;
    use crate::output::samples::written;

    #[test]
    fn a_line_a_bucket() {
        let mut others = of_all(histogram(&[(u32::MAX, 2)]));
        others.others = true;
        let summary = told(vec![to("10.0.0.2", histogram(&[(3, 5), (20_000, 7)])), others]);
        let text = written(|out| Csv.end(&summary, out));
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "rtt,remote,local,port,remote-port,device,route,owner,netns,container,others,lower_us,upper_us,count",
                "sample,10.0.0.2,,,,,,,,,false,3,4,5",
                "sample,10.0.0.2,,,,,,,,,false,16384,20480,7",
                "sample,,,,,,,,,,true,402653184,,2",
            ]
        );
    }
}
