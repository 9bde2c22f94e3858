//! Packets that each device received: `/proc/net/dev` (`net/core/net-procfs.c`, `dev_seq_printf_stats`).

/// Devices and their packets, since each was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received(pub Vec<(String, u64)>);

impl Received {
    /// A device's.
    pub fn by(&self, device: &str) -> Option<u64> {
        self.0.iter().find(|(name, _)| name == device).map(|(_, packets)| *packets)
    }
}

/// The lines `DEVICE: bytes packets …`; the two above them have no colon, and lines that aren't whole are left alone.
pub fn parse(text: &str) -> Received {
    let device = |line: &str| {
        let (name, numbers) = line.rsplit_once(": ").or_else(|| line.rsplit_once(':'))?;
        Some((name.trim().to_owned(), numbers.split_ascii_whitespace().nth(1)?.parse().ok()?))
    };
    Received(text.lines().filter_map(device).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 9876   12    0    0    0     0          0         0     9876     12    0    0    0     0       0          0
eth0.5:123456789 90000 0    0    0     0          0         0        0       0    0    0    0     0       0          0
";

    #[test]
    fn each_device_has_its_line() {
        let received = parse(TEXT);
        assert_eq!(
            (received.by("lo"), received.by("eth0.5"), received.by("x")),
            (Some(12), Some(90_000), None)
        );
        assert_eq!(received.0.len(), 2);
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "[a-z0-9: \n]{0,200}") {
            parse(&text);
        }
    }
}
