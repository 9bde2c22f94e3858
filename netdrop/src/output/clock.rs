//! Time stamps as text. Formatting a date costs more than the rest of a line, so that the second is kept.

use jiff::tz::TimeZone;

use crate::model::Timestamp;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Writes RFC 3339 time stamps in one time zone.
#[derive(Debug, Clone)]
pub struct Clock {
    zone: TimeZone,
    /// How many digits of the second's fraction, at most 9.
    digits: usize,
    /// The second that `date` and `offset` are the text of.
    second: Option<u64>,
    /// `2026-11-22T00:43:45`
    date: String,
    /// `Z` or `+01:00`
    offset: String,
}

impl Clock {
    /// UTC to the nanosecond, for machines: `2026-11-22T00:43:45.123456789Z`.
    pub fn utc() -> Self {
        Self::new(TimeZone::UTC, 9)
    }

    /// The system's time zone to the microsecond, for people: `2026-11-22T01:43:45.123456+01:00`.
    /// Reads the zone's file now, not later, so that a sandbox may close the file system afterwards.
    pub fn local() -> Self {
        Self::new(TimeZone::system(), 6)
    }

    pub(crate) fn new(zone: TimeZone, digits: usize) -> Self {
        Self { zone, digits, second: None, date: String::new(), offset: String::new() }
    }

    /// Appends `time`.
    pub fn push(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        let second = time.0 / NANOS_PER_SECOND;
        if self.second != Some(second) {
            self.turn(second);
        }
        out.extend_from_slice(self.date.as_bytes());
        out.push(b'.');
        let mut rest = time.0 % NANOS_PER_SECOND;
        let mut fraction = [b'0'; 9];
        for digit in fraction.iter_mut().rev() {
            *digit += (rest % 10).to_le_bytes()[0];
            rest /= 10;
        }
        out.extend_from_slice(&fraction[..self.digits]);
        out.extend_from_slice(self.offset.as_bytes());
    }

    /// `time` without date and fraction: `01:43:45`.
    pub fn time_of_day(&mut self, time: Timestamp) -> &str {
        self.turn(time.0 / NANOS_PER_SECOND);
        self.date.get(11..).unwrap_or(&self.date)
    }

    /// Formats the date and the zone's offset of `second`.
    fn turn(&mut self, second: u64) {
        self.second = Some(second);
        // u64 nanoseconds end in the year 2554, well within jiff's range.
        let time = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
        let zoned = time.unwrap_or_default().to_zoned(self.zone.clone());
        self.date = zoned.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        self.offset = if self.zone == TimeZone::UTC { "Z".into() } else { zoned.strftime("%:z").to_string() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(clock: &mut Clock, nanos: u64) -> String {
        let mut out = Vec::new();
        clock.push(Timestamp(nanos), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_second_is_formatted_anew_and_every_fraction_in_full() {
        let mut clock = Clock::utc();
        assert_eq!(text(&mut clock, 0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(text(&mut clock, 1_795_308_225_123_456_789), "2026-11-22T00:43:45.123456789Z");
        assert_eq!(text(&mut clock, 1_795_308_225_000_000_007), "2026-11-22T00:43:45.000000007Z");
        assert_eq!(text(&mut clock, 1_795_308_224_999_999_999), "2026-11-22T00:43:44.999999999Z");
        assert_eq!(text(&mut clock, u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn people_get_microseconds_and_the_offset_of_their_zone() {
        let mut clock = Clock::new(TimeZone::fixed(jiff::tz::offset(1)), 6);
        assert_eq!(text(&mut clock, 1_795_308_225_123_456_789), "2026-11-22T01:43:45.123456+01:00");
        assert_eq!(clock.time_of_day(Timestamp(1_795_308_225_123_456_789)), "01:43:45");
    }
}
