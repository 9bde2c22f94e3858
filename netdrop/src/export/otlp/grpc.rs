//! OTLP/gRPC: a unary call with the message as it was encoded (OTLP specification, "OTLP/gRPC").

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Buf, Bytes};
use hyper::{HeaderMap, Uri};
use hyper_util::rt::TokioIo;
use prost::Message;
use prost::bytes::BufMut;
use tokio::task::JoinSet;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Service;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::{self, Channel};
use tonic::{Code, Request, Status};

use super::endpoint::{Dial, Endpoint, Stream};
use super::error::SettingsError;
use super::retry::Retry;
use super::transport::{Failure, MOST_OF_AN_ANSWER, Signal, USER_AGENT};

/// A receiver by gRPC, with one connection that is kept between calls.
pub(super) struct Grpc {
    endpoint: transport::Endpoint,
    dial: Dial,
    method: PathAndQuery,
    metadata: MetadataMap,
    open: Option<Open>,
}

/// A connection, and the tasks that drive it: they end when this is dropped.
struct Open {
    channel: Channel,
    _tasks: Tasks,
}

impl Grpc {
    pub fn new(
        signal: Signal,
        endpoint: &Endpoint,
        dial: Dial,
        headers: HeaderMap,
    ) -> Result<Self, SettingsError> {
        let wrong = |_| SettingsError::Endpoint(endpoint.to_string());
        let most = u32::try_from(MOST_OF_AN_ANSWER).unwrap_or(u32::MAX);
        let method = match signal {
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        };
        Ok(Self {
            endpoint: transport::Endpoint::from_shared(endpoint.to_string())
                .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
                .map_err(wrong)?
                .http2_max_header_list_size(most)
                .initial_stream_window_size(most)
                .initial_connection_window_size(most),
            dial,
            method: PathAndQuery::from_static(method),
            metadata: MetadataMap::from_headers(headers),
            open: None,
        })
    }

    /// Calls with `body` and gives the answer's message. After a failure of the connection, or when this is not waited for
    /// to its end, the connection is closed.
    pub async fn send(&mut self, body: Bytes) -> Result<Bytes, Failure> {
        let open = self.open.take().unwrap_or_else(|| self.connect());
        let mut call =
            tonic::client::Grpc::new(open.channel.clone()).max_decoding_message_size(MOST_OF_AN_ANSWER);
        let mut request = Request::new(body);
        *request.metadata_mut() = self.metadata.clone();
        call.ready().await.map_err(|error| Failure::later(causes(&error)))?;
        match call.unary(request, self.method.clone(), Plain).await {
            Ok(response) => {
                self.open = Some(open);
                Ok(response.into_inner())
            }
            // What the receiver says has no cause here.
            Err(status) if status.source().is_some() => Err(Failure::later(causes(&status))),
            Err(status) => {
                self.open = Some(open);
                Err(refusal(&status))
            }
        }
    }

    fn connect(&self) -> Open {
        let tasks = Tasks::default();
        let endpoint = self.endpoint.clone().executor(Spawner(Arc::clone(&tasks.0)));
        Open { channel: endpoint.connect_with_connector_lazy(Dialler(Arc::clone(&self.dial))), _tasks: tasks }
    }
}

/// An error's innermost cause says the most: `Connection refused`.
fn causes(error: &dyn Error) -> String {
    let mut inmost = error;
    while let Some(source) = inmost.source() {
        inmost = source;
    }
    inmost.to_string()
}

/// OTLP specification, "Failures" of OTLP/gRPC: which codes are retryable.
fn refusal(status: &Status) -> Failure {
    let after = retry_info(status.details());
    let retry = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => after.map_or(Retry::Later, Retry::After),
        Code::ResourceExhausted => after.map_or(Retry::Never, Retry::After),
        _ => Retry::Never,
    };
    let message: String = status.message().chars().take(200).collect();
    Failure { why: format!("the receiver answered {:?}: {message}", status.code()), retry }
}

/// `google.rpc.Status`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// The time that a receiver asks for (OTLP specification, "OTLP/gRPC Throttling").
fn retry_info(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(details).ok()?;
    let info = status.details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let Delay { seconds, nanos } = RetryInfo::decode(&info.value[..]).ok()?.retry_delay?;
    let nanos = Duration::from_nanos(u64::try_from(nanos).ok()?);
    Duration::from_secs(u64::try_from(seconds).ok()?).checked_add(nanos)
}

/// Messages that are encoded already, and answers that are decoded later.
#[derive(Clone, Copy)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Connections as tonic asks for them.
struct Dialler(Dial);

impl Service<Uri> for Dialler {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialling = (self.0)();
        Box::pin(async { Ok(TokioIo::new(dialling.await?)) })
    }
}

/// Tasks that end with this. Without it, one that writes to a receiver that hangs would stay, and one more after each
/// timeout.
#[derive(Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

#[derive(Clone)]
struct Spawner(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawner {
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn details(seconds: i64, nanos: i32) -> Bytes {
        let value = RetryInfo { retry_delay: Some(Delay { seconds, nanos }) }.encode_to_vec();
        let detail = Detail { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value };
        RpcStatus { details: vec![Detail::default(), detail] }.encode_to_vec().into()
    }

    #[rstest]
    #[case(Code::Unavailable, None, Retry::Later)]
    #[case(Code::Unavailable, Some((3, 500_000_000)), Retry::After(Duration::from_millis(3500)))]
    #[case(Code::Unavailable, Some((-3, 0)), Retry::Later)]
    #[case(Code::ResourceExhausted, None, Retry::Never)]
    #[case(Code::ResourceExhausted, Some((1, 0)), Retry::After(Duration::from_secs(1)))]
    #[case(Code::Unauthenticated, Some((1, 0)), Retry::Never)]
    #[case(Code::Internal, None, Retry::Never)]
    #[case(Code::DataLoss, None, Retry::Later)]
    fn codes_say_whether_to_come_back(
        #[case] code: Code,
        #[case] delay: Option<(i64, i32)>,
        #[case] expected: Retry,
    ) {
        let details = delay.map_or_else(Bytes::new, |(seconds, nanos)| details(seconds, nanos));
        assert_eq!(refusal(&Status::with_details(code, "", details)).retry, expected);
    }

    proptest! {
        #[test]
        fn any_details_are_read(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = retry_info(&bytes);
        }
    }
}
