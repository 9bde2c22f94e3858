//! `/metrics`: which of the two formats a scraper gets. The text comes from whoever serves.

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};

use super::answer::Refusal;
use super::router::Context;
use crate::export::Gone;
use crate::export::metrics::Format;

/// Gives the text of all metrics, with fresh counters.
pub type Metrics =
    Arc<dyn Fn(Format) -> Pin<Box<dyn Future<Output = Result<String, Gone>> + Send>> + Send + Sync>;

pub(super) async fn metrics(State(shared): Context, headers: HeaderMap) -> Result<Response, Refusal> {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = negotiate(accept.flat_map(|value| value.split(',')));
    let text = (shared.served.metrics)(format).await?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], text).into_response())
}

/// `OpenMetrics` when it is asked for by name and nothing else is liked better (RFC 9110, section 12.5.1).
fn negotiate<'a>(ranges: impl Iterator<Item = &'a str>) -> Format {
    let (mut open_metrics, mut text) = (0, 0);
    for (name, weight) in ranges.filter_map(range) {
        match name {
            "application/openmetrics-text" => open_metrics = weight.max(open_metrics),
            "text/plain" => text = weight.max(text),
            _ => {}
        }
    }
    if open_metrics > 0 && open_metrics >= text { Format::OpenMetrics } else { Format::Text }
}

/// A media range and its weight in thousandths; nothing where we can't write the version that is asked for.
fn range(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next()?;
    let mut weight = 1000;
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        match (key.trim(), value.trim()) {
            ("version", "0.0.1" | "0.0.4" | "1.0.0") => {}
            ("version", _) => return None,
            ("q", value) => weight = thousandths(value)?,
            _ => {}
        }
    }
    Some((name, weight))
}

/// `1`, `0.5`, `0.125` (RFC 9110, section 12.4.2).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: u16 = whole.parse().ok()?;
    let digits = format!("{fraction:0<3}");
    let thousandths: u16 = digits.get(..3)?.parse().ok()?;
    (whole <= 1 && fraction.len() <= 3).then(|| (whole * 1000 + thousandths).min(1000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// What Prometheus 2.42 and 3.0 send, curl, a browser, and corner cases.
    #[rstest]
    #[case(
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        Format::OpenMetrics
    )]
    #[case(
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        Format::OpenMetrics
    )]
    #[case("*/*", Format::Text)]
    #[case("", Format::Text)]
    #[case("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text)]
    #[case("application/openmetrics-text;version=2.0.0", Format::Text)]
    #[case("application/openmetrics-text;q=0", Format::Text)]
    #[case("application/openmetrics-text; q=0.3, text/plain; q=0.31", Format::Text)]
    #[case("application/openmetrics-text;q=2", Format::Text)]
    #[case("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", Format::Text)]
    #[case("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5", Format::OpenMetrics)]
    fn a_scraper_gets_what_it_likes_best(#[case] accept: &str, #[case] expected: Format) {
        assert_eq!(negotiate(accept.split(',')), expected);
    }

    proptest! {
        #[test]
        fn any_header_is_answered(accept in any::<String>(), likely in "[a-z/;=*,.0-9q]{0,64}") {
            negotiate(accept.split(','));
            negotiate(likely.split(','));
        }
    }
}
