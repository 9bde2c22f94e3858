//! Attributes as OTLP has them.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource;

use crate::export::Resource;

pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    with(key, Value::StringValue(value.into()))
}

/// Beyond 63 bits, which nothing that netdrop tells of is, it stays the greatest number.
pub(super) fn number(key: &str, value: impl Into<u64>) -> KeyValue {
    with(key, Value::IntValue(signed(value.into())))
}

pub(super) fn flag(key: &str) -> KeyValue {
    with(key, Value::BoolValue(true))
}

pub(super) fn body(sentence: String) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(sentence)) }
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn with(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(super) fn resource(resource: &Resource) -> resource::v1::Resource {
    let attributes = resource.0.iter().map(|(key, value)| text(key, value)).collect();
    resource::v1::Resource { attributes, ..resource::v1::Resource::default() }
}

/// Who measured: netdrop itself.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "netdrop".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    }
}
