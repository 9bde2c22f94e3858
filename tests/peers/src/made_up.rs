//! A server whose counts are made up: what a browser shows of them is known beforehand.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use netdrop::export::{HubWriter, hub};
use netdrop::http::{Build, Metrics, Served, Settings, bind, run};
use netdrop::knowledge::class_of;
use netdrop::model::tcp::{CloseKind, HostCounts, Retransmit, TcpCount, TcpSummary};
use netdrop::model::{Accounts, Counts, Device, Netns, Protocol, Reason, Row, Site, Summary, Timestamp};
use netdrop::output::Clock;
use netdrop_common::tcp::TcpTotal;
use netdrop_common::tcp::kind::RESET_SENT;
use serde_json::json;
use tokio::sync::{oneshot, watch};

const UDP: Protocol = Protocol { ethertype: 0x0800, ip: Some(17) };
const TCP: Protocol = Protocol { ethertype: 0x0800, ip: Some(6) };

/// Drops alike: how many there were before the start, how many come each quarter of a second on average, and how they vary.
struct Kind {
    reason: &'static str,
    function: &'static str,
    offset: u64,
    device: &'static str,
    netns: &'static str,
    protocol: Protocol,
    before: u64,
    each: u64,
    shape: Shape,
}

/// In hundredths of the average, by the number of the quarter.
type Shape = fn(u64) -> u64;

const fn kind(
    (reason, function, offset): (&'static str, &'static str, u64),
    (device, netns, protocol): (&'static str, &'static str, Protocol),
    (before, each, shape): (u64, u64, Shape),
) -> Kind {
    Kind { reason, function, offset, device, netns, protocol, before, each, shape }
}

const KINDS: [Kind; 9] = [
    kind(("NO_SOCKET", "__udp4_lib_rcv", 0x4bc), ("lo", "host", UDP), (48_211, 30, |at| wave(at, 80))),
    kind(
        ("SOCKET_RCVBUFF", "__udp_queue_rcv_one_skb", 0x1d2),
        ("eth0", "host", UDP),
        (1_204_337, 575, |at| wave(at, 120)),
    ),
    kind(("NETFILTER_DROP", "nf_hook_slow", 0xbc), ("eth0", "host", TCP), (90_122, 20, |_| 100)),
    kind(
        ("TCP_LISTEN_OVERFLOW", "tcp_v4_syn_recv_sock", 0x2f1),
        ("eth0", "web", TCP),
        (3_120, 8, |at| burst(at, 48)),
    ),
    kind(("TCP_OLD_DATA", "tcp_data_queue", 0x8f3), ("eth0", "host", TCP), (70_231, 22, |_| 100)),
    kind(("IP_INADDRERRORS", "ip_error", 0x11f), ("eth1", "host", UDP), (812, 1, |_| 100)),
    kind(("UDP_CSUM", "udp_rcv", 0x4c), ("eth1", "db", UDP), (77, 1, |at| burst(at, 28))),
    kind(("QDISC_DROP", "__dev_queue_xmit", 0x9ac), ("eth0", "host", TCP), (20_455, 52, |at| burst(at, 80))),
    kind(("NOT_SPECIFIED", "nsim_start_xmit", 0x55), ("sim0", "host", TCP), (4_500, 1, |_| 100)),
];

/// From nothing to twice the average and back.
const fn wave(at: u64, period: u64) -> u64 {
    let phase = at % period;
    400 * if phase < period / 2 { phase } else { period - phase } / period
}

/// All in a third of the time.
const fn burst(at: u64, period: u64) -> u64 {
    if at % period < period / 3 { 300 } else { 0 }
}

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
            let findings = Arc::new(|| None);
            let served = Served { hub, metrics, findings, ready: Arc::new(|| Ok(())), build };
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
    let tcp = Some(Arc::new(tcp(elapsed.as_secs())));
    Summary { time: Timestamp::now(), elapsed, rows, total, tcp, ..Summary::default() }
}

/// What TCP's programs have counted in so many seconds. The name of the reason is as bad as one can be.
fn tcp(seconds: u64) -> TcpSummary {
    let mut tcp = TcpSummary {
        host_total: HostCounts {
            segments_out: 1000 * seconds,
            segments_retransmitted: 4 * seconds,
            ..HostCounts::default()
        },
        ..TcpSummary::default()
    };
    let bad = tcp.reset_detail("<img src=x onerror=alert(1)>");
    let counts =
        [(Retransmit::Rto.counted_as(), 3), (Retransmit::Fast.counted_as(), 1), ((RESET_SENT, bad), 2)];
    tcp.counts = counts
        .map(|((kind, detail), each)| {
            let total = TcpTotal { events: each * seconds, ..TcpTotal::default() };
            TcpCount { kind, detail, counts: TcpTotal::default(), total }
        })
        .into();
    tcp.closes_total.count(CloseKind::Fin, 5 * seconds);
    tcp
}

fn row(kind: &Kind, index: u32, elapsed: Duration) -> Row {
    let quarters = elapsed.as_secs() * 4 + u64::from(elapsed.subsec_millis()) / 250;
    // Whole parts of seconds, so that the counts only grow.
    let added: u64 = (0..quarters).map(|at| kind.each * (kind.shape)(at)).sum();
    let packets = kind.before + added / 100;
    let class = class_of(Some(kind.reason), Some(kind.function));
    let site = Site {
        address: address(index),
        function: Some(kind.function.into()),
        offset: kind.offset,
        ..Site::default()
    };
    let reason = Reason { number: index, name: kind.reason.into(), class, subsystem: "core".into() };
    Row {
        total: Counts { packets, bytes: packets * 420 },
        site: Some(Arc::new(site)),
        reason: Some(Arc::new(reason)),
        class: Some(class),
        device: Some(Arc::new(Device { index, name: Some(kind.device.into()) })),
        netns: Some(Arc::new(Netns { inode: index, name: Some(kind.netns.into()), ..Netns::default() })),
        protocol: Some(kind.protocol),
        ..Row::default()
    }
}

/// Of a kind's site, numbered from 1.
fn address(index: u32) -> u64 {
    0xffff_ffff_8200_0000 + u64::from(index) * 0x1000
}

/// A line as the daemon writes it.
fn line(number: usize, clock: &mut Clock) -> String {
    let mut kinds = KINDS.iter().zip(1..);
    let (kind, index) = kinds.nth(number % KINDS.len()).expect("the remainder is less than the length");
    let mut time = Vec::new();
    clock.push(Timestamp::now(), &mut time);
    json!({
        "v": 1, "kind": "drop", "time": String::from_utf8_lossy(&time), "weight": 1 + number % 40,
        "reason": kind.reason, "class": class_of(Some(kind.reason), Some(kind.function)).as_str(), "subsystem": "core",
        "function": kind.function, "offset": kind.offset, "address": format!("{:#x}", address(index)), "cpu": number % 2,
        "device": {"index": index, "name": kind.device}, "netns": {"inode": index, "name": kind.netns},
        "packet": {
            "length": 60 + number % 1400, "family": "ipv4", "protocol": kind.protocol.name(), "ttl": 64,
            "source": {"address": format!("198.51.100.{}", number % 9), "port": 40000 + number % 700},
            "destination": {"address": "192.0.2.7", "port": 53},
        },
        "socket": {"owner": {"pid": 4242, "command": "nginx"}},
    })
    .to_string()
}
