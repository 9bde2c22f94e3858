//! Durations and byte sizes as people write them, numbers as they read them.

use std::time::Duration;

use thiserror::Error;

/// Why a duration or a size was refused. The messages leave the text itself to the one who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnitError {
    /// Not a number with a known unit.
    #[error("write a number with ms, s, m, h or d, as in 100ms, 30s, 5m, 1h30m")]
    Duration(String),
    /// Not a number with a known unit.
    #[error("write a number with K, M, G (1024) or KB, MB, GB (1000), as in 100M")]
    Size(String),
    /// A quantity that must not be zero.
    #[error("it must be more than zero")]
    Zero(String),
    /// More than can be counted.
    #[error("it is too large")]
    TooLarge(String),
}

/// Parses `100ms`, `30s`, `1.5s`, `5m`, `1h30m`, `2d`; more than zero.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let invalid = || UnitError::Duration(text.to_owned());
    let mut nanos: u128 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut above = u128::MAX;
    while !rest.is_empty() {
        let (number, unit, tail) = split(rest);
        let unit = match unit {
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return Err(invalid()),
        };
        // The units go down, so that `5m1h` and `1s1s` are the typing errors they look like.
        if unit >= above {
            return Err(invalid());
        }
        above = unit;
        nanos += scaled(number, unit).ok_or_else(invalid)?;
        rest = tail;
    }
    match u64::try_from(nanos) {
        Ok(0) => Err(UnitError::Zero(text.to_owned())),
        Ok(nanos) => Ok(Duration::from_nanos(nanos)),
        Err(_) => Err(UnitError::TooLarge(text.to_owned())),
    }
}

/// Parses `4096`, `100M`, `1.5GiB`, `10MB` into bytes, with the units of GNU coreutils; more than zero.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let invalid = || UnitError::Size(text.to_owned());
    let (number, unit, tail) = split(text.trim());
    if !tail.is_empty() {
        return Err(invalid());
    }
    let unit: u128 = match unit {
        "" | "B" => 1,
        "K" | "k" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(invalid()),
    };
    match u64::try_from(scaled(number, unit).ok_or_else(invalid)?) {
        Ok(0) => Err(UnitError::Zero(text.to_owned())),
        Ok(bytes) => Ok(bytes),
        Err(_) => Err(UnitError::TooLarge(text.to_owned())),
    }
}

/// The leading number, the letters after it, the rest.
fn split(text: &str) -> (&str, &str, &str) {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(unit_at);
    let tail_at = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, tail) = rest.split_at(tail_at);
    (number, unit, tail)
}

/// `number`, a decimal with at most nine places, times `unit`.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let whole = u128::from(whole.parse::<u64>().ok()?);
    let places = u128::from(fraction.parse::<u64>().ok()?);
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    Some(whole * unit + places * unit / scale)
}

