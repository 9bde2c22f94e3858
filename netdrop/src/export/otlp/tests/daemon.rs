//! A daemon without a kernel: it answers who asks for counters, and writes drops.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::export::{Hub, HubWriter, hub};
use crate::model::tcp::TcpSummary;
use crate::model::{Accounts, Row, Summary};
use crate::output::samples::{self, counts, device, netns, reason, site, written};
use crate::output::{Json, Output};

pub struct Daemon {
    pub hub: Hub,
    rows: Arc<Mutex<Vec<Row>>>,
    tcp: Arc<Mutex<Option<Arc<TcpSummary>>>>,
    lines: mpsc::UnboundedSender<String>,
}

impl Daemon {
    pub fn start() -> Self {
        let (hub, writer) = hub();
        let rows = Arc::new(Mutex::new(vec![row("NO_SOCKET", 0)]));
        let tcp = Arc::default();
        let (lines, incoming) = mpsc::unbounded_channel();
        tokio::spawn(run(writer, Arc::clone(&rows), Arc::clone(&tcp), incoming));
        Self { hub, rows, tcp, lines }
    }

    /// The drops since the start, from now on.
    pub fn counts(&self, rows: Vec<Row>) {
        *self.rows.lock().unwrap() = rows;
    }

    /// What TCP's programs have counted, from now on.
    pub fn tcp(&self, summary: TcpSummary) {
        *self.tcp.lock().unwrap() = Some(Arc::new(summary));
    }

    /// So many detailed drops.
    pub fn drops(&self, number: usize) {
        for _ in 0..number {
            self.line(line());
        }
    }

    pub fn line(&self, line: String) {
        self.lines.send(line).expect("the daemon runs");
    }
}

/// A row with so many drops since the start.
pub fn row(name: &str, packets: u64) -> Row {
    Row {
        total: counts(packets, packets * 29),
        site: Some(site("__udp4_lib_rcv", 1212)),
        reason: Some(reason(name, crate::knowledge::Class::NoReceiver)),
        class: Some(crate::knowledge::Class::NoReceiver),
        device: Some(device(1, "lo")),
        netns: Some(netns(4_026_531_840, "host")),
        protocol: Some(samples::UDP),
        ..Row::default()
    }
}

/// The line of a drop, without its end.
pub fn line() -> String {
    written(|out| Json::new().drop(&samples::udp().drop(1), out)).trim_end().to_owned()
}

async fn run(
    mut writer: HubWriter,
    rows: Arc<Mutex<Vec<Row>>>,
    tcp: Arc<Mutex<Option<Arc<TcpSummary>>>>,
    mut lines: mpsc::UnboundedReceiver<String>,
) {
    let summary = |rows| Summary { tcp: tcp.lock().unwrap().clone(), ..summary(rows) };
    loop {
        tokio::select! {
            asked = writer.asked() => writer.publish(summary(&rows), [asked]),
            line = lines.recv() => match line {
                Some(line) => writer.drop(line.into()),
                // The last counts of a run.
                None => return writer.publish(summary(&rows), []),
            },
        }
        // As the loop's pace lets readers read.
        tokio::task::yield_now().await;
    }
}

fn summary(rows: &Mutex<Vec<Row>>) -> Summary {
    let rows = rows.lock().unwrap().clone();
    let seen = rows.iter().map(|row| row.total.packets).sum();
    let total = Accounts { seen, detailed: seen, recursion_misses: 2, ..Accounts::default() };
    Summary { time: samples::TIME, elapsed: Duration::from_mins(1), rows, total, ..Summary::default() }
}
