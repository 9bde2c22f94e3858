//! The system's log: RFC 5424 to `/dev/log`, as syslog(3) finds it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::datagram::Datagrams;
use super::logged::Logged;

/// Where syslog daemons listen.
pub const SYSLOG: &str = "/dev/log";

/// Facility `daemon` (RFC 5424, 6.2.1), with the severities `notice` for drops and `informational` for the rest.
const DAEMON: u8 = 3 << 3;
const NOTICE: u8 = 5;
const INFORMATIONAL: u8 = 6;
/// What a header's host name may have in letters (6.1).
const HOST: usize = 255;

/// Lines to the syslog daemon at `path`; those that it doesn't take are counted in `lost`.
pub fn syslog(path: &Path, host: &str, lost: Arc<AtomicU64>) -> Datagrams {
    let host = printable(host);
    let process = std::process::id();
    let dress = move |line: &[u8], out: &mut Vec<u8>| message(line, &host, process, out);
    Datagrams::new(path, Box::new(dress), lost)
}

/// `<PRI>1 TIME HOST APP PID MSGID - MESSAGE`; the message is the line of JSON.
fn message(line: &[u8], host: &str, process: u32, out: &mut Vec<u8>) {
    let logged = Logged::parse(line);
    let severity = if logged.kind() == "drop" { NOTICE } else { INFORMATIONAL };
    let time = logged.time().map_or_else(|| "-".into(), to_micros);
    let id = if logged.kind().is_empty() { "-" } else { logged.kind() };
    let head = format!("<{}>1 {time} {host} netdrop {process} {} - ", DAEMON | severity, printable(id));
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(line);
}

/// RFC 5424 has at most six digits of a second.
fn to_micros(time: &str) -> String {
    let Some((seconds, rest)) = time.split_once('.') else { return printable(time) };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let zone = &rest[digits.len()..];
    printable(&format!("{seconds}.{}{zone}", &digits[..digits.len().min(6)]))
}

/// A header's word: printable ASCII, `-` for none.
fn printable(text: &str) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(HOST).collect();
    if word.is_empty() { "-".into() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str, host: &str) -> String {
        let mut out = Vec::new();
        message(line.as_bytes(), &printable(host), 42, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[rstest::rstest]
    #[case(
        r#"{"v":1,"kind":"drop","time":"2026-11-22T00:43:45.123456789Z","weight":1}"#,
        "<29>1 2026-11-22T00:43:45.123456Z node netdrop 42 drop - {"
    )]
    #[case(
        r#"{"v":1,"kind":"summary","time":"2026-11-22T00:43:45Z"}"#,
        "<30>1 2026-11-22T00:43:45Z node netdrop 42 summary - {"
    )]
    #[case("nothing", "<30>1 - node netdrop 42 - - nothing")]
    fn lines_get_a_header(#[case] line: &str, #[case] start: &str) {
        let text = text(line, "node");
        assert!(text.starts_with(start), "{text}");
        assert!(text.ends_with(line), "{text}");
    }

    #[test]
    fn a_host_without_a_name_has_a_dash() {
        assert!(text("{}", " \n").starts_with("<30>1 - - netdrop 42 - - {}"));
    }
}
