//! Wording that the lines about connections share.

use std::time::Duration;

use nix::errno::Errno;
use unicode_width::UnicodeWidthStr as _;

use crate::model::tcp::{TcpEvent, TcpOwner};
use crate::model::{Endpoint, Owner};
use crate::output::columns::cut;
use crate::output::words::{Address, Plain};
use crate::units::{elapsed, microseconds};

/// `ETIMEDOUT`, or `errno-N` (errno(3)).
pub fn error_name(errno: u32) -> String {
    match i32::try_from(errno).map(Errno::from_raw) {
        Ok(known) if known != Errno::UnknownErrno => format!("{known:?}"),
        _ => format!("errno-{errno}"),
    }
}

/// `10.0.0.1:80`; `-` where it isn't known.
pub fn address(endpoint: Option<Endpoint>) -> String {
    endpoint.map_or_else(|| "-".into(), |endpoint| Address(endpoint).to_string())
}

/// The same in at most `width` columns: the address is cut, never the port.
pub fn address_in(endpoint: Option<Endpoint>, width: usize) -> String {
    let whole = address(endpoint);
    if whole.len() <= width {
        return whole;
    }
    let Some(Endpoint { address, port: Some(port) }) = endpoint else { return cut(&whole, width) };
    let port = format!(":{port}");
    let short = cut(&address.to_string(), width.saturating_sub(port.len()));
    cut(&(short + &port), width)
}

/// Who: `curl(4242)`, `nginx(4242)+2`, else where it runs; `-` where nobody is known. What became of the process since is left out.
pub fn owner(owner: Option<&TcpOwner>) -> String {
    let Some(TcpOwner { owner, .. }) = owner else { return "-".into() };
    let text = match (owner.first(), owner.others()) {
        (Some(name), 0) => name.to_string(),
        (Some(name), others) => format!("{name}+{others}"),
        (None, _) => owner.to_string(),
    };
    if text.is_empty() { "-".into() } else { Plain(&text).to_string() }
}

/// The same in at most `width` columns: the command is cut, never the number.
pub fn owner_in(whose: Option<&TcpOwner>, width: usize) -> String {
    let text = owner(whose);
    if text.width() <= width {
        return text;
    }
    match text.rfind('(').map(|at| text.split_at(at)) {
        Some((command, number)) if number.width() < width => cut(command, width - number.width()) + number,
        _ => cut(&text, width),
    }
}

/// The container, pod or unit that it runs in; `-` where none is known.
pub fn workload(owner: Option<&Owner>) -> String {
    owner
        .map(|owner| owner.workload.to_string())
        .filter(|text| !text.is_empty())
        .map_or_else(|| "-".into(), |text| Plain(&text).to_string())
}

/// Times that seldom take more than six columns: `850µs`, `20.5ms`, `1.25s`, `3m05s`, `1h02m`, `2d03h`.
pub fn short_time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (high, low, [unit, part]) = match seconds {
        0..100 => return microseconds(time.as_secs_f64() * 1e6).replace(' ', ""),
        100..3_600 => (seconds / 60, seconds % 60, ["m", "s"]),
        3_600..86_400 => (seconds / 3_600, seconds % 3_600 / 60, ["h", "m"]),
        _ => (seconds / 86_400, seconds % 86_400 / 3_600, ["d", "h"]),
    };
    format!("{high}{unit}{low:02}{part}")
}

/// Times in a sentence: `850 µs`, `20.5 ms`, `1.25 s`, `3 min 5 s`.
pub fn told_time(time: Duration) -> String {
    if time.as_secs() < 60 { microseconds(time.as_secs_f64() * 1e6) } else { elapsed(time) }
}

/// Milliseconds to the microsecond: `1500.123`.
pub fn milliseconds(time: Duration) -> String {
    let us = time.as_micros();
    format!("{}.{:03}", us / 1000, us % 1000)
}

/// Who opened it: `>` this side, `<` the other, `?` unknown.
pub fn direction(event: &TcpEvent) -> &'static str {
    use crate::model::tcp::Opened;
    match event.connection.opened {
        Some(Opened::Active) => ">",
        Some(Opened::Passive) => "<",
        None => "?",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::tcp::KnownBy;
    use crate::model::{Holding, Process};
    use crate::tcp::samples::endpoint;

    #[rstest::rstest]
    #[case(850, "850µs")]
    #[case(20_500, "20.5ms")]
    #[case(1_250_000, "1.25s")]
    #[case(99_000_000, "99s")]
    #[case(100_000_000, "1m40s")]
    #[case(3_599_000_000, "59m59s")]
    #[case(3_720_000_000, "1h02m")]
    #[case(183_600_000_000, "2d03h")]
    fn times_are_short(#[case] us: u64, #[case] text: &str) {
        assert_eq!(short_time(Duration::from_micros(us)), text);
    }

    #[rstest::rstest]
    #[case("10.0.0.1:80", 21, "10.0.0.1:80")]
    #[case("192.168.100.200:45678", 14, "192.168.…:45678")]
    #[case("[2001:db8::1:2:3]:443", 15, "2001:db8::…:443")]
    fn an_address_is_cut_before_its_port(#[case] whole: &str, #[case] width: usize, #[case] text: &str) {
        let cut = address_in(Some(endpoint(whole)), width.max(text.chars().count()));
        assert_eq!(cut, text);
    }

    #[rstest::rstest]
    #[case("curl", 13, "curl(4242)")]
    #[case("chromium-browser", 13, "chromi…(4242)")]
    #[case("chromium-browser", 5, "chro…")]
    fn a_command_is_cut_before_its_number(#[case] command: &str, #[case] width: usize, #[case] text: &str) {
        let process = Process { pid: 4242, command: command.into(), holding: Holding::Gone };
        let owner = Arc::new(Owner { processes: vec![process], ..Owner::default() });
        assert_eq!(owner_in(Some(&TcpOwner { owner, by: KnownBy::Close }), width), text);
    }

    #[test]
    fn errors_have_names() {
        assert_eq!((error_name(110), error_name(99_999)), ("ETIMEDOUT".into(), "errno-99999".into()));
        assert_eq!((owner(None), address(None)), ("-".into(), "-".into()));
    }
}
