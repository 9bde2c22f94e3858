//! A witness for machines without bpftrace, a virtual machine above all: the kernel's own histogram of the tracepoint
//! (Documentation/trace/histogram.rst). It names site and reason, and neither device nor namespace.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::lab::Skip;
use crate::observer::reasons;
use crate::report::{Report, Row, Watcher};

/// A tracefs instance in which a histogram hangs on `skb:kfree_skb`.
pub struct Trace {
    instance: PathBuf,
    reasons: HashMap<u64, String>,
}

impl Trace {
    /// Starts to count. Without tracefs this is a [`Skip`].
    pub fn start() -> Result<Self> {
        let instances = Path::new("/sys/kernel/tracing/instances");
        let instance = instances.join(format!("ndtest-{}", std::process::id()));
        fs::create_dir(&instance).map_err(|error| Skip(format!("neither bpftrace nor tracefs: {error}")))?;
        let format = fs::read_to_string(instance.join("events/skb/kfree_skb/format"))?;
        let trace = Self { instance, reasons: reasons(&format) };
        let reason = if trace.reasons.is_empty() { "" } else { ",reason" };
        fs::write(trace.event("trigger"), format!("hist:keys=location.sym{reason}")).map_err(|error| {
            Skip(format!("neither bpftrace nor the kernel's histograms (CONFIG_HIST_TRIGGERS): {error}"))
        })?;
        Ok(trace)
    }

    fn event(&self, file: &str) -> PathBuf {
        self.instance.join("events/skb/kfree_skb").join(file)
    }

    fn rows(&self) -> Result<Vec<Row>> {
        let text = fs::read_to_string(self.event("hist"))?;
        Ok(text.lines().filter_map(|line| row(line, &self.reasons)).collect())
    }
}

/// `{ location: [ffffffffb1c5a3c7] nft_do_chain [nf_tables], reason:  2 } hitcount:  5`
fn row(line: &str, reasons: &HashMap<u64, String>) -> Option<Row> {
    let (key, count) = line.strip_prefix("{ location: [")?.split_once("} hitcount:")?;
    let function = key.split_once("] ")?.1.split_whitespace().next()?;
    let reason = key.split_once("reason:").and_then(|(_, number)| number.trim().parse().ok());
    Some(Row {
        count: count.trim().parse().ok()?,
        class: None,
        reason: reason.and_then(|number: u64| reasons.get(&number).cloned()),
        function: Some(function.trim_end_matches(',').to_owned()),
        address: None,
        device: None,
        netns: None,
        protocol: None,
    })
}

impl Watcher for Trace {
    fn so_far(&self) -> Report {
        Report { rows: self.rows().unwrap_or_default(), ..Report::default() }
    }

    fn finish(self: Box<Self>) -> Result<Report> {
        Ok(Report { rows: self.rows()?, ..Report::default() })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // An instance can't be removed while a histogram hangs on one of its events.
        let _ = fs::read_to_string(self.event("trigger"))
            .map(|trigger| trigger.lines().filter(|line| !line.starts_with('#')).collect::<String>())
            .and_then(|trigger| {
                fs::write(self.event("trigger"), format!("!{}", trigger.split(' ').next().unwrap_or("")))
            });
        let _ = fs::remove_dir(&self.instance);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::row;

    #[test]
    fn a_line_names_function_and_reason() {
        let reasons = HashMap::from([(2, "NOT_SPECIFIED".to_owned())]);
        let line = "{ location: [ffffffffc0a1b2c3] nft_do_chain [nf_tables]   , reason:   2 } hitcount:    5";
        let found = row(line, &reasons).expect("it is a row");
        assert_eq!((found.count, found.plain_function()), (5, "nft_do_chain"));
        assert_eq!(found.reason.as_deref(), Some("NOT_SPECIFIED"));
        // Kernels before 5.17 have no reason.
        let line = "{ location: [ffffffffb1c5a3c7] __udp4_lib_rcv           } hitcount:          7";
        assert_eq!(row(line, &reasons).expect("it is a row").reason, None);
        assert!(row("Totals:", &reasons).is_none());
    }
}
