//! A real Prometheus scrapes two daemons in two namespaces while packets drop: what it answers is what the kernel counted.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use netdrop_tests::lab::{Folder, Lab, Namespace, RECEIVER, SENDER, Skip, until};
use netdrop_tests::runner::Bench;
use netdrop_tests::scenario::{Case, systems};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::daemon::{Daemon, get};
use crate::rules::known;

const PATIENCE: Duration = Duration::from_secs(40);
/// Datagrams to closed ports, in the one namespace and in the other.
const DROPS: [u64; 2] = [3000, 1700];

pub fn cases() -> Vec<Case> {
    systems([("prometheus-scrapes-two-namespaces", scrapes), ("prometheus-promtool-checks-metrics", checks)])
}

/// A running Prometheus; its data goes with it.
struct Prometheus<'n> {
    child: Child,
    namespace: &'n Namespace,
    address: SocketAddr,
    _folder: Folder,
}

impl<'n> Prometheus<'n> {
    fn start(namespace: &'n Namespace, targets: &[SocketAddr]) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], 9090));
        let folder = Folder::create()?;
        let targets: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: netdrop\n  static_configs:\n  - targets: [{}]\n",
            targets.join(", ")
        );
        fs::write(folder.file("prometheus.yml"), config)?;
        let mut command = namespace.command("prometheus");
        command.args([
            format!("--config.file={}", folder.file("prometheus.yml")),
            format!("--storage.tsdb.path={}", folder.file("data")),
            format!("--web.listen-address={address}"),
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|error| Skip(format!("no prometheus is installed: {error}")))?;
        Ok(Self { child, namespace, address, _folder: folder })
    }

    /// The value of the only series that answers an expression; none without a series.
    fn query(&self, expression: &str) -> Result<Option<f64>> {
        let mut path = "/api/v1/query?query=".to_owned();
        for byte in expression.bytes() {
            write!(path, "%{byte:02X}")?;
        }
        let answer = get(self.namespace, self.address, &path)?;
        let body: Value = serde_json::from_str(&answer.body).with_context(|| answer.body.clone())?;
        let value = body["data"]["result"][0]["value"][1].as_str();
        Ok(value.and_then(|value| value.parse().ok()))
    }

    /// Waits until an expression has this value.
    fn expect(&self, expression: &str, wanted: f64) -> Result<()> {
        let mut last = None;
        until(expression, PATIENCE, || {
            last = self.query(expression).ok().flatten();
            Ok((last == Some(wanted)).then_some(()))
        })
        .with_context(|| format!("{expression} is {last:?}, not {wanted}"))
    }
}

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

#[expect(clippy::cast_precision_loss, reason = "some thousand packets")]
fn scrapes(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    let places = [(lab.from(), SENDER.v4), (&lab.receiver, RECEIVER.v4)];
    let mut daemons = Vec::new();
    for (namespace, address) in places {
        let settings =
            format!("[http]\ninsecure = true\n[capture.only]\nnetns = [\"{}\"]\n", namespace.inode());
        daemons.push(Daemon::start(bench, namespace, (address, 13767).into(), &settings)?);
    }
    let targets: Vec<SocketAddr> = places.iter().map(|(_, address)| (*address, 13767).into()).collect();
    let prometheus = Prometheus::start(lab.from(), &targets)?;
    prometheus.expect("sum(up{job=\"netdrop\"})", 2.0)?;
    for ((namespace, _), count) in places.iter().zip(DROPS) {
        namespace.enter(|| {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
            for _ in 0..count {
                socket.send_to(b"nobody listens", "127.0.0.1:9")?;
            }
            Ok(())
        })?;
    }
    let no_socket = |target: &SocketAddr| {
        {
            // TCP's refusals are Prometheus' own, before it listens.
            format!(
                "sum(netdrop_drops_total{{reason=\"NO_SOCKET\",function=~\".*udp.*\",instance=\"{target}\"}})"
            )
        }
    };
    for (target, count) in targets.iter().zip(DROPS) {
        prometheus.expect(&no_socket(target), count as f64)?;
    }
    let all = DROPS.iter().sum::<u64>() as f64;
    prometheus.expect("sum(netdrop_drops_total{reason=\"NO_SOCKET\",function=~\".*udp.*\"})", all)?;
    prometheus.expect("sum(netdrop_events_lost_total)", 0.0)?;
    // What the kernel itself has counted of them.
    for ((namespace, _), count) in places.iter().zip(DROPS) {
        ensure!(namespace.counter("Udp", "NoPorts")? == count, "the kernel counted something else");
    }
    drop(prometheus);
    daemons.into_iter().try_for_each(|daemon| daemon.stop().map(drop))
}

/// promtool's lint of names, units and help texts, over everything that the daemon tells.
fn checks(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let everything = "[capture]\ntcp = true\n";
    let daemon = Daemon::start(bench, &lab.receiver, ([127, 0, 0, 1], 13767).into(), everything)?;
    let metrics = daemon.get("/metrics")?.body;
    let names = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let sampled = |(name, kind): (&str, &str)| match kind {
        "histogram" => format!("{name}_bucket"),
        _ => name.to_owned(),
    };
    let told: BTreeSet<String> = names.map(sampled).collect();
    let missing: Vec<String> = known()?.difference(&told).cloned().collect();
    ensure!(missing.is_empty(), "deploy/ uses {missing:?}, and the daemon doesn't tell them: {told:?}");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Skip(format!("no promtool is installed: {error}")))?;
    std::io::Write::write_all(&mut promtool.stdin.take().context("stdin is piped")?, metrics.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.trim().is_empty(), "promtool: {said}\n{metrics}");
    daemon.stop().map(drop)
}
