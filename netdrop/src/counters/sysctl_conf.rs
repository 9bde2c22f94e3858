//! What an administrator has set at boot: `/etc/sysctl.conf` and `/etc/sysctl.d/*.conf` (sysctl.d(5)).

/// A line that sets something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The setting, with dots; a dot within a device's name is written as a slash.
    pub key: String,
    /// As it stands there, numbers apart by one blank.
    pub value: String,
}

/// Reads `key = value` lines. `-key` may fail, `#` and `;` begin comments; `net/core/somaxconn` is `net.core.somaxconn`; what has no value or names
/// several (`*`) is left out.
pub fn parse(text: &str) -> Vec<Line> {
    let line = |line: &str| {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            return None;
        }
        let (key, value) = line.split_once('=')?;
        let key = key.trim().trim_start_matches('-').trim();
        // The first of both characters tells which one separates.
        let key = match key.find(['.', '/']).and_then(|at| key.as_bytes().get(at)) {
            Some(b'/') => key
                .chars()
                .map(|one| {
                    if one == '/' {
                        '.'
                    } else if one == '.' {
                        '/'
                    } else {
                        one
                    }
                })
                .collect(),
            _ => key.to_owned(),
        };
        let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        (!key.is_empty() && !key.contains('*') && !value.is_empty()).then_some(Line { key, value })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[rstest::rstest]
    #[case("net.core.somaxconn=511", Some(("net.core.somaxconn", "511")))]
    #[case("  net.ipv4.tcp_rmem = 4096\t87380  16777216 ", Some(("net.ipv4.tcp_rmem", "4096 87380 16777216")))]
    #[case("-net/ipv4/conf/eth0.5/rp_filter = 2", Some(("net.ipv4.conf.eth0/5.rp_filter", "2")))]
    #[case("# net.core.somaxconn=511", None)]
    #[case("; x=1", None)]
    #[case("net.ipv4.conf.*.rp_filter=2", None)]
    #[case("-net.ipv4.conf.all.rp_filter", None)]
    #[case("=", None)]
    fn a_line(#[case] text: &str, #[case] expected: Option<(&str, &str)>) {
        let read = parse(text);
        assert_eq!(read.first().map(|line| (&*line.key, &*line.value)), expected);
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in any::<String>(), line in "[-#;.=/ a-z\n]{0,60}") {
            let _ = (parse(&text), parse(&line));
        }
    }
}
