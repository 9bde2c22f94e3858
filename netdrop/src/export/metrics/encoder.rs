//! The two text formats: Prometheus' own (0.0.4) and `OpenMetrics` 1.0 (RFC draft-ietf-opsawg-openmetrics).

use std::fmt::Write as _;

use super::Format;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its samples end in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How many were not above each of some bounds.
    Histogram,
    /// It says something by its labels; its sample ends in `_info` and is always 1.
    Info,
}

/// Writes metrics one after the other.
#[derive(Debug)]
pub struct Encoder {
    format: Format,
    text: String,
    /// The name of the samples that follow.
    sample: String,
}

impl Encoder {
    /// Nothing is written yet.
    pub fn new(format: Format) -> Self {
        Self { format, text: String::new(), sample: String::new() }
    }

    /// Begins a metric. `name` is without the ending that `kind` gives it, with its unit (`""`: none) as the last word.
    pub fn metric(&mut self, name: &str, kind: Kind, unit: &str, help: &str) {
        let ending = match kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Histogram => "",
            Kind::Info => "_info",
        };
        self.sample = format!("{name}{ending}");
        let (family, word) = match (self.format, kind) {
            (Format::OpenMetrics, Kind::Counter) => (name, "counter"),
            (Format::OpenMetrics, Kind::Info) => (name, "info"),
            (Format::Text, Kind::Counter) => (&*self.sample, "counter"),
            (Format::Text, Kind::Info) => (&*self.sample, "gauge"),
            (_, Kind::Gauge) => (name, "gauge"),
            (_, Kind::Histogram) => (name, "histogram"),
        };
        let _ = writeln!(self.text, "# HELP {family} {}", Escaped { text: help, quotes: self.quotes_help() });
        let _ = writeln!(self.text, "# TYPE {family} {word}");
        if self.format == Format::OpenMetrics && !unit.is_empty() {
            let _ = writeln!(self.text, "# UNIT {family} {unit}");
        }
    }

    /// A sample of the metric begun last.
    pub fn sample<'a>(
        &mut self,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        value: impl std::fmt::Display,
    ) {
        self.text.push_str(&self.sample);
        let mut separator = '{';
        for (name, value) in labels {
            let _ = write!(self.text, "{separator}{name}=\"{}\"", Escaped { text: value, quotes: true });
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// A histogram: upper bounds, ascending, with how many are not above them; the sum and the number of all.
    pub fn histogram(
        &mut self,
        name: &str,
        unit: &str,
        help: &str,
        buckets: impl IntoIterator<Item = (f64, u64)>,
        sum: f64,
        count: u64,
    ) {
        self.metric(name, Kind::Histogram, unit, help);
        for (bound, below) in buckets {
            let _ = writeln!(self.text, "{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(self.text, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(self.text, "{name}_sum {sum}");
        let _ = writeln!(self.text, "{name}_count {count}");
    }

    /// A metric of one sample without labels.
    pub fn single(&mut self, name: &str, kind: Kind, unit: &str, help: &str, value: impl std::fmt::Display) {
        self.metric(name, kind, unit, help);
        self.sample([], value);
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    /// `OpenMetrics` escapes quotes in help texts too.
    fn quotes_help(&self) -> bool {
        self.format == Format::OpenMetrics
    }
}

/// Text with backslashes, line feeds and, where asked for, quotes escaped.
struct Escaped<'a> {
    text: &'a str,
    quotes: bool,
}

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for letter in self.text.chars() {
            match letter {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if self.quotes => f.write_str("\\\"")?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: Format) -> String {
        let mut encoder = Encoder::new(format);
        encoder.metric("drops", Kind::Counter, "", "all \"of\" them\\");
        encoder.sample([("a", "b\"\\\n"), ("c", "")], 7);
        encoder.single("heat_celsius", Kind::Gauge, "celsius", "now", 0.5);
        encoder.metric("build", Kind::Info, "", "what it is");
        encoder.sample([("version", "1")], 1);
        encoder.finish()
    }

    #[test]
    fn prometheus() {
        insta::assert_snapshot!(text(Format::Text), @r#"
        # HELP drops_total all "of" them\\
        # TYPE drops_total counter
        drops_total{a="b\"\\\n",c=""} 7
        # HELP heat_celsius now
        # TYPE heat_celsius gauge
        heat_celsius 0.5
        # HELP build_info what it is
        # TYPE build_info gauge
        build_info{version="1"} 1
        "#);
    }

    #[test]
    fn open_metrics() {
        insta::assert_snapshot!(text(Format::OpenMetrics), @r#"
        # HELP drops all \"of\" them\\
        # TYPE drops counter
        drops_total{a="b\"\\\n",c=""} 7
        # HELP heat_celsius now
        # TYPE heat_celsius gauge
        # UNIT heat_celsius celsius
        heat_celsius 0.5
        # HELP build what it is
        # TYPE build info
        build_info{version="1"} 1
        # EOF
        "#);
    }
}
