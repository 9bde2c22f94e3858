//! What a log's reader sees first of a line of JSON: a sentence, and the things that logs are searched by.

use std::fmt::Write as _;

use serde_json::Value;

/// A line, taken apart.
pub struct Logged {
    line: Value,
}

impl Logged {
    /// Of any bytes: what isn't JSON has neither sentence nor things.
    pub fn parse(line: &[u8]) -> Self {
        Self { line: serde_json::from_slice(line).unwrap_or_default() }
    }

    /// `drop`, `summary` or `end`.
    pub fn kind(&self) -> &str {
        self.text("/kind").unwrap_or_default()
    }

    /// When, as RFC 3339 writes it.
    pub fn time(&self) -> Option<&str> {
        self.text("/time")
    }

    /// The things by their names, those that the line has.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, String)> {
        const FIELDS: [(&str, &str); 16] = [
            ("KIND", "/kind"),
            ("REASON", "/reason"),
            ("CLASS", "/class"),
            ("FUNCTION", "/function"),
            ("DEVICE", "/device/name"),
            ("NETNS", "/netns/name"),
            ("PROTOCOL", "/packet/protocol"),
            ("SOURCE", "/packet/source/address"),
            ("SOURCE_PORT", "/packet/source/port"),
            ("DESTINATION", "/packet/destination/address"),
            ("DESTINATION_PORT", "/packet/destination/port"),
            ("OWNER_PID", "/socket/owner/pid"),
            ("OWNER_COMMAND", "/socket/owner/command"),
            ("WEIGHT", "/weight"),
            ("SEEN", "/accounts/seen"),
            ("INTERVAL_MS", "/interval_ms"),
        ];
        FIELDS.into_iter().filter_map(|(name, pointer)| {
            let value = match self.line.pointer(pointer)? {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            Some((name, value))
        })
    }

    /// One sentence.
    pub fn sentence(&self) -> String {
        match self.kind() {
            "drop" => self.drop(),
            kind => {
                let seen = self.line.pointer("/accounts/seen").and_then(Value::as_u64).unwrap_or(0);
                let millis = self.line.pointer("/interval_ms").and_then(Value::as_u64).unwrap_or(0);
                format!("{kind}: {seen} drops in {millis} ms")
            }
        }
    }

    fn drop(&self) -> String {
        let mut text = String::from("dropped");
        if let Some(protocol) = self.text("/packet/protocol") {
            let _ = write!(text, " {protocol}");
        }
        if let (Some(source), Some(destination)) = (self.endpoint("source"), self.endpoint("destination")) {
            let _ = write!(text, " {source} > {destination}");
        }
        for (word, pointer) in [("in", "/function"), ("on", "/device/name"), ("for", "/reason")] {
            if let Some(name) = self.text(pointer) {
                let _ = write!(text, " {word} {name}");
            }
        }
        text
    }

    fn endpoint(&self, which: &str) -> Option<String> {
        let endpoint = self.line.pointer("/packet")?.get(which)?;
        let address = endpoint.get("address")?.as_str()?;
        let bracketed = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        Some(match endpoint.get("port").and_then(Value::as_u64) {
            Some(port) => format!("{bracketed}:{port}"),
            None => address.to_owned(),
        })
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.line.pointer(pointer)?.as_str()
    }
}
