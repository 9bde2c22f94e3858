//! The numbers of a histogram in words.

use crate::model::tcp::Histogram;
use crate::units::microseconds;

/// What stands for a number that there is none of.
pub const NONE: &str = "-";
/// What is told of each histogram: the least is the first quantile, the greatest the last.
pub const QUANTILES: [(&str, f64); 5] =
    [("min", 0.0), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

/// A quantile: the middle of its bucket; `≥403 s` where that has no end.
pub fn quantile(histogram: &Histogram, q: f64) -> String {
    let Some(bucket) = histogram.quantile(q) else { return NONE.into() };
    let least = if Histogram::is_open(bucket) { "≥" } else { "" };
    least.to_owned() + &microseconds(Histogram::middle_us(bucket))
}

/// The mean.
pub fn mean(histogram: &Histogram) -> String {
    histogram.mean_us().map_or_else(|| NONE.into(), microseconds)
}

/// Where a bucket starts.
pub fn start(bucket: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "less than 2^32")]
    microseconds(Histogram::range_us(bucket).start as f64)
}

/// All of it: `mean 20.9 ms · min 19.5 ms · p50 19.5 ms · …`.
pub fn sentence(histogram: &Histogram) -> String {
    let mut parts = vec![format!("mean {}", mean(histogram))];
    parts.extend(QUANTILES.map(|(name, q)| format!("{name} {}", quantile(histogram, q))));
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{histogram, slow};
    use super::*;

    #[test]
    fn of_a_slow_path() {
        assert_eq!(
            sentence(&slow()),
            "mean 20.9 ms · min 18.4 ms · p50 18.4 ms · p90 22.5 ms · p99 26.6 ms · max 213 ms"
        );
    }

    #[test]
    fn of_nothing() {
        assert_eq!(sentence(&Histogram::default()), "mean - · min - · p50 - · p90 - · p99 - · max -");
    }

    #[test]
    fn the_last_bucket_has_no_end() {
        let endless = histogram(&[(u32::MAX, 1)]);
        assert_eq!((quantile(&endless, 0.5), mean(&endless)), ("≥403 s".into(), "4295 s".into()));
    }
}
