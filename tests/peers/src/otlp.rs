//! A real OTLP receiver beside the daemon: it decodes what is sent, dies, hangs, comes back; the counts match in the end.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use netdrop_tests::lab::{Lab, Skip, until};
use netdrop_tests::runner::Bench;
use netdrop_tests::scenario::{Case, systems};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use tokio::runtime::Runtime;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, async_trait};

/// Generous: exports come each second, and a failed one is tried again within some.
const PATIENCE: Duration = Duration::from_secs(40);

pub fn cases() -> Vec<Case> {
    systems([
        ("otlp-receiver-dies-hangs-returns", receiver_dies_hangs_returns),
        ("otlp-tells-findings", tells_findings),
    ])
}

fn receiver_dies_hangs_returns(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let mut receiver = Receiver::start()?;
    let daemon = Daemon::start(bench, Command::new(&bench.netdrop), receiver.port)?;

    send(&lab, 500)?;
    receiver.wait_for(&lab, 500)?;
    let logged = until("log records", PATIENCE, || {
        let records = receiver.seen.records(&lab);
        Ok((!records.is_empty()).then_some(records))
    })?;
    for record in &logged {
        let port = number(record, "destination.port");
        ensure!(port == Some(9), "a record of another packet: {record:?}");
        ensure!(word(record, "network.transport").as_deref() == Some("udp"), "no transport: {record:?}");
    }
    ensure!(receiver.seen.resource("service.name").as_deref() == Some("netdrop"), "no service.name");
    ensure!(receiver.seen.resource("host.name").is_some(), "no host.name");
    let memory = daemon.memory()?;

    receiver.stop();
    send(&lab, 700)?;
    // Long enough for some exports to fail.
    std::thread::sleep(Duration::from_secs(3));
    receiver.restart()?;
    receiver.wait_for(&lab, 1200)?;

    receiver.seen.set_hanging(true);
    send(&lab, 30_000)?;
    std::thread::sleep(Duration::from_secs(3));
    receiver.seen.set_hanging(false);
    receiver.wait_for(&lab, 31_200)?;

    let later = daemon.memory()?;
    ensure!(later <= memory + memory / 10 + (2 << 20), "resident memory grew from {memory} to {later} bytes");
    daemon.stop()
}

/// A socket that isn't read: found, and gone once its queue is empty.
fn tells_findings(bench: &Bench) -> Result<()> {
    const CHECK: &str = "udp-receive-queue-full";
    let lab = Lab::alone()?;
    let (listener, full) = lab.receiver.enter(|| {
        let here = (Ipv4Addr::LOCALHOST, 0);
        Ok((TcpListener::bind(here)?, UdpSocket::bind(here)?))
    })?;
    let receiver = Receiver::on(listener)?;
    let command = lab.receiver.command(&bench.netdrop.to_string_lossy());
    let daemon = Daemon::start(bench, command, receiver.port)?;
    let found = || {
        let is_it = |all: &Vec<KeyValue>| word(all, "netdrop.check").as_deref() == Some(CHECK);
        receiver.seen.points("netdrop.finding").into_iter().find(is_it)
    };
    let to = full.local_addr()?;
    let point = until("the finding", PATIENCE, || {
        lab.receiver.enter(|| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            // More than its queue has room for.
            for _ in 0..1000 {
                socket.send_to(&[0; 1000], to)?;
            }
            Ok(())
        })?;
        Ok(found())
    })?;
    ensure!(word(&point, "netdrop.area").as_deref() == Some("udp"), "{point:?}");
    let severity = word(&point, "netdrop.severity");
    ensure!(severity.is_some_and(|severity| severity != "info"), "{point:?}");
    let checks = receiver.seen.points("netdrop.doctor.checks");
    ensure!(checks.iter().any(|all| word(all, "netdrop.state").as_deref() == Some("made")), "{checks:?}");
    full.set_nonblocking(true)?;
    while full.recv(&mut [0; 1]).is_ok() {}
    until("the finding to be gone", PATIENCE, || Ok(found().is_none().then_some(())))?;
    daemon.stop()
}

/// Datagrams that nobody waits for: the kernel drops each of them once (`NO_SOCKET`).
fn send(lab: &Lab, number: u32) -> Result<()> {
    lab.receiver.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        for _ in 0..number {
            socket.send_to(b"x", (Ipv4Addr::LOCALHOST, 9))?;
        }
        Ok(())
    })
}

/// `netdrop serve` that exports each second.
struct Daemon(Child);

impl Daemon {
    fn start(bench: &Bench, mut command: Command, port: u16) -> Result<Self> {
        let help = Command::new(&bench.netdrop).args(["serve", "--help"]).output()?;
        if !help.status.success() {
            return Err(Skip("this netdrop has no `serve`".into()).into());
        }
        let mut config = tempfile::NamedTempFile::new()?;
        write!(
            config,
            "[otlp]\nendpoint = 'http://127.0.0.1:{port}'\ninterval = '1s'\ntimeout = '1s'\n\
             logs_per_second = 100\nattributes = ['reason', 'function', 'netns']\n[doctor]\ninterval = '1s'\n"
        )?;
        command.args(["serve", "--config"]).arg(config.path()).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = BufReader::new(child.stderr.take().context("stderr is piped")?);
        let daemon = Self(child);
        let mut said = String::new();
        let mut lines = stderr.lines().map_while(Result::ok);
        let attached = lines.by_ref().any(|line| {
            said.push_str(&line);
            line.contains("attached")
        });
        ensure!(attached, "netdrop serve ended before it attached: {said}");
        // Read to the end, so that it never waits for room.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(daemon)
    }

