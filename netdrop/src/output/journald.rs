//! systemd's journal by its native protocol (`systemd.io/JOURNAL_NATIVE_PROTOCOL`): a field for each thing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::datagram::Datagrams;
use super::logged::Logged;

/// Where the journal listens.
pub const JOURNAL: &str = "/run/systemd/journal/socket";

/// Lines to the journal at `path`; those that it doesn't take are counted in `lost`.
pub fn journald(path: &Path, lost: Arc<AtomicU64>) -> Datagrams {
    Datagrams::new(path, Box::new(entry), lost)
}

/// `NAME=value` a line. A value that has a line feed is written by its length, so no value can pose as a field.
fn entry(line: &[u8], out: &mut Vec<u8>) {
    let logged = Logged::parse(line);
    let priority = if logged.kind() == "drop" { "5" } else { "6" };
    field("MESSAGE", logged.sentence().as_bytes(), out);
    field("PRIORITY", priority.as_bytes(), out);
    field("SYSLOG_IDENTIFIER", b"netdrop", out);
    for (name, value) in logged.fields() {
        field(&format!("NETDROP_{name}"), value.as_bytes(), out);
    }
    field("NETDROP_JSON", line, out);
}

fn field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> String {
        let mut out = Vec::new();
        entry(line.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_drop_has_a_field_for_each_thing() {
        let line = r#"{"v":1,"kind":"drop","time":"2026-11-22T00:43:45Z","weight":3,"reason":"NO_SOCKET","class":"no-receiver","function":"__udp4_lib_rcv","device":{"index":1,"name":"lo"},"netns":{"inode":4026531840,"name":"host"},"packet":{"protocol":"udp","source":{"address":"::1","port":5},"destination":{"address":"::1","port":9}}}"#;
        let text = text(line);
        insta::assert_snapshot!(text.replace(line, "LINE"), @r"
        MESSAGE=dropped udp [::1]:5 > [::1]:9 in __udp4_lib_rcv on lo for NO_SOCKET
        PRIORITY=5
        SYSLOG_IDENTIFIER=netdrop
        NETDROP_KIND=drop
        NETDROP_REASON=NO_SOCKET
        NETDROP_CLASS=no-receiver
        NETDROP_FUNCTION=__udp4_lib_rcv
        NETDROP_DEVICE=lo
        NETDROP_NETNS=host
        NETDROP_PROTOCOL=udp
        NETDROP_SOURCE=::1
        NETDROP_SOURCE_PORT=5
        NETDROP_DESTINATION=::1
        NETDROP_DESTINATION_PORT=9
        NETDROP_WEIGHT=3
        NETDROP_JSON=LINE
        ");
    }

    #[test]
    fn a_name_with_a_line_feed_is_no_field() {
        let text = text(r#"{"kind":"drop","socket":{"owner":{"command":"x\nPRIORITY=0"}}}"#);
        assert!(text.contains("NETDROP_OWNER_COMMAND\n\u{c}\0\0\0\0\0\0\0x\nPRIORITY=0\n"), "{text:?}");
    }

    #[test]
    fn a_summary_is_a_sentence_and_numbers() {
        let text = text(r#"{"kind":"summary","interval_ms":10000,"accounts":{"seen":7}}"#);
        assert!(text.starts_with("MESSAGE=summary: 7 drops in 10000 ms\nPRIORITY=6\n"), "{text}");
        assert!(text.contains("NETDROP_SEEN=7\n"), "{text}");
    }
}
