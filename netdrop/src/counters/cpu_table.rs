//! Tables of the kernel with a line of names and a line of numbers for each CPU: `/proc/net/stat/nf_conntrack`, `arp_cache`, `ndisc_cache`,
//! `rt_cache` (`lnstat(8)`).

/// Each CPU's numbers, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuTable(Vec<(String, Vec<u64>)>);

/// What isn't such a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {0} isn't made of hexadecimal numbers, one for each name of the first line")]
pub struct CpuTableError(usize);

impl CpuTable {
    /// Names by which the kernels call columns differ (`searched`, then `clashres`), and so does their order: they are found by name.
    ///
    /// # Errors
    /// When a line has other than hexadecimal numbers, or fewer than there are names.
    pub fn parse(text: &str) -> Result<Self, CpuTableError> {
        let mut lines = text.lines().enumerate();
        let names = lines.next().map_or("", |(_, line)| line);
        let mut columns: Vec<_> =
            names.split_ascii_whitespace().map(|name| (name.to_owned(), Vec::new())).collect();
        for (index, line) in lines {
            let mut numbers =
                line.split_ascii_whitespace().map(|number| u64::from_str_radix(number, 16).ok());
            for (_, column) in &mut columns {
                column.push(numbers.next().flatten().ok_or(CpuTableError(index + 1))?);
            }
        }
        Ok(Self(columns))
    }

    fn column(&self, name: &str) -> Option<&[u64]> {
        self.0.iter().find(|(one, _)| one == name).map(|(_, numbers)| &numbers[..])
    }

    /// A column's sum; absent where this kernel has none of that name.
    pub fn get(&self, name: &str) -> Option<u64> {
        let numbers = self.column(name)?;
        // The number of entries is the table's, and the same in each line.
        if name == "entries" {
            return numbers.last().copied();
        }
        Some(numbers.iter().fold(0, |sum, number| sum.saturating_add(*number)))
    }

    /// A counter's sum as it was before, and as it is now with what the CPUs counted since. Each of `nf_conntrack` and `rt_cache` counts in
    /// 32 bits (`struct ip_conntrack_stat`, `struct rt_cache_stat`), and begins again at its own time.
    pub fn since(&self, before: &Self, name: &str) -> Option<(u64, u64)> {
        let (was, now) = (before.column(name).unwrap_or_default(), self.column(name)?);
        let rose = |(cpu, now): (usize, &u64)| {
            let was = was.get(cpu).copied().unwrap_or(0);
            now.checked_sub(was).unwrap_or_else(|| {
                let wrapped = now.wrapping_sub(was) & u64::from(u32::MAX);
                // More than half of the way round at once is a counter that was set to zero.
                if wrapped <= u64::from(u32::MAX / 2) { wrapped } else { *now }
            })
        };
        let sum = before.get(name).unwrap_or(0);
        Some((sum, now.iter().enumerate().map(rose).fold(sum, u64::saturating_add)))
    }
}

impl<const N: usize> From<[(&str, u64); N]> for CpuTable {
    /// Of one CPU.
    fn from(numbers: [(&str, u64); N]) -> Self {
        Self(numbers.into_iter().map(|(name, number)| (name.to_owned(), vec![number])).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OF_5_10: &str = "\
entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart
00000007  00000000 00000000 00000000 00000003 000001a5 00000000 00000000 00000000 00000002 0000000a 00000001 00000000  00000000 00000000 00000000 00000000
00000007  00000000 00000000 00000000 00000001 00000100 00000000 00000000 00000000 00000000 00000006 00000000 00000000  00000000 00000000 00000000 00000000
";
    const OF_6_18: &str = "\
entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart
00000007  00000004 00000000 00000000 00000003 000001a5 00000000 00000009 00000000 00000002 0000000a 00000001 00000000  00000000 00000000 00000000 00000000
";
    const NEIGHBOURS: &str = "\
entries  allocs   destroys hash_grows lookups  hits     res_failed rcv_probes_mcast rcv_probes_ucast periodic_gc_runs forced_gc_runs unresolved_discards table_fulls
00000002 00001c1a 00001b31 00000002   00005661 0000012c 00000013   00000000         00000000         000013b8         00000000       00000024            00000001
00000002 00001a21 00001b08 00000000   00005327 000001e3 0000000b   00000000         00000000         00000000         00000000       0000001e            00000000
";

    #[test]
    fn columns_have_names_and_lines_are_added_up() {
        let table = CpuTable::parse(OF_5_10).unwrap();
        let of = |name| table.get(name);
        assert_eq!((of("entries"), of("drop"), of("insert_failed")), (Some(7), Some(16), Some(2)));
        assert_eq!((of("clashres"), of("searched")), (None, Some(0)));
        let table = CpuTable::parse(OF_6_18).unwrap();
        assert_eq!((table.get("clashres"), table.get("early_drop")), (Some(4), Some(1)));
        let table = CpuTable::parse(NEIGHBOURS).unwrap();
        assert_eq!((table.get("unresolved_discards"), table.get("table_fulls")), (Some(0x42), Some(1)));
    }

    /// The first CPU's counter began again, the second's went on.
    #[test]
    fn each_cpu_counts_in_32_bits() {
        let [before, after] =
            ["a drop\n0 fffffffe\n0 10\n", "a drop\n1 3\n2 14\n"].map(|text| CpuTable::parse(text).unwrap());
        assert_eq!(after.since(&before, "drop"), Some((0x1_0000_000e, 0x1_0000_000e + 5 + 4)));
        assert_eq!(after.since(&before, "a"), Some((0, 3)));
        let reset = CpuTable::parse("drop\n7\n0\n").unwrap();
        assert_eq!(reset.since(&after, "drop"), Some((0x17, 0x17 + 4)));
        assert_eq!((after.since(&CpuTable::default(), "a"), after.since(&before, "b")), (Some((0, 3)), None));
    }

    #[test]
    fn other_forms_are_refused() {
        assert_eq!(CpuTable::parse("a b\n1\n"), Err(CpuTableError(2)));
        assert_eq!(CpuTable::parse("a\n1\nx\n"), Err(CpuTableError(3)));
        assert_eq!(CpuTable::parse(""), Ok(CpuTable::default()));
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "[a-f0-9 \n]{0,200}") {
            let _ = CpuTable::parse(&text);
        }
    }
}