    /// Resident bytes.
    fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
    }

    /// Asks it to end; it must, and well.
    fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM)?;
        let status = until("netdrop serve to end", Duration::from_secs(10), || Ok(self.0.try_wait()?))?;
        ensure!(status.success(), "netdrop serve ended with {status}");
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Nothing is left to kill after `stop`.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A receiver on the loopback.
struct Receiver {
    port: u16,
    seen: Seen,
    runtime: Option<Runtime>,
}

impl Receiver {
    fn start() -> Result<Self> {
        let mut receiver = Self { port: 0, seen: Seen::default(), runtime: None };
        receiver.restart()?;
        Ok(receiver)
    }

    /// On a socket that listens already.
    fn on(listener: TcpListener) -> Result<Self> {
        let mut receiver = Self { port: 0, seen: Seen::default(), runtime: None };
        receiver.serve(listener)?;
        Ok(receiver)
    }

    /// On the port that it had.
    fn restart(&mut self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // tokio's has SO_REUSEADDR.
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)))?;
        self.serve(listener.into_std()?)
    }

    fn serve(&mut self, listener: TcpListener) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        self.port = listener.local_addr()?.port();
        listener.set_nonblocking(true)?;
        let server = Server::builder()
            .add_service(MetricsServiceServer::new(self.seen.clone()))
            .add_service(LogsServiceServer::new(self.seen.clone()));
        let incoming = {
            let _inside = runtime.enter();
            TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?)
        };
        runtime.spawn(server.serve_with_incoming(incoming));
        self.runtime = Some(runtime);
        Ok(())
    }

    /// Breaks all connections and listens no more.
    fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }

    /// Until it was told of so many drops in the lab, and no more.
    fn wait_for(&self, lab: &Lab, drops: i64) -> Result<()> {
        let told = || self.seen.drops(lab).unwrap_or(0);
        let found = until("the counts", PATIENCE, || Ok((told() >= drops).then_some(told())));
        let found = found.with_context(|| format!("told of {} drops, not {drops}", told()))?;
        ensure!(found == drops, "told of {found} drops, not {drops}");
        Ok(())
    }
}

/// What came.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    metrics: Option<ExportMetricsServiceRequest>,
    logs: Vec<ExportLogsServiceRequest>,
    hangs: bool,
}

impl Seen {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with it")
    }

    fn set_hanging(&self, hangs: bool) {
        self.state().hangs = hangs;
    }

    async fn hang(&self) {
        if self.state().hangs {
            std::future::pending::<()>().await;
        }
    }

    /// The attributes of a gauge's points, as the last metrics have them.
    fn points(&self, name: &str) -> Vec<Vec<KeyValue>> {
        let state = self.state();
        let all = state.metrics.iter().flat_map(|request| &request.resource_metrics);
        let metrics = all.flat_map(|of| &of.scope_metrics).flat_map(|of| &of.metrics);
        let gauges = metrics.filter(|metric| metric.name == name).filter_map(|metric| match &metric.data {
            Some(Data::Gauge(gauge)) => Some(gauge),
            _ => None,
        });
        gauges.flat_map(|gauge| &gauge.data_points).map(|point| point.attributes.clone()).collect()
    }

    /// The drops of the lab's closed ports, as the last metrics have them.
    fn drops(&self, lab: &Lab) -> Option<i64> {
        let state = self.state();
        let scopes = state.metrics.as_ref()?.resource_metrics.iter().flat_map(|of| &of.scope_metrics);
        let metric = scopes.flat_map(|of| &of.metrics).find(|metric| metric.name == "netdrop.drops")?;
        let Some(Data::Sum(sum)) = &metric.data else { return None };
        let here = sum.data_points.iter().filter(|point| {
            word(&point.attributes, "netdrop.netns").as_deref() == Some(lab.receiver.name())
                && word(&point.attributes, "netdrop.reason").as_deref() == Some("NO_SOCKET")
        });
        let count = |value: &Option<number_data_point::Value>| match value {
            Some(number_data_point::Value::AsInt(count)) => *count,
            _ => 0,
        };
        Some(here.map(|point| count(&point.value)).sum())
    }

    /// The attributes of log records of the same drops.
    fn records(&self, lab: &Lab) -> Vec<Vec<KeyValue>> {
        let state = self.state();
        let scopes =
            state.logs.iter().flat_map(|request| &request.resource_logs).flat_map(|of| &of.scope_logs);
        let attributes = scopes.flat_map(|of| &of.log_records).map(|record| record.attributes.clone());
        attributes
            .filter(|all| {
                word(all, "netdrop.netns").as_deref() == Some(lab.receiver.name())
                    && word(all, "netdrop.reason").as_deref() == Some("NO_SOCKET")
            })
            .collect()
    }

    fn resource(&self, key: &str) -> Option<String> {
        let state = self.state();
        word(&state.metrics.as_ref()?.resource_metrics.first()?.resource.as_ref()?.attributes, key)
    }
}

fn word(attributes: &[KeyValue], key: &str) -> Option<String> {
    match value(attributes, key)? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn number(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match value(attributes, key)? {
        Value::IntValue(number) => Some(number),
        _ => None,
    }
}

fn value(attributes: &[KeyValue], key: &str) -> Option<Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
}

#[async_trait]
impl MetricsService for Seen {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.hang().await;
        self.state().metrics = Some(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[async_trait]
impl LogsService for Seen {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.hang().await;
        self.state().logs.push(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}
