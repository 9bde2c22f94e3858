//! What is said of a receiver: when it fails the first time and when it is back, not at each try.

use tracing::{debug, info, warn};

use super::endpoint::Endpoint;
use super::transport::Answer;

/// Whether a receiver takes what is sent.
#[derive(Debug)]
pub(super) struct Health {
    signal: &'static str,
    endpoint: Endpoint,
    fails: bool,
    warned: bool,
}

impl Health {
    pub fn new(signal: &'static str, endpoint: Endpoint) -> Self {
        Self { signal, endpoint, fails: false, warned: false }
    }

    /// An export was taken, in whole or in part.
    pub fn took(&mut self, answer: &Answer) {
        let (signal, endpoint) = (self.signal, &self.endpoint);
        if std::mem::take(&mut self.fails) {
            info!("otlp: {endpoint} takes {signal} again");
        }
        if answer.rejected > 0 && !std::mem::replace(&mut self.warned, true) {
            let message: String = answer.message.chars().take(200).collect();
            warn!("otlp: {endpoint} left out {} of the {signal}: {message}", answer.rejected);
        }
    }

    /// An export failed.
    pub fn failed(&mut self, why: &str) {
        let (signal, endpoint) = (self.signal, &self.endpoint);
        if std::mem::replace(&mut self.fails, true) {
            debug!("otlp: {endpoint} still does not take {signal}: {why}");
        } else {
            warn!(
                "otlp: {endpoint} does not take {signal}: {why}; it is tried again, and losses are counted"
            );
        }
    }
}