/// `489,412`
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A sentence whose counts are grouped: words of four digits and more, but for those that name something (`ports 8080, 9090`), and but for what
/// stands between backquotes, as somebody else wrote it.
pub fn grouped(sentence: &str) -> String {
    const NAMED: [&str; 4] = ["port", "ports", "handle", "process"];
    let (mut before, mut was_name, mut is_quoted) = ("", false, false);
    let words = sentence.split(' ').map(|word| {
        is_quoted ^= !word.matches('`').count().is_multiple_of(2);
        let digits = word.trim_end_matches([',', '.', ';', ':']);
        let is_count = digits.len() > 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_name = is_quoted || NAMED.contains(&before) || was_name && before.ends_with(',');
        (before, was_name) = (word, is_name);
        match digits.parse() {
            Ok(number) if is_count && !is_name => thousands(number) + &word[digits.len()..],
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A count with what is said of one or of many, digits not grouped: `1 packet was`, `3000 packets were`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `once`, `3000 times`.
pub fn times(count: u64) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

/// `was` or `were`.
pub fn was(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

/// A rate to three digits, in events per second: `0.25/s`, `12/s`, `1.5 k/s`, `489 k/s`, `1.25 M/s`.
pub fn rate(count: u64, over: Duration) -> String {
    rate_of(if over.is_zero() { 0.0 } else { approximate(count) / over.as_secs_f64() })
}

/// The same for what is a rate already.
pub fn rate_of(per_second: f64) -> String {
    let (value, unit) = scale(per_second);
    if unit.is_empty() {
        format!("{}/s", three_digits(value))
    } else {
        format!("{} {unit}/s", three_digits(value))
    }
}

/// Events per second to be compared down a column: whole and grouped, below ten with one place: `489,412`, `12`, `0.3`.
pub fn per_second(count: u64, over: Duration) -> String {
    let nanos = over.as_nanos().max(1);
    let tenths = (u128::from(count) * 10_000_000_000 + nanos / 2) / nanos;
    match tenths {
        0 if count > 0 => "<0.1".into(),
        0..100 if !tenths.is_multiple_of(10) => format!("{}.{}", tenths / 10, tenths % 10),
        _ => thousands(u64::try_from((tenths + 5) / 10).unwrap_or(u64::MAX)),
    }
}

/// Bytes to three digits, in powers of 1000: `512 B`, `14.2 MB`.
pub fn bytes(count: u64) -> String {
    let (value, unit) = scale(approximate(count));
    format!("{} {unit}B", three_digits(value))
}

/// Microseconds to three digits: `0 µs`, `850 µs`, `20.5 ms`, `1.25 s`.
pub fn microseconds(us: f64) -> String {
    let (value, unit) = match us {
        // 999.5 would be rounded to 1000.
        us if us < 999.5 => (us, "µs"),
        us if us < 999_500.0 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

#[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
fn approximate(count: u64) -> f64 {
    count as f64
}

/// The SI prefix under which `value` has at most three digits before the point.
fn scale(value: f64) -> (f64, &'static str) {
    const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut value = value;
    let mut prefix = 0;
    // 999.5 would be rounded to 1000.
    while value >= 999.5 && prefix + 1 < PREFIXES.len() {
        value /= 1000.0;
        prefix += 1;
    }
    (value, PREFIXES[prefix])
}

/// Three significant digits, whole numbers without a point.
fn three_digits(value: f64) -> String {
    let places = match value {
        v if v >= 99.95 || v == 0.0 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.places$}");
    if places > 0 { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A time for people: `12 s`, `1.5 s`, `3 min 5 s`, `1 h 2 min`, `2 d 3 h`.
pub fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 if time.subsec_millis() > 0 => format!("{} s", three_digits(time.as_secs_f64())),
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0 packets were")]
    #[case(1, "1 packet was")]
    #[case(2000, "2000 packets were")]
    fn a_count_agrees_with_what_is_counted(#[case] count: u64, #[case] told: &str) {
        assert_eq!(counted(count, "packet was", "packets were"), told);
        assert_eq!(format!("{} {}", counted(count, "packet", "packets"), was(count)), told);
        assert_eq!(times(count), if count == 1 { "once".to_owned() } else { format!("{count} times") });
    }

    #[rstest::rstest]
    #[case("3703147 datagrams were dropped.", "3,703,147 datagrams were dropped.")]
    #[case("999 of 1000, or 4096.", "999 of 1,000, or 4,096.")]
    #[case("at port 8080 of 10.0.0.1:5353, 0x1000", "at port 8080 of 10.0.0.1:5353, 0x1000")]
    #[case("may take ports 8080, 9090 of 1000 services", "may take ports 8080, 9090 of 1,000 services")]
    #[case("99999999999999999999999 is too much", "99999999999999999999999 is too much")]
    #[case("`udp dport 9001 drop` dropped 4000 packets", "`udp dport 9001 drop` dropped 4,000 packets")]
    #[case("`drop` dropped 4000", "`drop` dropped 4,000")]
    #[case("", "")]
    fn counts_in_sentences_are_grouped(#[case] sentence: &str, #[case] told: &str) {
        assert_eq!(grouped(sentence), told);
    }

    #[rstest]
    #[case("100ms", Duration::from_millis(100))]
    #[case("30s", Duration::from_secs(30))]
    #[case("1.5s", Duration::from_millis(1_500))]
    #[case("5m", Duration::from_mins(5))]
    #[case("5min", Duration::from_mins(5))]
    #[case("1h30m", Duration::from_mins(90))]
    #[case("1d2h3m4s5ms6us", Duration::from_micros(93_784_005_006))]
    #[case(" 2s ", Duration::from_secs(2))]
    fn durations_are_read(#[case] text: &str, #[case] duration: Duration) {
        assert_eq!(parse_duration(text), Ok(duration));
    }

    #[rstest]
    #[case("")]
    #[case("5")]
    #[case("s")]
    #[case("-5s")]
    #[case("5 s")]
    #[case("1.s")]
    #[case("1..5s")]
    #[case("5m1h")]
    #[case("1s1s")]
    #[case("1h30")]
    #[case("5 minutes")]
    #[case("1.0000000001s")]
    #[case("99999999999999999999s")]
    fn other_durations_are_refused_by_name(#[case] text: &str) {
        assert_eq!(parse_duration(text), Err(UnitError::Duration(text.into())));
    }

    #[test]
    fn a_duration_is_more_than_zero_and_fits_u64_nanoseconds() {
        assert_eq!(parse_duration("0s"), Err(UnitError::Zero("0s".into())));
        assert_eq!(parse_duration("999999d"), Err(UnitError::TooLarge("999999d".into())));
    }

    #[rstest]
    #[case("4096", 4_096)]
    #[case("100M", 100 << 20)]
    #[case("1GiB", 1 << 30)]
    #[case("1.5K", 1_536)]
    #[case("10MB", 10_000_000)]
    #[case("7B", 7)]
    fn sizes_are_read(#[case] text: &str, #[case] bytes: u64) {
        assert_eq!(parse_size(text), Ok(bytes));
    }

    #[rstest]
    #[case("", UnitError::Size(String::new()))]
    #[case("M", UnitError::Size("M".into()))]
    #[case("1X", UnitError::Size("1X".into()))]
    #[case("1M5", UnitError::Size("1M5".into()))]
    #[case("-1", UnitError::Size("-1".into()))]
    #[case("0", UnitError::Zero("0".into()))]
    #[case("99999999T", UnitError::TooLarge("99999999T".into()))]
    fn other_sizes_are_refused(#[case] text: &str, #[case] error: UnitError) {
        assert_eq!(parse_size(text), Err(error));
    }

    #[rstest]
    #[case(0, "0")]
    #[case(999, "999")]
    #[case(1_000, "1,000")]
    #[case(489_412, "489,412")]
    #[case(u64::MAX, "18,446,744,073,709,551,615")]
    fn exact_numbers_are_grouped(#[case] number: u64, #[case] text: &str) {
        assert_eq!(thousands(number), text);
    }

    #[rstest]
    #[case(0, 1_000, "0/s")]
    #[case(1, 4_000, "0.25/s")]
    #[case(12, 1_000, "12/s")]
    #[case(999, 1_000, "999/s")]
    #[case(1_000, 1_000, "1 k/s")]
    #[case(1_234, 1_000, "1.23 k/s")]
    #[case(489_412, 1_000, "489 k/s")]
    #[case(999_999, 1_000, "1 M/s")]
    #[case(5, 0, "0/s")]
    fn rates_have_three_digits(#[case] count: u64, #[case] millis: u64, #[case] text: &str) {
        assert_eq!(rate(count, Duration::from_millis(millis)), text);
    }

    #[rstest]
    #[case(0, 1_000, "0")]
    #[case(1, 60_000, "<0.1")]
    #[case(1, 4_000, "0.3")]
    #[case(2, 1_001, "2")]
    #[case(99, 10_000, "9.9")]
    #[case(999, 100_000, "10")]
    #[case(40, 1_020, "39")]
    #[case(489_412, 1_000, "489,412")]
    fn rates_in_a_column_are_whole_numbers(#[case] count: u64, #[case] millis: u64, #[case] text: &str) {
        assert_eq!(per_second(count, Duration::from_millis(millis)), text);
    }

    #[rstest]
    #[case(512, "512 B")]
    #[case(14_192_948, "14.2 MB")]
    #[case(u64::MAX, "18.4 EB")]
    fn bytes_have_three_digits(#[case] count: u64, #[case] text: &str) {
        assert_eq!(bytes(count), text);
    }

    #[rstest]
    #[case(0.0, "0 µs")]
    #[case(0.5, "0.5 µs")]
    #[case(850.0, "850 µs")]
    #[case(999.6, "1 ms")]
    #[case(20_479.5, "20.5 ms")]
    #[case(999_499.0, "999 ms")]
    #[case(1_250_000.0, "1.25 s")]
    #[case(402_653_184.0, "403 s")]
    fn microseconds_have_three_digits(#[case] us: f64, #[case] text: &str) {
        assert_eq!(microseconds(us), text);
    }

    #[rstest]
    #[case(0, "0 s")]
    #[case(1_500, "1.5 s")]
    #[case(12_345, "12 s")]
    #[case(185_000, "3 min 5 s")]
    #[case(3_720_000, "1 h 2 min")]
    #[case(183_600_000, "2 d 3 h")]
    fn times_are_short(#[case] millis: u64, #[case] text: &str) {
        assert_eq!(elapsed(Duration::from_millis(millis)), text);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "\\PC{0,24}") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }

        #[test]
        fn whole_milliseconds_come_back(millis in 1_u64..u64::from(u32::MAX)) {
            prop_assert_eq!(parse_duration(&format!("{millis}ms")), Ok(Duration::from_millis(millis)));
        }
    }
}
