//! A server whose counts are made up: what a browser shows of them is known beforehand.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use netdrop::export::{HubWriter, hub};
use netdrop::http::{Build, Metrics, Served, Settings, bind, run};
use netdrop::knowledge::class_of;
use netdrop::model::{Accounts, Counts, Device, Netns, Protocol, Reason, Row, Site, Summary, Timestamp};
use netdrop::output::Clock;
use tokio::sync::{oneshot, watch};

const UDP: Protocol = Protocol { ethertype: 0x0800, ip: Some(17) };
const TCP: Protocol = Protocol { ethertype: 0x0800, ip: Some(6) };

/// Reason, function, offset, device, namespace, protocol, drops before the start, drops a second, and when in a minute.
struct Kind(&'static str, &'static str, u64, &'static str, &'static str, Protocol, u64, u64, fn(f64) -> f64);

const KINDS: [Kind; 9] = [
    Kind("NO_SOCKET", "__udp4_lib_rcv", 0x4bc, "lo", "host", UDP, 48_211, 120, |s| 1.0 + (s / 5.0).sin()),
    Kind("SOCKET_RCVBUFF", "__udp_queue_rcv_one_skb", 0x1d2, "eth0", "host", UDP, 1_204_337, 2300, |s| {
        1.0 + 0.8 * (s / 9.0).sin()
    }),
    Kind("NETFILTER_DROP", "nf_hook_slow", 0xbc, "eth0", "host", TCP, 90_122, 75, |_| 1.0),
    Kind("TCP_LISTEN_OVERFLOW", "tcp_v4_syn_recv_sock", 0x2f1, "eth0", "web", TCP, 3_120, 31, |s| {
        (s % 12.0 < 4.0).into()
    }),
    Kind("TCP_OLD_DATA", "tcp_data_queue", 0x8f3, "eth0", "host", TCP, 70_231, 90, |_| 1.0),
    Kind("IP_INADDRERRORS", "ip_error", 0x11f, "eth1", "host", UDP, 812, 2, |_| 1.0),
    Kind("UDP_CSUM", "udp_rcv", 0x4c, "eth1", "db", UDP, 77, 1, |s| (s % 7.0 < 1.0).into()),
    Kind("QDISC_DROP", "__dev_queue_xmit", 0x9ac, "eth0", "host", TCP, 20_455, 210, |s| {
        (s % 20.0 < 9.0).into()
    }),
    Kind("NOT_SPECIFIED", "nsim_start_xmit", 0x55, "sim0", "host", TCP, 4_500, 3, |_| 1.0),
];

/// A server in a thread of its own.
pub struct MadeUp {
    /// Where it listens: `127.0.0.1:40321`.
    pub address: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MadeUp {
    /// Starts it.
    pub fn start(settings: &Settings) -> Result<Self> {
        let bound = bind(&Settings { listen: vec!["127.0.0.1:0".parse()?], ..settings.clone() })?;
        let address = bound.addresses().first().context("it listens nowhere")?.to_string();
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            let (hub, writer) = hub();
            let metrics: Metrics = Arc::new(|_| Box::pin(async { Ok("up 1\n".to_owned()) }));
            let build = Build {
                version: "0.1.0".into(),
                host: "web-17".into(),
                kernel: "6.18.2".into(),
                ..Build::default()
            };
            let served = Served { hub, metrics, ready: Arc::new(|| Ok(())), build };
            let (end, ended) = watch::channel(());
            runtime.block_on(async {
                let shutdown = async move {
                    let _ = stopped.await;
                    drop(end);
                };
                let _ = tokio::join!(run(bound, served, shutdown), write(writer, ended));
            });
        });
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Ends it, as a daemon that is stopped.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for MadeUp {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the daemon's loop does: answers who asks, and tells drops.
async fn write(mut writer: HubWriter, mut ended: watch::Receiver<()>) {
    let started = Instant::now();
    let mut clock = Clock::utc();
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    let mut number = 0;
    loop {
        tokio::select! {
            asked = writer.asked() => writer.publish(summary(started.elapsed()), [asked]),
            _ = ticks.tick() => {
                number += 1;
                writer.drop(line(number, &mut clock).into());
            }
            _ = ended.changed() => return,
        }
    }
}

fn summary(elapsed: Duration) -> Summary {
    let rows: Vec<_> = KINDS.iter().zip(1..).map(|(kind, index)| row(kind, index, elapsed)).collect();
    let counted: u64 = rows.iter().map(|row| row.total.packets).sum();
    let (detailed, ring_full) = (counted / 50, counted / 9000);
    let total = Accounts {
        seen: counted + 612,
        detailed,
        ring_full,
        sampled_out: counted - detailed - ring_full,
        filtered: 612,
        ..Accounts::default()
    };
    let elapsed = Duration::from_secs(7543) + elapsed;
    Summary { time: Timestamp::now(), elapsed, rows, total, ..Summary::default() }
}

fn row(kind: &Kind, index: u32, elapsed: Duration) -> Row {
    let Kind(reason, function, offset, device, netns, protocol, before, rate, shape) = *kind;
    // Whole parts of seconds, so that the counts only grow.
    let added: f64 =
        (0..elapsed.as_millis() / 250).map(|quarter| shape(f64::from(quarter as u32) / 4.0)).sum();
    let packets = before + (added * rate as f64 / 4.0) as u64;
    let class = class_of(Some(reason), Some(function));
    let site = Site {
        address: 0xffff_ffff_8200_0000 + u64::from(index) * 0x1000,
        function: Some(function.into()),
        offset,
        ..Site::default()
    };
    Row {
        total: Counts { packets, bytes: packets * 420 },
        site: Some(Arc::new(site)),
        reason: Some(Arc::new(Reason {
            number: index,
            name: reason.into(),
            class,
            subsystem: "core".into(),
        })),
        class: Some(class),
        device: Some(Arc::new(Device { index, name: Some(device.into()) })),
        netns: Some(Arc::new(Netns { inode: index, name: Some(netns.into()), ..Netns::default() })),
        protocol: Some(protocol),
        ..Row::default()
    }
}

/// A line as the daemon writes it.
fn line(number: u64, clock: &mut Clock) -> String {
    let index = number as usize % KINDS.len();
    let Kind(reason, function, offset, device, netns, protocol, ..) = KINDS[index];
    let class = class_of(Some(reason), Some(function));
    let mut time = Vec::new();
    clock.push(Timestamp::now(), &mut time);
    let address = 0xffff_ffff_8200_0000 + (index as u64 + 1) * 0x1000;
    format!(
        r#"{{"v":1,"kind":"drop","time":"{}","weight":{},"reason":"{reason}","class":"{class}","subsystem":"core","function":"{function}","offset":{offset},"address":"{address:#x}","cpu":{},"device":{{"index":{},"name":"{device}"}},"netns":{{"inode":4026531840,"name":"{netns}"}},"packet":{{"length":{},"family":"ipv4","protocol":"{}","source":{{"address":"198.51.100.{}","port":{}}},"destination":{{"address":"192.0.2.7","port":{}}},"ttl":64}},"socket":{{"owner":{{"pid":4242,"command":"nginx"}}}}}}"#,
        String::from_utf8_lossy(&time),
        1 + number % 40,
        number % 2,
        index + 1,
        60 + number % 1400,
        if protocol == UDP { "udp" } else { "tcp" },
        number % 9,
        40000 + number % 700,
        if protocol == UDP { 53 } else { 443 },
    )
}
