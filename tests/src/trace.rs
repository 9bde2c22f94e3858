//! A witness for machines without bpftrace, a virtual machine above all: the tracepoint's own lines in a tracefs
//! instance. They name site and reason, and neither device nor namespace.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::lab::Skip;
use crate::report::{Report, Row, Watcher};

/// A tracefs instance in which `skb:kfree_skb` is enabled.
pub struct Trace(PathBuf);

impl Trace {
    /// Enables the tracepoint. Without tracefs this is a [`Skip`].
    pub fn start() -> Result<Self> {
        let instances = Path::new("/sys/kernel/tracing/instances");
        let trace = Self(instances.join(format!("ndtest-{}", std::process::id())));
        fs::create_dir(&trace.0).map_err(|error| Skip(format!("neither bpftrace nor tracefs: {error}")))?;
        fs::write(trace.0.join("events/skb/kfree_skb/enable"), "1")?;
        Ok(trace)
    }

    fn rows(&self) -> Result<Vec<Row>> {
        let text = fs::read_to_string(self.0.join("trace"))?;
        Ok(text.lines().filter_map(row).collect())
    }
}

/// `… kfree_skb: skbaddr=… protocol=2048 location=icmp_rcv+0x11c/0x3f0 reason: NO_SOCKET`
fn row(line: &str) -> Option<Row> {
    let (_, event) = line.split_once("kfree_skb: ")?;
    let location = event.split_once("location=")?.1;
    let function = location.split(['+', ' ']).next()?;
    let reason = event.split_once("reason: ").map(|(_, name)| name.trim().to_owned());
    Some(Row {
        count: 1,
        reason,
        function: Some(function.to_owned()),
        address: None,
        device: None,
        netns: None,
        protocol: None,
    })
}

impl Watcher for Trace {
    fn so_far(&self) -> Vec<Row> {
        self.rows().unwrap_or_default()
    }

    fn finish(self: Box<Self>) -> Result<Report> {
        let mut rows: Vec<Row> = Vec::new();
        for row in self.rows()? {
            match rows.iter_mut().find(|known| known.function == row.function && known.reason == row.reason) {
                Some(known) => known.count += 1,
                None => rows.push(row),
            }
        }
        Ok(Report { rows, ..Report::default() })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("events/skb/kfree_skb/enable"), "0");
        let _ = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn a_line_names_function_and_reason() {
        let new = "  <idle>-0 [001] ..s1. 9.1: kfree_skb: skbaddr=0 rx_sk=0 protocol=2048 \
                   location=__udp4_lib_rcv+0x4bc/0xc10 reason: NO_SOCKET";
        let found = row(new).expect("it is a drop");
        assert_eq!((found.plain_function(), found.reason.as_deref()), ("__udp4_lib_rcv", Some("NO_SOCKET")));
        // Before 6.1 the location is a bare address: `location=00000000…`; before 5.17 there is no reason.
        let old = "x-1 [0] 9.1: kfree_skb: skbaddr=0 protocol=2048 location=ffffffff8204674c";
        assert_eq!(row(old).expect("it is a drop").reason, None);
    }
}
