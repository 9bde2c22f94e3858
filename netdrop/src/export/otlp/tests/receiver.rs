//! A receiver in memory, for gRPC and HTTP, that does what it is told. Nothing here is a real socket, so that time can stand still.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use prost::Message;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::service::Routes;
use tonic::{Status, async_trait};

use super::super::endpoint::{Dial, Stream};
use super::super::settings::Protocol;

/// What it does with one request, instead of taking it.
#[derive(Debug)]
pub enum Act {
    /// Takes it, but for so many records or points.
    TakeBut(i64),
    /// Refuses it by gRPC.
    Refuse(Status),
    /// Answers by HTTP.
    Answer(Response<Full<Bytes>>),
}

/// An answer by HTTP.
pub fn answer(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Act {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Act::Answer(response.body(Full::new(body.into())).unwrap())
}

#[derive(Clone)]
pub struct Receiver(Arc<State>);

struct State {
    protocol: Protocol,
    is_down: AtomicBool,
    hangs: AtomicBool,
    open: AtomicUsize,
    acts: Mutex<VecDeque<Act>>,
    connections: Mutex<JoinSet<()>>,
    metrics: Mutex<Vec<ExportMetricsServiceRequest>>,
    logs: Mutex<Vec<ExportLogsServiceRequest>>,
    headers: Mutex<Vec<HeaderMap>>,
    times: Mutex<Vec<Instant>>,
}

impl Receiver {
    pub fn new(protocol: Protocol) -> Self {
        Self(Arc::new(State {
            protocol,
            is_down: AtomicBool::default(),
            hangs: AtomicBool::default(),
            open: AtomicUsize::default(),
            acts: Mutex::default(),
            connections: Mutex::default(),
            metrics: Mutex::default(),
            logs: Mutex::default(),
            headers: Mutex::default(),
            times: Mutex::default(),
        }))
    }

    /// Connections to it.
    pub fn dial(&self) -> Dial {
        let receiver = self.clone();
        Arc::new(move || {
            let connection = receiver.connect();
            Box::pin(async { connection })
        })
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        if self.0.is_down.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (client, server) = tokio::io::duplex(16 << 10);
        self.0.connections.lock().unwrap().spawn(self.clone().serve(server));
        Ok(Box::new(client))
    }

    /// Serves one connection.
    pub async fn serve(self, stream: impl Stream + 'static) {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        let _open = Open(Arc::clone(&self.0));
        let io = TokioIo::new(stream);
        let _ = match self.0.protocol {
            Protocol::Grpc => {
                let routes = Routes::new(MetricsServiceServer::new(self.clone()))
                    .add_service(LogsServiceServer::new(self.clone()));
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(io, TowerToHyperService::new(routes))
                    .await
            }
            Protocol::Http => {
                let service = service_fn(move |request| self.clone().post(request));
                hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
            }
        };
    }

    /// Breaks all connections and refuses new ones, or not any more.
    pub fn set_down(&self, is_down: bool) {
        self.0.is_down.store(is_down, Ordering::Relaxed);
        self.0.connections.lock().unwrap().abort_all();
    }

    /// Takes requests and never answers, or not any more.
    pub fn set_hanging(&self, hangs: bool) {
        self.0.hangs.store(hangs, Ordering::Relaxed);
    }

    /// What it does with the next requests.
    pub fn will(&self, acts: impl IntoIterator<Item = Act>) {
        self.0.acts.lock().unwrap().extend(acts);
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// When requests came.
    pub fn times(&self) -> Vec<Instant> {
        self.0.times.lock().unwrap().clone()
    }

    /// The headers of the last request.
    pub fn headers(&self) -> HeaderMap {
        self.0.headers.lock().unwrap().last().cloned().unwrap()
    }

    /// Requests of metrics that were taken.
    pub fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        self.0.metrics.lock().unwrap().clone()
    }

    /// The metrics in the last of them.
    fn last(&self) -> impl Iterator<Item = Metric> {
        let last = self.metrics().pop().expect("an export");
        let all = last.resource_metrics.into_iter().flat_map(|of| of.scope_metrics);
        all.flat_map(|of| of.metrics)
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.last().map(|metric| metric.name).collect()
    }

    /// The metric of that name in the last of them.
    pub fn metric(&self, name: &str) -> Metric {
        self.last().find(|metric| metric.name == name).expect("the metric")
    }

    /// Requests of logs that were taken.
    pub fn logs(&self) -> Vec<ExportLogsServiceRequest> {
        self.0.logs.lock().unwrap().clone()
    }

    /// All their records.
    pub fn records(&self) -> Vec<LogRecord> {
        let resources = self.logs().into_iter().flat_map(|request| request.resource_logs);
        resources.flat_map(|of| of.scope_logs).flat_map(|of| of.log_records).collect()
    }

    /// Whatever is done with every request first: the number of items left out, or what is said instead.
    async fn meet(&self, headers: HeaderMap) -> Result<i64, Act> {
        self.0.times.lock().unwrap().push(Instant::now());
        self.0.headers.lock().unwrap().push(headers);
        if self.0.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        match self.0.acts.lock().unwrap().pop_front() {
            None => Ok(0),
            Some(Act::TakeBut(left_out)) => Ok(left_out),
            Some(act) => Err(act),
        }
    }

    async fn post(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let path = request.uri().path().to_owned();
        let headers = request.headers().clone();
        let body = request.into_body().collect().await?.to_bytes();
        let left_out = match self.meet(headers).await {
            Ok(left_out) => left_out,
            Err(Act::Answer(response)) => return Ok(response),
            Err(other) => panic!("no answer by HTTP: {other:?}"),
        };
        let answer = match path.as_str() {
            "/v1/metrics" => {
                self.0.metrics.lock().unwrap().push(Message::decode(body).expect("metrics"));
                took_metrics(left_out).encode_to_vec()
            }
            "/v1/logs" => {
                self.0.logs.lock().unwrap().push(Message::decode(body).expect("logs"));
                took_logs(left_out).encode_to_vec()
            }
            other => panic!("a request for {other}"),
        };
        let response = Response::builder().header("content-type", "application/x-protobuf");
        Ok(response.body(Full::new(answer.into())).unwrap())
    }

    async fn call(&self, metadata: &tonic::metadata::MetadataMap) -> Result<i64, Status> {
        self.meet(metadata.clone().into_headers()).await.map_err(|act| match act {
            Act::Refuse(status) => status,
            _ => panic!("no answer by gRPC"),
        })
    }
}

fn took_metrics(rejected_data_points: i64) -> ExportMetricsServiceResponse {
    let error_message = "too many".into();
    let partial = ExportMetricsPartialSuccess { rejected_data_points, error_message };
    ExportMetricsServiceResponse { partial_success: (rejected_data_points > 0).then_some(partial) }
}

fn took_logs(rejected_log_records: i64) -> ExportLogsServiceResponse {
    let error_message = "too many".into();
    let partial = ExportLogsPartialSuccess { rejected_log_records, error_message };
    ExportLogsServiceResponse { partial_success: (rejected_log_records > 0).then_some(partial) }
}

#[async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        let left_out = self.call(request.metadata()).await?;
        self.0.metrics.lock().unwrap().push(request.into_inner());
        Ok(tonic::Response::new(took_metrics(left_out)))
    }
}

#[async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        let left_out = self.call(request.metadata()).await?;
        self.0.logs.lock().unwrap().push(request.into_inner());
        Ok(tonic::Response::new(took_logs(left_out)))
    }
}

/// Counts a connection for as long as it is served.
struct Open(Arc<State>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
